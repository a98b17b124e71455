//! `/problems` and `/problems/{slug}`: what each kind of problem means, as plain text.

use axum::extract::Path;
use axum::http::header;
use axum::response::{IntoResponse, Response};

use crate::problem::{Kind, Problem};
use crate::query::NoQuery;

/// Every kind, one per line.
pub async fn list(_: NoQuery) -> Response {
    let lines: String = Kind::ALL
        .iter()
        .map(|kind| format!("/problems/{}  {}  {}\n", kind.slug(), kind.status().as_u16(), kind.meaning()))
        .collect();
    text(lines)
}

/// One kind.
pub async fn read(Path(slug): Path<String>, _: NoQuery) -> Result<Response, Problem> {
    let kind =
        Kind::of_slug(&slug).ok_or_else(|| Problem::new(Kind::NotFound, "no such kind of problem, see /problems"))?;
    Ok(text(format!("{} ({})\n\n{}\n", kind.title(), kind.status(), kind.meaning())))
}

fn text(body: String) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], body).into_response()
}
