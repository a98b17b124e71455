//! What surrounds every request: its id and trace, the bound on requests under way, its time, panics, problem documents, metrics.
//!
//! The one place that knows both the request and what became of it. It never looks at the query or at `Authorization`: both
//! may hold a secret, and what is not looked at is in no log line.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant as Moment};

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use futures::FutureExt as _;

use crate::app::App;
use crate::metrics;
use crate::problem::{Kind, Problem};
use crate::trace;
use crate::web::{Whole, page_of_problem, wants_page};

/// The header that names a request, both ways.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Marks an answer that is no problem document, whatever its status.
#[derive(Clone, Copy, Debug)]
pub struct AsItIs;

/// The label of requests that no route took.
const NO_ROUTE: &str = "none";

/// Runs one request within its bounds, and writes out what became of it.
pub async fn guard(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response {
    let started = Moment::now();
    let id = request_id(request.headers());
    let method = method_label(request.method());
    let route = request.extensions().get::<MatchedPath>().cloned();
    let path = request.uri().path().to_owned();
    let wants_page = wants_page(&path, request.headers());
    let trace = trace::complete(&request.method().clone(), request.headers_mut(), &id);

    let mut response = within_bounds(&app, request, next).await;

    let status = response.status();
    let problem = response.extensions_mut().remove::<Problem>();
    let is_whole =
        response.extensions().get::<AsItIs>().is_some() || response.extensions_mut().remove::<Whole>().is_some();
    let is_bare = !is_whole && (status.is_client_error() || status.is_server_error());
    let bare = || is_bare.then(|| Problem::of_status(status));
    if let Some(mut problem) = problem.or_else(bare) {
        keep_headers(&mut problem, response.headers());
        response = if wants_page { page_of_problem(problem, status, &id) } else { problem.render(status, &path, &id) };
    }
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-cache"));
    if let Ok(value) = HeaderValue::from_str(&id) {
        headers.insert(REQUEST_ID, value);
    }
    let (took, route) = (started.elapsed(), route.as_ref().map_or(NO_ROUTE, MatchedPath::as_str));
    metrics::record_request(method, route, status.as_u16(), took);
    let trace_id = trace.as_deref().map(trace::id);
    tracing::debug!(
        request_id = id,
        trace_id,
        method,
        route,
        status = status.as_u16(),
        ?took,
        "{method} {route}: {status}"
    );
    response
}

async fn within_bounds(app: &App, request: Request, next: Next) -> Response {
    let Ok(_permit) = app.in_flight.try_acquire() else {
        let detail = format!("{} requests are under way already", app.config.max_in_flight);
        return Problem::new(Kind::Overloaded, detail).into_response();
    };
    // A request may wait on its own account; what it does before and after is bounded by the rest.
    let limit = app.config.request_timeout + app.config.max_wait;
    match tokio::time::timeout(limit, AssertUnwindSafe(next.run(request)).catch_unwind()).await {
        Ok(Ok(response)) => response,
        Ok(Err(panic)) => {
            Problem::internal(&format!("a request panicked: {}", serve::panic_text(&*panic))).into_response()
        }
        Err(_) => timed_out(limit),
    }
}

fn timed_out(limit: Duration) -> Response {
    Problem::new(Kind::Overloaded, format!("the request was not answered within {} s", limit.as_secs_f32()))
        .into_response()
}

/// What layers found out about the answer, such as `Allow` or `RateLimit`; not what describes the body that is replaced.
fn keep_headers(problem: &mut Problem, headers: &HeaderMap) {
    let of_body = [header::CONTENT_TYPE, header::CONTENT_LENGTH, header::CONTENT_ENCODING];
    let kept = headers.iter().filter(|(name, _)| !of_body.contains(name));
    problem.headers.extend(kept.map(|(name, value)| (name.clone(), value.clone())));
}

/// The client's id for the request if it is harmless, else a new one: 16 digits of this process, 16 of the request.
fn request_id(headers: &HeaderMap) -> String {
    static PROCESS: LazyLock<u64> = LazyLock::new(|| {
        use std::hash::BuildHasher as _;
        std::hash::RandomState::new().hash_one(std::process::id())
    });
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let harmless = |text: &&str| {
        (1..=64).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
    };
    match headers.get(REQUEST_ID).and_then(|value| value.to_str().ok()).filter(harmless) {
        Some(text) => text.to_owned(),
        None => format!("{:016x}{:016x}", *PROCESS, COUNT.fetch_add(1, Ordering::Relaxed)),
    }
}

/// Methods are whatever clients send: only the usual ones become a label.
fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_harmless_request_id_is_kept_and_any_other_is_replaced() {
        let of = |text: &'static str| request_id(&HeaderMap::from_iter([(REQUEST_ID, HeaderValue::from_static(text))]));
        assert_eq!(of("abc-1_2.3"), "abc-1_2.3");
        for text in ["", "a b", "a\"b", "<script>", "01234567890123456789012345678901234567890123456789012345678901234"]
        {
            assert_eq!(of(text).len(), 32, "{text}");
        }
        assert_ne!(request_id(&HeaderMap::new()), request_id(&HeaderMap::new()));
    }
}
