//! Which session a request speaks for: `Authorization: Bearer <token>`, and nothing else; on streams also `?token=`, since
//! browsers cannot send headers there.
//!
//! The token is the capability; it is never part of an error, a log line or a metric.

use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, header};
use schemas::id::SessionToken;

use crate::problem::{Kind, Problem};
use crate::query::Query;

/// The token of the request's session.
#[derive(Clone, Copy, Debug)]
pub struct Bearer(pub SessionToken);

/// `Ok(None)` without the header; `Err` with a sentence when it is there and holds no token.
fn token(headers: &HeaderMap) -> Result<Option<SessionToken>, &'static str> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err("Authorization is given twice (expected once)");
    }
    let (scheme, token) = value
        .to_str()
        .ok()
        .and_then(|text| text.trim().split_once(' '))
        .ok_or("Authorization is not 'Bearer <token>'")?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err("Authorization has another scheme than Bearer");
    }
    token.trim().parse().map(Some).map_err(|_| "the bearer token is none (expected 32 lower-case hexadecimal digits)")
}

/// The token of a stream: of the header, else of `?token=`. What is wrong with it is told without its text.
pub fn of_stream(headers: &HeaderMap, query: &mut Query) -> Result<SessionToken, Problem> {
    let of_query = query.text("token");
    match (token(headers), of_query) {
        (Ok(Some(_)), Some(_)) => {
            Err(unauthenticated("the token is given in Authorization and in ?token= (expected once)"))
        }
        (Ok(Some(token)), None) => Ok(token),
        (Ok(None), Some(text)) => {
            text.parse().map_err(|_| unauthenticated("token is none (expected 32 lower-case hexadecimal digits)"))
        }
        (Ok(None), None) => Err(unauthenticated("Authorization: Bearer <token>, or ?token= on this route, is missing")),
        (Err(detail), _) => Err(unauthenticated(detail)),
    }
}

/// The token of the header, if there is one.
pub fn bearer_of(headers: &HeaderMap) -> Result<Option<Bearer>, Problem> {
    token(headers).map(|token| token.map(Bearer)).map_err(unauthenticated)
}

fn unauthenticated(detail: &str) -> Problem {
    Problem::new(Kind::Unauthenticated, detail)
        .with_header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"roost\""))
}

impl<S: Sync> FromRequestParts<S> for Bearer {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        match token(&parts.headers) {
            Ok(Some(token)) => Ok(Self(token)),
            Ok(None) => Err(unauthenticated(Kind::Unauthenticated.meaning())),
            Err(detail) => Err(unauthenticated(detail)),
        }
    }
}

impl<S: Sync> OptionalFromRequestParts<S> for Bearer {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Problem> {
        bearer_of(&parts.headers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &[&str]) -> Result<Option<SessionToken>, &'static str> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(header::AUTHORIZATION, HeaderValue::from_str(line).unwrap());
        }
        token(&headers)
    }

    #[test]
    fn only_one_bearer_token_is_a_token() {
        let hex = "000102030405060708090a0b0c0d0e0f";
        assert_eq!(read(&[]), Ok(None));
        assert_eq!(read(&[&format!("Bearer {hex}")]).unwrap().unwrap().reveal(), hex);
        assert_eq!(read(&[&format!("bearer  {hex} ")]).unwrap().unwrap().reveal(), hex);
        let upper = format!("Bearer {}", hex.to_uppercase());
        for lines in [&[""][..], &["Bearer"], &["Bearer "], &["Bearer x"], &["Basic eDp5"], &[hex], &[&upper]] {
            assert!(read(lines).is_err(), "{lines:?}");
        }
        let line = format!("Bearer {hex}");
        assert!(read(&[&line, &line]).is_err());
    }
}
