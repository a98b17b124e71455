//! How good the valuations were, told by the sales that closed since: in the words of the trade, by market and by tier of
//! price, against what was paid and against what was asked kept apart.
//!
//! A fold of the topic `sales`, the greatest version of a listing wins; what it says does not depend on the order in which
//! sales came. Pure: reads no clock, "recent" is counted back from the newest sale. Values nothing.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;
use schemas::accuracy::{Accuracy as Report, Group, Nearness, Population, Tier};
use schemas::id::{ListingId, Market};
use schemas::money::Money;
use schemas::priced::Valuation;
use schemas::sale::Sale;
use schemas::version::ListingVersion;

use crate::market::{close_day, date_of};

/// How far back from the newest sale a sale counts: long enough for 500 sales of a small market, short enough to see a
/// model age.
pub const WINDOW_DAYS: i32 = 90;
/// Most sales that are remembered, the newest: at 200 bytes each 10 MB, and the median of half as many is known to 0.1 points.
const MAX_SALES: usize = 50_000;
/// Tiers of price: a fifth of the sales each, as the trade's tables have them.
const TIERS: usize = 5;
/// Fewest sales of a group that is told: of fewer, a median says more of the homes than of the model.
const MIN_SALES: usize = 20;

/// See the module.
#[derive(Debug, Default)]
pub struct Accuracy {
    /// By day (counted from 1970) and listing, so that the oldest leave first.
    populations: BTreeMap<Population, BTreeMap<(i32, ListingId), Closed>>,
    /// Where each listing's newest sale stands, so that a corrected one replaces it.
    places: FxHashMap<ListingId, (ListingVersion, Population, i32)>,
}

/// A sale of a home that had been valued.
#[derive(Clone, Debug)]
struct Closed {
    market: Market,
    paid: Money,
    asked: Option<Money>,
    p10: Money,
    p50: Money,
    p90: Money,
}

impl Accuracy {
    /// Takes in one sale. One of a home that had not been valued tells nothing; of two records of one version the later
    /// one counts, an older version changes nothing.
    pub fn take(&mut self, sale: &Sale) {
        let Some(valuation) = &sale.valuation else { return };
        let id = &sale.listing_id;
        if let Some((version, population, day)) = self.places.get(id) {
            if *version > sale.version {
                return;
            }
            if let Some(sales) = self.populations.get_mut(population) {
                sales.remove(&(*day, id.clone()));
            }
        }
        let (population, day) = (population_of(sale, valuation), close_day(sale));
        self.places.insert(id.clone(), (sale.version, population.clone(), day));
        let sales = self.populations.entry(population).or_default();
        sales.insert((day, id.clone()), closed(sale, valuation));
        for left in shed(sales) {
            self.places.remove(&left);
        }
    }

    /// How good each model was lately.
    pub fn reports(&self) -> Vec<Report> {
        self.populations.iter().filter_map(|(population, sales)| report(population, sales)).collect()
    }
}

/// Forgets what is no longer recent, or too much; returns whose sales those were.
fn shed(sales: &mut BTreeMap<(i32, ListingId), Closed>) -> Vec<ListingId> {
    let mut left = Vec::new();
    while let Some((oldest, newest)) = sales.first_key_value().zip(sales.last_key_value()) {
        if sales.len() <= MAX_SALES && newest.0.0 - oldest.0.0 <= WINDOW_DAYS {
            break;
        }
        left.extend(sales.pop_first().map(|((_, id), _)| id));
    }
    left
}

fn population_of(sale: &Sale, valuation: &Valuation) -> Population {
    Population {
        model: valuation.model.clone(),
        version: valuation.model_version.clone(),
        transaction: sale.transaction,
        currency: sale.currency,
    }
}

fn closed(sale: &Sale, valuation: &Valuation) -> Closed {
    Closed {
        market: sale.market.clone(),
        paid: sale.close_price,
        asked: sale.list_price.and_then(Money::non_zero),
        p10: valuation.p10,
        p50: valuation.p50,
        p90: valuation.p90,
    }
}

fn report(population: &Population, sales: &BTreeMap<(i32, ListingId), Closed>) -> Option<Report> {
    let ((through, _), _) = sales.last_key_value()?;
    let mut all: Vec<&Closed> = sales.values().collect();
    all.sort_by_key(|sale| sale.paid);
    let fifth = |n: usize| &all[all.len() * n / TIERS..all.len() * (n + 1) / TIERS];
    let tier =
        |sales: &[&Closed]| Some(Tier { from: sales.first()?.paid, to: sales.last()?.paid, group: group(sales)? });
    let mut markets = BTreeMap::<&Market, Vec<&Closed>>::new();
    for sale in &all {
        markets.entry(&sale.market).or_default().push(sale);
    }
    Some(Report {
        population: population.clone(),
        from: date_of(through - WINDOW_DAYS),
        through: date_of(*through),
        all: group(&all),
        tiers: (0..TIERS).filter_map(|n| tier(fifth(n))).collect(),
        markets: markets.into_iter().filter_map(|(market, sales)| Some((market.clone(), group(&sales)?))).collect(),
    })
}

fn group(sales: &[&Closed]) -> Option<Group> {
    if sales.len() < MIN_SALES {
        return None;
    }
    let asked = sales.iter().filter_map(|sale| Some((sale.p50, sale.asked?)));
    let inside = sales.iter().filter(|sale| (sale.p10..=sale.p90).contains(&sale.paid)).count();
    Some(Group {
        sales: sales.len(),
        close_price: nearness(sales.iter().map(|sale| (sale.p50, sale.paid)))?,
        list_price: nearness(asked),
        interval_coverage: share(inside, sales.len()),
    })
}

/// How near the first of each pair is to the second; `None` for too few.
pub(crate) fn nearness(pairs: impl Iterator<Item = (Money, Money)>) -> Option<Nearness> {
    let mut errors: Vec<f64> =
        pairs.map(|(valued, amount)| valued.cents() as f64 / amount.cents() as f64 - 1.0).collect();
    if errors.len() < MIN_SALES {
        return None;
    }
    let bias = median(&mut errors);
    errors.iter_mut().for_each(|error| *error = error.abs());
    let median_absolute_error = median(&mut errors);
    // Sorted by now.
    let within = |limit: f64| share(errors.partition_point(|error| *error <= limit), errors.len());
    Some(Nearness {
        median_absolute_error,
        within_5_percent: within(0.05),
        within_10_percent: within(0.10),
        within_20_percent: within(0.20),
        bias,
    })
}

/// Sorts; the lower of two middle ones.
fn median(numbers: &mut [f64]) -> f64 {
    numbers.sort_unstable_by(f64::total_cmp);
    numbers[(numbers.len() - 1) / 2]
}

pub(crate) fn share(part: usize, of: usize) -> f64 {
    part as f64 / of as f64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Of a home that was valued at 1,000 (900 to 1,100), asked at 1,050.
    fn sale(key: u32, day: i32, paid: i64, version: i64) -> Sale {
        let day = jiff::civil::date(2026, 1, 1).saturating_add(jiff::Span::new().days(day));
        serde_json::from_value(serde_json::json!({
            "listing_id": format!("f:{key}"), "market": if key.is_multiple_of(3) { "us/wa/seattle" } else { "us/wa/tacoma" },
            "transaction": "sale", "currency": "USD", "close_price": paid, "close_date": day, "list_price": 1050,
            "version": {"timestamp_ms": version + 4_000_000_000_000_i64, "raw_partition": 0, "raw_offset": 0, "batch_index": 0},
            "valuation": {"p10": 900, "p50": 1000, "p90": 1100, "model": "m", "model_version": "1"},
        }))
        .unwrap()
    }

    fn of(sales: &[Sale]) -> Report {
        let mut accuracy = Accuracy::default();
        sales.iter().for_each(|sale| accuracy.take(sale));
        accuracy.reports().remove(0)
    }

    #[test]
    fn a_report_says_how_near_valuations_were_to_what_was_paid_and_to_what_was_asked() {
        // 30 at 1,000, 20 at 1,080, 10 at 1,250, 10 at 800: errors 0, −7.4 %, −20 %, +25 %.
        let paid = [(30, 1_000), (20, 1_080), (10, 1_250), (10, 800)];
        let paid = paid.iter().flat_map(|(count, paid)| vec![*paid; *count]);
        let sales: Vec<_> = (0..).zip(paid).map(|(key, paid)| sale(key, 0, paid, 1)).collect();
        let all = of(&sales).all.unwrap();
        assert_eq!(all.sales, 70);
        let close = all.close_price;
        assert!((close.median_absolute_error - 0.074).abs() < 0.001, "{close:?}");
        assert_eq!((close.within_5_percent, close.within_10_percent), (30.0 / 70.0, 50.0 / 70.0));
        assert_eq!((close.within_20_percent, close.bias), (60.0 / 70.0, 0.0));
        let list = all.list_price.unwrap();
        assert!((list.bias + 0.0476).abs() < 0.001 && list.within_5_percent == 1.0, "{list:?}");
        assert_eq!(all.interval_coverage, 50.0 / 70.0);
    }

    #[test]
    fn tiers_are_fifths_by_what_was_paid_and_small_groups_are_not_told() {
        let sales: Vec<_> = (0..100).map(|key| sale(key, 0, 900 + i64::from(key), 1)).collect();
        let report = of(&sales);
        let bounds: Vec<_> = report.tiers.iter().map(|tier| (tier.from.units(), tier.to.units())).collect();
        assert_eq!(bounds, [(900, 919), (920, 939), (940, 959), (960, 979), (980, 999)]);
        assert_eq!(report.markets.values().map(|group| group.sales).collect::<Vec<_>>(), [34, 66]);
        let few = of(&sales[..19]);
        assert!(few.all.is_none() && few.tiers.is_empty() && few.markets.is_empty());
    }

    #[test]
    fn only_recent_sales_of_homes_that_were_valued_count_each_by_its_newest_version() {
        let mut sales: Vec<_> = (0..40).map(|key| sale(key, 0, 1_000, 1)).collect();
        sales.push(sale(0, 0, 2_000, 2));
        sales.push(sale(0, 0, 3_000, 1));
        let mut unvalued = sale(77, 0, 9_000, 1);
        unvalued.valuation = None;
        sales.push(unvalued);
        let report = of(&sales);
        assert_eq!(report.all.unwrap().sales, 40);
        assert_eq!(report.tiers.len(), 0, "eight sales each");
        let mut accuracy = Accuracy::default();
        sales.iter().for_each(|sale| accuracy.take(sale));
        accuracy.take(&sale(99, WINDOW_DAYS + 1, 1_000, 1));
        assert_eq!(accuracy.places.len(), 1);
        assert!(accuracy.reports()[0].all.is_none());
    }

    proptest! {
        #[test]
        fn a_report_does_not_depend_on_the_order_of_sales(
            sales in prop::collection::vec((0_u32..60, 0_i32..WINDOW_DAYS, 700_i64..1_300, 1_i64..50), 1..150),
            seed in any::<u64>(),
        ) {
            // A version names one statement: what it says must not differ.
            let sales: BTreeMap<_, _> = sales.into_iter().map(|(k, d, p, v)| ((k, v), sale(k, d, p, v))).collect();
            let mut sales: Vec<_> = sales.into_values().collect();
            let first = of(&sales);
            let mut state = seed | 1;
            for i in (1..sales.len()).rev() {
                state ^= state << 13; state ^= state >> 7; state ^= state << 17;
                sales.swap(i, (state % (i as u64 + 1)) as usize);
            }
            prop_assert_eq!(first, of(&sales));
        }
    }
}
