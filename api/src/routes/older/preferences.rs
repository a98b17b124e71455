//! `POST /api/preferences`: a session says what it wants, in the older words.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use schemars::JsonSchema;
use schemas::preferences::MAX_PREFERENCES_BYTES;
use serde::Serialize;

use crate::app::App;
use crate::body::read_json;
use crate::older::asked::Asked;
use crate::older::session;
use crate::problem::{Kind, Problem};
use crate::query::NoQuery;
use crate::routes::preferences::append;

/// A session.
#[derive(Debug, Serialize, JsonSchema)]
pub struct OlderSession {
    /// Opens the session: keep it secret, send it as `?session_id=`.
    pub session_id: String,
}

/// States what a session wants.
///
/// Only `budget` and `location` are required. `location` is a city (`Seattle`, `Seattle, WA`, `Seattle, WA, US`) or a postal code; of a city
/// in which no listing was ever seen the state must be named. What is null is left open, and so is a minimum of zero. Besides these members those of
/// `POST /api/v1/preferences` are taken. With `session_id` that session's statement is replaced.
#[utoipa::path(
    post, path = "/preferences", tag = "older names", operation_id = "older_state_preferences",
    request_body(content = ref("#/components/schemas/OlderPreferences"), content_type = "application/json"),
    responses(
        (status = 200, description = "The session's statement is replaced.", body = ref("#/components/schemas/OlderSession")),
        (status = 201, description = "A new session.", body = ref("#/components/schemas/OlderSession"),
         headers(("Location" = String, description = "Where its recommendations are, without the session's id, which is a secret."))),
        (status = 400, description = "Not JSON, or not an object."),
        (status = 422, description = "Wrong fields, all of them at once; a location that several cities have comes with `candidates`."),
        (status = 503, description = "Not recorded, or unknown whether it is: repeat it."),
    ),
    security((), ("session" = [])),
)]
pub async fn state(
    State(app): State<Arc<App>>,
    _: NoQuery,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let body = read_json(&headers, body, MAX_PREFERENCES_BYTES, app.config.body_timeout).await?;
    let mut asked = Asked::read(&body)?;
    let named = match session::open(&app, asked.session.as_deref(), &headers).await {
        // Told with all else that is wrong.
        Err(problem) if asked.session.is_some() && problem.kind == Kind::SessionNotFound => {
            asked.refuse_session();
            None
        }
        named => named?,
    };
    let preferences = asked.preferences(&app.names.known(&app).await?)?;
    let is_named = named.is_some();
    let opened = named.map_or_else(|| session::new(&app), Ok)?;
    append(&app, opened.user.session, Some(preferences.to_json()), &headers).await?;
    // Created, as the frameworks say that older clients were written for; either is a success to those that do not look closer.
    let status = if is_named { StatusCode::OK } else { StatusCode::CREATED };
    let headers = [(header::LOCATION, "/api/recommendations"), (header::CACHE_CONTROL, "no-store")];
    Ok((status, headers, Json(OlderSession { session_id: opened.session_id })).into_response())
}
