//! The HTTP way in. A record is checked with the same reader as behind the log, appended to `listings.raw`, and answered
//! when the log has it; a refused record is answered and not appended, for its sender is there to mend it.
//!
//! `POST /feeds/{feed}/listings` takes a listing, a batch, or a listing per line; `GET /feeds/{feed}/keys` tells the homes
//! on offer that a snapshot is compared with. Who may ask, `porter.rs` says. Makes nothing canonical: that is decided once, behind the log.

mod answer;
mod append;
mod body;
mod check;
mod index;
mod keys;
mod porter;
mod problem;
mod receive;
mod routes;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use stream::{Fatal, Log, LogError};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use self::append::Appender;
use self::keys::Keys;
use self::porter::Porter;
use self::routes::Shared;
use crate::config::PushConfig;

/// The push port, serving.
pub(crate) struct Push {
    address: SocketAddr,
    stopping: watch::Sender<bool>,
    server: JoinHandle<()>,
    shared: Arc<Shared>,
}

/// Why the port does not serve.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    /// The address.
    #[error("cannot listen on {listen}: {source}; free the port or set ingest.push.listen")]
    Listen {
        /// Where.
        listen: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
    /// The log.
    #[error(transparent)]
    Log(#[from] LogError),
}

impl Push {
    /// Listens, and serves on the runtime that this is called on.
    pub(crate) async fn start(
        config: PushConfig,
        auth: &access::Config,
        log: &Log,
        fatal: &Fatal,
    ) -> Result<Self, PushError> {
        let listen = config.listen;
        let limits = serve::Limits {
            max_connections: config.max_connections,
            header_timeout: config.header_timeout,
            write_timeout: config.write_timeout,
        };
        let failed = |source| PushError::Listen { listen, source };
        let listener = serve::listen(listen).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let keys = Keys::new(log.clone(), config.keys_idle, fatal.clone());
        let shared = Arc::new(Shared::new(config, Porter::start(auth, log, fatal)?, Appender::new(log)?, keys));
        let (stopping, told) = watch::channel(false);
        let router = routes::router(shared.clone());
        let server = tokio::spawn(serve::serve(listener, router, limits, told));
        Ok(Self { address, stopping, server, shared })
    }

    /// Where it listens.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// `Err` when it no longer serves.
    pub(crate) fn ready(&self) -> Result<(), String> {
        if self.server.is_finished() {
            return Err(format!("the push port {} no longer serves", self.address));
        }
        self.shared.porter.ready()
    }

    /// Takes no new connection and waits until those there are answered; blocks.
    pub(crate) fn stop(self, deadline: Instant) {
        let _ = self.stopping.send(true);
        self.shared.keys.stop();
        while !self.server.is_finished() && Instant::now() < deadline {
            std::thread::park_timeout(Duration::from_millis(5));
        }
        self.server.abort();
        let left = deadline.saturating_duration_since(Instant::now());
        if let Err(error) = self.shared.appender.flush(left) {
            tracing::warn!("records pushed last were not acknowledged before the stop: {error}");
        }
    }
}
