//! All routes in one list, with what surrounds them.

use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use utoipa::OpenApi as _;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use utoipa_swagger_ui::SwaggerUi;

use crate::app::App;
use crate::guard::guard;
use crate::limits::limit;
use crate::older;
use crate::openapi::{Head, document};
use crate::problem::{Kind, Problem};
use crate::recall::recall;
use crate::routes::{
    appraisal, batch, dismissed, interactions, markets, model, pick, preferences, preview, problems, properties,
    property, recommendations, similar, socket, stated, stream,
};
use crate::surround::{compression, cors};
use crate::web;

/// The routes of `/api/v1`. Answers that carry a strong entity tag or a token are never compressed. Without an
/// `App` they are for the document alone.
fn v1(app: Option<&Arc<App>>) -> OpenApiRouter<Arc<App>> {
    let sessions = OpenApiRouter::new()
        .routes(routes!(preferences::state, stated::read))
        .routes(routes!(preview::preview))
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
    // What is the same for everybody.
    let common = OpenApiRouter::new()
        .routes(routes!(property::read))
        .routes(routes!(property::history))
        .routes(routes!(markets::list))
        .routes(routes!(markets::read));
    let common = match app {
        Some(app) => common.layer(axum::middleware::from_fn_with_state(Arc::clone(app), recall)),
        None => common,
    };
    let browse = OpenApiRouter::new()
        .routes(routes!(properties::browse))
        .routes(routes!(similar::similar))
        .merge(common)
        .layer(compression());
    sessions.merge(browse)
}

/// All that the document describes.
fn all(app: Option<&Arc<App>>) -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::with_openapi(Head::openapi()).nest("/api/v1", v1(app)).nest("/api", older::routes())
}

/// The OpenAPI document.
pub fn openapi() -> serde_json::Value {
    document(all(None).get_openapi())
}

/// Everything that the API answers. Health is asked on the admin port, see [`crate::Api::ready`].
pub fn router(app: Arc<App>) -> Router {
    let (routes, _) = all(Some(&app)).split_for_parts();
    let docs = SwaggerUi::new("/docs")
        .external_url_unchecked("/openapi.json", openapi())
        // Otherwise the page sends the document's address to a validator elsewhere.
        .config(utoipa_swagger_ui::Config::default().validator_url("none"));
    let told = Router::from(docs).route("/problems", get(problems::list)).layer(compression());
    let cors = cors(&app.config.allowed_origins);
    let router = routes
        .merge(told)
        .merge(web::routes(&app))
        .route("/problems/{slug}", get(problems::read))
        .fallback(no_route)
        .method_not_allowed_fallback(no_method)
        .layer(axum::middleware::from_fn_with_state(Arc::clone(&app), limit))
        .layer(axum::middleware::from_fn_with_state(Arc::clone(&app), guard))
        .with_state(app);
    // Outermost: a preflight is no request yet, and problems carry its headers too.
    match cors {
        Some(cors) => router.layer(cors),
        None => router,
    }
}

async fn no_route() -> Problem {
    Problem::new(Kind::NotFound, Kind::NotFound.meaning())
}

async fn no_method() -> Problem {
    Problem::new(Kind::MethodNotAllowed, Kind::MethodNotAllowed.meaning())
}
