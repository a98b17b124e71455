//! The OpenAPI document and the page that shows it.

use serde_json::Value;

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
}
