//! `GET /api/health`, `GET /api/v1/health`, `GET /api/v1/metrics`: whether this process is well, on the port of the API. Orchestrators and
//! scrapers that can be told where to ask have the admin port.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use schemars::JsonSchema;
use serde::Serialize;

use crate::app::App;
use crate::problem::{Kind, Problem};
use crate::query::NoQuery;

/// Whether the process is well.
#[derive(Debug, Serialize, JsonSchema)]
pub struct OlderHealth {
    /// `ok`, or `degraded` when a check fails.
    pub status: &'static str,
    /// Of roost.
    pub version: &'static str,
    /// Part by part.
    pub checks: Checks,
}

/// `ok` or `failing`; why is told on the admin port, for it names hosts.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Checks {
    /// Takes statements.
    pub log: &'static str,
    /// The tail of the statements is known.
    pub sessions: &'static str,
    /// Rows are read.
    pub store: &'static str,
    /// Values homes: `ok`, or `absent` in a process without one, which is none the worse.
    pub model: &'static str,
}

/// Tells whether this process is well.
///
/// `status` is `ok`, or `degraded` when one of the `checks` is `failing`; then the answer is 503, with the same body. The admin port says why.
#[utoipa::path(
    get, path = "/health", tag = "older names", operation_id = "older_health",
    responses(
        (status = 200, description = "It is.", body = ref("#/components/schemas/OlderHealth")),
        (status = 503, description = "A check fails: `status` is `degraded`. The one answer of this status that is no problem document.",
         body = ref("#/components/schemas/OlderHealth")),
    ),
)]
pub async fn of_all(State(app): State<Arc<App>>, _: NoQuery) -> Result<Response, Problem> {
    let looked = tokio::task::spawn_blocking(move || look(&app)).await;
    let health = looked.map_err(|error| Problem::internal(&format!("health: {error}")))?;
    let status = if health.status == "ok" { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let mut response = (status, [(header::CACHE_CONTROL, "no-store")], Json(health)).into_response();
    response.extensions_mut().insert(crate::guard::AsItIs);
    Ok(response)
}

/// Tells whether this process is well: the same as `GET /api/health`.
///
/// For clients that put a version before every path.
#[utoipa::path(
    get, path = "/v1/health", tag = "older names", operation_id = "older_health_v1",
    responses(
        (status = 200, description = "It is.", body = ref("#/components/schemas/OlderHealth")),
        (status = 503, description = "A check fails: `status` is `degraded`. No problem document.",
         body = ref("#/components/schemas/OlderHealth")),
    ),
)]
pub async fn of_v1(state: State<Arc<App>>, query: NoQuery) -> Result<Response, Problem> {
    of_all(state, query).await
}

/// Tells the metrics of this process.
///
/// In the text format of Prometheus, the same as on the admin port. A process that shares none here answers 404.
#[utoipa::path(
    get, path = "/v1/metrics", tag = "older names", operation_id = "older_metrics",
    responses(
        (status = 200, description = "The metrics, the same as on the admin port.", content_type = "text/plain", body = String,
         example = "# TYPE roost_api_requests_total counter\nroost_api_requests_total{method=\"GET\",route=\"/api/v1/markets\",status=\"200\"} 7\n"),
        (status = 404, description = "This process does not tell them here."),
    ),
)]
pub async fn metrics(State(app): State<Arc<App>>, _: NoQuery) -> Result<Response, Problem> {
    let Some(render) = app.lent.metrics.clone() else {
        return Err(Problem::new(Kind::NotFound, "this process does not tell its metrics here"));
    };
    // A few milliseconds for some thousand lines.
    let text = tokio::task::spawn_blocking(move || render()).await;
    let text = text.map_err(|error| Problem::internal(&format!("metrics: {error}")))?;
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response())
}

/// Blocks: the log may be asked.
fn look(app: &App) -> OlderHealth {
    let state = |outcome: Result<(), String>| if outcome.is_ok() { "ok" } else { "failing" };
    let checks = Checks {
        log: state(app.log.health()),
        sessions: state(app.follower.ready()),
        store: state(app.freshness.ready()),
        model: if app.appraiser.is_some() { "ok" } else { "absent" },
    };
    let is_well = [checks.log, checks.sessions, checks.store].iter().all(|check| *check == "ok");
    OlderHealth { status: if is_well { "ok" } else { "degraded" }, version: env!("CARGO_PKG_VERSION"), checks }
}
