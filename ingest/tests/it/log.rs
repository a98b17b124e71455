//! The way in through the log.

use std::collections::BTreeMap;

use schemas::header;
use schemas::listing::Listing;
use schemas::topic::Topic;
use schemas::vocabulary::StandardStatus;
use stream::Record;

use ingest::{Config, Drained};
use stream::Outgoing;

use crate::faulty::{Fault, faulty};
use crate::house::{House, PATIENCE, least, on_every_log, raw};

/// Where a listing of a raw record came from: partition, offset, index.
type Place = (u32, u64, u32);

fn canonical(record: &Record) -> (Place, Listing) {
    let listing: Listing = serde_json::from_slice(record.value.as_ref().unwrap()).unwrap();
    assert_eq!(record.key.as_deref(), Some(listing.listing_id.as_str().as_bytes()));
    let version = listing.version;
    ((version.raw_partition, version.raw_offset, version.batch_index), listing)
}

fn dead(record: &Record) -> (Place, String) {
    let number = |name| header::integer(&record.headers, name).unwrap();
    let place = (
        u32::try_from(number(header::DEAD_PARTITION)).unwrap(),
        u64::try_from(number(header::DEAD_OFFSET)).unwrap(),
        u32::try_from(number(header::DEAD_INDEX)).unwrap(),
    );
    (place, header::text(&record.headers, header::DEAD_CODE).unwrap().to_owned())
}

fn outcomes(house: &House, listings: usize, dead_letters: usize) -> BTreeMap<Place, String> {
    let mut outcomes = BTreeMap::new();
    for (place, listing) in house.read(Topic::Listings, listings).iter().map(canonical) {
        assert_eq!(outcomes.insert(place, format!("{} {}", listing.listing_id, listing.standard_status)), None);
    }
    for (place, code) in house.read(Topic::DeadLetters, dead_letters).iter().map(dead) {
        assert_eq!(outcomes.insert(place, code), None, "{place:?}");
    }
    outcomes
}

fn many(numbers: std::ops::Range<u32>) -> Vec<Outgoing> {
    numbers.map(|n| raw(Some(&n.to_string()), Some(&least(&n.to_string())), &[])).collect()
}

#[test]
fn each_listing_of_a_raw_record_comes_out_once_as_a_listing_or_as_a_dead_letter() {
    on_every_log(|house| {
        let batch = format!(r#"{{"value":[{},{{}},{}]}}"#, least("b1"), least("b2"));
        let places = house.publish(vec![
            raw(Some("x"), Some(&least("1")), &[]),
            raw(None, Some(&least("2")), &[(header::FEED, "f")]),
            raw(Some("f:3"), None, &[]),
            raw(Some("x"), Some("{"), &[]),
            raw(None, None, &[]),
            raw(Some("x"), Some(&batch), &[(header::FEED, "f")]),
            raw(Some("x"), Some(r#"{"value":[]}"#), &[]),
        ]);
        let ingest = house.start();
        let found = outcomes(house, 5, 4);
        let at = |record: usize, index: u32, outcome: &str| {
            ((places[record].partition, places[record].offset, index), outcome.to_owned())
        };
        let expected = BTreeMap::from([
            at(0, 0, "default:1 Active"),
            at(1, 0, "f:2 Active"),
            at(2, 0, "f:3 Delete"),
            at(3, 0, "not_json"),
            at(4, 0, "key_missing"),
            at(5, 0, "f:b1 Active"),
            at(5, 1, "key_missing"),
            at(5, 2, "f:b2 Active"),
            at(6, 0, "wrong_shape"),
        ]);
        assert_eq!(found, expected);
        house.stop(ingest);
    });
}

#[test]
fn after_a_stop_work_goes_on_where_it_ended_and_nothing_is_done_twice() {
    on_every_log(|house| {
        house.publish(many(0..500));
        let first = house.start();
        house.read(Topic::Listings, 500);
        house.stop(first);
        house.publish(many(500..1_000));
        let second = house.start();
        assert_eq!(outcomes(house, 1_000, 0).len(), 1_000);
        house.stop(second);
    });
}

#[test]
fn a_listing_keeps_the_order_of_its_statements() {
    on_every_log(|house| {
        let statements: Vec<_> = (1..=50)
            .map(|price| raw(Some("k"), Some(&least("1").replace("650000", &price.to_string())), &[]))
            .chain([raw(Some("k"), Some(r#"{"ListingKey":"1","StandardStatus":"Delete"}"#), &[])])
            .collect();
        house.publish(statements);
        let ingest = house.start();
        let listings: Vec<Listing> = house.read(Topic::Listings, 51).iter().map(|record| canonical(record).1).collect();
        let prices: Vec<_> = listings.iter().filter_map(|listing| Some(listing.list_price?.units())).collect();
        assert_eq!(prices, (1..=50).collect::<Vec<_>>());
        assert!(listings.is_sorted_by_key(|listing| listing.version));
        assert_eq!(listings[50].standard_status, StandardStatus::Delete);
        house.stop(ingest);
    });
}

#[test]
fn a_small_window_and_a_full_queue_slow_it_down_and_change_nothing() {
    on_every_log(|house| {
        let batch = format!(r#"{{"value":[{},{{}},{},{}]}}"#, least("a"), least("b"), least("c"));
        let mut records = many(0..100);
        // At three places, so that the queue is full within a batch and not always before it.
        for place in [10, 50, 91] {
            records.insert(place, raw(Some("x"), Some(&batch), &[]));
        }
        house.publish(records);
        let log = faulty(&house.log, Fault::QueueFull);
        let ingest = house.start_on(&log, Config { window: 7, ..Config::default() });
        assert_eq!(outcomes(house, 109, 3).len(), 112);
        house.stop(ingest);
    });
}

#[test]
fn a_failed_delivery_ends_it_with_a_line_and_the_next_start_does_the_rest() {
    on_every_log(|house| {
        house.publish(many(0..100));
        let log = faulty(&house.log, Fault::DeliveryFails(40));
        let broken = house.start_on(&log, Config::default());
        let deadline = std::time::Instant::now() + PATIENCE;
        while house.complaints.lock().unwrap().is_empty() {
            assert!(std::time::Instant::now() < deadline, "it did not complain");
            std::thread::park_timeout(std::time::Duration::from_millis(5));
        }
        let complaint = house.complaints.lock().unwrap().remove(0);
        assert!(complaint.contains("was not delivered: all brokers are asleep"), "{complaint}");
        assert!(broken.ready().is_err());
        assert!(matches!(broken.stop(PATIENCE), Drained::RecordsLeft(left) if left >= 1));
        let ingest = house.start();
        // What was under way is done again: at least once, and the same.
        let mut found = BTreeMap::new();
        let deadline = std::time::Instant::now() + PATIENCE;
        while found.len() < 100 {
            assert!(std::time::Instant::now() < deadline, "{} of 100", found.len());
            for (place, listing) in house.read(Topic::Listings, 100).iter().map(canonical) {
                let before = found.insert(place, listing.clone());
                assert!(before.is_none_or(|before| before == listing));
            }
        }
        house.stop(ingest);
    });
}
