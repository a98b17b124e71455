//! The page: what a person sees of roost in a browser, made on the server from templates; its forms work without scripts.
//!
//! It is thin. Everything it shows comes from the functions that the routes of the API call; it has no formula, and it is in no OpenAPI
//! document. The session's token is a cookie that these routes alone read: the API knows `Authorization` only.
//!
//! The files: `frame` (what surrounds every page, its headers, errors as pages), `visitor` (the cookie), `form` and `wishes` (the
//! preference form), `picks` and `live` (the three, and their changes), `card`, `news`, `scale`, `chart`, `words` (what they look
//! like; pure), `home`, `towns`, `worth` (the other pages), `places` (what markets there are), `assets` (styles and the script).

mod assets;
mod card;
mod chart;
mod form;
mod frame;
mod home;
mod live;
mod news;
mod picks;
mod places;
mod scale;
mod towns;
mod visitor;
mod wishes;
mod words;
mod worth;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};
use tower_http::compression::CompressionLayer;
use tower_http::csrf::CsrfLayer;

use crate::app::App;

pub use self::frame::{Whole, page_of_problem, wants_page};
use self::places::Places;

/// What the pages share.
pub struct Page {
    app: Arc<App>,
    places: Places,
}

/// The routes of the pages. Those that show a session's own are never compressed, like the API's.
pub fn routes(app: &Arc<App>) -> Router<Arc<App>> {
    let page = Arc::new(Page { app: Arc::clone(app), places: Places::default() });
    let own = Router::new()
        .route("/", get(picks::show).post(picks::state))
        .route("/page/dismiss", post(picks::dismiss))
        .route("/page/erase", post(picks::erase))
        .route("/page/picks/stream", get(live::stream))
        // A page of another site may send a form here, and the browser adds no cookie that is `Lax`; this refuses the form itself.
        .layer(CsrfLayer::new().with_rejection_response(frame::other_site as fn(_) -> _));
    let public = Router::new()
        .route("/predict", get(worth::show))
        .route("/markets", get(towns::list))
        .route("/markets/{country}/{state}/{city}", get(towns::read))
        .route("/homes/{id}", get(home::read))
        .layer(CompressionLayer::new());
    let assets = Router::new().route("/assets/{name}", get(assets::read)).layer(CompressionLayer::new());
    own.merge(public).layer(axum::middleware::map_response(frame::harden)).merge(assets).with_state(page)
}
