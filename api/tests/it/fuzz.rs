//! Whatever a client sends, the answer is never a 5xx and every error is a problem document.

use proptest::prelude::*;
use proptest::test_runner::{Config as Cases, TestRunner};

use crate::desk::Desk;

/// How often each is tried: some seconds together.
const CASES: u32 = 300;

fn check(desk: &Desk, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<(), TestCaseError> {
    let answer = desk.ask(method, path, headers, body);
    prop_assert!(answer.status < 500, "{method} {path}: {} {}", answer.status, answer.text);
    if answer.status >= 400 {
        prop_assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{} {}", method, path);
    }
    Ok(())
}

fn run<S: Strategy>(strategy: S, test: impl Fn(S::Value) -> Result<(), TestCaseError>) {
    // A failure prints the input that makes it fail again.
    TestRunner::new(Cases { cases: CASES, failure_persistence: None, ..Cases::default() })
        .run(&strategy, test)
        .unwrap();
}

fn escaped(text: &str) -> String {
    text.bytes().map(|b| format!("%{b:02x}")).collect()
}

#[test]
fn any_query_of_a_browser_is_answered_or_refused() {
    let desk = Desk::start();
    let names = prop::sample::select(vec![
        "market",
        "city",
        "state",
        "country",
        "transaction",
        "min_price",
        "max_price",
        "beds_min",
        "baths_min",
        "area_min",
        "status",
        "amenities",
        "property_sub_type",
        "limit",
        "cursor",
        "sort",
        "days",
        "location",
        "bedrooms",
        "page",
        "per_page",
        "x",
    ]);
    let values = prop_oneof!["\\PC{0,20}", "[0-9.e+-]{1,12}", "us/wa/seattle", "[A-Za-z0-9_-]{0,60}", "[a-z/,]{0,30}"];
    let queries = prop::collection::vec((names, values), 0..6);
    run(queries, |pairs| {
        let query: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}={}", escaped(value))).collect();
        let query = query.join("&");
        check(&desk, "GET", &format!("/api/v1/properties?{query}"), &[], b"")?;
        check(&desk, "GET", &format!("/api/v1/properties?market=us/wa/seattle&{query}"), &[], b"")?;
        check(&desk, "GET", &format!("/api/v1/recommendations/stream?token={query}"), &[], b"")?;
        check(&desk, "GET", &format!("/api/properties?{query}"), &[], b"")?;
        check(&desk, "GET", &format!("/api/recommendations?session_id={query}"), &[], b"")?;
        check(&desk, "GET", &format!("/api/v1/markets?{query}"), &[], b"")?;
        check(&desk, "GET", &format!("/api/v1/markets/us/wa/seattle?{query}"), &[], b"")
    });
}

#[test]
fn any_path_and_token_is_answered_or_refused() {
    let desk = Desk::start();
    let paths = prop::collection::vec(("[a-z]{0,12}", prop::collection::vec(any::<u8>(), 0..12)), 1..5);
    run((paths, "[ -~]{0,60}"), |(segments, header)| {
        let path: String = segments
            .iter()
            .map(|(word, bytes)| format!("/{word}{}", bytes.iter().map(|b| format!("%{b:02x}")).collect::<String>()))
            .collect();
        let headers =
            [("authorization", header.as_str()), ("if-none-match", header.as_str()), ("x-request-id", header.as_str())];
        for method in ["GET", "DELETE"] {
            check(&desk, method, &path, &headers, b"")?;
            check(&desk, method, &format!("/api/v1{path}"), &headers, b"")?;
            check(&desk, method, &format!("/api/v1/properties{path}"), &headers, b"")?;
            check(&desk, method, &format!("/api/v1/sessions{path}"), &headers, b"")?;
            check(&desk, method, &format!("/api/v1/markets/us{path}"), &headers, b"")?;
        }
        Ok(())
    });
}

#[test]
fn any_body_is_accepted_or_refused() {
    let desk = Desk::start();
    let leaf = prop_oneof![
        "null",
        "true",
        "-?[0-9]{1,25}(\\.[0-9]{1,5})?(e[0-9]{1,3})?",
        "\"[a-z/]{0,12}\"",
        "\"\\\\u[0-9a-f]{4}\""
    ];
    let value = leaf.prop_recursive(4, 32, 6, |inner| {
        let name = prop::sample::select(vec![
            "budget",
            "currency",
            "place",
            "cities",
            "within",
            "latitude",
            "radius_km",
            "min_bedrooms",
            "dismissed",
            "profile",
            "x",
            "ListPrice",
            "LivingArea",
            "City",
            "listing_id",
            "event_type",
            "event_timestamp",
            "Country",
            "location",
            "max_commute_time",
            "session_id",
            "city",
            "state",
            "size_sqft",
            "property_type",
            "properties",
            "value",
            "",
        ]);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(|items| format!("[{}]", items.join(","))),
            prop::collection::vec((name, inner), 0..6).prop_map(|members| {
                let members: Vec<String> = members.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
                format!("{{{}}}", members.join(","))
            }),
        ]
    });
    let bearer = format!("Bearer {}", desk.state()["token"].as_str().unwrap());
    let bodies = prop_oneof![value.prop_map(String::into_bytes), prop::collection::vec(any::<u8>(), 1..40)];
    run(bodies, |body| {
        let headers = [("content-type", "application/json")];
        check(&desk, "POST", "/api/v1/preferences", &headers, &body)?;
        let of_session = [headers[0], ("authorization", bearer.as_str())];
        check(&desk, "POST", "/api/v1/interactions", &of_session, &body)?;
        check(&desk, "POST", "/api/v1/preferences/dismissed", &of_session, &body)?;
        check(&desk, "POST", "/api/preferences", &headers, &body)?;
        for path in
            ["/api/v1/ml/predict-price", "/api/ml/predict-price", "/api/v1/batch", "/api/v1/preferences:preview"]
        {
            let answer = desk.ask("POST", path, &headers, &body);
            // There is no model and no judge here: what is a home or a statement gets that far.
            prop_assert!(
                answer.status < 500
                    || answer.status == 503
                        && (answer.text.contains("model-unavailable") || answer.text.contains("no judge")),
                "{path}: {}",
                answer.text
            );
        }
        Ok(())
    });
}
