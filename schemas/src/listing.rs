//! The canonical listing: what ingest makes of any feed's record. Value of topic `listings`.
//!
//! RESO terms in snake_case, units in the names. Holds what the feed said and nothing that roost derived,
//! except ids, market and transaction.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::amenities::AmenitySet;
use crate::id::{Country, FeedName, ListingId, Market};
use crate::money::{Currency, Money};
use crate::units::{Bathrooms, Instant, Position, SchoolRating};
use crate::version::ListingVersion;
use crate::vocabulary::{PropertySubType, PropertyType, StandardStatus, Transaction};

/// Most members that a listing carries without roost knowing them (DESIGN §2).
pub const MAX_ATTRIBUTES: usize = 64;
/// Most bytes of JSON that those members take together (DESIGN §2).
pub const MAX_ATTRIBUTES_BYTES: usize = 8 * 1024;
/// Longest `PublicRemarks`, in characters (RESO: 4000); more is cut.
pub const MAX_REMARKS_CHARS: usize = 4_000;

/// One statement of a feed about one listing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Listing {
    /// `<feed>:<ListingKey>`.
    pub listing_id: ListingId,
    /// Which statement is newer.
    pub version: ListingVersion,
    /// The feed.
    pub feed: FeedName,
    /// RESO `StandardStatus`.
    pub standard_status: StandardStatus,
    /// RESO `PropertyType`.
    pub property_type: PropertyType,
    /// RESO `PropertySubType`, if it is one of the words roost knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub property_sub_type: Option<PropertySubType>,
    /// From `property_type`.
    pub transaction: Transaction,
    /// `country/state/city`.
    pub market: Market,
    /// ISO 3166-1 alpha-2.
    pub country: Country,
    /// RESO `StateOrProvince` as the feed writes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state_or_province: Option<String>,
    /// RESO `City` as the feed writes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub city: Option<String>,
    /// RESO `PostalCode`, upper case, single blanks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub postal_code: Option<String>,
    /// RESO `UnparsedAddress`, or made of its parts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unparsed_address: Option<String>,
    /// RESO `Latitude` and `Longitude`; both or none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<Position>,
    /// ISO 4217 of every amount of this listing.
    pub currency: Currency,
    /// RESO `ListPrice`; a rent is the monthly price. Present for every status that is or may come on the market.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub list_price: Option<Money>,
    /// RESO `OriginalListPrice`, as the feed says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub feed_original_list_price: Option<Money>,
    /// RESO `ClosePrice`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub close_price: Option<Money>,
    /// RESO `CloseDate`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date"))]
    pub close_date: Option<jiff::civil::Date>,
    /// RESO `BedroomsTotal`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bedrooms_total: Option<u16>,
    /// RESO `BathroomsTotalDecimal`, or `BathroomsFull` + `BathroomsHalf` / 2, or `BathroomsTotalInteger`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bathrooms_total: Option<Bathrooms>,
    /// RESO `LivingArea` in square feet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub living_area_sqft: Option<u32>,
    /// RESO `LotSizeArea` in square feet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lot_size_sqft: Option<u32>,
    /// RESO `YearBuilt`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub year_built: Option<u16>,
    /// RESO `AssociationFee` per month.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub association_fee_monthly: Option<Money>,
    /// RESO `OnMarketTimestamp` (or `OriginalEntryTimestamp`, or the version's time less `DaysOnMarket`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_market_at: Option<Instant>,
    /// Minutes to the city centre, as the feed says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commute_minutes: Option<u16>,
    /// 0–10 in tenths, as the feed says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub school_rating: Option<SchoolRating>,
    /// The amenities that roost knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amenities: Option<AmenitySet>,
    /// The tags that roost does not know: shown, never matched.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub other_amenities: Vec<String>,
    /// RESO `InternetEntireListingDisplayYN`; absent means yes.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub display_allowed: bool,
    /// RESO `InternetAddressDisplayYN`; absent means yes.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub address_display_allowed: bool,
    /// RESO `InternetAutomatedValuationDisplayYN`; absent means yes.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub valuation_allowed: bool,
    /// RESO `PublicRemarks`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_remarks: Option<String>,
    /// RESO `ListingURL`; http or https.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listing_url: Option<String>,
    /// The first `MediaURL` of RESO `Media`; http or https.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub photo_url: Option<String>,
    /// RESO `OriginatingSystemName`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub originating_system_name: Option<String>,
    /// RESO `ListingId`: the number people know (MLS number).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mls_number: Option<String>,
    /// Members that roost does not know, as received.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, serde_json::Value>,
}

const fn yes() -> bool {
    true
}
const fn is_yes(value: &bool) -> bool {
    *value
}

impl Listing {
    /// Whether two statements say the same, whenever they said it.
    pub fn same_content(&self, other: &Self) -> bool {
        // `version` alone is not content. Cloning is cheaper to keep right than forty comparisons.
        self.listing_id == other.listing_id && Self { version: other.version, ..self.clone() } == *other
    }

    /// Whether some session may be shown it: its status allows it, its seller allows it, and it has a price.
    pub fn may_be_recommended(&self) -> bool {
        self.standard_status.may_be_shown() && self.display_allowed && self.list_price.is_some()
    }
}
