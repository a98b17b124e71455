//! The two other ports: the feed's push and the operator's admin.

use super::case::{CUT, Case, Door, Right, Step};
use super::house::{ask, get, post, post_as};

pub fn cases() -> Vec<Case> {
    let l = "/feeds/market/listings";
    let chunked = "POST /feeds/market/listings HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
    let push: Vec<(&str, Vec<u8>, &'static [u16])> = vec![
        ("a push without a body is refused", post(l, ""), &[400, 422]),
        ("a push that is no JSON is refused", post(l, "{"), &[400, 422]),
        ("a push of deep arrays is refused", post(l, "[".repeat(100_000)), &[400, 413, 422]),
        ("a push of a hundred thousand levels that end is refused", post(l, "[".repeat(100_000) + &"]".repeat(100_000)), &[400, 413, 422]),
        ("a push of a price of 1e400 is refused", post(l, r#"{"ListingKey":"1","ListPrice":1e400}"#), &[400, 422]),
        ("a push in bytes that are no UTF-8 is refused", post(l, b"{\"ListingKey\":\"\xff\"}"), &[400, 422]),
        ("a push of twenty thousand records is refused", post(l, format!("[{}]", vec!["{}"; 20_000].join(","))), &[400, 413, 422]),
        ("a push of nine megabytes is refused", post(l, " ".repeat(9 << 20)), &[413]),
        ("a push that says to be of nine exabytes is refused", format!("POST {l} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 9223372036854775807\r\n\r\n").into_bytes(), &[413]),
        ("a push that is a gzip bomb is not unpacked", post_as(l, "content-type: application/json\r\ncontent-encoding: gzip\r\n", b"\x1f\x8b\x08\0\0\0\0\0\x02\x03"), &[415]),
        ("a push as a form is refused", post_as(l, "content-type: application/x-www-form-urlencoded\r\n", "a=b"), &[415]),
        ("a push to a feed of dots is refused", post("/feeds/../listings", "{}"), &[400, 404, 422]),
        ("a push to a feed of escaped dots is refused", post("/feeds/%2e%2e%2f/listings", "{}"), &[400, 404, 422]),
        ("a push to a feed with a NUL is refused", post("/feeds/%00/listings", "{}"), &[400, 404, 422]),
        ("a push to a feed in bytes that are no UTF-8 is refused", post("/feeds/%ff/listings", "{}"), &[400, 404, 422]),
        ("a push to a feed with a name of ten kilobytes is refused", post(&format!("/feeds/{}/listings", "a".repeat(10_000)), "{}"), &[400, 404, 422]),
        ("a push with a parameter is refused", post("/feeds/market/listings?map=reso", "{}"), &[400]),
        ("a push with a chunk size beyond 64 bits is refused", format!("{chunked}10000000000000000\r\n{{").into_bytes(), &[400]),
        ("a push with a chunk extension of a megabyte is refused", format!("{chunked}2;{}\r\n{{}}\r\n0\r\n\r\n", "x".repeat(1 << 20)).into_bytes(), &[400]),
        ("a push with two lengths is refused", format!("POST {l} HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{{}}").into_bytes(), &[400]),
        ("a push without a host is refused", format!("POST {l} HTTP/1.1\r\ncontent-length: 2\r\n\r\n{{}}").into_bytes(), &[400]),
        ("TRACE at the push port echoes nothing", ask("TRACE", l, ""), &[405]),
        ("a GET of a push is told the method", get(l), &[405]),
        ("keys of a feed of dots are refused", get("/feeds/%2e%2e/keys"), &[400, 404, 422]),
        ("a hundred thousand headers at the push port are too many", ask("GET", "/feeds/a/keys", &"x-a: b\r\n".repeat(100_000)), &[431]),
    ];
    let admin: Vec<(&str, Vec<u8>, &'static [u16])> = vec![
        ("dots at the admin port lead nowhere", get("/../../etc/passwd"), &[404]),
        ("a path of 64 KiB at the admin port is too long", get(&format!("/{}", "a".repeat(65_536))), &[414, 431]),
        ("a POST of metrics is refused", post("/metrics", "{}"), &[405]),
        ("TRACE at the admin port echoes nothing", ask("TRACE", "/metrics", ""), &[405]),
        (
            "two hosts at the admin port are refused",
            b"GET /livez HTTP/1.1\r\nhost: x\r\nhost: y\r\n\r\n".to_vec(),
            &[400],
        ),
        (
            "a hundred thousand headers at the admin port are too many",
            ask("GET", "/livez", &"x-a: b\r\n".repeat(100_000)),
            &[431],
        ),
        (
            "a body of a megabyte at the admin port is refused or read over",
            post("/livez", "x".repeat(1 << 20)),
            &[405, 413, CUT],
        ),
        (
            "CONNECT at the admin port opens no tunnel",
            b"CONNECT 127.0.0.1:22 HTTP/1.1\r\nhost: x\r\n\r\n".to_vec(),
            &[400, 404, 405],
        ),
    ];
    let mut cases: Vec<Case> = Vec::new();
    for (door, rows) in [(Door::Push, push), (Door::Admin, admin)] {
        cases.extend(
            rows.into_iter()
                .map(|(name, bytes, right)| Case::script(name, door, vec![Step::Send(bytes)], Right::OneOf(right))),
        );
    }
    cases.push(Case::script(
        "five hundred requests for metrics in one go are all answered",
        Door::Admin,
        vec![Step::Send(get("/livez").repeat(500))],
        Right::Answers(500, &[200]),
    ));
    cases
}
