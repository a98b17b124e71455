//! All routes in one list, with what surrounds them.

use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use tower_http::compression::CompressionLayer;
use utoipa::OpenApi as _;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use utoipa_swagger_ui::SwaggerUi;

use crate::app::App;
use crate::guard::guard;
use crate::openapi::{Head, document};
use crate::problem::{Kind, Problem};
use crate::routes::{
    appraisal, batch, dismissed, interactions, markets, model, pick, preferences, problems, properties, property,
    recommendations, similar, socket, stated, stream,
};
use crate::web;

/// The routes of `/api/v1`. Answers that carry a strong entity tag or a token are never compressed.
fn v1() -> OpenApiRouter<Arc<App>> {
    let sessions = OpenApiRouter::new()
        .routes(routes!(preferences::state, stated::read))
        .routes(routes!(dismissed::dismiss))
        .routes(routes!(preferences::erase))
        .routes(routes!(recommendations::read))
        .routes(routes!(pick::explain))
        .routes(routes!(interactions::record))
        .routes(routes!(stream::stream))
        .routes(routes!(socket::socket))
        .routes(routes!(appraisal::predict))
        .routes(routes!(batch::predict_batch))
        .routes(routes!(model::info));
    let browse = OpenApiRouter::new()
        .routes(routes!(properties::browse))
        .routes(routes!(property::read))
        .routes(routes!(property::history))
        .routes(routes!(similar::similar))
        .routes(routes!(markets::list))
        .routes(routes!(markets::read))
        .layer(CompressionLayer::new());
    sessions.merge(browse)
}

/// The OpenAPI document.
pub fn openapi() -> serde_json::Value {
    document(OpenApiRouter::with_openapi(Head::openapi()).nest("/api/v1", v1()).get_openapi())
}

/// Everything that the API answers. Health is asked on the admin port, see [`crate::Api::ready`].
pub fn router(app: Arc<App>) -> Router {
    let (routes, _) = OpenApiRouter::with_openapi(Head::openapi()).nest("/api/v1", v1()).split_for_parts();
    routes
        .merge(SwaggerUi::new("/docs").external_url_unchecked("/openapi.json", openapi()))
        .merge(web::routes(&app))
        .route("/problems", get(problems::list))
        .route("/problems/{slug}", get(problems::read))
        .fallback(no_route)
        .method_not_allowed_fallback(no_method)
        .layer(axum::middleware::from_fn_with_state(Arc::clone(&app), guard))
        .with_state(app)
}

async fn no_route() -> Problem {
    Problem::new(Kind::NotFound, Kind::NotFound.meaning())
}

async fn no_method() -> Problem {
    Problem::new(Kind::MethodNotAllowed, Kind::MethodNotAllowed.meaning())
}
