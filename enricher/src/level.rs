//! By how much a model's prices are off lately: the median error of the market's recent closings, and how far its interval
//! misses. What a valuation is corrected by before it is rounded.
//!
//! A fold of the topic `sales`, whose records say what models thought of each home before they knew the price
//! (`SaleAppraisal`). The order in which sales of different listings come does not matter (as long as none is left out because there are more than
//! [`MAX_SALES`]); there is no clock: days are counted back
//! from the newest close of the same country, transaction and currency. Logarithms are natural, in whole millionths, so that sums
//! are exact.
//!
//! From the model's errors outward: median residual per market, drawn towards its state's and the country's where there are
//! few sales (research/model.md §3, "online7"), and conformal offsets of both ends of the interval (Romano, Patterson,
//! Candès, NeurIPS 2019), drawn towards none. Deliberately absent: a learning rate. What is wrong today is mended by the sales of
//! the next weeks, and an error cannot build up.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;
use schemas::accuracy::Contest;
use schemas::id::{Country, ListingId, Market};
use schemas::listing::Listing;
use schemas::model_alias::ModelName;
use schemas::money::{Currency, Money};
use schemas::sale::{Sale, SaleAppraisal};
use schemas::version::ListingVersion;
use schemas::vocabulary::Transaction;
use serde::{Deserialize, Serialize};

use crate::contest;
use crate::market::{close_day, days_since_1970};
use crate::registry::Manifest;

/// How many days of closings tell the level and how far the interval misses. The level is measured flat from 7 to 56; errors of
/// other months would be of another level.
pub const RECENT_DAYS: i32 = 28;
/// For how many days a closing is remembered, for models that take over later.
pub const KEPT_DAYS: i32 = 90;
/// Most closings of one country that are remembered, the newest: 90 days of a market ten times King County.
pub const MAX_SALES: usize = 50_000;
/// Fewest closings of a country that tell a level: the standard error of their median is 3 % at a spread of 12 %.
pub const MIN_SALES: usize = 20;
/// How many closings of its own weigh as much as what the wider area says.
pub const LEVEL_PULL: i64 = 20;
/// The same for the interval, where a tenth of the closings tells each end.
pub const INTERVAL_PULL: i64 = 200;
/// The share of closings that each end of the interval is to hold, in per cent.
const EACH_END_PERCENT: usize = 90;
/// Most closings of a model's own seed.
pub const MAX_SEED: usize = 5_000;

/// A closing that a model brings along: how an earlier twin of it, which had not seen it, was off. With these a new model
/// starts at the level of its last weeks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeedSale {
    /// Where.
    pub market: Market,
    /// When it closed.
    pub close_date: jiff::civil::Date,
    /// ln(close price / p50).
    pub log_residual: f64,
    /// ln(p10 / close price): positive when it closed below the interval.
    pub low_miss: f64,
    /// ln(close price / p90): positive when it closed above.
    pub high_miss: f64,
}

impl SeedSale {
    /// Whether its numbers are numbers, and none is beyond this.
    pub fn is_within(&self, most: f64) -> bool {
        [self.log_residual, self.low_miss, self.high_miss].into_iter().all(|number| number.abs() <= most)
    }
}

/// What prices of a model are corrected by, in millionths of natural logarithm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Level {
    /// Added to all three prices.
    pub shift: i64,
    /// Taken from the low end.
    pub low: i64,
    /// Added to the high end.
    pub high: i64,
}

type Group = (Country, Transaction, Currency);

/// Who closed. Seeds have numbers of their own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Who {
    Seed(usize),
    Listing(ListingId),
}

/// The closings of late, and the level of each model that is followed.
#[derive(Debug, Default)]
pub struct Levels {
    sold: FxHashMap<Group, Sold>,
    /// Where each listing's closing stands, so that a corrected one replaces it.
    places: FxHashMap<ListingId, (ListingVersion, Group, i32)>,
    /// In the order in which they were followed.
    models: Vec<OfModel>,
}

#[derive(Debug, Default)]
struct Sold {
    newest: Option<i32>,
    by_day: BTreeMap<(i32, ListingId), Closing>,
}

/// What is remembered of a closing.
#[derive(Debug)]
pub(crate) struct Closing {
    pub(crate) market: Market,
    pub(crate) price: Money,
    pub(crate) appraisals: Vec<SaleAppraisal>,
}

/// One model, and its errors.
#[derive(Debug)]
struct OfModel {
    name: ModelName,
    /// In days since 1970. What closed until then it may have been trained on: such a closing tells nothing of its errors.
    trained_through: i32,
    errors: FxHashMap<Group, Errors>,
}

/// How far off a model was about one closing, in millionths.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Error {
    market: Market,
    residual: i64,
    low_miss: i64,
    high_miss: i64,
}

/// The errors of one group. Each is in the sums of its places as long as its day is recent.
#[derive(Debug, Default)]
struct Errors {
    by_day: BTreeMap<(i32, Who), Error>,
    /// By country, state and market: the text of a market up to its first, second and third part.
    residuals: FxHashMap<String, Vec<i64>>,
    low_misses: Vec<i64>,
    high_misses: Vec<i64>,
}

impl Levels {
    /// Takes in one sale. Of two records of one version the later one counts, as compaction has it; an older version changes
    /// nothing.
    pub fn take(&mut self, sale: &Sale) {
        let group = (sale.market.country(), sale.transaction, sale.currency);
        let day = close_day(sale);
        self.advance(group, day);
        let id = &sale.listing_id;
        if let Some((version, old_group, old_day)) = self.places.get(id) {
            if *version > sale.version {
                return;
            }
            let (old_group, old_day) = (*old_group, *old_day);
            self.remove(old_group, old_day, id);
        }
        let closing =
            Closing { market: sale.market.clone(), price: sale.close_price, appraisals: sale.appraisals.clone() };
        let sold = self.sold.entry(group).or_default();
        let newest = *sold.newest.insert(sold.newest.map_or(day, |newest| newest.max(day)));
        if newest - day >= KEPT_DAYS {
            return;
        }
        for model in &mut self.models {
            model.take(group, newest, day, id, &closing);
        }
        sold.by_day.insert((day, id.clone()), closing);
        self.places.insert(id.clone(), (sale.version, group, day));
        if self.sold.get(&group).is_some_and(|sold| sold.by_day.len() > MAX_SALES) {
            self.remove_oldest(group);
        }
    }

    /// The levels of all other models are forgotten.
    pub fn follow_only(&mut self, models: &[ModelName]) {
        self.models.retain(|model| models.contains(&model.name));
    }

    /// From now on the level of this model is kept too, until [`Levels::follow_only`] leaves it out.
    pub fn follow(&mut self, manifest: &Manifest) {
        let name = manifest.model_name();
        self.models.retain(|model| model.name != name);
        let trained_through = days_since_1970(manifest.trained_through);
        let mut model = OfModel { name, trained_through, errors: FxHashMap::default() };
        for (number, sale) in manifest.level_seed.iter().enumerate() {
            for transaction in &manifest.transactions {
                let group = (sale.market.country(), *transaction, manifest.currency);
                let error = Error {
                    market: sale.market.clone(),
                    residual: millionths(sale.log_residual),
                    low_miss: millionths(sale.low_miss),
                    high_miss: millionths(sale.high_miss),
                };
                model.errors.entry(group).or_default().add(days_since_1970(sale.close_date), Who::Seed(number), error);
            }
        }
        for (group, sold) in &self.sold {
            let Some(newest) = sold.newest else { continue };
            for ((day, id), closing) in &sold.by_day {
                model.take(*group, newest, *day, id, closing);
            }
        }
        for (group, errors) in &mut model.errors {
            let known = self.sold.get(group).and_then(|sold| sold.newest);
            let seeded = errors.by_day.last_key_value().map(|(at, _)| at.0);
            if let Some(newest) = known.max(seeded) {
                errors.advance(newest);
            }
        }
        self.models.push(model);
    }

    /// The closings of the last 90 days, with their days.
    pub(crate) fn closings(&self) -> impl Iterator<Item = (i32, &Closing)> {
        self.sold.values().flat_map(|sold| sold.by_day.iter().map(|((day, _), closing)| (*day, closing)))
    }

    /// How a candidate compares with those who value in `order`.
    pub fn contest(&self, order: &[&Manifest], candidate: &Manifest) -> Contest {
        contest::compare(self.closings(), order, candidate)
    }

    /// What prices of this model are corrected by; nothing for a model that is not followed.
    pub fn of(&self, model: &ModelName, listing: &Listing) -> Level {
        let group = (listing.country, listing.transaction, listing.currency);
        let errors = self
            .models
            .iter()
            .find(|followed| followed.name == *model)
            .and_then(|followed| followed.errors.get(&group));
        errors.map_or_else(Level::default, |errors| errors.level(&listing.market))
    }

    /// Something closed on this day: what is too old for it leaves.
    fn advance(&mut self, group: Group, day: i32) {
        let sold = self.sold.entry(group).or_default();
        if sold.newest.is_some_and(|newest| newest >= day) {
            return;
        }
        sold.newest = Some(day);
        for errors in self.models.iter_mut().filter_map(|model| model.errors.get_mut(&group)) {
            errors.advance(day);
        }
        while let Some(sold) = self.sold.get(&group)
            && let Some((oldest, _)) = sold.by_day.first_key_value()
            && day - oldest.0 >= KEPT_DAYS
        {
            self.remove_oldest(group);
        }
    }

    fn remove_oldest(&mut self, group: Group) {
        let oldest = self.sold.get(&group).and_then(|sold| sold.by_day.first_key_value()).map(|(at, _)| at.clone());
        if let Some((day, id)) = oldest {
            self.remove(group, day, &id);
        }
    }

    fn remove(&mut self, group: Group, day: i32, id: &ListingId) {
        self.places.remove(id);
        if let Some(sold) = self.sold.get_mut(&group) {
            sold.by_day.remove(&(day, id.clone()));
        }
        let who = Who::Listing(id.clone());
        for errors in self.models.iter_mut().filter_map(|model| model.errors.get_mut(&group)) {
            errors.remove(&(day, who.clone()));
        }
    }
}

impl OfModel {
    fn take(&mut self, group: Group, newest: i32, day: i32, id: &ListingId, closing: &Closing) {
        if newest - day >= RECENT_DAYS || day <= self.trained_through {
            return;
        }
        let said = |said: &&SaleAppraisal| said.model == self.name.name && said.model_version == self.name.version;
        if let Some(appraisal) = closing.appraisals.iter().find(said) {
            let error = Error::of(closing, appraisal);
            let errors = self.errors.entry(group).or_default();
            errors.add(day, Who::Listing(id.clone()), error);
        }
    }
}

impl Error {
    fn of(closing: &Closing, appraisal: &SaleAppraisal) -> Self {
        let ln = |a: Money, b: Money| millionths((a.cents() as f64 / b.cents() as f64).ln());
        Self {
            market: closing.market.clone(),
            residual: ln(closing.price, appraisal.p50),
            low_miss: ln(appraisal.p10, closing.price),
            high_miss: ln(closing.price, appraisal.p90),
        }
    }
}

/// A factor of a million more would be no price, and a sum of so few cannot overflow.
fn millionths(ln: f64) -> i64 {
    (ln.clamp(-14.0, 14.0) * 1e6).round() as i64
}

impl Errors {
    fn add(&mut self, day: i32, who: Who, error: Error) {
        for area in areas(&error.market) {
            insert(self.residuals.entry(area.to_owned()).or_default(), error.residual);
        }
        insert(&mut self.low_misses, error.low_miss);
        insert(&mut self.high_misses, error.high_miss);
        self.by_day.insert((day, who), error);
    }

    fn remove(&mut self, at: &(i32, Who)) {
        let Some(error) = self.by_day.remove(at) else { return };
        for area in areas(&error.market) {
            if let Some(residuals) = self.residuals.get_mut(area) {
                remove(residuals, error.residual);
                if residuals.is_empty() {
                    self.residuals.remove(area);
                }
            }
        }
        remove(&mut self.low_misses, error.low_miss);
        remove(&mut self.high_misses, error.high_miss);
    }

    /// What is no longer recent on this day leaves.
    fn advance(&mut self, newest: i32) {
        // A seed of number 0 is before everything of its day.
        let old: Vec<_> =
            self.by_day.range(..(newest - RECENT_DAYS + 1, Who::Seed(0))).map(|(at, _)| at.clone()).collect();
        for at in old {
            self.remove(&at);
        }
    }

    fn level(&self, market: &Market) -> Level {
        let (mut shift, mut of_country) = (0, 0);
        for (wider, area) in areas(market).into_iter().enumerate() {
            let Some(residuals) = self.residuals.get(area) else { break };
            // As many as fit into memory.
            let count = residuals.len() as i64;
            if wider > 0 {
                shift = (count * median(residuals) + LEVEL_PULL * shift) / (count + LEVEL_PULL);
            } else if residuals.len() >= MIN_SALES {
                of_country = median(residuals);
                shift = of_country;
            }
        }
        Level { shift, low: offset(&self.low_misses, of_country), high: offset(&self.high_misses, -of_country) }
    }
}

/// The country, the state and the market itself.
fn areas(market: &Market) -> [&str; 3] {
    let text = market.as_str();
    // A market has three parts.
    let state = text.rfind('/').unwrap_or(text.len());
    [&text[..2], &text[..state], text]
}

fn insert(ascending: &mut Vec<i64>, value: i64) {
    let at = ascending.partition_point(|other| *other < value);
    ascending.insert(at, value);
}

fn remove(ascending: &mut Vec<i64>, value: i64) {
    if let Ok(at) = ascending.binary_search(&value) {
        ascending.remove(at);
    }
}

/// Of at least one number in ascending order.
fn median(ascending: &[i64]) -> i64 {
    i64::midpoint(ascending[(ascending.len() - 1) / 2], ascending[ascending.len() / 2])
}

/// How far an end of the interval is to move out so that it holds its share of the misses, each of them moved by the level:
/// the conformal quantile, drawn towards none.
fn offset(ascending: &[i64], moved: i64) -> i64 {
    if ascending.is_empty() {
        return 0;
    }
    let rank = ((ascending.len() + 1) * EACH_END_PERCENT).div_ceil(100).min(ascending.len());
    // As many as fit into memory.
    let count = ascending.len() as i64;
    (ascending[rank - 1] + moved) * count / (count + INTERVAL_PULL)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn model() -> ModelName {
        ModelName { name: "m".to_owned(), version: "1".to_owned() }
    }

    fn manifest(version: &str) -> Manifest {
        serde_json::from_value(serde_json::json!({
            "name": "m", "version": version, "sha256": "", "features": [], "required": [], "transactions": ["sale"],
            "currency": "USD", "trained_through": "2020-01-01", "golden": [],
        }))
        .unwrap()
    }

    /// A home of a market that closed at so many per cent of what the model said: 1,000, and 900 to 1,100.
    fn sale(key: u32, market: &str, day: i32, percent: i64, version: i64) -> Sale {
        serde_json::from_value(serde_json::json!({
            "listing_id": format!("f:{key}"), "market": market, "transaction": "sale", "currency": "USD",
            "version": {"timestamp_ms": version + 200 * 365 * 86_400_000, "raw_partition": 0, "raw_offset": 0, "batch_index": 0},
            "close_price": percent * 10,
            "close_date": jiff::civil::date(2020, 1, 1).saturating_add(jiff::Span::new().days(day)).to_string(),
            "appraisals": [{"model": "m", "model_version": "1", "p10": 900, "p50": 1000, "p90": 1100}],
        }))
        .unwrap()
    }

    fn followed(through: i32, seed: &[SeedSale]) -> Levels {
        let mut levels = Levels::default();
        follow(&mut levels, through, seed);
        levels
    }

    fn follow(levels: &mut Levels, through: i32, seed: &[SeedSale]) {
        let trained_through = jiff::civil::date(2020, 1, 1).saturating_add(jiff::Span::new().days(through));
        levels.follow(&Manifest { trained_through, level_seed: seed.to_vec(), ..manifest("1") });
    }

    fn of(levels: &Levels, market: &str) -> Level {
        let mut home = crate::testing::listing(1, "Active", 100);
        home.market = market.parse().unwrap();
        levels.of(&model(), &home)
    }

    fn ln(percent: f64) -> i64 {
        millionths((percent / 100.0).ln())
    }

    const SEATTLE: &str = "us/wa/seattle";

    #[test]
    fn the_median_error_of_enough_sales_is_the_level_of_the_country() {
        let mut levels = followed(-1, &[]);
        for key in 0..19 {
            levels.take(&sale(key, SEATTLE, 0, 105 + i64::from(key % 3), 1));
        }
        assert_eq!(of(&levels, "us/tx/austin").shift, 0);
        levels.take(&sale(19, SEATTLE, 0, 106, 1));
        assert_eq!(of(&levels, "us/tx/austin").shift, ln(106.0));
        assert_eq!(of(&levels, SEATTLE).shift, ln(106.0), "all agree");
        let other = ModelName { version: "2".to_owned(), ..model() };
        assert_eq!(levels.of(&other, &crate::testing::listing(1, "Active", 100)), Level::default());
    }

    #[test]
    fn few_sales_of_a_market_are_drawn_to_its_state_and_country() {
        let mut levels = followed(-1, &[]);
        (0..40).for_each(|key| levels.take(&sale(key, "us/tx/austin", 0, 100, 1)));
        (40..50).for_each(|key| levels.take(&sale(key, "us/wa/spokane", 0, 110, 1)));
        let state = (10 * ln(110.0)) / 30;
        assert_eq!(of(&levels, "us/wa/tacoma").shift, state);
        assert_eq!(of(&levels, "us/wa/spokane").shift, (10 * ln(110.0) + 20 * state) / 30);
        assert_eq!(of(&levels, "us/tx/dallas").shift, 0);
    }

    #[test]
    fn the_interval_moves_to_where_it_holds_its_share_step_by_step() {
        let mut levels = followed(-1, &[]);
        // Nine tenths close at what was said, and one in ten far below: the low end misses by ln(900/500).
        (0..100).for_each(|key| levels.take(&sale(key, SEATTLE, 0, if key % 10 == 0 { 50 } else { 100 }, 1)));
        let level = of(&levels, SEATTLE);
        let miss = millionths((900_f64 / 500.0).ln());
        let inside = [millionths(0.9_f64.ln()), millionths((1_000_f64 / 1_100.0).ln())];
        assert_eq!((level.shift, level.low, level.high), (0, miss * 100 / 300, inside[1] * 100 / 300));
        let mut better = followed(-1, &[]);
        (0..100).for_each(|key| better.take(&sale(key, SEATTLE, 0, if key % 11 == 0 { 50 } else { 100 }, 1)));
        assert_eq!(of(&better, SEATTLE).low, miss * 100 / 300, "the rank is of one more than there are");
        (0..30).for_each(|key| better.take(&sale(key, SEATTLE, 0, 100, 2)));
        assert_eq!(of(&better, SEATTLE).low, inside[0] * 100 / 300);
    }

    #[test]
    fn the_interval_is_judged_at_the_level() {
        let mut levels = followed(-1, &[]);
        (0..100).for_each(|key| levels.take(&sale(key, SEATTLE, 0, 120, 1)));
        let level = of(&levels, SEATTLE);
        let expected = |ends: f64| (millionths(ends.ln()) * 100) / 300;
        // Moved by the level, what is said is met, and both ends may come in.
        assert!((level.low - expected(0.9)).abs() <= 1 && (level.high - expected(1.0 / 1.1)).abs() <= 1, "{level:?}");
    }

    #[test]
    fn what_was_trained_on_and_what_is_old_tells_nothing() {
        let mut levels = followed(0, &[]);
        (0..30).for_each(|key| levels.take(&sale(key, SEATTLE, 0, 110, 1)));
        assert_eq!(of(&levels, SEATTLE), Level::default(), "the model has seen them");
        (0..30).for_each(|key| levels.take(&sale(key, SEATTLE, 1, 110, 2)));
        assert_eq!(of(&levels, SEATTLE).shift, ln(110.0));
        levels.take(&sale(50, SEATTLE, RECENT_DAYS, 100, 1));
        assert_eq!(of(&levels, SEATTLE).shift, ln(110.0));
        levels.take(&sale(51, SEATTLE, RECENT_DAYS + 1, 100, 1));
        assert_eq!(of(&levels, SEATTLE).shift, 0);
        levels.take(&sale(52, SEATTLE, KEPT_DAYS + RECENT_DAYS + 2, 100, 1));
        assert_eq!((levels.places.len(), levels.sold.values().next().unwrap().by_day.len()), (1, 1));
    }

    #[test]
    fn a_corrected_sale_counts_in_the_place_of_the_first() {
        let mut levels = followed(-1, &[]);
        (0..20).for_each(|key| levels.take(&sale(key, SEATTLE, 0, 110, 5)));
        (0..20).for_each(|key| levels.take(&sale(key, SEATTLE, 0, 90, 4)));
        assert_eq!(of(&levels, SEATTLE).shift, ln(110.0));
        (0..20).for_each(|key| levels.take(&sale(key, SEATTLE, 3, 105, 5)));
        assert_eq!(of(&levels, SEATTLE).shift, ln(105.0), "of one version the later record");
        assert_eq!(levels.models[0].errors.values().next().unwrap().low_misses.len(), 20);
    }

    #[test]
    fn a_model_that_takes_over_starts_with_what_is_remembered_and_with_its_seed() {
        let mut levels = Levels::default();
        (0..20).for_each(|key| levels.take(&sale(key, SEATTLE, 30, 110, 1)));
        follow(&mut levels, -1, &[]);
        assert_eq!(of(&levels, SEATTLE).shift, ln(110.0));

        let seed = |day: i8| SeedSale {
            market: SEATTLE.parse().unwrap(),
            close_date: jiff::civil::date(2020, 1, day),
            log_residual: 1.2_f64.ln(),
            low_miss: -0.1,
            high_miss: -0.1,
        };
        let seeds: Vec<_> = (0..60).map(|_| seed(20)).collect();
        follow(&mut levels, 40, &seeds);
        assert_eq!(of(&levels, SEATTLE).shift, ln(120.0), "the seed counts, what was trained on does not");
        assert_eq!(levels.models.len(), 1);
        let old: Vec<_> = (0..60).map(|_| seed(1)).collect();
        follow(&mut levels, 40, &old);
        assert_eq!(of(&levels, SEATTLE).shift, 0, "the seed is older than what is recent");
        let mut fresh = followed(40, &seeds);
        assert_eq!(of(&fresh, SEATTLE).shift, ln(120.0));
        fresh.take(&sale(1, SEATTLE, 19 + RECENT_DAYS, 100, 1));
        assert_eq!(of(&fresh, SEATTLE).shift, 0);
    }

    #[test]
    fn who_is_left_out_is_forgotten_and_nobody_else() {
        let mut levels = Levels::default();
        for version in 0..30 {
            levels.follow(&manifest(&version.to_string()));
        }
        let named = |version: &str| ModelName { name: "m".to_owned(), version: version.to_owned() };
        levels.follow_only(&[named("0"), named("29"), named("77")]);
        let versions: Vec<_> = levels.models.iter().map(|model| model.name.version.as_str()).collect();
        assert_eq!(versions, ["0", "29"]);
    }

    proptest! {
        #[test]
        fn the_level_does_not_depend_on_the_order_nor_on_when_the_model_is_followed(
            sales in prop::collection::vec((0_u32..40, 0_i32..200, 60_i64..160, 1_i64..1000), 1..150), seed in any::<u64>()
        ) {
            let market = |key: u32| ["us/wa/seattle", "us/wa/tacoma", "us/tx/austin", "us/tx/dallas"][key as usize % 4];
            let mut in_log: Vec<_> = sales.into_iter().map(|(k, d, p, v)| sale(k, market(k), d, p, v)).collect();
            let mut versions = BTreeMap::new();
            in_log.retain(|sale| {
                let newest = versions.entry(sale.listing_id.clone()).or_insert(sale.version);
                let rises = sale.version >= *newest;
                *newest = sale.version.max(*newest);
                rises
            });
            let mut a = followed(20, &[]);
            in_log.iter().for_each(|sale| a.take(sale));

            let mut waiting: Vec<Vec<Sale>> = vec![Vec::new(); 40];
            for sale in in_log.iter().rev() {
                let key: usize = sale.listing_id.as_str()[2..].parse().unwrap();
                waiting[key].push(sale.clone());
            }
            let mut b = Levels::default();
            let (mut taken, mut state) = (0, seed | 1);
            while taken < in_log.len() {
                state ^= state << 13; state ^= state >> 7; state ^= state << 17;
                if let Some(next) = waiting[(state % 40) as usize].pop() {
                    b.take(&next);
                    taken += 1;
                }
            }
            follow(&mut b, 20, &[]);
            for key in 0..4 {
                prop_assert_eq!(of(&a, market(key)), of(&b, market(key)));
            }
        }
    }
}
