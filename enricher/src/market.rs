//! The level of a market: the median price per square foot of its recent sales. What comparables and the market's
//! features stand on.
//!
//! A fold of the topic `sales`, the greatest version of a listing wins. Knows nothing of valuations or deals, and reads
//! no clock: "recent" is counted back from the market's own newest sale.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;
use schemas::id::{ListingId, Market};
use schemas::listing::Listing;
use schemas::money::Currency;
use schemas::sale::Sale;
use schemas::units::Instant;
use schemas::version::ListingVersion;
use schemas::vocabulary::Transaction;

/// How far back from a market's newest sale a sale is recent.
pub const WINDOW_DAYS: i32 = 180;
/// Most sales that a market's level stands on, the newest: with more the median moves by less than its noise, and a
/// market costs at most about 100 kB.
pub const MAX_SALES: usize = 1_024;
/// Fewest sales that make a level: the median of fewer is one home's price.
pub const MIN_SALES: usize = 5;

/// Markets are compared within one transaction and one currency only.
type Key = (Market, Transaction, Currency);

/// What homes of a market sold for lately.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MarketLevel {
    /// The median (the lower of two) close price per square foot, in cents.
    pub cents_per_sqft: i64,
    /// How many sales it stands on.
    pub sales: usize,
}

/// The recent sales of every market.
#[derive(Debug, Default)]
pub struct MarketContext {
    markets: FxHashMap<Key, Recent>,
    /// Where each listing's newest sale stands, so that a corrected one replaces it.
    places: FxHashMap<ListingId, (ListingVersion, Key, i32)>,
}

#[derive(Debug, Default)]
struct Recent {
    /// Cents per square foot by (day, listing), so that the oldest leave first.
    by_day: BTreeMap<(i32, ListingId), i64>,
    /// The same numbers in ascending order, so that the median is one look.
    ascending: Vec<i64>,
}

impl MarketContext {
    /// Takes in one sale. A sale without an area moves no level; of two records of one version the later one counts, an older version changes nothing.
    pub fn take(&mut self, sale: &Sale) {
        let day = close_day(sale);
        if let Some((version, key, old_day)) = self.places.get(&sale.listing_id) {
            if *version > sale.version {
                return;
            }
            if let Some(recent) = self.markets.get_mut(key) {
                recent.remove(&(*old_day, sale.listing_id.clone()));
            }
            self.places.remove(&sale.listing_id);
        }
        let Some(area) = sale.living_area_sqft.filter(|area| *area > 0) else { return };
        let key = (sale.market.clone(), sale.transaction, sale.currency);
        let recent = self.markets.entry(key.clone()).or_default();
        recent.insert((day, sale.listing_id.clone()), sale.close_price.cents() / i64::from(area));
        self.places.insert(sale.listing_id.clone(), (sale.version, key, day));
        for left in recent.shed() {
            self.places.remove(&left);
        }
    }

    /// The level of a listing's market, if enough was sold there lately.
    pub fn level(&self, listing: &Listing) -> Option<MarketLevel> {
        self.markets.get(&(listing.market.clone(), listing.transaction, listing.currency))?.level()
    }
}

impl Recent {
    fn insert(&mut self, at: (i32, ListingId), cents: i64) {
        self.by_day.insert(at, cents);
        let index = self.ascending.partition_point(|other| *other < cents);
        self.ascending.insert(index, cents);
    }

    fn remove(&mut self, at: &(i32, ListingId)) {
        if let Some(cents) = self.by_day.remove(at) {
            let index = self.ascending.partition_point(|other| *other < cents);
            self.ascending.remove(index);
        }
    }

    /// Removes what is no longer recent or too much; returns whose sales those were.
    fn shed(&mut self) -> Vec<ListingId> {
        let mut left = Vec::new();
        while let Some((oldest, newest)) = self.by_day.first_key_value().zip(self.by_day.last_key_value()) {
            let (oldest, newest_day) = (oldest.0.clone(), newest.0.0);
            if self.by_day.len() <= MAX_SALES && newest_day - oldest.0 <= WINDOW_DAYS {
                break;
            }
            self.remove(&oldest);
            left.push(oldest.1);
        }
        left
    }

    fn level(&self) -> Option<MarketLevel> {
        let sales = self.ascending.len();
        (sales >= MIN_SALES).then(|| MarketLevel { cents_per_sqft: self.ascending[(sales - 1) / 2], sales })
    }
}

/// The day of a sale in days since 1970. A date after the statement that gave it is a typing error, and one such error
/// must not age a whole market: it counts as the day of the statement.
pub(crate) fn close_day(sale: &Sale) -> i32 {
    let stated = Instant::from_ms(sale.version.timestamp_ms).unwrap_or_default().day();
    days_since_1970(sale.close_date.min(stated))
}

/// The date of a day counted from 1970.
pub(crate) fn date_of(day: i32) -> jiff::civil::Date {
    jiff::civil::date(1970, 1, 1).saturating_add(jiff::Span::new().days(day))
}

pub(crate) fn days_since_1970(day: jiff::civil::Date) -> i32 {
    let start = jiff::civil::date(1970, 1, 1);
    // Two dates always differ by a whole number of days, which fits: years are -9999 to 9999.
    day.since(start).map_or(0, |span| span.get_days())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sale(key: u32, day: i32, cents_per_sqft: i64, version: i64) -> Sale {
        serde_json::from_value(serde_json::json!({
            "listing_id": format!("f:{key}"), "market": "us/wa/seattle", "transaction": "sale", "currency": "USD",
            "version": {"timestamp_ms": version + 200 * 365 * 86_400_000, "raw_partition": 0, "raw_offset": 0, "batch_index": 0},
            "close_price": cents_per_sqft as f64, "close_date": jiff::civil::date(2020, 1, 1).saturating_add(jiff::Span::new().days(day)).to_string(),
            "living_area_sqft": 100,
        }))
        .unwrap()
    }

    fn level(context: &MarketContext) -> Option<MarketLevel> {
        context.markets.values().next().and_then(Recent::level)
    }

    #[test]
    fn a_level_is_the_median_of_at_least_five_sales() {
        let mut context = MarketContext::default();
        for (key, cents) in [(1, 500), (2, 100), (3, 300), (4, 400)] {
            context.take(&sale(key, 0, cents, 1));
            assert_eq!(level(&context), None);
        }
        context.take(&sale(5, 0, 200, 1));
        assert_eq!(level(&context), Some(MarketLevel { cents_per_sqft: 300, sales: 5 }));
    }

    #[test]
    fn a_corrected_sale_replaces_the_first_and_an_older_version_does_not() {
        let mut context = MarketContext::default();
        (1..=5).for_each(|key| context.take(&sale(key, 0, 100, 5)));
        context.take(&sale(1, 0, 900, 4));
        assert_eq!(context.markets.values().next().unwrap().ascending, [100; 5]);
        context.take(&sale(1, 0, 900, 6));
        assert_eq!(context.markets.values().next().unwrap().ascending, [100, 100, 100, 100, 900]);
    }

    #[test]
    fn sales_older_than_half_a_year_before_the_newest_no_longer_count() {
        let mut context = MarketContext::default();
        (1..=6).for_each(|key| context.take(&sale(key, 0, 100, 1)));
        context.take(&sale(7, WINDOW_DAYS, 900, 1));
        assert_eq!(level(&context).unwrap().sales, 7);
        context.take(&sale(8, WINDOW_DAYS + 1, 900, 1));
        assert_eq!(level(&context), None);
        assert_eq!(context.places.len(), 2);
    }

    #[test]
    fn a_sale_dated_after_its_own_statement_does_not_age_the_market() {
        let mut context = MarketContext::default();
        (1..=5).for_each(|key| context.take(&sale(key, 0, 100, 1)));
        let mut typo = sale(6, 0, 100, 1);
        typo.version.timestamp_ms = 1_577_836_800_000; // 2020-01-01
        typo.close_date = jiff::civil::date(2202, 1, 1);
        context.take(&typo);
        assert_eq!(level(&context).unwrap().sales, 6);
    }

    proptest! {
        #[test]
        fn a_level_does_not_depend_on_the_order_of_sales(
            sales in prop::collection::vec((0_u32..30, 0_i32..170, 100_i64..999, 1_i64..1000), 1..80), seed in any::<u64>()
        ) {
            let mut a = MarketContext::default();
            let mut b = MarketContext::default();
            // A version names one statement: what it says must not differ.
            let sales: BTreeMap<_, _> = sales.into_iter().map(|(k, d, c, v)| ((k, v), sale(k, d, c, v))).collect();
            let mut sales: Vec<_> = sales.into_values().collect();
            sales.iter().for_each(|s| a.take(s));
            let mut state = seed | 1;
            for i in (1..sales.len()).rev() {
                state ^= state << 13; state ^= state >> 7; state ^= state << 17;
                sales.swap(i, (state % (i as u64 + 1)) as usize);
            }
            sales.iter().for_each(|s| b.take(s));
            prop_assert_eq!(level(&a), level(&b));
        }
    }
}
