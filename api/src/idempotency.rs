//! The header `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header-07) of a request that makes a session: the same key
//! of the same caller makes the same session again. Pure.
//!
//! Nothing is stored: which session it is follows from the caller, the key and the secret. So a repetition with another body is
//! no conflict: it states the new body for the same session, which is what a statement does anyway.

use axum::http::{HeaderMap, HeaderName};

use crate::problem::{Kind, Problem};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Longest key: four UUIDs.
const MAX_CHARS: usize = 128;
/// Shortest key of a caller that is nobody in particular: whoever guesses it has the session.
pub const MIN_ANONYMOUS_CHARS: usize = 16;

/// The key, if one is sent. The draft writes it as a quoted string; bare ones are what most clients send.
pub fn key(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let wrong = |what: &str| {
        let detail = format!(
            "Idempotency-Key {what} (expected once, 1 to {MAX_CHARS} visible ASCII characters, bare or quoted)"
        );
        Err(Problem::new(Kind::BadRequest, detail))
    };
    if values.next().is_some() {
        return wrong("is given twice");
    }
    let Ok(text) = value.to_str().map(str::trim) else { return wrong("holds other characters") };
    let key = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    match key {
        "" => wrong("is empty"),
        key if key.len() > MAX_CHARS => wrong("is too long"),
        key if !key.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"') => wrong("holds other characters"),
        key => Ok(Some(key)),
    }
}

/// Refuses what others could guess, of a caller that is nobody in particular.
pub fn hard_to_guess(key: &str) -> Result<(), Problem> {
    if key.len() >= MIN_ANONYMOUS_CHARS {
        return Ok(());
    }
    let detail = format!(
        "Idempotency-Key has {} characters (expected at least {MIN_ANONYMOUS_CHARS} without a token or API key, random ones: who \
         guesses it has the session)",
        key.len()
    );
    Err(Problem::new(Kind::BadRequest, detail))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_one_bounded_text_quoted_or_bare() {
        let of = |lines: &[&str]| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(IDEMPOTENCY_KEY, line.parse().unwrap());
            }
            key(&headers).map(|key| key.map(str::to_owned)).map_err(|problem| problem.kind)
        };
        let most = "x".repeat(MAX_CHARS);
        assert_eq!(of(&[]), Ok(None));
        for (line, expected) in [("abc", "abc"), ("\"abc\"", "abc"), (" a-b.c ", "a-b.c"), (&most, &most)] {
            assert_eq!(of(&[line]), Ok(Some(expected.to_owned())));
        }
        for lines in [&[""][..], &["\"\""], &["a b"], &["a\"b"], &["\"a"], &["a", "a"], &[&format!("{most}x")]] {
            assert_eq!(of(lines), Err(Kind::BadRequest), "{lines:?}");
        }
        assert!(hard_to_guess("0123456789abcde").is_err() && hard_to_guess("0123456789abcdef").is_ok());
    }
}
