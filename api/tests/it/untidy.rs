//! Clients that do not behave: secrets in the wrong place, frames without end, headers without number, bodies where none is read.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use api::Config;
use schemas::header;
use schemas::topic::Topic;
use serde_json::json;

use crate::desk::{Desk, preferences};
use crate::faults::Delivery;
use crate::statements::all_of;

fn connect(desk: &Desk) -> TcpStream {
    let stream = TcpStream::connect(desk.base.trim_start_matches("http://")).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream
}

/// What comes until the other side closes, or says nothing for a while.
fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

fn opening(token: &str, key: &str) -> String {
    format!(
        "GET /api/v1/recommendations/ws HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: {key}\r\nauthorization: Bearer {token}\r\n\r\n"
    )
}

#[test]
fn a_token_in_the_wrong_place_is_in_no_answer() {
    let desk = Desk::start();
    let accepted = desk.state();
    let token = accepted["token"].as_str().unwrap();
    let jwt = "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl";
    let bearer = format!("Bearer {token}");
    for secret in [token, jwt] {
        for path in [
            format!("/api/v1/properties?token={secret}"),
            format!("/api/v1/properties?{secret}=1"),
            format!("/api/v1/properties?market={secret}"),
            format!("/api/v1/recommendations?wait={secret}"),
            format!("/api/v1/properties/{secret}"),
            format!("/api/v1/markets/{secret}/x/y"),
            format!("/problems/{secret}"),
            format!("/{secret}"),
        ] {
            let answer = desk.ask("GET", &path, &[("authorization", &bearer)], b"");
            assert!(answer.status >= 400 && !answer.text.contains(secret), "{path}: {}", answer.text);
        }
        for member in ["token", "budget", "place", "currency", "dismissed"] {
            let mut body = preferences();
            body[member] = json!(secret);
            let answer = desk.post("/api/v1/preferences", &body);
            assert!(answer.status == 422 && !answer.text.contains(secret), "{member}: {}", answer.text);
        }
        let mut body = preferences();
        body[secret] = json!(1);
        let answer = desk.post("/api/v1/preferences", &body);
        assert!(answer.status == 422 && !answer.text.contains(secret), "{}", answer.text);
        let gone = desk.ask("DELETE", &format!("/api/v1/sessions/{secret}"), &[("authorization", &bearer)], b"");
        assert!(gone.status == 404 && !gone.text.contains(secret), "{}", gone.text);
    }
}

#[test]
fn a_member_that_is_given_twice_is_told() {
    let desk = Desk::start();
    let token = desk.state()["token"].as_str().unwrap().to_owned();
    let bearer = format!("Bearer {token}");
    let headers = [("content-type", "application/json"), ("authorization", bearer.as_str())];
    for (path, body, pointer) in [
        ("/api/v1/preferences", r#"{"budget":1,"budget":2,"place":{"country":"us"}}"#, "/budget"),
        ("/api/v1/preferences/dismissed", r#"{"listing_id":"a:1","listing_id":"a:2"}"#, "/listing_id"),
        (
            "/api/v1/interactions",
            r#"[{"listing_id":"a:1","event_type":"Share","event_type":"Discard"}]"#,
            "/0/event_type",
        ),
    ] {
        let problem = desk.ask("POST", path, &headers, body.as_bytes()).problem(422, "validation-failed");
        let told = &problem["errors"][0];
        assert_eq!((&told["pointer"], &told["code"]), (&json!(pointer), &json!("duplicate")), "{problem:#}");
    }
}

#[test]
fn a_path_that_is_no_text_names_nothing() {
    let desk = Desk::start();
    let token = desk.state()["token"].as_str().unwrap().to_owned();
    for path in [
        "recommendations/%FF/explain",
        "properties/%FF",
        "properties/%FF/history",
        "properties/%FF/similar",
        "markets/us/%FF/x",
    ] {
        let answer = desk.get_as(&token, &format!("/api/v1/{path}"));
        // The session may have no row yet.
        assert!(answer.status == 404 || (answer.status == 202 && path.contains("explain")), "{path}: {}", answer.text);
    }
    let bearer = format!("Bearer {token}");
    desk.ask("DELETE", "/api/v1/sessions/%FF", &[("authorization", &bearer)], b"").problem(404, "session-not-found");
}

#[test]
fn a_websocket_needs_a_key_of_sixteen_bytes() {
    let desk = Desk::start();
    let token = desk.state()["token"].as_str().unwrap().to_owned();
    for key in ["x", "", "AAAA", "dGhlIHNhbXBsZSBub25jZQ", "dGhlIHNhbXBsZSBub25jZQ==x"] {
        let mut stream = connect(&desk);
        stream.write_all(opening(&token, key).as_bytes()).unwrap();
        let mut head = [0; 12];
        stream.read_exact(&mut head).unwrap();
        assert_eq!(&head, b"HTTP/1.1 400", "{key}");
    }
    let mut stream = connect(&desk);
    stream.write_all(opening(&token, "dGhlIHNhbXBsZSBub25jZQ==").as_bytes()).unwrap();
    let mut head = [0; 12];
    stream.read_exact(&mut head).unwrap();
    assert_eq!(&head, b"HTTP/1.1 101");
}

#[test]
fn frames_that_never_make_a_message_end_a_socket() {
    let desk = Desk::start();
    let token = desk.state()["token"].as_str().unwrap().to_owned();
    let mut stream = connect(&desk);
    stream.set_write_timeout(Some(Duration::from_secs(5))).unwrap();
    stream.write_all(opening(&token, "dGhlIHNhbXBsZSBub25jZQ==").as_bytes()).unwrap();
    // A text that goes on for ever, of empty frames: the first, and continuations, masked with zeros.
    stream.write_all(&[0x01, 0x80, 0, 0, 0, 0]).unwrap();
    let empty = [0x00_u8, 0x80, 0, 0, 0, 0].repeat(1_000);
    let mut sent = 0;
    let until = Instant::now() + Duration::from_secs(20);
    while stream.write_all(&empty).is_ok() {
        sent += empty.len();
        assert!(Instant::now() < until, "{sent} bytes are taken");
    }
    let told = rest(&mut stream);
    assert!(sent < 64 << 20, "{sent} bytes: {told}");
}

#[test]
fn interactions_count_until_the_log_has_them_not_until_their_client_has_gone() {
    let desk = Desk::start_with(Config { statement_deadline: Duration::from_millis(200), ..Config::default() }, None);
    let token = desk.state()["token"].as_str().unwrap().to_owned();
    let bearer = format!("Bearer {token}");
    let many: Vec<_> = (0..100).map(|n| json!({"listing_id": format!("a:{n}"), "event_type": "Share"})).collect();
    let (body, headers) =
        (json!(many).to_string(), [("content-type", "application/json"), ("authorization", bearer.as_str())]);
    let report = || desk.ask("POST", "/api/v1/interactions", &headers, body.as_bytes());
    *desk.delivery.lock().unwrap() = Delivery::Silent;
    std::thread::scope(|scope| {
        let ten: Vec<_> = (0..10).map(|_| scope.spawn(report)).collect();
        for one in ten {
            one.join().unwrap().problem(503, "outcome-unknown");
        }
    });
    report().problem(503, "overloaded");
}

#[test]
fn an_end_does_not_wait_for_who_reads_nothing() {
    let desk = Desk::start();
    let mut greedy = connect(&desk);
    greedy.set_write_timeout(Some(Duration::from_millis(200))).unwrap();
    let request = b"GET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n".repeat(500);
    let _ = greedy.write_all(&request);
    assert_eq!(desk.get("/problems").status, 200);
    let started = Instant::now();
    assert!(desk.stop(Duration::from_secs(20)).is_clean);
    assert!(started.elapsed() < Duration::from_secs(8), "{:?}", started.elapsed());
}

#[test]
fn too_many_or_too_large_headers_are_refused_and_the_next_client_is_served() {
    let desk = Desk::start();
    let many: String = (0..150).map(|n| format!("x-{n}: 1\r\n")).collect();
    let large = format!("x-large: {}\r\n", "a".repeat(64 * 1024));
    for headers in [many, large] {
        let mut stream = connect(&desk);
        // The other side may close before all is sent.
        let _ = stream.write_all(format!("GET /problems HTTP/1.1\r\nhost: x\r\n{headers}\r\n").as_bytes());
        let answer = rest(&mut stream);
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
        assert_eq!(desk.get("/problems").status, 200);
    }
    let mut stream = connect(&desk);
    let uri = "a".repeat(64 * 1024);
    let _ = stream.write_all(format!("GET /{uri} HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes());
    let answer = rest(&mut stream);
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
}

#[test]
fn a_body_that_nobody_reads_does_no_harm_to_the_next_request() {
    let desk = Desk::start();
    let smuggled = "GET /smuggled HTTP/1.1\r\nhost: x\r\n\r\n";
    for method in ["GET", "DELETE"] {
        for framing in [
            format!("content-length: {}\r\n\r\n{smuggled}", smuggled.len()),
            format!("transfer-encoding: chunked\r\n\r\n{:x}\r\n{smuggled}\r\n0\r\n\r\n", smuggled.len()),
        ] {
            let mut stream = connect(&desk);
            stream.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
            let first = format!("{method} /problems/none HTTP/1.1\r\nhost: x\r\n{framing}");
            let second = "GET /second HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
            let _ = stream.write_all(format!("{first}{second}").as_bytes());
            let answer = rest(&mut stream);
            assert!(answer.contains("HTTP/1.1 4") && !answer.contains("/smuggled"), "{method}: {answer}");
        }
    }
    let both = format!(
        "POST /api/v1/preferences HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n{smuggled}"
    );
    let mut stream = connect(&desk);
    stream.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    stream.write_all(both.as_bytes()).unwrap();
    let answer = rest(&mut stream);
    assert!(answer.matches("HTTP/1.1").count() <= 2, "{answer}");
}

#[test]
fn every_record_that_a_request_appends_names_a_trace() {
    let desk = Desk::start();
    let given = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let accepted = desk.state();
    let token = accepted["token"].as_str().unwrap();
    let bearer = format!("Bearer {token}");
    let body = json!({"listing_id": "a:1", "event_type": "Share"}).to_string();
    for trace in ["", "nonsense", given] {
        let headers =
            [("content-type", "application/json"), ("authorization", bearer.as_str()), ("traceparent", trace)];
        assert_eq!(desk.ask("POST", "/api/v1/interactions", &headers, body.as_bytes()).status, 202);
        let path = format!("/api/v1/sessions/{}", accepted["session_id"].as_str().unwrap());
        assert_eq!(desk.ask("DELETE", &path, &headers, b"").status, 204);
        let json = preferences().to_string();
        assert_eq!(desk.ask("POST", "/api/v1/preferences", &headers, json.as_bytes()).status, 202);
    }
    let mut traces = Vec::new();
    for topic in [Topic::Preferences, Topic::Interactions] {
        for record in all_of(&desk, topic) {
            let trace = header::text(&record.headers, header::TRACEPARENT).unwrap().to_owned();
            assert!(trace.len() == given.len() && trace.starts_with("00-"), "{trace}");
            traces.push(trace);
        }
    }
    assert_eq!((traces.len(), traces.iter().filter(|trace| *trace == given).count()), (10, 3));
    traces.sort();
    traces.dedup();
    assert_eq!(traces.len(), 8, "one of each request");
}
