//! Interactions: what is recorded, what is left out, and what a client is told of it.

use schemas::header;
use schemas::id::SessionToken;
use schemas::interaction::Interaction;
use schemas::topic::{Topic, partition_of, session_key};
use serde_json::{Value, json};

use crate::desk::{Answer, Desk, session};
use crate::faults::Delivery;
use crate::statements::all_of;

fn report(desk: &Desk, token: &str, agent: Option<&str>, body: &Value) -> Answer {
    let bearer = format!("Bearer {token}");
    let mut headers = vec![("content-type", "application/json"), ("authorization", bearer.as_str())];
    headers.extend(agent.map(|agent| ("user-agent", agent)));
    desk.ask("POST", "/api/v1/interactions", &headers, body.to_string().as_bytes())
}

fn recorded(desk: &Desk) -> Vec<Interaction> {
    all_of(desk, Topic::Interactions)
        .iter()
        .map(|r| serde_json::from_slice(r.value.as_ref().unwrap()).unwrap())
        .collect()
}

#[test]
fn interactions_stand_on_the_log_as_they_were_sent() {
    let desk = Desk::start();
    let accepted = desk.state();
    let token = accepted["token"].as_str().unwrap();
    let at = format!("{:.3}", jiff::Timestamp::now() - jiff::SignedDuration::from_secs(60));
    let view = json!({"listing_id": "seattle:1", "event_type": "DetailedView", "event_timestamp": at});
    let one = report(&desk, token, None, &view);
    assert_eq!((one.status, one.json(), one.header("cache-control")), (202, json!({"recorded": 1}), Some("no-store")));
    let record = all_of(&desk, Topic::Interactions).remove(0);
    let key = session_key(session(token));
    assert_eq!((record.partition, record.key), (partition_of(&key, desk.log.partitions()), Some(key)));
    let value: Value = serde_json::from_slice(record.value.as_ref().unwrap()).unwrap();
    let mut expected = view.clone();
    (expected["session_id"], expected["actor_type"]) = (accepted["session_id"].clone(), json!("Consumer"));
    assert_eq!(value, expected);
    for name in [header::CE_SPECVERSION, header::CE_ID, header::CE_SOURCE, header::CE_TYPE, header::CE_TIME] {
        assert!(header::text(&record.headers, name).is_some(), "{name}");
    }
    assert_eq!(report(&desk, token, None, &view).status, 202);
    let again = all_of(&desk, Topic::Interactions).remove(1);
    assert_eq!(
        header::text(&again.headers, header::CE_ID),
        header::text(&record.headers, header::CE_ID),
        "told as one"
    );

    let many: Vec<Value> =
        (0..100).map(|n| json!({"listing_id": format!("seattle:{n}"), "event_type": "Favorited"})).collect();
    assert_eq!(report(&desk, token, None, &json!(many)).json(), json!({"recorded": 100}));
    assert_eq!(recorded(&desk).len(), 102);
}

#[test]
fn what_bots_do_is_answered_and_not_recorded() {
    let desk = Desk::start();
    let accepted = desk.state();
    let token = accepted["token"].as_str().unwrap();
    let view = json!({"listing_id": "seattle:1", "event_type": "DetailedView"});
    let bot = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)";
    let answer = report(&desk, token, Some(bot), &view);
    assert_eq!((answer.status, answer.json()), (202, json!({"recorded": 0})));
    let own = json!({"listing_id": "seattle:1", "event_type": "DetailedView", "actor_type": "Bot"});
    assert_eq!(report(&desk, token, Some("Mozilla/5.0"), &json!([own, view])).json(), json!({"recorded": 1}));
    assert_eq!(recorded(&desk).len(), 1);
}

#[test]
fn what_the_log_does_not_have_is_not_accepted() {
    let desk = Desk::start();
    let accepted = desk.state();
    let token = accepted["token"].as_str().unwrap();
    let view = json!({"listing_id": "seattle:1", "event_type": "DetailedView"});
    for (delivery, slug) in [(Delivery::Refused, "log-unavailable"), (Delivery::Failing, "outcome-unknown")] {
        *desk.delivery.lock().unwrap() = delivery;
        report(&desk, token, None, &view).problem(503, slug);
    }
    *desk.delivery.lock().unwrap() = Delivery::Honest;
    let unknown = SessionToken::from_bits(42).reveal();
    report(&desk, &unknown, None, &view).problem(404, "session-not-found");
    let wrong = json!([{"listing_id": "seattle:1", "event_type": "Looked"}, {"event_type": "Share"}]);
    let problem = report(&desk, token, None, &wrong).problem(422, "validation-failed");
    assert_eq!(problem["errors"][0]["pointer"], "/0/event_type");
    assert_eq!(problem["errors"][1]["pointer"], "/1/listing_id");
}
