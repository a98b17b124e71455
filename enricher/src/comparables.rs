//! Comparable sales: what homes near a listing sold for, and what its market paid lately.
//!
//! A fold of the topic `sales`, the greatest version of a listing wins; it does not matter in which order the sales of
//! different listings come, that is, how the reader interleaves the partitions. Reads no clock: what is old is told by the newest day on which anything of the same country,
//! transaction and currency is known to have closed. A listing is never its own comparable. Deliberately absent: prices that were
//! only asked.
//!
//! **What is forgotten** must not depend on the order either, though what has been forgotten does not come back. So both bounds
//! only ever rise, and stand on all that was ever stated, replaced since or not: the window on the newest day, the cap on the
//! greatest [`MOST_SALES`] pairs of day and listing. A sale is remembered while its pair is one of these. The newest [`MOST_SALES`]
//! of the sales that are *true now* cannot be kept in bounded memory: when the newest one turns out to have been a typing error,
//! one that was forgotten for it would have to return. The price is that a listing which closed on two days counts twice, but
//! for a process that started when compaction had taken the first of the two.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use rustc_hash::FxHashMap;
use schemas::id::{Country, ListingId, Market};
use schemas::listing::Listing;
use schemas::money::Currency;
use schemas::sale::Sale;
use schemas::units::{Bathrooms, Position};
use schemas::version::ListingVersion;
use schemas::vocabulary::Transaction;

use crate::attributes::{self, Kept, Names};
use crate::likeness::{MOST_FEATURES, Of, SimilarPrice};
use crate::market::close_day;
use crate::quadtree::{Near, Quadtree};

/// How many days back from the newest close a sale is compared with. Before, prices were others.
pub const WINDOW_DAYS: i32 = 3 * 365;
/// How many days back a sale is recent.
pub const RECENT_DAYS: i32 = 45;
/// Most sales of one country, transaction and currency that are remembered, the newest: some 540 MB with twelve attributes each
/// (`bench comparables`), a quarter of a year of the United States, three years of its largest state.
pub const MOST_SALES: usize = 1_000_000;
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
    /// What a manifest asked for, in the order of the question: mean prices, or prices per square foot, weighted by nearness and
    /// likeness.
    pub asked: [Option<f64>; MOST_FEATURES],
}

/// The sales that listings are compared with.
#[derive(Debug)]
pub struct Comparables {
    /// [`MOST_SALES`], fewer in tests.
    most: usize,
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
    /// What was ever stated of the days within both bounds, so that the oldest leave first: the number of the listing's sale, `None`
    /// where another one has replaced it.
    stated: BTreeMap<i32, BTreeMap<ListingId, Option<u32>>>,
    /// How many pairs of day and listing that are.
    pairs: usize,
    /// Of the attributes.
    names: Names,
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
    attributes: Kept,
}

/// What of a listing is compared with what was sold.
struct Home {
    ln_area: Option<f64>,
    bathrooms: Option<f64>,
    year_built: Option<f64>,
}

impl Default for Comparables {
    fn default() -> Self {
        Self { most: MOST_SALES, groups: FxHashMap::default(), places: FxHashMap::default() }
    }
}

impl Comparables {
    /// Takes in one sale; of two records of one version the later one counts, an older version changes nothing.
    pub fn take(&mut self, sale: &Sale) {
        let group = (sale.market.country(), sale.transaction, sale.currency);
        let day = close_day(sale);
        let sales = self.groups.entry(group).or_default();
        for left in sales.state(day, &sale.listing_id, self.most) {
            self.places.remove(&left);
        }
        if let Some((version, old_group, number)) = self.places.get(&sale.listing_id) {
            if *version > sale.version {
                return;
            }
            if let Some(sales) = self.groups.get_mut(old_group) {
                sales.replace(*number);
            }
            self.places.remove(&sale.listing_id);
        }
        if let Some(number) = self.groups.entry(group).or_default().insert(sale, day) {
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

    /// What the sales say that are near a listing; of `asked` no more than [`MOST_FEATURES`].
    pub fn of(&self, listing: &Listing, asked: &[SimilarPrice]) -> Comparison {
        let group = (listing.country, listing.transaction, listing.currency);
        let Some(sales) = self.groups.get(&group) else { return Comparison::default() };
        let own = self.places.get(&listing.listing_id).filter(|place| place.1 == group).map(|place| place.2);
        sales.compare(listing, own, asked)
    }
}

impl Sold {
    fn of(sale: &Sale, day: i32, names: &mut Names) -> Self {
        Self {
            listing: sale.listing_id.clone(),
            day,
            market: sale.market.clone(),
            position: sale.position,
            ln_price: (sale.close_price.cents() as f64 / 100.0).ln(),
            ln_area: sale.living_area_sqft.filter(|area| *area > 0).map(|area| f64::from(area).ln()),
            bathrooms: sale.bathrooms_total,
            year_built: sale.year_built,
            attributes: names.keep(&sale.attributes),
        }
    }

    fn ln_per_sqft(&self) -> Option<f64> {
        Some(self.ln_price - self.ln_area?)
    }
}

impl Home {
    fn of(listing: &Listing) -> Self {
        Self {
            ln_area: listing.living_area_sqft.filter(|area| *area > 0).map(|area| f64::from(area).ln()),
            bathrooms: count(listing.bathrooms_total),
            year_built: listing.year_built.map(f64::from),
        }
    }

    /// How unlike each other it and what was sold are, 0 and more. A difference that is not known counts as none.
    fn unlike(&self, sold: &Sold) -> f64 {
        let apart = |a: Option<f64>, b: Option<f64>| a.zip(b).map_or(0.0, |(a, b)| (a - b).abs());
        let area = apart(sold.ln_area, self.ln_area);
        let bathrooms = apart(count(sold.bathrooms), self.bathrooms);
        let years = apart(sold.year_built.map(f64::from), self.year_built);
        PER_LN_AREA * area + PER_BATHROOM * bathrooms + PER_YEAR_BUILT * years
    }
}

fn count(bathrooms: Option<Bathrooms>) -> Option<f64> {
    bathrooms.map(|count| f64::from(count.steps()) / 2.0)
}

impl Sales {
    /// It was stated that a listing closed on this day: what is too old for it, and what is too much with it, leaves. Returns whose
    /// sales those were.
    fn state(&mut self, day: i32, listing: &ListingId, most: usize) -> Vec<ListingId> {
        self.advance(day);
        let mut left = Vec::new();
        let oldest = self.newest.map_or(day, |newest| newest - WINDOW_DAYS + 1);
        while let Some(too_old) = self.stated.first_entry().filter(|first| *first.key() < oldest) {
            let pairs = too_old.remove();
            self.pairs -= pairs.len();
            left.extend(pairs.into_iter().filter_map(|(listing, number)| self.forget(listing, number)));
        }
        if day < oldest {
            return left;
        }
        let pairs = self.stated.entry(day).or_default();
        if !pairs.contains_key(listing) {
            pairs.insert(listing.clone(), None);
            self.pairs += 1;
        }
        while self.pairs > most {
            let Some(mut first) = self.stated.first_entry() else { break };
            let pair = first.get_mut().pop_first();
            if first.get().is_empty() {
                first.remove();
            }
            let Some((listing, number)) = pair else { continue };
            self.pairs -= 1;
            left.extend(self.forget(listing, number));
        }
        left
    }

    /// Whose sale that was, if it was not replaced before.
    fn forget(&mut self, listing: ListingId, number: Option<u32>) -> Option<ListingId> {
        self.remove(number?);
        Some(listing)
    }

    /// The newest day may be this one now: what is not recent any more leaves the recent ones.
    fn advance(&mut self, day: i32) {
        let newest = self.newest.unwrap_or(day);
        if self.newest.is_some_and(|newest| newest >= day) {
            return;
        }
        self.newest = Some(day);
        let days = self.stated.range(newest - RECENT_DAYS + 1..day - RECENT_DAYS + 1);
        let no_longer_recent: Vec<u32> = days.flat_map(|(_, pairs)| pairs.values().copied().flatten()).collect();
        for number in no_longer_recent {
            self.leave_recent(number);
        }
    }

    fn is_recent(&self, day: i32) -> bool {
        self.newest.is_some_and(|newest| newest - day < RECENT_DAYS)
    }

    /// Its number; `None`: it is too old, or there are too many newer ones.
    fn insert(&mut self, sale: &Sale, day: i32) -> Option<u32> {
        let place = self.stated.get_mut(&day)?.get_mut(&sale.listing_id)?;
        let number = self.free.pop().unwrap_or_else(|| {
            self.sales.push(None);
            // Fewer than 2^32: each takes 100 bytes at least.
            (self.sales.len() - 1) as u32
        });
        *place = Some(number);
        let sold = Sold::of(sale, day, &mut self.names);
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

    /// Another sale of the same listing takes this one's place; that it was stated remains.
    fn replace(&mut self, number: u32) {
        let Some(sold) = self.remove(number) else { return };
        if let Some(place) = self.stated.get_mut(&sold.day).and_then(|pairs| pairs.get_mut(&sold.listing)) {
            *place = None;
        }
    }

    fn remove(&mut self, number: u32) -> Option<Sold> {
        let day = self.sales[number as usize].as_ref()?.day;
        if self.is_recent(day) {
            self.leave_recent(number);
        }
        let sold = self.sales[number as usize].take()?;
        if let Some(position) = sold.position.filter(|_| sold.ln_area.is_some()) {
            self.near.remove(position, number);
        }
        self.names.give_back(&sold.attributes);
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

    fn compare(&self, listing: &Listing, own: Option<u32>, asked: &[SimilarPrice]) -> Comparison {
        let mut comparison = Comparison::default();
        if let Some(position) = listing.position {
            let nearest = |tree: &Quadtree, count| tree.nearest(position, count, own, |a, b| self.before(a, b));
            let most = asked.iter().map(SimilarPrice::neighbours).fold(NEAREST_WIDE, usize::max);
            let near = nearest(&self.near, most);
            let home = Home::of(listing);
            self.compare_near(&home, &near, &mut comparison);
            for (value, asked) in comparison.asked.iter_mut().zip(asked) {
                *value = self.similar_price(listing, &home, &near, asked);
            }
            comparison.recent_price_per_sqft = median_of(&nearest(&self.near_recent, NEAREST_RECENT));
        }
        comparison.market_recent_price_per_sqft = self.recent_of_market(listing, own);
        comparison
    }

    fn compare_near(&self, home: &Home, near: &[Near], comparison: &mut Comparison) {
        comparison.wide_price_per_sqft = median_of(&near[..near.len().min(NEAREST_WIDE)]);
        if near.len() < MIN_SALES {
            return;
        }
        let nearest = &near[..near.len().min(NEAREST)];
        comparison.median_price_per_sqft = median_of(nearest);
        let (mut per_sqft, mut weights, mut price, mut alike, mut km) = (0.0, 0.0, 0.0, 0.0, 0.0);
        for near in nearest {
            let sold = self.sold(near.point);
            let weight = 1.0 / (near.km + NEAR_KM);
            let likeness = weight * (-home.unlike(sold)).exp();
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

    fn similar_price(&self, listing: &Listing, home: &Home, near: &[Near], asked: &SimilarPrice) -> Option<f64> {
        if near.len() < MIN_SALES {
            return None;
        }
        // What the listing does not say, or no remembered sale, makes no difference.
        let attribute = |(name, weight): &(String, f64)| {
            let value = listing.attributes.get(name).and_then(attributes::single)?;
            Some((self.names.find(name)?, f64::from(value), *weight))
        };
        let own: Vec<(u32, f64, f64)> = asked.weights().iter().filter_map(attribute).collect();
        let (mut price, mut alike) = (0.0, 0.0);
        for near in &near[..near.len().min(asked.neighbours())] {
            let sold = self.sold(near.point);
            let apart = |(name, value, weight): &(u32, f64, f64)| {
                attributes::find(&sold.attributes, *name).map_or(0.0, |sold| weight * (f64::from(sold) - value).abs())
            };
            let unlike = home.unlike(sold) + own.iter().map(apart).sum::<f64>();
            let likeness = 1.0 / (near.km + NEAR_KM) * (-unlike).exp();
            price += likeness
                * match asked.of() {
                    Of::Price => sold.ln_price,
                    Of::PricePerSqft => near.value,
                };
            alike += likeness;
        }
        (alike > 0.0).then(|| (price / alike).exp())
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
        assert_eq!(nine.of(&home(99, 0), &[]), Comparison::default());
        let ten = of((0..10).map(|key| sale(key, 0, 0, 500, 1)));
        let comparison = ten.of(&home(99, 0), &[]);
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
        assert_eq!(ten.of(&home(3, 0), &[]), Comparison::default());
    }

    #[test]
    fn the_nearest_count_and_the_nearer_weigh_more() {
        // Ten at 400 m, of which one is dear; twenty a little further, cheap; then what is too far.
        let step = 1_000 * 400 / 1_112;
        let near =
            (0..10).map(|key| sale(key, if key == 0 { 0 } else { step }, 0, if key == 0 { 900 } else { 300 }, 1));
        let wide = (10..30).map(|key| sale(key, 2 * step, 0, 100, 1));
        let far = (30..90).map(|key| sale(key, 90 * step, 0, 5_000, 1));
        let comparison = of(near.chain(wide).chain(far)).of(&home(99, 0), &[]);
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
        is(comparables.of(&home, &[]).similar_price, mean((-2.0 * 2_f64.ln()).exp()));
        home.bathrooms_total = Bathrooms::from_steps(4);
        home.year_built = Some(2010);
        is(comparables.of(&home, &[]).similar_price, mean((-2.0 * 2_f64.ln() - 0.25 - 0.2).exp()));
    }

    fn asked(names: &[&str]) -> Vec<SimilarPrice> {
        names.iter().map(|name| SimilarPrice::read(Of::Price, name).unwrap()).collect()
    }

    #[test]
    fn the_more_alike_by_the_feeds_own_numbers_weigh_more() {
        let mut sales: Vec<_> = (0..10).map(|key| sale(key, 0, 0, 500, 1)).collect();
        sales[0].attributes = [("grade".to_owned(), 9.0), ("view".to_owned(), 4.0), ("odd".to_owned(), 7.0)].into();
        sales[1].attributes = [("grade".to_owned(), 7.0)].into();
        sales[0].close_price = schemas::money::Money::from_units(200_000).unwrap();
        let comparables = of(sales);
        let mut home = home(99, 0);
        home.attributes = [("grade", "7"), ("view", "2"), ("lift", "1")].map(|(n, v)| (n.to_owned(), v.into())).into();
        let asked = asked(&["10.grade:0.5", "10.grade:0.5+view:0.25", "10.view:1", "10.lift:9+odd:9"]);
        let mean = |weight: f64| ((weight * 200_000_f64.ln() + 9.0 * 50_000_f64.ln()) / (weight + 9.0)).exp();
        let values = comparables.of(&home, &asked).asked;
        for (value, weight) in values.into_iter().zip([(-1_f64).exp(), (-1.5_f64).exp(), (-2_f64).exp(), 1.0]) {
            is(value, mean(weight));
        }
        let per_sqft = SimilarPrice::read(Of::PricePerSqft, "10.grade:0.5").unwrap();
        // The areas are all 100.
        is(comparables.of(&home, &[per_sqft]).asked[0], mean((-1_f64).exp()) / 100.0);
        // Area, bathrooms and year count as they do without.
        home.living_area_sqft = Some(200);
        is(comparables.of(&home, &asked).asked[0], mean((-1_f64).exp()));
        home.attributes.clear();
        let comparison = comparables.of(&home, &asked);
        assert_eq!(comparison.asked, [comparison.similar_price; MOST_FEATURES], "what is not known is no difference");
    }

    #[test]
    fn as_many_neighbours_are_compared_with_as_are_asked_for_and_the_others_stay_as_they_were() {
        let comparables = of((0..60).map(|key| sale(key, key as i32 * 100, 0, 100 + i64::from(key), 1)));
        let home = home(99, 0);
        let comparison = comparables.of(&home, &asked(&["12.grade:1", "50.grade:1"]));
        let km = |key: u32| f64::from(key * 100) * 6_371.0 * std::f64::consts::PI / 180.0 / 1e5;
        let mean = |count: u32| {
            let weight = |key| 1.0 / (km(key) + NEAR_KM);
            let price = |key: u32| f64::from((100 + key) * 100).ln();
            ((0..count).map(|key| weight(key) * price(key)).sum::<f64>() / (0..count).map(weight).sum::<f64>()).exp()
        };
        is(comparison.asked[0], mean(12));
        is(comparison.asked[1], mean(50));
        assert_eq!(comparison.asked[2..], [None; MOST_FEATURES - 2]);
        assert_eq!(Comparison { asked: Default::default(), ..comparison }, comparables.of(&home, &[]));
        let nine = of((0..9).map(|key| sale(key, 0, 0, 500, 1)));
        assert_eq!(nine.of(&home, &asked(&["10.grade:1"])), Comparison::default());
    }

    fn keeping(most: usize, sales: impl IntoIterator<Item = Sale>) -> Comparables {
        let mut comparables = Comparables { most, ..Comparables::default() };
        sales.into_iter().for_each(|sale| comparables.take(&sale));
        comparables
    }

    /// The keys of the sales that are remembered.
    fn remembered(comparables: &Comparables) -> Vec<u32> {
        let mut keys: Vec<u32> = comparables.places.keys().map(|id| id.listing_key().parse().unwrap()).collect();
        keys.sort_unstable();
        keys
    }

    #[test]
    fn beyond_the_cap_the_oldest_leaves() {
        let sales = || (0..30).map(|key| sale(key, 0, key as i32, 100 + i64::from(key), 1));
        let comparables = keeping(12, sales());
        assert_eq!(remembered(&comparables), (18..30).collect::<Vec<_>>());
        assert_eq!(remembered(&keeping(12, sales().rev())), remembered(&comparables));
        is(
            comparables.of(&home(99, 0), &[]).price_per_sqft,
            (20..30).map(|n| f64::from(100 + n).ln() / 10.0).sum::<f64>().exp(),
        );
        // Of one day, too; and another country's are no matter.
        assert_eq!(remembered(&keeping(12, (10..40).map(|key| sale(key, 0, 0, 500, 1)))), (28..40).collect::<Vec<_>>());
        let abroad = (40..50).map(|key| Sale { currency: "CAD".parse().unwrap(), ..sale(key, 0, 0, 500, 1) });
        assert_eq!(keeping(12, sales().chain(abroad)).len(), 22);
        let group = comparables.groups.values().next().unwrap();
        assert_eq!((group.pairs, group.sales.iter().flatten().count()), (12, 12));
        assert!(group.sales.len() <= 13, "places are used again");
    }

    #[test]
    fn a_sale_that_was_moved_counts_on_both_days_so_that_none_that_was_forgotten_has_to_return() {
        let mut sales: Vec<_> = (0..5).map(|key| sale(key, 0, key as i32, 500, 1)).collect();
        sales.push(sale(4, 0, 0, 500, 2));
        // The pairs 2, 3 and 4 are the newest three, and 4 did not close then.
        assert_eq!(remembered(&keeping(3, sales.clone())), [2, 3]);
        sales.rotate_right(2);
        assert_eq!(remembered(&keeping(3, sales.clone())), [2, 3]);
        // The same day again, in another version, counts once.
        sales.push(sale(3, 0, 3, 700, 2));
        assert_eq!(remembered(&keeping(3, sales)), [2, 3]);
    }

    #[test]
    fn of_two_as_near_the_newer_one_counts_then_the_smaller_id() {
        let old = (0..20).map(|key| sale(key, 0, key as i32, 100 + i64::from(key), 1));
        let comparison = of(old).of(&home(99, 0), &[]);
        // Keys 10 to 19 are the newest; the geometric middle of 114 and 115.
        is(comparison.median_price_per_sqft, (114_f64 * 115.0).sqrt());
        let same_day = (10..30).map(|key| sale(key, 0, 0, 100 + i64::from(key), 1));
        is(of(same_day).of(&home(99, 0), &[]).median_price_per_sqft, (114_f64 * 115.0).sqrt());
    }

    #[test]
    fn a_corrected_sale_replaces_the_first_and_an_older_version_does_not() {
        let mut comparables = of((0..10).map(|key| sale(key, 0, 0, 500, 5)));
        (0..10).for_each(|key| comparables.take(&sale(key, 0, 0, 900, 4)));
        is(comparables.of(&home(99, 0), &[]).price_per_sqft, 500.0);
        (0..10).for_each(|key| comparables.take(&sale(key, 0, 0, 900, 6)));
        let comparison = comparables.of(&home(99, 0), &[]);
        is(comparison.price_per_sqft, 900.0);
        is(comparison.market_recent_price_per_sqft, 900.0);
        assert_eq!(comparables.len(), 10);
        // One whose area turns out not to be known is no comparable any more.
        let mut unknown = sale(0, 0, 0, 900, 7);
        unknown.living_area_sqft = None;
        comparables.take(&unknown);
        assert_eq!(comparables.of(&home(99, 0), &[]), Comparison::default());
    }

    #[test]
    fn what_is_recent_and_what_is_too_old_is_counted_from_the_newest_close() {
        let mut comparables = of((0..10).map(|key| sale(key, 0, 0, 500, 1)));
        comparables.take(&sale(50, 9_000_000 / 90, RECENT_DAYS - 1, 500, 1));
        assert!(comparables.of(&home(99, 0), &[]).recent_price_per_sqft.is_some());
        comparables.take(&sale(51, 9_000_000 / 90, RECENT_DAYS, 500, 1));
        let comparison = comparables.of(&home(99, 0), &[]);
        assert_eq!((comparison.recent_price_per_sqft, comparison.market_recent_price_per_sqft), (None, None));
        is(comparison.price_per_sqft, 500.0);
        comparables.take(&sale(52, 9_000_000 / 90, WINDOW_DAYS - 1, 500, 1));
        assert!(comparables.of(&home(99, 0), &[]).price_per_sqft.is_some());
        comparables.take(&sale(53, 9_000_000 / 90, WINDOW_DAYS, 500, 1));
        assert_eq!(comparables.of(&home(99, 0), &[]), Comparison::default());
        assert_eq!(comparables.len(), 4);
        comparables.take(&sale(0, 0, 0, 500, 2));
        assert_eq!(comparables.len(), 4, "too old when it came");
    }

    #[test]
    fn another_country_transaction_or_currency_is_not_compared_with() {
        let comparables = of((0..10).map(|key| sale(key, 0, 0, 500, 1)));
        let mut abroad = home(99, 0);
        abroad.currency = "CAD".parse().unwrap();
        assert_eq!(comparables.of(&abroad, &[]), Comparison::default());
        let mut let_out = home(99, 0);
        let_out.transaction = Transaction::Lease;
        assert_eq!(comparables.of(&let_out, &[]), Comparison::default());
        let mut unknown_place = home(99, 0);
        unknown_place.position = None;
        let comparison = comparables.of(&unknown_place, &[]);
        assert!(comparison.price_per_sqft.is_none() && comparison.market_recent_price_per_sqft.is_some());
    }

    /// The same sales as the log may hand them out: those of one listing stay in their order.
    fn interleaved(in_log: &[Sale], mut state: u64) -> Vec<Sale> {
        let mut shuffled: Vec<Sale> = Vec::new();
        let mut waiting: Vec<Vec<Sale>> = vec![Vec::new(); 60];
        for sale in in_log.iter().rev() {
            let key: usize = sale.listing_id.listing_key().parse().unwrap();
            waiting[key].push(sale.clone());
        }
        while shuffled.len() < in_log.len() {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            if let Some(next) = waiting[(state % 60) as usize].pop() {
                shuffled.push(next);
            }
        }
        shuffled
    }

    /// The log keeps the order of one listing's sales, whose versions rise or come again as they were: an older one that a zombie
    /// appends behind a newer one is followed by the newer one again (`sold.rs`).
    fn as_logged(sales: Vec<Sale>) -> Vec<Sale> {
        let mut newest: BTreeMap<ListingId, Sale> = BTreeMap::new();
        let in_log = sales.into_iter().filter_map(|sale| {
            let known = newest.entry(sale.listing_id.clone()).or_insert_with(|| sale.clone());
            if known.version < sale.version {
                *known = sale.clone();
            }
            (known.version == sale.version).then(|| known.clone())
        });
        in_log.collect()
    }

    proptest! {
        #[test]
        fn what_is_known_does_not_depend_on_the_order_in_which_listings_were_sold(
            sales in prop::collection::vec(
                (0_u32..60, 0_i32..40, 0_i32..1_300, 100_i64..999, 1_i64..1000, prop::option::of(1_u8..12)), 1..150
            ),
            most in prop_oneof![Just(MOST_SALES), 1_usize..50],
            seed in 1..u64::MAX,
        ) {
            let sales = sales.into_iter().map(|(key, north, day, per_sqft, version, grade)| {
                let mut sale = sale(key, north, day, per_sqft, version);
                sale.attributes = grade.map(|grade| ("grade".to_owned(), f32::from(grade))).into_iter().collect();
                // Names come and go in another order, too.
                sale.attributes.insert(format!("a{}", per_sqft % 7), per_sqft as f32);
                sale
            });
            let in_log = as_logged(sales.collect());
            let (a, b) = (keeping(most, in_log.clone()), keeping(most, interleaved(&in_log, seed)));
            prop_assert_eq!(remembered(&a), remembered(&b));
            let asked = asked(&["10.grade:0.5", "50.grade:0.1+a3:0.01"]);
            for (key, north) in [(99, 0), (99, 20), (3, 10)] {
                let mut home = home(key, north);
                home.attributes = [("grade".to_owned(), 7.into()), ("a3".to_owned(), 500.into())].into();
                prop_assert_eq!(a.of(&home, &asked), b.of(&home, &asked));
            }
        }

        #[test]
        fn a_sale_is_remembered_while_its_day_and_listing_are_among_the_greatest_that_were_stated(
            sales in prop::collection::vec((0_u32..60, 0_i32..1_300, 1_i64..1000), 1..150), most in 1_usize..50, seed in 1..u64::MAX,
        ) {
            let in_log = as_logged(sales.into_iter().map(|(key, day, version)| sale(key, 0, day, 500, version)).collect());
            let mut now = BTreeMap::new();
            let mut stated = std::collections::BTreeSet::new();
            for sale in &in_log {
                let pair = (close_day(sale), sale.listing_id.clone());
                stated.insert(pair.clone());
                now.insert(sale.listing_id.clone(), pair);
            }
            let newest = stated.last().unwrap().0;
            let kept: Vec<_> = stated.iter().rev().take(most).filter(|pair| newest - pair.0 < WINDOW_DAYS).collect();
            let mut expected: Vec<u32> = now.values().filter(|pair| kept.contains(pair))
                .map(|pair| pair.1.listing_key().parse().unwrap()).collect();
            expected.sort_unstable();
            let comparables = keeping(most, interleaved(&in_log, seed));
            prop_assert_eq!(remembered(&comparables), expected);
            let group = comparables.groups.values().next().unwrap();
            prop_assert_eq!(group.pairs, group.stated.values().map(BTreeMap::len).sum::<usize>());
            prop_assert!(group.pairs <= most && group.sales.iter().flatten().count() == comparables.len());
        }
    }
}
