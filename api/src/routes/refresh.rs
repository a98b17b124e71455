//! `POST /sessions/refresh`: a refresh token, which is good once, becomes the next two tokens.

use std::sync::Arc;

use access::{Issued, NotRenewed, Refused};
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use schemars::JsonSchema;
use schemas::field_error::{Fault, FieldError};
use schemas::units::Instant;
use serde::{Deserialize, Serialize};

use crate::app::App;
use crate::body::read_json;
use crate::caller::{not_recorded, unauthenticated};
use crate::duplicates::duplicates;
use crate::problem::{Kind, Problem, Wrong};
use crate::query::NoQuery;

/// Largest body: the longest token and its name.
const MAX_BODY_BYTES: usize = 16 * 1024;

/// What is renewed.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(example = serde_json::json!({"refresh_token": "eyJ0eXAiOiJKV1QiLCJhbGciOiJFZERTQSJ9.…"}))]
pub struct Renewal {
    /// As the last answer gave it.
    pub refresh_token: String,
}

/// The next tokens.
#[derive(Serialize, JsonSchema)]
pub struct Renewed {
    /// Opens the session until `token_expires_at`.
    pub token: String,
    /// Good once: for the next two.
    pub refresh_token: String,
    /// When `token` ends.
    pub token_expires_at: Instant,
}

/// Renews a session's tokens (`auth.mode = "tokens"`).
///
/// A refresh token is good once; within 30 s of that, a client that lost the answer may repeat and gets tokens again. One that
/// comes later was stolen from somebody, or by somebody: it ends all tokens that descend from the same answer, and the session
/// is stated anew. On 503 repeat it.
#[utoipa::path(
    post, path = "/sessions/refresh", tag = "sessions", operation_id = "refresh_tokens",
    request_body(content = ref("#/components/schemas/Renewal"), content_type = "application/json"),
    responses(
        (status = 200, description = "The next tokens.", body = ref("#/components/schemas/Renewed")),
        (status = 400, description = "Not JSON, or not an object."),
        (status = 401, description = "The refresh token is none, has ended, or was used before."),
        (status = 404, description = "Tokens are not renewed here: `auth.mode` is another one."),
        (status = 422, description = "Wrong fields."),
        (status = 503, description = "Not renewed, or unknown whether it is: repeat it."),
    ),
    security(()),
)]
pub async fn refresh(
    State(app): State<Arc<App>>,
    _: NoQuery,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let body = read_json(&headers, body, MAX_BODY_BYTES, app.config.body_timeout).await?;
    let Renewal { refresh_token } = parse(&body)?;
    let (_, issued) = app.access.renew(&refresh_token).await.map_err(|error| match error {
        NotRenewed::Refused(Refused::Bad(says)) => unauthenticated(says),
        NotRenewed::Refused(Refused::Starting) => Problem::new(Kind::Starting, Kind::Starting.meaning()),
        NotRenewed::NotAppended(error) => not_recorded(&error),
        NotRenewed::NotHere => Problem::new(Kind::NotFound, "tokens are renewed in auth.mode = \"tokens\" alone"),
    })?;
    let Issued { token, refresh_token, token_expires_at, .. } = issued;
    let head = [(header::CACHE_CONTROL, "no-store")];
    Ok((StatusCode::OK, head, Json(Renewed { token, refresh_token, token_expires_at })).into_response())
}

/// What is wrong is told without the token.
fn parse(body: &[u8]) -> Result<Renewal, Problem> {
    let value: serde_json::Value = serde_json::from_slice(body).map_err(|error| {
        Problem::new(Kind::NotJson, format!("the body is no JSON at line {}, column {}", error.line(), error.column()))
    })?;
    let serde_json::Value::Object(mut members) = value else {
        return Err(Problem::new(Kind::NotJson, "the body is not an object (expected {\"refresh_token\": \"…\"})"));
    };
    let expected = "the refresh_token of the last answer";
    let token = match members.remove("refresh_token") {
        Some(serde_json::Value::String(token)) => Ok(token),
        Some(_) => Err(FieldError::new("refresh_token", "***", Fault::BadType, expected)),
        None => Err(FieldError::new("refresh_token", "", Fault::Missing, expected)),
    };
    let unknown = members.keys().map(|name| FieldError::new(name, "***", Fault::UnknownMember, "refresh_token alone"));
    let mut faults: Vec<FieldError> = duplicates(body).into_iter().chain(unknown).collect();
    match token {
        Ok(refresh_token) if faults.is_empty() => Ok(Renewal { refresh_token }),
        token => {
            faults.extend(token.err());
            Err(Problem::of_parts(Kind::ValidationFailed, faults.iter().map(Wrong::field).collect()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_told_without_the_token() {
        assert_eq!(parse(br#"{"refresh_token": "x"}"#).ok().unwrap().refresh_token, "x");
        for (body, kind) in [
            ("{\"refresh_token\": \"secret\"", Kind::NotJson),
            ("[\"secret\"]", Kind::NotJson),
            ("{}", Kind::ValidationFailed),
            ("{\"refresh_token\": [\"secret\"]}", Kind::ValidationFailed),
            ("{\"token\": \"secret\"}", Kind::ValidationFailed),
        ] {
            let problem = parse(body.as_bytes()).err().unwrap();
            assert_eq!(problem.kind, kind);
            assert!(!format!("{problem:?}").contains("secret"), "{problem:?}");
        }
    }
}
