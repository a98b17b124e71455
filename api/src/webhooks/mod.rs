//! Tells receivers over HTTPS when a session's three homes change: registered by `routes/webhooks.rs`, kept on topic `access`.
//!
//! Pure: what is sent when (`schedule.rs`) and whose turn it is (`lanes.rs`), what may be committed (`marks.rs`), which addresses (`guard.rs`), signatures
//! (`sign.rs`), bodies (`message.rs`), what is written down of it all (`reports.rs`). Performing: one request (`deliver.rs`), dead
//! letters (`letters.rs`), the thread that reads the log and hands out work (`service.rs`).

mod deliver;
pub mod guard;
mod lanes;
mod letters;
mod marks;
mod message;
mod reports;
mod schedule;
mod service;
mod sign;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::Thread;

use access::Access;
use schemas::access::Webhook;
use schemas::id::AccessId;
use stream::{Fatal, Log, LogError};
use tokio::sync::{Semaphore, oneshot};

use self::deliver::Client;
pub use self::deliver::Reply;
use self::guard::Allowed;
use self::service::Courier;
use self::sign::Secret;
use crate::config::WebhookConfig;
use crate::statements::Ended;

/// Most pings under way: people try their receivers one by one.
const PINGS_AT_ONCE: usize = 8;

/// What is sent to webhooks. Dropping it ends the thread.
pub struct Webhooks {
    client: Arc<Client>,
    allowed: Allowed,
    is_on: bool,
    pings: Arc<Semaphore>,
    stop: Arc<AtomicBool>,
    thread: Option<Thread>,
}

impl Webhooks {
    /// Starts sending, where that is on.
    pub fn start(
        config: WebhookConfig,
        access: &Arc<Access>,
        log: &Log,
        fatal: &Fatal,
    ) -> Result<(Self, Option<Ended>), LogError> {
        let allowed = Allowed { http: config.allow_http, private: config.allow_private_addresses };
        let client = Arc::new(Client::new(&config, allowed).map_err(LogError::Fatal)?);
        // With a secret of this process alone no receiver could verify anything tomorrow.
        let is_on = config.enabled && access.has_lasting_secret();
        let stop = Arc::new(AtomicBool::new(false));
        let pings = Arc::new(Semaphore::new(PINGS_AT_ONCE));
        let mut webhooks =
            Self { client: Arc::clone(&client), allowed, is_on, pings, stop: Arc::clone(&stop), thread: None };
        if !is_on {
            return Ok((webhooks, None));
        }
        let courier = Courier::new(&config, allowed, client, Arc::clone(access), log, stop, Fatal::clone(fatal))?;
        let (running, ended) = oneshot::channel();
        let run = move || {
            courier.run();
            drop(running);
        };
        let handle = stream::spawn("api-webhooks", fatal, run)
            .map_err(|error| LogError::Fatal(format!("the API cannot start a thread: {error}")))?;
        webhooks.thread = Some(handle.thread().clone());
        Ok((webhooks, Some(ended)))
    }

    /// Whether webhooks are sent to here.
    pub const fn is_on(&self) -> bool {
        self.is_on
    }

    /// Which addresses are taken.
    pub const fn allowed(&self) -> Allowed {
        self.allowed
    }

    /// Sends a ping and waits for what comes back. `None`: too many are under way.
    pub async fn ping(&self, access: &Access, webhook: &Webhook) -> Option<Reply> {
        let permit = Arc::clone(&self.pings).try_acquire_owned().ok()?;
        let Ok(url) = guard::read(&webhook.url, self.allowed) else { return Some(Reply::failed("private_address")) };
        let (client, secrets) = (Arc::clone(&self.client), secrets(access, &webhook.webhook_id));
        let body = message::ping(webhook.webhook_id.as_str(), access::now());
        let id = format!("msg_{}", AccessId::random());
        // Its thread goes on when nobody waits for the answer any more, and so does the permit.
        let send = move || {
            let _permit = permit;
            client.send(&url, &id, &body, &secrets)
        };
        let sent = tokio::task::spawn_blocking(send).await;
        // A panic is told on its own line.
        Some(sent.unwrap_or(Reply::failed("protocol")))
    }
}

impl Drop for Webhooks {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = &self.thread {
            thread.unpark();
        }
    }
}

/// What the messages of a webhook are signed with.
fn secrets(access: &Access, id: &AccessId) -> Vec<Secret> {
    access.webhook_secrets(id).into_iter().map(Secret::new).collect()
}

/// The secret of a webhook as its owner is shown it.
pub fn reveal(access: &Access, id: &AccessId) -> String {
    secrets(access, id).first().map(Secret::reveal).unwrap_or_default()
}
