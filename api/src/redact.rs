//! Takes out of a text what looks like a token: a problem names the value that was wrong, and a token in the wrong place is one. Pure.

use std::borrow::Cow;

/// Hexadecimal digits of a session's token. So many or more in a row are taken out; a session's id looks the same.
const TOKEN_DIGITS: usize = 32;
/// How a JSON Web Token begins: `{"` in base64.
const JWT: &str = "eyJ";
/// A shorter text that begins so is a word.
const JWT_LEAST: usize = 16;
/// What stands in its place.
const HIDDEN: &str = "***";

/// The same text with `***` for every token.
pub fn redact(text: &str) -> Cow<'_, str> {
    let mut redacted = String::new();
    let mut copied = 0;
    for (start, end) in words(text) {
        let word = &text[start..end];
        if word.starts_with(JWT) && word.len() >= JWT_LEAST {
            redacted.push_str(&text[copied..start]);
            redacted.push_str(HIDDEN);
            copied = end;
            continue;
        }
        for (from, to) in runs(word, |byte| byte.is_ascii_hexdigit()) {
            if to - from >= TOKEN_DIGITS {
                redacted.push_str(&text[copied..start + from]);
                redacted.push_str(HIDDEN);
                copied = start + to;
            }
        }
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    redacted.push_str(&text[copied..]);
    Cow::Owned(redacted)
}

/// Where the letters of tokens stand together.
fn words(text: &str) -> impl Iterator<Item = (usize, usize)> {
    runs(text, |byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

/// The longest ranges of bytes that are `one`, all of them ASCII: so each begins and ends at a character.
fn runs(text: &str, one: impl Fn(u8) -> bool + Copy) -> impl Iterator<Item = (usize, usize)> {
    let bytes = text.as_bytes();
    let mut at = 0;
    std::iter::from_fn(move || {
        let start = at + bytes[at..].iter().position(|&byte| one(byte))?;
        let length = bytes[start..].iter().position(|&byte| !one(byte)).unwrap_or(bytes.len() - start);
        at = start + length;
        Some((start, at))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HEX: &str = "0123456789abcdef0123456789abcdef";

    #[test]
    fn tokens_are_taken_out_and_everything_else_stays() {
        let jwt = "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl";
        for (text, expected) in [
            (HEX.to_owned(), "***".to_owned()),
            (format!("/api/v1/sessions/{HEX}"), "/api/v1/sessions/***".to_owned()),
            (format!("{HEX} and \"{}\"é", HEX.to_uppercase()), "*** and \"***\"é".to_owned()),
            (format!("x-{HEX}{HEX}-y"), "x-***-y".to_owned()),
            (format!("token: {jwt} is not allowed"), "token: *** is not allowed".to_owned()),
            (format!("{}…", &jwt[..40]), "***…".to_owned()),
        ] {
            assert_eq!(redact(&text), expected);
        }
        for text in ["", "seattle:171727", "min_price: -5 is not allowed", &HEX[1..], "eyJ", "é0123456789ab"] {
            assert!(matches!(redact(text), Cow::Borrowed(same) if same == text), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_token_is_left_whatever_stands_around_it(before in "\\PC{0,20}", after in "\\PC{0,20}") {
            let text = format!("{before}{HEX}{after}");
            prop_assert!(!redact(&text).contains(HEX));
        }
    }
}
