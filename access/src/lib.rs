//! The porter: knows API keys, tokens, revocations and webhooks, and who they belong to. Knows no route and no HTTP.
//!
//! What it knows stands on topic `access`, which it follows from the beginning (`follow.rs`) and appends to (`append.rs`);
//! what the records mean together is `register.rs`.

mod append;
pub mod config;
mod follow;
pub mod metrics;
pub mod register;

use std::sync::{Arc, RwLockReadGuard};

use schemas::access::{AccessRecord, Owner, Webhook};
use schemas::id::{AccessId, SessionId};
use schemas::units::Instant;
use stream::{Delivered, Fatal, Log, LogError};
use tokio::sync::{oneshot, watch};

use self::append::Appender;
pub use self::append::NotAppended;
pub use self::config::{Config, Mode};
use self::follow::Follower;
use self::register::{Bounds, Register};

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
    follower: Follower,
    appender: Appender,
}

impl Access {
    /// Starts following topic `access`. [`Access::ready`] says when it was read to its end; the receivers resolve when its two
    /// threads have ended, after it was dropped.
    pub fn start(config: &Config, role: Role, log: &Log, fatal: &Fatal) -> Result<(Self, [Ended; 2]), LogError> {
        metrics::describe();
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
        Ok((Self { config: config.clone(), follower, appender }, [appends, follows]))
    }

    /// The settings.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// `Err` while it is not known what stands on topic `access`, with the reason.
    pub fn ready(&self) -> Result<(), String> {
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

    /// The webhooks of this owner that are not deleted.
    pub fn webhooks_of(&self, owner: &Owner) -> Vec<Arc<Webhook>> {
        self.known().webhooks_of(owner)
    }
}

/// The wall clock.
pub fn now() -> Instant {
    // The clock of a running system lies between the years 1 and 9999.
    Instant::from_ms(jiff::Timestamp::now().as_millisecond()).unwrap_or_default()
}
