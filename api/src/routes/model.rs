//! `GET /ml/model-info`: the models that value, and how good they are.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;

use crate::app::App;
use crate::appraise::ModelInfo;
use crate::problem::{Kind, Problem};
use crate::query::NoQuery;

/// The models that value.
///
/// What their manifests say, the candidate's too, with how it compares, and how near valuations were to what homes of the last 90 days closed at, and to what was asked for them:
/// in all, by fifths of the price, and by market. A group of fewer than 20 sales is not told.
#[utoipa::path(
    get, path = "/ml/model-info", tag = "models", operation_id = "model_info",
    responses(
        (status = 200, description = "The models.", body = ref("#/components/schemas/ModelInfo")),
        (status = 503, description = "No model."),
    ),
)]
pub async fn info(State(app): State<Arc<App>>, _: NoQuery) -> Result<Json<ModelInfo>, Problem> {
    let Some(appraiser) = app.appraiser.clone() else {
        return Err(Problem::new(Kind::ModelUnavailable, "this process has no model"));
    };
    app.appraise(move || appraiser.model()).await.map(Json)
}
