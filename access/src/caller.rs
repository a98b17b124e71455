//! Who asks: from the text of a key or token to a caller, and the tokens that callers get. What a caller may do, the routes
//! say.

use std::sync::Arc;

use schemas::access::{AccessRecord, ApiKey, KeyRole, SessionRevocation, TokenFamily};
use schemas::id::{AccessId, FeedName, SessionId, SessionToken};
use schemas::units::Instant;

use crate::config::Mode;
use crate::oidc::{self, Role};
use crate::refresh::{Turn, turn};
use crate::token::{Issued, Token, Use};
use crate::{Access, NotAppended, key, metrics, now};

/// A session, by its token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Which.
    pub session: SessionId,
    /// In mode `open`: the capability itself, which its client knows.
    pub capability: Option<SessionToken>,
    /// When the token ends; `None`: with the session.
    pub expires_at: Option<Instant>,
}

/// A service or an administrator, by a key or a token of the other issuer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The key's id, or one made of the token's subject.
    pub id: AccessId,
    /// Which feeds it may push to; none: all.
    pub feeds: Vec<FeedName>,
}

impl Holder {
    /// Whether it may push to this feed.
    pub fn may_push_to(&self, feed: &FeedName) -> bool {
        self.feeds.is_empty() || self.feeds.contains(feed)
    }
}

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Caller {
    /// Nobody in particular.
    Anonymous,
    /// A session.
    User(User),
    /// A service.
    Service(Holder),
    /// An administrator.
    Admin(Holder),
}

/// Why a key or token counts for nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// What is wrong, without the text of the key or token.
    Bad(&'static str),
    /// It is not known yet what was revoked: ask again in a moment.
    Starting,
}

/// Why tokens are not renewed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotRenewed {
    /// The refresh token counts for nothing.
    Refused(Refused),
    /// The log.
    NotAppended(NotAppended),
    /// In this mode tokens are another's.
    NotHere,
}

fn bad(why: &'static str, says: &'static str) -> Refused {
    metrics::record_refused(why);
    Refused::Bad(says)
}

impl Access {
    /// Who sends this key or token. Never repeats it.
    pub async fn identify(&self, text: &str) -> Result<Caller, Refused> {
        if text.starts_with(key::PREFIX) {
            return self.holder(text);
        }
        match self.config.mode {
            Mode::Open => {
                let capability: SessionToken = text.parse().map_err(|_| {
                    bad("no_token", "the bearer token is none (expected 32 lower-case hexadecimal digits)")
                })?;
                let session = capability.session_id();
                Ok(Caller::User(User { session, capability: Some(capability), expires_at: None }))
            }
            Mode::Tokens => self.user(text),
            Mode::Oidc => self.named(text).await,
        }
    }

    fn holder(&self, text: &str) -> Result<Caller, Refused> {
        const NO: &str = "the API key is unknown, expired or revoked";
        let (id, secret) =
            key::parse(text).ok_or_else(|| bad("no_key", "the API key is none (expected roost_<id>_<secret>)"))?;
        if !self.was_read() {
            return Err(Refused::Starting);
        }
        let known = self.known().key(&id).ok_or_else(|| bad("unknown_key", NO))?;
        // First: who does not know the secret learns nothing of the key.
        if !key::opens(&known, secret) {
            return Err(bad("wrong_key", NO));
        }
        if !known.is_good(now()) {
            return Err(bad("ended_key", NO));
        }
        let ApiKey { key_id, feeds, role, .. } = Arc::unwrap_or_clone(known);
        let holder = Holder { id: key_id, feeds };
        Ok(match role {
            KeyRole::Service => Caller::Service(holder),
            KeyRole::Admin => Caller::Admin(holder),
        })
    }

    /// A token of roost's own, that is alive.
    fn read(&self, text: &str, r#use: Use) -> Result<Token, Refused> {
        let token = self.tokens.read(text, r#use).map_err(|says| bad("bad_token", says))?;
        if !self.was_read() {
            return Err(Refused::Starting);
        }
        if !self.known().is_alive(token.session, token.issued) {
            return Err(bad("ended_session", "the session was erased after the token was issued"));
        }
        Ok(token)
    }

    fn user(&self, text: &str) -> Result<Caller, Refused> {
        let token = self.read(text, Use::Access)?;
        let known = self.known();
        let family = known.family(&token.family, token.expires).ok().flatten();
        if family.is_some_and(|family| family.revoked_at.is_some()) {
            return Err(bad("ended_family", "the token was revoked: an old refresh token was used again"));
        }
        Ok(Caller::User(User { session: token.session, capability: None, expires_at: Some(token.expires) }))
    }

    async fn named(&self, text: &str) -> Result<Caller, Refused> {
        // Started with the mode.
        let Some(jwks) = &self.jwks else { return Err(Refused::Starting) };
        let named = jwks.named(text, &self.config).await.map_err(|refused| match refused {
            oidc::Refused::UnknownKey if jwks.ready().is_err() => Refused::Starting,
            oidc::Refused::UnknownKey => {
                bad("unknown_kid", "the token is signed with a key that its issuer does not publish")
            }
            oidc::Refused::Bad(says) => bad("bad_token", says),
        })?;
        if !self.was_read() {
            return Err(Refused::Starting);
        }
        let holder = Holder { id: named.id, feeds: Vec::new() };
        match named.role {
            Role::Admin => return Ok(Caller::Admin(holder)),
            Role::Service => return Ok(Caller::Service(holder)),
            Role::User => {}
        }
        if !self.known().is_alive(named.session, named.issued) {
            return Err(bad("ended_session", "the session was erased after the token was issued"));
        }
        Ok(Caller::User(User { session: named.session, capability: None, expires_at: Some(named.expires) }))
    }

    /// The first tokens of a session: of a new family, of which nothing is written before it is renewed.
    pub fn issue(&self, session: SessionId) -> Result<Issued, String> {
        self.tokens.issue(session, &AccessId::random(), 0, now()).map_err(|error| error.to_string())
    }

    /// Renews tokens: the refresh token is good once. One that was used before ends its family.
    pub async fn renew(&self, refresh_token: &str) -> Result<(SessionId, Issued), NotRenewed> {
        if self.config.mode != Mode::Tokens {
            return Err(NotRenewed::NotHere);
        }
        let token = self.read(refresh_token, Use::Refresh).map_err(NotRenewed::Refused)?;
        let now = now();
        let known = self.known().family(&token.family, token.expires).map(|family| family.cloned());
        const ENDED: &str = "the refresh token was used before or revoked: state preferences anew";
        // What had to make room is as good as used.
        let Ok(known) = known else { return Err(NotRenewed::Refused(bad("forgotten_family", ENDED))) };
        let generation = match turn(known.as_ref(), token.generation, now, self.config.refresh_grace) {
            Turn::Again(generation) => generation,
            Turn::Rotate(generation) => {
                self.record(&token, generation, now, None).await?;
                generation
            }
            Turn::Reuse => {
                tracing::warn!(session = %token.session, family = %token.family,
                    "family {} of refresh tokens ends: an old one was used again", token.family);
                let generation = known.map_or(token.generation, |family| family.generation);
                self.record(&token, generation, now, Some(now)).await?;
                return Err(NotRenewed::Refused(bad("reused_token", ENDED)));
            }
            Turn::Ended => return Err(NotRenewed::Refused(bad("ended_family", ENDED))),
        };
        let issued = self.tokens.issue(token.session, &token.family, generation, now);
        let issued = issued.map_err(|_| NotRenewed::Refused(Refused::Bad("the tokens cannot be signed")))?;
        Ok((token.session, issued))
    }

    async fn record(
        &self,
        token: &Token,
        generation: u32,
        now: Instant,
        revoked_at: Option<Instant>,
    ) -> Result<(), NotRenewed> {
        let ends = now.ms() + i64::try_from(self.config.refresh_ttl.as_millis()).unwrap_or(i64::MAX / 4);
        let family = TokenFamily {
            family_id: token.family.clone(),
            session_id: token.session,
            generation,
            rotated_at: now,
            // With smaller settings than before, the token in hand may end later than its successor.
            expires_at: Instant::from_ms(ends).unwrap_or(token.expires).max(token.expires),
            revoked_at,
        };
        self.append(AccessRecord::Family(family)).await.map(drop).map_err(NotRenewed::NotAppended)
    }

    /// Ends every token that the session was issued before now.
    pub async fn revoke_session(&self, session_id: SessionId) -> Result<(), NotAppended> {
        let not_before = now();
        let ends = not_before.ms() + i64::try_from(self.config.refresh_ttl.as_millis()).unwrap_or(i64::MAX / 4);
        let expires_at = Instant::from_ms(ends).unwrap_or(not_before);
        let record = AccessRecord::Session(SessionRevocation { session_id, not_before, expires_at });
        self.append(record).await.map(drop)
    }

    /// 128 bits that this caller and this text give again, and that nobody can guess without the secret.
    pub fn derive(&self, purpose: &str, caller: &[u8], text: &[u8]) -> u128 {
        let mac = self.secret.mac(purpose, &[caller, text]);
        let mut bits = [0_u8; 16];
        bits.copy_from_slice(&mac[..16]);
        u128::from_be_bytes(bits)
    }
}
