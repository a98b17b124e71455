//! Every route, asked by every kind of caller: the tables of docs/access.md are what is expected, and all of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use access::{Mode, key};
use api::{Config, Lent};
use schemas::access::{AccessRecord, KeyRole};
use schemas::topic::Topic;
use serde_json::{Value, json};
use store::Row;
use tempfile::TempDir;

use crate::appraisal::{PerSquareFoot, home};
use crate::desk::{Desk, preferences};
use crate::preview::Simple;
use crate::streams::open_socket;

/// The columns, in their order.
const CALLERS: [&str; 5] = ["anonymous", "own session", "another's session", "service", "admin"];

/// Settings of a mode with a secret in a directory of its own.
pub fn settings(mode: Mode) -> (TempDir, Config) {
    let directory = tempfile::tempdir().unwrap();
    let secret_file = directory.path().join("secret");
    access::secret::Secret::create(&secret_file).unwrap();
    let auth = access::Config { mode, secret_file, ..access::Config::default() };
    (directory, Config { auth, ..Config::default() })
}

/// Makes an API key that the API knows, and gives its text.
pub fn api_key(desk: &Desk, role: KeyRole) -> String {
    let (record, text) = key::create("test".to_owned(), role, Vec::new(), access::now(), None);
    let record = AccessRecord::Key(record);
    desk.append_under(Topic::Access, record.key().to_string().into_bytes(), Some(record.to_json()));
    // A key that is known is answered otherwise than one that is not.
    let known = || desk.ask("DELETE", "/api/v1/sessions/x", &[("x-api-key", &text)], b"").status != 401;
    desk.eventually("the key is known", known);
    text
}

/// Makes a session whose rows are there, and gives what `POST /preferences` answered.
pub fn session_with_rows(desk: &Desk) -> Value {
    let accepted = desk.state();
    let id = accepted["session_id"].as_str().unwrap().parse().unwrap();
    let mut preferences = accepted["preferences"].clone();
    preferences["dismissed"] = json!(["seattle:9"]);
    desk.write(Row::Session(id), Some(&json!({"version": accepted["version"], "preferences": preferences})));
    desk.recommend(id, accepted["version"].as_u64().unwrap());
    accepted
}

/// A table of the page: by route, the status for each caller.
fn table(name: &str) -> BTreeMap<String, [u16; 5]> {
    let page = include_str!("../../../docs/access.md");
    let (_, rest) = page.split_once(&format!("<!-- routes: {name} -->\n")).expect("the table is there");
    let mut lines = rest.lines().take_while(|line| line.starts_with('|'));
    let cells = |line: &str| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>();
    let head = cells(lines.next().unwrap());
    assert_eq!(head[0], "route");
    assert_eq!(head[1..], CALLERS);
    let rows = lines.skip(1).map(|line| {
        let cells = cells(line);
        let statuses: Vec<u16> = cells[1..].iter().map(|cell| cell.parse().expect(line)).collect();
        (cells[0].trim_matches('`').to_owned(), statuses.try_into().expect(line))
    });
    rows.collect()
}

/// Registers a webhook of this session, at a name that never leads anywhere (RFC 6761).
fn webhook_of(desk: &Desk, own: &Value) -> String {
    let bearer = format!("Bearer {}", own["token"].as_str().unwrap());
    let headers = [("authorization", &*bearer), ("content-type", "application/json")];
    let answer = desk.ask("POST", "/api/v1/webhooks", &headers, br#"{"url": "https://receiver.invalid/"}"#);
    assert_eq!(answer.status, 201, "{}", answer.text);
    answer.json()["webhook_id"].as_str().unwrap().to_owned()
}

/// What every route is asked with, but for who asks. `own` is the session that is asked about.
fn ask(desk: &Desk, route: &str, own: &Value, who: &[(&str, &str)]) -> (u16, String) {
    let (method, path) = route.split_once(' ').unwrap();
    let path = match path.contains("/webhooks/{id}") {
        true => path.replace("{id}", &webhook_of(desk, own)),
        false => path.to_owned(),
    };
    let path = path
        .replace("{listing_id}", "seattle:1")
        .replace("/sessions/{id}", &format!("/sessions/{}", own["session_id"].as_str().unwrap()))
        .replace("{id}", "seattle:1")
        .replace("{country}/{state}/{city}", "us/wa/seattle");
    let (method, path, body) = match (method, path.as_str()) {
        ("GET", "/api/recommendations/stream") => ("HEAD", path, Value::Null),
        ("POST", "/api/preferences") => {
            (method, path, json!({"budget": 600_000, "location": "Seattle, WA", "min_bedrooms": 3}))
        }
        ("POST", "/api/v1/preferences:preview") => (method, path, preferences()),
        ("POST", "/api/ml/predict-price" | "/api/v1/predict") => (method, path, home()),
        ("POST", "/api/v1/batch") => (method, path, json!([home()])),
        ("GET", "/api/v1/properties") => (method, format!("{path}?market=us/wa/seattle"), Value::Null),
        // Only the head of an answer that does not end.
        ("GET", "/api/v1/recommendations/stream") => ("HEAD", path, Value::Null),
        ("GET" | "DELETE", _) => (method, path, Value::Null),
        ("POST", "/api/v1/preferences") => (method, path, preferences()),
        ("POST", "/api/v1/preferences/dismissed") => (method, path, json!({"listing_id": "seattle:9"})),
        ("POST", "/api/v1/sessions/refresh") => {
            (method, path, json!({"refresh_token": own.get("refresh_token").unwrap_or(&json!("x"))}))
        }
        ("POST", "/api/v1/webhooks") => (method, path, json!({"url": "https://receiver.invalid/"})),
        ("POST", path) if path.starts_with("/api/v1/webhooks/") => (method, path.to_owned(), Value::Null),
        ("POST", "/api/v1/interactions") => {
            (method, path, json!({"listing_id": "seattle:1", "event_type": "DetailedView"}))
        }
        ("POST", "/api/v1/ml/predict-price" | "/api/v1/ml/predict-price/batch") => (method, path, home()),
        _ => panic!("{route}: say here what it is asked with"),
    };
    if path.ends_with("/ws") {
        return (open_socket(desk, "", who).map_or_else(|status| status, |_| 101), String::new());
    }
    let kind = if path.ends_with("/ml/predict-price/batch") { "application/x-ndjson" } else { "application/json" };
    let mut headers = who.to_vec();
    let body = if body.is_null() { String::new() } else { body.to_string() };
    if !body.is_empty() {
        headers.push(("content-type", kind));
    }
    let answer = desk.ask(method, &path, &headers, body.as_bytes());
    (answer.status, answer.text)
}

fn walk(mode: Mode, expected: &BTreeMap<String, [u16; 5]>) {
    let (_secret, config) = settings(mode);
    let lent = Lent { judge: Some(Arc::new(Simple)), metrics: Some(Arc::new(String::new)) };
    let desk = Desk::start_lent(config, Some(Arc::new(PerSquareFoot)), lent);
    desk.list("1", 500_000, &json!({}));
    desk.write(Row::Market("us/wa/seattle".parse().unwrap()), Some(&json!({})));
    let keys = [api_key(&desk, KeyRole::Service), api_key(&desk, KeyRole::Admin)];
    let mut wrong = Vec::new();
    for (route, statuses) in expected {
        for (caller, expected) in CALLERS.into_iter().zip(statuses) {
            let (own, other) = (session_with_rows(&desk), session_with_rows(&desk));
            let bearer = |accepted: &Value| format!("Bearer {}", accepted["token"].as_str().unwrap());
            let (own_bearer, other_bearer) = (bearer(&own), bearer(&other));
            let who: &[(&str, &str)] = match caller {
                "anonymous" => &[],
                "own session" => &[("authorization", &own_bearer)],
                "another's session" => &[("authorization", &other_bearer)],
                "service" => &[("x-api-key", &keys[0])],
                _ => &[("x-api-key", &keys[1])],
            };
            let (status, text) = ask(&desk, route, &own, who);
            if status != *expected {
                wrong.push(format!("{route}, {caller}: {status} instead of {expected}: {text}"));
            }
            if caller == "another's session" && !route.contains("/sessions/") {
                assert!(!text.contains(own["session_id"].as_str().unwrap()), "{route} tells of a session: {text}");
            }
        }
    }
    assert!(wrong.is_empty(), "{:?}:\n{}", mode, wrong.join("\n"));
}

#[test]
fn every_route_answers_every_caller_as_the_page_says() {
    walk(Mode::Tokens, &table("tokens"));
}

#[test]
fn every_route_answers_every_caller_in_mode_open_as_the_page_says() {
    let mut expected = table("tokens");
    for (route, statuses) in table("open") {
        assert!(expected.insert(route.clone(), statuses).is_some(), "{route}");
    }
    walk(Mode::Open, &expected);
}

#[test]
fn the_page_has_every_route_of_the_document() {
    let document = api::openapi();
    let routes: BTreeSet<String> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, item)| {
            item.as_object().unwrap().keys().map(move |method| format!("{} {path}", method.to_uppercase()))
        })
        .collect();
    let of_page: BTreeSet<String> = table("tokens").into_keys().collect();
    assert_eq!(of_page, routes);
}
