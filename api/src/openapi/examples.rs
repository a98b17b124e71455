//! An example of every message, so that the document can be read, and tried, without guessing. Each is a file of its own beside
//! this one, named like the message's schema; tests hold it against the schema and send it to a live API.

use serde_json::{Value, json};

use super::operations;
use crate::problem::{Kind, Problem};

macro_rules! examples {
    ($($name:literal)+) => {
        /// Schema and JSON text.
        const EXAMPLES: &[(&str, &str)] = &[$(($name, include_str!(concat!("examples/", $name, ".json")))),+];
    };
}

examples! {
    "Accepted" "Dismissal" "History" "MarketDetail" "Markets" "ModelInfo" "Page" "Pending" "Pick" "Prediction" "Preferences"
    "Preview" "Property" "Recommendations" "Recorded" "Renewal" "Renewed" "ReportedOneOrMany" "ResoProperty" "Similar" "Stated"
    "OlderHealth" "OlderHome" "OlderHomes" "OlderPage" "OlderPrediction" "OlderPredictions" "OlderPreferences" "OlderPropertyDetail"
    "OlderRecommendations" "OlderSession"
}

/// Puts the example of a body's schema beside it, wherever the annotation of the route has none of its own.
pub fn add(document: &mut Value) {
    for (_, operation) in operations(document) {
        let request = operation.get_mut("requestBody");
        request.into_iter().for_each(of_contents);
        if let Some(responses) = operation.get_mut("responses").and_then(Value::as_object_mut) {
            responses.values_mut().for_each(of_contents);
        }
    }
}

fn of_contents(body: &mut Value) {
    for media in body.get_mut("content").and_then(Value::as_object_mut).into_iter().flat_map(|c| c.values_mut()) {
        let has_one = media.get("example").is_some() || media.get("examples").is_some();
        let name = media.pointer("/schema/$ref").and_then(Value::as_str).and_then(|it| it.rsplit('/').next());
        if let (false, Some(example)) = (has_one, name.and_then(of_schema)) {
            media["example"] = example;
        }
    }
}

fn of_schema(name: &str) -> Option<Value> {
    let (_, text) = EXAMPLES.iter().find(|(of, _)| *of == name)?;
    serde_json::from_str(text).ok()
}

/// The problem document of a kind, as one request to `path` might get it.
pub fn of_problem(kind: Kind, path: &str) -> Value {
    let problem = Problem::new(kind, kind.meaning());
    json!({
        "summary": kind.title(),
        "value": {
            "type": format!("/problems/{}", kind.slug()), "title": kind.title(), "status": kind.status().as_u16(),
            "detail": problem.detail, "instance": path, "request_id": "5f0c3a9d1b7e42680000000000000001",
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_example_is_json() {
        for (name, text) in EXAMPLES {
            assert!(serde_json::from_str::<Value>(text).is_ok(), "{name}");
        }
    }
}
