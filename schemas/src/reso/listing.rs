//! From a record's members to the canonical listing: which fields are required, and what of the rest follows from what.
//!
//! All faults of a record are found in one go.

use std::borrow::Cow;

use serde_json::Value;

use super::attributes::{self, Strict};
use super::deletion::{deleted, version};
use super::fields::Field;
use super::members::Members;
use super::refusal::{Faults, Refusal};
use super::scalar::out_of_range;
use super::{Accepted, LeftOut, Origin, features, measures, place, text};
use crate::dead_letter::Code;
use crate::field_error::{Fault, FieldError};
use crate::id::{FeedName, ListingId};
use crate::listing::{Listing, MAX_REMARKS_CHARS};
use crate::money::Currency;
use crate::units::Instant;
use crate::vocabulary::{PropertySubType, PropertyType, StandardStatus};

/// Longest name of a system or MLS number, in characters (RESO: 255).
const MAX_NAME_CHARS: usize = 255;
/// A home that was on the market for a century is a typing error.
const MAX_DAYS_ON_MARKET: i64 = 36_500;
const DAY_MS: i64 = 86_400_000;

/// The feed of a record: the header's, else a slug of `OriginatingSystemName`, else `default`.
pub(super) fn feed(members: &Members<'_>, origin: &Origin) -> FeedName {
    let by_name = || FeedName::slug_of(&members.line(Field::OriginatingSystemName, MAX_NAME_CHARS).ok()??);
    origin.feed.clone().or_else(by_name).unwrap_or_else(FeedName::default_feed)
}

/// Reads record `batch_index` of the value that came from `origin`, which belongs to `feed`.
pub(super) fn of_members(
    members: &Members<'_>,
    feed: &FeedName,
    origin: &Origin,
    batch_index: u32,
) -> Result<Accepted, Refusal> {
    let mut faults = members.structural_faults();
    let mut left_out = LeftOut::default();
    let listing = assemble(members, feed, origin, batch_index, &mut left_out, &mut faults);
    faults.respell(&members.respelled);
    match (faults.into_refusal(), listing) {
        (None, Some(listing)) => Ok(Accepted { listing, left_out }),
        (Some(refusal), _) => Err(refusal),
        // `assemble` gives no listing only where it noted a fault.
        (None, None) => Err(Refusal::whole(Code::WrongShape, "the record is no listing")),
    }
}

fn assemble(
    members: &Members<'_>,
    feed: &FeedName,
    origin: &Origin,
    batch_index: u32,
    left_out: &mut LeftOut,
    faults: &mut Faults,
) -> Option<Listing> {
    let system_name = faults.note(members.line(Field::OriginatingSystemName, MAX_NAME_CHARS));
    let listing_id = listing_id(members, feed, faults);
    let modified = faults.note(members.time_ms(Field::ModificationTimestamp)).unwrap_or(origin.append_time_ms);
    let version = faults.note(version(origin, modified, batch_index).map(Some));
    let status = required_word::<StandardStatus>(members, Field::StandardStatus, faults);
    if status == Some(StandardStatus::Delete) {
        return Some(deleted(listing_id?, version?));
    }
    let property_type = word_or(members, Field::PropertyType, PropertyType::Residential, faults);
    let (property_sub_type, unknown_sub_type) = sub_type(members, faults);
    let place = place::of(members, left_out, faults);
    let currency = faults.note(currency(members, place.as_ref()));
    let list_price = faults.note(measures::price(members, Field::ListPrice));
    if list_price.is_none() && status.is_some_and(StandardStatus::may_be_shown) {
        missing_price(members, faults);
    }
    let fee = faults.note(measures::monthly_fee(members));
    let features = features::of(members, left_out, faults);
    let remarks = faults.note(members.lines(Field::PublicRemarks)).map(|remarks| text::cut(remarks, MAX_REMARKS_CHARS));
    left_out.remarks = remarks.as_ref().is_some_and(|(_, was_cut)| *was_cut);

    // Known members whose value no field of ours can hold.
    let mut extra: Vec<(&'static str, &str)> = Vec::new();
    let mut keep = |field: Field| extra.extend(members.raw(field).map(|raw| (field.name(), raw)));
    if unknown_sub_type {
        keep(Field::PropertySubType);
    }
    if fee.is_none() {
        keep(Field::AssociationFee);
        keep(Field::AssociationFeeFrequency);
    }
    let yes = |flag: Option<bool>| flag.unwrap_or(true);
    let mut flag = |field| yes(faults.note(members.flag(field)));
    let display_allowed = flag(Field::InternetEntireListingDisplayYN);
    let address_display_allowed = flag(Field::InternetAddressDisplayYN);
    let valuation_allowed = flag(Field::InternetAutomatedValuationDisplayYN);
    let close_price = faults.note(measures::price(members, Field::ClosePrice));
    let feed_original_list_price = faults.note(measures::price(members, Field::OriginalListPrice));
    let close_date = faults.note(members.day(Field::CloseDate));
    let bedrooms_total = faults.note(measures::bedrooms(members));
    let bathrooms_total = faults.note(measures::bathrooms(members));
    let living_area_sqft = faults.note(measures::living_area_sqft(members));
    let lot_size_sqft = faults.note(measures::lot_size_sqft(members));
    let year_built = faults.note(measures::year_built(members, year_of(origin.append_time_ms)));
    let on_market_at = faults.note(on_market_at(members, modified));
    let commute_minutes = faults.note(measures::commute_minutes(members));
    let school_rating = faults.note(measures::school_rating(members));
    let listing_url = link(members, left_out, faults);
    let photo_url = photo(members, left_out, faults);
    let mls_number = faults.note(members.label(Field::ListingId)).map(|label| shown_label(label, MAX_NAME_CHARS));
    let attributes = attributes::of(members, &extra, left_out, faults);

    let (property_type, place) = (property_type?, place?);
    Some(Listing {
        listing_id: listing_id?,
        version: version?,
        feed: feed.clone(),
        standard_status: status?,
        property_type,
        property_sub_type,
        transaction: property_type.transaction(),
        market: place.market,
        country: place.country,
        state_or_province: place.state_or_province,
        city: place.city,
        postal_code: place.postal_code,
        unparsed_address: place.unparsed_address,
        position: place.position,
        currency: currency?,
        list_price,
        feed_original_list_price,
        close_price,
        close_date,
        bedrooms_total,
        bathrooms_total,
        living_area_sqft,
        lot_size_sqft,
        year_built,
        association_fee_monthly: fee,
        on_market_at,
        commute_minutes,
        school_rating,
        amenities: features.known,
        other_amenities: features.tags,
        display_allowed,
        address_display_allowed,
        valuation_allowed,
        public_remarks: remarks.map(|(remarks, _)| remarks),
        listing_url,
        photo_url,
        originating_system_name: system_name,
        mls_number,
        attributes,
    })
}

fn listing_id(members: &Members<'_>, feed: &FeedName, faults: &mut Faults) -> Option<ListingId> {
    let Some(key) = faults.note(members.label(Field::ListingKey)) else {
        if members.raw(Field::ListingKey).is_none_or(|raw| raw.trim_matches('"').trim().is_empty()) {
            let expected = "the key that names the listing within its feed";
            faults.push_as(Code::KeyMissing, FieldError::new(Field::ListingKey.name(), "", Fault::Missing, expected));
        }
        return None;
    };
    let key = key.trim();
    if key.chars().any(text::is_bidi_control) {
        faults.push(out_of_range(Field::ListingKey, key, "a key without control characters"));
        return None;
    }
    faults.note(ListingId::new(feed, key).map(Some))
}

fn required_word<W: std::str::FromStr<Err = FieldError>>(
    members: &Members<'_>,
    field: Field,
    faults: &mut Faults,
) -> Option<W> {
    match members.word(field) {
        Ok(Some(word)) => faults.note(word.parse().map(Some)),
        Ok(None) => {
            faults.missing(field.name(), "a word of RESO's lookup such as Active");
            None
        }
        Err(error) => {
            faults.push(error);
            None
        }
    }
}

fn word_or<W: std::str::FromStr<Err = FieldError>>(
    members: &Members<'_>,
    field: Field,
    default: W,
    faults: &mut Faults,
) -> Option<W> {
    match members.word(field) {
        Ok(Some(word)) => faults.note(word.parse().map(Some)),
        Ok(None) => Some(default),
        Err(error) => {
            faults.push(error);
            None
        }
    }
}

/// `PropertySubType` is an open lookup: whether it holds a word that roost does not know.
fn sub_type(members: &Members<'_>, faults: &mut Faults) -> (Option<PropertySubType>, bool) {
    match faults.note(members.word(Field::PropertySubType)) {
        None => (None, false),
        Some(word) => PropertySubType::named(&word).map_or((None, true), |word| (Some(word), false)),
    }
}

fn currency(members: &Members<'_>, place: Option<&place::Place>) -> Result<Option<Currency>, FieldError> {
    let name = Field::ListPriceCurrency.name();
    if let Some(word) = members.word(Field::ListPriceCurrency)? {
        return word.parse().map(Some).map_err(|error: FieldError| error.named(name));
    }
    // Without a place there is a fault already.
    let Some(country) = place.map(|place| place.country) else { return Ok(None) };
    let expected = "an ISO 4217 code: the currency of this country is not known here";
    Currency::of(country).map(Some).ok_or_else(|| FieldError::new(name, country, Fault::Missing, expected))
}

fn missing_price(members: &Members<'_>, faults: &mut Faults) {
    match members.decimal(Field::ListPrice) {
        Ok(None) => faults.missing(Field::ListPrice.name(), "a price for a listing on the market"),
        Ok(Some(zero)) if zero.nearest(2) == Some(0) => {
            faults.push(out_of_range(Field::ListPrice, members.shown(Field::ListPrice), "0.01 to 999999999999.99"));
        }
        // What is wrong with it was noted when it was read.
        Ok(Some(_)) | Err(_) => {}
    }
}

/// `OnMarketTimestamp`, else the midnight of `OnMarketDate`, else `OriginalEntryTimestamp`, else the midnight that was
/// `DaysOnMarket` days before the statement: a day, so that the same listing sent again tomorrow says the same.
fn on_market_at(members: &Members<'_>, modified: i64) -> Result<Option<Instant>, FieldError> {
    for field in [Field::OnMarketTimestamp, Field::OnMarketDate, Field::OriginalEntryTimestamp] {
        if let Some(ms) = members.time_ms(field)? {
            let expected = "a year from 1 to 9999";
            return Instant::from_ms(ms).map(Some).ok_or_else(|| out_of_range(field, members.shown(field), expected));
        }
    }
    let days = members.integer(Field::DaysOnMarket, 0, MAX_DAYS_ON_MARKET)?;
    Ok(days.and_then(|days| Instant::from_ms((modified.div_euclid(DAY_MS) - days) * DAY_MS)))
}

fn link(members: &Members<'_>, left_out: &mut LeftOut, faults: &mut Faults) -> Option<String> {
    let link = faults.note(members.word(Field::ListingURL))?;
    if text::is_link(&link) {
        return Some(link.into_owned());
    }
    left_out.links = left_out.links.saturating_add(1);
    None
}

/// The first `MediaURL` of `Media` that is a link, by `Order` where the feed gives one.
fn photo(members: &Members<'_>, left_out: &mut LeftOut, faults: &mut Faults) -> Option<String> {
    let raw = members.raw(Field::Media)?;
    let found = match serde_json::from_str::<Strict>(raw) {
        Ok(Strict(Value::Array(media))) => media,
        Ok(_) | Err(_) => {
            let expected = "an array of media objects";
            faults.push(FieldError::new(Field::Media.name(), raw, Fault::BadType, expected));
            return None;
        }
    };
    let mut links: Vec<(f64, String)> = Vec::new();
    for medium in &found {
        let Some(link) = medium.get("MediaURL").and_then(Value::as_str) else { continue };
        if text::is_link(link.trim()) {
            let order = medium.get("Order").and_then(Value::as_f64).unwrap_or(f64::MAX);
            links.push((order, link.trim().to_owned()));
        } else {
            left_out.links = left_out.links.saturating_add(1);
        }
    }
    // Stable: among equals the feed's first.
    links.sort_by(|a, b| a.0.total_cmp(&b.0));
    links.into_iter().next().map(|(_, link)| link)
}

fn shown_label(label: Cow<'_, str>, max: usize) -> String {
    text::cut(text::line(label).into_owned(), max).0
}

fn year_of(ms: i64) -> i64 {
    Instant::from_ms(ms).map_or(9_999, |at| i64::from(at.day().year()))
}
