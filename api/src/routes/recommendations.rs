//! `GET /recommendations`: the three best of a session. One row read, and an entity tag that is the hash of its items.

use std::sync::Arc;
use std::time::{Duration, Instant as Moment};

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use schemas::id::SessionId;
use schemas::recommendation::{Counts, Recommendation, RecommendedItem, items_hash};
use schemas::units::Instant;
use serde::{Deserialize, Serialize};
use store::RecommendationRow;

use crate::app::App;
use crate::etag;
use crate::metrics;
use crate::problem::{Kind, Problem};
use crate::query::Query;
use crate::session::Bearer;
use crate::tail::Verdict;

/// First pause between two looks at a row that is waited for: a scorer without lag needs a few milliseconds.
const FIRST_PAUSE: Duration = Duration::from_millis(2);
/// Longest pause between two looks: a waiting client costs at most ten reads per second.
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

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
    /// Whether that is more than ten seconds ago.
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
         headers(("ETag" = String, description = "Hash of the items."))),
        (status = 202, description = "Not there yet: ask again after `Retry-After`.", body = ref("#/components/schemas/Pending")),
        (status = 304, description = "The items are those that the client has."),
        (status = 401, description = "No token."),
        (status = 404, description = "No such session."),
    ),
    security(("session" = [])),
)]
pub async fn read(
    State(app): State<Arc<App>>,
    Bearer(token): Bearer,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let ask = Ask::read(&uri, app.config.max_wait)?;
    let session = token.session_id();
    let look = wait_for(&app, session, ask).await?;
    match look.step {
        Step::Answer => {
            // `Answer` is only ever decided for a row.
            let row = look.row.ok_or_else(|| Problem::internal("a row to answer with is not there"))?;
            answer(&app, session, row, &headers)
        }
        Step::NotYet => Ok(pending(&app, session, look.version)),
        Step::NotFound | Step::LookAgain => Err(Problem::new(Kind::SessionNotFound, Kind::SessionNotFound.meaning())),
    }
}

/// The session is there; ask again.
pub fn pending(app: &App, session_id: SessionId, preference_version: Option<u64>) -> Response {
    let (as_of, stale) = app.as_of(session_id);
    let headers = [(header::RETRY_AFTER, "1"), (header::CACHE_CONTROL, "no-store")];
    let body = Json(Pending { session_id, preference_version, as_of, stale });
    (StatusCode::ACCEPTED, headers, body).into_response()
}

fn answer(app: &App, session_id: SessionId, row: RecommendationRow, headers: &HeaderMap) -> Result<Response, Problem> {
    let (as_of, stale) = app.as_of(session_id);
    if stale {
        metrics::record_stale_read();
    }
    let tag = items_hash(&row.items.json);
    // Hexadecimal digits within quotes are a header's value.
    let etag = HeaderValue::from_str(&format!("\"{tag}\"")).map_err(|error| Problem::internal(&error.to_string()))?;
    let head = [(header::ETAG, etag), (header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"))];
    let known = headers.get_all(header::IF_NONE_MATCH).iter().map(HeaderValue::as_bytes);
    if etag::any_matches(known, &tag) {
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

/// What the client asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Ask {
    min_version: Option<u64>,
    wait: Duration,
}

impl Ask {
    fn read(uri: &Uri, max_wait: Duration) -> Result<Self, Problem> {
        let mut query = Query::read(uri, &["min_version", "wait"]);
        let min_version =
            query.parsed("min_version", "a statement's version: a whole number", |text| text.parse().ok());
        let expected = format!("2s, 500ms or a number of seconds, at most {} s", max_wait.as_secs());
        let wait = query.parsed("wait", &expected, |text| duration(text).filter(|wait| *wait <= max_wait));
        query.finish()?;
        Ok(Self { min_version, wait: wait.unwrap_or_default() })
    }
}

/// `2s`, `500ms`, or a number of seconds.
fn duration(text: &str) -> Option<Duration> {
    if let Ok(seconds) = text.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    text.parse::<jiff::SignedDuration>().ok()?.try_into().ok()
}

/// What one look at the row led to.
struct Look {
    step: Step,
    row: Option<RecommendationRow>,
    version: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// The row is what was asked for.
    Answer,
    /// The session is there, the answer is not.
    NotYet,
    /// Nobody here knows the session: another process may have accepted it an instant ago.
    LookAgain,
    /// There is no such session.
    NotFound,
}

fn decide(verdict: Verdict, row_version: Option<u64>, min_version: Option<u64>) -> Step {
    match verdict {
        Verdict::Serve if min_version.is_none_or(|min| row_version.is_some_and(|version| version >= min)) => {
            Step::Answer
        }
        Verdict::Serve | Verdict::Pending => Step::NotYet,
        // Who names a version may have stated it after the erasure, through another process.
        Verdict::Erased if min_version.is_none() => Step::NotFound,
        Verdict::Erased | Verdict::Unknown => Step::LookAgain,
    }
}

/// Looks at the row until it is what was asked for, or the time is up.
async fn wait_for(app: &App, session: SessionId, ask: Ask) -> Result<Look, Problem> {
    let started = Moment::now();
    let mut stop = app.stop.clone();
    let mut pause = FIRST_PAUSE;
    let mut permit = None;
    loop {
        let look = look(app, session, ask).await?;
        let patience = match look.step {
            Step::Answer | Step::NotFound => return Ok(look),
            Step::NotYet => ask.wait,
            Step::LookAgain => app.config.unknown_after,
        };
        let left = patience.saturating_sub(started.elapsed());
        if permit.is_none() {
            permit = app.waiting.try_acquire().ok();
        }
        if left.is_zero() || permit.is_none() || stop.is_given() {
            return Ok(look);
        }
        // Either way the next look decides.
        let _ = tokio::time::timeout(pause.min(left), stop.given()).await;
        pause = (pause * 3 / 2).min(LONGEST_PAUSE);
    }
}

async fn look(app: &App, session: SessionId, ask: Ask) -> Result<Look, Problem> {
    #[derive(Deserialize)]
    struct Head {
        preference_version: u64,
    }
    let started = Moment::now();
    let row = app.tables.recommendation(session).await?;
    metrics::record_row_read("recommendations", started.elapsed());
    let head = row.as_ref().map(|row| serde_json::from_str::<Head>(&row.items.json)).transpose();
    let version = head
        .map_err(|error| Problem::internal(&format!("recommendations of {session}: cell items: {error}")))?
        .map(|head| head.preference_version);
    let verdict = app.verdict(session, version)?;
    // An erased or replaced row is not told of.
    let version = version.filter(|_| verdict == Verdict::Serve);
    Ok(Look { step: decide(verdict, version, ask.min_version), row, version })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_seconds_or_has_a_unit() {
        for (text, ms) in [("2s", 2_000), ("500ms", 500), ("2", 2_000), ("0.25", 250), ("0", 0), ("PT1S", 1_000)] {
            assert_eq!(duration(text), Some(Duration::from_millis(ms)), "{text}");
        }
        for text in ["-1", "-1s", "x", "", "NaN", "inf", "1e300"] {
            assert_eq!(duration(text), None, "{text}");
        }
        let ask = |query: &str| Ask::read(&format!("/?{query}").parse().unwrap(), Duration::from_secs(30));
        assert!(ask("wait=30s").is_ok());
        assert!(ask("wait=30001ms").is_err());
    }

    #[test]
    fn a_row_answers_when_it_is_new_enough_and_not_erased() {
        assert_eq!(decide(Verdict::Serve, Some(5), None), Step::Answer);
        assert_eq!(decide(Verdict::Serve, Some(5), Some(5)), Step::Answer);
        assert_eq!(decide(Verdict::Serve, Some(5), Some(6)), Step::NotYet);
        assert_eq!(decide(Verdict::Pending, None, None), Step::NotYet);
        assert_eq!(decide(Verdict::Erased, None, None), Step::NotFound);
        assert_eq!(decide(Verdict::Erased, None, Some(9)), Step::LookAgain);
        assert_eq!(decide(Verdict::Unknown, None, None), Step::LookAgain);
    }
}
