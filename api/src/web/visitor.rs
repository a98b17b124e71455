//! Whose page it is: the session's token in a cookie, which scripts cannot read and only the routes of the page look at.
//!
//! `SameSite=Lax`, not `Strict`: who follows a link to the page from a mail would otherwise be shown an empty form, and sending it would
//! replace the session. Nothing that changes anything is a `GET`, and forms of other sites are refused before they are read.
//!
//! In mode `tokens` a second cookie holds the refresh token, and a token that has ended is renewed while the page is read. In mode `oidc` the page
//! cannot sign anybody in: a proxy that does sends the issuer's token in `Authorization`.

use access::{Issued, Mode, NotRenewed, Refused, User};
use axum::http::{HeaderMap, HeaderValue, header};
use schemas::id::{SessionId, SessionToken};

use crate::app::App;
use crate::caller::{identify, not_recorded, of_headers, of_session};
use crate::problem::{Kind, Problem};
use crate::routes::preferences::{appointed, issued};

/// Opens the session.
const NAME: &str = "roost_session";
/// Renews what opens it, in mode `tokens`.
const REFRESH: &str = "roost_refresh";
/// Before a refresh token that was given over https: when it is renewed, the request does not tell that.
const OVER_HTTPS: &str = "s.";
/// How long a browser keeps them, in seconds: as long as a session lasts after its last statement (DESIGN §2: 30 days).
const MAX_AGE: u32 = 30 * 24 * 60 * 60;

/// Who looks at the page.
#[derive(Debug, Default)]
pub struct Visitor {
    /// The session; `None`: it has none, or none that is good.
    pub user: Option<User>,
    /// What its browser is to remember from now on.
    pub cookies: Vec<HeaderValue>,
}

impl Visitor {
    /// Of a request. A cookie that opens nothing counts as none.
    pub async fn of(app: &App, headers: &HeaderMap) -> Result<Self, Problem> {
        let mode = app.access.config().mode;
        let text = match mode {
            Mode::Open | Mode::Tokens => cookie_of(headers, NAME),
            Mode::Oidc => of_headers(headers)?,
        };
        if let Some(text) = text {
            match identify(app, text).await.and_then(of_session) {
                Ok(user) => return Ok(Self { user: Some(user), cookies: Vec::new() }),
                Err(problem) if matches!(problem.kind, Kind::Unauthenticated | Kind::Forbidden) => {}
                Err(problem) => return Err(problem),
            }
        }
        match cookie_of(headers, REFRESH).filter(|_| mode == Mode::Tokens) {
            Some(refresh) => renewed(app, headers, refresh).await,
            None => Ok(Self::default()),
        }
    }
}

async fn renewed(app: &App, headers: &HeaderMap, refresh: &str) -> Result<Visitor, Problem> {
    let over_https = refresh.strip_prefix(OVER_HTTPS);
    let is_secure = over_https.is_some() || is_secure(app, headers);
    match app.access.renew(over_https.unwrap_or(refresh)).await {
        Ok((session, issued)) => {
            let user = User { session, capability: None, expires_at: Some(issued.token_expires_at) };
            Ok(Visitor { user: Some(user), cookies: both(&issued, is_secure)? })
        }
        Err(NotRenewed::NotAppended(error)) => Err(not_recorded(&error)),
        Err(NotRenewed::Refused(Refused::Starting)) => Err(Problem::new(Kind::Starting, Kind::Starting.meaning())),
        Err(NotRenewed::Refused(Refused::Bad(_)) | NotRenewed::NotHere) => Ok(Visitor::default()),
    }
}

/// A new session, and what its browser is to remember.
pub fn begin(app: &App, headers: &HeaderMap) -> Result<(SessionId, Vec<HeaderValue>), Problem> {
    let (session, capability) = appointed(app)?;
    let is_secure = is_secure(app, headers);
    let cookies = match (capability, issued(app, session)?) {
        (Some(capability), _) => vec![cookie(NAME, &capability.reveal(), MAX_AGE, is_secure)?],
        (None, Some(issued)) => both(&issued, is_secure)?,
        (None, None) => Vec::new(),
    };
    Ok((session, cookies))
}

/// What keeps the visitor's session for as long again: it has just stated something.
pub fn keep(app: &App, user: &User, headers: &HeaderMap) -> Result<Option<HeaderValue>, Problem> {
    let capability = user.capability.map(SessionToken::reveal);
    capability.map(|text| cookie(NAME, &text, MAX_AGE, is_secure(app, headers))).transpose()
}

/// The session of a visitor whose last one is over: a new one, where sessions are ours; an issuer's user has but one.
pub fn begin_after(app: &App, user: &User, headers: &HeaderMap) -> Result<(SessionId, Vec<HeaderValue>), Problem> {
    match app.access.config().mode {
        Mode::Open | Mode::Tokens => begin(app, headers),
        Mode::Oidc => Ok((user.session, Vec::new())),
    }
}

/// What makes a browser forget its session.
pub fn forget(app: &App, headers: &HeaderMap) -> Result<Vec<HeaderValue>, Problem> {
    let names: &[&str] = match app.access.config().mode {
        Mode::Open => &[NAME],
        Mode::Tokens => &[NAME, REFRESH],
        Mode::Oidc => &[],
    };
    names.iter().map(|name| cookie(name, "", 0, is_secure(app, headers))).collect()
}

fn both(issued: &Issued, is_secure: bool) -> Result<Vec<HeaderValue>, Problem> {
    let refresh = format!("{}{}", if is_secure { OVER_HTTPS } else { "" }, issued.refresh_token);
    Ok(vec![cookie(NAME, &issued.token, MAX_AGE, is_secure)?, cookie(REFRESH, &refresh, MAX_AGE, is_secure)?])
}

/// Whether the browser reaches the page over https, so that a cookie is never to be sent otherwise: the settings say so, or the browser
/// itself in the `Origin` of what it posts.
fn is_secure(app: &App, headers: &HeaderMap) -> bool {
    app.config.page_always_secure
        || headers.get(header::ORIGIN).is_some_and(|origin| origin.as_bytes().starts_with(b"https://"))
}

/// The text of a cookie.
fn cookie_of<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(other, _)| *other == name).map(|(_, value)| value).filter(|value| !value.is_empty())
}

fn cookie(name: &str, value: &str, max_age: u32, is_secure: bool) -> Result<HeaderValue, Problem> {
    let secure = if is_secure { "; Secure" } else { "" };
    let line = format!("{name}={value}; Path=/; Max-Age={max_age}; HttpOnly; SameSite=Lax{secure}");
    let mut line = HeaderValue::from_str(&line).map_err(|_| Problem::internal("the cookie is no header's value"))?;
    line.set_sensitive(true);
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "000102030405060708090a0b0c0d0e0f";

    fn read(cookies: &[&str]) -> Option<String> {
        let mut headers = HeaderMap::new();
        for cookie in cookies {
            headers.append(header::COOKIE, cookie.parse().unwrap());
        }
        cookie_of(&headers, NAME).map(str::to_owned)
    }

    #[test]
    fn the_token_is_found_among_other_cookies_and_nothing_else_is_one() {
        assert_eq!(read(&[&format!("a=b; roost_session={HEX}; c=d")]).as_deref(), Some(HEX));
        assert_eq!(read(&["a=b", &format!("roost_session={HEX}")]).as_deref(), Some(HEX));
        for other in ["", "roost_session", "roost_session=", &format!("xroost_session={HEX}")] {
            assert_eq!(read(&[other]), None, "{other}");
        }
    }

    #[test]
    fn no_script_reads_the_cookie_and_no_other_site_sends_it() {
        let line = cookie(NAME, HEX, MAX_AGE, true).unwrap();
        let expected = format!("roost_session={HEX}; Path=/; Max-Age=2592000; HttpOnly; SameSite=Lax; Secure");
        assert_eq!(line.to_str().unwrap(), expected);
        assert!(!cookie(NAME, HEX, MAX_AGE, false).unwrap().to_str().unwrap().contains("Secure"));
    }
}
