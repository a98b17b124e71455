//! What the older names call `session_id`: what opens the session, since their clients send nothing else. The one place that
//! knows how it is written.
//!
//! In mode `open` it is the capability; in mode `tokens` the session's token, which ends with `auth.token_ttl`; in mode `oidc` the
//! session's id, which opens nothing: there clients send their issuer's token as well.

use access::{Caller, Mode, User};
use axum::http::HeaderMap;
use schemas::id::SessionToken;

use crate::app::App;
use crate::caller::{identify, of_headers, of_session};
use crate::problem::{Kind, Problem};
use crate::routes::preferences::{appointed, issued};

/// A session that is opened.
#[derive(Clone, Debug)]
pub struct Opened {
    /// Which, and until when.
    pub user: User,
    /// What its client sends.
    pub session_id: String,
}

/// Opens the session that a request names: by `session_id`, else by its headers. `None`: it names none. What is wrong is told without its text.
pub async fn open(app: &App, session_id: Option<&str>, headers: &HeaderMap) -> Result<Option<Opened>, Problem> {
    let of_headers = of_headers(headers)?;
    let Some(text) = session_id.map(str::trim) else {
        let Some(text) = of_headers else { return Ok(None) };
        return match identify(app, text).await? {
            // Services make sessions, and have none.
            Caller::Anonymous | Caller::Service(_) | Caller::Admin(_) => Ok(None),
            Caller::User(user) => Ok(Some(opened(app, user, text))),
        };
    };
    if let Some(credential) = of_headers {
        let asking = of_session(identify(app, credential).await?)?;
        if asking.session.to_string() == text {
            return Ok(Some(Opened { user: asking, session_id: text.to_owned() }));
        }
    }
    let named = match identify(app, text).await {
        Ok(caller) => of_session(caller),
        Err(problem) => Err(problem),
    };
    match named {
        Ok(user) => Ok(Some(opened(app, user, text))),
        // Their clients know one answer to a session that is none.
        Err(problem) if matches!(problem.kind, Kind::Unauthenticated | Kind::Forbidden) => Err(none()),
        Err(problem) => Err(problem),
    }
}

/// A new session.
pub fn new(app: &App) -> Result<Opened, Problem> {
    let (session, capability) = appointed(app)?;
    let issued = issued(app, session)?;
    let session_id = match (capability, issued) {
        (Some(capability), _) => capability.reveal(),
        (None, Some(issued)) => issued.token,
        (None, None) => session.to_string(),
    };
    Ok(Opened { user: User { session, capability, expires_at: None }, session_id })
}

fn opened(app: &App, user: User, text: &str) -> Opened {
    let session_id = match app.access.config().mode {
        Mode::Open => user.capability.map_or_else(|| text.to_owned(), SessionToken::reveal),
        Mode::Tokens => text.to_owned(),
        // Another issuer's token is not repeated.
        Mode::Oidc => user.session.to_string(),
    };
    Opened { user, session_id }
}

/// There is no such session.
pub fn none() -> Problem {
    let detail = "there is no such session: it was never made, it was erased, or it ended 30 days after its last statement; POST /api/preferences makes one";
    Problem::new(Kind::SessionNotFound, detail)
}
