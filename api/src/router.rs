//! All routes in one list, with what surrounds them.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::Request;
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_FRAME_OPTIONS};
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
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
use crate::query::Query;
use crate::recall::recall;
use crate::routes::{
    appraisal, batch, dismissed, interactions, markets, model, pick, preferences, preview, problems, properties,
    property, recommendations, refresh, similar, socket, stated, stream, webhooks,
};
use crate::surround::{compression, cors};
use crate::web;

/// The documentation's files are all vendored; its icons are data, and it styles what it draws by attributes.
const DOCS_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
                           connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The routes of `/api/v1`. Answers that carry a strong entity tag or a token are never compressed. Without an
/// `App` they are for the document alone.
fn v1(app: Option<&Arc<App>>) -> OpenApiRouter<Arc<App>> {
    let sessions = OpenApiRouter::new()
        .routes(routes!(preferences::state, stated::read))
        .routes(routes!(preview::preview))
        .routes(routes!(dismissed::dismiss))
        .routes(routes!(preferences::erase))
        .routes(routes!(refresh::refresh))
        .routes(routes!(recommendations::read))
        .routes(routes!(pick::explain))
        .routes(routes!(interactions::record))
        .routes(routes!(stream::stream))
        .routes(routes!(socket::socket))
        .routes(routes!(appraisal::predict))
        .routes(routes!(batch::predict_batch))
        .routes(routes!(model::info))
        .routes(routes!(webhooks::register, webhooks::list))
        .routes(routes!(webhooks::read, webhooks::delete))
        .routes(routes!(webhooks::test));
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
    let topics = topics(app.log.partitions());
    let told = Router::from(docs)
        .route("/asyncapi.json", get(move || async move { topics }))
        .route("/problems", get(problems::list))
        .layer(axum::middleware::from_fn(tell))
        .layer(compression());
    let cors = cors(&app.config.allowed_origins);
    let within = |routes: Router<Arc<App>>| {
        routes
            .method_not_allowed_fallback(no_method)
            .layer(axum::middleware::from_fn_with_state(Arc::clone(&app), limit))
            .layer(axum::middleware::from_fn_with_state(Arc::clone(&app), guard))
    };
    let routes = within(routes.merge(told).route("/problems/{slug}", get(problems::read)).fallback(no_route));
    // Outermost: a preflight is no request yet, and problems carry its headers too. Never around the page, which a cookie opens.
    let routes = match cors {
        Some(cors) => routes.layer(cors),
        None => routes,
    };
    routes.merge(within(web::routes(&app))).with_state(Arc::clone(&app))
}

/// The AsyncAPI document of the topics, made once: it is the same for everybody.
fn topics(partitions: u32) -> ([(HeaderName, HeaderValue); 1], Bytes) {
    let text = schemas::asyncapi::document(env!("CARGO_PKG_VERSION"), partitions).to_string();
    ([(CONTENT_TYPE, HeaderValue::from_static("application/json"))], Bytes::from(text))
}

/// Around what is told of the API. It is of the page's origin: no other site may put it into a frame, or code into it.
async fn tell(request: Request, next: Next) -> Response {
    let is_document = request.uri().path().ends_with(".json");
    if is_document && let Err(problem) = Query::read(request.uri(), &[]).finish() {
        return problem.into_response();
    }
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(DOCS_POLICY));
    response
}

async fn no_route() -> Problem {
    Problem::new(Kind::NotFound, Kind::NotFound.meaning())
}

async fn no_method() -> Problem {
    Problem::new(Kind::MethodNotAllowed, Kind::MethodNotAllowed.meaning())
}
