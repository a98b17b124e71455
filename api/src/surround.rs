//! What stands around routes and comes from a library: CORS, off unless origins are listed, and compression.

use std::time::Duration;

use axum::http::{Extensions, HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version, header};
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{NotForContentType, Predicate, SizeAbove};
use tower_http::cors::{AllowOrigin, CorsLayer};

use crate::limits;
use crate::origin::Origin;

/// How long a browser may remember what a preflight said.
const MAX_AGE: Duration = Duration::from_secs(600);
/// Smaller bodies go out as they are: they fit into one packet either way, and compressing costs more than it saves.
const MIN_COMPRESSED_BYTES: u64 = 860;

/// Lets pages of these origins use the API; `None` when there are none. Without credentials: a session is named by `Authorization`,
/// which a page sets itself, and by nothing that a browser adds.
pub fn cors(allowed: &[Origin]) -> Option<CorsLayer> {
    if allowed.is_empty() {
        return None;
    }
    // Cannot fail: an origin is visible ASCII.
    let origins: Vec<HeaderValue> = allowed.iter().filter_map(|origin| origin.as_str().parse().ok()).collect();
    let name = HeaderName::from_static;
    Some(
        CorsLayer::new()
            .allow_origin(AllowOrigin::list(origins))
            .allow_methods([Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
            .allow_headers([
                header::AUTHORIZATION,
                header::CONTENT_TYPE,
                header::IF_NONE_MATCH,
                name("last-event-id"),
                name("x-api-key"),
                name("x-request-id"),
                name("traceparent"),
            ])
            .expose_headers([
                header::ETAG,
                header::LOCATION,
                header::LINK,
                header::RETRY_AFTER,
                header::AGE,
                limits::LEFT,
                limits::POLICY,
                name("x-request-id"),
            ])
            .max_age(MAX_AGE),
    )
}

/// Compresses by `Accept-Encoding` (zstd, br, gzip). For routes whose answers are the same for everybody: never around one that hands
/// out a token, whose length would tell about it, and never a stream, which would stand still.
pub fn compression() -> CompressionLayer<impl Predicate> {
    CompressionLayer::new().compress_when(
        SizeAbove::new(MIN_COMPRESSED_BYTES)
            .and(NotForContentType::IMAGES)
            .and(NotForContentType::SSE)
            .and(has_no_strong_tag),
    )
}

/// A strong entity tag names the very bytes.
fn has_no_strong_tag(_: StatusCode, _: Version, headers: &HeaderMap, _: &Extensions) -> bool {
    headers.get(header::ETAG).is_none_or(|tag| tag.as_bytes().starts_with(b"W/"))
}
