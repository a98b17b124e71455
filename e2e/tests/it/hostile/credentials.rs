//! Tokens, cursors, event ids and entity tags that were tampered with.

use super::case::Case;
use super::house::{House, ask, get};

/// The token with one character changed into another hexadecimal digit.
fn flipped(token: &str) -> String {
    let last = if token.ends_with('0') { "1" } else { "0" };
    format!("{}{last}", &token[..token.len() - 1])
}

fn tokens() -> Vec<Case> {
    // `#` stands for the token.
    let of_header: &[(&str, &str, &[u16])] = &[
        ("a token is one", "authorization: Bearer #\r\n", &[200, 202]),
        ("no token is refused", "", &[401]),
        ("an empty Authorization is refused", "authorization:\r\n", &[401]),
        ("a scheme without a token is refused", "authorization: Bearer\r\n", &[401]),
        ("a token without a scheme is refused", "authorization: #\r\n", &[401]),
        ("a token doubled is refused", "authorization: Bearer ##\r\n", &[401]),
        ("two tokens in a line are refused", "authorization: Bearer #, Bearer #\r\n", &[401]),
        ("two tokens with a space are refused", "authorization: Bearer # #\r\n", &[401]),
        ("two lines of Authorization are refused", "authorization: Bearer #\r\nauthorization: Bearer #\r\n", &[401]),
        ("two lines with an empty one are refused", "authorization:\r\nauthorization: Bearer #\r\n", &[401]),
        ("a token under Basic is refused", "authorization: Basic #\r\n", &[401]),
        ("a token under Digest is refused", "authorization: Digest #\r\n", &[401]),
        ("a token under Negotiate is refused", "authorization: Negotiate #\r\n", &[401]),
        ("a token under a scheme of one letter more is refused", "authorization: Bearers #\r\n", &[401]),
        ("a token in quotes is refused", "authorization: Bearer \"#\"\r\n", &[401]),
        ("a token as a parameter is refused", "authorization: Bearer token=#\r\n", &[401]),
        ("a token that ends in rubbish is refused", "authorization: Bearer #\u{200b}\r\n", &[401]),
        ("a token in full-width digits is refused", "authorization: Bearer ０１２３\r\n", &[401]),
        (
            "a token of a known algorithm's nothing is refused",
            "authorization: Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.\r\n",
            &[401],
        ),
        ("a token of zeros is nobody's", "authorization: Bearer 00000000000000000000000000000000\r\n", &[404]),
        ("a token in a cookie is none", "cookie: token=#\r\n", &[401]),
        ("a token in a header of another name is none", "x-authorization: Bearer #\r\n", &[401]),
        ("a token for a proxy is none", "proxy-authorization: Bearer #\r\n", &[401]),
    ];
    let mut cases: Vec<Case> = of_header
        .iter()
        .map(|&(name, headers, right)| {
            Case::told(name, right, move |house| {
                ask("GET", "/api/v1/recommendations", &headers.replace('#', &house.token))
            })
        })
        .collect();
    let bearer = |token: &str| ask("GET", "/api/v1/recommendations", &format!("authorization: Bearer {token}\r\n"));
    cases.extend([
        Case::told("a token that is cut is refused", &[401], move |house| bearer(&house.token[..31])),
        Case::told("a token in capitals is refused", &[401, 404], move |house| bearer(&with_capital(&house.token))),
        Case::told("a token with another last digit is nobody's", &[404], move |house| bearer(&flipped(&house.token))),
        Case::told("a token of ten kilobytes is refused", &[401], move |house| bearer(&house.token.repeat(312))),
        Case::told("a token in the query of a route without one is refused", &[400, 401], |house| {
            get(&format!("/api/v1/recommendations?token={}", house.token))
        }),
        Case::told("a token in the query and in the header is refused", &[401], |house| {
            ask(
                "GET",
                &format!("/api/v1/recommendations/stream?token={0}", house.token),
                &format!("authorization: Bearer {}\r\n", house.token),
            )
        }),
        Case::told("two tokens in the query are refused", &[400, 401], |house| {
            get(&format!("/api/v1/recommendations/stream?token={0}&token={0}", house.token))
        }),
        Case::told("a token that is cut in the query is refused", &[401], |house| {
            get(&format!("/api/v1/recommendations/stream?token={}", &house.token[..31]))
        }),
        Case::told("a token in the path erases nobody", &[401], |house| {
            ask("DELETE", &format!("/api/v1/sessions/{}", house.token), "")
        }),
        Case::told("another's token erases nobody", &[400, 403, 404], |house| {
            ask(
                "DELETE",
                &format!("/api/v1/sessions/{}", house.token),
                "authorization: Bearer 0123456789abcdef0123456789abcdef\r\n",
            )
        }),
        Case::told("a token in the path of another route is not told", &[404], |house| {
            get(&format!("/nowhere/{}?x={}", "a", house.token))
        }),
    ]);
    cases
}

/// The first letter of a token as a capital; there is one in all but few tokens.
fn with_capital(token: &str) -> String {
    let at = token.find(|c: char| c.is_ascii_lowercase()).unwrap_or_default();
    format!("{}{}{}", &token[..at], token[at..=at].to_ascii_uppercase(), &token[at + 1..])
}

fn cursors() -> Vec<Case> {
    let page = |house: &House, cursor: &str| {
        get(&format!("/api/v1/properties?market={}&limit=1&cursor={cursor}", house.market))
    };
    let changed = |cursor: &str, at: usize| {
        let other = if cursor.as_bytes()[at] == b'A' { "B" } else { "A" };
        format!("{}{other}{}", &cursor[..at], &cursor[at + 1..])
    };
    vec![
        Case::told("a cursor leads on", &[200], move |house| page(house, &house.cursor)),
        Case::told("a cursor that is cut is refused", &[400], move |house| {
            page(house, &house.cursor[..house.cursor.len() - 3])
        }),
        Case::told("a cursor of one character is refused", &[400], move |house| page(house, "A")),
        Case::told("a cursor whose format is changed is refused", &[400], move |house| {
            page(house, &changed(&house.cursor, 0))
        }),
        Case::told("a cursor whose checksum is changed is refused", &[400], move |house| {
            page(house, &changed(&house.cursor, 4))
        }),
        Case::told("a cursor whose position is changed is refused", &[400], move |house| {
            page(house, &changed(&house.cursor, house.cursor.len() / 2))
        }),
        Case::told("a cursor doubled is refused", &[400], move |house| page(house, &house.cursor.repeat(2))),
        Case::told("a cursor with padding is refused", &[400], move |house| {
            page(house, &format!("{}==", house.cursor))
        }),
        Case::told("a cursor in capitals is refused", &[400], move |house| page(house, &house.cursor.to_uppercase())),
        Case::told("a cursor of a kilobyte is refused", &[400], move |house| page(house, &"A".repeat(1_000))),
        Case::told("a cursor of ten kilobytes is refused", &[400], move |house| page(house, &"A".repeat(10_000))),
        Case::told("a cursor with an escaped NUL is refused", &[400], move |house| {
            page(house, &format!("{}%00", house.cursor))
        }),
        Case::told("a cursor of another page size is taken or refused", &[200, 400], |house| {
            get(&format!("/api/v1/properties?market={}&limit=2&cursor={}", house.market, house.cursor))
        }),
        Case::told("a cursor of another query is refused", &[400], |house| {
            get(&format!("/api/v1/properties?market={}&limit=1&min_price=1&cursor={}", house.market, house.cursor))
        }),
        Case::told("a cursor of another market is refused", &[400], |house| {
            get(&format!("/api/v1/properties?market=us/wa/elsewhere&limit=1&cursor={}", house.cursor))
        }),
        Case::told("a token is no cursor", &[400], move |house| page(house, &house.token)),
    ]
}

fn tags() -> Vec<Case> {
    let with = |house: &House, headers: &str| {
        ask("GET", "/api/v1/recommendations", &format!("authorization: Bearer {}\r\n{headers}", house.token))
    };
    vec![
        Case::told("If-None-Match with three thousand tags is read", &[200, 202], move |house| {
            with(house, &format!("if-none-match: {}\r\n", "\"a\",".repeat(3_000)))
        }),
        Case::told("If-None-Match with fourteen thousand commas is read", &[200, 202], move |house| {
            with(house, &format!("if-none-match: {}\r\n", ",".repeat(14_000)))
        }),
        Case::told("If-None-Match in eighty lines is read", &[200, 202], move |house| {
            with(house, &"if-none-match: \"a\"\r\n".repeat(80))
        }),
        Case::told("If-None-Match with a quote that never ends names nothing", &[200, 202], move |house| {
            with(house, "if-none-match: \"abc\r\n")
        }),
        Case::told("If-None-Match in bytes that are no text names nothing", &[200, 202], move |house| {
            [
                format!(
                    "GET /api/v1/recommendations HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\nif-none-match: ",
                    house.token
                )
                .as_bytes(),
                b"\"\xff\xfe\"\r\n\r\n",
            ]
            .concat()
        }),
        Case::told("If-None-Match of a star is answered", &[200, 202, 304], move |house| {
            with(house, "if-none-match: *\r\n")
        }),
        Case::told("a wait of a year is refused", &[400], |house| {
            ask(
                "GET",
                "/api/v1/recommendations?min_version=1&wait=365days",
                &format!("authorization: Bearer {}\r\n", house.token),
            )
        }),
        Case::told("a wait of less than nothing is refused", &[400], |house| {
            ask(
                "GET",
                "/api/v1/recommendations?min_version=1&wait=-1s",
                &format!("authorization: Bearer {}\r\n", house.token),
            )
        }),
        Case::told("a version of twenty digits is refused", &[400], |house| {
            ask(
                "GET",
                "/api/v1/recommendations?min_version=99999999999999999999",
                &format!("authorization: Bearer {}\r\n", house.token),
            )
        }),
        Case::told("a Last-Event-ID of rubbish is none", &[200], |house| {
            stream(house, "last-event-id: rubbish\r\n", "")
        }),
        Case::told("a Last-Event-ID of twelve kilobytes is none", &[200], |house| {
            stream(house, &format!("last-event-id: {}\r\n", "9".repeat(12_000)), "")
        }),
        Case::told("a Last-Event-ID of the far future is none", &[200], |house| {
            stream(house, "last-event-id: 9223372036854775807-0000000000000000\r\n", "")
        }),
        Case::told("a Last-Event-ID below zero is none", &[200], |house| {
            stream(house, "last-event-id: -1-0000000000000000\r\n", "")
        }),
        Case::told("ninety Last-Event-IDs are one or none", &[200], |house| {
            stream(house, &"last-event-id: x\r\n".repeat(90), "")
        }),
        Case::told("a last_event_id of rubbish in the query is refused", &[400], |house| {
            stream(house, "", "?last_event_id=rubbish")
        }),
    ]
}

fn stream(house: &House, headers: &str, query: &str) -> Vec<u8> {
    ask(
        "GET",
        &format!("/api/v1/recommendations/stream{query}"),
        &format!("authorization: Bearer {}\r\n{headers}", house.token),
    )
}

pub fn cases() -> Vec<Case> {
    [tokens(), cursors(), tags()].into_iter().flatten().collect()
}
