//! `POST /preferences`: a session says what it wants; and `DELETE /sessions/{id}`: it wants to be forgotten.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use schemas::field_error::{Fault, FieldError};
use schemas::header as log_header;
use schemas::id::{SessionId, SessionToken};
use schemas::preferences::{MAX_PREFERENCES_BYTES, Preferences};
use schemas::units::Instant;
use serde::Serialize;

use crate::app::App;
use crate::body::read_json;
use crate::metrics;
use crate::problem::{Kind, Problem, Wrong};
use crate::query::NoQuery;
use crate::session::Bearer;
use crate::tail::Note;

/// A statement that is on the log.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Accepted {
    /// Names the session; opens nothing.
    pub session_id: SessionId,
    /// Opens the session: keep it secret, send it as `Authorization: Bearer`. Nobody can find it again.
    pub token: String,
    /// The statement's version; `GET /recommendations?min_version=` waits for its answer.
    pub version: u64,
    /// When the log took it.
    pub accepted_at: Instant,
    /// The statement as it was understood, defaults filled in.
    pub preferences: Preferences,
}

/// States what a session wants, whole: it replaces what the session stated before.
///
/// Without a token a new session is made; with one, its session's statement is replaced. Answers 202 only when the log
/// has the statement for good. On 503 repeat it, with the token if there is one: recording it twice does no harm. A
/// session ends 30 days after its last statement.
#[utoipa::path(
    post, path = "/preferences", tag = "sessions", operation_id = "state_preferences",
    request_body(content = ref("#/components/schemas/Preferences"), content_type = "application/json"),
    responses(
        (status = 202, description = "The log has the statement.", body = ref("#/components/schemas/Accepted"),
         headers(("Location" = String, description = "Where its recommendation will be."))),
        (status = 400, description = "Not JSON, or not an object."),
        (status = 422, description = "Wrong fields, all of them at once."),
        (status = 503, description = "Not recorded, or unknown whether it is: repeat it."),
    ),
    security((), ("session" = [])),
)]
pub async fn state(
    State(app): State<Arc<App>>,
    bearer: Option<Bearer>,
    _: NoQuery,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let body = read_json(&headers, body, MAX_PREFERENCES_BYTES, app.config.body_timeout).await?;
    let preferences = parse(&body)?;
    let token = bearer.map_or_else(SessionToken::random, |bearer| bearer.0);
    let session = token.session_id();
    let delivered = append(&app, session, Some(preferences.to_json()), &headers).await?;
    let location = format!("/api/v1/recommendations?min_version={}", delivered.offset);
    let accepted = Accepted {
        session_id: session,
        token: token.reveal(),
        version: delivered.offset,
        accepted_at: Instant::from_ms(delivered.append_time_ms).unwrap_or_default(),
        preferences,
    };
    let headers = [(header::LOCATION, location), (header::CACHE_CONTROL, "no-store".to_owned())];
    Ok((StatusCode::ACCEPTED, headers, Json(accepted)).into_response())
}

/// Erases a session: gone from every read within a second, from the logs within their retention.
///
/// The id must be that of the token's session. Erasing what is not there is fine.
#[utoipa::path(
    delete, path = "/sessions/{id}", tag = "sessions", operation_id = "erase_session",
    params(("id" = String, Path, description = "The session id, as `POST /preferences` gave it.")),
    responses(
        (status = 204, description = "Erased."),
        (status = 404, description = "Not the session of this token."),
        (status = 503, description = "Not erased, or unknown whether it is: repeat it."),
    ),
    security(("session" = [])),
)]
pub async fn erase(
    State(app): State<Arc<App>>,
    Bearer(token): Bearer,
    Path(id): Path<String>,
    _: NoQuery,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    let session = token.session_id();
    // The same answer for an id that is none and for another's: who asks learns nothing about other sessions.
    if id.parse() != Ok(session) {
        return Err(Problem::new(Kind::SessionNotFound, "the id is not that of the token's session"));
    }
    append(&app, session, None, &headers).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Appends to the log, and lets the reads of this process know at once.
pub async fn append(
    app: &App,
    session: SessionId,
    value: Option<Vec<u8>>,
    headers: &HeaderMap,
) -> Result<stream::Delivered, Problem> {
    let erases = value.is_none();
    let outcome = app.statements.append(session, value, traceparent(headers)).await;
    metrics::record_statement(match &outcome {
        Ok(_) => "acked",
        Err(problem) if problem.kind == Kind::OutcomeUnknown => "unknown",
        Err(_) => "not_recorded",
    });
    let delivered = outcome?;
    app.follower.note(Note { session, version: delivered.offset, erases });
    Ok(delivered)
}

/// Reads a statement.
pub fn parse(body: &[u8]) -> Result<Preferences, Problem> {
    Preferences::parse(body).map_err(|faults| refused(&faults))
}

/// What a client is told of a statement with these faults.
pub fn refused(faults: &[FieldError]) -> Problem {
    let of_body = faults.iter().find(|fault| fault.field.is_empty());
    let kind = match of_body.map(|fault| fault.fault) {
        Some(Fault::NotJson | Fault::WrongEncoding | Fault::WrongShape | Fault::TooDeep) => Kind::NotJson,
        Some(Fault::TooLarge) => Kind::PayloadTooLarge,
        _ => Kind::ValidationFailed,
    };
    Problem::of_parts(kind, faults.iter().map(Wrong::field).collect())
}

/// The request's W3C trace context, if it is well-formed: it travels with the statement.
pub fn traceparent(headers: &HeaderMap) -> Option<Vec<u8>> {
    let value = headers.get(log_header::TRACEPARENT)?.as_bytes();
    let parts: Vec<&[u8]> = value.split(|&b| b == b'-').collect();
    let hex = |part: &&[u8]| part.iter().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(b));
    (parts.iter().map(|p| p.len()).eq([2, 32, 16, 2]) && parts.iter().all(hex)).then(|| value.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_wellformed_trace_context_travels_on() {
        let of =
            |text: &str| traceparent(&HeaderMap::from_iter([("traceparent".parse().unwrap(), text.parse().unwrap())]));
        let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        assert_eq!(of(good).as_deref(), Some(good.as_bytes()));
        for bad in ["", "00", "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01", &format!("{good}-x")] {
            assert_eq!(of(bad), None, "{bad}");
        }
    }
}
