//! Pages of which sites may use the API: an origin as a browser writes it, and which requests are of one that may. Pure.

use axum::http::{HeaderMap, HeaderValue, header};
use serde::{Deserialize, Serialize};

/// An origin: scheme, host and port of a site, as browsers send it in `Origin`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct Origin(String);

impl TryFrom<String> for Origin {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let wrong = |why: &str| {
            Err(format!(
                "\"{text}\" {why} (expected an origin as browsers send it, such as \"https://www.example.org\")"
            ))
        };
        if text.contains('*') || text == "null" {
            return wrong("would let pages use the API that nobody has named");
        }
        let Ok(url) = url::Url::parse(&text) else { return wrong("is not allowed") };
        if !matches!(url.scheme(), "http" | "https") {
            return wrong("has another scheme than http and https");
        }
        match url.origin().ascii_serialization() {
            exact if exact == text => Ok(Self(text)),
            exact => wrong(&format!("is not written as browsers do: \"{exact}\"")),
        }
    }
}

impl Origin {
    /// As browsers send it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether the request is of a page of this very host or of one of these origins, or of no page.
pub fn may_connect(headers: &HeaderMap, allowed: &[Origin]) -> bool {
    let mut origins = headers.get_all(header::ORIGIN).iter();
    let Some(origin) = origins.next() else { return true };
    if origins.next().is_some() {
        return false;
    }
    is_of_this_host(origin, headers) || allowed.iter().any(|one| one.0.as_bytes() == origin.as_bytes())
}

fn is_of_this_host(origin: &HeaderValue, headers: &HeaderMap) -> bool {
    let authority = |value: &HeaderValue| {
        let text = value.to_str().ok()?.to_ascii_lowercase();
        let (host, port) = match text.split_once("://") {
            Some(("http", rest)) => (rest.to_owned(), ":80"),
            Some(("https", rest)) => (rest.to_owned(), ":443"),
            Some(_) | None => return None,
        };
        Some((host.strip_suffix(port).unwrap_or(&host).to_owned(), port))
    };
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).map(str::to_ascii_lowercase);
    let (Some((of_page, port)), Some(host)) = (authority(origin), host) else { return false };
    host.strip_suffix(port).unwrap_or(&host) == of_page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_exactly_what_a_browser_sends() {
        for text in ["https://www.example.org", "http://localhost:3000", "https://[2001:db8::1]:8443"] {
            assert_eq!(Origin::try_from(text.to_owned()).unwrap().as_str(), text);
        }
        for text in [
            "*",
            "null",
            "",
            "example.org",
            "https://example.org/",
            "https://Example.org",
            "https://example.org:443",
            "https://example.org/page",
            "https://*.example.org",
            "ftp://example.org",
            "file:///x",
        ] {
            let refused = Origin::try_from(text.to_owned());
            assert!(refused.is_err_and(|message| message.contains("expected an origin")), "{text}");
        }
    }

    #[test]
    fn only_pages_of_this_host_or_a_listed_one_and_programs_may_connect() {
        let allowed = [Origin("https://www.example.net".to_owned())];
        for (host, origin, may) in [
            ("api.example.org", None, true),
            ("api.example.org", Some("https://api.example.org"), true),
            ("API.example.org:443", Some("https://api.example.org"), true),
            ("127.0.0.1:8080", Some("http://127.0.0.1:8080"), true),
            ("127.0.0.1:8080", Some("http://127.0.0.1"), false),
            ("api.example.org", Some("https://example.org"), false),
            ("api.example.org", Some("https://api.example.org.evil.org"), false),
            ("api.example.org", Some("https://api.example.org@evil.org"), false),
            ("api.example.org", Some("null"), false),
            ("api.example.org", Some(""), false),
            ("api.example.org", Some("https://www.example.net"), true),
            ("api.example.org", Some("http://www.example.net"), false),
            ("api.example.org", Some("https://www.example.net:8443"), false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, host.parse().unwrap());
            headers.extend(origin.map(|origin| (header::ORIGIN, origin.parse::<HeaderValue>().unwrap())));
            assert_eq!(may_connect(&headers, &allowed), may, "{host} {origin:?}");
        }
        let hostless = HeaderMap::from_iter([(header::ORIGIN, HeaderValue::from_static("https://a.org"))]);
        assert!(!may_connect(&hostless, &allowed));
        let mut two = HeaderMap::new();
        two.append(header::ORIGIN, HeaderValue::from_static("https://www.example.net"));
        two.append(header::ORIGIN, HeaderValue::from_static("https://www.example.net"));
        assert!(!may_connect(&two, &allowed));
    }
}
