//! Tokens that end, API keys, and keys of repetition, over HTTP.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use access::Mode;
use api::Config;
use schemas::access::{AccessRecord, KeyRole, Owner, Webhook};
use schemas::id::AccessId;
use schemas::topic::Topic;
use serde_json::{Value, json};
use tungstenite::protocol::frame::coding::CloseCode;

use crate::access::{api_key, session_with_rows, settings};
use crate::desk::{Answer, Desk, preferences};
use crate::streams::{close_code_of, open_socket};

fn text(value: &Value, member: &str) -> String {
    value[member].as_str().unwrap_or_else(|| panic!("{member}: {value:#}")).to_owned()
}

fn refresh(desk: &Desk, token: &str) -> Answer {
    desk.post("/api/v1/sessions/refresh", &json!({"refresh_token": token}))
}

fn state_with(desk: &Desk, headers: &[(&str, &str)], body: &Value) -> Answer {
    let mut all = vec![("content-type", "application/json")];
    all.extend(headers);
    desk.ask("POST", "/api/v1/preferences", &all, body.to_string().as_bytes())
}

fn reads(desk: &Desk, token: &str) -> u16 {
    desk.get_as(token, "/api/v1/recommendations").status
}

#[test]
fn a_session_is_made_renewed_stated_again_and_erased() {
    let (_secret, config) = settings(Mode::Tokens);
    let desk = Desk::start_with(config.clone(), None);
    let other = Desk::start_beside_with(&desk, config);
    let accepted = session_with_rows(&desk);
    let (token, id) = (text(&accepted, "token"), text(&accepted, "session_id"));
    assert_eq!((reads(&desk, &token), reads(&other, &token)), (200, 200));
    let until: jiff::Timestamp = text(&accepted, "token_expires_at").parse().unwrap();
    let left = until.as_second() - jiff::Timestamp::now().as_second();
    assert!((890..=900).contains(&left), "{left} s");

    let again = state_with(&desk, &[("authorization", &format!("Bearer {token}"))], &preferences());
    assert_eq!((again.status, again.json()["session_id"].as_str()), (202, Some(&*id)));
    assert!(again.json().get("token").is_none() && again.json().get("refresh_token").is_none(), "{}", again.text);

    // Renewed at the other process.
    let renewed = refresh(&other, &text(&accepted, "refresh_token"));
    assert_eq!((renewed.status, renewed.header("cache-control")), (200, Some("no-store")), "{}", renewed.text);
    let renewed = renewed.json();
    desk.recommend(id.parse().unwrap(), again.json()["version"].as_u64().unwrap());
    assert_eq!(reads(&desk, &text(&renewed, "token")), 200);

    let bearer = format!("Bearer {}", text(&renewed, "token"));
    let path = format!("/api/v1/sessions/{id}");
    assert_eq!(desk.ask("DELETE", &path, &[("authorization", &bearer)], b"").status, 204);
    assert_eq!(reads(&desk, &token), 401, "the token is dead, not only the session");
    desk.eventually("the other process knows it", || reads(&other, &token) == 401);
    refresh(&desk, &text(&renewed, "refresh_token")).problem(401, "unauthenticated");
}

#[test]
fn a_refresh_token_that_comes_again_ends_the_family_at_every_process() {
    let (_secret, mut config) = settings(Mode::Tokens);
    config.auth.refresh_grace = Duration::ZERO;
    let desk = Desk::start_with(config.clone(), None);
    let other = Desk::start_beside_with(&desk, config);
    let accepted = session_with_rows(&desk);
    let first = text(&accepted, "refresh_token");
    let renewed = refresh(&desk, &first).json();
    std::thread::park_timeout(Duration::from_millis(5));
    let problem = refresh(&desk, &first).problem(401, "unauthenticated");
    assert!(problem["detail"].as_str().unwrap().contains("used before"), "{problem:#}");
    refresh(&desk, &text(&renewed, "refresh_token")).problem(401, "unauthenticated");
    desk.eventually("both know that the tokens are dead", || {
        [&desk, &other].iter().all(|desk| reads(desk, &text(&renewed, "token")) == 401)
    });
}

#[test]
fn a_token_that_is_none_is_401_and_never_repeated() {
    let (_secret, config) = settings(Mode::Tokens);
    let desk = Desk::start_with(config, None);
    let accepted = session_with_rows(&desk);
    let (token, refresh_token) = (text(&accepted, "token"), text(&accepted, "refresh_token"));
    let cut = &token[..token.len() - 9];
    for wrong in [refresh_token.as_str(), cut, "000102030405060708090a0b0c0d0e0f", "roost_5d41402abc4b_x", "a.b.c"] {
        let answer = desk.get_as(wrong, "/api/v1/recommendations");
        answer.problem(401, "unauthenticated");
        assert!(answer.header("www-authenticate").unwrap().starts_with("Bearer"));
        assert!(!answer.text.contains(wrong), "{}", answer.text);
    }
    for wrong in [token.as_str(), &refresh_token[..refresh_token.len() - 9], "", "x"] {
        let answer = refresh(&desk, wrong);
        answer.problem(401, "unauthenticated");
        assert!(wrong.len() < 2 || !answer.text.contains(wrong), "{}", answer.text);
    }
}

#[test]
fn a_stream_ends_with_its_token() {
    let (_secret, mut config) = settings(Mode::Tokens);
    config.auth.token_ttl = Duration::from_secs(2);
    let desk = Desk::start_with(config, None);
    let token = text(&session_with_rows(&desk), "token");
    let mut socket = open_socket(&desk, &token, &[]).unwrap();
    let mut stream = TcpStream::connect(desk.base.trim_start_matches("http://")).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    write!(stream, "GET /api/v1/recommendations/stream?token={token} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        .unwrap();
    let mut events = String::new();
    stream.read_to_string(&mut events).unwrap();
    assert!(events.contains("event: recommendations") && !events.contains("event: erased"), "{events}");
    assert_eq!(close_code_of(&mut socket), Some(CloseCode::Policy));
}

#[test]
fn an_api_key_never_stands_in_an_address_and_opens_no_stream() {
    let (_secret, config) = settings(Mode::Open);
    let desk = Desk::start_with(config, None);
    let key = api_key(&desk, KeyRole::Admin);
    let path = "/api/v1/recommendations/stream";
    desk.get(&format!("{path}?token={key}")).problem(401, "unauthenticated");
    desk.ask("GET", path, &[("x-api-key", &key)], b"").problem(403, "forbidden");
    desk.ask("GET", path, &[("x-api-key", &key), ("authorization", "Bearer x")], b"").problem(401, "unauthenticated");
}

#[test]
fn the_same_idempotency_key_makes_the_same_session() {
    for mode in [Mode::Open, Mode::Tokens] {
        let (_secret, config) = settings(mode);
        let desk = Desk::start_with(config.clone(), None);
        let other = Desk::start_beside_with(&desk, config);
        let id = |answer: Answer| {
            assert_eq!(answer.status, 202, "{}", answer.text);
            text(&answer.json(), "session_id")
        };
        let key = [("idempotency-key", "0123456789abcdef")];
        let first = state_with(&desk, &key, &preferences());
        let again = state_with(&other, &[("idempotency-key", "\"0123456789abcdef\"")], &preferences());
        assert_eq!(again.json().get("refresh_token").is_some(), mode == Mode::Tokens);
        assert_eq!(id(first), id(again));
        // Another body is a newer statement of the same session.
        let mut changed = preferences();
        changed["budget"] = json!(1);
        let newer = state_with(&desk, &key, &changed);
        assert_eq!(newer.json()["preferences"]["budget"], json!(1));
        let anonymous = id(newer);
        assert_eq!(anonymous, id(state_with(&desk, &key, &preferences())));
        assert_ne!(anonymous, id(state_with(&desk, &[("idempotency-key", "0123456789abcdeg")], &preferences())));
        // Another caller's key is another session, and may be short.
        let service = api_key(&desk, KeyRole::Service);
        let of_service =
            |key: &str| state_with(&desk, &[("idempotency-key", key), ("x-api-key", &service)], &preferences());
        assert_ne!(anonymous, id(of_service("0123456789abcdef")));
        assert_eq!(id(of_service("1")), id(of_service("1")));
        state_with(&desk, &[("idempotency-key", "1")], &preferences()).problem(400, "bad-request");
        state_with(&desk, &[("idempotency-key", "a b")], &preferences()).problem(400, "bad-request");
        // With a session's own token it means nothing.
        let own = desk.state();
        let bearer = format!("Bearer {}", text(&own, "token"));
        let stated = state_with(&desk, &[key[0], ("authorization", &bearer)], &preferences());
        assert_eq!(id(stated), text(&own, "session_id"));
    }
}

#[test]
fn an_administrator_erases_any_session_and_its_webhooks_go_with_it() {
    let (_secret, config) = settings(Mode::Tokens);
    let desk = Desk::start_with(config, None);
    let admin = api_key(&desk, KeyRole::Admin);
    let accepted = session_with_rows(&desk);
    let id = text(&accepted, "session_id");
    let webhook = Webhook {
        webhook_id: AccessId::random(),
        owner: Owner::Session(id.parse().unwrap()),
        url: "https://example.com".to_owned(),
        sessions: Vec::new(),
        created_at: access::now(),
        deleted_at: None,
        delivery: None,
    };
    let porter = {
        let fatal: stream::Fatal = std::sync::Arc::new(|line| panic!("{line}"));
        access::Access::start(&access::Config::default(), access::Role::Api, &desk.log, &fatal).unwrap().0
    };
    let record = AccessRecord::Webhook(webhook.clone());
    desk.append_under(Topic::Access, record.key().to_string().into_bytes(), Some(record.to_json()));
    desk.eventually("the webhook is known", || porter.webhooks_of(&webhook.owner).len() == 1);
    let erased = || desk.ask("DELETE", &format!("/api/v1/sessions/{id}"), &[("x-api-key", &admin)], b"").status;
    desk.eventually("the webhook is gone", || erased() == 204 && porter.webhooks_of(&webhook.owner).is_empty());
    assert_eq!(reads(&desk, &text(&accepted, "token")), 401);
    desk.ask("DELETE", "/api/v1/sessions/x", &[("x-api-key", &admin)], b"").problem(404, "session-not-found");
}

#[test]
fn a_process_without_its_secret_does_not_start() {
    let (_secret, mut config) = settings(Mode::Tokens);
    config.auth.secret_file = "/nowhere".into();
    let desk = Desk::start();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let fatal: stream::Fatal = std::sync::Arc::new(|_| ());
    let config = Config { listen: ([127, 0, 0, 1], 0).into(), ..config };
    let started = runtime.block_on(api::Api::start(
        config,
        desk.log.clone(),
        desk.tables.clone(),
        None,
        api::Lent::default(),
        fatal,
    ));
    let error = started.err().unwrap().to_string();
    assert!(error.contains("auth.secret_file: /nowhere") && error.contains("roost key secret"), "{error}");
}
