//! What the older names call `session_id`: the capability itself, since their clients send nothing else. The one place that
//! knows how it is written.

use schemas::id::SessionToken;

/// What a client gets, keeps secret and sends.
pub fn given(token: SessionToken) -> String {
    token.reveal()
}

/// The session that it opens.
pub fn opened_by(text: &str) -> Option<SessionToken> {
    text.trim().parse().ok()
}
