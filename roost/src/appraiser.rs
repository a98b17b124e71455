//! The API's view of the appraiser: a home is valued on a thread of the enricher's model, and the request waits for it.

use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use enricher::admission::{Decision, admit};
use enricher::deal::Reliability;
use enricher::{Appraiser, NotNow};
use schemas::listing::Listing;
use schemas::priced::NoValuation;

/// Longest time a valuation may take: a row takes well under a millisecond, a full queue some seconds.
const PATIENCE: Duration = Duration::from_secs(5);

/// The bridge.
struct Bridge {
    appraiser: Appraiser,
    reliability: Reliability,
}

/// What the API asks. A wrong share in `enricher.source_reliability` is an error that names the feed.
pub fn bridge(appraiser: Appraiser, config: &enricher::Config) -> anyhow::Result<Arc<dyn api::Appraiser>> {
    let reliability = Reliability::of_shares(&config.source_reliability).map_err(anyhow::Error::msg)?;
    Ok(Arc::new(Bridge { appraiser, reliability }))
}

impl api::Appraiser for Bridge {
    fn appraise(&self, listing: &Listing) -> Result<api::Appraisal, api::NotAppraised> {
        let unavailable = |reason: String| api::NotAppraised::ModelUnavailable(reason);
        // A home that nobody has heard of, as the enricher would take it.
        let Decision::Appraise(draft) = admit(None, listing.clone()).decision else {
            return Err(api::NotAppraised::MarketNotCovered);
        };
        let (answer, answered) = mpsc::sync_channel(1);
        let give = move |appraisal| {
            // A request that gave up needs no answer.
            let _ = answer.send(appraisal);
        };
        self.appraiser.value(listing.clone(), give).map_err(|error| match error {
            NotNow::Busy | NotNow::NotReady(_) => unavailable(error.to_string()),
        })?;
        let appraisal = answered
            .recv_timeout(PATIENCE)
            .map_err(|_| unavailable("the model did not answer in time".to_owned()))?
            .map_err(|error| unavailable(error.to_string()))?;
        let fact = draft.settle(appraisal, &self.reliability);
        match (fact.valuation, fact.no_valuation) {
            (Some(valuation), _) => Ok(api::Appraisal { valuation, deal: fact.deal }),
            (None, Some(NoValuation::MissingFeatures)) => {
                Err(api::NotAppraised::FeaturesMissing(missing(&self.appraiser.manifest().required, listing)))
            }
            (None, Some(NoValuation::SellerOptedOut)) => {
                Err(unavailable("the seller opted out of valuations".to_owned()))
            }
            (None, Some(NoValuation::BadPrediction)) => Err(unavailable("the model gave no usable number".to_owned())),
            (None, Some(NoValuation::MarketNotCovered | NoValuation::NotOffered) | None) => {
                Err(api::NotAppraised::MarketNotCovered)
            }
        }
    }
}

/// The members, by their RESO names, that the model requires and the home lacks; a feature of another kind by its own name.
fn missing(required: &[String], listing: &Listing) -> Vec<String> {
    let member = |feature: &String| match feature.as_str() {
        "living_area_sqft" => ("LivingArea".to_owned(), listing.living_area_sqft.is_none()),
        "lot_size_sqft" => ("LotSizeArea".to_owned(), listing.lot_size_sqft.is_none()),
        "bedrooms_total" => ("BedroomsTotal".to_owned(), listing.bedrooms_total.is_none()),
        "bathrooms_total" => ("BathroomsTotalDecimal".to_owned(), listing.bathrooms_total.is_none()),
        "year_built" => ("YearBuilt".to_owned(), listing.year_built.is_none()),
        "latitude" => ("Latitude".to_owned(), listing.position.is_none()),
        "longitude" => ("Longitude".to_owned(), listing.position.is_none()),
        other => (other.to_owned(), true),
    };
    required.iter().map(member).filter(|(_, is_missing)| *is_missing).map(|(member, _)| member).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_home_lacks_is_named_as_its_body_names_it() {
        let listing: Listing = serde_json::from_value(serde_json::json!({
            "listing_id": "f:1", "version": {"timestamp_ms": 1, "raw_partition": 0, "raw_offset": 0, "batch_index": 0}, "feed": "f",
            "standard_status": "Active", "property_type": "Residential", "transaction": "sale", "market": "us/wa/seattle",
            "country": "us", "currency": "USD", "living_area_sqft": 900,
        }))
        .unwrap();
        let required = ["living_area_sqft", "bedrooms_total", "latitude", "ocean"].map(str::to_owned);
        assert_eq!(missing(&required, &listing), ["BedroomsTotal", "Latitude", "ocean"]);
    }
}
