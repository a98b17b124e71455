//! What is answered while the store or the log is away: the last that was seen, marked, and never of a session that is erased.

use std::sync::atomic::Ordering;

use serde_json::json;

use crate::desk::{Desk, fact, id_of, item, session};
use crate::faults::Delivery;
use store::Row;

const PICKS: &str = "/api/v1/recommendations";

fn away(desk: &Desk, away: bool) {
    desk.tables.away.store(away, Ordering::Relaxed);
}

/// A session with a recommendation that was read once.
fn seen(desk: &Desk) -> (String, u64) {
    let accepted = desk.state();
    let token = accepted["token"].as_str().unwrap().to_owned();
    let version = accepted["version"].as_u64().unwrap();
    desk.recommend(session(&token), version);
    assert_eq!(desk.get_as(&token, PICKS).status, 200);
    (token, version)
}

#[test]
fn a_recommendation_says_its_age() {
    let desk = Desk::start();
    let (token, _) = seen(&desk);
    assert_eq!(desk.get_as(&token, PICKS).header("age"), None, "nobody has said when it was true");
    desk.catch_up(0);
    desk.eventually("it is fresh", || desk.get_as(&token, PICKS).json()["stale"] == false);
    let age: u64 = desk.get_as(&token, PICKS).header("age").unwrap().parse().unwrap();
    assert!(age <= 10, "{age}");
    desk.catch_up(60);
    desk.eventually("it is an age ago", || {
        desk.get_as(&token, PICKS).header("age").is_some_and(|age| (60..120).contains(&age.parse::<u64>().unwrap()))
    });
    let tag = desk.get_as(&token, PICKS).header("etag").unwrap().to_owned();
    let headers = [("authorization", format!("Bearer {token}")), ("if-none-match", tag)];
    let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let same = desk.ask("GET", PICKS, &headers, b"");
    assert_eq!((same.status, same.header("age").is_some()), (304, true));
}

#[test]
fn while_the_store_is_away_a_session_gets_the_last_that_was_seen_of_it() {
    let desk = Desk::start();
    desk.catch_up(0);
    let (token, version) = seen(&desk);
    desk.eventually("it is fresh", || desk.get_as(&token, PICKS).json()["stale"] == false);
    let fresh = desk.get_as(&token, PICKS);
    let unseen = desk.state()["token"].as_str().unwrap().to_owned();
    away(&desk, true);
    let last = desk.get_as(&token, PICKS);
    let (mut then, now) = (fresh.json(), last.json());
    assert_eq!((last.status, &now["stale"], last.header("etag")), (200, &json!(true), fresh.header("etag")));
    assert!(now["as_of"].is_string() && last.header("age").is_some());
    (then["stale"], then["as_of"]) = (json!(true), now["as_of"].clone());
    assert_eq!(then, now);
    let explained = desk.get_as(&token, "/api/v1/recommendations/seattle:1/explain");
    assert_eq!((explained.status, &explained.json()["stale"]), (200, &json!(true)));
    // What this process has not seen it does not know.
    desk.get_as(&unseen, PICKS).problem(503, "store-unavailable");
    // Nothing newer is made up, and nothing is written.
    assert_eq!(desk.get_as(&token, &format!("{PICKS}?min_version={}", version + 1_000)).status, 202);
    let body = json!({"listing_id": "seattle:1", "event_type": "Share"}).to_string();
    let bearer = format!("Bearer {token}");
    let headers = [("content-type", "application/json"), ("authorization", bearer.as_str())];
    desk.ask("POST", "/api/v1/interactions", &headers, body.as_bytes()).problem(503, "store-unavailable");
    away(&desk, false);
    desk.eventually("all is well again", || desk.get_as(&token, PICKS).json()["stale"] == false);
}

#[test]
fn an_erased_session_is_not_shown_from_memory() {
    let desk = Desk::start();
    let ((token, _), (other, _)) = (seen(&desk), seen(&desk));
    let beside = Desk::start_beside(&desk);
    away(&desk, true);
    assert_eq!(desk.get_as(&token, PICKS).status, 200);
    // By this process, and by another one.
    for (of, token) in [(&desk, &token), (&beside, &other)] {
        let path = format!("/api/v1/sessions/{}", session(token));
        let bearer = format!("Bearer {token}");
        assert_eq!(of.ask("DELETE", &path, &[("authorization", &bearer)], b"").status, 204);
    }
    for token in [&token, &other] {
        desk.eventually("it is gone", || desk.get_as(token, PICKS).status == 503);
        desk.get_as(token, PICKS).problem(503, "store-unavailable");
    }
    away(&desk, false);
    desk.get_as(&token, PICKS).problem(404, "session-not-found");
}

#[test]
fn nothing_is_shown_from_memory_while_nobody_knows_who_was_erased() {
    let desk = Desk::start();
    let (token, _) = seen(&desk);
    away(&desk, true);
    assert_eq!(desk.get_as(&token, PICKS).status, 200);
    *desk.delivery.lock().unwrap() = Delivery::Away;
    desk.eventually("the log is away too", || desk.get_as(&token, PICKS).status == 503);
    away(&desk, false);
    assert_eq!(desk.get_as(&token, PICKS).status, 200, "without the log, the tables answer");
    away(&desk, true);
    *desk.delivery.lock().unwrap() = Delivery::Honest;
    desk.eventually("the log is there again", || desk.get_as(&token, PICKS).status == 200);
}

#[test]
fn who_listens_keeps_the_last_row_fresh() {
    let desk = Desk::start();
    let (token, version) = seen(&desk);
    let url = format!("{}{PICKS}/stream?token={token}", desk.base);
    let _open = ureq::get(url).call().unwrap();
    let mut changed = item();
    changed["score"] = json!(999);
    desk.announce(session(&token), version, &[changed]);
    away(&desk, true);
    desk.eventually("the change is there", || desk.get_as(&token, PICKS).json()["items"][0]["score"] == 999);
}

#[test]
fn homes_and_markets_seen_lately_are_answered_while_the_store_is_away() {
    let desk = Desk::start();
    desk.list("1", 500_000, &json!({}));
    desk.list("2", 500_000, &json!({}));
    let home = desk.get("/api/v1/properties/seattle:1");
    assert_eq!((home.status, home.json().get("stale")), (200, None));
    let markets = desk.get("/api/v1/markets");
    assert_eq!(markets.status, 200);
    away(&desk, true);
    let last = desk.get("/api/v1/properties/seattle:1");
    let mut body = last.json();
    assert_eq!((last.status, body["stale"].take()), (200, json!(true)));
    assert!(body["as_of"].is_string() && last.header("age").is_some());
    let members = body.as_object_mut().unwrap();
    members.remove("stale");
    members.remove("as_of");
    assert_eq!(body, home.json());
    assert_eq!(desk.get("/api/v1/markets").json()["stale"], true);
    desk.get("/api/v1/properties/seattle:2").problem(503, "store-unavailable");
    desk.get("/api/v1/properties?market=us/wa/seattle").problem(503, "store-unavailable");
    away(&desk, false);
    // What is withdrawn is not remembered either.
    let hidden = fact("1", 500_000, &json!({"display_allowed": false}));
    desk.write(Row::Listing(id_of("1")), Some(&hidden));
    desk.get("/api/v1/properties/seattle:1").problem(404, "property-not-found");
    away(&desk, true);
    desk.get("/api/v1/properties/seattle:1").problem(503, "store-unavailable");
}
