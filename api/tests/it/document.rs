//! The OpenAPI document and the page that shows it.

use serde_json::Value;

use crate::contract::CONTRACT;
use crate::desk::Desk;

#[test]
fn the_document_is_served() {
    let desk = Desk::start();
    let served = desk.get("/openapi.json");
    assert_eq!(served.json(), api::openapi());
    assert!(served.json()["openapi"].as_str().unwrap().starts_with("3.1"));
}

#[test]
fn the_copy_in_docs_is_what_is_served() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/openapi.json");
    let text = format!("{:#}\n", api::openapi());
    if std::env::var_os("ROOST_WRITE_DOCS").is_some() {
        std::fs::write(path, &text).unwrap();
    }
    // Not `assert_eq`: nobody reads two documents of this length.
    let kept = std::fs::read_to_string(path).unwrap_or_default();
    let differs = kept.lines().zip(text.lines()).position(|(kept, made)| kept != made);
    assert!(
        kept == text,
        "docs/openapi.json differs from what is served from line {} on; write it again with ROOST_WRITE_DOCS=1 cargo test -p api",
        differs.map_or(kept.lines().count().min(text.lines().count()), |line| line) + 1,
    );
}

#[test]
fn every_reference_leads_somewhere() {
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
    let document = api::openapi();
    let mut references = Vec::new();
    walk(&document, &mut references);
    assert!(references.len() > 30, "{references:?}");
    for reference in references {
        let pointer = reference.strip_prefix('#').unwrap_or_else(|| panic!("{reference} leads out of the document"));
        assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
    }
}

#[test]
fn the_page_of_the_document_needs_no_other_server() {
    let desk = Desk::start();
    let page = desk.get("/docs/");
    assert_eq!(page.status, 200);
    assert!(page.text.contains("swagger-ui"), "{}", page.text);
    for attribute in ["src=\"", "href=\""] {
        for link in page.text.split(attribute).skip(1).map(|rest| rest.split('"').next().unwrap()) {
            assert!(!link.contains("//"), "{link} is another server's");
            let path = format!("/docs/{}", link.trim_start_matches("./"));
            assert_eq!(desk.get(&path).status, 200, "{path}");
        }
    }
    assert_eq!(page.header("x-frame-options"), Some("DENY"));
    assert!(page.header("content-security-policy").unwrap().contains("script-src 'self';"), "no code within the page");
    for path in ["/openapi.json?x=1", "/asyncapi.json?x=1", "/problems?x=1", "/problems/not-json?x=1"] {
        desk.get(path).problem(400, "unknown-parameter");
    }
    let settings = desk.get("/docs/swagger-initializer.js").text;
    assert!(settings.contains("\"validatorUrl\": \"none\"") && settings.contains("/openapi.json"), "{settings}");
    assert!(!settings.contains("http:") && !settings.contains("https:"), "{settings}");
}

/// Whether a schema says how long, how large or which.
fn is_bounded(schema: &Value) -> bool {
    match schema["type"].as_str() {
        Some("boolean") => true,
        Some("integer" | "number") => schema.get("minimum").is_some() && schema.get("maximum").is_some(),
        Some("string") => ["pattern", "enum", "maxLength"].iter().any(|bound| schema.get(bound).is_some()),
        _ => false,
    }
}

#[test]
fn every_operation_is_described_whole() {
    let mut missing = Vec::new();
    let mut ids = std::collections::BTreeSet::new();
    for operation in CONTRACT.operations() {
        let (at, says) = (format!("{} {}", operation.method, operation.path), &operation.says);
        for member in ["operationId", "summary", "description"] {
            if says[member].as_str().is_none_or(|text| text.trim().is_empty()) {
                missing.push(format!("{at}: {member} (the comment of its function: a sentence, and a paragraph)"));
            }
        }
        if !ids.insert(operation.id.as_str()) {
            missing.push(format!("{at}: an operationId of its own"));
        }
        let tag = says["tags"][0].as_str().unwrap_or_default();
        if !CONTRACT.document["tags"].as_array().unwrap().iter().any(|known| known["name"] == tag) {
            missing.push(format!("{at}: a tag that openapi.rs describes"));
        }
        for parameter in says["parameters"].as_array().into_iter().flatten() {
            let name = parameter["name"].as_str().unwrap();
            if parameter["description"].as_str().is_none_or(str::is_empty) {
                missing.push(format!("{at}: a description of {name}"));
            }
            // A header that makes no sense is passed over (RFC 9110), so it has no bounds to keep.
            if parameter["in"] != "header" && !is_bounded(&parameter["schema"]) {
                missing.push(format!("{at}: bounds of {name} (openapi/parameters.rs)"));
            }
            if (parameter["in"] == "query") != (parameter["allowEmptyValue"] == true) && parameter["required"] != true {
                missing.push(format!("{at}: that {name} may be empty, and nothing but queries' parameters"));
            }
            if parameter["in"] == "path" && parameter.get("example").is_none() {
                missing.push(format!("{at}: an example of {name} (openapi/parameters.rs)"));
            }
        }
        let responses = says["responses"].as_object().unwrap();
        if !responses.keys().any(|status| status.starts_with(['1', '2', '3'])) {
            missing.push(format!("{at}: what is answered when all goes well"));
        }
        for name in ["Retry-After", "RateLimit", "RateLimit-Policy"] {
            if responses.get("429").is_none_or(|refused| refused["headers"].get(name).is_none()) {
                missing.push(format!("{at}: 429 with {name} (openapi/refusals.rs)"));
            }
        }
        if !operation.path.starts_with("/api/") {
            missing.push(format!("{at} is of the page, which is no part of the document"));
        }
        for (status, response) in responses.iter().filter(|(status, _)| status.starts_with(['4', '5'])) {
            let kinds = response.pointer("/content/application~1problem+json/examples");
            if kinds.is_none() {
                missing.push(format!("{at}: which problems {status} is (openapi/refusals.rs)"));
            }
        }
    }
    assert!(missing.is_empty(), "the document lacks:\n{}", missing.join("\n"));
}

/// Every example in a `content`, with where it is and the schema it is of.
fn examples_of<'a>(at: &str, body: &'a Value) -> Vec<(String, &'a Value, Vec<&'a Value>)> {
    let contents = body.get("content").and_then(Value::as_object).into_iter().flatten();
    contents
        .map(|(kind, media)| {
            let several = media.get("examples").and_then(Value::as_object).into_iter().flatten();
            let examples = media.get("example").into_iter().chain(several.map(|(_, one)| &one["value"]));
            (format!("{at} as {kind}"), &media["schema"], examples.collect())
        })
        .collect()
}

#[test]
fn every_body_has_an_example_and_every_example_is_what_its_schema_says() {
    let mut wrong = Vec::new();
    for operation in CONTRACT.operations() {
        let at = format!("{} {}", operation.method, operation.path);
        let mut bodies = Vec::new();
        if let Some(request) = operation.says.get("requestBody") {
            bodies.extend(examples_of(&format!("{at}: the request"), request));
        }
        for (status, response) in operation.says["responses"].as_object().unwrap() {
            if status != "default" {
                bodies.extend(examples_of(&format!("{at}: {status}"), response));
            }
        }
        for (at, schema, examples) in bodies {
            if examples.is_empty() {
                wrong.push(format!("{at} has no example: a file in openapi/examples, or `example` in the annotation"));
            }
            wrong.extend(
                examples.iter().filter_map(|it| CONTRACT.validate(schema, it).err()).map(|e| format!("{at}: {e}")),
            );
        }
        for parameter in operation.says["parameters"].as_array().into_iter().flatten() {
            if let Some(example) = parameter.get("example")
                && let Err(error) = CONTRACT.validate(&parameter["schema"], example)
            {
                wrong.push(format!("{at}: the example of {}: {error}", parameter["name"]));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
