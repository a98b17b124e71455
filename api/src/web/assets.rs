//! The style sheet, the script and the pictures of the page. Their names hold a hash of their text, so browsers may keep them for ever.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use sha2::{Digest as _, Sha256};

use crate::problem::{Kind, Problem};

/// One file.
struct Asset {
    name: String,
    content_type: &'static str,
    text: &'static str,
}

/// Every file.
struct Assets([Asset; 3]);

static ASSETS: LazyLock<Assets> = LazyLock::new(|| {
    Assets([
        asset("roost", "css", "text/css; charset=utf-8", include_str!("../../web/roost.css")),
        asset("roost", "js", "text/javascript; charset=utf-8", include_str!("../../web/roost.js")),
        asset("icon", "svg", "image/svg+xml", include_str!("../../web/icon.svg")),
    ])
});

fn asset(stem: &str, extension: &str, content_type: &'static str, text: &'static str) -> Asset {
    let hash: String = Sha256::digest(text)[..6].iter().map(|byte| format!("{byte:02x}")).collect();
    Asset { name: format!("{stem}-{hash}.{extension}"), content_type, text }
}

/// Where the style sheet is.
pub fn style() -> String {
    format!("/assets/{}", ASSETS.0[0].name)
}

/// Where the script is.
pub fn script() -> String {
    format!("/assets/{}", ASSETS.0[1].name)
}

/// Where the icon is.
pub fn icon() -> String {
    format!("/assets/{}", ASSETS.0[2].name)
}

/// Reads one file.
pub async fn read(Path(name): Path<String>) -> Result<Response, Problem> {
    let asset = ASSETS.0.iter().find(|asset| asset.name == name);
    let asset = asset.ok_or_else(|| Problem::new(Kind::NotFound, "there is no such file"))?;
    let head = [
        (header::CONTENT_TYPE, asset.content_type),
        // Another text has another name.
        (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'"),
    ];
    Ok((head, asset.text).into_response())
}
