//! `POST /api/v1/batch`: many homes in one JSON text, in the older shape. Larger batches go to `/api/v1/ml/predict-price/batch`, a line each.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::value::RawValue;

use super::appraisal::{OlderPrediction, markets_for, no_model, valued};
use crate::app::App;
use crate::body::read_json;
use crate::older::members::members;
use crate::problem::{Kind, Problem};
use crate::query::NoQuery;
use crate::routes::appraisal::Extra;
use crate::routes::batch::LineProblem;

/// Most homes: a second or two of one thread.
const MAX_HOMES: usize = 1_000;
/// Largest body: 1 kB for each home, five times a usual one. As many are held as batches may be under way.
const MAX_BATCH_BYTES: usize = 1024 * 1024;
/// What older clients call the list.
const LISTS: [&str; 8] = ["properties", "homes", "instances", "items", "requests", "inputs", "features", "data"];

/// Homes valued.
#[derive(Debug, Serialize, JsonSchema)]
pub struct OlderPredictions {
    /// One for each home, in the same order.
    pub predictions: Vec<Outcome>,
    /// How many.
    pub count: usize,
    /// How many of them have an `error`.
    pub failed: usize,
}

/// What became of a home.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Outcome {
    /// It is valued.
    Valued(Box<OlderPrediction>),
    /// It is not.
    Failed {
        /// Why: a problem document.
        error: Box<LineProblem>,
    },
}

/// Values many homes.
///
/// A list of homes as `POST /api/ml/predict-price` takes them, by itself or as `properties`; at most 1,000 and 1 MiB. A home that is not valued
/// has an `error` in its place.
#[utoipa::path(
    post, path = "/v1/batch", tag = "older names", operation_id = "older_predict_batch",
    request_body(content = ref("#/components/schemas/OlderHomes"), content_type = "application/json"),
    responses(
        (status = 200, description = "One outcome for each home.", body = ref("#/components/schemas/OlderPredictions")),
        (status = 400, description = "Not JSON, or no list of homes."),
        (status = 413, description = "More than 1,000 homes, or 1 MiB."),
        (status = 503, description = "No model, or too many batches under way."),
    ),
)]
pub async fn predict_batch(
    State(app): State<Arc<App>>,
    _: NoQuery,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<OlderPredictions>, Problem> {
    // Before the body is read: so many are held at most.
    let permit = Arc::clone(&app.batches).try_acquire_owned();
    let permit = permit.map_err(|_| Problem::new(Kind::Overloaded, "too many batches are under way"))?;
    let body = read_json(&headers, body, MAX_BATCH_BYTES, app.config.body_timeout).await?;
    let Some(appraiser) = app.appraiser.clone() else { return Err(no_model()) };
    let homes = homes(&body)?;
    let bodies: Vec<&[u8]> = homes.iter().map(|home| home.get().as_bytes()).collect();
    let markets = markets_for(&app, &bodies).await?;
    let value = move || {
        let value = |home: &RawValue| match valued(home.get().as_bytes(), Extra::Refused, &markets, &*appraiser) {
            Ok(prediction) => Outcome::Valued(Box::new(prediction)),
            Err(problem) => Outcome::Failed { error: Box::new(LineProblem::of(problem)) },
        };
        (homes.iter().map(|home| value(home)).collect::<Vec<_>>(), permit)
    };
    let valued = tokio::task::spawn_blocking(value).await;
    let (predictions, _) = valued.map_err(|error| Problem::internal(&format!("a batch: {error}")))?;
    let failed = predictions.iter().filter(|outcome| matches!(outcome, Outcome::Failed { .. })).count();
    Ok(Json(OlderPredictions { count: predictions.len(), failed, predictions }))
}

/// The homes of a body.
fn homes(body: &[u8]) -> Result<Vec<Box<RawValue>>, Problem> {
    let body = body.strip_prefix("\u{feff}".as_bytes()).unwrap_or(body);
    let listed = match members(body) {
        None => serde_json::from_slice(body).ok(),
        Some(members) => {
            let list = members.iter().find(|(name, _)| LISTS.contains(&name.as_str()));
            list.and_then(|(_, raw)| serde_json::from_str(raw.get()).ok())
        }
    };
    let homes: Vec<Box<RawValue>> = listed.ok_or_else(|| {
        Problem::new(
            Kind::NotJson,
            "the body is no list of homes (expected an array, or an object with an array 'properties')",
        )
    })?;
    if homes.len() > MAX_HOMES {
        let detail = format!(
            "the batch has {} homes (expected at most {MAX_HOMES}); /api/v1/ml/predict-price/batch takes 10,000",
            homes.len()
        );
        return Err(Problem::new(Kind::PayloadTooLarge, detail));
    }
    Ok(homes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_homes_may_stand_by_itself_or_have_a_name() {
        for (body, count) in
            [("[]", 0), ("[{}]", 1), (r#"{"properties":[{},{}]}"#, 2), (r#"{"id":1,"instances":[{}]}"#, 1)]
        {
            assert_eq!(homes(body.as_bytes()).unwrap().len(), count, "{body}");
        }
        for body in ["", "{}", "7", r#"{"properties":7}"#, "[{}"] {
            assert_eq!(homes(body.as_bytes()).unwrap_err().kind, Kind::NotJson, "{body}");
        }
        let many = format!("[{}]", vec!["{}"; MAX_HOMES + 1].join(","));
        assert_eq!(homes(many.as_bytes()).unwrap_err().kind, Kind::PayloadTooLarge);
    }
}
