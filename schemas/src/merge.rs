//! How two facts about one listing become one: a join, so that any order, repetition or replay ends in the same fact
//! (DESIGN §3). The one place of that rule: enricher, scorer and every oracle call it.
//!
//! Does not decide what a fact says (the enricher does) nor where it is written.

use crate::priced::{HistoryPoint, MAX_DEAL_SCORES, MAX_HISTORY, PastDeal, PricedListing};
use crate::units::Instant;
use crate::vocabulary::{ChangeType, StandardStatus};

/// What is known of one listing: the join of every record of its key that was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Known {
    /// The joined fact.
    pub fact: PricedListing,
    /// Offset of the record that gave the newest statement: on equal versions the later offset wins, as in compaction.
    pub head_offset: u64,
}

impl Known {
    /// The first record of a key.
    pub const fn first(fact: PricedListing, offset: u64) -> Self {
        Self { fact, head_offset: offset }
    }

    /// Takes in another record of the same key. Returns whether that record says less than what is now known: if it
    /// stays the last one of its key, compaction will keep it and lose the rest, so it needs a repair.
    pub fn join(&mut self, incoming: PricedListing, offset: u64) -> bool {
        let takes_head = (incoming.listing.version, offset) >= (self.fact.listing.version, self.head_offset);
        let record = incoming.clone();
        let joined = if takes_head {
            let older = std::mem::replace(&mut self.fact, incoming);
            self.head_offset = offset;
            older
        } else {
            incoming
        };
        absorb(&mut self.fact, &joined);
        self.fact != record
    }
}

/// Adds to the head what the other fact remembers.
fn absorb(head: &mut PricedListing, other: &PricedListing) {
    head.deleted_version = head.deleted_version.max(other.deleted_version);
    let floor = head.deleted_version;
    head.history = union(std::mem::take(&mut head.history), other.history.clone(), MAX_HISTORY, |p| p.version);
    head.past_deals =
        union(std::mem::take(&mut head.past_deals), other.past_deals.clone(), MAX_DEAL_SCORES, |d| d.version);
    if let Some(floor) = floor {
        head.history.retain(|p: &HistoryPoint| p.version >= floor);
        head.past_deals.retain(|d: &PastDeal| d.version >= floor);
    }
    // The least of (when, price): the earliest sighting, and of several prices at that time the smallest, so that the
    // choice does not depend on the order.
    let origin =
        |fact: &PricedListing| (fact.first_seen_at, fact.original_list_price.is_none(), fact.original_list_price);
    if origin(other) < origin(head) {
        head.first_seen_at = other.first_seen_at;
        head.original_list_price = other.original_list_price;
    }
    head.derive_from_history();
}

/// The union of two ascending sets, the newest `limit`; of two with one version the head's stays.
fn union<T: Copy, K: Ord>(head: Vec<T>, other: Vec<T>, limit: usize, key: impl Fn(&T) -> K) -> Vec<T> {
    if other.is_empty() {
        return head;
    }
    let mut all: Vec<T> = head.into_iter().chain(other).collect();
    all.sort_by_key(&key); // stable: the head's comes first among equals
    all.dedup_by(|later, earlier| key(later) == key(earlier));
    all.drain(..all.len().saturating_sub(limit));
    all
}

impl PricedListing {
    /// Sets what follows from the history alone: `previous_list_price`, `price_changed_at`, `last_change`.
    pub fn derive_from_history(&mut self) {
        let priced: Vec<_> =
            self.history.iter().filter_map(|p| p.list_price.map(|price| (p.version.timestamp_ms, price))).collect();
        let change = priced.windows(2).rev().find(|pair| pair[0].1 != pair[1].1);
        self.previous_list_price = change.map(|pair| pair[0].1);
        self.price_changed_at = change.and_then(|pair| Instant::from_ms(pair[1].0));
        self.last_change = last_change(&self.history).map_or(ChangeType::NewListing, |(change, _)| change);
    }

    /// When what changed last (`last_change`) did so.
    pub fn changed_at(&self) -> Instant {
        last_change(&self.history).and_then(|(_, ms)| Instant::from_ms(ms)).unwrap_or(self.first_seen_at)
    }
}

/// The newest point that differs from the one before it, as RESO `ChangeType`, and its time.
fn last_change(history: &[HistoryPoint]) -> Option<(ChangeType, i64)> {
    let differs =
        |a: &HistoryPoint, b: &HistoryPoint| a.standard_status != b.standard_status || a.list_price != b.list_price;
    let newest = (1..history.len()).rev().find(|&i| differs(&history[i - 1], &history[i])).unwrap_or(0);
    let point = history.get(newest)?;
    let before = newest.checked_sub(1).map(|i| &history[i]);
    let change = match before {
        Some(before) if before.standard_status == point.standard_status => ChangeType::PriceChange,
        before => status_change(before.map(|p| p.standard_status), point.standard_status),
    };
    Some((change, point.version.timestamp_ms))
}

/// The RESO word for a step from one status to another.
const fn status_change(before: Option<StandardStatus>, now: StandardStatus) -> ChangeType {
    match now {
        StandardStatus::Active => match before {
            None => ChangeType::NewListing,
            Some(StandardStatus::ComingSoon) => ChangeType::Active,
            Some(_) => ChangeType::BackOnMarket,
        },
        StandardStatus::ActiveUnderContract => ChangeType::ActiveUnderContract,
        StandardStatus::Canceled => ChangeType::Canceled,
        StandardStatus::Closed => ChangeType::Closed,
        StandardStatus::ComingSoon => ChangeType::ComingSoon,
        StandardStatus::Delete => ChangeType::Deleted,
        StandardStatus::Expired => ChangeType::Expired,
        StandardStatus::Hold => ChangeType::Hold,
        StandardStatus::Pending => ChangeType::Pending,
        // RESO has no change type for a listing that became incomplete: it left the market.
        StandardStatus::Incomplete | StandardStatus::Withdrawn => ChangeType::Withdrawn,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::money::Money;
    use crate::version::ListingVersion;

    fn version(n: i64) -> ListingVersion {
        ListingVersion { timestamp_ms: n * 1000, ..ListingVersion::default() }
    }

    fn fact(n: i64, status: StandardStatus, price: i64, confirmed: i64) -> PricedListing {
        let listing = serde_json::from_value(serde_json::json!({
            "listing_id": "f:1", "version": version(n), "feed": "f", "standard_status": status.as_str(), "property_type": "Residential",
            "transaction": "sale", "market": "us/wa/seattle", "country": "us", "currency": "USD", "list_price": price,
        }))
        .unwrap();
        let price = Money::from_units(price);
        let mut fact = PricedListing {
            listing,
            content_version: version(n),
            last_confirmed_at: Instant::from_ms(confirmed).unwrap(),
            history: vec![HistoryPoint {
                version: version(n),
                standard_status: status,
                list_price: price,
                close_price: None,
            }],
            deleted_version: (status == StandardStatus::Delete).then(|| version(n)),
            first_seen_at: Instant::from_ms(n * 1000).unwrap(),
            original_list_price: price,
            previous_list_price: None,
            price_changed_at: None,
            last_change: ChangeType::NewListing,
            commute: None,
            school_rating: None,
            valuation: None,
            no_valuation: None,
            deal: None,
            past_deals: vec![PastDeal { version: version(n), score: 50 }],
        };
        fact.derive_from_history();
        fact
    }

    /// Statements of one listing: what one says follows from its version (a version names one raw record), while
    /// what the enricher knew when it wrote (here `confirmed`) may differ between two records of one version.
    fn facts() -> impl Strategy<Value = Vec<PricedListing>> {
        let one = (1_i64..90, 0_i64..3).prop_map(|(n, confirmed)| {
            let status = match n {
                _ if n % 11 == 0 => StandardStatus::Delete,
                _ if n % 7 == 0 => StandardStatus::Pending,
                _ => StandardStatus::Active,
            };
            fact(n, status, 100 + n % 3, confirmed)
        });
        prop::collection::vec(one, 1..100)
    }

    fn fold(records: &[(u64, PricedListing)]) -> Known {
        let mut known = Known::first(records[0].1.clone(), records[0].0);
        for (offset, record) in &records[1..] {
            known.join(record.clone(), *offset);
        }
        known
    }

    proptest! {
        #[test]
        fn any_order_and_repetition_of_records_joins_to_one_fact(facts in facts(), seed in any::<u64>()) {
            let records: Vec<_> = facts.into_iter().enumerate().map(|(i, f)| (i as u64, f)).collect();
            let mut shuffled = records.clone();
            let mut state = seed | 1;
            for i in (1..shuffled.len()).rev() {
                state ^= state << 13; state ^= state >> 7; state ^= state << 17;
                shuffled.swap(i, (state % (i as u64 + 1)) as usize);
            }
            shuffled.extend(records.iter().take(5).cloned());
            prop_assert_eq!(fold(&records), fold(&shuffled));
        }

        #[test]
        fn joining_two_halves_equals_joining_all(facts in facts(), cut in 0_usize..100) {
            let records: Vec<_> = facts.into_iter().enumerate().map(|(i, f)| (i as u64, f)).collect();
            let (left, right) = records.split_at(cut % records.len());
            let mut whole = fold(right);
            if !left.is_empty() {
                let left = fold(left);
                whole.join(left.fact, left.head_offset);
            }
            prop_assert_eq!(whole, fold(&records));
        }
    }

    #[test]
    fn an_older_record_that_comes_last_asks_for_a_repair_and_the_repair_does_not() {
        let mut known = Known::first(fact(2, StandardStatus::Active, 90, 0), 0);
        assert!(known.join(fact(1, StandardStatus::Active, 100, 0), 1));
        assert_eq!(known.fact.previous_list_price, Money::from_units(100));
        assert_eq!(known.fact.last_change, ChangeType::PriceChange);
        assert_eq!(known.fact.original_list_price, Money::from_units(100));
        let repair = known.fact.clone();
        assert!(!known.join(repair, 2));
    }

    #[test]
    fn a_delete_is_a_floor_whatever_comes_first() {
        let mut known = Known::first(fact(5, StandardStatus::Delete, 90, 0), 0);
        known.join(fact(3, StandardStatus::Active, 100, 0), 1);
        assert_eq!(known.fact.history.len(), 1);
        assert_eq!(known.fact.last_change, ChangeType::Deleted);
        known.join(fact(6, StandardStatus::Active, 80, 0), 2);
        assert_eq!(known.fact.last_change, ChangeType::BackOnMarket);
        assert_eq!(known.fact.first_seen_at.ms(), 3000);
    }
}
