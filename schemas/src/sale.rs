//! A closed sale with what comparables need. Value of topic `sales`; the greatest version wins.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::id::{ListingId, Market};
use crate::money::{Currency, Money};
use crate::priced::{Prices, Valuation};
use crate::units::{Bathrooms, Position};
use crate::version::ListingVersion;
use crate::vocabulary::{PropertySubType, Transaction};

/// What one model said of the home when the closing was stated, in whole currency units, before the level of the market
/// corrects it: how far off it was tells that level.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SaleAppraisal {
    /// Name of the model.
    pub model: String,
    /// Version of the model.
    pub model_version: String,
    /// A tenth of such homes sell for less.
    pub p10: Money,
    /// Half of such homes sell for less.
    pub p50: Money,
    /// A tenth of such homes sell for more.
    pub p90: Money,
    /// The same as it would have been shown then, corrected by the level of the market; absent in records from before it
    /// was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shown: Option<Prices>,
}

/// One closed sale or lease.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sale {
    /// What was sold.
    pub listing_id: ListingId,
    /// The statement that said so.
    pub version: ListingVersion,
    /// Where.
    pub market: Market,
    /// Sold or let.
    pub transaction: Transaction,
    /// Of the amounts.
    pub currency: Currency,
    /// RESO `ClosePrice`.
    pub close_price: Money,
    /// RESO `CloseDate`, else the day of the statement.
    #[schemars(with = "String", extend("format" = "date"))]
    pub close_date: jiff::civil::Date,
    /// The last price asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub list_price: Option<Money>,
    /// Where exactly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<Position>,
    /// RESO `LivingArea` in square feet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub living_area_sqft: Option<u32>,
    /// RESO `BedroomsTotal`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bedrooms_total: Option<u16>,
    /// Bathrooms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bathrooms_total: Option<Bathrooms>,
    /// RESO `PropertySubType`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub property_sub_type: Option<PropertySubType>,
    /// RESO `YearBuilt`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub year_built: Option<u16>,
    /// What the feed says of the home beyond these members as numbers, by the feed's names, in single precision: what a model may
    /// compare homes by. Nothing that tells of people.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, f32>,
    /// The valuation it had while it was offered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valuation: Option<Valuation>,
    /// What models said of it without knowing the price.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub appraisals: Vec<SaleAppraisal>,
}
