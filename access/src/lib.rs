//! The porter: knows API keys, tokens, revocations and webhooks, and who they belong to. Knows no route and no HTTP.
//!
//! What it knows stands on topic `access`, which it follows from the beginning (`follow.rs`) and appends to (`append.rs`);
//! what the records mean together is `register.rs`. Who asks is `caller.rs`: by an API key (`key.rs`), a token of roost's own
//! (`token.rs`, renewed as `refresh.rs` says) or of another issuer (`oidc.rs`, `jwks.rs`).

mod append;
pub mod caller;
pub mod config;
mod follow;
mod jwks;
pub mod key;
pub mod metrics;
pub mod oidc;
pub mod refresh;
pub mod register;
pub mod secret;
pub mod token;

use std::sync::{Arc, RwLockReadGuard};

use schemas::access::{AccessRecord, Owner, Webhook};
use schemas::id::{AccessId, SessionId};
use schemas::units::Instant;
use stream::{Delivered, Fatal, Log, LogError};
use tokio::sync::{oneshot, watch};

use self::append::Appender;
pub use self::append::NotAppended;
pub use self::caller::{Caller, Holder, NotRenewed, Refused, User};
pub use self::config::{Config, Mode};
use self::follow::Follower;
use self::jwks::Jwks;
use self::register::{Bounds, Register};
use self::secret::Secret;
pub use self::token::Issued;
use self::token::Tokens;

/// Resolves (to an error) when a thread has ended.
pub type Ended = oneshot::Receiver<std::convert::Infallible>;

/// Who asks the porter: names its records on the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The API.
    Api,
    /// The feed push of ingest.
    Ingest,
    /// A command of a person.
    Command,
}

/// What is known of who may do what. Dropping it ends its threads.
pub struct Access {
    config: Config,
    secret: Secret,
    /// Those before it, which webhooks are signed with too.
    previous: Vec<Secret>,
    tokens: Tokens,
    /// The keys of the other issuer, in mode `oidc`.
    jwks: Option<Jwks>,
    follower: Follower,
    appender: Appender,
}

impl Access {
    /// Starts following topic `access`. [`Access::ready`] says when it was read to its end; the receivers resolve when its two
    /// threads have ended, after it was dropped.
    pub fn start(config: &Config, role: Role, log: &Log, fatal: &Fatal) -> Result<(Self, [Ended; 2]), LogError> {
        metrics::describe();
        let (secret, previous) = secrets(config, role).map_err(LogError::Fatal)?;
        let tokens = Tokens::new(config, &secret, &previous)
            .map_err(|error| LogError::Fatal(format!("tokens cannot be signed: {error}")))?;
        let jwks = match config.mode {
            Mode::Oidc if role != Role::Command => Some(Jwks::start(config, fatal)?),
            Mode::Oidc | Mode::Open | Mode::Tokens => None,
        };
        let role = match role {
            Role::Api => "api",
            Role::Ingest => "ingest",
            Role::Command => "command",
        };
        // Random: two processes may have one number, on two machines.
        let source: Arc<str> = format!("/roost/access/{role}-{}", AccessId::random()).into();
        let (appender, appends) = Appender::start(log, Arc::clone(&source), fatal)?;
        let register = Register::new(Bounds::default());
        let (follower, follows) = Follower::start(log, register, appender.clone(), source, fatal)?;
        Ok((Self { config: config.clone(), secret, previous, tokens, jwks, follower, appender }, [appends, follows]))
    }

    /// The settings.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// `Err` while it is not known what stands on topic `access`, or which keys the other issuer has, with the reason.
    pub fn ready(&self) -> Result<(), String> {
        self.jwks.as_ref().map_or(Ok(()), Jwks::ready)?;
        self.follower.ready()
    }

    /// Whether topic `access` was read to its end once. Before, what was revoked is not known.
    pub fn was_read(&self) -> bool {
        self.follower.was_read()
    }

    /// Appends a record, and knows it from then on. `Ok` when the log has it.
    pub async fn append(&self, record: AccessRecord) -> Result<Delivered, NotAppended> {
        let delivered = self.appender.append(&record).await?;
        self.follower.note(record);
        Ok(delivered)
    }

    /// What is known now. Hold it for moments only, and over no `await`: the thread that follows the log waits.
    pub fn known(&self) -> RwLockReadGuard<'_, Register> {
        self.follower.register()
    }

    /// Counts up whenever a webhook is registered, changed, deleted or forgotten.
    pub fn webhooks_changed(&self) -> watch::Receiver<u64> {
        self.follower.webhooks()
    }

    /// The webhooks that want this session's changes: its own, and those of keys that name it or all sessions.
    pub fn webhooks_for(&self, session: SessionId) -> Vec<Arc<Webhook>> {
        self.known().webhooks_for(session)
    }

    /// Whether the secret is the same for all processes, and after a restart.
    pub fn has_lasting_secret(&self) -> bool {
        !self.config.secret_file.as_os_str().is_empty()
    }

    /// What this webhook's messages are signed with: by the present secret first, then by those before it.
    pub fn webhook_secrets(&self, id: &AccessId) -> Vec<[u8; 32]> {
        std::iter::once(&self.secret)
            .chain(&self.previous)
            .map(|secret| secret.mac("webhook|", &[id.as_str().as_bytes()]))
            .collect()
    }

    /// Whether the owner may still be told of anything: a key that has ended may not.
    pub fn is_good_owner(&self, owner: &Owner) -> bool {
        match owner {
            Owner::Session(_) => true,
            Owner::Key(id) => match self.known().key(id) {
                Some(key) => key.is_good(now()),
                // The other issuer's services have ids without a record.
                None => self.config.mode == Mode::Oidc,
            },
        }
    }

    /// Whether the owner is known to have ended. Of one that is not known it is not: another process may know it.
    pub fn is_ended_owner(&self, owner: &Owner) -> bool {
        match owner {
            Owner::Session(_) => false,
            Owner::Key(id) => self.known().key(id).is_some_and(|key| !key.is_good(now())),
        }
    }

    /// The webhooks of this owner that are not deleted.
    pub fn webhooks_of(&self, owner: &Owner) -> Vec<Arc<Webhook>> {
        self.known().webhooks_of(owner)
    }
}

/// Reads what a start with these settings would read, and asks the other issuer for its keys. `Ok` says what there is; `Err` what to do.
pub fn check(config: &Config) -> Result<String, String> {
    secrets(config, Role::Ingest)?;
    match config.mode {
        Mode::Open => Ok("mode \"open\": a session's id opens it".to_owned()),
        Mode::Tokens => Ok("mode \"tokens\": the secret is there".to_owned()),
        Mode::Oidc => jwks::look(config).map(|keys| format!("mode \"oidc\": keys of {}: {keys}", config.oidc.issuer)),
    }
}

/// The secret that is signed with, and those that are still verified. `Err` says what to do.
fn secrets(config: &Config, role: Role) -> Result<(Secret, Vec<Secret>), String> {
    // A command signs nothing.
    if role == Role::Command {
        return Ok((Secret::random(), Vec::new()));
    }
    let read = |path: &std::path::PathBuf| Secret::read(path).map_err(|error| error.to_string());
    let previous = config.previous_secret_files.iter().map(read);
    let previous =
        previous.collect::<Result<_, _>>().map_err(|error| format!("auth.previous_secret_files: {error}"))?;
    let secret = match (Some(&config.secret_file).filter(|path| !path.as_os_str().is_empty()), config.mode) {
        (Some(path), _) => read(path).map_err(|error| format!("auth.secret_file: {error}"))?,
        (None, Mode::Tokens) => {
            return Err("auth.secret_file is missing (auth.mode = \"tokens\" needs one, the same for all processes): \
                        `roost key secret FILE` makes one"
                .to_owned());
        }
        (None, Mode::Open | Mode::Oidc) => {
            if role == Role::Api {
                tracing::info!(
                    "there is no auth.secret_file: which session an Idempotency-Key made is known to this process alone, and until it ends"
                );
            }
            Secret::random()
        }
    };
    let oidc = &config.oidc;
    let needed = [("issuer", &oidc.issuer), ("audience", &oidc.audience), ("jwks", &oidc.jwks)];
    let missing: Vec<_> =
        needed.iter().filter(|(_, value)| value.is_empty()).map(|(name, _)| format!("auth.oidc.{name}")).collect();
    if config.mode == Mode::Oidc && !missing.is_empty() {
        return Err(format!("auth.mode = \"oidc\" needs {}", missing.join(", ")));
    }
    Ok((secret, previous))
}

/// The wall clock.
pub fn now() -> Instant {
    // The clock of a running system lies between the years 1 and 9999.
    Instant::from_ms(jiff::Timestamp::now().as_millisecond()).unwrap_or_default()
}
