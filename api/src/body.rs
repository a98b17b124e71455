//! The body of a request: declared as JSON, within its limit, in time. What it says is for the dictionary to judge.

use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use axum::http::{HeaderMap, HeaderValue, header};
use futures::StreamExt as _;

use crate::problem::{Kind, Problem};

/// Reads a JSON body of at most `limit` bytes within `timeout`.
pub async fn read_json(headers: &HeaderMap, body: Body, limit: usize, timeout: Duration) -> Result<Vec<u8>, Problem> {
    let mut body = body.into_data_stream();
    let outcome = tokio::time::timeout(timeout, read(headers, &mut body, limit)).await;
    match outcome {
        Ok(Err(refused)) => {
            serve::discard(&mut body).await;
            Err(refused)
        }
        Ok(accepted) => accepted,
        Err(_) => {
            let detail = format!("the body did not arrive within {} s", timeout.as_secs_f32());
            Err(Problem::new(Kind::RequestTimeout, detail))
        }
    }
}

/// A compressed body would be read as what it is not.
pub fn refuse_coded(headers: &HeaderMap) -> Result<(), Problem> {
    let codings = headers.get_all(header::CONTENT_ENCODING).iter();
    match codings.map(|coding| String::from_utf8_lossy(coding.as_bytes())).find(|c| !c.eq_ignore_ascii_case("identity"))
    {
        Some(coding) => {
            let detail = format!("Content-Encoding is {coding} (expected none: send the body uncompressed)");
            Err(Problem::new(Kind::UnsupportedMediaType, detail))
        }
        None => Ok(()),
    }
}

async fn read(headers: &HeaderMap, body: &mut BodyDataStream, limit: usize) -> Result<Vec<u8>, Problem> {
    refuse_coded(headers)?;
    let declared = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    if !declared.is_some_and(is_json) {
        let detail = match declared {
            Some(other) => format!("Content-Type is {} (expected application/json)", String::from_utf8_lossy(other)),
            None => "Content-Type is missing (expected application/json)".to_owned(),
        };
        return Err(Problem::new(Kind::UnsupportedMediaType, detail)
            .with_header(header::ACCEPT, HeaderValue::from_static("application/json")));
    }
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > limit as u64) {
        return Err(too_large(limit));
    }
    let mut bytes = Vec::new();
    while let Some(chunk) = body.next().await {
        let chunk = chunk.map_err(|_| Problem::new(Kind::BadRequest, "the body ended before it was complete"))?;
        if bytes.len() + chunk.len() > limit {
            return Err(too_large(limit));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

fn too_large(limit: usize) -> Problem {
    Problem::new(Kind::PayloadTooLarge, format!("the body is too large (expected at most {limit} bytes)"))
}

/// `application/json` or `application/<any>+json`, with any parameters.
fn is_json(content_type: &[u8]) -> bool {
    let essence = content_type.split(|&b| b == b';').next().unwrap_or_default().trim_ascii().to_ascii_lowercase();
    essence == b"application/json" || essence.starts_with(b"application/") && essence.ends_with(b"+json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_recognised_by_its_media_type() {
        for (text, json) in [
            ("application/json", true),
            ("Application/JSON; charset=utf-8", true),
            ("application/merge-patch+json", true),
            ("text/json", false),
            ("application/jsonp", false),
            ("", false),
        ] {
            assert_eq!(is_json(text.as_bytes()), json, "{text}");
        }
    }
}
