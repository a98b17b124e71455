//! Webhooks from registration to the receiver, over real sockets.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use access::Mode;
use api::{Config, WebhookConfig};
use schemas::access::KeyRole;
use schemas::id::SessionId;
use schemas::topic::Topic;
use serde_json::{Value, json};
use stream::{Event, Start};
use tempfile::TempDir;

use crate::access::{api_key, session_with_rows, settings};
use crate::desk::{Answer, Desk, item};
use crate::receiver::Receiver;

const PATH: &str = "/api/v1/webhooks";

/// Settings with which receivers of this machine may be reached, and are tried again soon.
fn local() -> (TempDir, Config) {
    let (directory, config) = settings(Mode::Open);
    let webhooks = WebhookConfig {
        allow_http: true,
        allow_private_addresses: true,
        first_pause: Duration::from_millis(100),
        longest_pause: Duration::from_millis(400),
        timeout: Duration::from_secs(5),
        ..WebhookConfig::default()
    };
    (directory, Config { webhooks, ..config })
}

/// A session that is there: bearer, id, version of its statement.
struct Seat {
    bearer: String,
    id: SessionId,
    version: u64,
}

fn seat(desk: &Desk) -> Seat {
    let accepted = session_with_rows(desk);
    Seat {
        bearer: format!("Bearer {}", accepted["token"].as_str().unwrap()),
        id: accepted["session_id"].as_str().unwrap().parse().unwrap(),
        version: accepted["version"].as_u64().unwrap(),
    }
}

fn as_(who: &str) -> [(&str, &str); 2] {
    let name = if who.starts_with("Bearer") { "authorization" } else { "x-api-key" };
    [(name, who), ("content-type", "application/json")]
}

fn register_with(desk: &Desk, who: &str, body: &Value) -> Answer {
    desk.ask("POST", PATH, &as_(who), body.to_string().as_bytes())
}

fn register(desk: &Desk, who: &str, url: &str) -> Value {
    let answer = register_with(desk, who, &json!({"url": url}));
    assert_eq!(answer.status, 201, "{}", answer.text);
    let registered = answer.json();
    let location = format!("{PATH}/{}", registered["webhook_id"].as_str().unwrap());
    assert_eq!((answer.header("location"), answer.header("cache-control")), (Some(&*location), Some("no-store")));
    registered
}

fn read(desk: &Desk, who: &str, webhook: &Value) -> Answer {
    desk.ask("GET", &path_of(webhook), &as_(who)[..1], b"")
}

fn path_of(webhook: &Value) -> String {
    format!("{PATH}/{}", webhook["webhook_id"].as_str().unwrap())
}

fn priced(price: i64) -> Value {
    let mut item = item();
    item["list_price"] = json!(price);
    item
}

fn prices(receiver: &Receiver) -> Vec<i64> {
    receiver.got().iter().filter_map(|got| got.json()["data"]["items"][0]["list_price"].as_i64()).collect()
}

/// Looks for a while whether anything comes that should not.
fn stays(receiver: &Receiver, count: usize) {
    std::thread::park_timeout(Duration::from_millis(700));
    assert_eq!(receiver.got().len(), count, "{:?}", receiver.got());
}

#[test]
fn a_change_arrives_signed_within_a_second() {
    let (_secret, config) = local();
    let (desk, receiver) = (Desk::start_with(config, None), Receiver::start());
    let seat = seat(&desk);
    desk.announce(seat.id, seat.version, &[priced(1)]);
    let webhook = register(&desk, &seat.bearer, &receiver.url);
    let changed = Instant::now();
    let event = desk.announce(seat.id, seat.version, &[priced(2)]);
    desk.eventually("it came", || !receiver.got().is_empty());
    assert!(changed.elapsed() < Duration::from_secs(1), "{:?}", changed.elapsed());
    let got = &receiver.got()[0];
    assert!(got.head.starts_with("POST /hook HTTP/1.1"), "{}", got.head);
    assert!(got.is_signed_with(webhook["secret"].as_str().unwrap()), "{got:?}");
    assert!(got.header("webhook-id").starts_with("msg_"));
    assert!(got.header("user-agent").starts_with("roost/"));
    assert_eq!(got.header("cookie"), "");
    let told = got.json();
    assert_eq!((&told["type"], &told["data"]["session_id"]), (&json!("recommendations.changed"), &json!(seat.id)));
    assert_eq!((&told["data"]["event_id"], &told["data"]["items"][0]["list_price"]), (&json!(event), &json!(2)));
    stays(&receiver, 1);
    // Equal picks are no news.
    desk.announce(seat.id, seat.version, &[priced(2)]);
    stays(&receiver, 1);
    desk.eventually("its owner sees that it went well", || {
        read(&desk, &seat.bearer, &webhook).json()["delivery"]["last_status"] == 204
    });
    let shown = read(&desk, &seat.bearer, &webhook);
    assert!(shown.json().get("secret").is_none() && !shown.text.contains("whsec_"), "{}", shown.text);
}

#[test]
fn a_receiver_that_fails_is_asked_again_with_the_newest_alone() {
    let (_secret, config) = local();
    let (desk, receiver) = (Desk::start_with(config, None), Receiver::start());
    let seat = seat(&desk);
    receiver.answer_status(500);
    let webhook = register(&desk, &seat.bearer, &receiver.url);
    desk.announce(seat.id, seat.version, &[priced(1)]);
    desk.eventually("it was tried three times", || receiver.got().len() >= 3);
    let first = receiver.got();
    assert!(first.iter().all(|got| got.header("webhook-id") == first[0].header("webhook-id")), "{first:?}");
    desk.eventually("its owner sees that it fails", || {
        let delivery = read(&desk, &seat.bearer, &webhook).json()["delivery"].clone();
        delivery["last_status"] == 500 && delivery["failing_since"].is_string()
    });
    for price in 2..10 {
        desk.announce(seat.id, seat.version, &[priced(price)]);
    }
    receiver.answer_status(200);
    desk.eventually("the newest came", || prices(&receiver).last() == Some(&9));
    let count = receiver.got().len();
    stays(&receiver, count);
    desk.eventually("its owner sees that it is well again", || {
        let delivery = read(&desk, &seat.bearer, &webhook).json()["delivery"].clone();
        delivery["last_status"] == 200 && delivery.get("failing_since").is_none()
    });
}

#[test]
fn a_receiver_that_asks_to_be_left_alone_is() {
    let (_secret, config) = local();
    let (desk, receiver) = (Desk::start_with(config, None), Receiver::start());
    let seat = seat(&desk);
    receiver.answer(|_| "HTTP/1.1 429 Slow\r\nretry-after: 3600".to_owned());
    register(&desk, &seat.bearer, &receiver.url);
    desk.announce(seat.id, seat.version, &[priced(1)]);
    desk.eventually("it was tried", || receiver.got().len() == 1);
    let first = Instant::now();
    // An hour is cut to the longest pause.
    desk.eventually("it was tried again", || receiver.got().len() == 2);
    assert!(first.elapsed() > Duration::from_millis(300), "{:?}", first.elapsed());
}

#[test]
fn a_receiver_that_is_gone_for_good_is_deleted() {
    let (_secret, config) = local();
    let (desk, receiver) = (Desk::start_with(config, None), Receiver::start());
    let seat = seat(&desk);
    receiver.answer_status(410);
    let webhook = register(&desk, &seat.bearer, &receiver.url);
    desk.announce(seat.id, seat.version, &[priced(1)]);
    desk.eventually("it is deleted", || read(&desk, &seat.bearer, &webhook).status == 404);
    desk.announce(seat.id, seat.version, &[priced(2)]);
    stays(&receiver, 1);
}

#[test]
fn a_redirect_is_not_followed() {
    let (_secret, config) = local();
    let (desk, receiver, elsewhere) = (Desk::start_with(config, None), Receiver::start(), Receiver::start());
    let seat = seat(&desk);
    let location = elsewhere.url.clone();
    let status = Arc::new(AtomicU16::new(302));
    let of_answer = Arc::clone(&status);
    receiver.answer(move |_| format!("HTTP/1.1 {} Away\r\nlocation: {location}", of_answer.load(Ordering::Relaxed)));
    let webhook = register(&desk, &seat.bearer, &receiver.url);
    for code in [301, 302, 303, 307, 308] {
        status.store(code, Ordering::Relaxed);
        let tested = desk.ask("POST", &format!("{}/test", path_of(&webhook)), &as_(&seat.bearer)[..1], b"").json();
        assert_eq!((&tested["delivered"], &tested["status"]), (&json!(false), &json!(code)), "{tested}");
    }
    assert!(elsewhere.got().is_empty());
}

/// The dead letters so far: value and code.
fn letters(desk: &Desk) -> Vec<(Value, String)> {
    let starts: Vec<_> = (0..desk.log.partitions()).map(|p| (Topic::DeadLetters, p, Start::Earliest)).collect();
    let mut reader = desk.log.follow(&starts).unwrap();
    let (mut events, mut letters, mut ends) = (Vec::new(), Vec::new(), 0);
    while ends < desk.log.partitions() {
        reader.poll(Duration::from_millis(100), &mut events).unwrap();
        for event in events.drain(..) {
            match event {
                Event::Record(record) => {
                    let code = schemas::header::text(&record.headers, schemas::header::DEAD_CODE).unwrap();
                    let value = serde_json::from_slice(&record.value.unwrap()).unwrap();
                    let message = schemas::header::text(&record.headers, schemas::header::DEAD_MESSAGE).unwrap();
                    letters.push((value, format!("{code}: {message}")));
                }
                Event::End { .. } => ends += 1,
                Event::Assigned(_) | Event::Revoked(_) => {}
            }
        }
    }
    letters
}

#[test]
fn what_nobody_takes_in_time_is_a_dead_letter_without_secrets() {
    let (_secret, mut config) = local();
    config.webhooks.give_up_after = Duration::from_secs(1);
    let (desk, receiver) = (Desk::start_with(config, None), Receiver::start());
    let seat = seat(&desk);
    receiver.answer_status(503);
    let url = format!("{}?key=hunter2", receiver.url);
    let webhook = register(&desk, &seat.bearer, &url);
    desk.announce(seat.id, seat.version, &[priced(1)]);
    desk.eventually("it is a dead letter", || !letters(&desk).is_empty());
    let (value, why) = letters(&desk).remove(0);
    assert_eq!((&value["webhook_id"], &value["session_id"]), (&webhook["webhook_id"], &json!(seat.id)));
    assert_eq!(value["host"], "localhost");
    assert!(why.starts_with("webhook_undeliverable: webhook ") && why.ends_with("status 503"), "{why}");
    let secret = webhook["secret"].as_str().unwrap();
    assert!(
        ![&value.to_string(), &why].iter().any(|text| text.contains("hunter2") || text.contains(secret)),
        "{value} {why}"
    );
    let count = receiver.got().len();
    stays(&receiver, count);
    receiver.answer_status(200);
    desk.announce(seat.id, seat.version, &[priced(2)]);
    desk.eventually("what comes later is told", || prices(&receiver).last() == Some(&2));
}

#[test]
fn what_was_not_delivered_is_sent_by_the_next_process() {
    let (_secret, config) = local();
    let off = WebhookConfig { enabled: false, ..config.webhooks.clone() };
    let keeper = Desk::start_with(Config { webhooks: off, ..config.clone() }, None);
    let receiver = Receiver::start();
    receiver.answer_status(500);
    let first = Desk::start_beside_with(&keeper, config.clone());
    let (failing, well) = (seat(&first), seat(&first));
    let taking = Receiver::start();
    register(&first, &failing.bearer, &receiver.url);
    register(&first, &well.bearer, &taking.url);
    first.announce(failing.id, failing.version, &[priced(1)]);
    first.announce(well.id, well.version, &[priced(2)]);
    first.eventually("one was tried, the other one taken", || !receiver.got().is_empty() && !taking.got().is_empty());
    assert!(first.stop(Duration::from_secs(10)).is_clean);
    receiver.answer_status(200);
    let before = receiver.got();
    let second = Desk::start_beside_with(&keeper, config);
    second.eventually("it was sent again", || receiver.got().len() > before.len());
    let after = receiver.got();
    assert_eq!(
        after.last().unwrap().header("webhook-id"),
        before[0].header("webhook-id"),
        "the receiver knows it again"
    );
    assert_eq!(after.last().unwrap().body, before[0].body);
    second.eventually("what comes next is told", || {
        second.announce(well.id, well.version, &[priced(3)]);
        prices(&taking).last() == Some(&3)
    });
}

#[test]
fn of_two_processes_one_sends_and_the_other_takes_over() {
    let (_secret, config) = local();
    let off = WebhookConfig { enabled: false, ..config.webhooks.clone() };
    let keeper = Desk::start_with(Config { webhooks: off, ..config.clone() }, None);
    let (one, two) = (Desk::start_beside_with(&keeper, config.clone()), Desk::start_beside_with(&keeper, config));
    let receiver = Receiver::start();
    let seat = seat(&two);
    // Registered at one of them, known to both.
    let webhook = register(&two, &seat.bearer, &receiver.url);
    one.eventually("both know it", || read(&one, &seat.bearer, &webhook).status == 200);
    two.announce(seat.id, seat.version, &[priced(1)]);
    two.eventually("it came", || receiver.got().len() == 1);
    stays(&receiver, 1);
    assert!(one.stop(Duration::from_secs(10)).is_clean);
    two.announce(seat.id, seat.version, &[priced(2)]);
    two.eventually("the other one sends", || prices(&receiver).last() == Some(&2));
    assert!(receiver.got()[1].is_signed_with(webhook["secret"].as_str().unwrap()));
}

#[test]
fn a_receiver_with_tls_is_reached_where_its_certificate_is_trusted() {
    let (directory, mut config) = local();
    config.webhooks.allow_http = false;
    let (receiver, pem) = Receiver::start_tls();
    let desk = Desk::start_with(config.clone(), None);
    let seat = seat(&desk);
    let webhook = register(&desk, &seat.bearer, &receiver.url);
    let test =
        |desk: &Desk| desk.ask("POST", &format!("{}/test", path_of(&webhook)), &as_(&seat.bearer)[..1], b"").json();
    let untrusted = test(&desk);
    assert_eq!((&untrusted["delivered"], &untrusted["error"]), (&json!(false), &json!("tls")), "{untrusted}");
    config.webhooks.extra_roots = directory.path().join("roots.pem");
    std::fs::write(&config.webhooks.extra_roots, pem).unwrap();
    let trusting = Desk::start_beside_with(&desk, config);
    trusting.eventually("it is known there", || read(&trusting, &seat.bearer, &webhook).status == 200);
    let tested = test(&trusting);
    assert_eq!((&tested["delivered"], &tested["status"]), (&json!(true), &json!(204)), "{tested}");
    let got = &receiver.got()[0];
    assert_eq!(got.json()["type"], "ping");
    assert!(got.is_signed_with(webhook["secret"].as_str().unwrap()));
}

#[test]
fn private_addresses_and_plain_http_are_refused_unless_they_are_allowed() {
    let (_secret, config) = settings(Mode::Open);
    let desk = Desk::start_with(config, None);
    let seat = seat(&desk);
    for url in [
        "http://example.com/",
        "https://127.0.0.1/",
        "https://localhost/",
        "https://[::1]/",
        "https://169.254.169.254/",
        "https://0x7f.1/",
        "https://user:hunter2@example.com/",
        "ftp://example.com/",
        "https://example.com:25/",
        "x",
    ] {
        let problem = register_with(&desk, &seat.bearer, &json!({"url": url})).problem(422, "validation-failed");
        assert_eq!(problem["errors"][0]["pointer"], "/url", "{url}: {problem:#}");
        assert!(!problem.to_string().contains("hunter2"), "{problem:#}");
    }
    let all = register_with(&desk, &seat.bearer, &json!({"url": 7, "sessions": [seat.id], "x": 1}));
    let problem = all.problem(422, "validation-failed");
    let pointers: Vec<_> = problem["errors"].as_array().unwrap().iter().map(|error| error["pointer"].clone()).collect();
    assert_eq!(pointers, ["/x", "/url", "/sessions"]);
}

#[test]
fn a_name_that_leads_to_this_machine_is_found_out_when_it_is_asked() {
    let (_secret, config) = local();
    let desk = Desk::start_with(config.clone(), None);
    let receiver = Receiver::start();
    let seat = seat(&desk);
    let webhook = register(&desk, &seat.bearer, &receiver.url);
    let mut strict = config;
    strict.webhooks.allow_private_addresses = false;
    let strict = Desk::start_beside_with(&desk, strict);
    strict.eventually("it is known there", || read(&strict, &seat.bearer, &webhook).status == 200);
    let tested = strict.ask("POST", &format!("{}/test", path_of(&webhook)), &as_(&seat.bearer)[..1], b"").json();
    assert_eq!(tested["error"], "private_address", "{tested}");
    assert!(receiver.got().is_empty());
}

#[test]
fn a_session_has_few_webhooks_and_sees_none_of_anothers() {
    let (_secret, config) = local();
    let (desk, receiver) = (Desk::start_with(config, None), Receiver::start());
    let (own, other) = (seat(&desk), seat(&desk));
    let webhooks: Vec<Value> = (0..5).map(|_| register(&desk, &own.bearer, &receiver.url)).collect();
    register_with(&desk, &own.bearer, &json!({"url": receiver.url})).problem(409, "too-many-webhooks");
    register(&desk, &other.bearer, &receiver.url);
    for (method, suffix) in [("GET", ""), ("DELETE", ""), ("POST", "/test")] {
        let path = format!("{}{suffix}", path_of(&webhooks[0]));
        desk.ask(method, &path, &as_(&other.bearer)[..1], b"").problem(404, "webhook-not-found");
    }
    let list = |who: &str| desk.ask("GET", PATH, &as_(who)[..1], b"").json()["webhooks"].as_array().unwrap().len();
    assert_eq!((list(&own.bearer), list(&other.bearer)), (5, 1));
    assert_eq!(desk.ask("DELETE", &path_of(&webhooks[0]), &as_(&own.bearer)[..1], b"").status, 204);
    assert_eq!(list(&own.bearer), 4);
    register(&desk, &own.bearer, &receiver.url);
    let unknown = "Bearer 000102030405060708090a0b0c0d0e0f";
    register_with(&desk, unknown, &json!({"url": receiver.url})).problem(404, "session-not-found");
}

#[test]
fn a_deleted_webhook_is_told_nothing_more_and_an_erased_session_has_none() {
    let (_secret, config) = local();
    let (desk, receiver, service) = (Desk::start_with(config, None), Receiver::start(), Receiver::start());
    let key = api_key(&desk, KeyRole::Service);
    let (own, other) = (seat(&desk), seat(&desk));
    receiver.answer_status(500);
    let webhook = register(&desk, &own.bearer, &receiver.url);
    let (all, some) = (register(&desk, &key, &service.url), Receiver::start());
    assert_eq!(register_with(&desk, &key, &json!({"url": some.url, "sessions": [other.id]})).status, 201);
    register_with(&desk, &key, &json!({"url": some.url, "sessions": []})).problem(422, "validation-failed");
    desk.announce(own.id, own.version, &[priced(1)]);
    desk.announce(other.id, other.version, &[priced(2)]);
    desk.eventually("all were told what they want", || {
        service.got().len() == 2 && prices(&some) == [2] && !receiver.got().is_empty()
    });
    assert_eq!(desk.ask("DELETE", &path_of(&webhook), &as_(&own.bearer)[..1], b"").status, 204);
    std::thread::park_timeout(Duration::from_millis(300));
    let count = receiver.got().len();
    stays(&receiver, count);
    register(&desk, &own.bearer, &receiver.url);
    let erased = desk.ask("DELETE", &format!("/api/v1/sessions/{}", own.id), &as_(&own.bearer)[..1], b"");
    assert_eq!(erased.status, 204, "{}", erased.text);
    // As the scorer says it.
    desk.append(Topic::Recommendations, own.id, None);
    desk.eventually("the service is told", || {
        service.got().last().is_some_and(|got| {
            got.json()["type"] == "session.erased" && got.json()["data"]["session_id"] == json!(own.id)
        })
    });
    assert_eq!(receiver.got().len(), count, "the session's own webhook is gone with it");
    assert_eq!(read(&desk, &key, &all).status, 200);
}

#[test]
fn the_webhooks_of_a_session_that_ends_by_itself_go_with_it() {
    let (_secret, config) = local();
    let (desk, receiver) = (Desk::start_with(config, None), Receiver::start());
    let key = api_key(&desk, KeyRole::Service);
    let (own, service) = (seat(&desk), Receiver::start());
    let (webhook, all) = (register(&desk, &own.bearer, &receiver.url), register(&desk, &key, &service.url));
    desk.announce(own.id, own.version, &[priced(1)]);
    desk.eventually("both are told", || prices(&receiver) == [1] && prices(&service) == [1]);
    // As the scorer says it after 30 days.
    desk.append(Topic::Recommendations, own.id, None);
    desk.eventually("its webhook is gone", || read(&desk, &own.bearer, &webhook).status == 404);
    desk.eventually("the service is told", || {
        service.got().last().is_some_and(|got| got.json()["type"] == "session.erased")
    });
    assert_eq!((receiver.got().len(), read(&desk, &key, &all).status), (1, 200));
}

#[test]
fn without_a_secret_that_lasts_there_are_no_webhooks() {
    let desk = Desk::start();
    let seat = seat(&desk);
    register_with(&desk, &seat.bearer, &json!({"url": "https://example.com/"})).problem(404, "webhooks-off");
}
