//! `schemas/fixtures`: messages as they were written once. What is there must decode for ever: a fixture is added, never
//! changed. The newest of `<message>.v1.json`, `.v2.json`, … has every member, `<message>.v1.minimal.json` is the least that
//! was ever valid.

use std::collections::BTreeSet;

use serde_json::Value;

use super::crate_dir;
use super::messages::{MESSAGES, Message};

fn path(message: &Message, form: &str) -> std::path::PathBuf {
    crate_dir().join(format!("fixtures/{}.{form}.json", message.name))
}

/// The forms with every member of their time, the oldest first.
fn full_forms(message: &Message) -> Vec<String> {
    let later = (2..).map(|n| format!("v{n}")).take_while(|form| path(message, form).exists());
    std::iter::once("v1".to_owned()).chain(later).collect()
}

fn fixture(message: &Message, form: &str) -> String {
    let path = path(message, form);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn again(message: &Message, form: &str) -> Value {
    let written = (message.again)(&fixture(message, form))
        .unwrap_or_else(|error| panic!("{}.{form}.json no longer decodes: {error}", message.name));
    serde_json::from_str(&written).unwrap()
}

#[test]
fn what_was_written_once_says_the_same_today() {
    for message in &MESSAGES {
        for form in full_forms(message) {
            let then: Value = serde_json::from_str(&fixture(message, &form)).unwrap();
            assert_eq!(again(message, &form), then, "{}.{form}.json", message.name);
        }
    }
}

#[test]
fn the_least_message_decodes_and_loses_nothing() {
    for message in &MESSAGES {
        let then: Value = serde_json::from_str(&fixture(message, "v1.minimal")).unwrap();
        let now = again(message, "v1.minimal");
        assert!(holds(&now, &then), "{}.v1.minimal.json is written again as {now}", message.name);
        let required = serde_json::to_value((message.schema)()).unwrap()["required"].clone();
        let least: BTreeSet<&str> = then.as_object().unwrap().keys().map(String::as_str).collect();
        for name in required.as_array().into_iter().flatten() {
            let name = name.as_str().unwrap();
            assert!(least.contains(name), "{}: {name} was not always there, it must be optional", message.name);
        }
        assert_eq!(
            least.len(),
            required.as_array().map_or(0, Vec::len),
            "{}.v1.minimal.json has a member that is not required",
            message.name
        );
    }
}

#[test]
fn the_full_fixture_has_every_member_that_a_message_can_have() {
    for message in &MESSAGES {
        let schema = serde_json::to_value((message.schema)()).unwrap();
        let forms = full_forms(message);
        let value: Value = serde_json::from_str(&fixture(message, forms.last().unwrap())).unwrap();
        let mut absent = Vec::new();
        compare(&schema, &schema, &value, message.name, &mut absent);
        let next = forms.len() + 1;
        assert!(absent.is_empty(), "{}: no fixture has {absent:?}; put it into a new one, .v{next}.json", message.name);
    }
}

/// Whether `now` says all that `then` said; it may say more.
fn holds(now: &Value, then: &Value) -> bool {
    match (now, then) {
        (Value::Object(now), Value::Object(then)) => {
            then.iter().all(|(name, value)| now.get(name).is_some_and(|now| holds(now, value)))
        }
        (now, then) => now == then,
    }
}

/// Notes the members of `schema` that `value` does not have, here and below.
fn compare(root: &Value, schema: &Value, value: &Value, path: &str, absent: &mut Vec<String>) {
    if let Some(reference) = schema["$ref"].as_str() {
        let target = root.pointer(reference.trim_start_matches('#')).expect(reference);
        return compare(root, target, value, path, absent);
    }
    for branch in schema["anyOf"].as_array().into_iter().flatten() {
        if branch["type"] != "null" {
            compare(root, branch, value, path, absent);
        }
    }
    for (name, member) in schema["properties"].as_object().into_iter().flatten() {
        match value.get(name) {
            // One of two: a listing has a valuation, or the reason why there is none.
            None if name == "no_valuation" => {}
            None => absent.push(format!("{path}/{name}")),
            Some(value) => compare(root, member, value, &format!("{path}/{name}"), absent),
        }
    }
    if let (Some(items), Some(first)) = (schema.get("items"), value.get(0)) {
        compare(root, items, first, &format!("{path}/0"), absent);
    }
}
