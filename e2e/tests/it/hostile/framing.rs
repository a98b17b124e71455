//! Where a message ends: chunk abuse and the shapes of request smuggling (RFC 9112 §6, §7, §11.2).

use std::time::Duration;

use super::case::{CUT, Case, Door, Right, Step, table};
use super::house::get;

const PREFERENCES: &str = r#"{"budget":750000,"currency":"USD","place":{"cities":["us/wa/seattle"]}}"#;
/// A request that must never be answered: it is the body of another one.
const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nhost: x\r\n\r\n";

/// A chunked statement.
fn chunked(body: impl AsRef<[u8]>) -> Vec<u8> {
    framed("transfer-encoding: chunked\r\n", body)
}

fn framed(headers: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let head =
        format!("POST /api/v1/preferences HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n{headers}\r\n");
    [head.as_bytes(), body.as_ref()].concat()
}

fn chunk(bytes: &str) -> String {
    format!("{:x}\r\n{bytes}\r\n", bytes.len())
}

pub fn cases() -> Vec<Case> {
    let whole = chunk(PREFERENCES);
    let mut cases = table(vec![
        ("a chunk size beyond 64 bits is refused", chunked("10000000000000000\r\n{"), &[400]),
        ("a chunk size of seventeen Fs is refused", chunked("fffffffffffffffff\r\n{}"), &[400]),
        ("a negative chunk size is refused", chunked("-1\r\n{}\r\n0\r\n\r\n"), &[400]),
        ("a chunk size with a plus is refused", chunked("+2\r\n{}\r\n0\r\n\r\n"), &[400]),
        ("a chunk size with 0x is refused", chunked("0x2\r\n{}\r\n0\r\n\r\n"), &[400]),
        ("a chunk size that is a word is refused", chunked("two\r\n{}\r\n0\r\n\r\n"), &[400]),
        ("an empty chunk size is refused", chunked("\r\n{}\r\n0\r\n\r\n"), &[400]),
        ("a chunk size behind a space is refused", chunked(" 2\r\n{}\r\n0\r\n\r\n"), &[400]),
        ("a chunk size in Arabic digits is refused", chunked("٢\r\n{}\r\n0\r\n\r\n"), &[400]),
        ("a chunk size that ends in a bare LF is refused", chunked("2\n{}\r\n0\r\n\r\n"), &[400]),
        ("a chunk size that ends in a bare CR is refused", chunked("2\r{}\r\n0\r\n\r\n"), &[400]),
        ("a chunk that is longer than its size is refused", chunked("1\r\n{}\r\n0\r\n\r\n"), &[400]),
        ("a chunk without its line end is refused", chunked("2\r\n{}0\r\n\r\n"), &[400]),
        (
            "a chunk size after a thousand zeros is read or refused",
            chunked(format!("{}{whole}0\r\n\r\n", "0".repeat(1_000))),
            &[202, 400],
        ),
        ("a chunk extension is ignored", chunked(whole.replacen("\r\n", ";a=b;c=\"d\"\r\n", 1) + "0\r\n\r\n"), &[202]),
        (
            "a chunk extension of a megabyte is refused",
            chunked(format!("2;{}\r\n{{}}\r\n0\r\n\r\n", "x".repeat(1 << 20))),
            &[400],
        ),
        ("a chunk extension with a CR inside is refused", chunked("2;a\rb\r\n{}\r\n0\r\n\r\n"), &[400]),
        ("a chunk extension with a bare LF is refused", chunked("2;a\n{}\r\n0\r\n\r\n"), &[400]),
        (
            "forty chunks with a kilobyte of extension each are refused",
            chunked(format!("1;{}\r\n \r\n", "x".repeat(1_000)).repeat(40) + &whole + "0\r\n\r\n"),
            &[400],
        ),
        ("trailers are ignored", chunked(format!("{whole}0\r\nx-a: b\r\ndigest: c\r\n\r\n")), &[202]),
        (
            "a trailer that names a length or a session is ignored",
            chunked(format!("{whole}0\r\ncontent-length: 5\r\nauthorization: Bearer x\r\n\r\n")),
            &[202, 400],
        ),
        (
            "trailers of a megabyte are refused",
            chunked(format!("{whole}0\r\nx-a: {}\r\n\r\n", "b".repeat(1 << 20))),
            &[400],
        ),
        (
            "ten thousand trailers are refused",
            chunked(format!("{whole}0\r\n{}\r\n", "x-a: b\r\n".repeat(10_000))),
            &[400],
        ),
        ("a trailer with a NUL is refused or ignored", chunked(format!("{whole}0\r\nx-a: \0\r\n\r\n")), &[202, 400]),
        ("a last chunk alone is no JSON", chunked("0\r\n\r\n"), &[400]),
        (
            "sixty thousand chunks of a byte are one body",
            chunked("1\r\n \r\n".repeat(60_000) + &whole + "0\r\n\r\n"),
            &[202, 413],
        ),
        (
            "a million bytes in chunks of one are too large",
            chunked("1\r\n \r\n".repeat(1_000_000) + "0\r\n\r\n"),
            &[413],
        ),
        (
            "a chunk size in upper case is read",
            chunked(format!("{:X}\r\n{PREFERENCES}\r\n0\r\n\r\n", PREFERENCES.len())),
            &[202],
        ),
        // Lengths.
        ("two lengths that differ are refused", framed("content-length: 5\r\ncontent-length: 6\r\n", "hello!"), &[400]),
        ("a list of lengths is refused", framed("content-length: 2, 2\r\n", "{}"), &[400]),
        ("a length with a plus is refused", framed("content-length: +2\r\n", "{}"), &[400]),
        ("a negative length is refused", framed("content-length: -2\r\n", "{}"), &[400]),
        ("a hexadecimal length is refused", framed("content-length: 0x2\r\n", "{}"), &[400]),
        ("a length with a fraction is refused", framed("content-length: 2.0\r\n", "{}"), &[400]),
        ("an empty length is refused", framed("content-length:\r\n", "{}"), &[400]),
        ("a length with a space inside is refused", framed("content-length: 2 0\r\n", "{}"), &[400]),
        (
            "a length of thirty digits is refused",
            framed(&format!("content-length: {}\r\n", "9".repeat(30)), "{}"),
            &[400, CUT],
        ),
        (
            "a length of 2^64 - 1 is refused",
            framed("content-length: 18446744073709551615\r\n", "{}"),
            &[400, 413, 431, CUT],
        ),
        ("a length of nine exabytes is too large", framed("content-length: 9223372036854775807\r\n", "{}"), &[413]),
        // Transfer-Encoding.
        ("an unknown transfer coding is refused", framed("transfer-encoding: xchunked\r\n", "0\r\n\r\n"), &[400, 501]),
        (
            "a transfer coding after chunked is refused",
            framed("transfer-encoding: chunked, identity\r\n", "0\r\n\r\n"),
            &[400, 501],
        ),
        (
            "a transfer coding in a second line after chunked is refused",
            framed("transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n", "0\r\n\r\n"),
            &[400, 501],
        ),
        (
            "the transfer coding identity is refused",
            framed("transfer-encoding: identity\r\ncontent-length: 2\r\n", "{}"),
            &[400, 501],
        ),
        ("an empty transfer coding is refused", framed("transfer-encoding:\r\n", "0\r\n\r\n"), &[400, 501]),
        (
            "a transfer coding in quotes is refused",
            framed("transfer-encoding: \"chunked\"\r\n", "0\r\n\r\n"),
            &[400, 501],
        ),
        (
            "a transfer coding with a vertical tab is refused",
            framed("transfer-encoding: \x0bchunked\r\n", "0\r\n\r\n"),
            &[400, 501],
        ),
        (
            "a transfer coding in HTTP/1.0 is refused",
            b"POST /api/v1/preferences HTTP/1.0\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n".to_vec(),
            &[400],
        ),
        ("a space before the colon is refused", framed("transfer-encoding : chunked\r\n", "0\r\n\r\n"), &[400]),
        ("a tab before the colon is refused", framed("transfer-encoding\t: chunked\r\n", "0\r\n\r\n"), &[400]),
        ("a folded line is refused", framed("x-a: b\r\n transfer-encoding: chunked\r\n", "0\r\n\r\n"), &[400]),
        ("a line folded with a tab is refused", framed("transfer-encoding:\r\n\tchunked\r\n", "0\r\n\r\n"), &[400]),
        ("a first line that is folded is refused", b"GET /problems HTTP/1.1\r\n host: x\r\n\r\n".to_vec(), &[400]),
        ("a bare CR in a line is refused", framed("x-a: b\rtransfer-encoding: chunked\r\n", "0\r\n\r\n"), &[400]),
        ("a NUL in a value is refused", framed("x-a: b\0c\r\n", "{}"), &[400]),
        ("a NUL in a name is refused", framed("x\0a: b\r\n", "{}"), &[400]),
        ("a control character in a value is refused", framed("x-a: b\x01c\r\n", "{}"), &[400]),
        ("a DEL in a value is refused", framed("x-a: b\x7fc\r\n", "{}"), &[400]),
        ("a line without a colon is refused", framed("nonsense\r\n", "{}"), &[400]),
        ("a line without a name is refused", framed(": b\r\n", "{}"), &[400]),
        ("a name in UTF-8 is refused", framed("naïve: b\r\n", "{}"), &[400]),
        (
            "a value in UTF-8 is taken",
            ["GET /problems HTTP/1.1\r\nhost: x\r\nx-a: ".as_bytes(), "naïve ☃\r\n\r\n".as_bytes()].concat(),
            &[200],
        ),
        (
            "lines that end in bare LF are lines, or refused",
            b"GET /problems HTTP/1.1\nhost: x\n\n".to_vec(),
            &[200, 400],
        ),
        ("empty lines before a request are skipped", [&b"\r\n\r\n\r\n"[..], &get("/problems")].concat(), &[200]),
    ]);
    cases.push(Case::script(
        "nine thousand empty lines before a request end in an answer",
        Door::Api,
        vec![Step::Send([b"\r\n".repeat(9_000), get("/problems")].concat())],
        Right::OneOf(&[200, 400, 431, CUT]),
    ));
    let limit = Duration::from_secs(20);
    let halves = [
        ("a body that ends before its length is not taken", framed("content-length: 500\r\n", PREFERENCES)),
        ("a chunk that ends before its size is not taken", chunked("ffff\r\n{")),
        ("a chunk of nearly 2^64 bytes that never come is not taken", chunked("fffffffffffffffe\r\n{")),
        ("a body without its last chunk is not taken", chunked(&whole)),
        ("a body that ends inside the last chunk is not taken", chunked(format!("{whole}0\r\n"))),
    ];
    for (name, bytes) in halves {
        let steps = vec![Step::Send(bytes), Step::HalfClose];
        cases.push(Case::script(name, Door::Api, steps, Right::Ended(&[400, 408, CUT], limit)));
    }
    // What follows the one message that there is must be no second request.
    let smuggling: Vec<(&str, Vec<u8>, &'static [u16])> = vec![
        ("CL.TE: what follows the last chunk is no request", framed("content-length: 300\r\ntransfer-encoding: chunked\r\n", format!("0\r\n\r\n{SMUGGLED}")), &[400]),
        ("TE.CL: what a length would leave over is no request", framed("transfer-encoding: chunked\r\ncontent-length: 4\r\n", format!("{}0\r\n\r\n", chunk(SMUGGLED))), &[400]),
        ("CL.TE on a GET is no second request", format!("GET /problems HTTP/1.1\r\nhost: x\r\ncontent-length: 60\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n{SMUGGLED}").into_bytes(), &[200, 400]),
        ("TE.TE with one that is hidden is refused", framed("transfer-encoding: chunked\r\ntransfer-encoding: x\r\n", format!("0\r\n\r\n{SMUGGLED}")), &[400]),
        ("two hosts are refused and the connection ends", format!("GET /problems HTTP/1.1\r\nhost: x\r\nhost: y\r\n\r\n{SMUGGLED}").into_bytes(), &[400]),
        ("no host is refused and the connection ends", format!("GET /problems HTTP/1.1\r\n\r\n{SMUGGLED}").into_bytes(), &[400]),
        ("a host with a user is refused", format!("GET /problems HTTP/1.1\r\nhost: admin@x\r\n\r\n{SMUGGLED}").into_bytes(), &[400]),
        ("a host with a path is refused", format!("GET /problems HTTP/1.1\r\nhost: x/y\r\n\r\n{SMUGGLED}").into_bytes(), &[400]),
        ("a host that is a list is refused", format!("GET /problems HTTP/1.1\r\nhost: x, y\r\n\r\n{SMUGGLED}").into_bytes(), &[400]),
        ("a broken head ends the connection", format!("GET /problems HTTP/1.1\r\nhost : x\r\n\r\n{SMUGGLED}").into_bytes(), &[400]),
        ("a broken chunk ends the connection", chunked(format!("zz\r\n{SMUGGLED}")), &[400]),
        ("two different lengths end the connection", framed("content-length: 0\r\ncontent-length: 36\r\n", SMUGGLED), &[400]),
    ];
    for (name, bytes, statuses) in smuggling {
        cases.push(Case::script(name, Door::Api, vec![Step::Send(bytes)], Right::Ended(statuses, limit)));
    }
    let both = [chunked(format!("{whole}0\r\n\r\n")), get("/problems")].concat();
    cases.push(Case::script(
        "a request behind a last chunk is one of its own",
        Door::Api,
        vec![Step::Send(both)],
        Right::Answers(2, &[202, 200]),
    ));
    let twice = [framed(&"content-length: 2\r\n".repeat(2), "{}"), get("/problems")].concat();
    cases.push(Case::script(
        "the same length twice is one length, or refused",
        Door::Api,
        vec![Step::Send(twice)],
        Right::OneOf(&[400, 422]),
    ));
    cases
}
