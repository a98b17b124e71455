//! How index entries of several markets become one page in order of price. Pure.

use schemas::id::ListingId;
use schemas::money::Money;
use store::ByMarket;

/// Where a page ended: the last index entry that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Its price.
    pub list_price: Money,
    /// Its listing.
    pub listing_id: ListingId,
}

impl Position {
    /// Of an entry.
    pub fn of(entry: &ByMarket) -> Self {
        Self { list_price: entry.list_price, listing_id: entry.listing_id.clone() }
    }
    /// As it stands in a cursor.
    pub fn to_text(&self) -> String {
        format!("{} {}", self.list_price.cents(), self.listing_id)
    }
    /// From a cursor.
    pub fn from_text(text: &str) -> Option<Self> {
        let (cents, id) = text.split_once(' ')?;
        Some(Self { list_price: Money::from_cents(cents.parse().ok()?)?, listing_id: id.parse().ok()? })
    }
}

/// The entries of several markets in one order, as far as it is certain, and whether there are no more.
///
/// Each chunk holds the next entries of one market, in order; a chunk of `full` entries may have more behind it, so what
/// lies behind its last one is not certain yet.
pub fn merge(chunks: Vec<Vec<ByMarket>>, full: usize) -> (Vec<ByMarket>, bool) {
    let horizon =
        chunks.iter().filter(|chunk| chunk.len() >= full).filter_map(|chunk| chunk.last()).map(Position::of).min();
    let is_last = horizon.is_none();
    let mut entries: Vec<ByMarket> = chunks.into_iter().flatten().collect();
    if let Some(horizon) = horizon {
        entries.retain(|entry| Position::of(entry) <= horizon);
    }
    entries.sort_by_cached_key(Position::of);
    (entries, is_last)
}

#[cfg(test)]
mod tests {
    use schemas::vocabulary::Transaction;

    use super::*;

    fn entry(market: &str, price: i64, key: &str) -> ByMarket {
        ByMarket {
            market: market.parse().unwrap(),
            transaction: Transaction::Sale,
            list_price: Money::from_units(price).unwrap(),
            listing_id: format!("f:{key}").parse().unwrap(),
        }
    }

    #[test]
    fn pages_of_several_markets_give_every_entry_once_in_order() {
        let mut all = Vec::new();
        for (i, market) in ["us/wa/seattle", "us/wa/tacoma", "us/or/bend"].iter().enumerate() {
            for n in 0..7 * (i + 1) {
                all.push(entry(market, (n * n % 11) as i64, &format!("{i}-{n}")));
            }
        }
        all.sort_by_key(Position::of);
        for full in [1, 2, 5, 100] {
            let (mut seen, mut after) = (Vec::new(), None);
            loop {
                let chunks = ["us/wa/seattle", "us/wa/tacoma", "us/or/bend"].map(|market| {
                    let behind = |e: &&ByMarket| after.as_ref().is_none_or(|after| Position::of(e) > *after);
                    all.iter().filter(|e| e.market.as_str() == market).filter(behind).take(full).cloned().collect()
                });
                let (entries, is_last) = merge(chunks.into(), full);
                after = entries.last().map(Position::of).or(after);
                seen.extend(entries);
                if is_last {
                    break;
                }
            }
            assert_eq!(seen, all, "chunks of {full}");
        }
    }

    #[test]
    fn a_position_survives_its_text() {
        let position = Position::of(&entry("us/wa/seattle", 5, "a b:c"));
        assert_eq!(Position::from_text(&position.to_text()), Some(position));
        for text in ["", "1", "x f:1", "-1 f:1", "1 f", "99999999999999999999 f:1"] {
            assert_eq!(Position::from_text(text), None, "{text}");
        }
    }
}
