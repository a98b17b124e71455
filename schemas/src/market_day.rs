//! One observation of a market on one UTC day. Value of topic `market.days` and of table `market_days`; the greatest
//! version wins.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::id::Market;
use crate::money::{Currency, Money};
use crate::units::Instant;
use crate::vocabulary::Transaction;

/// The numbers of a market at one moment, over the listings on offer in its most frequent currency.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MarketNumbers {
    /// Of the amounts.
    pub currency: Currency,
    /// Listings whose status is `Active` and that may be displayed.
    pub active_listings: u64,
    /// Mean price, rounded down to cents.
    pub mean_list_price: Money,
    /// Median price (the lower of two).
    pub median_list_price: Money,
    /// Median price per square foot (the lower of two), of those that state an area.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub median_price_per_sqft: Option<Money>,
    /// Median days on market (the lower of two), of those that state a date.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub median_days_on_market: Option<u32>,
}

/// One observation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MarketDay {
    /// Where.
    pub market: Market,
    /// What for.
    pub transaction: Transaction,
    /// The UTC day.
    #[schemars(with = "String", extend("format" = "date"))]
    pub day: jiff::civil::Date,
    /// The write timestamp of its observer (epoch and sequence): the greatest wins.
    pub version: i64,
    /// When on that day.
    pub observed_at: Instant,
    /// What was seen; absent when nothing was on offer any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub numbers: Option<MarketNumbers>,
}
