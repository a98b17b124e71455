//! `GET /recommendations/{listing_id}/explain`: why one of the three is there. What the row holds, and nothing computed.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use schemars::JsonSchema;
use schemas::id::{ListingId, SessionId};
use schemas::recommendation::{Recommendation, RecommendedItem};
use schemas::units::Instant;
use serde::Serialize;

use super::recommendations::{Away, Shown, pending, read_now};
use crate::app::App;
use crate::caller::Session;
use crate::problem::{Kind, Problem};
use crate::query::NoQuery;
use crate::segment::Segments;

/// One of the three, with all that is known of why.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Pick {
    /// Whose.
    pub session_id: SessionId,
    /// The statement that it answers.
    pub preference_version: u64,
    /// The row's version.
    pub version: i64,
    /// Up to when the listings and statements that it follows from are known.
    pub as_of: Option<Instant>,
    /// Whether that is more than ten seconds ago.
    pub stale: bool,
    /// Points and reason of each component of the score, what changed last and when, valuation and deal.
    pub item: RecommendedItem,
}

/// Explains one of the three best of the token's session: points and reason of each component, what changed, valuation and deal.
///
/// As the row holds it, nothing is computed for this. Any other home is 404 `not-recommended`.
#[utoipa::path(
    get, path = "/recommendations/{listing_id}/explain", tag = "sessions", operation_id = "explain_recommendation",
    params(("listing_id" = String, Path, description = "`<feed>:<ListingKey>` of one of the three.", example = "seattle:171727")),
    responses(
        (status = 200, description = "Why it is one of the three.", body = ref("#/components/schemas/Pick")),
        (status = 202, description = "Not there yet: ask again after `Retry-After`.", body = ref("#/components/schemas/Pending")),
        (status = 401, description = "No token."),
        (status = 404, description = "Not one of the three, or no such session."),
    ),
    security(("session" = [])),
)]
pub async fn explain(
    State(app): State<Arc<App>>,
    Session(session_id): Session,
    Segments(id): Segments<String>,
    _: NoQuery,
) -> Result<Response, Problem> {
    let Some(shown) = read_now(&app, session_id, Away::Recall).await? else {
        return Ok(pending(&app, session_id, None));
    };
    let recommendation: Recommendation = serde_json::from_str(&shown.row.items.json)
        .map_err(|error| Problem::internal(&format!("recommendations of {session_id}: cell items: {error}")))?;
    // A text that is no id, or no text, names nothing.
    let id: Option<ListingId> = id.parse().ok();
    let item = recommendation.items.into_iter().find(|item| Some(&item.listing_id) == id.as_ref());
    let item = item.ok_or_else(|| Problem::new(Kind::NotRecommended, Kind::NotRecommended.meaning()))?;
    let preference_version = recommendation.preference_version;
    let mut head = HeaderMap::from_iter(shown.age());
    head.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    let Shown { row, as_of, stale, .. } = shown;
    let body = Pick { session_id, preference_version, version: row.items.timestamp.raw(), as_of, stale, item };
    Ok((head, Json(body)).into_response())
}
