//! Comparable sales: what homes near a listing sold for, and what its market paid lately.
//!
//! A fold of the topic `sales`, the greatest version of a listing wins; it does not matter in which order the sales of
//! different listings come, that is, how the reader interleaves the partitions. Reads no clock: what is old is told by the newest day on which anything of the same country,
//! transaction and currency is known to have closed. A listing is never its own comparable. Deliberately absent: prices that were
//! only asked.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use rustc_hash::FxHashMap;
use schemas::id::{Country, ListingId, Market};
use schemas::listing::Listing;
use schemas::money::Currency;
use schemas::sale::Sale;
use schemas::units::{Bathrooms, Position};
use schemas::version::ListingVersion;
use schemas::vocabulary::Transaction;

use crate::market::close_day;
use crate::quadtree::{Near, Quadtree};

/// How many days back from the newest close a sale is compared with. Before, prices were others.
pub const WINDOW_DAYS: i32 = 3 * 365;
/// How many days back a sale is recent.
pub const RECENT_DAYS: i32 = 45;
/// How many neighbours are compared with.
pub const NEAREST: usize = 10;
/// How many neighbours the wide comparison takes.
pub const NEAREST_WIDE: usize = 30;
/// How many neighbours the recent comparison takes.
pub const NEAREST_RECENT: usize = 15;
/// Fewest sales that say anything.
pub const MIN_SALES: usize = 10;
/// What is added to a distance before it divides: a neighbour of the same house weighs as much as 20 a kilometre away.
pub const NEAR_KM: f64 = 0.05;
/// By how much a neighbour counts less (powers of e) per unit of difference of the logarithm of the area.
pub const PER_LN_AREA: f64 = 2.0;
/// The same per bathroom.
pub const PER_BATHROOM: f64 = 0.25;
/// The same per year of construction.
pub const PER_YEAR_BUILT: f64 = 0.01;

/// Homes are compared within one country, one transaction and one currency only.
type Group = (Country, Transaction, Currency);

/// What the sales near a listing say; `None` where fewer than [`MIN_SALES`] do.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Comparison {
    /// Mean price per square foot of the nearest, weighted by nearness; currency units.
    pub price_per_sqft: Option<f64>,
    /// Median price per square foot of the nearest.
    pub median_price_per_sqft: Option<f64>,
    /// Their mean distance in km.
    pub distance_km: Option<f64>,
    /// Their mean price, weighted by nearness and likeness.
    pub similar_price: Option<f64>,
    /// Median price per square foot of the wider neighbourhood.
    pub wide_price_per_sqft: Option<f64>,
    /// Median price per square foot of the nearest recent sales.
    pub recent_price_per_sqft: Option<f64>,
    /// Median price per square foot of the market's recent sales.
    pub market_recent_price_per_sqft: Option<f64>,
}

/// The sales that listings are compared with.
#[derive(Debug, Default)]
pub struct Comparables {
    groups: FxHashMap<Group, Sales>,
    /// Where each listing's newest sale stands, so that a corrected one replaces it.
    places: FxHashMap<ListingId, (ListingVersion, Group, u32)>,
}

/// The sales of one group.
#[derive(Debug, Default)]
struct Sales {
    /// The newest day of all that was read, also of what was replaced since.
    newest: Option<i32>,
    /// By number; `None` where one has left.
    sales: Vec<Option<Sold>>,
    free: Vec<u32>,
    /// Days and numbers, so that the oldest leave first.
    by_day: BTreeSet<(i32, u32)>,
    /// With the logarithm of the price per square foot.
    near: Quadtree,
    near_recent: Quadtree,
    /// Logarithms of the prices per square foot of each market's recent sales, ascending.
    recent_of_market: FxHashMap<Market, Vec<f64>>,
}

/// What is remembered of a sale. Logarithms are natural, of currency units and square feet.
#[derive(Debug)]
struct Sold {
    listing: ListingId,
    day: i32,
    market: Market,
    position: Option<Position>,
    ln_price: f64,
    /// `None`: its area is not known; it is remembered for its version alone.
    ln_area: Option<f64>,
    bathrooms: Option<Bathrooms>,
    year_built: Option<u16>,
}

impl Comparables {
    /// Takes in one sale; an older version than the known one changes nothing.
    pub fn take(&mut self, sale: &Sale) {
        let group = (sale.market.country(), sale.transaction, sale.currency);
        let day = close_day(sale);
        let sales = self.groups.entry(group).or_default();
        for left in sales.advance(day) {
            self.places.remove(&left);
        }
        if let Some((version, old_group, number)) = self.places.get(&sale.listing_id) {
            if *version >= sale.version {
                return;
            }
            if let Some(sales) = self.groups.get_mut(old_group) {
                sales.remove(*number);
            }
            self.places.remove(&sale.listing_id);
        }
        if let Some(number) = self.groups.entry(group).or_default().insert(Sold::of(sale, day)) {
            self.places.insert(sale.listing_id.clone(), (sale.version, group, number));
        }
    }

    /// How many sales are remembered.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// What the sales say that are near a listing.
    pub fn of(&self, listing: &Listing) -> Comparison {
        let group = (listing.country, listing.transaction, listing.currency);
        let Some(sales) = self.groups.get(&group) else { return Comparison::default() };
        let own = self.places.get(&listing.listing_id).filter(|place| place.1 == group).map(|place| place.2);
        sales.compare(listing, own)
    }
}

impl Sold {
    fn of(sale: &Sale, day: i32) -> Self {
        Self {
            listing: sale.listing_id.clone(),
            day,
            market: sale.market.clone(),
            position: sale.position,
            ln_price: (sale.close_price.cents() as f64 / 100.0).ln(),
            ln_area: sale.living_area_sqft.filter(|area| *area > 0).map(|area| f64::from(area).ln()),
            bathrooms: sale.bathrooms_total,
            year_built: sale.year_built,
        }
    }

    fn ln_per_sqft(&self) -> Option<f64> {
        Some(self.ln_price - self.ln_area?)
    }

    /// How like a listing it is, 0 to 1. A difference that is not known counts as none.
    fn likeness(&self, listing: &Listing) -> f64 {
        let apart = |a: Option<f64>, b: Option<f64>| a.zip(b).map_or(0.0, |(a, b)| (a - b).abs());
        let baths = |count: Option<Bathrooms>| count.map(|count| f64::from(count.steps()) / 2.0);
        let ln_area = listing.living_area_sqft.filter(|area| *area > 0).map(|area| f64::from(area).ln());
        let area = apart(self.ln_area, ln_area);
        let bathrooms = apart(baths(self.bathrooms), baths(listing.bathrooms_total));
        let years = apart(self.year_built.map(f64::from), listing.year_built.map(f64::from));
        (-PER_LN_AREA * area - PER_BATHROOM * bathrooms - PER_YEAR_BUILT * years).exp()
    }
}

impl Sales {
    /// Something closed on this day: what is too old for it leaves. Returns whose sales those were.
    fn advance(&mut self, day: i32) -> Vec<ListingId> {
        let newest = self.newest.unwrap_or(day);
        if self.newest.is_some_and(|newest| newest >= day) {
            return Vec::new();
        }
        self.newest = Some(day);
        let no_longer_recent: Vec<u32> =
            self.by_day.range((newest - RECENT_DAYS + 1, 0)..(day - RECENT_DAYS + 1, 0)).map(|at| at.1).collect();
        for number in no_longer_recent {
            self.leave_recent(number);
        }
        let mut left = Vec::new();
        while let Some((oldest, number)) =
            self.by_day.first().copied().filter(|(oldest, _)| day - oldest >= WINDOW_DAYS)
        {
            debug_assert!(oldest <= day - RECENT_DAYS);
            left.extend(self.remove(number).map(|sold| sold.listing));
        }
        left
    }

    fn is_recent(&self, day: i32) -> bool {
        self.newest.is_some_and(|newest| newest - day < RECENT_DAYS)
    }

    /// Its number; `None`: it is too old.
    fn insert(&mut self, sold: Sold) -> Option<u32> {
        if self.newest.is_some_and(|newest| newest - sold.day >= WINDOW_DAYS) {
            return None;
        }
        let number = self.free.pop().unwrap_or_else(|| {
            self.sales.push(None);
            // Fewer than 2^32: each takes 100 bytes at least.
            (self.sales.len() - 1) as u32
        });
        self.by_day.insert((sold.day, number));
        if let Some(ln_per_sqft) = sold.ln_per_sqft() {
            let is_recent = self.is_recent(sold.day);
            if let Some(position) = sold.position {
                self.near.insert(position, number, ln_per_sqft);
                if is_recent {
                    self.near_recent.insert(position, number, ln_per_sqft);
                }
            }
            if is_recent {
                let ascending = self.recent_of_market.entry(sold.market.clone()).or_default();
                let at = ascending.partition_point(|other| *other < ln_per_sqft);
                ascending.insert(at, ln_per_sqft);
            }
        }
        self.sales[number as usize] = Some(sold);
        Some(number)
    }

    fn leave_recent(&mut self, number: u32) {
        let Some(sold) = &self.sales[number as usize] else { return };
        let Some(ln_per_sqft) = sold.ln_per_sqft() else { return };
        if let Some(position) = sold.position {
            self.near_recent.remove(position, number);
        }
        if let Some(ascending) = self.recent_of_market.get_mut(&sold.market) {
            let at = ascending.partition_point(|other| *other < ln_per_sqft);
            ascending.remove(at);
            if ascending.is_empty() {
                self.recent_of_market.remove(&sold.market);
            }
        }
    }

    fn remove(&mut self, number: u32) -> Option<Sold> {
        let day = self.sales[number as usize].as_ref()?.day;
        if self.is_recent(day) {
            self.leave_recent(number);
        }
        let sold = self.sales[number as usize].take()?;
        self.by_day.remove(&(day, number));
        if let Some(position) = sold.position.filter(|_| sold.ln_area.is_some()) {
            self.near.remove(position, number);
        }
        self.free.push(number);
        Some(sold)
    }

    fn sold(&self, number: u32) -> &Sold {
        // The trees hold numbers of remembered sales alone.
        self.sales[number as usize].as_ref().expect("a number in a tree is of a sale that is there")
    }

    /// Of two sales as near as each other the newer one comes first, then the one of the smaller listing id.
    fn before(&self, a: u32, b: u32) -> Ordering {
        let (a, b) = (self.sold(a), self.sold(b));
        b.day.cmp(&a.day).then_with(|| a.listing.cmp(&b.listing))
    }

    fn compare(&self, listing: &Listing, own: Option<u32>) -> Comparison {
        let mut comparison = Comparison::default();
        if let Some(position) = listing.position {
            let nearest = |tree: &Quadtree, count| tree.nearest(position, count, own, |a, b| self.before(a, b));
            self.compare_near(listing, &nearest(&self.near, NEAREST_WIDE), &mut comparison);
            comparison.recent_price_per_sqft = median_of(&nearest(&self.near_recent, NEAREST_RECENT));
        }
        comparison.market_recent_price_per_sqft = self.recent_of_market(listing, own);
        comparison
    }

    fn compare_near(&self, listing: &Listing, near: &[Near], comparison: &mut Comparison) {
        comparison.wide_price_per_sqft = median_of(near);
        if near.len() < MIN_SALES {
            return;
        }
        let nearest = &near[..near.len().min(NEAREST)];
        comparison.median_price_per_sqft = median_of(nearest);
        let (mut per_sqft, mut weights, mut price, mut alike, mut km) = (0.0, 0.0, 0.0, 0.0, 0.0);
        for near in nearest {
            let sold = self.sold(near.point);
            let weight = 1.0 / (near.km + NEAR_KM);
            let likeness = weight * sold.likeness(listing);
            per_sqft += weight * near.value;
            weights += weight;
            price += likeness * sold.ln_price;
            alike += likeness;
            km += near.km;
        }
        comparison.price_per_sqft = Some((per_sqft / weights).exp());
        comparison.similar_price = (alike > 0.0).then(|| (price / alike).exp());
        comparison.distance_km = Some(km / nearest.len() as f64);
    }

    fn recent_of_market(&self, listing: &Listing, own: Option<u32>) -> Option<f64> {
        let ascending = self.recent_of_market.get(&listing.market)?;
        let own =
            own.map(|number| self.sold(number)).filter(|own| own.market == listing.market && self.is_recent(own.day));
        match own.and_then(Sold::ln_per_sqft) {
            None => median(ascending.len(), |at| ascending[at]),
            Some(own) => {
                let skipped = ascending.partition_point(|other| *other < own);
                median(ascending.len() - 1, |at| ascending[at + usize::from(at >= skipped)])
            }
        }
    }
}

fn median_of(near: &[Near]) -> Option<f64> {
    let mut ascending: Vec<f64> = near.iter().map(|near| near.value).collect();
    ascending.sort_unstable_by(f64::total_cmp);
    median(ascending.len(), |at| ascending[at])
}

/// The median of logarithms in ascending order, as what they are the logarithms of; the middle of two is their geometric
/// mean.
fn median(count: usize, ascending: impl Fn(usize) -> f64) -> Option<f64> {
    (count >= MIN_SALES).then(|| (f64::midpoint(ascending((count - 1) / 2), ascending(count / 2))).exp())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A sale of version `version`, so many 1e-5 degrees north of 47.5, with 100 sqft.
    fn sale(key: u32, north: i32, day: i32, per_sqft: i64, version: i64) -> Sale {
        serde_json::from_value(serde_json::json!({
            "listing_id": format!("f:{key}"), "market": "us/wa/seattle", "transaction": "sale", "currency": "USD",
            "version": {"timestamp_ms": version + 200 * 365 * 86_400_000, "raw_partition": 0, "raw_offset": 0, "batch_index": 0},
            "close_price": per_sqft * 100,
            "close_date": jiff::civil::date(2020, 1, 1).saturating_add(jiff::Span::new().days(day)).to_string(),
            "position": {"latitude": f64::from(4_750_000 + north) / 1e5, "longitude": -122.25}, "living_area_sqft": 100,
        }))
        .unwrap()
    }

    fn home(key: u32, north: i32) -> Listing {
        let mut home = crate::testing::listing(1, "Active", 100);
        home.listing_id = format!("f:{key}").parse().unwrap();
        home.position = Position::from_degrees(f64::from(4_750_000 + north) / 1e5, -122.25);
        home.living_area_sqft = Some(100);
        home
    }

    fn of(sales: impl IntoIterator<Item = Sale>) -> Comparables {
        let mut comparables = Comparables::default();
        sales.into_iter().for_each(|sale| comparables.take(&sale));
        comparables
    }

    #[track_caller]
    fn is(value: Option<f64>, expected: f64) {
        assert!(value.is_some_and(|value| (value / expected - 1.0).abs() < 1e-9), "{value:?}, expected {expected}");
    }

    #[test]
    fn fewer_than_ten_sales_say_nothing() {
        let nine = of((0..9).map(|key| sale(key, 0, 0, 500, 1)));
        assert_eq!(nine.of(&home(99, 0)), Comparison::default());
        let ten = of((0..10).map(|key| sale(key, 0, 0, 500, 1)));
        let comparison = ten.of(&home(99, 0));
        for value in [
            comparison.price_per_sqft,
            comparison.median_price_per_sqft,
            comparison.wide_price_per_sqft,
            comparison.recent_price_per_sqft,
            comparison.market_recent_price_per_sqft,
        ] {
            is(value, 500.0);
        }
        is(comparison.similar_price, 50_000.0);
        assert_eq!(comparison.distance_km, Some(0.0));
        // Its own sale is none of its comparables.
        assert_eq!(ten.of(&home(3, 0)), Comparison::default());
    }

    #[test]
    fn the_nearest_count_and_the_nearer_weigh_more() {
        // Ten at 400 m, of which one is dear; twenty a little further, cheap; then what is too far.
        let step = 1_000 * 400 / 1_112;
        let near =
            (0..10).map(|key| sale(key, if key == 0 { 0 } else { step }, 0, if key == 0 { 900 } else { 300 }, 1));
        let wide = (10..30).map(|key| sale(key, 2 * step, 0, 100, 1));
        let far = (30..90).map(|key| sale(key, 90 * step, 0, 5_000, 1));
        let comparison = of(near.chain(wide).chain(far)).of(&home(99, 0));
        let km = f64::from(step) * 6_371.0 * std::f64::consts::PI / 180.0 / 1e5;
        let (here, there) = (1.0 / NEAR_KM, 9.0 / (km + NEAR_KM));
        let expected = ((here * 900_f64.ln() + there * 300_f64.ln()) / (here + there)).exp();
        is(comparison.price_per_sqft, expected);
        is(comparison.median_price_per_sqft, 300.0);
        is(comparison.wide_price_per_sqft, 100.0);
        is(comparison.distance_km, 0.9 * km);
        is(comparison.market_recent_price_per_sqft, 5_000.0);
    }

    #[test]
    fn the_more_alike_weigh_more() {
        let mut sales: Vec<_> = (0..10).map(|key| sale(key, 0, 0, 500, 1)).collect();
        sales[0].living_area_sqft = Some(200);
        sales[0].bathrooms_total = Bathrooms::from_steps(6);
        sales[0].year_built = Some(1990);
        sales[0].close_price = schemas::money::Money::from_units(200_000).unwrap();
        let comparables = of(sales);
        let mut home = home(99, 0);
        let mean = |weight: f64| ((weight * 200_000_f64.ln() + 9.0 * 50_000_f64.ln()) / (weight + 9.0)).exp();
        is(comparables.of(&home).similar_price, mean((-2.0 * 2_f64.ln()).exp()));
        home.bathrooms_total = Bathrooms::from_steps(4);
        home.year_built = Some(2010);
        is(comparables.of(&home).similar_price, mean((-2.0 * 2_f64.ln() - 0.25 - 0.2).exp()));
    }

    #[test]
    fn of_two_as_near_the_newer_one_counts_then_the_smaller_id() {
        let old = (0..20).map(|key| sale(key, 0, key as i32, 100 + i64::from(key), 1));
        let comparison = of(old).of(&home(99, 0));
        // Keys 10 to 19 are the newest; the geometric middle of 114 and 115.
        is(comparison.median_price_per_sqft, (114_f64 * 115.0).sqrt());
        let same_day = (10..30).map(|key| sale(key, 0, 0, 100 + i64::from(key), 1));
        is(of(same_day).of(&home(99, 0)).median_price_per_sqft, (114_f64 * 115.0).sqrt());
    }

    #[test]
    fn a_corrected_sale_replaces_the_first_and_an_older_version_does_not() {
        let mut comparables = of((0..10).map(|key| sale(key, 0, 0, 500, 5)));
        (0..10).for_each(|key| comparables.take(&sale(key, 0, 0, 900, 4)));
        is(comparables.of(&home(99, 0)).price_per_sqft, 500.0);
        (0..10).for_each(|key| comparables.take(&sale(key, 0, 0, 900, 6)));
        let comparison = comparables.of(&home(99, 0));
        is(comparison.price_per_sqft, 900.0);
        is(comparison.market_recent_price_per_sqft, 900.0);
        assert_eq!(comparables.len(), 10);
        // One whose area turns out not to be known is no comparable any more.
        let mut unknown = sale(0, 0, 0, 900, 7);
        unknown.living_area_sqft = None;
        comparables.take(&unknown);
        assert_eq!(comparables.of(&home(99, 0)), Comparison::default());
    }

    #[test]
    fn what_is_recent_and_what_is_too_old_is_counted_from_the_newest_close() {
        let mut comparables = of((0..10).map(|key| sale(key, 0, 0, 500, 1)));
        comparables.take(&sale(50, 9_000_000 / 90, RECENT_DAYS - 1, 500, 1));
        assert!(comparables.of(&home(99, 0)).recent_price_per_sqft.is_some());
        comparables.take(&sale(51, 9_000_000 / 90, RECENT_DAYS, 500, 1));
        let comparison = comparables.of(&home(99, 0));
        assert_eq!((comparison.recent_price_per_sqft, comparison.market_recent_price_per_sqft), (None, None));
        is(comparison.price_per_sqft, 500.0);
        comparables.take(&sale(52, 9_000_000 / 90, WINDOW_DAYS - 1, 500, 1));
        assert!(comparables.of(&home(99, 0)).price_per_sqft.is_some());
        comparables.take(&sale(53, 9_000_000 / 90, WINDOW_DAYS, 500, 1));
        assert_eq!(comparables.of(&home(99, 0)), Comparison::default());
        assert_eq!(comparables.len(), 4);
        comparables.take(&sale(0, 0, 0, 500, 2));
        assert_eq!(comparables.len(), 4, "too old when it came");
    }

    #[test]
    fn another_country_transaction_or_currency_is_not_compared_with() {
        let comparables = of((0..10).map(|key| sale(key, 0, 0, 500, 1)));
        let mut abroad = home(99, 0);
        abroad.currency = "CAD".parse().unwrap();
        assert_eq!(comparables.of(&abroad), Comparison::default());
        let mut let_out = home(99, 0);
        let_out.transaction = Transaction::Lease;
        assert_eq!(comparables.of(&let_out), Comparison::default());
        let mut unknown_place = home(99, 0);
        unknown_place.position = None;
        let comparison = comparables.of(&unknown_place);
        assert!(comparison.price_per_sqft.is_none() && comparison.market_recent_price_per_sqft.is_some());
    }

    proptest! {
        #[test]
        fn what_is_known_does_not_depend_on_the_order_in_which_listings_were_sold(
            sales in prop::collection::vec((0_u32..60, 0_i32..40, 0_i32..1_300, 100_i64..999, 1_i64..1000), 1..150), seed in any::<u64>()
        ) {
            // The log keeps the order of one listing's sales, whose versions rise: an older one that a zombie appends behind
            // a newer one is followed by the newer one again (`sold.rs`).
            let mut in_log: Vec<_> = sales.into_iter().map(|(k, n, d, c, v)| sale(k, n, d, c, v)).collect();
            let mut versions = std::collections::BTreeMap::new();
            in_log.retain(|sale| {
                let newest = versions.entry(sale.listing_id.clone()).or_insert(sale.version);
                let rises = sale.version >= *newest;
                *newest = sale.version.max(*newest);
                rises
            });
            let mut shuffled: Vec<Sale> = Vec::new();
            let mut waiting: Vec<Vec<Sale>> = vec![Vec::new(); 60];
            for sale in in_log.iter().rev() {
                let key: usize = sale.listing_id.as_str()[2..].parse().unwrap();
                waiting[key].push(sale.clone());
            }
            let mut state = seed | 1;
            while shuffled.len() < in_log.len() {
                state ^= state << 13; state ^= state >> 7; state ^= state << 17;
                if let Some(next) = waiting[(state % 60) as usize].pop() {
                    shuffled.push(next);
                }
            }
            let (a, b) = (of(in_log), of(shuffled));
            for (key, north) in [(99, 0), (99, 20), (3, 10)] {
                prop_assert_eq!(a.of(&home(key, north)), b.of(&home(key, north)));
            }
        }
    }
}
