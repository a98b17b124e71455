//! What the API needs of the appraiser: to value a home on demand. `roost` fills it with the enricher's model.

use schemas::listing::Listing;
use schemas::priced::{Deal, Valuation};

/// A home valued.
#[derive(Clone, Debug, PartialEq)]
pub struct Appraisal {
    /// What it is worth.
    pub valuation: Valuation,
    /// How good its price is, if it has one.
    pub deal: Option<Deal>,
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

/// Values homes. Called on a thread that may block, by at most as many threads as the config says.
pub trait Appraiser: Send + Sync {
    /// Values one home as a feed would describe it. A pure function of the listing, the model and the sales known.
    fn appraise(&self, listing: &Listing) -> Result<Appraisal, NotAppraised>;
}
