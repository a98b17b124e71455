//! Requests that no client should send: every one of them gets a problem document, none of them a 500.

use serde_json::json;

use crate::desk::{Desk, preferences};

/// Every route: method, path, whether it needs a token, whether it takes a body.
const ROUTES: &[(&str, &str, bool, bool)] = &[
    ("POST", "/api/v1/preferences", false, true),
    ("GET", "/api/v1/preferences", true, false),
    ("POST", "/api/v1/preferences/dismissed", true, true),
    ("DELETE", "/api/v1/sessions/00000000000000000000000000000000", true, false),
    ("POST", "/api/v1/sessions/refresh", false, true),
    ("GET", "/api/v1/recommendations", true, false),
    ("GET", "/api/v1/recommendations/seattle:1/explain", true, false),
    ("POST", "/api/v1/interactions", true, true),
    ("GET", "/api/v1/recommendations/stream", true, false),
    ("GET", "/api/v1/recommendations/ws", true, false),
    ("GET", "/api/v1/properties", false, false),
    ("GET", "/api/v1/properties/seattle:1", false, false),
    ("GET", "/api/v1/properties/seattle:1/history", false, false),
    ("GET", "/api/v1/properties/seattle:1/similar", false, false),
    ("GET", "/api/v1/markets", false, false),
    ("GET", "/api/v1/markets/us/wa/seattle", false, false),
    ("POST", "/api/v1/ml/predict-price", false, true),
    ("POST", "/api/v1/ml/predict-price/batch", false, false),
    ("GET", "/api/v1/ml/model-info", false, false),
    ("POST", "/api/v1/webhooks", true, true),
    ("GET", "/api/v1/webhooks", true, false),
    ("GET", "/api/v1/webhooks/0f1e2d3c4b5a", true, false),
    ("DELETE", "/api/v1/webhooks/0f1e2d3c4b5a", true, false),
    ("POST", "/api/v1/webhooks/0f1e2d3c4b5a/test", true, false),
    ("POST", "/api/v1/preferences:preview", false, true),
    ("POST", "/api/preferences", false, true),
    ("GET", "/api/recommendations", false, false),
    ("GET", "/api/recommendations/stream", false, false),
    ("GET", "/api/properties", false, false),
    ("GET", "/api/properties/seattle:1", false, false),
    ("POST", "/api/ml/predict-price", false, true),
    ("POST", "/api/v1/predict", false, true),
    ("POST", "/api/v1/batch", false, true),
    ("GET", "/api/ml/model-info", false, false),
    ("GET", "/api/health", false, false),
    ("GET", "/api/v1/health", false, false),
    ("GET", "/api/v1/metrics", false, false),
];

#[test]
fn the_list_of_routes_is_that_of_the_document() {
    let document = api::openapi();
    let mut documented: Vec<String> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, methods)| {
            methods.as_object().unwrap().keys().map(move |method| format!("{} {path}", method.to_uppercase()))
        })
        .collect();
    let mut listed: Vec<String> = ROUTES
        .iter()
        .map(|(method, path, _, _)| {
            let path = path.replace("/00000000000000000000000000000000", "/{id}").replace("/0f1e2d3c4b5a", "/{id}");
            let path =
                path.replace("recommendations/seattle:1", "recommendations/{listing_id}").replace("seattle:1", "{id}");
            format!("{method} {}", path.replace("us/wa/seattle", "{country}/{state}/{city}"))
        })
        .collect();
    documented.sort();
    listed.sort();
    assert_eq!(documented, listed);
}

#[test]
fn the_page_leads_to_the_documentation() {
    let desk = Desk::start();
    assert!(desk.get("/").text.contains("href=\"/docs/\""));
    assert_eq!(desk.get("/docs/").status, 200);
}

#[test]
fn a_token_is_asked_for_where_one_is_needed_and_a_wrong_one_is_refused() {
    let desk = Desk::start();
    for (method, path, needs_token, _) in ROUTES {
        if *needs_token {
            desk.ask(method, path, &[], b"").problem(401, "unauthenticated");
            for wrong in ["Bearer x", "Basic eDp5", "Bearer", "", "Bearer 0123456789ABCDEF0123456789ABCDEF"] {
                let refused = desk.ask(method, path, &[("authorization", wrong)], b"");
                refused.problem(401, "unauthenticated");
                assert!(refused.header("www-authenticate").is_some());
            }
        }
    }
}

#[test]
fn no_route_ignores_a_parameter_that_it_does_not_know() {
    let desk = Desk::start();
    let token = ("authorization", "Bearer 0123456789abcdef0123456789abcdef");
    let json = ("content-type", "application/json");
    for (method, path, _, _) in ROUTES {
        let problem =
            desk.ask(method, &format!("{path}?colour=blue"), &[token, json], b"{}").problem(400, "unknown-parameter");
        assert_eq!(problem["errors"][0]["parameter"], "colour", "{method} {path}");
    }
}

#[test]
fn a_wrong_method_is_told_the_right_ones() {
    let desk = Desk::start();
    for (method, path, _, _) in ROUTES {
        for wrong in ["GET", "POST", "PUT", "PATCH", "DELETE", "BREW"] {
            if !ROUTES.iter().any(|(known, of, _, _)| (wrong, path) == (*known, of)) {
                let refused = desk.ask(wrong, path, &[], b"");
                refused.problem(405, "method-not-allowed");
                let allowed = refused.header("allow").unwrap_or_default();
                assert!(allowed.split(',').any(|one| one.trim() == *method), "{wrong} {path}: Allow: {allowed}");
            }
        }
    }
}

#[test]
fn an_unknown_parameter_is_refused_where_parameters_are_read() {
    let desk = Desk::start();
    let accepted = desk.state();
    let bearer = format!("Bearer {}", accepted["token"].as_str().unwrap());
    for path in ["/api/v1/recommendations", "/api/v1/properties", "/api/v1/markets", "/api/v1/markets/us/wa/seattle"] {
        let headers = [("authorization", bearer.as_str())];
        for query in ["limits=3", "%ff=%ff", "a=b&a=b", "=", &"x=1&".repeat(100)] {
            let answer = desk.ask("GET", &format!("{path}?{query}"), &headers, b"");
            assert_eq!(answer.status, 400, "{path}?{query}: {}", answer.text);
            answer.problem(400, if query.len() > 100 { "invalid-parameter" } else { "unknown-parameter" });
        }
    }
}

#[test]
fn a_huge_body_is_refused_whether_its_length_is_told_or_not() {
    let desk = Desk::start();
    let bearer = format!("Bearer {}", desk.state()["token"].as_str().unwrap());
    let huge = vec![b' '; 2 * 1024 * 1024];
    for (method, path, _, takes_body) in ROUTES {
        if *takes_body {
            let token = ("authorization", bearer.as_str());
            let json = ("content-type", "application/json");
            desk.ask(method, path, &[token, json], &huge).problem(413, "payload-too-large");
            desk.ask(method, path, &[token], b"{}").problem(415, "unsupported-media-type");
        }
    }
}

#[test]
fn what_is_no_route_is_a_problem_too() {
    let desk = Desk::start();
    for path in ["/api", "/api/v1", "/api/v1/", "/api/v2/properties", "/api/v1/preferences/", "/x/%2e%2e/y", "//"] {
        desk.get(path).problem(404, "not-found");
    }
    let secret = desk.get("/nowhere?token=secret").problem(404, "not-found");
    assert_eq!(secret["instance"], "/nowhere");
    assert!(!secret.to_string().contains("secret"));
}

#[test]
fn a_head_is_a_get_without_its_body() {
    let desk = Desk::start();
    desk.list("1", 500_000, &json!({}));
    let head = desk.ask("HEAD", "/api/v1/properties/seattle:1", &[], b"");
    assert_eq!((head.status, head.text.as_str()), (200, ""));
    assert_eq!(desk.ask("HEAD", "/nowhere", &[], b"").status, 404);
}

#[test]
fn every_kind_of_problem_is_explained_where_its_type_points() {
    let desk = Desk::start();
    let list = desk.get("/problems").text;
    for kind in api::problem::Kind::ALL {
        let page = desk.get(&format!("/problems/{}", kind.slug()));
        assert_eq!(page.status, 200);
        assert!(page.text.contains(kind.meaning()) && list.contains(kind.slug()), "{kind:?}");
    }
    desk.get("/problems/none").problem(404, "not-found");
}

#[test]
fn answers_carry_the_request_id_of_the_client_or_a_new_one() {
    let desk = Desk::start();
    let answer = desk.ask("GET", "/api/v1/markets", &[("x-request-id", "mine-1")], b"");
    assert_eq!(answer.header("x-request-id"), Some("mine-1"));
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    let answer = desk.ask("GET", "/api/v1/markets", &[("x-request-id", "a b")], b"");
    assert_eq!(answer.header("x-request-id").unwrap().len(), 32);
}

#[test]
fn preferences_are_not_readable_by_the_session_id_alone() {
    let desk = Desk::start();
    let accepted = desk.post("/api/v1/preferences", &preferences()).json();
    let id = accepted["session_id"].as_str().unwrap();
    assert_ne!(accepted["token"], accepted["session_id"]);
    desk.get_as(id, "/api/v1/recommendations").problem(404, "session-not-found");
}
