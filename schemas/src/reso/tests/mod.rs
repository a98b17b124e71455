//! The reader seen from outside: what it tolerates, what it refuses, and the laws that hold for any bytes.

mod documents;
mod laws;
mod refused;
mod tolerated;

use serde_json::{Value, json};

use super::{Accepted, Item, Origin, Refusal, read};
use crate::dead_letter::Code;
use crate::listing::Listing;

/// 2026-11-25T12:00:00Z, when the records of these tests were appended.
const NOW_MS: i64 = 1_795_608_000_000;

fn origin() -> Origin {
    Origin { partition: 3, offset: 41, append_time_ms: NOW_MS, feed: None, ce_time_ms: None }
}

/// The least that a listing needs.
fn least() -> Value {
    json!({
        "ListingKey": "1077400", "StandardStatus": "Active", "ListPrice": 650_000,
        "City": "Austin", "StateOrProvince": "TX", "Country": "US",
    })
}

/// The least with these members added or replaced.
fn with(members: Value) -> Value {
    let mut record = least();
    record.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    record
}

/// The least without one member.
fn without(name: &str) -> Value {
    let mut record = least();
    record.as_object_mut().unwrap().remove(name);
    record
}

fn one(text: &str) -> Result<Accepted, Refusal> {
    let mut items: Vec<Item<'_>> = read(text.as_bytes(), &origin())?;
    assert_eq!(items.len(), 1, "{text}");
    items.remove(0).outcome
}

#[track_caller]
fn listing(record: &Value) -> Listing {
    accepted(record).listing
}

#[track_caller]
fn accepted(record: &Value) -> Accepted {
    one(&record.to_string()).unwrap_or_else(|refusal| panic!("{record} was refused: {refusal}"))
}

/// Shows that a record is refused with this code and that the message names the field.
#[track_caller]
fn refused(record: &Value, code: Code, field: &str) {
    let refusal = one(&record.to_string()).map(|a| a.listing).expect_err(&record.to_string());
    assert_eq!(refusal.code, code, "{record}: {refusal}");
    assert!(refusal.faults.iter().any(|fault| fault.field == field), "{record}: {refusal} does not name {field}");
    assert!(refusal.message.contains(field), "{refusal}");
}
