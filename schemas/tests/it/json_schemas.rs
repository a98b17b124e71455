//! `schemas/json/*.schema.json` are what the types say.

use serde_json::{Value, json};

use super::messages::MESSAGES;
use super::{assert_generated, crate_dir};

#[test]
fn the_json_schemas_are_those_of_the_types() {
    for message in &MESSAGES {
        let mut schema = (message.schema)();
        schema.insert("$id".to_owned(), json!(format!("urn:roost:{}", message.name)));
        schema
            .insert("$comment".to_owned(), json!(format!("Value of {}. Generated from the Rust type.", message.place)));
        let text = serde_json::to_string_pretty(&schema).unwrap() + "\n";
        assert_generated(&crate_dir().join(format!("json/{}.schema.json", message.name)), &text);
    }
}

#[test]
fn no_schema_is_left_behind() {
    for entry in std::fs::read_dir(crate_dir().join("json")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let known = MESSAGES.iter().any(|message| name == format!("{}.schema.json", message.name));
        assert!(known, "schemas/json/{name} belongs to no message");
    }
}

#[test]
fn every_schema_is_2020_12_and_describes_each_member() {
    for message in &MESSAGES {
        let schema = serde_json::to_value((message.schema)()).unwrap();
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema", "{}", message.name);
        describe_each(message.name, &schema);
        for (name, definition) in schema["$defs"].as_object().into_iter().flatten() {
            describe_each(&format!("{}/{name}", message.name), definition);
        }
    }
}

fn describe_each(path: &str, schema: &Value) {
    for (name, member) in schema["properties"].as_object().into_iter().flatten() {
        assert!(member["description"].is_string(), "{path}/{name} has no description");
    }
}
