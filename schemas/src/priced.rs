//! The fact that everything downstream derives from: a canonical listing with its history, valuation and deal.
//! Value of topic `listings.priced`. How two facts of one listing merge is `merge.rs`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::listing::Listing;
use crate::money::Money;
use crate::units::Instant;
use crate::version::ListingVersion;
use crate::vocabulary::{ChangeType, StandardStatus};

/// Most points of a listing's history; the newest stay (DESIGN §3).
pub const MAX_HISTORY: usize = 64;
/// How many of a listing's last deal scores are remembered (DESIGN §5).
pub const MAX_DEAL_SCORES: usize = 5;

/// One price and status that a listing had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HistoryPoint {
    /// The statement that said so.
    pub version: ListingVersion,
    /// RESO `StandardStatus` from then on.
    pub standard_status: StandardStatus,
    /// RESO `ListPrice` from then on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub list_price: Option<Money>,
    /// RESO `ClosePrice`, when closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub close_price: Option<Money>,
}

/// Minutes to the city centre.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Commute {
    /// Minutes.
    pub minutes: u16,
    /// Whether roost estimated it from the distance.
    pub estimated: bool,
}

/// What a home sells for, in whole currency units.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Prices {
    /// A tenth of such homes sell for less.
    pub p10: Money,
    /// Half of such homes sell for less.
    pub p50: Money,
    /// A tenth of such homes sell for more.
    pub p90: Money,
}

/// What a model says a listing is worth, in whole currency units.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Valuation {
    /// A tenth of such homes sell for less.
    pub p10: Money,
    /// Half of such homes sell for less.
    pub p50: Money,
    /// A tenth of such homes sell for more.
    pub p90: Money,
    /// Name of the model.
    pub model: String,
    /// Version of the model.
    pub model_version: String,
    /// What the level of the market's recent closings multiplied the model's own prices by, in parts per million.
    #[serde(default = "unchanged", skip_serializing_if = "is_unchanged")]
    pub level_ppm: u32,
    /// How far topic `sales` had been read: the next offset of each partition. Empty where no sales are followed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sales_read: Vec<u64>,
}

impl Valuation {
    /// The prices alone.
    pub const fn prices(&self) -> Prices {
        Prices { p10: self.p10, p50: self.p50, p90: self.p90 }
    }

    /// The same without how far the sales had been read.
    #[must_use]
    pub fn without_sales_read(mut self) -> Self {
        self.sales_read.clear();
        self
    }
}

/// The level that changes nothing.
pub const UNCHANGED_PPM: u32 = 1_000_000;

const fn unchanged() -> u32 {
    UNCHANGED_PPM
}
const fn is_unchanged(level_ppm: &u32) -> bool {
    *level_ppm == UNCHANGED_PPM
}

/// Why a listing has no valuation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NoValuation {
    /// The model does not cover the market, the transaction or the currency.
    MarketNotCovered,
    /// A feature that the model requires is absent.
    MissingFeatures,
    /// RESO `InternetAutomatedValuationDisplayYN` is false.
    SellerOptedOut,
    /// The model gave a number that is none, negative or beyond all prices.
    BadPrediction,
    /// The listing is not offered (sold, deleted, …) and had none before.
    NotOffered,
}

/// How good the price is: 0 to 100, with all its parts (DESIGN §5).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Deal {
    /// The sum of the parts, clamped to 0..=100.
    pub score: u8,
    /// From the gap between valuation and price in units of the interval: 50 when equal.
    pub valuation_gap: i16,
    /// +5 falling, −5 rising, 0 stable.
    pub price_trend: i16,
    /// (reliability of the feed − 0.8) × 10, rounded.
    pub source_reliability: i16,
    /// +3, +5, +7, +10 above 10, 20, 30, 50 % below the original price.
    pub discount: i16,
    /// Against the market's recent sales per sqft: +10 below 80 %, +5 below 90 %, −5 above 110 %.
    pub competitiveness: i16,
    /// The score lies outside mean ± 2 standard deviations of the listing's own last five.
    pub anomaly: bool,
}

/// A deal score that the listing had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PastDeal {
    /// The content that had it.
    pub version: ListingVersion,
    /// 0..=100.
    pub score: u8,
}

/// Which way the price moved last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PriceTrend {
    /// The last price change was a cut.
    Falling,
    /// Never changed, or unknown.
    Stable,
    /// The last price change was a rise.
    Rising,
}

/// One fact about one listing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PricedListing {
    /// What the feed says, by its newest statement.
    pub listing: Listing,
    /// The statement that last changed the content.
    pub content_version: ListingVersion,
    /// The time of the newest statement, which may only confirm the content.
    pub last_confirmed_at: Instant,
    /// Prices and statuses, ascending by version, at most [`MAX_HISTORY`]; a point only where price or status changed
    /// or a statement came late.
    pub history: Vec<HistoryPoint>,
    /// The newest `Delete`: statements that are not newer than it no longer count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted_version: Option<ListingVersion>,
    /// When roost's feeds first showed it.
    pub first_seen_at: Instant,
    /// The first price known: the feed's `OriginalListPrice`, else the oldest price seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub original_list_price: Option<Money>,
    /// The price before the last price change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_list_price: Option<Money>,
    /// When the price last changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price_changed_at: Option<Instant>,
    /// What changed last.
    pub last_change: ChangeType,
    /// Minutes to the city centre, the feed's or estimated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commute: Option<Commute>,
    /// School rating: the feed's, or of the operator's file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub school_rating: Option<crate::units::SchoolRating>,
    /// The valuation.
    #[serde(default)]
    pub valuation: Option<Valuation>,
    /// Why there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_valuation: Option<NoValuation>,
    /// The deal; needs a valuation and a price.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deal: Option<Deal>,
    /// The newest deal scores, ascending by version, at most [`MAX_DEAL_SCORES`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub past_deals: Vec<PastDeal>,
}

impl PricedListing {
    /// Which way the price moved last.
    pub fn price_trend(&self) -> PriceTrend {
        match (self.previous_list_price, self.listing.list_price) {
            (Some(before), Some(now)) if now < before => PriceTrend::Falling,
            (Some(before), Some(now)) if now > before => PriceTrend::Rising,
            _ => PriceTrend::Stable,
        }
    }
}
