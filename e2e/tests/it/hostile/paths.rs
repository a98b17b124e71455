//! Targets: path tricks, and queries that no page would send.

use super::case::{CUT, Case, Door, Right, Step, table};
use super::house::get;

fn raw(target: &[u8]) -> Vec<u8> {
    [b"GET ", target, b" HTTP/1.1\r\nhost: x\r\n\r\n"].concat()
}

pub fn cases() -> Vec<Case> {
    let paths: Vec<(&str, Vec<u8>, &'static [u16])> = vec![
        ("dots lead nowhere", get("/api/v1/../../../../etc/passwd"), &[404]),
        ("dots alone lead nowhere", get("/.."), &[404]),
        ("escaped dots lead nowhere", get("/%2e%2e/%2e%2e/%2e%2e/etc/passwd"), &[404]),
        ("escaped dots and slashes lead nowhere", get("/api/v1/properties/%2e%2e%2f%2e%2e%2fmarkets"), &[400, 404]),
        ("dots escaped twice lead nowhere", get("/%252e%252e/%252e%252e/etc/passwd"), &[404]),
        ("an id escaped twice is no property", get("/api/v1/properties/%252e%252e%252f"), &[400, 404]),
        ("an escaped NUL is no route", get("/%00"), &[404]),
        ("an escaped NUL is no property", get("/api/v1/properties/seattle:1%00.json"), &[400, 404]),
        ("an escaped NUL is no market", get("/api/v1/markets/us/wa/%00"), &[400, 404]),
        ("overlong UTF-8 is no slash", get("/..%c0%af..%c0%afetc/passwd"), &[400, 404]),
        ("overlong UTF-8 is no property", get("/api/v1/properties/%c0%ae%c0%ae"), &[400, 404]),
        ("overlong UTF-8 in raw bytes is refused", raw(b"/\xc0\xae\xc0\xae/etc/passwd"), &[400, 404]),
        ("bytes that are no UTF-8 are no market", get("/api/v1/markets/us/wa/%ff%fe"), &[400, 404]),
        ("two slashes are no root", get("//"), &[404]),
        ("slashes are not merged", get("///api//v1//markets"), &[404]),
        ("a host in the path leads nowhere", get("//evil.example/%2f.."), &[404]),
        ("a parameter of a segment is part of it", get("/api/v1/markets;jsessionid=1"), &[404]),
        ("backslashes are no slashes", get("/api\\v1\\markets"), &[400, 404]),
        ("backslash dots lead nowhere", get("/docs/..\\..\\Cargo.toml"), &[400, 404]),
        ("dots behind the documentation lead nowhere", get("/docs/../../Cargo.toml"), &[404]),
        ("escaped dots behind the documentation lead nowhere", get("/docs/%2e%2e/%2e%2e/Cargo.toml"), &[400, 404]),
        ("escaped slashes behind the documentation lead nowhere", get("/docs/..%2f..%2fCargo.toml"), &[400, 404]),
        ("a trailing slash is another path", get("/api/v1/markets/"), &[404]),
        ("a path in upper case is another path", get("/API/V1/MARKETS"), &[404]),
        ("an escape without digits is no property", get("/api/v1/properties/%"), &[400, 404]),
        ("an escape with wrong digits is no property", get("/api/v1/properties/%zz"), &[400, 404]),
        ("a template is no property", get("/api/v1/properties/{id}"), &[400, 404]),
        ("a tag is no property", get("/api/v1/properties/<script>alert(1)</script>"), &[400, 404]),
        (
            "a statement of CQL is no property",
            get("/api/v1/properties/a'%3b%20DROP%20TABLE%20listings%3b--"),
            &[400, 404],
        ),
        (
            "an escaped line end injects no header",
            get("/api/v1/properties/a%0d%0aset-cookie:%20x=y%0d%0ax-injected:%201"),
            &[400, 404],
        ),
        ("an escaped line end injects no header into a redirect", get("/%0d%0aset-cookie:%20x=y"), &[404]),
        ("an emoji in raw bytes is no route", raw("/🏠".as_bytes()), &[400, 404]),
        (
            "a path of eight kilobytes is no property",
            get(&format!("/api/v1/properties/{}", "a".repeat(8_000))),
            &[400, 404],
        ),
        ("a path of a thousand segments is no route", get(&"/a".repeat(1_000)), &[404]),
        ("a path of 64 KiB is too long", get(&format!("/{}", "a".repeat(65_536))), &[414, 431]),
        ("a path of a megabyte is too long", get(&format!("/{}", "a".repeat(1 << 20))), &[414, 431]),
        ("a path of dots, 12 KiB of them, leads nowhere", get(&"/..".repeat(4_000)), &[404]),
        ("a space in the target is refused", raw(b"/api/v1 /markets"), &[400]),
        ("a tab in the target is refused", raw(b"/api/v1\t/markets"), &[400]),
        ("a NUL in the target is refused", raw(b"/api/v1/\0markets"), &[400]),
        ("a target without a slash is refused", raw(b"api/v1/markets"), &[400, 404]),
        ("an empty target is refused", b"GET  HTTP/1.1\r\nhost: x\r\n\r\n".to_vec(), &[400]),
        ("a fragment is no part of a target", raw(b"/problems#frag"), &[200, 400, 404]),
        ("a target in absolute form is served", raw(b"http://x/problems"), &[200]),
        (
            "a target of another host is served or refused, not fetched",
            raw(b"http://127.0.0.1:1/problems"),
            &[200, 400, 421],
        ),
        ("a target of another scheme is not fetched", raw(b"file:///etc/passwd"), &[400, 404]),
        ("a target in authority form is refused", raw(b"127.0.0.1:22"), &[400, 404]),
        ("a star is no target of a GET", raw(b"*"), &[400, 404]),
    ];
    let mut cases = table(paths);
    let queries: Vec<(&str, String, &'static [u16])> = vec![
        ("a thousand empty parameters are refused or none", "&".repeat(1_000), &[400]),
        ("eight thousand question marks are one wrong name", "?".repeat(8_000), &[400]),
        ("a thousand parameters are too many", "limit=1&".repeat(1_000), &[400]),
        ("a name of ten kilobytes is unknown", format!("{}=1", "n".repeat(10_000)), &[400]),
        ("a value of ten kilobytes is too long", format!("city={}", "n".repeat(10_000)), &[400]),
        ("a limit of minus one is refused", "market=us/wa/seattle&limit=-1".into(), &[400]),
        ("a limit of zero is refused", "market=us/wa/seattle&limit=0".into(), &[400]),
        ("a limit of twenty digits is refused", "market=us/wa/seattle&limit=99999999999999999999".into(), &[400]),
        ("a limit in exponents is refused", "market=us/wa/seattle&limit=1e1".into(), &[400]),
        ("a price of 1e400 is refused", "market=us/wa/seattle&min_price=1e400".into(), &[400]),
        ("a price of NaN is refused", "market=us/wa/seattle&min_price=NaN".into(), &[400]),
        ("a price of Infinity is refused", "market=us/wa/seattle&max_price=Infinity".into(), &[400]),
        (
            "a price of a thousand digits is refused",
            format!("market=us/wa/seattle&max_price={}", "9".repeat(1_000)),
            &[400],
        ),
        ("an escaped NUL is no market's name", "market=us/wa/%00".into(), &[400]),
        ("dots are no market", "market=../../..".into(), &[400]),
        ("a thousand markets are too many", format!("market={}", "us/wa/a,".repeat(120)), &[400]),
        ("bytes that are no UTF-8 are no city", "city=%ff%fe%fd".into(), &[400, 404]),
        ("a parameter given twice is refused", "market=us/wa/seattle&market=us/wa/tacoma".into(), &[400]),
        ("a parameter as a list of another language is unknown", "market[]=us/wa/seattle".into(), &[400]),
        ("a parameter of another language's objects is unknown", "__proto__[x]=1&constructor=2".into(), &[400]),
        ("a semicolon separates nothing", "market=us/wa/seattle;limit=3".into(), &[400]),
        ("a tag in a value is refused as text", "sort=<script>alert(1)</script>".into(), &[400]),
    ];
    let asked = queries
        .into_iter()
        .map(|(name, query, right)| Case::said(name, get(&format!("/api/v1/properties?{query}")), right));
    cases.extend(asked);
    cases.push(Case::script(
        "a target that never ends is cut off at its bound",
        Door::Api,
        vec![Step::Send([b"GET /", "a".repeat(32 << 20).as_bytes()].concat())],
        Right::OneOf(&[414, 431, CUT]),
    ));
    cases
}
