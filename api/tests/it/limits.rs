//! Bounds: time for headers and bodies, requests under way, connections, and a graceful end.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use api::Config;

use crate::desk::Desk;

fn connect(desk: &Desk) -> TcpStream {
    let stream = TcpStream::connect(desk.base.trim_start_matches("http://")).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
}

/// Reads until the other side closes.
fn read_all(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    // A reset is an end too.
    let _ = stream.read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

#[test]
fn a_client_that_is_slow_with_its_headers_is_cut_off() {
    let desk = Desk::start_with(Config { header_timeout: Duration::from_millis(300), ..Config::default() }, None);
    let mut slow = connect(&desk);
    slow.write_all(b"GET /api/v1/markets HTTP/1.1\r\nhost: x\r\nx-slow: ").unwrap();
    let started = Instant::now();
    read_all(&mut slow);
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    let mut idle = connect(&desk);
    idle.write_all(b"GET /nowhere HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    let started = Instant::now();
    assert!(read_all(&mut idle).starts_with("HTTP/1.1 404"));
    assert!(started.elapsed() < Duration::from_secs(5), "an idle connection is closed: {:?}", started.elapsed());
}

#[test]
fn a_client_that_is_slow_with_its_body_is_told_so() {
    let desk = Desk::start_with(Config { body_timeout: Duration::from_millis(300), ..Config::default() }, None);
    let mut slow = connect(&desk);
    let head =
        "POST /api/v1/preferences HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{";
    slow.write_all(head.as_bytes()).unwrap();
    let answer = read_all(&mut slow);
    assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("/problems/request-timeout"), "{answer}");
}

#[test]
fn a_body_without_a_length_is_bounded_too() {
    let desk = Desk::start();
    let mut stream = connect(&desk);
    let head = "POST /api/v1/preferences HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    let chunk = [format!("{:x}\r\n", 65_536).as_bytes(), &[b' '; 65_536], b"\r\n"].concat();
    // The answer may come, and the connection end, before all is sent.
    for _ in 0..64 {
        if stream.write_all(&chunk).is_err() {
            break;
        }
    }
    let answer = read_all(&mut stream);
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 413"), "{answer}");
    desk.state();
}

#[test]
fn a_client_that_reads_nothing_is_cut_off() {
    let config = Config { write_timeout: Duration::from_millis(300), max_connections: 1, ..Config::default() };
    let desk = Desk::start_with(config, None);
    let mut greedy = connect(&desk);
    greedy.set_write_timeout(Some(Duration::from_millis(100))).unwrap();
    let request = b"GET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n".repeat(500);
    // It asks for far more than the kernel's buffers hold; its own writes may block when ours do.
    let _ = greedy.write_all(&request);
    let started = Instant::now();
    assert_eq!(desk.get("/problems").status, 200, "the only connection is free again");
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
}

#[test]
fn requests_beyond_the_bound_are_shed_at_once() {
    let desk = Desk::start_with(Config { max_in_flight: 1, ..Config::default() }, None);
    let accepted = desk.state();
    let token = accepted["token"].as_str().unwrap();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| desk.get_as(token, "/api/v1/recommendations?min_version=1000&wait=2s"));
        desk.eventually("one request is under way", || desk.get("/problems").status == 503);
        let started = Instant::now();
        desk.get("/problems").problem(503, "overloaded");
        assert!(started.elapsed() < Duration::from_secs(1));
        assert_eq!(waiting.join().unwrap().status, 202);
    });
    assert_eq!(desk.get("/problems").status, 200);
}

#[test]
fn connections_beyond_the_bound_wait_for_their_turn() {
    let desk = Desk::start_with(Config { max_connections: 1, ..Config::default() }, None);
    let first = connect(&desk);
    let mut second = connect(&desk);
    second.write_all(b"GET /nowhere HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
    second.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    assert!(second.read(&mut [0; 16]).is_err(), "it waits");
    drop(first);
    second.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    assert!(read_all(&mut second).starts_with("HTTP/1.1 404"));
}

#[test]
fn an_end_answers_who_waits_and_takes_nobody_new() {
    let desk = Desk::start();
    let accepted = desk.state();
    let address = desk.base.trim_start_matches("http://").to_owned();
    let mut waiting = connect(&desk);
    let request = format!(
        "GET /api/v1/recommendations?min_version=1000&wait=30s HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\r\n",
        accepted["token"].as_str().unwrap()
    );
    waiting.write_all(request.as_bytes()).unwrap();
    let idle = connect(&desk);
    // The request is read once a later connection has been answered.
    assert_eq!(desk.get("/problems").status, 200);
    let started = Instant::now();
    assert!(desk.stop(Duration::from_secs(20)).is_clean);
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    assert!(read_all(&mut waiting).starts_with("HTTP/1.1 202"));
    assert!(TcpStream::connect(address).is_err());
    drop(idle);
}

#[test]
fn a_request_that_does_not_end_is_cut_off_after_the_grace_time() {
    let desk = Desk::start();
    let mut slow = connect(&desk);
    slow.write_all(
        b"POST /api/v1/preferences HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{",
    )
    .unwrap();
    assert_eq!(desk.get("/problems").status, 200);
    let started = Instant::now();
    let drained = desk.stop(Duration::from_millis(500));
    assert!(!drained.is_clean);
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}

#[test]
fn an_address_in_use_is_a_start_error_that_names_it() {
    let desk = Desk::start();
    let listen = desk.base.trim_start_matches("http://").parse().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let config = Config { listen, ..Config::default() };
    let fatal = std::sync::Arc::new(|_: String| {});
    let started = runtime.block_on(api::Api::start(
        config,
        desk.log.clone(),
        desk.tables.clone(),
        None,
        api::Lent::default(),
        fatal,
    ));
    let error = started.err().unwrap().to_string();
    assert!(error.contains(&listen.to_string()), "{error}");
}
