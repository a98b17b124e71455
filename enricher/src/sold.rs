//! The sales of one partition that were appended lately, and which of them must be appended again: compaction keeps the last
//! one of a listing, which may be an older one that an earlier owner appended late (log read-repair, DESIGN §3).
//!
//! Pure. Does not know what is a sale (`sales.rs`), nor what one does to a market (`market.rs`).

use std::collections::{BTreeMap, BTreeSet};

use rustc_hash::FxHashMap;
use schemas::id::ListingId;
use schemas::sale::Sale;
use schemas::topic::MIN_COMPACTION_LAG_MS;

/// For how long a sale is remembered, in the log's own time: a process appends nothing more an hour after it has lost the
/// partition, so nothing older can come behind it any more.
const KEPT_MS: i64 = MIN_COMPACTION_LAG_MS;

/// Most sales to append again at a time; the rest at the next turn.
const MAX_REPAIRS: usize = 1_000;

/// See the module.
#[derive(Debug, Default)]
pub struct SoldLately {
    /// The newest sale of each listing, with its append time.
    newest: FxHashMap<ListingId, (Sale, i64)>,
    /// The same by append time.
    appended: BTreeSet<(i64, ListingId)>,
    /// Listings whose last sale on the log is older than the newest, each with whether that one was appended again and has not
    /// been read back.
    overtaken: BTreeMap<ListingId, bool>,
    next_offset: u64,
    is_at_end: bool,
}

impl SoldLately {
    /// Takes the next record of `sales`; `None` for what is no sale.
    pub fn take(&mut self, offset: u64, appended_ms: i64, sale: Option<Sale>) {
        self.next_offset = offset + 1;
        self.is_at_end = false;
        self.forget(appended_ms - KEPT_MS);
        let Some(sale) = sale else { return };
        let id = sale.listing_id.clone();
        if let Some((known, known_ms)) = self.newest.get(&id) {
            if known.version > sale.version {
                self.overtaken.insert(id, false);
                return;
            }
            self.appended.remove(&(*known_ms, id.clone()));
        }
        self.overtaken.remove(&id);
        self.appended.insert((appended_ms, id.clone()));
        self.newest.insert(id, (sale, appended_ms));
    }

    fn forget(&mut self, before_ms: i64) {
        while let Some((appended_ms, id)) = self.appended.pop_first() {
            if appended_ms >= before_ms || self.overtaken.contains_key(&id) {
                self.appended.insert((appended_ms, id));
                return;
            }
            self.newest.remove(&id);
        }
    }

    /// Everything on the log has been taken.
    pub const fn end(&mut self) {
        self.is_at_end = true;
    }

    /// The offset behind the last record taken: where to go on.
    pub const fn next_offset(&self) -> u64 {
        self.next_offset
    }

    /// The sales to append again. Before the end of the log none, since the newest may be still to come.
    pub fn repairs(&mut self) -> Vec<Sale> {
        if !self.is_at_end {
            return Vec::new();
        }
        let due = self.overtaken.iter_mut().filter(|(_, is_sent)| !**is_sent);
        due.take(MAX_REPAIRS)
            .filter_map(|(id, is_sent)| {
                *is_sent = true;
                self.newest.get(id).map(|(sale, _)| sale.clone())
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sales::sale_of;
    use crate::testing::listing;

    fn sale(n: i64) -> Sale {
        let mut listing = listing(n, "Closed", 100);
        listing.close_price = schemas::money::Money::from_units(90 + n);
        sale_of(&listing, None).unwrap()
    }

    #[test]
    fn a_sale_that_an_older_one_came_behind_is_appended_once_more() {
        let mut sold = SoldLately::default();
        sold.take(0, 0, Some(sale(2)));
        sold.take(1, 1, Some(sale(1)));
        assert!(sold.repairs().is_empty(), "the log goes on, perhaps with a newer one");
        sold.end();
        assert_eq!(sold.repairs(), [sale(2)]);
        assert!(sold.repairs().is_empty(), "it is on its way");
        sold.take(2, 2, Some(sale(2)));
        sold.end();
        assert!(sold.repairs().is_empty(), "it is there");
        sold.take(3, 3, Some(sale(1)));
        sold.end();
        assert_eq!(sold.repairs(), [sale(2)]);
    }

    #[test]
    fn only_what_was_sold_lately_is_remembered() {
        let mut sold = SoldLately::default();
        sold.take(0, 0, Some(sale(2)));
        sold.take(1, KEPT_MS, None);
        assert_eq!(sold.newest.len(), 1);
        sold.take(2, KEPT_MS + 1, None);
        assert!(sold.newest.is_empty() && sold.appended.is_empty());
        assert_eq!(sold.next_offset(), 3);
    }
}
