//! What one process appends, others know, also those that start later; and the log's last word becomes the whole truth.

use access::Config;
use schemas::access::{AccessKey, AccessRecord, ApiKey, KeyRole, Owner, Webhook};
use schemas::id::{AccessId, SessionId};
use schemas::topic::Topic;
use schemas::units::Instant;
use stream::{Event, Start};

use crate::place::{Place, eventually};

fn at(ms: i64) -> Instant {
    Instant::from_ms(ms).unwrap()
}

fn key(revoked: Option<i64>) -> AccessRecord {
    AccessRecord::Key(ApiKey {
        key_id: "5d41402abc4b".parse().unwrap(),
        name: "feed".to_owned(),
        role: KeyRole::Service,
        feeds: Vec::new(),
        hash: "00".repeat(32),
        created_at: at(1),
        expires_at: None,
        revoked_at: revoked.map(at),
    })
}

fn is_revoked(access: &access::Access) -> bool {
    let id: AccessId = "5d41402abc4b".parse().unwrap();
    access.known().key(&id).is_some_and(|key| key.revoked_at.is_some())
}

/// The last value of a key on the log.
fn last(place: &Place, key: &AccessKey) -> Option<Vec<u8>> {
    let starts: Vec<_> = (0..place.log.partitions()).map(|p| (Topic::Access, p, Start::Earliest)).collect();
    let mut reader = place.log.follow(&starts).unwrap();
    let (mut events, mut ends, mut last) = (Vec::new(), 0, None);
    while ends < starts.len() {
        reader.poll(std::time::Duration::from_millis(100), &mut events).unwrap();
        for event in events.drain(..) {
            match event {
                Event::Record(record) if record.key.as_deref() == Some(key.to_string().as_bytes()) => {
                    last = record.value
                }
                Event::End { .. } => ends += 1,
                _ => {}
            }
        }
    }
    last
}

#[test]
fn what_one_process_appends_another_knows_and_one_that_starts_later_too() {
    let place = Place::new();
    let (one, other) = (place.access(&Config::default()), place.access(&Config::default()));
    let mut changed = other.webhooks_changed();
    let session = SessionId::from_bits(7);
    let webhook = AccessRecord::Webhook(Webhook {
        webhook_id: AccessId::random(),
        owner: Owner::Session(session),
        url: "https://example.com".to_owned(),
        sessions: Vec::new(),
        created_at: at(1),
        deleted_at: None,
        delivery: None,
    });
    place.runtime.block_on(one.append(webhook)).unwrap();
    assert_eq!(one.webhooks_for(session).len(), 1, "its own word is known at once");
    eventually("the other knows it", || other.webhooks_for(session).len() == 1);
    assert!(changed.has_changed().unwrap() && *changed.borrow_and_update() > 0);
    let later = place.access(&Config::default());
    assert_eq!(later.webhooks_of(&Owner::Session(session)).len(), 1);
    assert!(later.webhooks_for(SessionId::from_bits(8)).is_empty());
}

#[test]
fn the_last_record_of_a_key_becomes_the_whole_truth() {
    let place = Place::new();
    place.append(&key(Some(5)));
    place.append(&key(None));
    // Who starts now repairs what it finds.
    let one = place.access(&Config::default());
    assert!(is_revoked(&one));
    eventually("the log says it is revoked", || last(&place, &key(None).key()) == Some(key(Some(5)).to_json()));
    // Who appends less than what is known repairs its own.
    place.runtime.block_on(one.append(key(None))).unwrap();
    assert!(is_revoked(&one));
    eventually("the log says so again", || last(&place, &key(None).key()) == Some(key(Some(5)).to_json()));
    assert!(is_revoked(&place.access(&Config::default())));
}

#[test]
fn a_record_that_cannot_be_read_stops_nothing() {
    let place = Place::new();
    let producer = place.log.producer(std::sync::Arc::new(Deaf)).unwrap();
    for (key, value) in [("door|1", "{}"), ("key|5d41402abc4b", "{"), ("key|5d41402abc4b", "{\"name\": 1}")] {
        let (key, value) = (Some(key.as_bytes().to_vec()), Some(value.as_bytes().to_vec()));
        let outgoing = stream::Outgoing { topic: Topic::Access, partition: None, key, value, headers: Vec::new() };
        producer.send(outgoing, 0).unwrap();
    }
    producer.flush(std::time::Duration::from_secs(5)).unwrap();
    place.append(&key(Some(5)));
    assert!(is_revoked(&place.access(&Config::default())));
}

struct Deaf;
impl stream::AckSink for Deaf {
    fn acked(&self, _: u64, _: Result<stream::Delivered, stream::DeliveryError>) {}
}
