//! What becomes of a raw record: for each listing in it exactly one record, on `listings` or on `dead-letters`. Pure.
//!
//! What a listing is, `schemas::reso` knows; who sends and acknowledges, `worker.rs`.

use std::panic::{AssertUnwindSafe, catch_unwind};

use schemas::dead_letter::Code;
use schemas::field_error::{Fault, FieldError};
use schemas::header::{self, Headers};
use schemas::id::FeedName;
use schemas::listing::Listing;
use schemas::reso::{self, Item, LeftOut, Origin, Refusal};
use schemas::topic::{MAX_RAW_BYTES, Topic, listing_key};
use stream::{Outgoing, Record};

/// CloudEvents `type` of a record of `listings`.
const EVENT_TYPE: &str = "roost.listing.changed.v1";
/// CloudEvents `source` of everything that ingest writes.
const EVENT_SOURCE: &str = "roost/ingest";

/// Most bytes of key and headers of a raw record. Every dead letter of a batch carries them; with a thousand of those this
/// bounds what one record can make of itself, and no client sends as much.
const MAX_ENVELOPE_BYTES: usize = 16 * 1024;
/// Longest reason of a sender that is repeated, in characters.
const MAX_REASON_CHARS: usize = 500;

/// What becomes of one listing of a raw record.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// The feed it belongs to.
    pub feed: FeedName,
    /// Taken or refused.
    pub verdict: Verdict,
    /// The record to append.
    pub outgoing: Outgoing,
}

/// Taken or refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is canonical.
    Canonical {
        /// When the feed said it, milliseconds since 1970.
        timestamp_ms: i64,
        /// What of the record the listing does not hold.
        left_out: LeftOut,
    },
    /// It is a dead letter.
    Dead(Code),
}

/// Decides on a record of `listings.raw`. At least one outcome, in the order of the batch.
pub fn decide(record: &Record) -> Vec<Outcome> {
    let envelope = envelope_bytes(record);
    if envelope > MAX_ENVELOPE_BYTES {
        let message = format!("key and headers have {envelope} bytes (expected at most {MAX_ENVELOPE_BYTES})");
        return vec![refused(record, FeedName::default_feed(), &whole(Code::TooLarge, message))];
    }
    let feed = match feed_header(&record.headers) {
        Ok(feed) => feed,
        Err(refusal) => return vec![refused(record, FeedName::default_feed(), &refusal)],
    };
    let known_feed = || feed.clone().unwrap_or_else(FeedName::default_feed);
    if let Some(reason) = header::text(&record.headers, header::MAPPING_ERROR) {
        let reason: String = reason.chars().take(MAX_REASON_CHARS).collect();
        let message = format!("the sender could not map the record: {reason}");
        return vec![refused(record, known_feed(), &whole(Code::MappingFailed, message))];
    }
    let mut origin = Origin {
        partition: record.partition,
        offset: record.offset,
        append_time_ms: record.append_time_ms,
        feed: feed.clone(),
        ce_time_ms: None,
    };
    let value = record.value.as_deref().unwrap_or_default();
    if value.is_empty() {
        let deleted = event_time(&record.headers).and_then(|time| {
            origin.ce_time_ms = time;
            reso::read_delete(record.key.as_deref(), &origin)
        });
        return vec![match deleted {
            Ok(listing) => taken(record, &listing, LeftOut::default(), 0, 0),
            Err(refusal) => refused(record, known_feed(), &refusal),
        }];
    }
    if value.len() > MAX_RAW_BYTES {
        let message = format!("the value has {} bytes (expected at most {MAX_RAW_BYTES})", value.len());
        return vec![refused(record, known_feed(), &whole(Code::TooLarge, message))];
    }
    // The reader has no panic that is known. One that is not must cost a record, not the feed: it would come back with
    // every restart.
    let Ok(read) = catch_unwind(AssertUnwindSafe(|| reso::read(value, &origin))) else {
        let message = "roost's reader failed on the record: a defect of roost, please report it with this record";
        return vec![refused(record, known_feed(), &whole(Code::ReaderFailed, message.to_owned()))];
    };
    match read {
        Err(refusal) => vec![refused(record, known_feed(), &refusal)],
        Ok(items) => (0..)
            .zip(items)
            .map(|(index, item)| match &item.outcome {
                Ok(accepted) => taken(record, &accepted.listing, accepted.left_out, index, item.text.len()),
                Err(refusal) => refused_item(record, &item, refusal, index),
            })
            .collect(),
    }
}

fn envelope_bytes(record: &Record) -> usize {
    let headers: usize = record.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
    headers + record.key.as_ref().map_or(0, Vec::len)
}

fn whole(code: Code, message: String) -> Refusal {
    Refusal { code, message, faults: Vec::new() }
}

/// The feed that the header names. Whoever sends the header means it: one that cannot be read is a fault, not an absence.
fn feed_header(headers: &Headers) -> Result<Option<FeedName>, Refusal> {
    let Some((_, value)) = headers.iter().rev().find(|(name, _)| name == header::FEED) else { return Ok(None) };
    let text = String::from_utf8_lossy(value);
    text.parse().map(Some).map_err(|error: FieldError| wrong_header(error.named(header::FEED)))
}

/// The time of the header `ce_time`.
fn event_time(headers: &Headers) -> Result<Option<i64>, Refusal> {
    let Some((_, value)) = headers.iter().rev().find(|(name, _)| name == header::CE_TIME) else { return Ok(None) };
    let text = String::from_utf8_lossy(value);
    text.parse::<jiff::Timestamp>()
        .map(|time| Some(time.as_millisecond()))
        .map_err(|_| wrong_header(FieldError::new(header::CE_TIME, text, Fault::BadType, "an RFC 3339 timestamp")))
}

fn wrong_header(error: FieldError) -> Refusal {
    Refusal { code: Code::WrongHeader, message: error.to_string(), faults: vec![error] }
}

/// `length` is that of the text it was read from, and about that of the text it becomes.
fn taken(record: &Record, listing: &Listing, left_out: LeftOut, index: u32, length: usize) -> Outcome {
    let timestamp_ms = listing.version.timestamp_ms;
    let id = format!("{}-{}-{index}", record.partition, record.offset);
    let mut headers = header::cloud_event(EVENT_TYPE, EVENT_SOURCE, id, timestamp_ms);
    headers.extend(record.headers.iter().rev().find(|(name, _)| name == header::TRACEPARENT).cloned());
    let mut value = Vec::with_capacity(length + 256);
    // Writing a listing fails only where a map has keys that are no text: it has none.
    serde_json::to_writer(&mut value, listing).expect("a listing is writable");
    let outgoing = Outgoing {
        topic: Topic::Listings,
        partition: None,
        key: Some(listing_key(&listing.listing_id)),
        value: Some(value),
        headers,
    };
    Outcome { feed: listing.feed.clone(), verdict: Verdict::Canonical { timestamp_ms, left_out }, outgoing }
}

/// The whole record as a dead letter.
fn refused(record: &Record, feed: FeedName, refusal: &Refusal) -> Outcome {
    dead(record, feed, refusal, 0)
}

/// One listing of the record as a dead letter, with its own bytes, so that a batch is not multiplied by its faults.
fn refused_item(record: &Record, item: &Item<'_>, refusal: &Refusal, index: u32) -> Outcome {
    let own = Record {
        value: Some(item.text.as_bytes().to_vec()),
        key: record.key.clone(),
        headers: record.headers.clone(),
        ..*record
    };
    dead(&own, item.feed.clone(), refusal, index)
}

fn dead(record: &Record, feed: FeedName, refusal: &Refusal, index: u32) -> Outcome {
    let outgoing = stream::dead_letter::of(record, &refusal.clone().into(), "ingest", index, Some(&feed));
    Outcome { feed, verdict: Verdict::Dead(refusal.code), outgoing }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: i64 = 1_795_608_000_000;
    const LEAST: &str = r#"{"ListingKey":"1","StandardStatus":"Active","ListPrice":1,"City":"Austin","Country":"US"}"#;

    fn record(key: Option<&str>, value: Option<&[u8]>, headers: &[(&str, &str)]) -> Record {
        Record {
            topic: Topic::ListingsRaw,
            partition: 2,
            offset: 7,
            append_time_ms: NOW_MS,
            key: key.map(|key| key.as_bytes().to_vec()),
            value: value.map(<[u8]>::to_vec),
            headers: headers.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec())).collect(),
        }
    }

    fn only(record: &Record) -> Outcome {
        let mut outcomes = decide(record);
        assert_eq!(outcomes.len(), 1);
        outcomes.remove(0)
    }

    fn listing(outcome: &Outcome) -> Listing {
        assert_eq!(outcome.outgoing.topic, Topic::Listings, "{outcome:?}");
        serde_json::from_slice(outcome.outgoing.value.as_ref().unwrap()).unwrap()
    }

    fn text<'a>(outcome: &'a Outcome, name: &str) -> &'a str {
        header::text(&outcome.outgoing.headers, name).unwrap_or_else(|| panic!("{name}: {outcome:?}"))
    }

    #[track_caller]
    fn dead(record: &Record, code: Code) -> Outcome {
        let outcome = only(record);
        assert_eq!((outcome.outgoing.topic, outcome.verdict), (Topic::DeadLetters, Verdict::Dead(code)), "{outcome:?}");
        assert_eq!(text(&outcome, header::DEAD_CODE), code.as_str());
        assert_eq!(outcome.outgoing.value, record.value, "the bytes are intact");
        outcome
    }

    #[test]
    fn a_good_record_becomes_a_listing_under_its_id() {
        for key in [None, Some(""), Some("whatever")] {
            let outcome =
                only(&record(key, Some(LEAST.as_bytes()), &[("roost-feed", "a"), ("traceparent", "00-1-2-01")]));
            assert_eq!(outcome.outgoing.key.as_deref(), Some(&b"a:1"[..]));
            let version = listing(&outcome).version;
            assert_eq!((version.timestamp_ms, version.raw_partition, version.raw_offset), (NOW_MS, 2, 7));
            assert_eq!((text(&outcome, header::CE_ID), text(&outcome, header::TRACEPARENT)), ("2-7-0", "00-1-2-01"));
        }
    }

    #[test]
    fn every_record_of_a_batch_has_exactly_one_outcome_with_its_own_index_and_bytes() {
        let batch = format!(r#"{{"value":[{LEAST}, {{"ListingKey":"2"}} ,{LEAST}]}}"#);
        let outcomes = decide(&record(Some("k"), Some(batch.as_bytes()), &[]));
        let topics: Vec<_> = outcomes.iter().map(|outcome| outcome.outgoing.topic).collect();
        assert_eq!(topics, [Topic::Listings, Topic::DeadLetters, Topic::Listings]);
        assert_eq!(listing(&outcomes[2]).version.batch_index, 2);
        assert_eq!(outcomes[1].outgoing.value.as_deref(), Some(&br#"{"ListingKey":"2"}"#[..]));
        assert_eq!(text(&outcomes[1], header::DEAD_INDEX), "1");
    }

    #[test]
    fn an_empty_value_is_a_delete_dated_by_its_event_time() {
        for value in [None, Some(&b""[..])] {
            let gone = only(&record(Some("a:1"), value, &[("ce_time", "2026-11-20T14:03:22.107Z")]));
            let listing = listing(&gone);
            assert_eq!(listing.listing_id.as_str(), "a:1");
            assert_eq!(listing.version.timestamp_ms, 1_795_183_402_107);
        }
        let by_header = only(&record(Some("1"), None, &[("roost-feed", "a")]));
        assert_eq!(listing(&by_header).listing_id.as_str(), "a:1");
    }

    #[test]
    fn a_dead_letter_tells_where_it_came_from_and_keeps_what_it_was() {
        let outcome = dead(&record(Some("k"), Some(b"{"), &[("x", "y"), ("roost-feed", "a")]), Code::NotJson);
        for (name, value) in [
            ("x", "y"),
            (header::DEAD_TOPIC, "listings.raw"),
            (header::DEAD_PARTITION, "2"),
            (header::DEAD_OFFSET, "7"),
            (header::DEAD_INDEX, "0"),
            (header::DEAD_FEED, "a"),
            (header::DEAD_SERVICE, "ingest"),
        ] {
            assert_eq!(text(&outcome, name), value);
        }
        assert_eq!((outcome.outgoing.key.as_deref(), outcome.outgoing.partition), (Some(&b"k"[..]), None));
    }

    #[test]
    fn a_dead_letter_without_a_key_stays_on_its_partition() {
        for key in [None, Some("")] {
            let outcome = dead(&record(key, Some(b"{"), &[]), Code::NotJson);
            assert_eq!((outcome.outgoing.key, outcome.outgoing.partition), (None, Some(2)));
        }
    }

    #[test]
    fn faults_of_the_record_itself_have_their_own_codes() {
        dead(&record(None, None, &[]), Code::KeyMissing);
        dead(&record(Some("1"), None, &[]), Code::KeyMissing);
        dead(&record(Some("a:1"), None, &[("ce_time", "noon")]), Code::WrongHeader);
        dead(&record(Some("a:1"), None, &[("ce_time", "2026-11-25T12:06:00Z")]), Code::TimestampInTheFuture);
        dead(&record(None, Some(LEAST.as_bytes()), &[("roost-feed", "No Feed")]), Code::WrongHeader);
        dead(&record(None, Some(LEAST.as_bytes()), &[("roost-mapping-error", "no PRICE")]), Code::MappingFailed);
        dead(&record(None, Some(&vec![b' '; MAX_RAW_BYTES + 1]), &[]), Code::TooLarge);
        dead(&record(None, Some(br#"{"value":[]}"#), &[]), Code::WrongShape);
    }

    #[test]
    fn what_a_sender_wrote_at_length_is_not_repeated_at_length() {
        let long = "x".repeat(9_000);
        for (record, code) in [
            (record(Some(&long), None, &[]), Code::KeyMissing),
            (record(Some("a:1"), None, &[("ce_time", &long)]), Code::WrongHeader),
            (record(None, Some(b"{}"), &[("roost-feed", &long)]), Code::WrongHeader),
            (record(None, Some(b"{}"), &[("roost-mapping-error", &long)]), Code::MappingFailed),
            (record(None, Some(format!(r#"{{"{long}":1,"{long}":2}}"#).as_bytes()), &[]), Code::DuplicateMember),
        ] {
            let outcome = dead(&record, code);
            assert!(text(&outcome, header::DEAD_MESSAGE).len() < 1_000, "{code}");
        }
        let longer = "x".repeat(MAX_ENVELOPE_BYTES + 1);
        dead(&record(None, Some(LEAST.as_bytes()), &[("x", &longer)]), Code::TooLarge);
    }

    #[test]
    fn a_feed_header_that_is_not_utf8_is_a_wrong_header() {
        let mut record = record(None, Some(LEAST.as_bytes()), &[]);
        record.headers.push((header::FEED.to_owned(), vec![0xFF]));
        dead(&record, Code::WrongHeader);
    }
}
