//! From the numbers of a model to what a fact says: whether a listing is valued at all, and at what whole amounts.
//!
//! Pure. Runs no model (`onnx.rs` does).

use schemas::listing::Listing;
use schemas::money::Money;
use schemas::priced::{NoValuation, Valuation};

use crate::onnx::Prices;
use crate::registry::Manifest;

/// Why a listing is not even shown to the model.
pub fn refusal(listing: &Listing, manifest: &Manifest) -> Option<NoValuation> {
    if !listing.standard_status.may_be_shown() {
        Some(NoValuation::NotOffered)
    } else if !listing.valuation_allowed {
        Some(NoValuation::SellerOptedOut)
    } else if !manifest.covers(listing) {
        Some(NoValuation::MarketNotCovered)
    } else {
        None
    }
}

/// Whole currency units, in ascending order: quantiles that a model fits one by one can cross by a little, and sorting
/// them is the usual remedy (Chernozhukov et al., "Quantile and Probability Curves Without Crossing", 2010).
///
/// Rounding hides the last bits in which two processors differ.
pub fn quantised(prices: Prices, manifest: &Manifest) -> Result<Valuation, NoValuation> {
    let mut money = [Money::default(); 3];
    for (amount, price) in money.iter_mut().zip(prices) {
        *amount = whole_units(price).ok_or(NoValuation::BadPrediction)?;
    }
    money.sort_unstable();
    let [p10, p50, p90] = money;
    Ok(Valuation { p10, p50, p90, model: manifest.name.clone(), model_version: manifest.version.clone() })
}

/// `None` for what is no price: not finite, less than one unit, or beyond all amounts.
fn whole_units(price: f32) -> Option<Money> {
    let rounded = f64::from(price).round();
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
            assert_eq!(quantised([100.0, bad, 300.0], &manifest), Err(NoValuation::BadPrediction), "{bad}");
        }
    }

    #[test]
    fn good_numbers_are_rounded_to_whole_units_and_put_in_order() {
        let manifest = package("tiny", "1").manifest;
        let valuation = quantised([200.5, 199.4, 300.49], &manifest).unwrap();
        assert_eq!([valuation.p10, valuation.p50, valuation.p90].map(Money::units), [199, 201, 300]);
        assert_eq!((valuation.model.as_str(), valuation.model_version.as_str()), ("tiny", "1"));
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

        let mut rent = listing(1, "Active", 100);
        rent.transaction = schemas::vocabulary::Transaction::Lease;
        assert_eq!(refusal(&rent, &manifest), Some(NoValuation::MarketNotCovered));
        let mut abroad = listing(1, "Active", 100);
        abroad.country = "mx".parse().unwrap();
        assert_eq!(refusal(&abroad, &manifest), Some(NoValuation::MarketNotCovered));
    }
}
