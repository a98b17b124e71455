//! Who a request speaks for: `Authorization: Bearer <token or API key>` or `X-Api-Key: <API key>`, and nothing else; on streams
//! also `?token=`, since browsers cannot send headers there.
//!
//! What the text is worth, the porter says (`access`). It is a secret: never part of an error, a log line or a metric.

use std::sync::Arc;

use access::key::PREFIX;
use access::{Caller, NotAppended, Refused, User};
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use schemas::id::SessionId;
use tokio::time::Instant as Moment;

use crate::app::App;
use crate::problem::{Kind, Problem};
use crate::query::Query;

/// The header of API keys alone.
const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// Who asks, whoever it is.
#[derive(Clone, Debug)]
pub struct Asker(pub Caller);

/// A session that asks: everybody else is refused.
#[derive(Clone, Copy, Debug)]
pub struct Session(pub SessionId);

/// `Ok(None)` without a header; `Err` with a sentence when one is there and holds none.
fn credential(headers: &HeaderMap) -> Result<Option<&str>, &'static str> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let mut keys = headers.get_all(API_KEY).iter();
    let (value, key) = (values.next(), keys.next());
    if values.next().is_some() {
        return Err("Authorization is given twice (expected once)");
    }
    if keys.next().is_some() || value.is_some() && key.is_some() {
        return Err("X-Api-Key is given twice, or with Authorization (expected one of them, once)");
    }
    if let Some(key) = key {
        let key = key.to_str().ok().map(str::trim).filter(|key| key.starts_with(PREFIX));
        return key.map(Some).ok_or("X-Api-Key holds no API key (expected roost_<id>_<secret>)");
    }
    let Some(value) = value else { return Ok(None) };
    let (scheme, token) = value
        .to_str()
        .ok()
        .and_then(|text| text.trim().split_once(' '))
        .ok_or("Authorization is not 'Bearer <token>'")?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err("Authorization has another scheme than Bearer");
    }
    Ok(Some(token.trim()))
}

/// The text that a stream is opened with: of the header, else of `?token=`. What is wrong with it is told without it.
pub fn of_stream(headers: &HeaderMap, query: &mut Query) -> Result<String, Problem> {
    match (credential(headers), query.text("token")) {
        (Ok(Some(_)), Some(_)) => {
            Err(unauthenticated("the token is given in Authorization and in ?token= (expected once)"))
        }
        (Ok(Some(token)), None) => Ok(token.to_owned()),
        // Addresses stand in histories and in other people's logs; a key is good for long.
        (Ok(None), Some(text)) if text.starts_with(PREFIX) => {
            Err(unauthenticated("an API key is never sent in an address (expected a session's token)"))
        }
        (Ok(None), Some(text)) => Ok(text),
        (Ok(None), None) => Err(unauthenticated("Authorization: Bearer <token>, or ?token= on this route, is missing")),
        (Err(detail), _) => Err(unauthenticated(detail)),
    }
}

/// The key or token of the request, if it has one.
pub fn of_headers(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    credential(headers).map_err(unauthenticated)
}

/// The session that opens a stream with this text.
pub async fn user(app: &App, text: &str) -> Result<User, Problem> {
    of_session(identify(app, text).await?)
}

/// Who sends this text.
pub async fn identify(app: &App, text: &str) -> Result<Caller, Problem> {
    app.access.identify(text).await.map_err(|refused| match refused {
        Refused::Bad(says) => unauthenticated(says),
        Refused::Starting => Problem::new(Kind::Starting, Kind::Starting.meaning()),
    })
}

/// The caller as the session that the route is for.
pub fn of_session(caller: Caller) -> Result<User, Problem> {
    match caller {
        Caller::User(user) => Ok(user),
        Caller::Anonymous => Err(missing()),
        Caller::Service(_) | Caller::Admin(_) => {
            Err(forbidden("this route is a session's own: send the session's token"))
        }
    }
}

/// When what the token opened ends; `None`: with the session.
pub fn ends(user: &User) -> Option<Moment> {
    let left_ms = user.expires_at?.ms().saturating_sub(access::now().ms());
    Some(Moment::now() + std::time::Duration::from_millis(left_ms.max(0).unsigned_abs()))
}

/// Resolves then; never, if there is no such time.
pub async fn ended(ends: Option<Moment>) {
    match ends {
        Some(ends) => tokio::time::sleep_until(ends).await,
        None => std::future::pending().await,
    }
}

/// Nobody is named, and somebody must be.
pub fn missing() -> Problem {
    unauthenticated(Kind::Unauthenticated.meaning())
}

/// The caller is known, and may not do this.
pub fn forbidden(detail: &str) -> Problem {
    Problem::new(Kind::Forbidden, detail)
}

/// Nobody is named by what was sent.
pub fn unauthenticated(detail: &str) -> Problem {
    Problem::new(Kind::Unauthenticated, detail)
        .with_header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"roost\""))
}

/// What to tell a client whose change of topic `access` is not known to be there.
pub fn not_recorded(error: &NotAppended) -> Problem {
    match error {
        NotAppended::NotSent(_) => Problem::new(Kind::LogUnavailable, error.to_string()),
        NotAppended::Unknown(_) => Problem::new(Kind::OutcomeUnknown, error.to_string()),
    }
}

impl FromRequestParts<Arc<App>> for Asker {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Problem> {
        match of_headers(&parts.headers)? {
            Some(text) => identify(app, text).await.map(Self),
            None => Ok(Self(Caller::Anonymous)),
        }
    }
}

impl FromRequestParts<Arc<App>> for Session {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Problem> {
        let Asker(caller) = Asker::from_request_parts(parts, app).await?;
        of_session(caller).map(|user| Self(user.session))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &[(HeaderName, &str)]) -> Result<Option<String>, &'static str> {
        let mut headers = HeaderMap::new();
        for (name, line) in lines {
            headers.append(name, HeaderValue::from_str(line).unwrap());
        }
        credential(&headers).map(|text| text.map(str::to_owned))
    }

    #[test]
    fn only_one_bearer_token_or_api_key_names_somebody() {
        const AUTH: HeaderName = header::AUTHORIZATION;
        assert_eq!(read(&[]), Ok(None));
        for line in ["Bearer abc", "bearer  abc "] {
            assert_eq!(read(&[(AUTH, line)]), Ok(Some("abc".to_owned())), "{line}");
        }
        assert_eq!(read(&[(API_KEY, " roost_a_b ")]), Ok(Some("roost_a_b".to_owned())));
        for lines in [
            &[(AUTH, "")][..],
            &[(AUTH, "Bearer")],
            &[(AUTH, "Bearer ")],
            &[(AUTH, "Basic eDp5")],
            &[(AUTH, "abc")],
            &[(AUTH, "Bearer abc"), (AUTH, "Bearer abc")],
            &[(AUTH, "Bearer abc"), (API_KEY, "roost_a_b")],
            &[(API_KEY, "roost_a_b"), (API_KEY, "roost_a_b")],
            &[(API_KEY, "abc")],
        ] {
            assert!(read(lines).is_err(), "{lines:?}");
        }
    }
}
