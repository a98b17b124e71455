//! How often who may ask, pages of other sites, compression.

use api::{Config, Limits, Rate};
use serde_json::json;

use crate::desk::{Desk, preferences};

/// Nobody is exempt; every limit but these is wide.
fn limited(change: impl FnOnce(&mut Limits)) -> Config {
    let wide = Rate { per_second: 100_000, burst: 100_000 };
    let mut limits = Limits {
        exempt_loopback: false,
        requests: wide,
        writes: wide,
        valuations: wide,
        callers: wide,
        statements: wide,
    };
    change(&mut limits);
    Config { limits, ..Config::default() }
}

#[test]
fn who_asks_too_often_is_told_when_to_come_back() {
    let desk = Desk::start_with(limited(|limits| limits.requests = Rate { per_second: 1, burst: 3 }), None);
    for left in (0..3).rev() {
        let answer = desk.get("/api/v1/markets");
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("ratelimit-policy"), Some("\"default\";q=3;w=3"));
        let told = answer.header("ratelimit").unwrap();
        assert!(told.starts_with(&format!("\"default\";r={left};t=")), "{told}");
    }
    let refused = desk.get("/api/v1/markets");
    let problem = refused.problem(429, "rate-limited");
    assert!(problem["detail"].as_str().unwrap().contains("limit default is used up"), "{problem:#}");
    assert_eq!((refused.header("retry-after"), refused.header("ratelimit")), (Some("1"), Some("\"default\";r=0;t=1")));
    assert_eq!(refused.header("ratelimit-policy"), Some("\"default\";q=3;w=3"));
    desk.eventually("the bucket fills again", || desk.get("/api/v1/markets").status == 200);
}

#[test]
fn a_session_states_five_times_at_once_and_then_once_a_second() {
    let desk = Desk::start_with(limited(|limits| limits.statements = Limits::default().statements), None);
    let bearer = |token: &str| format!("Bearer {token}");
    let state = |token: &str| {
        let headers = [("content-type", "application/json"), ("authorization", &bearer(token))];
        desk.ask("POST", "/api/v1/preferences", &headers, preferences().to_string().as_bytes())
    };
    let (one, other) = ("0123456789abcdef0123456789abcdef", "1123456789abcdef0123456789abcdef");
    for _ in 0..5 {
        assert_eq!(state(one).status, 202);
    }
    state(one).problem(429, "rate-limited");
    assert_eq!(state(other).status, 202, "another session is another bucket");
    assert_eq!(desk.get_as(one, "/api/v1/recommendations").status, 202, "reads are no statements");
}

#[test]
fn writes_and_valuations_have_limits_of_their_own() {
    let one = Rate { per_second: 1, burst: 1 };
    let desk = Desk::start_with(limited(|limits| (limits.writes, limits.valuations) = (one, one)), None);
    desk.state();
    desk.post("/api/v1/preferences", &preferences()).problem(429, "rate-limited");
    assert_eq!(
        desk.post("/api/v1/ml/predict-price", &json!({})).header("ratelimit").map(|t| t.contains("valuations")),
        Some(true)
    );
    desk.post("/api/v1/ml/predict-price", &json!({})).problem(429, "rate-limited");
    assert_eq!(desk.get("/api/v1/markets").status, 200);
}

#[test]
fn behind_a_proxy_each_client_has_its_own_bucket_and_cannot_choose_another() {
    let mut config = limited(|limits| limits.requests = Rate { per_second: 1, burst: 2 });
    config.trusted_hops = 1;
    let desk = Desk::start_with(config, None);
    let ask = |forwarded: &str| desk.ask("GET", "/problems", &[("x-forwarded-for", forwarded)], b"").status;
    assert_eq!([ask("192.0.2.1"), ask("6.6.6.6, 192.0.2.1"), ask("7.7.7.7, 192.0.2.1")], [200, 200, 429]);
    assert_eq!(ask("192.0.2.2"), 200);
    assert_eq!([ask("2001:db8::1"), ask("2001:db8::2"), ask("2001:db8::3")], [200, 200, 429]);
}

#[test]
fn this_machine_is_not_limited_and_gets_no_headers_by_default() {
    let desk = Desk::start();
    for _ in 0..20 {
        let answer = desk.get("/api/v1/markets");
        assert_eq!((answer.status, answer.header("ratelimit")), (200, None));
    }
}

#[test]
fn pages_of_other_sites_may_ask_only_when_they_are_listed() {
    let site = "https://www.example.org";
    let closed = Desk::start();
    let answer = closed.ask("GET", "/api/v1/markets", &[("origin", site)], b"");
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (200, None));
    closed.ask("OPTIONS", "/api/v1/markets", &[("origin", site)], b"").problem(405, "method-not-allowed");

    let allowed_origins = vec![site.to_owned().try_into().unwrap()];
    let desk = Desk::start_with(Config { allowed_origins, ..Config::default() }, None);
    let answer = desk.ask("GET", "/api/v1/markets", &[("origin", site)], b"");
    assert_eq!(answer.header("access-control-allow-origin"), Some(site));
    let exposed = answer.header("access-control-expose-headers").unwrap_or_default().to_lowercase();
    for name in ["etag", "location", "link", "retry-after", "ratelimit", "ratelimit-policy", "x-request-id", "age"] {
        assert!(exposed.split(',').any(|one| one.trim() == name), "{name}: {exposed}");
    }
    assert_eq!(answer.header("access-control-allow-credentials"), None);
    let varies = |answer: &crate::desk::Answer| {
        let lines: Vec<_> = answer.headers.get_all("vary").iter().map(|v| v.to_str().unwrap().to_lowercase()).collect();
        lines.join(",").contains("origin")
    };
    assert!(varies(&answer));
    // Problems, too: a page must be able to read why.
    let refused = desk.ask("GET", "/api/v1/recommendations", &[("origin", site)], b"");
    refused.problem(401, "unauthenticated");
    assert_eq!(refused.header("access-control-allow-origin"), Some(site));
    let other = desk.ask("GET", "/api/v1/markets", &[("origin", "https://evil.example")], b"");
    assert_eq!((other.status, other.header("access-control-allow-origin"), varies(&other)), (200, None, true));

    let asked = [
        ("origin", site),
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", "authorization,content-type"),
    ];
    let preflight = desk.ask("OPTIONS", "/api/v1/preferences", &asked, b"");
    assert_eq!((preflight.status, preflight.header("access-control-allow-origin")), (200, Some(site)));
    let methods = preflight.header("access-control-allow-methods").unwrap_or_default();
    assert!(methods.contains("POST") && methods.contains("DELETE"), "{methods}");
    assert!(preflight.header("access-control-max-age").is_some());
}

#[test]
fn what_is_the_same_for_all_is_compressed_on_demand_and_small_bodies_are_not() {
    let desk = Desk::start();
    for n in 0..40 {
        desk.list(&n.to_string(), 500_000 + n, &json!({}));
    }
    for path in ["/api/v1/properties?market=us/wa/seattle&limit=40", "/openapi.json", "/asyncapi.json", "/problems"] {
        let plain = desk.ask("GET", path, &[("accept-encoding", "identity")], b"");
        assert_eq!((plain.status, plain.header("content-encoding")), (200, None), "{path}");
        for coding in ["gzip", "br", "zstd"] {
            let answer = desk.ask("GET", path, &[("accept-encoding", coding)], b"");
            assert_eq!(
                answer.header("vary").map(|v| v.to_lowercase().contains("accept-encoding")),
                Some(true),
                "{path} {coding}"
            );
            // The client undoes gzip itself if it can.
            if coding != "gzip" {
                assert_eq!(answer.header("content-encoding"), Some(coding), "{path}");
                assert!(answer.text.len() < plain.text.len(), "{path} {coding}");
            }
        }
    }
    let small = desk.ask("GET", "/api/v1/markets", &[("accept-encoding", "br")], b"");
    assert_eq!(small.header("content-encoding"), None);
    let accepted = desk.ask(
        "POST",
        "/api/v1/preferences",
        &[("accept-encoding", "br"), ("content-type", "application/json")],
        preferences().to_string().as_bytes(),
    );
    assert_eq!((accepted.status, accepted.header("content-encoding")), (202, None), "it has a token");
}

#[test]
fn no_site_may_read_the_page_which_a_cookie_opens() {
    let site = "https://www.example.org";
    let allowed_origins = vec![site.to_owned().try_into().unwrap()];
    let desk = Desk::start_with(Config { allowed_origins, ..Config::default() }, None);
    for path in ["/", "/predict", "/markets", "/markets/us/wa/seattle", "/homes/seattle:1", "/page/picks/stream"] {
        let answer = desk.ask("GET", path, &[("origin", site)], b"");
        assert_eq!(answer.header("access-control-allow-origin"), None, "{path}: {}", answer.status);
    }
    for path in ["/", "/page/dismiss", "/page/erase"] {
        let asked = [("origin", site), ("access-control-request-method", "POST")];
        let preflight = desk.ask("OPTIONS", path, &asked, b"");
        assert_eq!((preflight.status, preflight.header("access-control-allow-origin")), (405, None), "{path}");
    }
    let elsewhere = desk.ask("GET", "/api/v1/nowhere", &[("origin", site)], b"");
    elsewhere.problem(404, "not-found");
    assert_eq!(elsewhere.header("access-control-allow-origin"), Some(site));
}

#[test]
fn a_person_who_asks_too_often_gets_a_page_that_can_be_read() {
    let desk = Desk::start_with(limited(|limits| limits.requests = Rate { per_second: 1, burst: 1 }), None);
    let browser = [("accept", "text/html,application/xhtml+xml,*/*;q=0.8")];
    assert_eq!(desk.ask("GET", "/", &browser, b"").status, 200);
    let refused = desk.ask("GET", "/", &browser, b"");
    assert_eq!(refused.status, 429);
    assert_eq!(refused.header("content-type"), Some("text/html; charset=utf-8"));
    assert!(refused.text.contains("A little slower, please"), "{}", refused.text);
    assert!(refused.header("content-security-policy").is_some());
    assert_eq!((refused.header("retry-after"), refused.header("ratelimit")), (Some("1"), Some("\"default\";r=0;t=1")));
    // A program that asks for the same is answered as one.
    desk.ask("GET", "/", &[("accept", "*/*")], b"").problem(429, "rate-limited");
}

#[test]
fn older_names_and_forms_of_the_page_count_as_what_they_do() {
    let one = Rate { per_second: 1, burst: 1 };
    let told = |path: &str, kind: &str, body: &str| {
        // A desk each: what the one has used up must not be what the other is refused for.
        let desk = Desk::start_with(limited(|limits| (limits.writes, limits.valuations) = (one, one)), None);
        let method = if body.is_empty() { "GET" } else { "POST" };
        let headers = [("content-type", kind), ("origin", desk.base.as_str())];
        let headers = if body.is_empty() { &headers[2..] } else { &headers[..] };
        desk.ask(method, path, headers, body.as_bytes());
        let again = desk.ask(method, path, headers, body.as_bytes());
        assert_eq!(again.status, 429, "{path}: {}", again.text);
        again.header("ratelimit").unwrap().rsplit('"').nth(1).unwrap().to_owned()
    };
    let (json, form) = ("application/json", "application/x-www-form-urlencoded");
    for (path, kind, body, limit) in [
        ("/api/preferences", json, r#"{"budget":1,"location":"98101"}"#, "writes"),
        ("/api/ml/predict-price", json, "{}", "valuations"),
        ("/api/v1/predict", json, "{}", "valuations"),
        ("/api/v1/batch", json, "[]", "valuations"),
        ("/api/v1/preferences:preview", json, "{}", "valuations"),
        ("/", form, "budget=1", "writes"),
        ("/page/dismiss", form, "listing_id=seattle:1", "writes"),
        ("/page/erase", form, "x=1", "writes"),
        ("/predict", form, "", "valuations"),
    ] {
        assert_eq!(told(path, kind, body), limit, "{path}");
    }
}
