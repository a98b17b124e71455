//! `POST /preferences`: a session says what it wants; and `DELETE /sessions/{id}`: it wants to be forgotten.

use std::sync::Arc;

use access::{Caller, Issued, Mode};
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use schemas::access::{AccessRecord, Owner, Webhook};
use schemas::field_error::{Fault, FieldError};
use schemas::id::{SessionId, SessionToken};
use schemas::preferences::{MAX_PREFERENCES_BYTES, Preferences};
use schemas::units::Instant;
use serde::Serialize;

use crate::app::{App, to_its_end};
use crate::body::read_json;
use crate::caller::{Asker, forbidden, missing, not_recorded};
use crate::idempotency;
use crate::metrics;
use crate::problem::{Kind, Problem, Wrong};
use crate::query::NoQuery;
use crate::segment::Segments;
use crate::tail::Note;
use crate::trace;

/// A statement that is on the log.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Accepted {
    /// Names the session; opens nothing.
    pub session_id: SessionId,
    /// Opens the session: keep it secret, send it as `Authorization: Bearer`. Nobody can find it again. Where tokens end
    /// (`auth.mode` other than `open`), it is there for a new session alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// Of a new session, where tokens end: good once, for the next two (`POST /sessions/refresh`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<String>,
    /// Of a new session, where tokens end: when `token` does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_expires_at: Option<Instant>,
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
///
/// A request that makes a session may carry an `Idempotency-Key`: the same key of the same caller makes the same session again,
/// and states the body that came last. Without an API key it has at least 16 characters, random ones: who guesses it has the
/// session. With a session's token the header means nothing, since a statement replaces anyway.
#[utoipa::path(
    post, path = "/preferences", tag = "sessions", operation_id = "state_preferences",
    params(("Idempotency-Key" = Option<String>, Header, description = "1 to 128 visible ASCII characters, bare or quoted: the same key makes the same session again.")),
    request_body(content = ref("#/components/schemas/Preferences"), content_type = "application/json"),
    responses(
        (status = 202, description = "The log has the statement.", body = ref("#/components/schemas/Accepted"),
         headers(("Location" = String, description = "Where its recommendation will be."))),
        (status = 400, description = "Not JSON, not an object, or an unusable `Idempotency-Key`."),
        (status = 401, description = "The token or key is none, or tokens are another issuer's and there is none."),
        (status = 422, description = "Wrong fields, all of them at once."),
        (status = 503, description = "Not recorded, or unknown whether it is: repeat it."),
    ),
    security((), ("session" = []), ("api_key" = [])),
)]
pub async fn state(
    State(app): State<Arc<App>>,
    Asker(caller): Asker,
    _: NoQuery,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let body = read_json(&headers, body, MAX_PREFERENCES_BYTES, app.config.body_timeout).await?;
    let preferences = parse(&body)?;
    let (session, capability) = speaks_for(&app, &caller, idempotency::key(&headers)?)?;
    let delivered = append(&app, session, Some(preferences.to_json()), &headers).await?;
    let location = format!("/api/v1/recommendations?min_version={}", delivered.offset);
    let issued = if matches!(caller, Caller::User(_)) { None } else { issued(&app, session)? };
    let (refresh_token, token_expires_at) =
        issued.as_ref().map(|issued| (issued.refresh_token.clone(), issued.token_expires_at)).unzip();
    let accepted = Accepted {
        session_id: session,
        token: capability.map(SessionToken::reveal).or(issued.map(|Issued { token, .. }| token)),
        refresh_token,
        token_expires_at,
        version: delivered.offset,
        accepted_at: Instant::from_ms(delivered.append_time_ms).unwrap_or_default(),
        preferences,
    };
    let headers = [(header::LOCATION, location), (header::CACHE_CONTROL, "no-store".to_owned())];
    Ok((StatusCode::ACCEPTED, headers, Json(accepted)).into_response())
}

/// Erases a session: gone from every read within a second, from the logs within their retention.
///
/// The id must be that of the token's session; an administrator's key erases any. Erasing what is not there is fine. The
/// session's tokens are dead from then on, and its webhooks are gone.
#[utoipa::path(
    delete, path = "/sessions/{id}", tag = "sessions", operation_id = "erase_session",
    params(("id" = String, Path, description = "The session id, as `POST /preferences` gave it.")),
    responses(
        (status = 204, description = "Erased."),
        (status = 401, description = "No token."),
        (status = 403, description = "A service's key."),
        (status = 404, description = "Not the session of this token."),
        (status = 503, description = "Not erased, or unknown whether it is: repeat it."),
    ),
    security(("session" = []), ("api_key" = [])),
)]
pub async fn erase(
    State(app): State<Arc<App>>,
    Asker(caller): Asker,
    Segments(id): Segments<String>,
    _: NoQuery,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    let session = match (&caller, id.parse::<SessionId>()) {
        (Caller::Anonymous, _) => return Err(missing()),
        (Caller::Service(_), _) => return Err(forbidden("a session is erased by itself or by an administrator")),
        (Caller::User(user), Ok(id)) if user.session == id => id,
        (Caller::Admin(_), Ok(id)) => id,
        // The same answer for an id that is none and for another's: who asks learns nothing about other sessions.
        (Caller::User(_), _) => {
            return Err(Problem::new(Kind::SessionNotFound, "the id is not that of the token's session"));
        }
        (Caller::Admin(_), Err(_)) => return Err(Problem::new(Kind::SessionNotFound, "the id is no session's")),
    };
    erase_session(app, session, headers).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Deletes the session's webhooks and ends its tokens.
async fn forget(app: &App, session: SessionId) -> Result<(), Problem> {
    for webhook in app.access.webhooks_of(&Owner::Session(session)) {
        let deleted = Webhook { deleted_at: Some(access::now()), ..Webhook::clone(&webhook) };
        app.access.append(AccessRecord::Webhook(deleted)).await.map_err(|error| not_recorded(&error))?;
    }
    match app.access.config().mode {
        // The token is the session's own, and there is no other.
        Mode::Open => Ok(()),
        Mode::Tokens | Mode::Oidc => app.access.revoke_session(session).await.map_err(|error| not_recorded(&error)),
    }
}

/// The session that a statement of this caller is for, and its capability where there is one: the caller's own, or one that is
/// new, or that this key made before.
fn speaks_for(app: &App, caller: &Caller, key: Option<&str>) -> Result<(SessionId, Option<SessionToken>), Problem> {
    const PURPOSE: &str = "roost idempotency v1";
    let mode = app.access.config().mode;
    let who = match caller {
        Caller::User(user) => return Ok((user.session, user.capability)),
        Caller::Anonymous if mode == Mode::Oidc => return Err(missing()),
        Caller::Service(_) | Caller::Admin(_) if mode == Mode::Oidc => {
            return Err(forbidden("here sessions are of the issuer's users: send a user's token"));
        }
        Caller::Anonymous => {
            key.map_or(Ok(()), idempotency::hard_to_guess)?;
            ""
        }
        Caller::Service(holder) | Caller::Admin(holder) => holder.id.as_str(),
    };
    let token = key.map_or_else(SessionToken::random, |key| {
        SessionToken::from_bits(app.access.derive(PURPOSE, who.as_bytes(), key.as_bytes()))
    });
    Ok((token.session_id(), (mode == Mode::Open).then_some(token)))
}

/// A new session that nobody made before, and its capability where there is one.
pub fn appointed(app: &App) -> Result<(SessionId, Option<SessionToken>), Problem> {
    speaks_for(app, &Caller::Anonymous, None)
}

/// The first tokens of a session, where tokens end and are ours.
pub fn issued(app: &App, session: SessionId) -> Result<Option<Issued>, Problem> {
    match app.access.config().mode {
        Mode::Open | Mode::Oidc => Ok(None),
        Mode::Tokens => app.access.issue(session).map(Some).map_err(|reason| Problem::internal(&reason)),
    }
}

/// Erases a session: its statement, then its webhooks and tokens; all of it, also when who asked has hung up.
pub async fn erase_session(app: Arc<App>, session: SessionId, headers: HeaderMap) -> Result<(), Problem> {
    to_its_end(async move {
        append(&app, session, None, &headers).await?;
        // Last: until all is done, the token can repeat it.
        forget(&app, session).await
    })
    .await
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

/// The request's W3C trace context: it travels with what is appended. Always there, see `guard.rs`.
pub fn traceparent(headers: &HeaderMap) -> Option<Vec<u8>> {
    trace::of(headers).map(|text| text.as_bytes().to_vec())
}
