//! Who may push: in mode `open` everybody; else who has an API key, or a token of the other issuer, for the feed.

use access::{Access, Caller, Mode, Refused, Role};
use axum::http::{HeaderMap, header};
use schemas::id::FeedName;
use stream::{Fatal, Log, LogError};

use super::problem::{Kind, Problem};

/// Asks nobody for anything in mode `open`.
pub(super) struct Porter(Option<Access>);

impl Porter {
    /// Follows topic `access`, where somebody is asked for something.
    pub(super) fn start(auth: &access::Config, log: &Log, fatal: &Fatal) -> Result<Self, LogError> {
        Ok(Self(match auth.mode {
            Mode::Open => None,
            Mode::Tokens | Mode::Oidc => Some(Access::start(auth, Role::Ingest, log, fatal)?.0),
        }))
    }

    /// `Err` while it is not known which keys there are.
    pub(super) fn ready(&self) -> Result<(), String> {
        self.0.as_ref().map_or(Ok(()), Access::ready)
    }

    /// Whether the request may push to this feed, and ask for its keys.
    pub(super) async fn admit(&self, headers: &HeaderMap, feed: &FeedName) -> Result<(), Problem> {
        let Some(access) = &self.0 else { return Ok(()) };
        let text = credential(headers).map_err(|says| Problem::new(Kind::Unauthenticated, says))?;
        match access.identify(text).await {
            Ok(Caller::Service(holder) | Caller::Admin(holder)) if holder.may_push_to(feed) => Ok(()),
            Ok(Caller::Service(_) | Caller::Admin(_)) => {
                Err(Problem::new(Kind::Forbidden, format!("the API key is not for feed {feed}")))
            }
            Ok(Caller::User(_) | Caller::Anonymous) => {
                Err(Problem::new(Kind::Forbidden, "a session pushes no listings: send an API key"))
            }
            Err(Refused::Bad(says)) => Err(Problem::new(Kind::Unauthenticated, says)),
            Err(Refused::Starting) => {
                Err(Problem::new(Kind::Starting, "it is not known yet which keys there are; send it again in a moment"))
            }
        }
    }
}

/// The text of the key or token. `Err` says what is wrong, without it.
fn credential(headers: &HeaderMap) -> Result<&str, &'static str> {
    let (mut bearers, mut keys) = (headers.get_all(header::AUTHORIZATION).iter(), headers.get_all("x-api-key").iter());
    let value = match (bearers.next(), keys.next(), bearers.next().or(keys.next())) {
        (None, None, _) => return Err("X-Api-Key: <key> is missing (`roost key create` makes one)"),
        (Some(bearer), None, None) => {
            let text = bearer.to_str().ok().and_then(|text| text.trim().split_once(' '));
            return match text {
                Some((scheme, text)) if scheme.eq_ignore_ascii_case("bearer") => Ok(text.trim()),
                _ => Err("Authorization is not 'Bearer <API key>'"),
            };
        }
        (None, Some(key), None) => key,
        _ => return Err("X-Api-Key or Authorization is given twice (expected one of them, once)"),
    };
    value.to_str().map(str::trim).map_err(|_| "X-Api-Key holds no API key (expected roost_<id>_<secret>)")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_key_is_sent_in_one_of_two_headers() {
        let of = |lines: &[(&'static str, &str)]| {
            let mut headers = HeaderMap::new();
            for (name, line) in lines {
                headers.append(*name, line.parse().unwrap());
            }
            credential(&headers).map(str::to_owned)
        };
        assert_eq!(of(&[("x-api-key", "abc")]).as_deref(), Ok("abc"));
        assert_eq!(of(&[("authorization", "Bearer abc")]).as_deref(), Ok("abc"));
        for lines in [
            &[][..],
            &[("authorization", "Basic abc")],
            &[("x-api-key", "a"), ("x-api-key", "a")],
            &[("authorization", "Bearer a"), ("x-api-key", "a")],
        ] {
            assert!(of(lines).is_err(), "{lines:?}");
        }
    }
}
