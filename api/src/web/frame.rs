//! What surrounds every page: its head, its headers, and errors as pages.
//!
//! The policy lets in nothing but the page's own files and pictures over https: no text of a feed can become a script, and no other site
//! can put the page into a frame. So there are no styles or handlers within the pages.

use askama::Template;
use axum::Extension;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse as _, Response};
use tower_http::csrf::ProtectionError;

use super::assets;
use crate::problem::{Kind, Problem};

/// What a browser may load and do. Pictures come from wherever feeds have them, over https.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' https:; connect-src 'self'; \
    form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
/// Nothing of a browser that a page could ask for is needed.
const PERMISSIONS: &str = "camera=(), geolocation=(), microphone=(), payment=(), usb=()";

/// The head and the navigation of a page.
#[derive(Clone, Debug)]
pub struct Frame {
    /// What the page is called.
    pub title: String,
    /// Which part of the navigation it belongs to: `picks`, `markets`, `predict`, or none.
    pub part: &'static str,
    /// Where the style sheet is.
    pub style: String,
    /// Where the script is.
    pub script: String,
    /// Where the icon is.
    pub icon: String,
}

impl Frame {
    /// Of a page.
    pub fn of(title: impl Into<String>, part: &'static str) -> Self {
        Self { title: title.into(), part, style: assets::style(), script: assets::script(), icon: assets::icon() }
    }
}

/// A page as an answer.
pub fn answer(status: StatusCode, page: &impl Template) -> Result<Response, Problem> {
    let text = page.render().map_err(|error| Problem::internal(&format!("a page: {error}")))?;
    Ok((status, Extension(Whole), Html(text)).into_response())
}

/// Marks a page that says all itself, whatever its status: a form with mistakes.
#[derive(Clone, Copy, Debug)]
pub struct Whole;

/// Adds the headers of a page.
pub async fn harden(mut response: Response) -> Response {
    harden_headers(response.headers_mut());
    response
}

fn harden_headers(headers: &mut HeaderMap) {
    let fixed = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::REFERRER_POLICY, "same-origin"),
        (HeaderName::from_static("permissions-policy"), PERMISSIONS),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

/// What a form of another site is answered.
pub fn other_site(_: ProtectionError) -> Response {
    Problem::new(Kind::ForbiddenOrigin, "a page of another site has sent this form: open the page itself")
        .into_response()
}

/// Whether who asks for this wants a page, not a document: a browser, and no path of a machine.
pub fn wants_page(path: &str, headers: &HeaderMap) -> bool {
    let of_machines = ["/api", "/docs", "/problems", "/openapi.json", "/asyncapi.json", "/assets"];
    let accepts = headers.get_all(header::ACCEPT).iter();
    !of_machines.iter().any(|start| path.starts_with(start))
        && accepts.filter_map(|line| line.to_str().ok()).any(|line| line.to_ascii_lowercase().contains("text/html"))
}

/// An error as a page.
#[derive(Template)]
#[template(path = "problem.html")]
struct ProblemPage {
    frame: Frame,
    status: u16,
    heading: &'static str,
    detail: String,
    errors: Vec<String>,
    request_id: String,
    may_try_again: bool,
}

/// The whole answer to a request of a person that failed.
pub fn page_of_problem(problem: Problem, status: StatusCode, request_id: &str) -> Response {
    let page = ProblemPage {
        frame: Frame::of(problem.kind.title(), ""),
        status: status.as_u16(),
        heading: heading(status),
        errors: problem.errors.iter().map(|wrong| wrong.message.clone()).collect(),
        detail: problem.detail,
        request_id: request_id.to_owned(),
        may_try_again: problem.retry_after.is_some() || status == StatusCode::TOO_MANY_REQUESTS,
    };
    let mut response = match page.render() {
        Ok(text) => (status, Html(text)).into_response(),
        // Cannot happen: it writes into a text. The bare status says what counts.
        Err(_) => status.into_response(),
    };
    let headers = response.headers_mut();
    harden_headers(headers);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(seconds) = problem.retry_after {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    headers.extend(problem.headers);
    response
}

fn heading(status: StatusCode) -> &'static str {
    match status {
        StatusCode::NOT_FOUND => "There is nothing here",
        StatusCode::FORBIDDEN => "That came from another site",
        StatusCode::TOO_MANY_REQUESTS => "A little slower, please",
        StatusCode::SERVICE_UNAVAILABLE => "Not now",
        other if other.is_server_error() => "Something went wrong here",
        _ => "That did not work",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browsers_get_pages_and_programs_get_documents() {
        let of = |accept: &'static str| HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(accept))]);
        let browser = of("text/html,application/xhtml+xml,*/*;q=0.8");
        assert!(wants_page("/nowhere", &browser));
        assert!(!wants_page("/api/v1/nowhere", &browser));
        assert!(!wants_page("/docs/x", &browser));
        for other in ["*/*", "application/json", "text/event-stream"] {
            assert!(!wants_page("/nowhere", &of(other)), "{other}");
        }
        assert!(!wants_page("/", &HeaderMap::new()));
    }
}
