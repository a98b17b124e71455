//! One session's whole preferences: a statement, never a delta. Value of topic `preferences`, body of
//! `POST /api/v1/preferences`.

mod document;
mod parse;
#[cfg(test)]
mod tests;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::amenities::AmenitySet;
use crate::field_error::{Fault, FieldError};
use crate::id::{Country, ListingId, Market};
use crate::money::{Currency, Money};
use crate::units::{Bathrooms, Position, RadiusKm, SchoolRating};
use crate::vocabulary::{PropertySubType, Transaction};

/// Most cities a session names (DESIGN §2).
pub const MAX_CITIES: usize = 20;
/// Most postal codes a session names (DESIGN §2).
pub const MAX_POSTAL_CODES: usize = 50;
/// Most listings a session has dismissed (DESIGN §2).
pub const MAX_DISMISSED: usize = 500;
/// Largest body of a statement: 500 dismissed ids of 320 bytes, and the rest.
pub const MAX_PREFERENCES_BYTES: usize = 256 * 1024;
/// Greatest commute a session can ask for, minutes.
pub const MAX_COMMUTE_MINUTES: u16 = 600;
/// Most bedrooms a session can ask for: more than any home has.
pub const MAX_MIN_BEDROOMS: u16 = 200;
/// Most living area a session can ask for, square feet: more than any building has.
pub const MAX_MIN_LIVING_AREA_SQFT: u32 = 40_000_000;

/// `us/98101`: a postal code within its country.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PostalCode {
    /// Its country.
    pub country: Country,
    /// Upper case, single blanks, 1 to 10 characters.
    pub code: String,
}

impl PostalCode {
    /// Normalises a postal code as a feed or a client writes it: upper case, single blanks; `None` if it is none.
    pub fn normalise(code: &str) -> Option<String> {
        let code = code.split_whitespace().collect::<Vec<_>>().join(" ").to_ascii_uppercase();
        let wellformed = (1..=10).contains(&code.len())
            && code.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b' ' | b'-'))
            && code.bytes().any(|b| b.is_ascii_alphanumeric());
        wellformed.then_some(code)
    }
}
impl std::fmt::Display for PostalCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.country, self.code)
    }
}
impl std::str::FromStr for PostalCode {
    type Err = FieldError;
    fn from_str(text: &str) -> Result<Self, FieldError> {
        let expected = "'country/code' such as 'us/98101'";
        let error = || FieldError::new("postal_codes", text, Fault::OutOfRange, expected);
        let (country, code) = text.split_once('/').ok_or_else(error)?;
        Ok(Self { country: country.parse().map_err(|_| error())?, code: Self::normalise(code).ok_or_else(error)? })
    }
}
impl Serialize for PostalCode {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
impl<'de> Deserialize<'de> for PostalCode {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        std::borrow::Cow::<'de, str>::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}
impl JsonSchema for PostalCode {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "PostalCode".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "string", "pattern": "^[a-z]{2}/[A-Z0-9 -]{1,10}$"})
    }
}

/// A circle on the globe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Circle {
    /// Of the centre.
    pub latitude: crate::units::Latitude,
    /// Of the centre.
    pub longitude: crate::units::Longitude,
    /// From the centre, great-circle.
    pub radius_km: RadiusKm,
}

impl Circle {
    /// The centre.
    pub const fn centre(&self) -> Position {
        Position { latitude: self.latitude, longitude: self.longitude }
    }
}

fn no_amenity(set: &AmenitySet) -> bool {
    set.is_empty()
}

/// Where: the union of its parts, at least one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// Markets, `us/wa/seattle`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_CITIES))]
    pub cities: Vec<Market>,
    /// Postal codes, `us/98101`; without a country where another part of the place, or the currency, tells it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_POSTAL_CODES))]
    pub postal_codes: Vec<PostalCode>,
    /// A circle.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within: Option<Circle>,
    /// A whole country.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub country: Option<Country>,
}

/// Which weights the score uses (DESIGN §6).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Profile {
    /// A bit of everything.
    #[default]
    Balanced,
    /// The price counts most.
    Value,
    /// Space and schools count most.
    Family,
    /// The way to work counts most.
    Commuter,
}

/// What one session wants.
///
/// In the canonical form that the log and the tables hold. At the doors it is read more generously: synonyms of amenity
/// words, a postal code without its country where another part tells it, lists in any order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(transform = currency_may_follow)]
pub struct Preferences {
    /// To buy or to rent.
    #[serde(default)]
    pub transaction: Transaction,
    /// The highest price; more than 0. A rent is the monthly price.
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub budget: Money,
    /// Of the budget; listings in others are never compared. Absent: that of the place's country, USD for a bare circle.
    pub currency: Currency,
    /// Where.
    pub place: Place,
    /// At least so many bedrooms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = MAX_MIN_BEDROOMS))]
    pub min_bedrooms: Option<u16>,
    /// At least so many bathrooms, in halves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_bathrooms: Option<Bathrooms>,
    /// At least so much living area; more than 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = MAX_MIN_LIVING_AREA_SQFT))]
    pub min_living_area_sqft: Option<u32>,
    /// Any of these; empty: any at all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub property_sub_types: Vec<PropertySubType>,
    /// At most so many minutes to the city centre; more than 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = MAX_COMMUTE_MINUTES))]
    pub max_commute_minutes: Option<u16>,
    /// At least this rating.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_school_rating: Option<SchoolRating>,
    /// All of these.
    #[serde(default, skip_serializing_if = "no_amenity")]
    pub required_amenities: AmenitySet,
    /// The more of these the better.
    #[serde(default, skip_serializing_if = "no_amenity")]
    pub preferred_amenities: AmenitySet,
    /// Never these; ascending, without repeats.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_DISMISSED))]
    pub dismissed: Vec<ListingId>,
    /// Also `ComingSoon`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub include_coming_soon: bool,
    /// Also `ActiveUnderContract`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub include_under_contract: bool,
    /// Weights of the score.
    #[serde(default)]
    pub profile: Profile,
}

/// In the schema the currency is not required: the reader derives it from the place.
fn currency_may_follow(schema: &mut schemars::Schema) {
    if let Some(required) = schema.get_mut("required").and_then(serde_json::Value::as_array_mut) {
        required.retain(|name| name != "currency");
    }
}

impl Preferences {
    /// Reads a statement, at both doors: the body of `POST /api/v1/preferences`, the value of a record on `preferences`.
    ///
    /// `Err` holds every fault at once, in the order of the members. `Ok` is canonical: lists ascending and without
    /// repeats, postal codes with their country, the currency filled in.
    pub fn parse(json: &[u8]) -> Result<Self, Vec<FieldError>> {
        parse::preferences(json)
    }

    /// The canonical JSON: [`Self::parse`] reads it back unchanged.
    pub fn to_json(&self) -> Vec<u8> {
        // Texts, numbers and lists: nothing in it can fail to be written.
        serde_json::to_vec(self).expect("preferences are JSON")
    }
}
