//! What champion and candidate say of the same listing at the same moment: value of topic `valuations.shadow`, for whoever
//! compares models. Nothing of it reaches users.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::id::{ListingId, Market};
use crate::money::{Currency, Money};
use crate::priced::{NoValuation, Prices};
use crate::version::ListingVersion;
use crate::vocabulary::Transaction;

/// What one model says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Opinion {
    /// Name of the model.
    pub model: String,
    /// Its version.
    pub model_version: String,
    /// What the home is worth.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prices: Option<Prices>,
    /// Why nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_valuation: Option<NoValuation>,
}

/// Whose valuation the listing got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Arm {
    /// The champion's, or that of a model that it falls back to.
    Champion,
    /// The candidate's: the listing is on trial, and the candidate had something to say.
    Candidate,
}

/// Both opinions of one listing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Shadow {
    /// Of what.
    pub listing_id: ListingId,
    /// The statement that was valued, and the epoch of the models.
    pub version: ListingVersion,
    /// Where.
    pub market: Market,
    /// For sale or to let.
    pub transaction: Transaction,
    /// Of the amounts.
    pub currency: Currency,
    /// RESO `ListPrice`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub list_price: Option<Money>,
    /// What those who value for users say.
    pub champion: Opinion,
    /// What the candidate says.
    pub candidate: Opinion,
    /// Whose valuation the listing got.
    pub shown: Arm,
}
