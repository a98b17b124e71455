//! WebSockets (RFC 6455): handshakes that are none, and frames that no client may send.

use std::io::Read as _;
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::answer::Reader;
use super::case::{Case, Door, Step, perform};
use super::house::{House, ask};

const TEXT: u8 = 1;
const CONTINUATION: u8 = 0;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;
/// Longest time until a socket is closed for what its client did.
const CLOSED: Duration = Duration::from_secs(20);

/// A frame of a client: masked, with its length in the shortest form.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        n @ 0..126 => frame.push(0x80 | n as u8),
        n @ 126..65_536 => {
            frame.push(0x80 | 126);
            frame.extend((n as u16).to_be_bytes());
        }
        n => {
            frame.push(0x80 | 127);
            frame.extend((n as u64).to_be_bytes());
        }
    }
    let mask = [1, 2, 3, 4];
    frame.extend(mask);
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

fn last(opcode: u8, payload: &[u8]) -> Vec<u8> {
    frame(0x80 | opcode, payload)
}

fn handshake(house: &House, headers: &str) -> Vec<u8> {
    ask("GET", "/api/v1/recommendations/ws", &format!("authorization: Bearer {}\r\n{headers}", house.token))
}

const HEADERS: &str = "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

fn open(house: &House) -> Result<TcpStream> {
    let stream = house.connect(Door::Api)?;
    perform(&stream, &[Step::Send(handshake(house, HEADERS))])?;
    stream.set_read_timeout(Some(CLOSED))?;
    let mut head = Vec::new();
    // Byte by byte, so that no frame is lost with the head.
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        (&stream).read_exact(&mut byte)?;
        head.extend(byte);
    }
    ensure!(head.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&head));
    Ok(stream)
}

/// Reads frames up to the house's farewell or the end; the code that it closes with.
fn farewell(stream: &TcpStream) -> Result<Option<u16>> {
    let mut reader = Reader::new(stream, CLOSED);
    loop {
        let Some(head) = reader.take(2)? else { return Ok(None) };
        ensure!(head[1] & 0x80 == 0, "a server masks nothing");
        let length = match head[1] {
            126 => {
                let Some(bytes) = reader.take(2)? else { return Ok(None) };
                usize::from(u16::from_be_bytes([bytes[0], bytes[1]]))
            }
            127 => {
                let Some(bytes) = reader.take(8)? else { return Ok(None) };
                bytes.iter().fold(0_usize, |length, byte| length << 8 | usize::from(*byte))
            }
            n => usize::from(n),
        };
        let Some(payload) = reader.take(length)? else { return Ok(None) };
        if head[0] & 0x0f == CLOSE {
            return Ok(payload.get(..2).map(|code| u16::from_be_bytes([code[0], code[1]])));
        }
    }
}

/// What a socket is sent, and that it ends for it, with one of these codes or without a word.
fn ends(name: &'static str, codes: &'static [u16], bytes: Vec<u8>) -> Case {
    Case::free(name, Door::Api, move |house| {
        let stream = open(house)?;
        perform(&stream, &[Step::Send(bytes.clone())])?;
        if let Some(code) = farewell(&stream)? {
            ensure!(codes.contains(&code), "closed with {code}, right are {codes:?}");
        }
        Reader::new(&stream, CLOSED).read_to_end().context("it is not closed")
    })
}

pub fn cases() -> Vec<Case> {
    let refused: Vec<(&str, String)> = vec![
        ("a handshake without a key is none", HEADERS.replace("sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n", "")),
        ("a handshake without an upgrade is none", HEADERS.replace("upgrade: websocket\r\n", "")),
        ("a handshake without Connection is none", HEADERS.replace("connection: upgrade\r\n", "")),
        ("a handshake without a version is none", HEADERS.replace("sec-websocket-version: 13\r\n", "")),
        ("a handshake of version 8 is none", HEADERS.replace("13", "8")),
        ("a handshake of version 99 is none", HEADERS.replace("13", "99")),
        ("a handshake to another protocol is none", HEADERS.replace("websocket\r\n", "raw\r\n")),
        ("a page of another site opens no socket", format!("{HEADERS}origin: https://evil.example\r\n")),
        ("a page of no site opens no socket", format!("{HEADERS}origin: null\r\n")),
        ("two origins open no socket", format!("{HEADERS}origin: http://x\r\norigin: http://x\r\n")),
        ("an origin in rubbish opens no socket", format!("{HEADERS}origin: :://x@@\r\n")),
    ];
    let mut cases: Vec<Case> = refused
        .into_iter()
        .map(|(name, headers)| Case::told(name, &[400, 403, 426], move |house| handshake(house, &headers)))
        .collect();
    cases.push(Case::told("a handshake by POST is none", &[405], |house| {
        let get = String::from_utf8(handshake(house, HEADERS)).unwrap_or_default();
        get.replacen("GET", "POST", 1).into_bytes()
    }));
    cases.push(Case::told("a handshake in HTTP/1.0 is none", &[400, 426], |house| {
        let get = String::from_utf8(handshake(house, HEADERS)).unwrap_or_default();
        get.replacen("HTTP/1.1", "HTTP/1.0", 1).into_bytes()
    }));
    cases.push(Case::told("a handshake with extensions that are not there opens without them", &[101], |house| {
        handshake(house, &format!("{HEADERS}sec-websocket-extensions: permessage-deflate; server_max_window_bits=99\r\nsec-websocket-protocol: a, b, c\r\n"))
    }));
    let (policy, any) = (&[1002, 1008][..], &[1000, 1002, 1003, 1007, 1008, 1009][..]);
    cases.extend([
        ends("a text is not taken", &[1003], last(TEXT, b"hello")),
        ends("data is not taken", &[1003], last(BINARY, &[0; 100])),
        ends("a text that is no UTF-8 is not taken", &[1003, 1007, 1008], last(TEXT, b"\xff\xfe")),
        ends("a frame without a mask ends the socket", policy, vec![0x81, 2, b'h', b'i']),
        ends("a ping without a mask ends the socket", policy, vec![0x89, 0]),
        ends("an opcode that is reserved ends the socket", policy, last(3, b"x")),
        ends("a control opcode that is reserved ends the socket", policy, last(11, b"x")),
        ends("a reserved bit ends the socket", policy, frame(0xC0 | TEXT, b"x")),
        ends("three reserved bits end the socket", policy, frame(0xF0 | TEXT, b"x")),
        ends("a text of a megabyte ends the socket", any, last(TEXT, &[b'x'; 1 << 20])),
        ends(
            "a frame that says to be 2^63 bytes long ends the socket",
            any,
            [&[0x82, 0xff][..], &u64::MAX.to_be_bytes(), &[0; 4]].concat(),
        ),
        ends(
            "a frame that says to be 2^62 bytes long ends the socket",
            any,
            [&[0x82, 0xff][..], &(1_u64 << 62).to_be_bytes(), &[0; 4]].concat(),
        ),
        ends(
            "a length in a longer form than it needs ends the socket",
            any,
            [&[0x81, 0xfe, 0, 2, 0, 0, 0, 0][..], b"hi"].concat(),
        ),
        ends("a ping of two hundred bytes ends the socket", policy, last(PING, &[0; 200])),
        ends("a ping in parts ends the socket", policy, frame(PING, b"x")),
        ends("a continuation of nothing ends the socket", any, last(CONTINUATION, b"x")),
        ends("a text within a text ends the socket", any, [frame(TEXT, b"a"), frame(TEXT, b"b")].concat()),
        ends(
            "a text in ten thousand empty parts ends the socket",
            any,
            [frame(TEXT, b""), frame(CONTINUATION, b"").repeat(10_000), last(CONTINUATION, b"")].concat(),
        ),
        ends(
            "a text in ten thousand parts ends the socket",
            any,
            [frame(TEXT, b"a"), frame(CONTINUATION, b"a").repeat(10_000)].concat(),
        ),
        ends("a hundred thousand pings end the socket", any, last(PING, b"x").repeat(100_000)),
        ends("a hundred thousand pongs end the socket", any, last(PONG, b"").repeat(100_000)),
        ends("pongs that nobody asked for, without a mask, end the socket", policy, vec![0x8A, 0]),
        ends(
            "a farewell with a code that there is not is a farewell",
            &[1000, 1002, 1008, 999],
            last(CLOSE, &999_u16.to_be_bytes()),
        ),
        ends("a farewell of one byte is a farewell", any, last(CLOSE, &[3])),
        ends("a farewell with a reason that is no UTF-8 is a farewell", any, last(CLOSE, b"\x03\xe8\xff\xfe")),
        ends(
            "a farewell is answered and what follows it is not read",
            &[1000],
            [last(CLOSE, &1_000_u16.to_be_bytes()), last(TEXT, b"x").repeat(1_000)].concat(),
        ),
        ends("HTTP on a socket ends it", any, b"GET /problems HTTP/1.1\r\nhost: x\r\n\r\n".repeat(10)),
        ends("a client that never answers pings is left", &[1008], Vec::new()),
    ]);
    cases.push(Case::free("a frame that never ends is waited for as long as pings are", Door::Api, |house| {
        let stream = open(house)?;
        perform(&stream, &[Step::Send(vec![0x81])])?;
        farewell(&stream)?;
        Reader::new(&stream, CLOSED).read_to_end()
    }));
    cases.push(Case::free("a hundred sockets that are reset leave nothing", Door::Api, |house| {
        for _ in 0..100 {
            let stream = match open(house) {
                Ok(stream) => stream,
                // A session has room for so many at a time, and those that were reset are noticed a moment later.
                Err(error) if format!("{error:#}").contains(" 503 ") => continue,
                Err(error) => return Err(error),
            };
            perform(&stream, &[Step::Send(last(PING, b"x"))])?;
        }
        e2e::harness::until("a socket can be opened again", e2e::harness::patience(20), || {
            open(house).map(|_| Some(()))
        })
    }));
    cases
}
