//! What `listings` must say, from `listings.raw` in the plainest way: for records as `roost publish` makes them of a portal's
//! export (RESO names, texts, one listing a record). Shares nothing with the reader in `schemas::reso`; every member of
//! every listing is compared.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use schemas::id::ListingId;
use schemas::listing::Listing;
use schemas::topic::Topic;
use schemas::vocabulary::PropertySubType;
use serde_json::{Map, Value, json};
use stream::Record;

use crate::checks::Fates;
use crate::harness::Installation;

/// Members that the canonical form has no place for: they travel as they came.
const ATTRIBUTES: [&str; 2] = ["SaleType", "SubdivisionName"];
const DAY_MS: i64 = 86_400_000;

/// Compares the newest canonical statement of each listing of `feed` with the newest raw one, by the raw one's own time;
/// how many listings there are.
pub fn listings_equal_what_was_said(installation: &Installation, fates: &Fates, feed: &str) -> Result<usize> {
    let mut newest: BTreeMap<String, ((i64, u32, u64), Value)> = BTreeMap::new();
    for record in installation.records(Topic::ListingsRaw)? {
        if fates.dead.contains_key(&(record.partition, record.offset, 0)) {
            continue;
        }
        let said: Value = serde_json::from_slice(record.value.as_deref().unwrap_or_default())?;
        let rank = (modified_ms(&said, &record), record.partition, record.offset);
        let id = format!("{feed}:{}", text_of(&said, "ListingKey").context("a record without a key was taken")?);
        if newest.get(&id).is_none_or(|(known, _)| rank > *known) {
            newest.insert(id, (rank, said));
        }
    }
    let mut found: BTreeMap<&ListingId, &Listing> = BTreeMap::new();
    for listing in fates.canonical.values() {
        if found.get(&listing.listing_id).is_none_or(|known| listing.version > known.version) {
            found.insert(&listing.listing_id, listing);
        }
    }
    ensure!(found.len() == newest.len(), "{} listings are known, {} were said", found.len(), newest.len());
    let mut differences = Vec::new();
    for (id, listing) in found {
        let (rank, said) = newest.get(id.as_str()).with_context(|| format!("{id} was never said"))?;
        let (wanted, has) = (plain(expected(feed, *rank, said)), plain(serde_json::to_value(listing)?));
        if wanted != has {
            differences.push(format!("{id}: said {said}\n   wanted {wanted}\n   found  {has}"));
        }
    }
    let total = differences.len();
    differences.truncate(10);
    ensure!(total == 0, "{total} listings differ:\n{}", differences.join("\n"));
    Ok(newest.len())
}

fn modified_ms(said: &Value, record: &Record) -> i64 {
    let stated = said["ModificationTimestamp"].as_str().and_then(|text| text.parse::<jiff::Timestamp>().ok());
    stated.map_or(record.append_time_ms, jiff::Timestamp::as_millisecond)
}

/// The canonical form of a record.
fn expected(feed: &str, (at, partition, offset): (i64, u32, u64), said: &Value) -> Value {
    let text = |name: &str| text_of(said, name).map(Value::from);
    let number = |name: &str, steps: f64| {
        let number: f64 = text_of(said, name)?.replace(['$', ','], "").parse().ok()?;
        Some(Value::from((number * steps).round() / steps))
    };
    let above_zero = |number: Option<Value>| number.filter(|number| number.as_f64() > Some(0.0));
    let instant = |ms: i64| jiff::Timestamp::from_millisecond(ms).map(|at| Value::from(format!("{at:.3}"))).ok();
    let days = text_of(said, "DaysOnMarket").and_then(|days| days.parse::<i64>().ok());
    let (sub_type, known) = match text_of(said, "PropertySubType") {
        Some(word) => (Some(word.clone()), PropertySubType::named(&word).is_some()),
        None => (None, false),
    };
    let mut attributes: Map<String, Value> =
        ATTRIBUTES.iter().filter_map(|name| Some(((*name).to_owned(), text(name)?))).collect();
    if let Some(word) = sub_type.clone().filter(|_| !known) {
        attributes.insert("PropertySubType".to_owned(), word.into());
    }
    // How often a fee is due is nothing without a fee.
    let fee = number("AssociationFee", 100.0);
    if fee.is_none() {
        attributes.extend(text("AssociationFeeFrequency").map(|word| ("AssociationFeeFrequency".to_owned(), word)));
    }
    let coordinates = number("Latitude", 1e5).zip(number("Longitude", 1e5));
    let place = ["StateOrProvince", "City"].map(|name| text_of(said, name).map_or("unknown".to_owned(), |n| slug(&n)));
    let members = [
        ("listing_id", Some(format!("{feed}:{}", text_of(said, "ListingKey").unwrap_or_default()).into())),
        (
            "version",
            Some(json!({
                "timestamp_ms": at, "raw_partition": partition, "raw_offset": offset, "batch_index": 0, "model_epoch": 0
            })),
        ),
        ("feed", Some(feed.into())),
        ("standard_status", text("StandardStatus")),
        ("property_type", text("PropertyType").or(Some("Residential".into()))),
        ("property_sub_type", sub_type.filter(|_| known).map(Value::from)),
        ("transaction", Some("sale".into())),
        ("market", Some(format!("us/{}/{}", place[0], place[1]).into())),
        ("country", Some("us".into())),
        ("state_or_province", text("StateOrProvince")),
        ("city", text("City")),
        ("postal_code", text_of(said, "PostalCode").map(|code| code[..code.len().min(5)].into())),
        ("unparsed_address", text("UnparsedAddress")),
        ("position", coordinates.map(|(latitude, longitude)| json!({"latitude": latitude, "longitude": longitude}))),
        ("currency", Some("USD".into())),
        ("list_price", above_zero(number("ListPrice", 100.0))),
        ("close_price", above_zero(number("ClosePrice", 100.0))),
        ("close_date", text("CloseDate")),
        ("bedrooms_total", number("BedroomsTotal", 1.0)),
        // A quarter of a bathroom is none, three quarters are half of one.
        ("bathrooms_total", number("BathroomsTotalDecimal", 100.0).map(|n| halves(&n))),
        ("living_area_sqft", above_zero(number("LivingArea", 1.0))),
        ("lot_size_sqft", above_zero(number("LotSizeArea", 1.0))),
        ("year_built", number("YearBuilt", 1.0)),
        ("association_fee_monthly", fee),
        ("on_market_at", days.and_then(|days| instant((at.div_euclid(DAY_MS) - days) * DAY_MS))),
        ("listing_url", text("ListingURL")),
        ("originating_system_name", text("OriginatingSystemName")),
        ("mls_number", text("ListingId")),
        ("attributes", Some(Value::Object(attributes)).filter(|attributes| *attributes != json!({}))),
    ];
    members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect::<Map<_, _>>().into()
}

/// A text member without blanks around it; `None` when nothing is left.
fn text_of(said: &Value, name: &str) -> Option<String> {
    let text = said[name].as_str().map_or_else(|| said[name].to_string(), |text| text.trim().to_owned());
    (!text.is_empty() && text != "null").then_some(text)
}

fn halves(number: &Value) -> Value {
    Value::from((number.as_f64().unwrap_or_default() * 2.0).floor() / 2.0)
}

fn slug(name: &str) -> String {
    let hyphens = name.to_lowercase().replace(|c: char| !c.is_ascii_alphanumeric(), "-");
    hyphens.split('-').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("-")
}

/// The same with every number a double: 3 is 3.0.
fn plain(value: Value) -> Value {
    match value {
        Value::Number(number) => number.as_f64().map_or(Value::Null, Value::from),
        Value::Object(members) => {
            members.into_iter().map(|(name, value)| (name, plain(value))).collect::<Map<_, _>>().into()
        }
        Value::Array(values) => values.into_iter().map(plain).collect::<Vec<_>>().into(),
        value => value,
    }
}
