//! A token is in no log line, whatever is asked with it and however much is logged.

use std::io::Write;
use std::sync::{Arc, Mutex};

use serde_json::json;
use tracing_subscriber::fmt::MakeWriter;

use crate::desk::{Desk, session};

/// Everything that was logged.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;
    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[test]
fn a_token_is_in_no_log_line() {
    let lines = Lines::default();
    let subscriber =
        tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(lines.clone()).finish();
    let watch = tracing::Dispatch::new(subscriber);
    // With a single subscriber in the process, tracing asks the one of the thread that comes by a log line first, and other
    // tests' threads have none: the line would stay off for everybody. With two it asks both.
    let _second = tracing::Dispatch::new(tracing_subscriber::fmt().with_writer(std::io::sink).finish());
    let desk = Desk::start_watched(watch);
    let accepted = desk.state();
    let token = accepted["token"].as_str().unwrap();
    let version = accepted["version"].as_u64().unwrap();
    desk.recommend(session(token), version);
    assert_eq!(desk.get_as(token, "/api/v1/recommendations").status, 200);
    assert_eq!(desk.get(&format!("/api/v1/recommendations?token={token}")).status, 401);
    let stream = format!("/api/v1/recommendations/stream?token={token}");
    assert_eq!(desk.ask("HEAD", &stream, &[], b"").status, 200);
    assert_eq!(desk.get(&format!("{stream}x")).status, 401);
    let older = format!("/api/recommendations?session_id={token}");
    assert_eq!(desk.get(&older).status, 200);
    assert_eq!(desk.get(&format!("{older}x")).status, 404);
    let stated_again = json!({"budget": 1, "location": "nowhere", "session_id": token});
    assert_eq!(desk.post("/api/preferences", &stated_again).status, 422);
    assert_eq!(desk.get(&format!("/api/v1/recommendations/ws?token={token}")).status, 426);
    assert_eq!(desk.get_as(token, &format!("/api/v1/properties?session=true&token={token}")).status, 400);
    assert_eq!(desk.get(&format!("/nowhere/{token}")).status, 404);
    desk.write(store::Row::Recommendation(session(token)), Some(&json!({"preference_version": version, "items": 1})));
    assert_eq!(desk.get_as(token, "/api/v1/recommendations").status, 500);
    let bearer = [("authorization", &*format!("Bearer {token}"))];
    let path = format!("/api/v1/sessions/{}", accepted["session_id"].as_str().unwrap());
    assert_eq!(desk.ask("DELETE", &path, &bearer, b"").status, 204);

    let lines = String::from_utf8_lossy(&lines.0.lock().unwrap()).into_owned();
    assert!(lines.contains("GET /api/v1/recommendations: 200"), "the requests are logged: {lines}");
    assert!(lines.contains("HEAD /api/v1/recommendations/stream: 200"), "{lines}");
    assert!(lines.contains("a request failed for a fault of ours"), "{lines}");
    assert!(!lines.contains(token), "{}", lines.lines().find(|line| line.contains(token)).unwrap());
}
