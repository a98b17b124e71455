//! Facts that wait until the sale they report is on the log: a restart that finds the fact reports no sale again. The rest of
//! the partition goes on meanwhile. Pure; who sends and who is told of acknowledgements is the owner.

use rustc_hash::FxHashSet;
use schemas::id::ListingId;
use stream::Outgoing;

/// A fact on its way out.
#[derive(Debug)]
pub struct Waiting {
    /// Of `listings.priced`.
    pub partition: u32,
    /// What it is about.
    pub id: ListingId,
    /// The token of the sale that is not on the log yet.
    pub sold: Option<u64>,
    /// The fact as a record.
    pub record: Outgoing,
    /// The token that it is sent with.
    pub token: u64,
}

/// In the order they were made. As many as the owner's window has room for at most: each has its token there.
#[derive(Debug, Default)]
pub struct Held(Vec<Waiting>);

impl Held {
    /// Whether none waits.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Gives the fact back if it may go at once; else keeps it: for its sale, or behind an older fact of its listing, so that
    /// they come to stand on the log in the order they were made.
    pub fn admit(&mut self, waiting: Waiting) -> Option<Waiting> {
        if waiting.sold.is_none() && !self.0.iter().any(|older| older.id == waiting.id) {
            return Some(waiting);
        }
        self.0.push(waiting);
        None
    }

    /// Takes out what may go now, in order. `is_under_way` tells of a sale that is not on the log yet.
    pub fn take_free(&mut self, is_under_way: impl Fn(u64) -> bool) -> Vec<Waiting> {
        let (mut free, mut stay, mut blocked) = (Vec::new(), Vec::new(), FxHashSet::default());
        for waiting in std::mem::take(&mut self.0) {
            if waiting.sold.is_some_and(&is_under_way) || blocked.contains(&waiting.id) {
                blocked.insert(waiting.id.clone());
                stay.push(waiting);
            } else {
                free.push(waiting);
            }
        }
        self.0 = stay;
        free
    }

    /// The partition is another's: it reads the statements again. Returns the tokens that nothing will be sent with.
    pub fn forget(&mut self, partition: u32) -> Vec<u64> {
        self.0.extract_if(.., |waiting| waiting.partition == partition).map(|waiting| waiting.token).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use schemas::topic::Topic;

    fn waiting(listing: &str, sold: Option<u64>, token: u64) -> Waiting {
        let record =
            Outgoing { topic: Topic::ListingsPriced, partition: None, key: None, value: None, headers: Vec::new() };
        Waiting { partition: 1, id: listing.parse().unwrap(), sold, record, token }
    }

    fn tokens(facts: &[Waiting]) -> Vec<u64> {
        facts.iter().map(|fact| fact.token).collect()
    }

    #[test]
    fn a_fact_waits_for_its_sale_and_holds_back_its_own_listing_alone() {
        let mut held = Held::default();
        assert!(held.admit(waiting("f:1", Some(7), 1)).is_none());
        assert!(held.admit(waiting("f:1", None, 2)).is_none(), "an older fact of the listing waits");
        assert!(held.admit(waiting("f:2", None, 3)).is_some());
        assert!(held.admit(waiting("f:3", Some(8), 4)).is_none());
        assert_eq!(tokens(&held.take_free(|sale| sale == 7)), [4]);
        assert_eq!(tokens(&held.take_free(|_| false)), [1, 2]);
        assert!(held.is_empty());
    }

    #[test]
    fn a_second_sale_of_a_listing_waits_behind_the_first() {
        let mut held = Held::default();
        held.admit(waiting("f:1", Some(7), 1));
        held.admit(waiting("f:1", Some(8), 2));
        assert!(held.take_free(|sale| sale == 7).is_empty());
        assert_eq!(tokens(&held.take_free(|_| false)), [1, 2]);
    }

    #[test]
    fn what_waits_for_a_partition_goes_with_it() {
        let mut held = Held::default();
        held.admit(waiting("f:1", Some(7), 1));
        held.admit(Waiting { partition: 2, ..waiting("f:2", Some(8), 2) });
        assert_eq!(held.forget(1), [1]);
        assert_eq!(tokens(&held.take_free(|_| false)), [2]);
    }
}
