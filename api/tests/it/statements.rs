//! Stating and erasing: what is accepted is on the log, and what is not is told so.

use std::time::{Duration, Instant};

use api::Config;
use schemas::header;
use schemas::topic::{Topic, partition_of, session_key};
use serde_json::json;
use stream::{Event, Record, Start};

use crate::desk::{Desk, preferences, session};
use crate::faults::Delivery;

/// Everything on topic `preferences`.
fn on_the_log(desk: &Desk) -> Vec<Record> {
    all_of(desk, Topic::Preferences)
}

/// Everything on a topic.
pub fn all_of(desk: &Desk, topic: Topic) -> Vec<Record> {
    let starts: Vec<_> = (0..desk.log.partitions()).map(|p| (topic, p, Start::Earliest)).collect();
    let mut reader = desk.log.follow(&starts).unwrap();
    let (mut records, mut ended) = (Vec::new(), 0);
    while ended < starts.len() {
        let mut events = Vec::new();
        reader.poll(Duration::from_secs(5), &mut events).unwrap();
        for event in events {
            match event {
                Event::Record(record) => records.push(record),
                Event::End { .. } => ended += 1,
                other => panic!("{other:?}"),
            }
        }
    }
    records
}

#[test]
fn a_statement_is_accepted_with_what_the_log_has() {
    let desk = Desk::start();
    let before = jiff::Timestamp::now().as_millisecond();
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let headers = [("content-type", "application/json"), ("traceparent", parent)];
    let answer = desk.ask("POST", "/api/v1/preferences", &headers, preferences().to_string().as_bytes());
    let accepted = answer.json();
    assert_eq!(answer.status, 202, "{accepted}");
    assert_eq!(answer.header("cache-control"), Some("no-store"), "the answer holds a secret");
    assert_eq!(
        answer.header("location").unwrap(),
        format!("/api/v1/recommendations?min_version={}", accepted["version"])
    );

    let records = on_the_log(&desk);
    let record = &records[0];
    let id = session(accepted["token"].as_str().unwrap());
    assert_eq!(accepted["session_id"], id.to_string());
    assert_eq!((records.len(), record.offset), (1, accepted["version"].as_u64().unwrap()));
    assert_eq!(record.key, Some(session_key(id)));
    assert_eq!(record.partition, partition_of(&session_key(id), desk.log.partitions()));
    let value: serde_json::Value = serde_json::from_slice(record.value.as_deref().unwrap()).unwrap();
    assert_eq!(value, accepted["preferences"]);
    let deadline = header::integer(&record.headers, header::DEADLINE_MS).unwrap();
    assert!((before + 5_000..before + 10_000).contains(&deadline), "{deadline} is not 5 s after {before}");
    assert_eq!(header::text(&record.headers, header::TRACEPARENT), Some(parent));
    for name in [header::CE_SPECVERSION, header::CE_ID, header::CE_SOURCE, header::CE_TYPE, header::CE_TIME] {
        assert!(header::text(&record.headers, name).is_some(), "{name}");
    }
    let token = accepted["token"].as_str().unwrap();
    assert!(!format!("{record:?}").contains(token), "the token is on the log");
}

#[test]
fn a_statement_with_a_token_replaces_that_of_its_session() {
    let desk = Desk::start();
    let first = desk.state();
    let bearer = format!("Bearer {}", first["token"].as_str().unwrap());
    let headers = [("content-type", "application/json"), ("authorization", bearer.as_str())];
    let second = desk.ask("POST", "/api/v1/preferences", &headers, preferences().to_string().as_bytes()).json();
    assert_eq!((&second["session_id"], &second["token"]), (&first["session_id"], &first["token"]));
    assert!(second["version"].as_u64() > first["version"].as_u64());
    assert_ne!(desk.state()["session_id"], first["session_id"]);
}

#[test]
fn wrong_bodies_are_told_what_is_wrong_and_record_nothing() {
    let desk = Desk::start();
    let path = "/api/v1/preferences";
    let json_type = [("content-type", "application/json")];
    for body in [&b"{"[..], b"not json", b"{} x", b"\xff\xfe"] {
        desk.ask("POST", path, &json_type, body).problem(400, "not-json");
    }
    let wrong = json!({"budget": -1, "place": {"cities": ["Seattle"], "within": {"latitude": 91}}, "min_bedroom": 2});
    let mut told = desk.post(path, &wrong).problem(422, "validation-failed");
    told["request_id"] = json!("[request]");
    insta::assert_json_snapshot!("wrong_preferences", told);
    desk.ask("POST", path, &[], b"{}").problem(415, "unsupported-media-type");
    desk.ask("POST", path, &[("content-type", "text/plain")], b"{}").problem(415, "unsupported-media-type");
    let huge = format!("{{\"x\":\"{}\"}}", "x".repeat(300_000));
    desk.ask("POST", path, &json_type, huge.as_bytes()).problem(413, "payload-too-large");
    let wrong_token = [("content-type", "application/json"), ("authorization", "Bearer x")];
    let refused = desk.ask("POST", path, &wrong_token, preferences().to_string().as_bytes());
    refused.problem(401, "unauthenticated");
    assert!(refused.header("www-authenticate").unwrap().starts_with("Bearer"));
    assert_eq!(on_the_log(&desk), []);
}

#[test]
fn a_statement_that_the_log_does_not_have_in_time_is_not_accepted() {
    let deadline = Duration::from_millis(300);
    let desk = Desk::start_with(Config { statement_deadline: deadline, ..Config::default() }, None);
    for (delivery, slug) in [
        (Delivery::Refused, "log-unavailable"),
        (Delivery::Late, "log-unavailable"),
        (Delivery::Failing, "outcome-unknown"),
        (Delivery::Silent, "outcome-unknown"),
    ] {
        *desk.delivery.lock().unwrap() = delivery;
        let started = Instant::now();
        desk.post("/api/v1/preferences", &preferences()).problem(503, slug);
        let took = started.elapsed();
        let patience = deadline + Duration::from_secs(1);
        assert_eq!(took >= patience, delivery == Delivery::Silent, "{delivery:?}: {took:?}");
        assert!(took < patience + Duration::from_secs(2), "{delivery:?}: {took:?}");
    }
    *desk.delivery.lock().unwrap() = Delivery::Honest;
    desk.state();
}

#[test]
fn an_erased_session_is_gone_at_once_and_may_be_stated_again() {
    let desk = Desk::start();
    let accepted = desk.state();
    let (token, id) = (accepted["token"].as_str().unwrap(), accepted["session_id"].as_str().unwrap());
    desk.recommend(session(token), accepted["version"].as_u64().unwrap());
    assert_eq!(desk.get_as(token, "/api/v1/recommendations").status, 200);
    let bearer = [("authorization", &*format!("Bearer {token}"))];
    let path = format!("/api/v1/sessions/{id}");
    assert_eq!(desk.ask("DELETE", &path, &bearer, b"").status, 204);
    desk.get_as(token, "/api/v1/recommendations").problem(404, "session-not-found");
    desk.get_as(token, "/api/v1/properties?session=true").problem(404, "session-not-found");
    let records = on_the_log(&desk);
    assert_eq!((records.len(), records[1].value.as_deref()), (2, None));
    assert_eq!(desk.ask("DELETE", &path, &bearer, b"").status, 204, "erasing twice is fine");

    let headers = [("content-type", "application/json"), bearer[0]];
    let again = desk.ask("POST", "/api/v1/preferences", &headers, preferences().to_string().as_bytes()).json();
    assert_eq!(desk.get_as(token, "/api/v1/recommendations").status, 202);
    desk.recommend(session(token), again["version"].as_u64().unwrap());
    assert_eq!(desk.get_as(token, "/api/v1/recommendations").status, 200);
}

#[test]
fn another_process_honours_an_erasure_within_a_second() {
    let desk = Desk::start();
    let other = Desk::start_beside(&desk);
    let accepted = desk.state();
    let (token, id) = (accepted["token"].as_str().unwrap(), accepted["session_id"].as_str().unwrap());
    assert_eq!(other.get_as(token, "/api/v1/recommendations").status, 202, "accepted by the one, known to the other");
    desk.recommend(session(token), accepted["version"].as_u64().unwrap());
    assert_eq!(other.get_as(token, "/api/v1/recommendations").status, 200);
    let bearer = [("authorization", &*format!("Bearer {token}"))];
    assert_eq!(desk.ask("DELETE", &format!("/api/v1/sessions/{id}"), &bearer, b"").status, 204);
    let erased = Instant::now();
    other.eventually("gone from the other's reads", || other.get_as(token, "/api/v1/recommendations").status == 404);
    assert!(erased.elapsed() < Duration::from_secs(1), "{:?}", erased.elapsed());
    drop(other);
    let later = Desk::start_beside(&desk);
    later.get_as(token, "/api/v1/recommendations").problem(404, "session-not-found");
}

#[test]
fn only_the_own_session_can_be_erased() {
    let desk = Desk::start();
    let (mine, other) = (desk.state(), desk.state());
    let bearer = [("authorization", &*format!("Bearer {}", mine["token"].as_str().unwrap()))];
    for id in [other["session_id"].as_str().unwrap(), mine["token"].as_str().unwrap(), "x", "0"] {
        desk.ask("DELETE", &format!("/api/v1/sessions/{id}"), &bearer, b"").problem(404, "session-not-found");
    }
    let path = format!("/api/v1/sessions/{}", mine["session_id"].as_str().unwrap());
    desk.ask("DELETE", &path, &[], b"").problem(401, "unauthenticated");
    assert_eq!(on_the_log(&desk).len(), 2);
}

#[test]
fn a_panic_of_the_thread_that_appends_statements_ends_the_process() {
    let desk = Desk::start();
    *desk.delivery.lock().unwrap() = Delivery::Panic;
    desk.post("/api/v1/preferences", &preferences()).problem(503, "outcome-unknown");
    desk.eventually("the process is ended", || !desk.fatal.lock().unwrap().is_empty());
    let told = std::mem::take(&mut *desk.fatal.lock().unwrap());
    assert_eq!(told, ["api-statements panicked: look at the lines above for where"]);
}

#[test]
fn a_log_whose_time_is_ahead_takes_statements_by_its_own_time() {
    let desk = Desk::start();
    *desk.delivery.lock().unwrap() = Delivery::Ahead;
    desk.state();
}

#[test]
fn a_process_that_does_not_know_yet_what_was_erased_serves_no_session() {
    let desk = Desk::start();
    let accepted = desk.state();
    let token = accepted["token"].as_str().unwrap();
    desk.recommend(session(token), accepted["version"].as_u64().unwrap());
    assert_eq!(desk.get_as(token, "/api/v1/recommendations").status, 200);
    let beside = Desk::start_endless_beside(&desk);
    beside.get_as(token, "/api/v1/recommendations").problem(503, "starting");
}
