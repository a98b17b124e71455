//! A listing that is gone: an empty value, or a record with `StandardStatus` `Delete`.
//!
//! A deletion says one thing only. The other members of a `Delete` are not read, and where the canonical form requires a
//! value it holds the one that means "not said": country `zz`, market `zz/unknown/unknown`, currency `XXX`. Whoever
//! merges it keeps what was known before; nobody may show or count these.

use std::collections::BTreeMap;

use super::refusal::Refusal;
use super::{MAX_AHEAD_MS, Origin};
use crate::dead_letter::Code;
use crate::field_error::{Fault, FieldError};
use crate::id::{Country, ListingId, Market};
use crate::listing::Listing;
use crate::money::Currency;
use crate::units::Instant;
use crate::version::ListingVersion;
use crate::vocabulary::{PropertyType, StandardStatus, Transaction};

/// Reads an empty value: what is gone is told by its key, `<feed>:<key>`, or any key if the header names the feed.
pub fn read_delete(key: Option<&[u8]>, origin: &Origin) -> Result<Listing, Refusal> {
    let missing = |found: &str| {
        let expected = "'<feed>:<ListingKey>', or a ListingKey with the header roost-feed, where the value is empty";
        let error = FieldError::new("key", found, Fault::OutOfRange, expected);
        Refusal { code: Code::KeyMissing, message: error.to_string(), faults: vec![error] }
    };
    let key = key.filter(|key| !key.is_empty()).ok_or_else(|| missing(""))?;
    let key = std::str::from_utf8(key).map_err(|_| missing(&String::from_utf8_lossy(key)))?;
    let listing_id = match &origin.feed {
        Some(feed) => {
            let own = key.strip_prefix(feed.as_str()).and_then(|rest| rest.strip_prefix(':')).unwrap_or(key);
            ListingId::new(feed, own)
        }
        None => key.parse(),
    };
    let listing_id = listing_id.map_err(|_| missing(key))?;
    let timestamp_ms = origin.ce_time_ms.unwrap_or(origin.append_time_ms);
    let version = version(origin, timestamp_ms, 0).map_err(|error| {
        let error = error.named("ce_time");
        Refusal { code: Code::of(&error), message: error.to_string(), faults: vec![error] }
    })?;
    Ok(deleted(listing_id, version))
}

/// The canonical form of "this listing is gone".
pub fn deleted(listing_id: ListingId, version: ListingVersion) -> Listing {
    // Literals of the right form.
    let country: Country = "zz".parse().expect("two letters");
    let currency: Currency = "XXX".parse().expect("three letters");
    Listing {
        feed: listing_id.feed(),
        listing_id,
        version,
        standard_status: StandardStatus::Delete,
        property_type: PropertyType::Residential,
        property_sub_type: None,
        transaction: Transaction::Sale,
        market: Market::of(country, None, None),
        country,
        state_or_province: None,
        city: None,
        postal_code: None,
        unparsed_address: None,
        position: None,
        currency,
        list_price: None,
        feed_original_list_price: None,
        close_price: None,
        close_date: None,
        bedrooms_total: None,
        bathrooms_total: None,
        living_area_sqft: None,
        lot_size_sqft: None,
        year_built: None,
        association_fee_monthly: None,
        on_market_at: None,
        commute_minutes: None,
        school_rating: None,
        amenities: None,
        other_amenities: Vec::new(),
        display_allowed: true,
        address_display_allowed: true,
        valuation_allowed: true,
        public_remarks: None,
        listing_url: None,
        photo_url: None,
        originating_system_name: None,
        mls_number: None,
        attributes: BTreeMap::new(),
    }
}

/// The version of a statement made at `timestamp_ms`, if a feed can have made it then.
pub(super) fn version(origin: &Origin, timestamp_ms: i64, batch_index: u32) -> Result<ListingVersion, FieldError> {
    let shown = || Instant::from_ms(timestamp_ms).map_or_else(|| timestamp_ms.to_string(), |at| at.to_string());
    if timestamp_ms > origin.append_time_ms.saturating_add(MAX_AHEAD_MS) {
        let expected = "at most 5 minutes after the record came in";
        return Err(FieldError::new("ModificationTimestamp", shown(), Fault::InTheFuture, expected));
    }
    // Programs write their zero (year 1, 1900) for "unknown"; such a statement would lose to all others for ever.
    if timestamp_ms < 0 {
        return Err(FieldError::new("ModificationTimestamp", shown(), Fault::OutOfRange, "1970 or later"));
    }
    Ok(ListingVersion {
        timestamp_ms,
        raw_partition: origin.partition,
        raw_offset: origin.offset,
        batch_index,
        model_epoch: 0,
    })
}
