//! From a row to the record that is sent: mapped, or as it is with the reason.

use std::time::{SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use schemas::header::{self, Headers};
use schemas::id::{FeedName, ListingId};
use schemas::topic::{self, MAX_RAW_BYTES};
use serde_json::json;

use super::input::{Input, RawRow};
use super::summary::Place;
use crate::mapping::{Mapping, Members, Row};

/// CloudEvents `type` of what a feed client sends.
const EVENT_TYPE: &str = "roost.listing.published.v1";

/// A record to send.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) key: Vec<u8>,
    pub(super) value: Vec<u8>,
    pub(super) headers: Headers,
    pub(super) place: Place,
    /// Why the mapping could not read the row: the value is the row as it is.
    pub(super) unmapped: Option<String>,
}

/// Makes records of rows.
pub(super) struct Records<'a> {
    feed: &'a FeedName,
    mapping: &'a Mapping,
    source: String,
    run: String,
    count: u64,
}

impl<'a> Records<'a> {
    pub(super) fn new(feed: &'a FeedName, mapping: &'a Mapping) -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        // Unique enough for an id per source: nobody starts two runs of a feed in one process and nanosecond.
        let run = format!("{:x}-{:x}", since.as_nanos(), std::process::id());
        Self { feed, mapping, source: format!("roost/publish/{feed}"), run, count: 0 }
    }

    /// The record of a row, stamped with the time of its snapshot if it has one; the second value is what it says, if it
    /// could be mapped. `Err`: it is too large to be sent.
    pub(super) fn of<'r>(
        &mut self,
        input: &'r Input,
        raw: &'r RawRow,
        place: Place,
        stamp: Option<Timestamp>,
    ) -> Result<(Item, Option<Members<'r>>), (Place, String)> {
        let row = input.row(raw);
        let (value, members, key, unmapped) = match row.as_ref().map(|row| self.mapping.members(row)) {
            Ok(Ok(mut members)) => {
                if let Some(time) = stamp {
                    members.stamp(time);
                }
                let key = members.text("ListingKey");
                let is_as_it_stands = stamp.is_none() && self.mapping.is_reso() && matches!(row, Ok(Row::Json(_)));
                let value = if is_as_it_stands { raw.bytes.clone() } else { members.to_json() };
                (value, Some(members), key, None)
            }
            // Ingest finds out by itself, and more precisely, what is wrong with JSON that should be RESO.
            Ok(Err(_)) if self.mapping.is_reso() => (raw.bytes.clone(), None, None, None),
            Ok(Err(error)) => (raw.bytes.clone(), None, error.listing_key.clone(), Some(error.to_string())),
            Err(reason) => (raw.bytes.clone(), None, None, Some(reason.clone())),
        };
        if raw.bytes.is_empty() {
            return Err((place, unmapped.unwrap_or_else(|| "the row is empty".to_owned())));
        }
        if value.len() > MAX_RAW_BYTES {
            return Err((place, format!("the record has {} bytes (expected at most {MAX_RAW_BYTES})", value.len())));
        }
        let mut headers = self.headers();
        let told = unmapped.iter().map(|reason| format!("{}: {reason}", short(&place)));
        headers.extend(told.map(|text| (header::MAPPING_ERROR.to_owned(), text.into_bytes())));
        let key = self.key(key.as_deref(), &place);
        Ok((Item { key, value, headers, place, unmapped }, members))
    }

    /// The record of a home that is absent from a snapshot.
    pub(super) fn deletion(&mut self, listing_key: &str, time: Timestamp, place: Place) -> Item {
        let value =
            json!({"ListingKey": listing_key, "StandardStatus": "Delete", "ModificationTimestamp": time.to_string()});
        let key = self.key(Some(listing_key), &place);
        Item { key, value: value.to_string().into_bytes(), headers: self.headers(), place, unmapped: None }
    }

    fn headers(&mut self) -> Headers {
        self.count += 1;
        let id = format!("{}-{}", self.run, self.count);
        let mut headers = header::cloud_event(EVENT_TYPE, &self.source, id, Timestamp::now().as_millisecond());
        headers.push((header::FEED.to_owned(), self.feed.as_str().as_bytes().to_vec()));
        headers
    }

    /// The listing's id; for a row that names none, its place, so that such rows are spread over the partitions.
    fn key(&self, listing_key: Option<&str>, place: &Place) -> Vec<u8> {
        let id = listing_key.and_then(|key| ListingId::new(self.feed, key).ok());
        id.map_or_else(|| format!("{}:{}", self.feed, short(place)).into_bytes(), |id| topic::listing_key(&id))
    }
}

/// File name and line: what a person at another machine can use.
fn short(place: &Place) -> String {
    let name = place.file.file_name().unwrap_or_default().to_string_lossy();
    format!("{name}:{}", place.line)
}
