//! Facts and listings for the unit tests of this crate.

use schemas::listing::Listing;
use schemas::money::Money;
use schemas::priced::{NoValuation, PricedListing, UNCHANGED_PPM, Valuation};
use schemas::version::ListingVersion;

use crate::admission::{Appraisal, Decision, admit};
use crate::deal::Reliability;

pub(crate) fn version(n: i64) -> ListingVersion {
    ListingVersion { timestamp_ms: n * 1000, ..ListingVersion::default() }
}

/// A statement of version `n` about listing `f:1`.
pub(crate) fn listing(n: i64, status: &str, price: i64) -> Listing {
    serde_json::from_value(serde_json::json!({
        "listing_id": "f:1", "version": version(n), "feed": "f", "standard_status": status, "property_type": "Residential",
        "transaction": "sale", "market": "us/wa/seattle", "country": "us", "currency": "USD",
        "list_price": Money::from_units(price),
    }))
    .unwrap()
}

/// What an appraiser says that values everything at the same.
pub(crate) fn appraisal(p50: i64) -> Appraisal {
    let money = |units| Money::from_units(units).unwrap();
    let valuation = Valuation {
        p10: money(p50 * 8 / 10),
        p50: money(p50),
        p90: money(p50 * 12 / 10),
        model: "m".to_owned(),
        model_version: "1".to_owned(),
        level_ppm: UNCHANGED_PPM,
        sales_read: Vec::new(),
    };
    Appraisal { commute: None, school_rating: None, level: None, valuation: Ok(valuation), model_epoch: 0 }
}

/// What the appraiser says of a listing: nothing when it is not offered.
pub(crate) fn appraisal_of(listing: &Listing, p50: i64) -> Appraisal {
    let mut appraisal = appraisal(p50);
    if !listing.standard_status.may_be_shown() {
        appraisal.valuation = Err(NoValuation::NotOffered);
    }
    appraisal
}

pub(crate) fn reliability() -> Reliability {
    Reliability::of_shares(&std::collections::BTreeMap::new()).unwrap()
}

/// The fact that a first statement makes.
pub(crate) fn fact(n: i64, status: &str, price: i64) -> PricedListing {
    match admit(None, listing(n, status, price)).decision {
        Decision::Appraise(draft) => {
            let appraisal = appraisal_of(draft.listing(), 1_000);
            draft.settle(appraisal, &reliability())
        }
        decision => panic!("{decision:?}"),
    }
}
