//! `GET /recommendations`: the three best of a session. One row read, and an entity tag that is the hash of its items; no read
//! where `tags.rs` says that the client has the newest, or this process (`recent.rs`).

use std::sync::Arc;
use std::time::{Duration, Instant as Moment};

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use schemas::id::SessionId;
use schemas::recommendation::{Counts, Recommendation, RecommendedItem, items_hash};
use schemas::units::Instant;
use serde::{Deserialize, Serialize};
use store::{RecommendationRow, StoreError};

use crate::app::App;
use crate::caller::Session;
use crate::etag;
use crate::metrics;
use crate::problem::{Kind, Problem};
use crate::recent::Known;
use crate::statements::now_ms;
use crate::tags::{Current, Tag};
use crate::tail::Verdict;
use crate::wait::{Ask, Look, Step, decide, wait_for};

/// How old counts may be in an answer that no read was made for: between half of this and all of it, by session, so that those
/// that were read together are not read again together.
const COUNTS_AGE_MS: u64 = 1_000;

/// The three best of a session.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Recommendations {
    /// Whose.
    pub session_id: SessionId,
    /// The statement that this answers.
    pub preference_version: u64,
    /// The row's version: grows with every change of the items.
    pub version: i64,
    /// Up to when the listings and statements that this follows from are known; absent when nobody has said so yet.
    pub as_of: Option<Instant>,
    /// Whether that is more than ten seconds ago, or the store is away.
    pub stale: bool,
    /// What was counted off the hot path, and when; absent when it was not yet.
    pub counts: Option<Counts>,
    /// The best first; 0 to 3.
    pub items: Vec<RecommendedItem>,
}

/// The session is there, its recommendation is not yet what was asked for.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Pending {
    /// Whose.
    pub session_id: SessionId,
    /// The statement that its recommendation answers now; absent when it has none yet.
    pub preference_version: Option<u64>,
    /// Up to when the listings and statements are known.
    pub as_of: Option<Instant>,
    /// Whether that is more than ten seconds ago.
    pub stale: bool,
}

/// Reads the three best of the token's session.
///
/// While the store is away the answer is the last that this process has seen of the session, `stale` and with its own `as_of`, or 503.
///
/// `ETag` is the hash of the items: send it as `If-None-Match` and get 304 until they change. With `min_version` the
/// answer is that of this statement or a newer one; while there is none, the request waits for up to `wait` and then is
/// answered 202.
#[utoipa::path(
    get, path = "/recommendations", tag = "sessions", operation_id = "read_recommendations",
    params(
        ("min_version" = Option<u64>, Query, description = "A statement's version, as `POST /preferences` gave it."),
        ("wait" = Option<String>, Query, description = "How long to wait for it: `2s`, `500ms` or a number of seconds; at most 30 s.", example = "2s"),
        ("If-None-Match" = Option<String>, Header, description = "Entity tags that the client has."),
    ),
    responses(
        (status = 200, description = "The three best.", body = ref("#/components/schemas/Recommendations"),
         headers(("ETag" = String, description = "Hash of the items."), ("Age" = u64, description = "Whole seconds since `as_of`."))),
        (status = 202, description = "Not there yet: ask again after `Retry-After`.", body = ref("#/components/schemas/Pending")),
        (status = 304, description = "The items are those that the client has."),
        (status = 401, description = "No token."),
        (status = 404, description = "No such session."),
    ),
    security(("session" = [])),
)]
pub async fn read(
    State(app): State<Arc<App>>,
    Session(session): Session,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let ask = Ask::read(&uri, app.config.max_wait)?;
    let now = Moment::now();
    // A statement that is waited for is looked for in the row.
    if ask == Ask::default()
        && let Some(remembered) = remembered(&app, session, &headers, now)?
    {
        return Ok(remembered);
    }
    let watch = app.tags.watch(session, now, now_ms());
    let (written_up_to, _) = app.as_of(session);
    let look = wait_for(&app, ask, || look(&app, session, ask, Away::Recall)).await?;
    match look.step {
        Step::Answer => {
            // `Answer` is only ever decided for a row and its statement.
            let (shown, preference_version) =
                look.row.zip(look.version).ok_or_else(|| Problem::internal("a row to answer with is not there"))?;
            let tag = Tag { items_hash: items_hash(&shown.row.items.json), preference_version };
            if !shown.is_recalled {
                let timestamp = shown.row.items.timestamp.raw();
                app.tags.read(session, watch, written_up_to, timestamp, tag.clone(), now);
            }
            answer(session, shown, &tag, &headers)
        }
        Step::NotYet => Ok(pending(&app, session, look.version)),
        Step::NotFound | Step::LookAgain => Err(Problem::new(Kind::SessionNotFound, Kind::SessionNotFound.meaning())),
    }
}

/// A row that may be answered with.
#[derive(Clone, Debug)]
pub struct Shown {
    /// The row.
    pub row: RecommendationRow,
    /// Up to when it is true.
    pub as_of: Option<Instant>,
    /// Whether that is too long ago, or the store is away and the row is the last that was seen.
    pub stale: bool,
    /// Whether it is the last that was seen, for the store is away.
    pub is_recalled: bool,
}

impl Shown {
    /// `Age`: whole seconds since it was true.
    pub fn age(&self) -> Option<(HeaderName, HeaderValue)> {
        age(self.as_of)
    }
}

/// What to do while the store is away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Away {
    /// Answer with the last row that was seen of the session, if there is one.
    Recall,
    /// Say so.
    Refuse,
}

/// The row of a session that is there, as it is now; `None` while it has none for its statement. Like a plain read, it
/// looks for a session that nobody here knows for a moment.
pub async fn read_now(app: &App, session: SessionId, away: Away) -> Result<Option<Shown>, Problem> {
    read_asked(app, session, Ask::default(), away).await
}

/// The row of a session that answers what was asked; `None` while it has none.
pub async fn read_asked(app: &App, session: SessionId, ask: Ask, away: Away) -> Result<Option<Shown>, Problem> {
    let look = wait_for(app, ask, || look(app, session, ask, away)).await?;
    match look.step {
        Step::Answer => Ok(look.row),
        Step::NotYet => Ok(None),
        Step::NotFound | Step::LookAgain => Err(Problem::new(Kind::SessionNotFound, Kind::SessionNotFound.meaning())),
    }
}

/// The row of a session that was there, if it may be shown.
pub async fn look_now(app: &App, session: SessionId) -> Result<Option<RecommendationRow>, Problem> {
    let look = look(app, session, Ask::default(), Away::Refuse).await?;
    Ok(look.row.filter(|_| look.step == Step::Answer).map(|shown| shown.row))
}

/// The session is there; ask again.
pub fn pending(app: &App, session_id: SessionId, preference_version: Option<u64>) -> Response {
    let (as_of, stale) = app.as_of(session_id);
    let headers = [(header::RETRY_AFTER, "1"), (header::CACHE_CONTROL, "no-store")];
    let body = Json(Pending { session_id, preference_version, as_of, stale });
    (StatusCode::ACCEPTED, headers, body).into_response()
}

/// The answer without a read: where it is known what the row says, and either the client has it or this process does.
fn remembered(app: &App, session: SessionId, headers: &HeaderMap, now: Moment) -> Result<Option<Response>, Problem> {
    let Some(Current { tag, timestamp, read }) = app.tags.get(session, now) else { return Ok(None) };
    let known = if has(headers, &tag) {
        None
    } else {
        // What is announced are the items: counts are read again after a second at most.
        let half = COUNTS_AGE_MS / 2;
        // The lowest bits of a hash.
        let age = Duration::from_millis(half + session.bits() as u64 % half);
        let known = app.recent.get(session).filter(|_| now.saturating_duration_since(read) < age);
        let Some(known) = known.filter(|known| known.row.items.timestamp.raw() == timestamp) else { return Ok(None) };
        Some(known)
    };
    // The row's way tells of an erased session, and of one that this process knows too little of.
    if app.verdict(session, Some(tag.preference_version))? != Verdict::Serve {
        return Ok(None);
    }
    metrics::record_known_tag();
    let (as_of, stale) = app.as_of(session);
    if let Some(Known { row, .. }) = known {
        return answer(session, Shown { row, as_of, stale, is_recalled: false }, &tag, headers).map(Some);
    }
    if stale {
        metrics::record_stale_read();
    }
    Ok(Some((StatusCode::NOT_MODIFIED, head(&tag, age(as_of))?).into_response()))
}

/// Whether the client has it.
fn has(headers: &HeaderMap, tag: &Tag) -> bool {
    let known = headers.get_all(header::IF_NONE_MATCH).iter().map(HeaderValue::as_bytes);
    etag::any_matches(known, &tag.items_hash)
}

fn head(tag: &Tag, age: Option<(HeaderName, HeaderValue)>) -> Result<HeaderMap, Problem> {
    // Hexadecimal digits within quotes are a header's value.
    let etag = HeaderValue::from_str(&format!("\"{}\"", tag.items_hash))
        .map_err(|error| Problem::internal(&error.to_string()))?;
    let mut head = HeaderMap::from_iter([
        (header::ETAG, etag),
        (header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache")),
    ]);
    head.extend(age);
    Ok(head)
}

/// `Age`: whole seconds since it was true.
fn age(as_of: Option<Instant>) -> Option<(HeaderName, HeaderValue)> {
    let seconds = now_ms().saturating_sub(as_of?.ms()).max(0) / 1_000;
    Some((header::AGE, HeaderValue::from(seconds)))
}

fn answer(session_id: SessionId, shown: Shown, tag: &Tag, headers: &HeaderMap) -> Result<Response, Problem> {
    let head = head(tag, shown.age())?;
    let Shown { row, as_of, stale, .. } = shown;
    if stale {
        metrics::record_stale_read();
    }
    if has(headers, tag) {
        return Ok((StatusCode::NOT_MODIFIED, head).into_response());
    }
    let recommendation: Recommendation = serde_json::from_str(&row.items.json)
        .map_err(|error| Problem::internal(&format!("recommendations of {session_id}: cell items: {error}")))?;
    let body = Recommendations {
        session_id,
        preference_version: recommendation.preference_version,
        version: row.items.timestamp.raw(),
        as_of,
        stale,
        // An observation that cannot be read is none.
        counts: row.counts.and_then(|cell| serde_json::from_str(&cell.json).ok()),
        items: recommendation.items,
    };
    Ok((head, Json(body)).into_response())
}

/// One look at the row.
pub async fn look(app: &App, session: SessionId, ask: Ask, away: Away) -> Result<Look<Shown>, Problem> {
    #[derive(Deserialize)]
    struct Head {
        preference_version: u64,
    }
    let started = Moment::now();
    let read = app.tables.recommendation(session).await;
    metrics::record_row_read("recommendations", started.elapsed());
    let row = match read {
        Ok(row) => row.map(|row| {
            let (as_of, stale) = app.as_of(session);
            app.recent.keep(session, &row, as_of);
            Shown { row, as_of, stale, is_recalled: false }
        }),
        Err(error @ StoreError::Unavailable(_)) if away == Away::Recall => {
            Some(recalled(app, session).ok_or_else(|| Problem::from(error))?)
        }
        Err(error) => return Err(error.into()),
    };
    let head = row.as_ref().map(|shown| serde_json::from_str::<Head>(&shown.row.items.json)).transpose();
    let version = head
        .map_err(|error| Problem::internal(&format!("recommendations of {session}: cell items: {error}")))?
        .map(|head| head.preference_version);
    // After the row is kept: an erasure that comes later drops it.
    let verdict = app.verdict(session, version)?;
    if row.is_some() && verdict != Verdict::Serve {
        app.recent.forget(session);
    }
    // An erased or replaced row is not told of.
    let version = version.filter(|_| verdict == Verdict::Serve);
    Ok(Look { step: decide(verdict, version, ask.min_version), row, version })
}

/// The last row seen of a session. Only while it is known who was erased: the log is read to its end.
fn recalled(app: &App, session: SessionId) -> Option<Shown> {
    app.follower.ready().ok()?;
    let Known { row, as_of } = app.recent.get(session)?;
    Some(Shown { row, as_of, stale: true, is_recalled: true })
}
