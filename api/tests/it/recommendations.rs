//! Reading the three best: entity tags, versions, waiting, freshness.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use api::Config;
use schemas::id::SessionToken;
use serde_json::json;
use store::Row;

use crate::desk::{Desk, item, session};

#[test]
fn a_recommendation_is_answered_with_what_the_row_says() {
    let desk = Desk::start();
    desk.catch_up(0);
    let accepted = desk.state();
    let token = accepted["token"].as_str().unwrap();
    desk.recommend(session(token), accepted["version"].as_u64().unwrap());
    let counts = json!({"matched_total": 41, "counted_at": "2026-11-25T12:00:00.000Z"});
    desk.write(Row::Counts(session(token)), Some(&counts));
    desk.eventually("the shards are read", || {
        !desk.get_as(token, "/api/v1/recommendations").json()["stale"].as_bool().unwrap()
    });
    let answer = desk.get_as(token, "/api/v1/recommendations");
    let body = answer.json();
    assert_eq!(answer.status, 200);
    assert_eq!(body["session_id"], accepted["session_id"]);
    assert_eq!(body["preference_version"], accepted["version"]);
    assert_eq!((&body["counts"], body["items"].as_array().unwrap().len()), (&counts, 1));
    assert_eq!(body["items"][0]["list_price"], item()["list_price"]);
    assert!(body["version"].as_i64().unwrap() > 1 << 30);
    assert!(body["as_of"].as_str().unwrap().ends_with('Z'));
    assert_eq!(answer.header("cache-control"), Some("private, no-cache"));
    let mut settled = body.clone();
    for (member, shown) in [("session_id", "[session]"), ("as_of", "[time]"), ("version", "[write]")] {
        settled[member] = json!(shown);
    }
    insta::assert_json_snapshot!("recommendations", settled);
    let etag = answer.header("etag").unwrap();
    assert!(etag.starts_with('"') && etag.len() == 18, "{etag}");
}

#[test]
fn a_poll_with_the_entity_tag_is_304_until_the_items_change() {
    let desk = Desk::start();
    let accepted = desk.state();
    let token = accepted["token"].as_str().unwrap();
    let version = accepted["version"].as_u64().unwrap();
    desk.recommend(session(token), version);
    let bearer = format!("Bearer {token}");
    let poll = |tag: &str| {
        let headers = [("authorization", bearer.as_str()), ("if-none-match", tag)];
        desk.ask("GET", "/api/v1/recommendations", &headers, b"")
    };
    let etag = desk.get_as(token, "/api/v1/recommendations").header("etag").unwrap().to_owned();
    for tag in [etag.clone(), format!("W/{etag}"), format!("\"x\", {etag}"), "*".to_owned()] {
        let answer = poll(&tag);
        assert_eq!((answer.status, answer.text.as_str(), answer.header("etag")), (304, "", Some(&*etag)), "{tag}");
        assert_eq!(answer.header("cache-control"), Some("private, no-cache"));
    }
    assert_eq!(poll("\"x\"").status, 200);
    // Counts are outside the entity tag.
    desk.write(Row::Counts(session(token)), Some(&json!({"matched_total": 1, "counted_at": "2026-11-25T12:00:00Z"})));
    assert_eq!(poll(&etag).status, 304);
    // As the scorer does: the row, then the announcement, which the API hears of in a moment.
    desk.announce(session(token), version, &[]);
    desk.eventually("the change is seen", || poll(&etag).status == 200);
    let changed = poll(&etag);
    assert_eq!((changed.status, changed.json()["items"].as_array().unwrap().len()), (200, 0));
    assert_ne!(changed.header("etag"), Some(&*etag));
}

#[test]
fn what_is_known_to_be_the_newest_is_answered_without_a_read() {
    // A tag is believed for as long as nothing is announced.
    let desk = Desk::start_with(Config { stale_after: Duration::from_secs(86_400), ..Config::default() }, None);
    desk.catch_up(-60);
    let accepted = desk.state();
    let token = accepted["token"].as_str().unwrap();
    let version = accepted["version"].as_u64().unwrap();
    let bearer = format!("Bearer {token}");
    let silently = |items: &[serde_json::Value]| {
        desk.write(Row::Recommendation(session(token)), Some(&json!({"preference_version": version, "items": items})));
    };
    desk.announce(session(token), version, &[item()]);
    let read = || desk.get_as(token, "/api/v1/recommendations");
    // What nobody announces shows whether the row was read; within a second it is not.
    desk.eventually("a row is answered from memory", || {
        silently(&[item()]);
        let before = read();
        silently(&[]);
        let after = read();
        before.json()["items"] != json!([]) && after.text == before.text
    });
    desk.eventually("counts are read again", || read().json()["items"] == json!([]));
    let etag = read().header("etag").unwrap().to_owned();
    silently(&[item()]);
    let poll = |tag: &str| {
        let headers = [("authorization", bearer.as_str()), ("if-none-match", tag)];
        desk.ask("GET", "/api/v1/recommendations", &headers, b"").status
    };
    assert_eq!(poll(&etag), 304, "though the row is another one");
    desk.announce(session(token), version, &[item(), item()]);
    desk.eventually("what is announced is read", || read().json()["items"].as_array().unwrap().len() == 2);
    assert_eq!(poll(&etag), 200);
    let erased =
        desk.ask("DELETE", &format!("/api/v1/sessions/{}", session(token)), &[("authorization", &bearer)], b"");
    assert_eq!((erased.status, read().status, poll(&etag)), (204, 404, 404));
}

#[test]
fn a_session_that_is_not_scored_yet_is_202_and_an_unknown_one_404() {
    let desk = Desk::start();
    let accepted = desk.state();
    let token = accepted["token"].as_str().unwrap();
    let pending = desk.get_as(token, "/api/v1/recommendations");
    assert_eq!((pending.status, pending.header("retry-after")), (202, Some("1")));
    assert_eq!(pending.json()["preference_version"], json!(null));
    let unknown = SessionToken::from_bits(42).reveal();
    desk.get_as(&unknown, "/api/v1/recommendations").problem(404, "session-not-found");
    desk.get_as(&unknown, "/api/v1/recommendations?min_version=0&wait=20s").problem(404, "session-not-found");
}

#[test]
fn a_client_that_waits_for_its_version_gets_it_as_soon_as_it_is_there() {
    let desk = Desk::start();
    let accepted = desk.state();
    let token = accepted["token"].as_str().unwrap();
    let version = accepted["version"].as_u64().unwrap();
    desk.recommend(session(token), version);
    let path = format!("/api/v1/recommendations?min_version={}&wait=10s", version + 1);
    let started = Instant::now();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| desk.get_as(token, &path));
        let seen = desk.get_as(token, "/api/v1/recommendations");
        assert_eq!((seen.status, waiting.is_finished()), (200, false), "others are answered meanwhile");
        desk.recommend(session(token), version + 1);
        let answer = waiting.join().unwrap();
        assert_eq!((answer.status, answer.json()["preference_version"].as_u64()), (200, Some(version + 1)));
    });
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    let path = format!("/api/v1/recommendations?min_version={}&wait=200ms", version + 2);
    let started = Instant::now();
    let late = desk.get_as(token, &path);
    assert_eq!((late.status, late.json()["preference_version"].as_u64()), (202, Some(version + 1)));
    assert!(started.elapsed() >= Duration::from_millis(200));
    let started = Instant::now();
    let at_once = desk.get_as(token, &format!("/api/v1/recommendations?min_version={}", version + 2));
    assert_eq!(at_once.status, 202);
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}

#[test]
fn waiting_clients_are_bounded_and_the_rest_is_answered_at_once() {
    let desk = Desk::start_with(Config { max_waiting: 1, ..Config::default() }, None);
    let accepted = desk.state();
    let token = accepted["token"].as_str().unwrap();
    let path = "/api/v1/recommendations?min_version=1000&wait=3s";
    let times: Vec<Duration> = std::thread::scope(|scope| {
        let ask = || {
            let started = Instant::now();
            assert_eq!(desk.get_as(token, path).status, 202);
            started.elapsed()
        };
        let askers: Vec<_> = (0..4).map(|_| scope.spawn(ask)).collect();
        askers.into_iter().map(|asker| asker.join().unwrap()).collect()
    });
    let waited = times.iter().filter(|took| **took >= Duration::from_secs(3)).count();
    assert_eq!(waited, 1, "{times:?}");
}

#[test]
fn an_answer_is_stale_when_its_shard_has_not_applied_the_logs_lately() {
    let desk = Desk::start();
    let accepted = desk.state();
    let token = accepted["token"].as_str().unwrap();
    desk.recommend(session(token), accepted["version"].as_u64().unwrap());
    let read = || desk.get_as(token, "/api/v1/recommendations").json();
    assert_eq!((&read()["as_of"], &read()["stale"]), (&json!(null), &json!(true)), "nobody has said when it was true");
    desk.catch_up(3);
    desk.eventually("fresh", || read()["stale"] == json!(false));
    desk.catch_up(60);
    desk.eventually("stale", || read()["stale"] == json!(true));
    assert!(read()["as_of"].is_string());
}

#[test]
fn a_store_that_is_away_is_a_503_and_the_api_is_not_ready() {
    let desk = Desk::start();
    let accepted = desk.state();
    let token = accepted["token"].as_str().unwrap();
    desk.tables.away.store(true, Ordering::Relaxed);
    let problem = desk.get_as(token, "/api/v1/recommendations").problem(503, "store-unavailable");
    assert!(!problem.to_string().contains("9042"), "hosts are not told to clients: {problem}");
    desk.eventually("not ready", || desk.api().ready().is_err());
    let reason = desk.api().ready().unwrap_err();
    assert!(reason.contains("127.0.0.1:9042"), "{reason}");
    desk.state();
    desk.tables.away.store(false, Ordering::Relaxed);
    desk.eventually("ready again", || desk.api().ready().is_ok());
}

#[test]
fn a_cell_that_cannot_be_read_is_an_internal_error_without_its_text() {
    let desk = Desk::start();
    let accepted = desk.state();
    let token = accepted["token"].as_str().unwrap();
    desk.write(Row::Recommendation(session(token)), Some(&json!({"preference_version": 1, "items": "secret"})));
    let problem = desk.get_as(token, "/api/v1/recommendations").problem(500, "internal");
    assert!(!problem.to_string().contains("secret"), "{problem}");
}

#[test]
fn a_pick_is_explained_with_what_the_row_says_of_it() {
    let desk = Desk::start();
    let accepted = desk.state();
    let token = accepted["token"].as_str().unwrap();
    let explain = |id: &str| desk.get_as(token, &format!("/api/v1/recommendations/{id}/explain"));
    assert_eq!(explain("seattle:1").status, 202, "not scored yet");
    desk.recommend(session(token), accepted["version"].as_u64().unwrap());
    let answer = explain("seattle:1");
    let body = answer.json();
    assert_eq!((answer.status, &body["session_id"]), (200, &accepted["session_id"]));
    assert_eq!(body["preference_version"], accepted["version"]);
    for member in ["components", "last_change", "changed_at", "score"] {
        assert_eq!(body["item"][member], item()[member], "{member}");
    }
    for id in ["seattle:2", "x", "%00"] {
        explain(id).problem(404, "not-recommended");
    }
    let unknown = SessionToken::from_bits(42).reveal();
    desk.get_as(&unknown, "/api/v1/recommendations/seattle:1/explain").problem(404, "session-not-found");
}
