//! `GET /api/recommendations` and its stream: the three best of a session, with their homes, in the older shape.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::sse::Event;
use axum::response::{IntoResponse as _, Response};
use schemars::JsonSchema;
use schemas::recommendation::{Counts, Recommendation, RecommendedItem, items_hash};
use serde::{Deserialize, Serialize};

use crate::app::App;
use crate::caller::{ends, forbidden, of_headers};
use crate::etag;
use crate::feed::{EventId, Feed, Told};
use crate::metrics::StreamKind;
use crate::older::session::{self, Opened};
use crate::older::shape::OlderPick;
use crate::problem::Problem;
use crate::property::Property;
use crate::query::Query;
use crate::routes::property::fact;
use crate::routes::recommendations::{Away, Shown, look};
use crate::routes::stream::{answer, event};
use crate::wait::{Ask, Step, wait_for};

/// How long a client that polls at once waits for its first three: older clients know no `wait`.
const PATIENCE: Duration = Duration::from_secs(2);

/// The three best of a session.
#[derive(Debug, Serialize, JsonSchema)]
pub struct OlderRecommendations {
    /// As it was sent.
    pub session_id: String,
    /// How many homes suit the session, as far as that was counted; `null` before.
    pub candidates: Option<u64>,
    /// The best first; 0 to 3.
    pub recommendations: Vec<OlderPick>,
}

/// Reads the three best of a session.
///
/// What follows from the session's newest statement is waited for, up to two seconds. `ETag` names the picks: send it as `If-None-Match` and get 304
/// until they change.
#[utoipa::path(
    get, path = "/recommendations", tag = "older names", operation_id = "older_read_recommendations",
    params(
        ("session_id" = Option<String>, Query, description = "As `POST /api/preferences` gave it; else `Authorization: Bearer`."),
        ("If-None-Match" = Option<String>, Header, description = "Entity tags that the client has."),
    ),
    responses(
        (status = 200, description = "The three best.", body = ref("#/components/schemas/OlderRecommendations"),
         headers(("ETag" = String, description = "Hash of the picks."))),
        (status = 202, description = "Not there yet, so there are none: ask again after `Retry-After`.", body = ref("#/components/schemas/OlderRecommendations")),
        (status = 304, description = "The picks are those that the client has."),
        (status = 400, description = "No session is named."),
        (status = 404, description = "No such session."),
    ),
    security((), ("session" = [])),
)]
pub async fn read(State(app): State<Arc<App>>, uri: Uri, headers: HeaderMap) -> Result<Response, Problem> {
    let query = Query::read(&uri, &["session_id"]);
    let Opened { user, session_id } = session_of(&app, query, &headers).await?;
    let session = user.session;
    // Who has just replaced its statement does not want what followed from the one before.
    let ask = Ask { min_version: app.follower.stated(session), wait: PATIENCE.min(app.config.max_wait) };
    let found = wait_for(&app, ask, || look(&app, session, ask, Away::Recall)).await?;
    let row = match found.step {
        Step::Answer => found.row,
        Step::NotYet => None,
        Step::NotFound | Step::LookAgain => return Err(session::none()),
    };
    let Some(Shown { row, .. }) = row else {
        let body = OlderRecommendations { session_id, candidates: None, recommendations: Vec::new() };
        let head = [(header::RETRY_AFTER, "1"), (header::CACHE_CONTROL, "no-store")];
        return Ok((StatusCode::ACCEPTED, head, Json(body)).into_response());
    };
    let cell: Recommendation = serde_json::from_str(&row.items.json)
        .map_err(|error| Problem::internal(&format!("recommendations of {session}: cell items: {error}")))?;
    let recommendations = picks(&app, cell.items).await?;
    // Of all that is answered but what is counted: homes may be told newer than the picks.
    let tag = items_hash(&serde_json::to_string(&recommendations).unwrap_or_default());
    // Hexadecimal digits within quotes are a header's value.
    let etag = HeaderValue::from_str(&format!("\"{tag}\"")).map_err(|error| Problem::internal(&error.to_string()))?;
    let head = [(header::ETAG, etag), (header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"))];
    if etag::any_matches(headers.get_all(header::IF_NONE_MATCH).iter().map(HeaderValue::as_bytes), &tag) {
        return Ok((StatusCode::NOT_MODIFIED, head).into_response());
    }
    // An observation that cannot be read is none.
    let counts: Option<Counts> = row.counts.and_then(|cell| serde_json::from_str(&cell.json).ok());
    let candidates = counts.map(|counts| counts.matched_total);
    Ok((head, Json(OlderRecommendations { session_id, candidates, recommendations })).into_response())
}

/// Streams the three best of a session, again whenever they change.
///
/// Server-sent events: each message is what `GET /api/recommendations` answers. `freshness` and `erased` are as in
/// `GET /api/v1/recommendations/stream`.
#[utoipa::path(
    get, path = "/recommendations/stream", tag = "older names", operation_id = "older_stream_recommendations",
    params(
        ("session_id" = Option<String>, Query, description = "As `POST /api/preferences` gave it; else `Authorization: Bearer`."),
        ("Last-Event-ID" = Option<String>, Header, description = "The `id` of the last event that the client has: it is not sent again."),
    ),
    responses(
        (status = 200, description = "Events, until either side ends the stream.", content_type = "text/event-stream", body = String,
         example = "id: 1099511627777-0f1e2d3c4b5a6978\ndata: {\"session_id\":\"000102030405060708090a0b0c0d0e0f\",\"candidates\":0,\"recommendations\":[]}\n\n"),
        (status = 400, description = "No session is named."),
        (status = 404, description = "No such session."),
        (status = 503, description = "Too many streams are open, or the store does not answer."),
    ),
    security((), ("session" = [])),
)]
pub async fn stream(State(app): State<Arc<App>>, uri: Uri, headers: HeaderMap) -> Result<Response, Problem> {
    let query = Query::read(&uri, &["session_id"]);
    let Opened { user, session_id } = session_of(&app, query, &headers).await?;
    // Another server's, or none: the client gets what is there, which is always right.
    let seen = headers.get("last-event-id").and_then(|value| EventId::parse(value.to_str().ok()?));
    let feed = Feed::open(&app, user.session, seen, StreamKind::Sse).await?;
    let keep_alive = app.config.stream_keep_alive;
    let events = futures::stream::unfold(feed, move |mut feed| {
        let (app, session_id) = (Arc::clone(&app), session_id.clone());
        async move {
            let told = feed.next().await?;
            Some((Ok::<_, Infallible>(message(&app, session_id, told).await), feed))
        }
    });
    Ok(answer(events, user.session, ends(&user), keep_alive))
}

/// What is told, as older clients listen: picks are messages without a name.
async fn message(app: &App, session_id: String, told: Told) -> Event {
    #[derive(Deserialize)]
    struct Picks {
        items: Vec<RecommendedItem>,
        counts: Option<Counts>,
    }
    let Ok(Picks { items, counts }) = serde_json::from_str(&told.data) else { return event(told) };
    let recommendations = match picks(app, items.clone()).await {
        Ok(picks) => picks,
        // The store is away: what the picks themselves say is true, and the next message says more.
        Err(_) => items.into_iter().map(|item| OlderPick::of(item, None)).collect(),
    };
    let candidates = counts.map(|counts| counts.matched_total);
    let body = OlderRecommendations { session_id, candidates, recommendations };
    // Cannot fail: texts and numbers only.
    let message = Event::default().data(serde_json::to_string(&body).unwrap_or_default());
    match told.id {
        Some(id) => message.id(id),
        None => message,
    }
}

/// The picks with their homes as they may be shown now; what may not be shown any more is left out.
async fn picks(app: &App, items: Vec<RecommendedItem>) -> Result<Vec<OlderPick>, Problem> {
    let reads = items.into_iter().map(async |item| {
        let pick = match fact(app, item.listing_id.clone()).await? {
            // The pick's row was written first.
            None => Some(OlderPick::of(item, None)),
            Some(fact) => Property::of(fact).map(|shown| OlderPick::of(item, Some(shown))),
        };
        Ok::<_, Problem>(pick)
    });
    Ok(futures::future::try_join_all(reads).await?.into_iter().flatten().collect())
}

/// Whose: of the query, else of the headers.
async fn session_of(app: &App, mut query: Query, headers: &HeaderMap) -> Result<Opened, Problem> {
    let text = query.text("session_id");
    if text.is_none() && of_headers(headers)?.is_none() {
        query.require("session_id", "the session_id that POST /api/preferences gave");
    }
    query.finish()?;
    let opened = session::open(app, text.as_deref(), headers).await?;
    opened.ok_or_else(|| forbidden("this route is a session's own: send its session_id"))
}
