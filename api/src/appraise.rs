//! What the API needs of the appraiser: to value a home on demand. `roost` fills it with the enricher's model.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use schemas::accuracy::{Accuracy, Contest};
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

/// What brought a price about: from the price of a home of which nothing is known, part by part, to its own.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Explanation {
    /// Of a home of which nothing is known, in currency units.
    pub base_price: i64,
    /// What each feature that did something added, the most first; by exact contributions of the trees (Shapley values).
    pub features: Vec<Contribution>,
    /// What the level of the market's recent closings added, in currency units. With it and the base all amounts sum to p50.
    pub market_level: i64,
}

/// What one feature did to a price.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Contribution {
    /// As the manifest names it.
    pub feature: String,
    /// What the model saw; absent when it was missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<f32>,
    /// What it multiplied the price by.
    pub factor: f64,
    /// What it added, in currency units, on top of the features before it.
    pub amount: i64,
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

/// What a model says of itself: features, the places that it covers, how good it was on sales that it was not trained on. Without its
/// test rows.
pub type Manifest = serde_json::Map<String, serde_json::Value>;

/// The models that value, and how good they are.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct ModelInfo {
    /// Name of the one that is asked first.
    pub model: String,
    /// Its version.
    pub model_version: String,
    /// How often others took over: valuations of a lower epoch are made again.
    pub epoch: u64,
    /// What it says of itself.
    pub manifest: Manifest,
    /// What those say of themselves that are asked, in this order, where it has nothing to say of a home.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fallbacks: Vec<Manifest>,
    /// The model that may become champion.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub candidate: Option<Candidate>,
    /// How good valuations were, by the sales of the last 90 days, by model: one that was replaced stays until they have passed.
    pub accuracy: Vec<Accuracy>,
}

/// A model that values the same homes, and how it compares.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Candidate {
    /// Its name.
    pub model: String,
    /// Its version.
    pub model_version: String,
    /// What it says of itself.
    pub manifest: Manifest,
    /// Share of the listings that it values for users, in per cent: chosen by a hash of their ids. Zero: in shadow.
    pub trial_percent: u8,
    /// How it compares with those who value, by sales of which both had said something.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contest: Option<Contest>,
}

/// Values homes. Called on a thread that may block, by at most as many threads as the config says.
pub trait Appraiser: Send + Sync {
    /// Values one home as a feed would describe it. A pure function of the listing, the model and the sales known.
    fn appraise(&self, listing: &Listing) -> Result<Appraisal, NotAppraised>;

    /// The same, and what brought the price about. Takes about a millisecond.
    fn explain(&self, listing: &Listing) -> Result<(Appraisal, Explanation), NotAppraised>;

    /// The members of a home that some model sees beyond those that roost reads of any listing: a county's `grade`.
    fn attributes(&self) -> BTreeSet<String>;

    /// The models that value now. Sorts the sales of the last 90 days: some 10 ms for 50,000.
    fn model(&self) -> ModelInfo;
}
