//! What the API needs of the appraiser: to value a home on demand. `roost` fills it with the enricher's model.

use schemars::JsonSchema;
use schemas::accuracy::Accuracy;
use schemas::listing::Listing;
use schemas::priced::{Deal, Valuation};
use serde::Serialize;

/// A home valued.
#[derive(Clone, Debug, PartialEq)]
pub struct Appraisal {
    /// What it is worth.
    pub valuation: Valuation,
    /// How good its price is, if it has one.
    pub deal: Option<Deal>,
    /// Features whose values the model saw none like in training, as its manifest names them.
    pub out_of_range: Vec<String>,
}

/// Why a home is not valued, by what the client can do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAppraised {
    /// Nothing now: there is no model, or it gave no usable number.
    #[error("{0}")]
    ModelUnavailable(String),
    /// Say more: these features are required and absent, in RESO's words where RESO has one.
    #[error("the model needs {}", .0.join(", "))]
    FeaturesMissing(Vec<String>),
    /// Nothing at all: the model was not made for such homes.
    #[error("the model does not cover this market, transaction or currency")]
    MarketNotCovered,
}

/// The model that values, and how good it is.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct ModelInfo {
    /// Its name.
    pub model: String,
    /// Its version.
    pub model_version: String,
    /// How often another model took over: valuations of a lower epoch are made again.
    pub epoch: u64,
    /// What it says of itself: features, the places that it covers, how good it was on sales that it was not trained on. Without its
    /// test rows.
    pub manifest: serde_json::Map<String, serde_json::Value>,
    /// How good valuations were, by the sales of the last 90 days, by model: one that was replaced stays until they have passed.
    pub accuracy: Vec<Accuracy>,
}

/// Values homes. Called on a thread that may block, by at most as many threads as the config says.
pub trait Appraiser: Send + Sync {
    /// Values one home as a feed would describe it. A pure function of the listing, the model and the sales known.
    fn appraise(&self, listing: &Listing) -> Result<Appraisal, NotAppraised>;

    /// The model that values now. Sorts the sales of the last 90 days: some 10 ms for 50,000.
    fn model(&self) -> ModelInfo;
}
