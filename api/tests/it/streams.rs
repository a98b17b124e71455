//! Streams of recommendations, server-sent events and WebSockets: what is told, once, and how they end.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use api::Config;
use schemas::id::SessionToken;
use schemas::topic::Topic;
use serde_json::{Value, json};
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::{Message, WebSocket};

use crate::desk::{Desk, item, session};
use crate::faults::Delivery;

const PATH: &str = "/api/v1/recommendations/stream";

/// An event as a client sees it.
#[derive(Debug, PartialEq)]
pub struct Event {
    pub name: String,
    pub id: Option<String>,
    pub data: Value,
}

/// A client of server-sent events.
pub struct Listening {
    reader: BufReader<TcpStream>,
    pub head: String,
    text: String,
}

impl Listening {
    pub fn open(desk: &Desk, path: &str, headers: &[(&str, &str)]) -> Self {
        let mut stream = TcpStream::connect(desk.base.trim_start_matches("http://")).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: x\r\n{headers}\r\n").as_bytes()).unwrap();
        let (mut reader, mut head) = (BufReader::new(stream), String::new());
        while !head.ends_with("\r\n\r\n") {
            assert_ne!(reader.read_line(&mut head).unwrap(), 0, "{head}");
        }
        Self { reader, head, text: String::new() }
    }

    fn of(desk: &Desk, token: &str) -> Self {
        let listening = Self::open(desk, PATH, &[("authorization", &format!("Bearer {token}"))]);
        assert!(listening.head.starts_with("HTTP/1.1 200"), "{}", listening.head);
        listening
    }

    /// The next block of lines, comments included; `None` when the stream has ended.
    fn block(&mut self) -> Option<String> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let block = block.to_owned();
                self.text = rest.to_owned();
                return Some(block);
            }
            let mut size = String::new();
            self.reader.read_line(&mut size).unwrap();
            let size = usize::from_str_radix(size.trim(), 16).unwrap();
            let mut chunk = vec![0; size + 2];
            self.reader.read_exact(&mut chunk).unwrap();
            if size == 0 {
                return None;
            }
            self.text.push_str(std::str::from_utf8(&chunk[..size]).unwrap());
        }
    }

    /// The next event that is of one of these names; `None` when the stream has ended.
    pub fn next_of(&mut self, names: &[&str]) -> Option<Event> {
        loop {
            let block = self.block()?;
            let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
            let Some(name) = field("event: ").filter(|name| names.contains(&name.as_str())) else { continue };
            return Some(Event { name, id: field("id: "), data: field("data: ").unwrap().parse().unwrap() });
        }
    }

    pub fn next(&mut self) -> Option<Event> {
        self.next_of(&["recommendations", "erased"])
    }

    fn next_id(&mut self) -> Option<String> {
        self.next().unwrap().id
    }
}

/// A session with a statement and a first row.
fn seated(desk: &Desk) -> (String, u64, String) {
    let accepted = desk.state();
    let (token, version) = (accepted["token"].as_str().unwrap().to_owned(), accepted["version"].as_u64().unwrap());
    let id = desk.announce(session(&token), version, &[item()]);
    (token, version, id)
}

fn priced(price: i64) -> Value {
    let mut item = item();
    item["list_price"] = json!(price);
    item
}

#[test]
fn a_stream_tells_what_is_there_and_then_every_change_within_a_second() {
    let desk = Desk::start();
    let (token, version, id) = seated(&desk);
    let counts = json!({"matched_total": 41, "counted_at": "2026-11-25T12:00:00.000Z"});
    desk.write(store::Row::Counts(session(&token)), Some(&counts));
    let mut stream = Listening::of(&desk, &token);
    for header in ["content-type: text/event-stream", "cache-control: no-store", "x-accel-buffering: no"] {
        assert!(stream.head.contains(header), "{}", stream.head);
    }
    assert!(stream.block().unwrap().starts_with("retry: "));
    let first = stream.next().unwrap();
    assert_eq!((first.name.as_str(), first.id), ("recommendations", Some(id)));
    let mut polled = desk.get_as(&token, "/api/v1/recommendations").json();
    for member in ["as_of", "stale"] {
        polled[member] = first.data[member].clone();
    }
    assert_eq!(first.data, polled, "the same as a poll");
    assert_eq!(first.data["counts"], counts);
    let changed = Instant::now();
    let id = desk.announce(session(&token), version, &[priced(500_000)]);
    let second = stream.next().unwrap();
    assert!(changed.elapsed() < Duration::from_secs(1), "{:?}", changed.elapsed());
    assert_eq!(second.id, Some(id));
    assert_eq!((&second.data["items"][0]["list_price"], &second.data["counts"]), (&json!(500_000), &counts));
}

#[test]
fn a_session_without_a_row_is_told_its_first_one() {
    let desk = Desk::start();
    let accepted = desk.state();
    let token = accepted["token"].as_str().unwrap();
    let mut stream = Listening::of(&desk, token);
    let id = desk.announce(session(token), accepted["version"].as_u64().unwrap(), &[]);
    assert_eq!(stream.next_id(), Some(id));
}

#[test]
fn who_comes_back_is_told_nothing_twice() {
    let desk = Desk::start();
    let (token, version, id) = seated(&desk);
    let bearer = format!("Bearer {token}");
    let old = "1-0000000000000000";
    let mut behind = Listening::open(&desk, PATH, &[("authorization", &bearer), ("last-event-id", old)]);
    assert_eq!(behind.next_id(), Some(id.clone()), "who has other picks is told those of the row");
    let mut by_header = Listening::open(&desk, PATH, &[("authorization", &bearer), ("last-event-id", &id)]);
    let mut by_query = Listening::open(&desk, &format!("{PATH}?token={token}&last_event_id={id}"), &[]);
    // The same picks, written again by another owner; then older ones, of a zombie.
    let same = json!({"preference_version": version, "items": [item()]});
    desk.tell(session(&token), 1 << 45, &same);
    desk.tell(session(&token), 7, &json!({"preference_version": version, "items": []}));
    let news = json!({"preference_version": version, "items": [priced(1)]});
    let next = desk.tell(session(&token), (1 << 45) + 1, &news);
    for stream in [&mut by_header, &mut by_query] {
        assert_eq!(stream.next_id(), Some(next.clone()));
    }
}

#[test]
fn a_slow_client_gets_the_newest_and_no_backlog() {
    let desk = Desk::start();
    let (token, version, _) = seated(&desk);
    let mut stream = Listening::of(&desk, &token);
    stream.next().unwrap();
    // Picks larger than the kernel keeps for a client that does not read, many times over.
    const CHANGES: usize = 200;
    let large = |n: usize| {
        let mut item = priced(n as i64 + 1);
        item["title"] = json!("x".repeat(100_000));
        item
    };
    for n in 0..CHANGES {
        desk.announce(session(&token), version, &[large(n)]);
    }
    let (mut told, mut last) = (0, json!(null));
    while last != json!(CHANGES) {
        last = stream.next().unwrap().data["items"][0]["list_price"].clone();
        told += 1;
    }
    assert!(told < CHANGES, "all {told} were told");
}

#[test]
fn an_erased_session_is_told_so_and_its_stream_ends() {
    let desk = Desk::start();
    let other = Desk::start_beside(&desk);
    let (token, _, _) = seated(&desk);
    let (mut here, mut there) = (Listening::of(&desk, &token), Listening::of(&other, &token));
    let id = session(&token).to_string();
    let bearer = format!("Bearer {token}");
    for stream in [&mut here, &mut there] {
        stream.next().unwrap();
    }
    let erased = Instant::now();
    assert_eq!(desk.ask("DELETE", &format!("/api/v1/sessions/{id}"), &[("authorization", &bearer)], b"").status, 204);
    for stream in [&mut here, &mut there] {
        let last = stream.next().unwrap();
        assert_eq!((last.name.as_str(), last.id, &last.data["session_id"]), ("erased", None, &json!(id)));
        assert_eq!(stream.next(), None);
    }
    assert!(erased.elapsed() < Duration::from_secs(1), "{:?}", erased.elapsed());
    desk.get_as(&token, PATH).problem(404, "session-not-found");
}

#[test]
fn a_stream_says_when_its_picks_become_stale_and_tells_them_only_once() {
    let desk = Desk::start();
    desk.catch_up(0);
    let (token, _, _) = seated(&desk);
    desk.eventually("fresh", || desk.get_as(&token, "/api/v1/recommendations").json()["stale"] == json!(false));
    let mut stream = Listening::of(&desk, &token);
    assert_eq!(stream.next().unwrap().data["stale"], json!(false));
    for (seconds, stale) in [(60, true), (0, false)] {
        desk.catch_up(seconds);
        let event = stream.next_of(&["recommendations", "freshness", "erased"]).unwrap();
        assert_eq!((event.name.as_str(), event.id, &event.data["stale"]), ("freshness", None, &json!(stale)));
    }
}

#[test]
fn what_was_missed_is_read_again_when_the_store_answers() {
    let desk = Desk::start();
    let (token, version, _) = seated(&desk);
    let mut stream = Listening::of(&desk, &token);
    stream.next().unwrap();
    let cell = json!({"preference_version": version, "items": [priced(2)]});
    desk.write(store::Row::Recommendation(session(&token)), Some(&cell));
    desk.tables.away.store(true, Ordering::Relaxed);
    // A record that cannot be read stands for one that was missed.
    desk.append(Topic::Recommendations, session(&token), Some(b"{}".to_vec()));
    std::thread::park_timeout(Duration::from_millis(300));
    desk.tables.away.store(false, Ordering::Relaxed);
    assert_eq!(stream.next().unwrap().data["items"][0]["list_price"], json!(2));
}

#[test]
fn a_change_that_the_log_never_told_is_read_when_it_is_back() {
    let desk = Desk::start();
    let (token, version, _) = seated(&desk);
    let mut stream = Listening::of(&desk, &token);
    stream.next().unwrap();
    *desk.delivery.lock().unwrap() = Delivery::Away;
    desk.eventually("not ready", || desk.api().ready().is_err_and(|reason| reason.contains("127.0.0.1:9092")));
    // Each topic has a follower of its own, which looks ten times a second.
    std::thread::park_timeout(Duration::from_millis(500));
    let cell = json!({"preference_version": version, "items": [priced(2)]});
    desk.write(store::Row::Recommendation(session(&token)), Some(&cell));
    *desk.delivery.lock().unwrap() = Delivery::Honest;
    assert_eq!(stream.next().unwrap().data["items"][0]["list_price"], json!(2));
}

#[test]
fn streams_beyond_the_bound_are_refused_and_take_no_place_of_requests() {
    let config = Config { max_streams: 2, max_in_flight: 1, ..Config::default() };
    let desk = Desk::start_with(config, None);
    let (token, _, _) = seated(&desk);
    let (mut one, two) = (Listening::of(&desk, &token), Listening::of(&desk, &token));
    one.next().unwrap();
    desk.get_as(&token, PATH).problem(503, "overloaded");
    assert_eq!(desk.get_as(&token, "/api/v1/recommendations").status, 200, "two streams, and one request under way");
    drop(two);
    let bearer = format!("Bearer {token}");
    desk.eventually("the place is free again", || {
        Listening::open(&desk, PATH, &[("authorization", &bearer)]).head.starts_with("HTTP/1.1 200")
    });
}

#[test]
fn an_idle_stream_outlives_every_time_out_and_says_that_it_is_there() {
    let short = Duration::from_millis(200);
    let config = Config {
        request_timeout: short,
        max_wait: short,
        header_timeout: short,
        write_timeout: short,
        stream_keep_alive: short,
        ..Config::default()
    };
    let desk = Desk::start_with(config, None);
    let (token, version, _) = seated(&desk);
    let mut stream = Listening::of(&desk, &token);
    stream.next().unwrap();
    let comments = (0..8).filter(|_| stream.block().unwrap().starts_with(':')).count();
    assert!(comments >= 5, "{comments}");
    let id = desk.announce(session(&token), version, &[]);
    assert_eq!(stream.next_id(), Some(id));
}

#[test]
fn an_end_closes_a_thousand_streams_without_waiting_for_their_clients() {
    let desk = Desk::start();
    // A session has at most 32.
    let tokens: Vec<String> = (0..40).map(|_| seated(&desk).0).collect();
    let mut streams: Vec<Listening> =
        tokens.iter().cycle().take(1_000).map(|token| Listening::of(&desk, token)).collect();
    let token = seated(&desk).0;
    let mut socket = open_socket(&desk, &token, &[]).unwrap();
    streams.iter_mut().for_each(|stream| drop(stream.next().unwrap()));
    socket.read().unwrap();
    let closing = std::thread::spawn(move || close_code_of(&mut socket));
    let started = Instant::now();
    assert!(desk.stop(Duration::from_secs(20)).is_clean);
    // Far below what the end would wait for; how long it takes is for the benchmarks.
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    for stream in &mut streams {
        assert_eq!(stream.next(), None);
    }
    assert_eq!(closing.join().unwrap(), Some(CloseCode::Away));
}

#[test]
fn a_session_has_no_crowd_of_streams() {
    let desk = Desk::start();
    let (token, _, _) = seated(&desk);
    let streams: Vec<Listening> = (0..32).map(|_| Listening::of(&desk, &token)).collect();
    desk.get_as(&token, PATH).problem(503, "overloaded");
    Listening::of(&desk, &seated(&desk).0);
    drop(streams);
}

#[test]
fn only_the_token_of_a_session_opens_its_stream() {
    let desk = Desk::start();
    let (token, _, _) = seated(&desk);
    let unknown = SessionToken::from_bits(42).reveal();
    for path in [PATH, "/api/v1/recommendations/ws"] {
        desk.get(path).problem(401, "unauthenticated");
        let malformed = desk.get(&format!("{path}?token=x{token}")).problem(401, "unauthenticated");
        assert!(!malformed.to_string().contains(&token), "{malformed}");
        desk.get_as(&token, &format!("{path}?token={token}")).problem(401, "unauthenticated");
        desk.get(&format!("{path}?token={token}&last_event_id=x")).problem(400, "invalid-parameter");
    }
    desk.get(&format!("{PATH}?token={unknown}")).problem(404, "session-not-found");
    desk.get(&format!("/api/v1/recommendations?token={token}")).problem(401, "unauthenticated");
    let socket = desk.get(&format!("/api/v1/recommendations/ws?token={token}"));
    socket.problem(426, "upgrade-required");
    assert_eq!(socket.header("upgrade"), Some("websocket"));
}

type Socket = WebSocket<TcpStream>;

/// Opens a WebSocket; the status of the answer when it is not one.
pub fn open_socket(desk: &Desk, token: &str, headers: &[(&str, &str)]) -> Result<Socket, u16> {
    let address = desk.base.trim_start_matches("http://");
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut request = tungstenite::http::Request::builder()
        .uri(format!("ws://{address}/api/v1/recommendations/ws?token={token}"))
        .header("host", address)
        .header("connection", "Upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-extensions", "permessage-deflate")
        .header("sec-websocket-key", tungstenite::handshake::client::generate_key());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    match tungstenite::client(request.body(()).unwrap(), stream) {
        Ok((socket, answer)) => {
            assert!(!answer.headers().contains_key("sec-websocket-extensions"), "nothing is compressed");
            Ok(socket)
        }
        Err(tungstenite::HandshakeError::Failure(tungstenite::Error::Http(answer))) => Err(answer.status().as_u16()),
        Err(error) => panic!("{error}"),
    }
}

fn text(socket: &mut Socket) -> Value {
    loop {
        let Message::Text(text) = socket.read().unwrap() else { continue };
        let text: Value = text.parse().unwrap();
        if text["type"] != "freshness" {
            return text;
        }
    }
}

/// Reads until the socket is closed.
pub fn close_code_of(socket: &mut Socket) -> Option<CloseCode> {
    loop {
        match socket.read() {
            Ok(Message::Close(frame)) => return frame.map(|frame| frame.code),
            Ok(_) => {}
            Err(error) => panic!("not closed: {error}"),
        }
    }
}

#[test]
fn a_socket_tells_what_a_stream_does() {
    let desk = Desk::start();
    let (token, version, id) = seated(&desk);
    let mut socket = open_socket(&desk, &token, &[]).unwrap();
    let mut stream = Listening::of(&desk, &token);
    let first = text(&mut socket);
    assert_eq!((&first["type"], &first["id"]), (&json!("recommendations"), &json!(id)));
    assert_eq!(first["data"], stream.next().unwrap().data);
    let changed = Instant::now();
    let id = desk.announce(session(&token), version, &[]);
    let second = text(&mut socket);
    assert!(changed.elapsed() < Duration::from_secs(1), "{:?}", changed.elapsed());
    assert_eq!((&second["id"], &second["data"]["items"]), (&json!(id), &json!([])));
    let mut resumed = open_socket(&desk, &format!("{token}&last_event_id={id}"), &[]).unwrap();
    let id = desk.announce(session(&token), version, &[priced(3)]);
    assert_eq!(text(&mut resumed)["id"], json!(id), "what it has is not told again");

    let bearer = [("authorization", &*format!("Bearer {token}"))];
    assert_eq!(desk.ask("DELETE", &format!("/api/v1/sessions/{}", session(&token)), &bearer, b"").status, 204);
    assert_eq!(text(&mut resumed)["type"], "erased");
    assert_eq!(close_code_of(&mut resumed), Some(CloseCode::Normal));
}

#[test]
fn a_client_that_sends_anything_or_answers_no_ping_is_closed() {
    let keep_alive = Duration::from_millis(200);
    let desk = Desk::start_with(Config { stream_keep_alive: keep_alive, ..Config::default() }, None);
    let (token, version, _) = seated(&desk);
    let open = || open_socket(&desk, &token, &[]).unwrap();
    for (message, code) in [
        (Message::text("hello"), CloseCode::Unsupported),
        (Message::binary(vec![0; 10]), CloseCode::Unsupported),
        (Message::text("x".repeat(100_000)), CloseCode::Policy),
    ] {
        let mut socket = open();
        // It may be closed before all is sent.
        let _ = socket.send(message);
        assert_eq!(close_code_of(&mut socket), Some(code));
    }
    // Who reads answers pings.
    let mut alive = open();
    let pings = (0..6).filter(|_| matches!(alive.read().unwrap(), Message::Ping(_))).count();
    assert!(pings >= 4, "{pings}");
    let id = desk.announce(session(&token), version, &[]);
    assert_eq!(text(&mut alive)["id"], json!(id));
    // Who does not read is closed.
    let mut silent = open();
    std::thread::park_timeout(keep_alive * 4);
    assert_eq!(close_code_of(&mut silent), Some(CloseCode::Policy));
}

#[test]
fn a_page_of_another_site_opens_no_socket() {
    let desk = Desk::start();
    let (token, _, _) = seated(&desk);
    assert_eq!(open_socket(&desk, &token, &[("origin", "https://evil.example")]).err(), Some(403));
    assert!(open_socket(&desk, &token, &[("origin", &desk.base)]).is_ok());
    let unknown = SessionToken::from_bits(42).reveal();
    assert_eq!(open_socket(&desk, &unknown, &[]).err(), Some(404));
}
