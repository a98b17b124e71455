//! How a feed writes a listing: RESO Common Format JSON in one of three hands.
//!
//! The hands differ in what feeds differ in: numbers or text, machine or human words, feet or metres, UTC or an offset,
//! lists or comma text, null or absent. All of them are shapes that the reader in `schemas` tolerates; records that are
//! wrong are not made here.

use std::io;

use schemas::vocabulary::{PropertySubType, StandardStatus};
use serde::Serialize;

use crate::home::{AMENITIES, Home};
use crate::life::Offer;
use crate::places::{PLACES, neighbourhood, postal_code};

/// Square metres in a square foot.
const SQM_PER_SQFT: f64 = 0.092_903_04;
/// Square feet in an acre.
const SQFT_PER_ACRE: f64 = 43_560.0;

/// A feed's way of writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hand {
    /// JSON numbers, machine words, UTC: most feeds of the United States.
    Plain,
    /// Decimals as text, human words, capitals, an offset, comma text, nulls: the portal.
    Portal,
    /// Numbers with decimals, square metres and acres: the Canadian boards.
    Metric,
}

impl Hand {
    fn of(home: &Home) -> Self {
        match (home.portal, PLACES[home.place].country) {
            (true, _) => Self::Portal,
            (false, "CA") => Self::Metric,
            (false, _) => Self::Plain,
        }
    }
}

#[derive(Serialize)]
#[serde(untagged)]
enum Number {
    Whole(u32),
    Decimal(f64),
    Text(String),
}

#[derive(Serialize)]
#[serde(untagged)]
enum Words {
    List(Vec<&'static str>),
    Text(String),
}

/// The members, in the order they are written. The outer `Option` leaves a member out, `null` is an inner `None`.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Record {
    #[serde(rename = "@reso.context", skip_serializing_if = "Option::is_none")]
    context: Option<&'static str>,
    listing_key: String,
    listing_id: String,
    originating_system_name: &'static str,
    standard_status: &'static str,
    property_type: &'static str,
    property_sub_type: &'static str,
    list_price: Number,
    #[serde(skip_serializing_if = "Option::is_none")]
    original_list_price: Option<Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    close_price: Option<Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    close_date: Option<String>,
    bedrooms_total: Number,
    #[serde(skip_serializing_if = "Option::is_none")]
    bathrooms_full: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bathrooms_half: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bathrooms_total_decimal: Option<Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    living_area: Option<Option<Number>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    living_area_units: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lot_size_area: Option<Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lot_size_units: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    year_built: Option<Option<u16>>,
    stories: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    association_fee: Option<Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    association_fee_frequency: Option<&'static str>,
    amenities: Words,
    school_rating: Number,
    commute_minutes: Number,
    unparsed_address: String,
    subdivision_name: &'static str,
    city: String,
    state_or_province: &'static str,
    postal_code: String,
    country: &'static str,
    latitude: f64,
    longitude: f64,
    on_market_timestamp: String,
    modification_timestamp: String,
    #[serde(rename = "InternetEntireListingDisplayYN", skip_serializing_if = "Option::is_none")]
    display_allowed: Option<bool>,
    #[serde(rename = "InternetAddressDisplayYN", skip_serializing_if = "Option::is_none")]
    address_display_allowed: Option<bool>,
    #[serde(rename = "InternetAutomatedValuationDisplayYN", skip_serializing_if = "Option::is_none")]
    valuation_allowed: Option<bool>,
}

/// Writes one statement as one JSON object without line breaks.
pub(crate) fn write_json(home: &Home, offer: &Offer, out: &mut dyn io::Write) -> io::Result<()> {
    serde_json::to_writer(out, &record(home, offer)).map_err(io::Error::from)
}

fn record(home: &Home, offer: &Offer) -> Record {
    let hand = Hand::of(home);
    let place = &PLACES[home.place];
    let closed = offer.status == StandardStatus::Closed;
    let has_plot = home.lot_sqft > 0 && !home.gaps.no_lot;
    let in_halves = hand == Hand::Portal;
    Record {
        context: (hand != Hand::Portal).then_some("urn:reso:metadata:2.0:resource:property"),
        listing_key: home.listing_key(),
        listing_id: mls_number(home),
        originating_system_name: if home.portal { "Homeboard" } else { place.feed },
        standard_status: word(offer.status.as_str(), human_status(offer.status), hand),
        property_type: if home.lease { word("ResidentialLease", "Residential Lease", hand) } else { "Residential" },
        property_sub_type: word(home.kind.as_str(), human_sub_type(home.kind), hand),
        list_price: amount(offer.list_price, hand),
        original_list_price: (hand != Hand::Metric).then(|| amount(offer.original_list_price, hand)),
        close_price: closed.then(|| amount(offer.close_price, hand)),
        close_date: closed.then(|| timestamp(offer.modified_ms, Hand::Plain)[..10].to_owned()),
        bedrooms_total: count(home.bedrooms, hand),
        bathrooms_full: (!in_halves).then_some(home.bathroom_halves / 2),
        bathrooms_half: (!in_halves && home.bathroom_halves % 2 == 1).then_some(1),
        bathrooms_total_decimal: in_halves
            .then(|| Number::Text(format!("{:.1}", f64::from(home.bathroom_halves) / 2.0))),
        living_area: unless(home.gaps.no_living_area, area(home.living_area_sqft, hand), hand),
        living_area_units: match hand {
            Hand::Plain => None,
            Hand::Portal => Some("Square Feet"),
            Hand::Metric => Some("SquareMeters"),
        },
        lot_size_area: has_plot.then(|| plot(home.lot_sqft, hand)),
        lot_size_units: has_plot.then_some(if hand == Hand::Metric {
            "Acres"
        } else {
            word("SquareFeet", "Square Feet", hand)
        }),
        year_built: unless(home.gaps.no_year, home.year_built, hand),
        stories: home.stories,
        association_fee: (home.fee_monthly > 0).then(|| fee(home.fee_monthly, hand)),
        association_fee_frequency: (home.fee_monthly > 0).then_some(if hand == Hand::Metric {
            "Annually"
        } else {
            "Monthly"
        }),
        amenities: amenities(home, hand),
        school_rating: Number::Decimal(f64::from(home.school_tenths) / 10.0),
        commute_minutes: count(home.commute_minutes, hand),
        unparsed_address: address(home),
        subdivision_name: neighbourhood(home.place, home.neighbourhood).name,
        city: if hand == Hand::Portal { place.city.to_uppercase() } else { place.city.to_owned() },
        state_or_province: place.state_or_province,
        postal_code: postal_code(home.place, home.neighbourhood),
        country: place.country,
        latitude: f64::from(home.latitude_e5) / 1e5,
        longitude: f64::from(home.longitude_e5) / 1e5,
        on_market_timestamp: timestamp(offer.on_market_ms, hand),
        modification_timestamp: timestamp(offer.modified_ms, hand),
        display_allowed: home.gaps.display_forbidden.then_some(false),
        address_display_allowed: home.gaps.address_forbidden.then_some(false),
        valuation_allowed: home.gaps.valuation_forbidden.then_some(false),
    }
}

const fn word(machine: &'static str, human: &'static str, hand: Hand) -> &'static str {
    match hand {
        Hand::Plain | Hand::Metric => machine,
        Hand::Portal => human,
    }
}

const fn human_status(status: StandardStatus) -> &'static str {
    match status {
        StandardStatus::ActiveUnderContract => "Active Under Contract",
        StandardStatus::ComingSoon => "Coming Soon",
        other => other.as_str(),
    }
}

const fn human_sub_type(kind: PropertySubType) -> &'static str {
    match kind {
        PropertySubType::SingleFamilyResidence => "Single Family Residence",
        PropertySubType::ManufacturedHome => "Manufactured Home",
        other => other.as_str(),
    }
}

/// A member that is not known: the portal sends null, the others leave it out.
fn unless<T>(unknown: bool, value: T, hand: Hand) -> Option<Option<T>> {
    match (unknown, hand) {
        (false, _) => Some(Some(value)),
        (true, Hand::Portal) => Some(None),
        (true, Hand::Plain | Hand::Metric) => None,
    }
}

fn amount(units: u32, hand: Hand) -> Number {
    match hand {
        Hand::Plain => Number::Whole(units),
        Hand::Portal => Number::Text(format!("{units}.00")),
        Hand::Metric => Number::Decimal(f64::from(units)),
    }
}

fn count(n: u16, hand: Hand) -> Number {
    match hand {
        Hand::Plain => Number::Whole(n.into()),
        Hand::Portal => Number::Text(n.to_string()),
        Hand::Metric => Number::Decimal(n.into()),
    }
}

fn area(sqft: u32, hand: Hand) -> Number {
    match hand {
        Hand::Plain => Number::Whole(sqft),
        Hand::Portal => Number::Text(sqft.to_string()),
        Hand::Metric => Number::Decimal(round_to(f64::from(sqft) * SQM_PER_SQFT, 10.0)),
    }
}

fn plot(sqft: u32, hand: Hand) -> Number {
    match hand {
        Hand::Plain | Hand::Portal => area(sqft, hand),
        Hand::Metric => Number::Decimal(round_to(f64::from(sqft) / SQFT_PER_ACRE, 1_000.0)),
    }
}

fn fee(monthly: u32, hand: Hand) -> Number {
    amount(if hand == Hand::Metric { monthly * 12 } else { monthly }, hand)
}

fn round_to(value: f64, steps: f64) -> f64 {
    (value * steps).round() / steps
}

fn amenities(home: &Home, hand: Hand) -> Words {
    let present = (0..AMENITIES.len()).filter(|i| home.amenities >> i & 1 == 1);
    match hand {
        Hand::Plain | Hand::Metric => Words::List(present.map(|i| AMENITIES[i].word).collect()),
        Hand::Portal => Words::Text(present.map(|i| AMENITIES[i].portal_word).collect::<Vec<_>>().join(", ")),
    }
}

fn mls_number(home: &Home) -> String {
    let initials: String = PLACES[home.place].city.split([' ', '-']).filter_map(|part| part.chars().next()).collect();
    format!("{initials}-{:06}", home.serial)
}

fn address(home: &Home) -> String {
    let streets = neighbourhood(home.place, home.neighbourhood).streets;
    let street = streets[(home.serial % 4) as usize];
    let number = 100 + home.serial * 7_919 % 8_900;
    match home.kind {
        PropertySubType::Condominium => format!("{number} {street} St #{}", 100 + home.serial * 31 % 900),
        _ => format!("{number} {street} St"),
    }
}

/// RFC 3339: UTC with milliseconds; the portal writes its local time (UTC−8) with microseconds.
fn timestamp(ms: i64, hand: Hand) -> String {
    const PORTAL_OFFSET_MS: i64 = -8 * 3_600_000;
    let at = |ms| jiff::Timestamp::from_millisecond(ms).unwrap_or_default();
    match hand {
        Hand::Plain | Hand::Metric => format!("{:.3}", at(ms)),
        Hand::Portal => {
            let mut text = format!("{:.6}", at(ms + PORTAL_OFFSET_MS));
            text.truncate(text.len() - 1);
            text + "-08:00"
        }
    }
}
