//! From the numbers of a model to what a fact says: whether a listing is valued at all, and at what whole amounts.
//!
//! Pure. Runs no model (`onnx.rs` does).

use schemas::listing::Listing;
use schemas::money::Money;
use schemas::priced::{NoValuation, Valuation};
use schemas::sale::SaleAppraisal;

use crate::level::Level;
use crate::onnx::Prices;
use crate::registry::Manifest;

/// Why a listing is not even shown to the model.
pub fn refusal(listing: &Listing, manifest: &Manifest) -> Option<NoValuation> {
    if listing.standard_status.may_be_shown() {
        refusal_of_home(listing, manifest)
    } else {
        Some(NoValuation::NotOffered)
    }
}

/// The same of a home that may have been sold.
pub fn refusal_of_home(listing: &Listing, manifest: &Manifest) -> Option<NoValuation> {
    if !listing.valuation_allowed {
        Some(NoValuation::SellerOptedOut)
    } else if !manifest.covers(listing) {
        Some(NoValuation::MarketNotCovered)
    } else {
        None
    }
}

/// Whole currency units, in ascending order: quantiles that a model fits one by one can cross by a little, and sorting
/// them is the usual remedy (Chernozhukov et al., "Quantile and Probability Curves Without Crossing", 2010). The level of the
/// market moves all three, its offsets the ends, neither beyond the middle.
///
/// Rounding hides the last bits in which two processors differ.
pub fn quantised(
    prices: Prices,
    level: Level,
    manifest: &Manifest,
    sales_read: &[u64],
) -> Result<Valuation, NoValuation> {
    let [p10, p50, p90] = whole(corrected(prices, level))?;
    Ok(Valuation {
        p10,
        p50,
        p90,
        model: manifest.name.clone(),
        model_version: manifest.version.clone(),
        // A level is within e^14, and a million times that is within reach of no more than a saturating cast.
        level_ppm: (factor(level.shift) * 1e6).round() as u32,
        sales_read: sales_read.to_vec(),
    })
}

/// What a model says by itself and as it would be shown, for the record of a sale.
pub fn sold_for(prices: Prices, level: Level, manifest: &Manifest) -> Option<SaleAppraisal> {
    let [p10, p50, p90] = whole(corrected(prices, Level::default())).ok()?;
    let shown = whole(corrected(prices, level)).ok().map(|[p10, p50, p90]| schemas::priced::Prices { p10, p50, p90 });
    let (model, model_version) = (manifest.name.clone(), manifest.version.clone());
    Some(SaleAppraisal { model, model_version, p10, p50, p90, shown })
}

/// e to the power of so many millionths.
fn factor(millionths: i64) -> f64 {
    (millionths as f64 / 1e6).exp()
}

fn corrected(prices: Prices, level: Level) -> [f64; 3] {
    let mut prices = prices.map(f64::from);
    // A NaN is found by `whole`, wherever it comes to stand.
    prices.sort_unstable_by(f64::total_cmp);
    let [p10, p50, p90] = prices;
    let middle = p50 * factor(level.shift);
    let (low, high) = (p10 * factor(level.shift - level.low), p90 * factor(level.shift + level.high));
    // `min` and `max` would leave a NaN out.
    [if low > middle { middle } else { low }, middle, if high < middle { middle } else { high }]
}

fn whole(prices: [f64; 3]) -> Result<[Money; 3], NoValuation> {
    let mut money = [Money::default(); 3];
    for (amount, price) in money.iter_mut().zip(prices) {
        *amount = whole_units(price).ok_or(NoValuation::BadPrediction)?;
    }
    Ok(money)
}

/// `None` for what is no price: not finite, less than one unit, or beyond all amounts.
fn whole_units(price: f64) -> Option<Money> {
    let rounded = price.round();
    // Between the bounds a double names every whole unit; a NaN is in no range.
    let units = (1.0..1e12).contains(&rounded).then_some(rounded as i64)?;
    Money::from_units(units)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::tests::package;
    use crate::testing::listing;

    #[test]
    fn bad_numbers_are_no_valuation() {
        let manifest = package("tiny", "1").manifest;
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.0, 0.4, -5.0, 1.1e12, f32::MAX] {
            assert_eq!(
                quantised([100.0, bad, 300.0], Level::default(), &manifest, &[]),
                Err(NoValuation::BadPrediction),
                "{bad}"
            );
        }
    }

    #[test]
    fn good_numbers_are_rounded_to_whole_units_and_put_in_order() {
        let manifest = package("tiny", "1").manifest;
        let valuation = quantised([200.5, 199.4, 300.49], Level::default(), &manifest, &[4, 0]).unwrap();
        assert_eq!([valuation.p10, valuation.p50, valuation.p90].map(Money::units), [199, 201, 300]);
        assert_eq!((valuation.model.as_str(), valuation.model_version.as_str()), ("tiny", "1"));
        assert_eq!((valuation.level_ppm, valuation.sales_read), (1_000_000, vec![4, 0]));
    }

    #[test]
    fn the_level_moves_all_prices_and_its_offsets_the_ends_but_not_beyond_the_middle() {
        let manifest = package("tiny", "1").manifest;
        let valued = |shift, low, high| {
            let valuation = quantised([90.0, 100.0, 110.0], Level { shift, low, high }, &manifest, &[]).unwrap();
            ([valuation.p10, valuation.p50, valuation.p90].map(Money::units), valuation.level_ppm)
        };
        let doubled = (2_f64.ln() * 1e6).round() as i64;
        assert_eq!(valued(doubled, 0, 0), ([180, 200, 220], 2_000_000));
        assert_eq!(valued(0, doubled, doubled), ([45, 100, 220], 1_000_000));
        assert_eq!(valued(0, -doubled, -doubled), ([100, 100, 100], 1_000_000));
        let level = Level { shift: doubled, low: 0, high: 0 };
        let said = sold_for([90.4, 110.0, 99.6], level, &manifest).unwrap();
        assert_eq!([said.p10, said.p50, said.p90].map(Money::units), [90, 100, 110]);
        assert_eq!(said.shown.map(|shown| [shown.p10, shown.p50, shown.p90].map(Money::units)), Some([181, 199, 220]));
        assert_eq!(sold_for([f32::NAN, 1.0, 1.0], Level::default(), &manifest), None);
    }

    #[test]
    fn a_listing_is_refused_for_the_first_reason_that_holds() {
        let manifest = package("tiny", "1").manifest;
        let mut home = listing(1, "Active", 100);
        assert_eq!(refusal(&home, &manifest), None);
        home.currency = "CAD".parse().unwrap();
        assert_eq!(refusal(&home, &manifest), Some(NoValuation::MarketNotCovered));
        home.valuation_allowed = false;
        assert_eq!(refusal(&home, &manifest), Some(NoValuation::SellerOptedOut));
        home.standard_status = schemas::vocabulary::StandardStatus::Pending;
        assert_eq!(refusal(&home, &manifest), Some(NoValuation::NotOffered));
        assert_eq!(refusal_of_home(&listing(1, "Closed", 100), &manifest), None);

        let mut rent = listing(1, "Active", 100);
        rent.transaction = schemas::vocabulary::Transaction::Lease;
        assert_eq!(refusal(&rent, &manifest), Some(NoValuation::MarketNotCovered));
        let mut abroad = listing(1, "Active", 100);
        abroad.country = "mx".parse().unwrap();
        assert_eq!(refusal(&abroad, &manifest), Some(NoValuation::MarketNotCovered));
    }
}
