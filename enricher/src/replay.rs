//! `roost model replay`: the past once more, as it was known at the time. Every sale is valued as if it were on offer on the
//! day of its closing, by the very code that serves, and comes to be known later, with what the model said of it.
//!
//! What benchmarks judge a model by. Judges nothing itself.

use schemas::listing::Listing;
use schemas::model_alias::ModelName;
use schemas::money::Money;
use schemas::priced::{NoValuation, Valuation};
use schemas::sale::SaleAppraisal;
use schemas::vocabulary::StandardStatus;

use crate::config::TreeOperator;
use crate::desk::Desk;
use crate::hindsight::{Known, Pending, day_of};
use crate::market::days_since_1970;
use crate::onnx::Runtime;
use crate::registry::{ModelError, Registry};
use crate::roster::{Loaded, Roster};
use crate::sales::sale_of;
use crate::schools::SchoolRatings;
use crate::surroundings::Surroundings;

/// A model, and what it knows at the day that the replay has come to.
pub struct Replay {
    roster: Roster,
    surroundings: Surroundings,
}

/// A sale, and what was said of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Replayed<'a> {
    /// The sale.
    pub sold: &'a Listing,
    /// What was paid.
    pub close_price: Money,
    /// What would have been shown on that day.
    pub valuation: Result<Valuation, NoValuation>,
    /// What the model says by itself.
    pub uncorrected: Option<SaleAppraisal>,
}

impl Replay {
    /// Loads and checks a model.
    pub fn open(registry: &Registry, runtime: &Runtime, model: &ModelName) -> Result<Self, ModelError> {
        let model = Loaded::read(registry, runtime, TreeOperator::Fast, 1, model)?;
        let surroundings = Surroundings::new(SchoolRatings::default(), true);
        surroundings.follow(&model.package.manifest);
        Ok(Self { roster: Roster::of(model), surroundings })
    }

    /// Goes through sales in the order of their days (`hindsight::in_order`) and hands each to `each`; those before `from` are
    /// only learnt from. A listing that is no sale is passed over.
    pub fn run<E>(
        &mut self,
        listings: &[Listing],
        known_after: u16,
        from: Option<jiff::civil::Date>,
        mut each: impl FnMut(Replayed<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let from = from.map(days_since_1970);
        let mut pending = Pending::new(Known::After(known_after));
        for day in listings.chunk_by(|a, b| day_of(a) == day_of(b)) {
            let today = day_of(&day[0]);
            pending.known_on(today).for_each(|sale| self.surroundings.take(&sale));
            let sold: Vec<_> = day.iter().filter_map(|home| Some((home, sale_of(home, None)?))).collect();
            let mut desk = Desk::at(&self.surroundings, &self.roster, 0);
            let homes: Vec<_> = sold.iter().map(|(home, _)| *home).collect();
            let uncorrected = desk.appraise_sold(&homes);
            let is_judged = from.is_none_or(|from| today >= from);
            let offered: Vec<_> = sold.iter().filter(|_| is_judged).map(|(home, _)| offered(home)).collect();
            let offered: Vec<_> = offered.iter().collect();
            let mut appraisals = desk.appraise_in_order(&offered).into_iter();
            for ((home, mut sale), said) in sold.into_iter().zip(uncorrected) {
                let uncorrected = said.first().cloned();
                sale.appraisals.extend(said);
                let close_price = sale.close_price;
                pending.add(sale);
                if let Some(appraisal) = appraisals.next() {
                    each(Replayed { sold: home, close_price, valuation: appraisal.valuation, uncorrected })?;
                }
            }
        }
        Ok(())
    }
}

/// A home that was sold, as it was offered: nothing tells what was paid.
fn offered(sold: &Listing) -> Listing {
    Listing { standard_status: StandardStatus::Active, close_price: None, close_date: None, ..sold.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::tests::{library, package};
    use crate::registry::ModelError;

    /// Sold for so many per cent of what the model `tiny/1` says of it.
    fn sold(key: u32, day: i64, percent: i64) -> Listing {
        let date = jiff::civil::date(2030, 1, 1).saturating_add(jiff::Span::new().days(day));
        serde_json::from_value(serde_json::json!({
            "listing_id": format!("f:{key}"), "feed": "f", "standard_status": "Closed", "property_type": "Residential",
            "version": {"timestamp_ms": 1_893_456_000_000_i64 + day * 86_400_000, "raw_partition": 0, "raw_offset": key, "batch_index": 0},
            "transaction": "sale", "market": "us/wa/seattle", "country": "us", "currency": "USD",
            "close_price": 2_500 * percent, "close_date": date.to_string(), "living_area_sqft": 1_000, "year_built": 2_000,
        }))
        .unwrap()
    }

    fn replay(
        listings: &[Listing],
        known_after: u16,
        from: Option<jiff::civil::Date>,
    ) -> Vec<(String, Valuation, i64)> {
        let runtime = Runtime::load(&library()).unwrap();
        let package = package("tiny", "1");
        let registry = Registry::new(package.file.parent().unwrap().join("../.."));
        let mut replay = Replay::open(&registry, &runtime, &package.manifest.model_name()).unwrap();
        let mut rows = Vec::new();
        replay
            .run(listings, known_after, from, |row| {
                let uncorrected = row.uncorrected.unwrap().p50.units();
                rows.push((row.sold.listing_id.to_string(), row.valuation.unwrap(), uncorrected));
                Ok::<_, ModelError>(())
            })
            .unwrap();
        rows
    }

    #[test]
    fn a_level_is_learnt_from_sales_that_were_known_and_from_none_later() {
        let listings: Vec<_> = (0..60).map(|key| sold(key, i64::from(key) / 2, 120)).collect();
        let rows = replay(&listings, 7, None);
        let p50 = rows[0].2;
        let corrected: Vec<_> = rows.iter().map(|(_, valuation, _)| valuation.level_ppm != 1_000_000).collect();
        // Day 0 is known on day 8; with twenty sales the country has a level, and all agree.
        assert_eq!(corrected.iter().position(|is| *is), Some(16));
        assert!(corrected[16..].iter().all(|is| *is));
        assert!(rows.iter().all(|row| row.2 == p50), "what the model says by itself does not move");
        assert_eq!((rows[0].1.p50.units(), rows[59].1.p50.units()), (250_000, 300_000));
    }

    #[test]
    fn rows_before_the_first_day_are_only_learnt_from() {
        let listings: Vec<_> = (0..60).map(|key| sold(key, i64::from(key) / 2, 120)).collect();
        let whole = replay(&listings, 7, None);
        let judged = replay(&listings, 7, Some(jiff::civil::date(2030, 1, 21)));
        assert_eq!(judged, whole[40..]);
    }

    #[test]
    fn what_was_paid_changes_nothing_that_is_said_before_it_is_known() {
        let listings: Vec<_> = (0..60).map(|key| sold(key, i64::from(key) / 2, 120)).collect();
        let mut dearer = listings.clone();
        for home in &mut dearer[30..] {
            home.close_price = Money::from_units(9_000_000);
        }
        let (a, b) = (replay(&listings, 7, None), replay(&dearer, 7, None));
        // Day 15 is known on day 23.
        assert_eq!(a[..46], b[..46]);
        assert_ne!(a[46..], b[46..]);
    }
}
