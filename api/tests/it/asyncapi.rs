//! The AsyncAPI document of the topics: that it is served, kept in `docs`, whole, and right. `e2e/clients/run` holds it against
//! AsyncAPI's own schema.

use std::collections::BTreeSet;
use std::path::Path;

use schemas::asyncapi::{DEFAULT_PARTITIONS, document};
use schemas::header;
use schemas::reso::Origin;
use schemas::topic::Topic;
use serde_json::{Value, json};

use crate::desk::Desk;

fn made() -> Value {
    document(env!("CARGO_PKG_VERSION"), DEFAULT_PARTITIONS)
}

fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

/// Says what is wrong with a value by a schema of the document.
fn wrong(document: &Value, schema: &Value, value: &Value) -> Option<String> {
    let whole = json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "allOf": [schema],
        "components": document["components"],
    });
    let validator = jsonschema::options().should_validate_formats(true).build(&whole).unwrap();
    let errors: Vec<_> =
        validator.iter_errors(value).map(|error| format!("{error} at {}", error.instance_path())).collect();
    (!errors.is_empty()).then(|| errors.join("; "))
}

#[test]
fn the_document_is_served_with_the_partitions_of_the_installation() {
    let desk = Desk::start();
    let (served, other) = (desk.get("/asyncapi.json"), desk.get("/openapi.json"));
    assert_eq!(served.status, 200);
    for name in ["content-type", "cache-control", "vary"] {
        assert_eq!(served.header(name), other.header(name), "{name}");
    }
    let served = served.json();
    let partitions = served["channels"]["listings"]["bindings"]["kafka"]["partitions"].as_u64().unwrap();
    assert_eq!(served, document(env!("CARGO_PKG_VERSION"), u32::try_from(partitions).unwrap()));
    assert_eq!(served["channels"]["models"]["bindings"]["kafka"]["partitions"], 1);
    assert_eq!(served["asyncapi"], "3.0.0");
}

#[test]
fn the_copy_in_docs_is_what_is_made() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/asyncapi.json");
    let text = format!("{:#}\n", made());
    if std::env::var_os("ROOST_WRITE_DOCS").is_some() {
        std::fs::write(path, &text).unwrap();
    }
    let kept = std::fs::read_to_string(path).unwrap_or_default();
    // Not `assert_eq`: nobody reads two documents of this length.
    assert!(
        kept == text,
        "docs/asyncapi.json is not what is made; write it again with ROOST_WRITE_DOCS=1 cargo test -p api"
    );
}

#[test]
fn every_topic_is_a_channel_with_its_settings() {
    let document = made();
    let found: BTreeSet<_> = members(&document["channels"]).map(|(_, it)| it["address"].as_str().unwrap()).collect();
    assert_eq!(found, Topic::ALL.map(Topic::name).into());
    for (id, channel) in members(&document["channels"]) {
        let settings = &channel["bindings"]["kafka"]["topicConfiguration"];
        assert!(settings["cleanup.policy"].is_array(), "{id}: {settings}");
        let by_age = settings["cleanup.policy"].as_array().unwrap().contains(&json!("delete"));
        assert_eq!(settings.get("retention.ms").is_some(), by_age, "{id}: {settings}");
    }
}

#[test]
fn every_header_is_described_by_a_message() {
    let document = made();
    let found: BTreeSet<_> = members(&document["components"]["messages"])
        .flat_map(|(_, message)| members(&message["headers"]["properties"]).map(|(name, _)| name.as_str()))
        .collect();
    assert_eq!(found, header::ALL.into());
    assert!(
        !document.to_string().contains("See docs/messages.md"),
        "a header has no words of its own: asyncapi/messages.rs"
    );
}

#[test]
fn every_message_has_an_example_and_every_example_is_what_its_schema_says() {
    let document = made();
    let mut faults = Vec::new();
    for (name, message) in members(&document["components"]["messages"]) {
        let examples = message["examples"].as_array().unwrap();
        assert!(!examples.is_empty(), "{name}");
        for example in examples {
            faults.extend(wrong(&document, &message["payload"], &example["payload"]).map(|e| format!("{name}: {e}")));
            if let Some(headers) = example.get("headers") {
                faults.extend(wrong(&document, &message["headers"], headers).map(|e| format!("{name}, headers: {e}")));
                for (header, _) in members(headers) {
                    assert!(message["headers"]["properties"].get(header).is_some(), "{name}: {header}");
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    let statement = &document["components"]["messages"]["PreferencesStated"]["payload"];
    assert!(wrong(&document, statement, &json!({"budget": "much"})).is_some(), "nothing is judged");
}

#[test]
fn the_example_of_a_raw_listing_is_read_and_the_others_are_the_newest_fixtures() {
    let document = made();
    let example = |name: &str| document["components"]["messages"][name]["examples"][0]["payload"].clone();
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../schemas/fixtures");
    for (message, file) in [
        ("Listing", "listing"),
        ("PricedListing", "priced-listing"),
        ("Sale", "sale"),
        ("PreferencesStated", "preferences"),
        ("Interaction", "interaction"),
        ("RecommendationChanged", "recommendation-event"),
        ("MarketDay", "market-day"),
        ("Champion", "champion"),
        ("ShadowValuation", "shadow"),
        ("ApiKey", "api-key"),
        ("TokenFamily", "token-family"),
        ("SessionRevoked", "session-revocation"),
        ("Webhook", "webhook"),
    ] {
        let forms = (1..).map(|n| fixtures.join(format!("{file}.v{n}.json"))).take_while(|path| path.exists());
        let newest: Value = serde_json::from_str(&std::fs::read_to_string(forms.last().unwrap()).unwrap()).unwrap();
        assert_eq!(example(message), newest, "{message} is not the newest fixture: asyncapi/messages.rs");
    }
    let feed = "nwmls".parse().ok();
    let origin = Origin { partition: 0, offset: 0, append_time_ms: 1_795_608_000_000, feed, ce_time_ms: None };
    let raw = example("RawListing").to_string();
    let items = schemas::reso::read(raw.as_bytes(), &origin).unwrap();
    assert!(matches!(&items[..], [item] if item.outcome.is_ok()), "{raw}");
}

#[test]
fn every_reference_leads_somewhere_and_every_operation_to_its_channel() {
    fn walk<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
        match value {
            Value::Object(members) => {
                found.extend(members.get("$ref").and_then(Value::as_str));
                members.values().for_each(|member| walk(member, found));
            }
            Value::Array(items) => items.iter().for_each(|item| walk(item, found)),
            _ => {}
        }
    }
    let document = made();
    let mut references = Vec::new();
    walk(&document, &mut references);
    assert!(references.len() > 60, "{}", references.len());
    for reference in references {
        let pointer = reference.strip_prefix('#').unwrap_or_else(|| panic!("{reference} leads out of the document"));
        assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
    }
    let services: Vec<_> = document["info"]["tags"].as_array().unwrap().iter().map(|tag| &tag["name"]).collect();
    for (id, operation) in members(&document["operations"]) {
        assert!(["send", "receive"].map(Value::from).contains(&operation["action"]), "{id}");
        assert!(operation["channel"]["$ref"].as_str().unwrap().starts_with("#/channels/"), "{id}");
        assert!(services.contains(&&operation["tags"][0]["name"]), "{id}");
    }
}
