//! One session's result: the cell `items`, and the event on topic `recommendations`.
//!
//! A pure function of the facts, so it is equal after any replay; its hash is the ETag.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::id::{ListingId, Market, SessionId};
use crate::money::{Currency, Money};
use crate::priced::{Deal, Valuation};
use crate::units::{Bathrooms, Instant};
use crate::version::ListingVersion;
use crate::vocabulary::{ChangeType, StandardStatus};

/// Points of one component of the score, in thousandths of the greatest score; the formula is `scorer/src/score.rs`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ComponentPoints {
    /// Name of the component: `affordability`, `place`, `space`, `commute`, `schools`, `amenities`, `value`, `momentum`.
    pub component: String,
    /// What the component gave, of `of`: the points of all components sum to the score, 0..=1000.
    pub points: u16,
    /// The most it could give under the session's profile.
    pub of: u16,
    /// A sentence.
    pub reason: String,
}

/// One of the three.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RecommendedItem {
    /// 1, 2 or 3.
    pub rank: u8,
    /// Which listing.
    pub listing_id: ListingId,
    /// Its content that was scored.
    pub content_version: ListingVersion,
    /// 0..=1000.
    pub score: u16,
    /// Where the score comes from, in the order of the table in DESIGN §6.
    pub components: Vec<ComponentPoints>,
    /// What changed last about the listing.
    pub last_change: ChangeType,
    /// When: the time of the statement that changed it.
    pub changed_at: Instant,
    /// Address if its display is allowed, else "N-bedroom home in CITY".
    pub title: String,
    /// Where.
    pub market: Market,
    /// RESO `StandardStatus`.
    pub standard_status: StandardStatus,
    /// RESO `ListPrice`.
    pub list_price: Money,
    /// Of the amounts.
    pub currency: Currency,
    /// The price before the last price change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_list_price: Option<Money>,
    /// RESO `LivingArea` in square feet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub living_area_sqft: Option<u32>,
    /// RESO `BedroomsTotal`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bedrooms_total: Option<u16>,
    /// Bathrooms in halves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bathrooms_total: Option<Bathrooms>,
    /// The valuation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valuation: Option<Valuation>,
    /// The deal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deal: Option<Deal>,
    /// A page about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listing_url: Option<String>,
    /// A picture of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub photo_url: Option<String>,
}

/// The cell `items`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Recommendation {
    /// The statement (offset in `preferences`) that this answers.
    pub preference_version: u64,
    /// The best first; 0 to 3.
    pub items: Vec<RecommendedItem>,
}

/// The cell `counts`: observed off the hot path, dated, outside equality and ETag.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Counts {
    /// Listings that pass every filter.
    pub matched_total: u64,
    /// When that was counted.
    pub counted_at: Instant,
    /// The filter without which most more listings would pass, and how many more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tightest_filter: Option<TightestFilter>,
}

/// The filter that removes most.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TightestFilter {
    /// The preference: `budget`, `min_bedrooms`, …
    pub filter: String,
    /// How many listings fail this filter alone.
    pub removes: u64,
}

/// Value of topic `recommendations`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RecommendationEvent {
    /// Whose.
    pub session_id: SessionId,
    /// Write timestamp of the row; consumers ignore smaller ones.
    pub write_timestamp: i64,
    /// Hash of the cell `items`, 16 hex digits; consumers ignore equal ones.
    pub items_hash: String,
    /// The cell.
    pub recommendation: Recommendation,
}

/// The hash of a cell `items` as written: ETag and event id. First 64 bits of SHA-256, 16 hex digits.
pub fn items_hash(cell: &str) -> String {
    use sha2::{Digest, Sha256};
    Sha256::digest(cell.as_bytes())[..8].iter().map(|b| format!("{b:02x}")).collect()
}
