//! Heads: floods of headers, methods, expectations, ranges, and headers that ask for what is not there.

use super::case::{CUT, Case, Door, Right, Step, table};
use super::house::{ask, get, post_as};

const STATEMENT: &str = r#"{"budget":750000,"currency":"USD","place":{"cities":["us/wa/seattle"]}}"#;

pub fn cases() -> Vec<Case> {
    let many = |count: usize| (0..count).map(|n| format!("x-{n}: y\r\n")).collect::<String>();
    let p = "/problems";
    let rows: Vec<(&str, Vec<u8>, &'static [u16])> = vec![
        ("ninety headers are read", ask("GET", p, &many(90)), &[200]),
        ("a hundred and fifty headers are too many", ask("GET", p, &many(150)), &[431]),
        ("a hundred thousand headers are too many", ask("GET", p, &many(100_000)), &[431]),
        ("one header a hundred and fifty times is too many", ask("GET", p, &"cookie: a=b\r\n".repeat(150)), &[431]),
        ("a header of fifteen kilobytes is read", ask("GET", p, &format!("x-a: {}\r\n", "b".repeat(15_000))), &[200]),
        ("a header of 64 KiB is too large", ask("GET", p, &format!("x-a: {}\r\n", "b".repeat(65_536))), &[431]),
        ("a header of eight megabytes is too large", ask("GET", p, &format!("x-a: {}\r\n", "b".repeat(8 << 20))), &[431, CUT]),
        ("a header's name of 64 KiB is too large", ask("GET", p, &format!("{}: b\r\n", "x".repeat(65_536))), &[400, 431]),
        ("a header's name of eight megabytes is too large", ask("GET", p, &format!("{}: b\r\n", "x".repeat(8 << 20))), &[400, 431, CUT]),
        // Methods.
        ("TRACE echoes nothing", ask("TRACE", p, "x-secret: s\r\n"), &[405]),
        ("TRACK echoes nothing", ask("TRACK", p, "x-secret: s\r\n"), &[405]),
        ("CONNECT opens no tunnel", b"CONNECT 127.0.0.1:22 HTTP/1.1\r\nhost: 127.0.0.1:22\r\n\r\n".to_vec(), &[400, 404, 405]),
        ("CONNECT to a path opens no tunnel", ask("CONNECT", p, ""), &[400, 404, 405]),
        ("OPTIONS of everything is answered", b"OPTIONS * HTTP/1.1\r\nhost: x\r\n\r\n".to_vec(), &[200, 204, 400, 404, 405]),
        ("PUT is told the methods", ask("PUT", p, ""), &[405]),
        ("PATCH is told the methods", ask("PATCH", "/api/v1/preferences", ""), &[405]),
        ("PROPFIND is told the methods", ask("PROPFIND", "/api/v1/preferences", ""), &[405]),
        ("DEBUG is told the methods", ask("DEBUG", "/api/v1/preferences", ""), &[405]),
        ("a method in lower case is another method", ask("get", p, ""), &[400, 405]),
        ("a method of ten kilobytes is none of ours", ask(&"M".repeat(10_000), p, ""), &[400, 405]),
        ("a method of a megabyte is too large", ask(&"M".repeat(1 << 20), p, ""), &[400, 431]),
        ("a method of signs is none of ours", ask("!#$%&'*+-.^_`|~", p, ""), &[400, 405]),
        ("a method with a colon is refused", ask("GE:T", p, ""), &[400]),
        ("a method in bytes that are no text is refused", b"G\xc3\x8bT /problems HTTP/1.1\r\nhost: x\r\n\r\n".to_vec(), &[400]),
        ("a method in another header changes nothing", ask("GET", "/api/v1/sessions/0123456789abcdef0123456789abcdef", "x-http-method-override: DELETE\r\n"), &[405]),
        ("HEAD of nothing has no body", ask("HEAD", "/nowhere", ""), &[404]),
        // Expectations.
        ("Expect: 100-continue on a GET changes nothing", ask("GET", p, "expect: 100-continue\r\n"), &[200]),
        ("an expectation that nobody knows is refused or ignored", ask("GET", p, "expect: the-unexpected\r\n"), &[200, 417]),
        ("ninety expectations change nothing", ask("GET", p, &"expect: 100-continue\r\n".repeat(90)), &[200, 417]),
        ("a body too large is refused although it expects to be asked for", b"POST /api/v1/preferences HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nexpect: 100-continue\r\ncontent-length: 99999999\r\n\r\n".to_vec(), &[413]),
        ("a body that is not waited for is read all the same", post_as("/api/v1/preferences", "content-type: application/json\r\nexpect: 100-continue\r\n", STATEMENT), &[202]),
        // What is not there.
        ("a range of everything is ignored", ask("GET", p, "range: bytes=0-\r\n"), &[200, 206]),
        ("a thousand ranges are not served one by one", ask("GET", p, &format!("range: bytes={}\r\n", "0-,".repeat(1_300))), &[200, 416]),
        ("a range below zero is ignored", ask("GET", p, "range: bytes=-99999999999999999999\r\n"), &[200, 416]),
        ("a range of the document is ignored", ask("GET", "/openapi.json", "range: bytes=0-0,5-6,7-8\r\n"), &[200, 416]),
        ("an Accept of ten kilobytes is read", ask("GET", "/api/v1/markets", &format!("accept: {}\r\n", "a/b;q=0.1,".repeat(1_000))), &[200, 406]),
        ("an Accept-Encoding of every coding is read", ask("GET", "/api/v1/markets", &format!("accept-encoding: {}\r\n", "gzip;q=0,".repeat(1_000))), &[200, 406]),
        ("an Accept-Encoding that forbids everything is answered", ask("GET", "/api/v1/markets", "accept-encoding: *;q=0, identity;q=0\r\n"), &[200, 406]),
        ("an x-request-id of line ends in escapes is replaced", ask("GET", p, "x-request-id: a%0d%0aset-cookie: x\r\n"), &[200]),
        ("an x-forwarded-for of ten kilobytes is read", ask("GET", p, &format!("x-forwarded-for: {}\r\n", "1.2.3.4,".repeat(1_200))), &[200]),
        ("an X-Original-URL changes nothing", ask("GET", "/nowhere", "x-original-url: /problems\r\nx-rewrite-url: /problems\r\n"), &[404]),
        ("a Connection that names other headers changes nothing", ask("GET", p, "connection: close, host, authorization, x-request-id\r\n"), &[200]),
        ("a Cookie of fourteen kilobytes is read", ask("GET", p, &format!("cookie: {}\r\n", "a=b; ".repeat(2_800))), &[200]),
        // Lines.
        ("a version that there is not is refused", b"GET /problems HTTP/1.2\r\nhost: x\r\n\r\n".to_vec(), &[400, CUT]),
        ("a version 9.9 is refused", b"GET /problems HTTP/9.9\r\nhost: x\r\n\r\n".to_vec(), &[400, CUT]),
        ("a version in lower case is refused", b"GET /problems http/1.1\r\nhost: x\r\n\r\n".to_vec(), &[400]),
        ("a version without a number is refused", b"GET /problems HTTP\r\nhost: x\r\n\r\n".to_vec(), &[400]),
        ("HTTP/0.9 is not spoken", b"GET /problems\r\n\r\n".to_vec(), &[400]),
        ("HTTP/1.0 without a host is served", b"GET /problems HTTP/1.0\r\n\r\n".to_vec(), &[200]),
        ("an empty host is served", b"GET /problems HTTP/1.1\r\nhost:\r\n\r\n".to_vec(), &[200]),
        ("two spaces in the first line are refused or read", b"GET  /problems HTTP/1.1\r\nhost: x\r\n\r\n".to_vec(), &[200, 400]),
        ("rubbish behind the version is refused", b"GET /problems HTTP/1.1 x\r\nhost: x\r\n\r\n".to_vec(), &[400]),
    ];
    let mut cases = table(rows);
    cases.push(Case::script(
        "a thousand requests in one go are all answered",
        Door::Api,
        vec![Step::Send(get("/nowhere").repeat(1_000))],
        Right::Answers(1_000, &[404]),
    ));
    cases.push(Case::script(
        "heads and gets in one go are not mixed up",
        Door::Api,
        vec![Step::Send(
            [get("/nowhere"), ask("POST", "/nowhere", "content-length: 0\r\n"), get("/problems")].concat().repeat(50),
        )],
        Right::Answers(150, &[404, 200]),
    ));
    cases.push(Case::script(
        "a request that closes hides those behind it",
        Door::Api,
        vec![Step::Send([ask("GET", "/problems", "connection: close\r\n"), get("/nowhere").repeat(100)].concat())],
        Right::Ended(&[200], std::time::Duration::from_secs(10)),
    ));
    cases.push(Case::script(
        "a refused expectation is not followed by a hundred bodies",
        Door::Api,
        vec![Step::Send(
            b"POST /nowhere HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 10\r\n\r\n".to_vec(),
        )],
        Right::OneOf(&[404]),
    ));
    cases
}
