//! The W3C trace context of a request (`traceparent`, version 00): the client's if it is right, else one of our own, so that every record
//! that a request appends names a trace. Pure but for a secret of the process.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::LazyLock;

use axum::http::{HeaderMap, HeaderName, HeaderValue, Method};
use schemas::header as log_header;

/// The header, both in requests and on the log.
pub const TRACEPARENT: HeaderName = HeaderName::from_static(log_header::TRACEPARENT);

/// The request's `traceparent`, if it is well-formed: lower-case hexadecimal digits, version, trace and parent none of those that
/// mean nothing.
pub fn of(headers: &HeaderMap) -> Option<&str> {
    let text = headers.get(TRACEPARENT)?.to_str().ok()?;
    let parts: Vec<&str> = text.split('-').collect();
    let is_hex = |part: &&str| part.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    let is_zero = |part: &str| part.bytes().all(|b| b == b'0');
    let [version, trace, parent, _] = parts[..] else { return None };
    let right = parts.iter().map(|part| part.len()).eq([2, 32, 16, 2]) && parts.iter().all(is_hex);
    (right && version != "ff" && !is_zero(trace) && !is_zero(parent)).then_some(text)
}

/// A context made of the request's id: the same id gives the same trace within a process, and nobody can foresee which.
pub fn made_of(request_id: &str) -> String {
    static SECRETS: LazyLock<[RandomState; 3]> = LazyLock::new(Default::default);
    // Zero would mean none.
    let [high, low, parent] = SECRETS.each_ref().map(|secret| secret.hash_one(request_id).max(1));
    format!("00-{high:016x}{low:016x}-{parent:016x}-00")
}

/// The trace's id within a context.
pub fn id(traceparent: &str) -> &str {
    traceparent.split('-').nth(1).unwrap_or_default()
}

/// Sees that a request that may append has a right context. Gives the context, if there is one.
pub fn complete(method: &Method, headers: &mut HeaderMap, request_id: &str) -> Option<String> {
    if let Some(given) = of(headers) {
        return Some(given.to_owned());
    }
    if matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS) {
        return None;
    }
    let made = made_of(request_id);
    // Cannot fail: hexadecimal digits.
    headers.insert(TRACEPARENT, HeaderValue::from_str(&made).ok()?);
    Some(made)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(text: &str) -> HeaderMap {
        HeaderMap::from_iter([(TRACEPARENT, text.parse().unwrap())])
    }

    #[test]
    fn only_a_wellformed_trace_context_travels_on() {
        let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        assert_eq!(of(&with(good)), Some(good));
        assert_eq!(id(good), "0af7651916cd43dd8448eb211c80319c");
        for bad in [
            "",
            "00",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            &format!("{good}-x"),
        ] {
            assert_eq!(of(&with(bad)), None, "{bad}");
        }
    }

    #[test]
    fn a_request_that_may_append_always_has_one() {
        let mut headers = with("nonsense");
        let made = complete(&Method::POST, &mut headers, "a").unwrap();
        assert_eq!(of(&headers), Some(made.as_str()));
        assert_ne!(made_of("a"), made_of("b"));
        assert_eq!(complete(&Method::GET, &mut HeaderMap::new(), "a"), None);
        let given = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        assert_eq!(complete(&Method::GET, &mut with(given), "a").as_deref(), Some(given));
    }
}
