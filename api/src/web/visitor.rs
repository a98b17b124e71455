//! Whose page it is: the session's token in a cookie, which scripts cannot read and only the routes of the page look at.
//!
//! `SameSite=Lax`, not `Strict`: who follows a link to the page from a mail would otherwise be shown an empty form, and sending it would
//! replace the session. Nothing that changes anything is a `GET`, and forms of other sites are refused before they are read.

use axum::http::{HeaderMap, HeaderValue, header};
use schemas::id::SessionToken;

use crate::problem::Problem;

/// Its name.
const NAME: &str = "roost_session";
/// How long a browser keeps it, in seconds: as long as a session lasts after its last statement (DESIGN §2: 30 days).
const MAX_AGE: u32 = 30 * 24 * 60 * 60;

/// The token of the visitor's session; a cookie that is none counts as none.
pub fn token(headers: &HeaderMap) -> Option<SessionToken> {
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == NAME).and_then(|(_, value)| value.parse().ok())
}

/// Whether the browser reaches the page over https: it says so itself, in the `Origin` of what it posts.
pub fn is_over_https(headers: &HeaderMap) -> bool {
    headers.get(header::ORIGIN).is_some_and(|origin| origin.as_bytes().starts_with(b"https://"))
}

/// The cookie that keeps a token. `is_secure`: it is never sent over plain http.
pub fn remember(token: SessionToken, is_secure: bool) -> Result<HeaderValue, Problem> {
    cookie(&token.reveal(), MAX_AGE, is_secure)
}

/// The cookie that forgets it.
pub fn forget(is_secure: bool) -> Result<HeaderValue, Problem> {
    cookie("", 0, is_secure)
}

fn cookie(value: &str, max_age: u32, is_secure: bool) -> Result<HeaderValue, Problem> {
    let secure = if is_secure { "; Secure" } else { "" };
    let line = format!("{NAME}={value}; Path=/; Max-Age={max_age}; HttpOnly; SameSite=Lax{secure}");
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
        token(&headers).map(|token| token.reveal())
    }

    #[test]
    fn the_token_is_found_among_other_cookies_and_nothing_else_is_one() {
        assert_eq!(read(&[&format!("a=b; roost_session={HEX}; c=d")]).as_deref(), Some(HEX));
        assert_eq!(read(&["a=b", &format!("roost_session={HEX}")]).as_deref(), Some(HEX));
        for other in ["", "roost_session", "roost_session=", "roost_session=x", &format!("xroost_session={HEX}")] {
            assert_eq!(read(&[other]), None, "{other}");
        }
    }

    #[test]
    fn no_script_reads_the_cookie_and_no_other_site_sends_it() {
        let token: SessionToken = HEX.parse().unwrap();
        let line = remember(token, true).unwrap();
        let expected = format!("roost_session={HEX}; Path=/; Max-Age=2592000; HttpOnly; SameSite=Lax; Secure");
        assert_eq!(line.to_str().unwrap(), expected);
        assert!(!remember(token, false).unwrap().to_str().unwrap().contains("Secure"));
        assert!(forget(false).unwrap().to_str().unwrap().contains("Max-Age=0"));
    }
}
