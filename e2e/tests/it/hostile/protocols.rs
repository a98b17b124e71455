//! Clients that speak something else: other protocols, rubbish, and upgrades to what is not there.

use super::case::{CUT, Case, Door, Right, Step, table};
use super::house::ask;

/// Bytes of a xorshift: rubbish that is the same in every run.
fn rubbish(count: usize, seed: u64) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..count).map(|_| next()).collect()
}

/// The head of a TLS client's first message, with a name in it.
const TLS_HELLO: &[u8] =
    b"\x16\x03\x01\x00\x3d\x01\x00\x00\x39\x03\x03AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\x00\x00\x02\x13\x01\x01\x00\x00\x0e\x00\x00\x00\x0a\x00\x08\x00\x00\x05roost";

pub fn cases() -> Vec<Case> {
    let p = "/problems";
    let rows: Vec<(&str, Vec<u8>, &'static [u16])> = vec![
        ("an HTTP/2 preface is refused", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec(), &[400, CUT]),
        ("a TLS hello is refused", TLS_HELLO.to_vec(), &[400, CUT]),
        ("an SSH greeting is refused", b"SSH-2.0-OpenSSH_9.6\r\n".to_vec(), &[400, CUT]),
        ("an SMTP greeting is refused", b"EHLO example.com\r\nMAIL FROM:<a@b>\r\n".to_vec(), &[400, CUT]),
        ("a Kafka request is refused", b"\0\0\0\x14\0\x12\0\x03\0\0\0\x01\0\x05roost\x01\x01\x01\x01".to_vec(), &[400, CUT]),
        ("a CQL frame is refused", b"\x04\0\0\0\x05\0\0\0\0\r\n\r\n".to_vec(), &[400, CUT]),
        ("a Redis command is refused", b"*1\r\n$4\r\nPING\r\n".to_vec(), &[400, CUT]),
        ("a PROXY line is refused", b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\nGET /problems HTTP/1.1\r\nhost: x\r\n\r\n".to_vec(), &[400, CUT]),
        ("a response is no request", b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_vec(), &[400, CUT]),
        ("a MEGABYTE of rubbish is refused", rubbish(1 << 20, 7), &[400, 431, CUT]),
        ("a kilobyte of rubbish is refused", rubbish(1 << 10, 8), &[400, CUT]),
        ("a megabyte of NULs is refused", vec![0; 1 << 20], &[400, 431, CUT]),
        ("a megabyte of spaces is refused", vec![b' '; 1 << 20], &[400, 431, CUT]),
        ("a megabyte of 0xFF is refused", vec![0xff; 1 << 20], &[400, 431, CUT]),
        ("rubbish behind a right request is no answer's reason", [ask("GET", p, ""), rubbish(4_096, 9)].concat(), &[200]),
        // Upgrades.
        ("an upgrade to HTTP/2 is ignored", ask("GET", p, "connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAARAAAAAAAIAAAAA\r\n"), &[200]),
        ("an upgrade to TLS is ignored", ask("GET", p, "connection: upgrade\r\nupgrade: TLS/1.2\r\n"), &[200]),
        ("an upgrade to WebSocket elsewhere is ignored", ask("GET", p, "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n"), &[200]),
        ("an upgrade to a thousand protocols is ignored", ask("GET", p, &format!("connection: upgrade\r\nupgrade: {}\r\n", "a/1,".repeat(1_000))), &[200]),
        ("an upgrade of a POST with a body is ignored", b"POST /nowhere HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\ncontent-length: 5\r\n\r\nhello".to_vec(), &[404]),
    ];
    let mut cases = table(rows);
    for (door, name) in [(Door::Push, "the push port"), (Door::Admin, "the admin port")] {
        for (what, bytes) in [
            ("an HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec()),
            ("a TLS hello", TLS_HELLO.to_vec()),
            ("rubbish", rubbish(1 << 16, 11)),
            ("NULs", vec![0; 1 << 16]),
        ] {
            cases.push(Case::script(
                format!("{what} at {name} is refused"),
                door,
                vec![Step::Send(bytes)],
                Right::OneOf(&[400, 431, CUT]),
            ));
        }
    }
    cases
}
