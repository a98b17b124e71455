//! Every request that the document shows, sent as it is shown to a live API: with the parameters' examples and the bodies'. What is
//! answered must be the success that the document promises (`Desk` holds it against the schema).

use std::sync::Arc;

use api::{Lent, RenderMetrics};
use serde_json::{Value, json};
use store::Row;

use crate::appraisal::PerSquareFoot;
use crate::contract::{CONTRACT, Operation};
use crate::desk::{Desk, item, session};
use crate::preview::Simple;

/// What the examples cannot show by themselves, and why.
const UNSENT: &[(&str, &str)] = &[
    ("open_recommendations_socket", "its success is a WebSocket: tests in streams.rs open it"),
    ("stream_recommendations", "its answer never ends: tests in streams.rs read it"),
    ("older_stream_recommendations", "its answer never ends: tests in older.rs read it"),
    ("refresh_tokens", "in mode `open` there is nothing to renew: tests in tokens.rs renew"),
    ("register_webhook", "without a secret there are none: tests in webhooks.rs register"),
    ("list_webhooks", "without a secret there are none: tests in webhooks.rs list"),
    ("read_webhook", "without a secret there are none: tests in webhooks.rs read"),
    ("delete_webhook", "without a secret there are none: tests in webhooks.rs delete"),
    ("test_webhook", "without a secret there are none: tests in webhooks.rs ping"),
];

/// A house in which every example finds what it names: the home, its market, and a session that wants it.
fn furnished() -> (Desk, Value) {
    let metrics: RenderMetrics = Arc::new(|| "# TYPE roost_x counter\nroost_x 1\n".to_owned());
    let desk =
        Desk::start_furnished(Arc::new(PerSquareFoot), Lent { judge: Some(Arc::new(Simple)), metrics: Some(metrics) });
    desk.list("171727", 520_000, &json!({}));
    desk.list("171730", 540_000, &json!({}));
    desk.write(Row::Market("us/wa/seattle".parse().unwrap()), Some(&json!({})));
    desk.catch_up(0);
    let accepted = desk.state();
    let owner = session(accepted["token"].as_str().unwrap());
    let mut best = item();
    best["listing_id"] = json!("seattle:171727");
    desk.announce(owner, accepted["version"].as_u64().unwrap(), &[best]);
    // Dismissed already: nobody here applies statements.
    let mut preferences = accepted["preferences"].clone();
    preferences["dismissed"] = json!(["seattle:171727"]);
    desk.write(Row::Session(owner), Some(&json!({"version": accepted["version"], "preferences": preferences})));
    (desk, accepted)
}

/// Path with query, headers, and body.
type Request = (String, Vec<(String, String)>, Vec<u8>);

/// A request for each example.
fn requests(operation: &Operation, accepted: &Value) -> Vec<Request> {
    let mut path = operation.path.clone();
    let mut query = Vec::new();
    for parameter in operation.says["parameters"].as_array().into_iter().flatten() {
        let (name, example) = (parameter["name"].as_str().unwrap(), parameter.get("example"));
        let text = example.map(|it| it.as_str().map_or_else(|| it.to_string(), str::to_owned));
        match (parameter["in"].as_str().unwrap(), text) {
            ("path", Some(_)) if operation.id == "erase_session" => {
                path = path.replace("{id}", accepted["session_id"].as_str().unwrap());
            }
            ("path", Some(text)) => path = path.replace(&format!("{{{name}}}"), &text),
            ("query", Some(text)) if parameter["required"] == true || name == "market" => {
                query.push(format!("{name}={text}"));
            }
            _ => {}
        }
    }
    if !query.is_empty() {
        path = format!("{path}?{}", query.join("&"));
    }
    let authorization = ("authorization".to_owned(), format!("Bearer {}", accepted["token"].as_str().unwrap()));
    let contents = operation.says.pointer("/requestBody/content").and_then(Value::as_object);
    let Some(contents) = contents else { return vec![(path, vec![authorization], Vec::new())] };
    let mut requests = Vec::new();
    for (kind, media) in contents {
        let several = media.get("examples").and_then(Value::as_object).into_iter().flatten();
        for example in media.get("example").into_iter().chain(several.map(|(_, one)| &one["value"])) {
            let headers = vec![authorization.clone(), ("content-type".to_owned(), kind.clone())];
            let body = example.as_str().map_or_else(|| example.to_string(), str::to_owned);
            requests.push((path.clone(), headers, body.into_bytes()));
        }
    }
    requests
}

#[test]
fn every_request_of_the_document_is_answered_as_it_promises() {
    let (desk, accepted) = furnished();
    let is_sent = |operation: &&Operation| UNSENT.iter().all(|(id, _)| *id != operation.id);
    let mut operations: Vec<&Operation> = CONTRACT.operations().iter().filter(is_sent).collect();
    // A new statement is another session's row, and an erasure is the end: those last.
    operations.sort_by_key(|it| (it.method == "DELETE", it.id.ends_with("state_preferences")));
    let mut failed = Vec::new();
    for operation in &operations {
        for (path, headers, body) in requests(operation, &accepted) {
            let headers: Vec<(&str, &str)> = headers.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
            let answer = desk.ask(&operation.method, &path, &headers, &body);
            if !(200..300).contains(&answer.status) {
                failed
                    .push(format!("{} {path} ({}): {} {}", operation.method, operation.id, answer.status, answer.text));
            }
            for line in answer.text.lines().filter(|_| answer.header("content-type") == Some("application/x-ndjson")) {
                assert!(line.contains("\"prediction\""), "{line}");
            }
        }
    }
    assert!(operations.len() > 12, "{operations:?}");
    assert!(failed.is_empty(), "prepare what they need in `furnished`, or mend the example:\n{}", failed.join("\n"));
}

#[test]
fn what_is_not_sent_is_there() {
    for (id, _) in UNSENT {
        assert!(CONTRACT.operations().iter().any(|operation| operation.id == *id), "{id} is no operation");
    }
}
