//! The API's view of the appraiser: a home is valued on a thread of the enricher's model, and the request waits for it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use enricher::admission::{Appraisal, Decision, admit};
use enricher::appraiser::Models;
use enricher::deal::Reliability;
use enricher::features::missing_members;
use enricher::registry::Manifest;
use enricher::{Appraiser, Explained, NotNow};
use schemas::listing::Listing;
use schemas::priced::{NoValuation, Valuation};

/// Longest time a valuation may take: a row takes well under a millisecond, a full queue some seconds.
const PATIENCE: Duration = Duration::from_secs(5);

/// Members of a manifest that are for loading the model, not for reading.
const NOT_SHOWN: [&str; 2] = ["golden", "level_seed"];

/// The largest member of a manifest that is shown: what its maker wrote down besides has no bound of its own.
const MAX_SHOWN_BYTES: usize = 256 * 1024;

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

const fn unavailable(reason: String) -> api::NotAppraised {
    api::NotAppraised::ModelUnavailable(reason)
}

/// Hands a job to the appraiser and waits for its answer.
fn waited<T: Send + 'static>(
    ask: impl FnOnce(Box<dyn FnOnce(T) + Send>) -> Result<(), NotNow>,
) -> Result<T, api::NotAppraised> {
    let (answer, answered) = mpsc::sync_channel(1);
    let give = move |outcome| {
        // A request that gave up needs no answer.
        let _ = answer.send(outcome);
    };
    ask(Box::new(give)).map_err(|error| match error {
        NotNow::Busy | NotNow::NotReady(_) => unavailable(error.to_string()),
    })?;
    answered.recv_timeout(PATIENCE).map_err(|_| unavailable("the model did not answer in time".to_owned()))
}

fn told(explained: &Explained, valuation: &Valuation) -> api::Explanation {
    let told = explained.explanation.told(valuation.p50.units());
    let contribution = |(column, factor, amount): (usize, f64, i64)| api::Contribution {
        feature: explained.features.get(column).cloned().unwrap_or_default(),
        value: explained.row.get(column).copied().filter(|value| value.is_finite()),
        // Six digits are more than the model knows.
        factor: (factor * 1e6).round() / 1e6,
        amount,
    };
    api::Explanation {
        base_price: told.base,
        features: told.features.into_iter().map(contribution).collect(),
        market_level: told.level,
    }
}

impl Bridge {
    /// What the fact of such a home would say.
    fn settled(&self, listing: &Listing, appraisal: Appraisal) -> Result<api::Appraisal, api::NotAppraised> {
        // A home that nobody has heard of, as the enricher would take it.
        let Decision::Appraise(draft) = admit(None, listing.clone()).decision else {
            return Err(api::NotAppraised::MarketNotCovered);
        };
        let out_of_range = appraisal.out_of_range.clone();
        let fact = draft.settle(appraisal, &self.reliability);
        match (fact.valuation, fact.no_valuation) {
            (Some(valuation), _) => Ok(api::Appraisal { valuation, deal: fact.deal, out_of_range }),
            (None, Some(NoValuation::MissingFeatures)) => {
                let required = self.appraiser.required(listing);
                Err(api::NotAppraised::FeaturesMissing(missing_members(&required, listing)))
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

impl api::Appraiser for Bridge {
    fn appraise(&self, listing: &Listing) -> Result<api::Appraisal, api::NotAppraised> {
        let appraisal = waited(|answer| self.appraiser.value(listing.clone(), answer))?;
        self.settled(listing, appraisal)
    }

    fn explain(&self, listing: &Listing) -> Result<(api::Appraisal, api::Explanation), api::NotAppraised> {
        let (appraisal, explained) = waited(|answer| self.appraiser.explain(listing.clone(), answer))?;
        let appraisal = self.settled(listing, appraisal)?;
        // Settled above: it has a price.
        let explained = explained.ok_or_else(|| unavailable("the model gave no usable number".to_owned()))?;
        let explained = explained.map_err(|why| unavailable(format!("the price is not explained: {why}")))?;
        let explanation = told(&explained, &appraisal.valuation);
        Ok((appraisal, explanation))
    }

    fn attributes(&self) -> BTreeSet<String> {
        self.appraiser.attributes()
    }

    fn model(&self) -> api::ModelInfo {
        let Models { epoch, order, candidate, trial_percent } = self.appraiser.models();
        let mut shown = order.iter().map(shown);
        // An order has at least one model.
        let (model, model_version, manifest) = shown.next().unwrap_or_default();
        let fallbacks = shown.map(|(_, _, manifest)| manifest).collect();
        let candidate = candidate.as_ref().map(self::shown).map(|(model, model_version, manifest)| api::Candidate {
            model,
            model_version,
            manifest,
            trial_percent,
            contest: self.appraiser.contest(),
        });
        let accuracy = self.appraiser.accuracy();
        api::ModelInfo { model, model_version, epoch, manifest, fallbacks, candidate, accuracy }
    }
}

fn size_of_shown(value: &serde_json::Value) -> usize {
    // Texts, numbers and lists are writable.
    serde_json::to_vec(value).map_or(usize::MAX, |text| text.len())
}

/// Name, version, and what is for reading.
fn shown(manifest: &Manifest) -> (String, String, api::Manifest) {
    let mut members = match serde_json::to_value(manifest) {
        Ok(serde_json::Value::Object(members)) => members,
        // A manifest is a struct of texts and numbers.
        Ok(_) | Err(_) => serde_json::Map::new(),
    };
    members.retain(|name, value| !NOT_SHOWN.contains(&name.as_str()) && size_of_shown(value) <= MAX_SHOWN_BYTES);
    (manifest.name.clone(), manifest.version.clone(), members)
}
