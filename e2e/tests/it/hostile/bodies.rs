//! Bodies: what is no JSON, JSON that means harm, wrong types and codings.

use super::case::{CUT, Case, table};
use super::house::{post, post_as};

const STATEMENT: &str = r#"{"budget":750000,"currency":"USD","place":{"cities":["us/wa/seattle"]}}"#;
const JSON: &str = "content-type: application/json\r\n";

/// `{"budget": …}` with this text as the value.
fn budget(value: &str) -> String {
    STATEMENT.replacen("750000", value, 1)
}

/// One member more.
fn with(member: &str) -> String {
    format!("{},{member}}}", &STATEMENT[..STATEMENT.len() - 1])
}

/// A stored-block gzip of one repeated byte cannot be small: this is a real bomb's head, which says that 10 MB follow.
const GZIP_BOMB: &[u8] = &[
    0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 3, 0xed, 0xc1, 0x01, 0x0d, 0, 0, 0, 0xc2, 0xa0, 0xf7, 0x4f, 0x6d, 0x0e, 0x37,
    0xa0, 0, 0, 0, 0,
];

pub fn cases() -> Vec<Case> {
    let utf16 = |little: bool| -> Vec<u8> {
        let units = std::iter::once('\u{feff}').chain(STATEMENT.chars()).map(|c| c as u16);
        units.flat_map(|unit| if little { unit.to_le_bytes() } else { unit.to_be_bytes() }).collect()
    };
    let texts: Vec<(&str, Vec<u8>, &'static [u16])> = vec![
        ("an empty body is no JSON", b"".to_vec(), &[400]),
        ("white space is no JSON", b" \r\n\t ".to_vec(), &[400]),
        ("null is no statement", b"null".to_vec(), &[400, 422]),
        ("an array is no statement", b"[]".to_vec(), &[400, 422]),
        ("a text is no statement", b"\"x\"".to_vec(), &[400, 422]),
        ("a number is no statement", b"1".to_vec(), &[400, 422]),
        ("an empty object is no statement", b"{}".to_vec(), &[422]),
        ("a text that is cut off is no JSON", STATEMENT[..40].into(), &[400]),
        ("two texts are no JSON", STATEMENT.repeat(2).into(), &[400]),
        ("rubbish behind a text is no JSON", format!("{STATEMENT} x").into(), &[400]),
        ("a comment is no JSON", format!("/* */{STATEMENT}").into(), &[400]),
        ("single quotes are no JSON", STATEMENT.replace('"', "'").into(), &[400]),
        ("a comma at the end is no JSON", STATEMENT.replacen("}}", "},}", 1).into(), &[400]),
        ("arrays in arrays, a hundred thousand deep, are no statement", "[".repeat(100_000).into(), &[400, 413, 422]),
        (
            "arrays in arrays that all end are no statement",
            format!("{}{}", "[".repeat(30_000), "]".repeat(30_000)).into(),
            &[400, 413, 422],
        ),
        (
            "objects in objects, ten thousand deep, are no statement",
            format!("{}1{}", "{\"a\":".repeat(10_000), "}".repeat(10_000)).into(),
            &[400, 413, 422],
        ),
        (
            "depth in a member nobody knows is refused",
            with(&format!("\"x\":{}{}", "[".repeat(20_000), "]".repeat(20_000))).into(),
            &[400, 413, 422],
        ),
        ("a budget of 1e400 is refused", budget("1e400").into(), &[400, 422]),
        ("a budget of -1e400 is refused", budget("-1e400").into(), &[400, 422]),
        ("a budget of 1e-400 is refused", budget("1e-400").into(), &[400, 422]),
        ("an exponent of thirty digits is refused", budget(&format!("1e{}", "9".repeat(30))).into(), &[400, 422]),
        ("a budget of ten thousand digits is refused", budget(&"9".repeat(10_000)).into(), &[400, 413, 422]),
        ("a budget of a hundred thousand digits is refused", budget(&"9".repeat(100_000)).into(), &[400, 413, 422]),
        (
            "a budget of ten thousand decimals is refused",
            budget(&format!("1.{}", "3".repeat(10_000))).into(),
            &[202, 400, 413, 422],
        ),
        ("a budget of minus zero is refused", budget("-0").into(), &[400, 422]),
        ("a budget below zero is refused", budget("-1").into(), &[422]),
        ("a budget of NaN is no JSON", budget("NaN").into(), &[400]),
        ("a budget of Infinity is no JSON", budget("Infinity").into(), &[400]),
        ("a budget with a plus is no JSON", budget("+1").into(), &[400]),
        ("a budget in hexadecimal is no JSON", budget("0x10").into(), &[400]),
        ("a budget with a leading zero is no JSON", budget("007").into(), &[400]),
        ("a budget that is a text of digits is not a number, or read as one", budget("\"750000\"").into(), &[202, 422]),
        ("a budget of true is refused", budget("true").into(), &[422]),
        ("a budget that is an object of another database is refused", budget("{\"$gt\":0}").into(), &[422]),
        (
            "bytes that are no UTF-8 are no JSON",
            [b"{\"budget\":\"\xff\xfe\"", &STATEMENT.as_bytes()[..0], b"}"].concat(),
            &[400],
        ),
        ("a UTF-8 sequence that is cut off is no JSON", b"{\"currency\":\"\xe2\x98\"}".to_vec(), &[400]),
        ("a surrogate alone is no character", STATEMENT.replacen("USD", "\\ud800", 1).into(), &[400, 422]),
        ("a low surrogate alone is no character", with("\"\\udc00\":1").into(), &[400, 422]),
        ("a surrogate encoded as UTF-8 is no JSON", b"{\"currency\":\"\xed\xa0\x80\"}".to_vec(), &[400]),
        ("a byte order mark is told or skipped", [b"\xef\xbb\xbf", STATEMENT.as_bytes()].concat(), &[202, 400]),
        ("UTF-16 little-endian is no JSON", utf16(true), &[400]),
        ("UTF-16 big-endian is no JSON", utf16(false), &[400]),
        ("UTF-7 is no JSON", b"+AHs-+ACI-budget+ACI-:1+AH0-".to_vec(), &[400]),
        ("a member given twice is refused", with("\"budget\":1").into(), &[400, 422]),
        ("a member given twice in other letters is refused", with("\"\\u0062udget\":1").into(), &[400, 422]),
        ("a member nobody knows is refused", with("\"is_admin\":true").into(), &[400, 422]),
        ("members of another language's objects are refused", with("\"__proto__\":{\"x\":1}").into(), &[400, 422]),
        (
            "ten thousand members nobody knows are refused",
            with(&(0..10_000).map(|n| format!("\"m{n}\":1")).collect::<Vec<_>>().join(",")).into(),
            &[400, 413, 422],
        ),
        (
            "a member's name of fifty kilobytes is refused",
            with(&format!("\"{}\":1", "n".repeat(50_000))).into(),
            &[400, 413, 422],
        ),
        ("a version that a client brings is refused", with("\"version\":99999999999").into(), &[400, 422]),
        ("a NUL in a text is refused", STATEMENT.replacen("USD", "US\\u0000", 1).into(), &[400, 422]),
        ("a raw NUL is no JSON", STATEMENT.replacen("USD", "US\0", 1).into(), &[400]),
        ("a raw line end in a text is no JSON", STATEMENT.replacen("USD", "U\nD", 1).into(), &[400]),
        (
            "text that runs backwards is no city",
            STATEMENT.replacen("seattle", "\u{202e}elttaes", 1).into(),
            &[400, 422],
        ),
        ("dots are no city", STATEMENT.replacen("us/wa/seattle", "../../..", 1).into(), &[400, 422]),
        (
            "ten thousand cities are too many",
            STATEMENT.replacen("\"us/wa/seattle\"", &vec!["\"us/wa/a\""; 5_000].join(","), 1).into(),
            &[400, 413, 422],
        ),
    ];
    let mut cases: Vec<Case> = texts
        .into_iter()
        .map(|(name, body, right)| Case::said(name, post("/api/v1/preferences", body), right))
        .collect();
    let p = "/api/v1/preferences";
    cases.extend(table(vec![
        ("a statement without a type is refused", post_as(p, "", STATEMENT), &[415]),
        ("a statement as plain text is refused", post_as(p, "content-type: text/plain\r\n", STATEMENT), &[415]),
        (
            "a statement as a form is refused",
            post_as(p, "content-type: application/x-www-form-urlencoded\r\n", "budget=1"),
            &[415],
        ),
        (
            "a statement in parts is refused",
            post_as(p, "content-type: multipart/form-data; boundary=b\r\n", "--b\r\n\r\n--b--"),
            &[415],
        ),
        (
            "a statement as XML with an entity is refused",
            post_as(
                p,
                "content-type: application/xml\r\n",
                "<!DOCTYPE a [<!ENTITY b SYSTEM \"file:///etc/passwd\">]><a>&b;</a>",
            ),
            &[415],
        ),
        ("a type that is no type is refused", post_as(p, "content-type: ;;;,,,///\r\n", STATEMENT), &[415]),
        (
            "a type of ten kilobytes is refused",
            post_as(p, &format!("content-type: text/{}\r\n", "x".repeat(10_000)), STATEMENT),
            &[415],
        ),
        (
            "a type in bytes that are no text is refused",
            [
                format!("POST {p} HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\ncontent-type: ").as_bytes(),
                b"\xff\xfe\r\n\r\n{}",
            ]
            .concat(),
            &[415],
        ),
        (
            "two types are the first one, or refused",
            post_as(p, "content-type: application/json\r\ncontent-type: text/plain\r\n", STATEMENT),
            &[202, 400, 415],
        ),
        (
            "JSON declared as UTF-16 is UTF-8 or refused",
            post_as(p, "content-type: application/json; charset=utf-16\r\n", STATEMENT),
            &[202, 400, 415],
        ),
        ("a gzip bomb is not unpacked", post_as(p, &format!("{JSON}content-encoding: gzip\r\n"), GZIP_BOMB), &[415]),
        (
            "a body in brotli is refused",
            post_as(p, &format!("{JSON}content-encoding: br\r\n"), b"\x0b\x00\x80x\x03"),
            &[415],
        ),
        (
            "a body in deflate is refused",
            post_as(p, &format!("{JSON}content-encoding: deflate\r\n"), b"x\x9c\x03\0\0\0\0\x01"),
            &[415],
        ),
        (
            "a body in zstd is refused",
            post_as(p, &format!("{JSON}content-encoding: zstd\r\n"), b"\x28\xb5\x2f\xfd"),
            &[415],
        ),
        (
            "a body packed ten times is refused",
            post_as(p, &format!("{JSON}content-encoding: {}\r\n", ["gzip"; 10].join(", ")), GZIP_BOMB),
            &[415],
        ),
        (
            "a coding that does not exist is refused",
            post_as(p, &format!("{JSON}content-encoding: rot13\r\n"), STATEMENT),
            &[415],
        ),
        (
            "the coding identity is none",
            post_as(p, &format!("{JSON}content-encoding: identity\r\n"), STATEMENT),
            &[202],
        ),
        ("a gzip without its header is no JSON", post(p, GZIP_BOMB), &[400]),
        ("a body of sixteen megabytes is too large", post(p, " ".repeat(16 << 20)), &[413, CUT]),
        (
            "a body on a GET is read over",
            [b"GET /problems HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nhello".as_slice()].concat(),
            &[200, 400],
        ),
        (
            "a megabyte on a GET is read over or refused",
            [b"GET /problems HTTP/1.1\r\nhost: x\r\ncontent-length: 1048576\r\n\r\n".as_slice(), &[b'x'; 1 << 20]]
                .concat(),
            &[200, 400, 413],
        ),
        (
            "a batch of a line without an end is refused in a line",
            post_as("/api/v1/ml/predict-price/batch", "content-type: application/x-ndjson\r\n", "[".repeat(1 << 20)),
            &[200, 413, 503],
        ),
        (
            "a batch of twenty thousand empty objects is bounded",
            post_as("/api/v1/ml/predict-price/batch", "content-type: application/x-ndjson\r\n", "{}\n".repeat(20_000)),
            &[200, 413, 503],
        ),
        (
            "a batch of a million empty lines is nothing",
            post_as("/api/v1/ml/predict-price/batch", "content-type: application/x-ndjson\r\n", "\n".repeat(1_000_000)),
            &[200, 503],
        ),
        (
            "a batch that is a gzip bomb is not unpacked",
            post_as(
                "/api/v1/ml/predict-price/batch",
                "content-type: application/x-ndjson\r\ncontent-encoding: gzip\r\n",
                GZIP_BOMB,
            ),
            &[415],
        ),
        (
            "a home of a hundred thousand levels is not valued",
            post("/api/v1/ml/predict-price", "[".repeat(60_000)),
            &[400, 413, 422],
        ),
        (
            "a home with a living area of 1e400 is not valued",
            post("/api/v1/ml/predict-price", r#"{"LivingArea":1e400}"#),
            &[400, 422],
        ),
    ]));
    cases
}
