//! `GET /preferences`: what a session wants, as the tables have it.

use std::sync::Arc;
use std::time::Instant as Moment;

use axum::Json;
use axum::extract::State;
use axum::http::{Uri, header};
use axum::response::{IntoResponse as _, Response};
use schemars::JsonSchema;
use schemas::cells::SessionCell;
use schemas::id::SessionId;
use schemas::preferences::Preferences;
use serde::Serialize;
use store::Row;

use super::recommendations::pending;
use crate::app::App;
use crate::caller::Session;
use crate::metrics;
use crate::problem::{Kind, Problem};
use crate::tail::Verdict;
use crate::wait::{Ask, Look, Step, decide, wait_for};

/// A statement that is applied.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Stated {
    /// Whose.
    pub session_id: SessionId,
    /// The statement's version.
    pub version: u64,
    /// The statement, defaults filled in.
    pub preferences: Preferences,
}

impl Stated {
    /// As it is answered.
    pub fn answer(session_id: SessionId, SessionCell { version, preferences }: SessionCell) -> Response {
        let body = Json(Self { session_id, version, preferences });
        ([(header::CACHE_CONTROL, "private, no-cache")], body).into_response()
    }
}

/// Reads the statement of the token's session that is applied: what its recommendation follows from, or soon will.
///
/// With `min_version` it is that statement or a newer one; while there is none, the request waits for up to `wait` and then is
/// answered 202.
#[utoipa::path(
    get, path = "/preferences", tag = "sessions", operation_id = "read_preferences",
    params(
        ("min_version" = Option<u64>, Query, description = "A statement's version, as `POST /preferences` gave it."),
        ("wait" = Option<String>, Query, description = "How long to wait for it: `2s`, `500ms` or a number of seconds; at most 30 s.", example = "2s"),
    ),
    responses(
        (status = 200, description = "The statement.", body = ref("#/components/schemas/Stated")),
        (status = 202, description = "Not applied yet: ask again after `Retry-After`.", body = ref("#/components/schemas/Pending")),
        (status = 401, description = "No token."),
        (status = 404, description = "No such session."),
    ),
    security(("session" = [])),
)]
pub async fn read(State(app): State<Arc<App>>, Session(session): Session, uri: Uri) -> Result<Response, Problem> {
    let ask = Ask::read(&uri, app.config.max_wait)?;
    let look = wait_for(&app, ask, || look(&app, session, ask)).await?;
    match (look.step, look.row) {
        (Step::Answer, Some(cell)) => Ok(Stated::answer(session, cell)),
        (Step::Answer | Step::NotYet, _) => Ok(pending(&app, session, look.version)),
        (Step::NotFound | Step::LookAgain, _) => {
            Err(Problem::new(Kind::SessionNotFound, Kind::SessionNotFound.meaning()))
        }
    }
}

/// The statement of a session that answers what was asked; `None` while there is none.
pub async fn read_asked(app: &App, session: SessionId, ask: Ask) -> Result<Option<SessionCell>, Problem> {
    let look = wait_for(app, ask, || look(app, session, ask)).await?;
    match look.step {
        Step::Answer => Ok(look.row),
        Step::NotYet => Ok(None),
        Step::NotFound | Step::LookAgain => Err(Problem::new(Kind::SessionNotFound, Kind::SessionNotFound.meaning())),
    }
}

/// One look at the row.
pub async fn look(app: &App, session: SessionId, ask: Ask) -> Result<Look<SessionCell>, Problem> {
    let started = Moment::now();
    let cell = app.tables.read(Row::Session(session)).await?;
    metrics::record_row_read("sessions", started.elapsed());
    let cell = cell.map(|cell| serde_json::from_str::<SessionCell>(&cell.json)).transpose();
    let row = cell.map_err(|error| Problem::internal(&format!("session {session}: {error}")))?;
    let version = row.as_ref().map(|cell| cell.version);
    let verdict = app.verdict(session, version)?;
    // An erased or replaced row is not told of.
    let version = version.filter(|_| verdict == Verdict::Serve);
    Ok(Look { step: decide(verdict, version, ask.min_version), row, version })
}
