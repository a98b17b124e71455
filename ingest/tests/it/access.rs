//! Who may push, where somebody is asked for something.

use std::time::Instant;

use access::{Mode, key};
use ingest::publish::{Key, PublishError, Sink};
use ingest::{Config, Ingest};
use schemas::access::{AccessRecord, ApiKey, KeyRole};
use schemas::topic::Topic;
use stream::Outgoing;

use crate::house::{House, PATIENCE, least, on_every_log};
use crate::publish::options;

/// Ingest in mode `tokens`.
fn start(house: &House, directory: &std::path::Path) -> Ingest {
    let secret_file = directory.join("secret");
    if !secret_file.exists() {
        access::secret::Secret::create(&secret_file).unwrap();
    }
    let auth = access::Config { mode: Mode::Tokens, secret_file, ..access::Config::default() };
    let ingest = house.start_on(&house.log, Config { auth, ..Config::default() });
    let deadline = Instant::now() + PATIENCE;
    while let Err(reason) = ingest.ready() {
        assert!(Instant::now() < deadline, "{reason}");
        std::thread::park_timeout(std::time::Duration::from_millis(20));
    }
    ingest
}

fn put(house: &House, key: &ApiKey) {
    let record = AccessRecord::Key(key.clone());
    let (key, value) = (Some(record.key().to_string().into_bytes()), Some(record.to_json()));
    house.publish(vec![Outgoing { topic: Topic::Access, partition: None, key, value, headers: Vec::new() }]);
}

/// The status of a push to this feed, and of a question for its keys.
fn ask(ingest: &Ingest, feed: &str, header: Option<(&str, &str)>) -> [u16; 2] {
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let url = |what: &str| format!("http://{}/feeds/{feed}/{what}", ingest.push_address().unwrap());
    let (mut push, mut keys) = (agent.post(url("listings")), agent.get(url("keys")));
    if let Some((name, value)) = header {
        (push, keys) = (push.header(name, value), keys.header(name, value));
    }
    [push.send(least("1")).unwrap().status().as_u16(), keys.call().unwrap().status().as_u16()]
}

#[track_caller]
fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::park_timeout(std::time::Duration::from_millis(20));
    }
}

#[test]
fn a_feed_is_pushed_to_with_a_key_for_it_until_the_key_is_revoked() {
    on_every_log(|house| {
        let directory = tempfile::tempdir().unwrap();
        let ingest = start(house, directory.path());
        let make = |role, feeds: &[&str]| {
            let feeds = feeds.iter().map(|feed| feed.parse().unwrap()).collect();
            let (record, text) = key::create("test".to_owned(), role, feeds, access::now(), None);
            put(house, &record);
            (record, text)
        };
        let (bound, bound_text) = make(KeyRole::Service, &["f", "g"]);
        let (_, admin_text) = make(KeyRole::Admin, &[]);
        assert_eq!(ask(&ingest, "f", None), [401, 401]);
        eventually("the keys are known", || {
            ask(&ingest, "f", Some(("x-api-key", &bound_text))) == [200, 200]
                && ask(&ingest, "h", Some(("authorization", &format!("Bearer {admin_text}")))) == [200, 200]
        });
        assert_eq!(ask(&ingest, "h", Some(("x-api-key", &bound_text))), [403, 403]);
        assert_eq!(ask(&ingest, "f", Some(("x-api-key", &admin_text[..admin_text.len() - 1]))), [401, 401]);
        assert_eq!(ask(&ingest, "f", Some(("authorization", "Basic x"))), [401, 401]);
        put(house, &ApiKey { revoked_at: Some(access::now()), ..bound });
        eventually("it is revoked", || ask(&ingest, "f", Some(("x-api-key", &bound_text))) == [401, 401]);
        house.stop(ingest);
        let again = start(house, directory.path());
        assert_eq!(ask(&again, "f", Some(("x-api-key", &bound_text))), [401, 401], "after a restart, too");
        assert_eq!(ask(&again, "f", Some(("x-api-key", &admin_text))), [200, 200]);
        house.stop(again);
    });
}

#[test]
fn a_feed_client_sends_its_key_and_is_told_when_it_has_none() {
    crate::house::on_the_embedded_log(|house| {
        let directory = tempfile::tempdir().unwrap();
        let ingest = start(house, directory.path());
        let (record, text) = key::create("test".to_owned(), KeyRole::Service, Vec::new(), access::now(), None);
        put(house, &record);
        eventually("the key is known", || ask(&ingest, "f", Some(("x-api-key", &text))) == [200, 200]);
        let file = directory.path().join("a.jsonl");
        std::fs::write(&file, format!("{}\n{}\n", least("1"), least("2"))).unwrap();
        let run = |key: Option<Key>| {
            let mapping = ingest::mapping::Mapping::reso();
            let options = ingest::publish::Options { key, ..options(std::slice::from_ref(&file), mapping) };
            let base = format!("http://{}", ingest.push_address().unwrap());
            let nobody: ingest::publish::Waits = std::sync::Arc::new(|_| ());
            ingest::publish::run(&options, Sink::Push(base), &nobody, &mut |_| ())
        };
        let Err(PublishError::Refused { reason, .. }) = run(None) else { panic!() };
        assert!(reason.contains("401") && reason.contains("roost key create"), "{reason}");
        assert_eq!(run(Some(Key(text.clone()))).unwrap().sent, 2);
        assert!(!format!("{:?}", Key(text.clone())).contains(&text));
        house.stop(ingest);
    });
}
