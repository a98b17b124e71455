//! What is wrong with a request's head although it parses: the rules of RFC 9112 that depend on several of its lines. Pure.
//!
//! What does not parse (NUL, a space before the colon, two lengths) hyper refuses by itself; `Transfer-Encoding` beside
//! `Content-Length` it takes as chunked and then closes, as §6.3 has it.

use axum::http::request::Parts;
use axum::http::uri::Authority;
use axum::http::{HeaderValue, Version, header};

/// Why the request must be answered with 400, in a sentence; `None` when it need not. RFC 9112 §3.2: one `Host`, and a valid
/// one; where several hops read different ones, what one of them checks is not what another one serves.
pub fn fault(head: &Parts) -> Option<&'static str> {
    let mut hosts = head.headers.get_all(header::HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(_), Some(_)) => Some("Host is given twice (expected once)"),
        (None, _) if head.version == Version::HTTP_11 => Some("Host is missing (expected once)"),
        (Some(host), None) if !is_host(host) => {
            Some("Host is no host (expected a name or address, and a port or none)")
        }
        (_, None) => None,
        // Cannot be: who has no first value has no second one.
        (None, Some(_)) => None,
    }
}

/// `host[:port]`; empty where the target has no authority. A comma would be grammatical, but is what two lines become on
/// their way through a hop that joins them.
fn is_host(value: &HeaderValue) -> bool {
    let bytes = value.as_bytes();
    bytes.is_empty() || !bytes.iter().any(|byte| b"@,".contains(byte)) && Authority::try_from(bytes).is_ok()
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    fn judged(version: Version, hosts: &[&[u8]]) -> Option<&'static str> {
        let mut request = Request::builder().version(version);
        for host in hosts {
            request = request.header(header::HOST, HeaderValue::from_bytes(host).unwrap());
        }
        fault(&request.body(()).unwrap().into_parts().0)
    }

    #[test]
    fn a_request_names_one_host() {
        for host in ["x", "example.com:8080", "127.0.0.1", "[::1]:80", ""] {
            assert_eq!(judged(Version::HTTP_11, &[host.as_bytes()]), None, "{host}");
        }
        for host in [&b"a b"[..], b"user@x", b"x/y", b"x\xff", b"x:y:z", b"a,b"] {
            assert!(judged(Version::HTTP_11, &[host]).is_some_and(|why| why.contains("no host")), "{host:?}");
        }
        assert!(judged(Version::HTTP_11, &[b"x", b"x"]).is_some_and(|why| why.contains("twice")));
        assert!(judged(Version::HTTP_11, &[]).is_some_and(|why| why.contains("missing")));
        assert_eq!(judged(Version::HTTP_10, &[]), None);
        assert!(judged(Version::HTTP_10, &[b"x", b"y"]).is_some());
    }
}
