//! Records in, records out: what stands on `listings` and `listings.priced` as values, and what the enricher appends as
//! records. Pure.

use schemas::dead_letter::{Code, Poison};
use schemas::field_error::FieldError;
use schemas::header::{self, Headers};
use schemas::id::ListingId;
use schemas::listing::Listing;
use schemas::priced::PricedListing;
use schemas::sale::Sale;
use schemas::shadow::Shadow;
use schemas::topic::{Topic, listing_key, partition_of};
use stream::{Outgoing, Record};

const PRICED_TYPE: &str = "roost.listing.priced.v1";
const SALE_TYPE: &str = "roost.listing.sold.v1";
const SHADOW_TYPE: &str = "roost.listing.shadowed.v1";
const SOURCE: &str = "roost/enricher";

/// The statement that a record of `listings` carries. `partitions` is P.
pub fn statement(record: &Record, partitions: u32) -> Result<Listing, Poison> {
    let Some(value) = record.value.as_deref() else {
        return Err(poison(Code::WrongShape, "the value is empty (expected a canonical listing)"));
    };
    let listing: Listing = serde_json::from_slice(value).map_err(|error| {
        let code = if error.is_data() { Code::BadType } else { Code::NotJson };
        poison(code, &format!("not a canonical listing: {error}"))
    })?;
    let key = listing_key(&listing.listing_id);
    if record.key.as_ref() != Some(&key) {
        let given = record.key.as_deref().map(String::from_utf8_lossy).unwrap_or_default();
        return Err(poison(Code::WrongKey, &format!("the key is `{given}` (expected `{}`)", listing.listing_id)));
    }
    let home = partition_of(&key, partitions);
    if home != record.partition {
        let wrong =
            format!("`{}` stands on partition {} (expected {home}: murmur2)", listing.listing_id, record.partition);
        return Err(poison(Code::WrongKey, &wrong));
    }
    Ok(listing)
}

fn poison(code: Code, message: &str) -> Poison {
    Poison { code, message: message.to_owned() }
}

/// What a record of `listings.priced` says: the fact, `None` for a tombstone.
pub enum Followed {
    /// Of this listing.
    Fact(ListingId, Option<Box<PricedListing>>),
    /// A key that is a listing's with a value that is no fact of it.
    Unreadable(ListingId, String),
    /// Not even the key is a listing's.
    Foreign(String),
}

/// The listing that a record of `listings.priced` is about, by its key.
pub fn listing_id(record: &Record) -> Result<ListingId, String> {
    let key = record.key.as_deref().and_then(|key| std::str::from_utf8(key).ok());
    key.ok_or_else(|| "no key that is UTF-8".to_owned())?.parse().map_err(|error: FieldError| error.to_string())
}

/// Reads a record of `listings.priced`.
pub fn followed(record: &Record) -> Followed {
    let id = match listing_id(record) {
        Ok(id) => id,
        Err(why) => return Followed::Foreign(why),
    };
    match record.value.as_deref().map(serde_json::from_slice::<PricedListing>) {
        None => Followed::Fact(id, None),
        Some(Ok(fact)) if fact.listing.listing_id == id => Followed::Fact(id, Some(Box::new(fact))),
        Some(Ok(fact)) => Followed::Unreadable(id, format!("it is a fact of {}", fact.listing.listing_id)),
        Some(Err(error)) => Followed::Unreadable(id, error.to_string()),
    }
}

/// A fact as a record. `event` is unique within the enricher, `trace` the trace that led to it.
pub fn fact(fact: &PricedListing, event: String, trace: Option<&[u8]>) -> Outgoing {
    let id = &fact.listing.listing_id;
    let time_ms = fact.listing.version.timestamp_ms;
    outgoing(Topic::ListingsPriced, id, Some(json(fact)), headers(PRICED_TYPE, event, time_ms, trace))
}

/// A tombstone of `listings.priced`.
pub fn tombstone(id: &ListingId, event: String, time_ms: i64) -> Outgoing {
    outgoing(Topic::ListingsPriced, id, None, headers(PRICED_TYPE, event, time_ms, None))
}

/// A sale as a record.
pub fn sale(sale: &Sale, event: String, trace: Option<&[u8]>) -> Outgoing {
    let headers = headers(SALE_TYPE, event, sale.version.timestamp_ms, trace);
    outgoing(Topic::Sales, &sale.listing_id, Some(json(sale)), headers)
}

/// What champion and candidate say of a listing as a record.
pub fn shadow(shadow: &Shadow, event: String, trace: Option<&[u8]>) -> Outgoing {
    let headers = headers(SHADOW_TYPE, event, shadow.version.timestamp_ms, trace);
    outgoing(Topic::ValuationsShadow, &shadow.listing_id, Some(json(shadow)), headers)
}

/// The sale that a record of `sales` carries, if it is one.
pub fn sold(record: &Record) -> Option<Sale> {
    serde_json::from_slice(record.value.as_deref()?).ok()
}

/// A record of `listings` as a dead letter.
pub fn dead_letter(record: &Record, poison: &Poison) -> Outgoing {
    let feed = listing_id(record).ok().map(|id| id.feed());
    stream::dead_letter::of(record, poison, "enricher", 0, feed.as_ref())
}

/// The trace of a record.
pub fn trace(record: &Record) -> Option<Vec<u8>> {
    record.headers.iter().rev().find(|(name, _)| name == header::TRACEPARENT).map(|(_, value)| value.clone())
}

fn headers(kind: &str, event: String, time_ms: i64, trace: Option<&[u8]>) -> Headers {
    let mut headers = header::cloud_event(kind, SOURCE, event, time_ms);
    headers.extend(trace.map(|trace| (header::TRACEPARENT.to_owned(), trace.to_vec())));
    headers
}

fn outgoing(topic: Topic, id: &ListingId, value: Option<Vec<u8>>, headers: Headers) -> Outgoing {
    Outgoing { topic, partition: None, key: Some(listing_key(id)), value, headers }
}

fn json(value: &impl serde::Serialize) -> Vec<u8> {
    // Fails only for a map whose keys are no texts: none of these has one.
    serde_json::to_vec(value).expect("facts, sales and shadows are writable as JSON")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::listing;

    fn record(key: Option<&str>, value: Option<&str>) -> Record {
        Record {
            topic: Topic::Listings,
            partition: partition_of(b"f:1", 4),
            offset: 7,
            append_time_ms: 1,
            key: key.map(|key| key.as_bytes().to_vec()),
            value: value.map(|value| value.as_bytes().to_vec()),
            headers: vec![(header::TRACEPARENT.to_owned(), b"00-1".to_vec())],
        }
    }

    #[test]
    fn a_record_that_is_no_statement_has_the_code_of_its_fault() {
        let good = serde_json::to_string(&listing(1, "Active", 100)).unwrap();
        assert_eq!(statement(&record(Some("f:1"), Some(&good)), 4).unwrap(), listing(1, "Active", 100));
        let mut moved = record(Some("f:1"), Some(&good));
        moved.partition = (moved.partition + 1) % 4;
        for (record, code) in [
            (record(Some("f:1"), None), Code::WrongShape),
            (record(Some("f:1"), Some("{")), Code::NotJson),
            (record(Some("f:1"), Some("{\"listing_id\": 5}")), Code::BadType),
            (record(Some("f:2"), Some(&good)), Code::WrongKey),
            (record(None, Some(&good)), Code::WrongKey),
            (moved, Code::WrongKey),
        ] {
            assert_eq!(statement(&record, 4).unwrap_err().code, code, "{record:?}");
        }
    }

    #[test]
    fn a_dead_letter_names_the_feed_if_the_key_does() {
        let feed = |key| {
            let dead = dead_letter(&record(key, Some("{")), &poison(Code::NotJson, "why"));
            header::text(&dead.headers, header::DEAD_FEED).map(str::to_owned)
        };
        assert_eq!([feed(Some("f:1")), feed(Some("none")), feed(None)], [Some("f".to_owned()), None, None]);
    }

    #[test]
    fn a_fact_reads_back_as_it_was_and_a_wrong_one_is_told_apart() {
        let one = crate::testing::fact(3, "Active", 100);
        let out = fact(&one, "e-1".to_owned(), Some(b"00-1"));
        assert_eq!(header::text(&out.headers, header::CE_TYPE), Some("roost.listing.priced.v1"));
        let read = |key: &str, value: Option<Vec<u8>>| {
            followed(&Record { key: Some(key.as_bytes().to_vec()), value, ..record(None, None) })
        };
        assert!(matches!(read("f:1", out.value.clone()), Followed::Fact(_, Some(fact)) if *fact == one));
        assert!(matches!(read("f:1", None), Followed::Fact(_, None)));
        assert!(matches!(read("f:2", out.value), Followed::Unreadable(_, _)));
        assert!(matches!(read("f:1", Some(b"{}".to_vec())), Followed::Unreadable(_, _)));
        assert!(matches!(read("none", None), Followed::Foreign(_)));
    }
}
