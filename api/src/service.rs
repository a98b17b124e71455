//! Starts and stops the API: what runs beside the requests, and in which order it ends.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant as Moment};

use access::Access;
use store::Tables;
use stream::{Fatal, Log, LogError};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;

use crate::app::{App, WAITING_FOR_A_TURN};
use crate::appraise::Appraiser;
use crate::centres::Centres;
use crate::changes::Changes;
use crate::config::Config;
use crate::feed::{self, LOOKS_AT_ONCE};
use crate::follow::Follower;
use crate::freshness::{self, Freshness};
use crate::lent::Lent;
use crate::limits::Limits;
use crate::listeners::Listeners;
use crate::names::Names;
use crate::recall::Answers;
use crate::recent::Recent;
use crate::router::router;
use crate::statements::{Ended, Statements};
use crate::stop::Stop;
use crate::tags::Tags;
use crate::webhooks::Webhooks;

/// Why the API did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The log is away: try again.
    #[error("the API cannot start, the log does not answer: {0}")]
    LogUnavailable(String),
    /// What to do is in the text.
    #[error("the API cannot start: {0}")]
    Fatal(String),
}

impl From<LogError> for StartError {
    fn from(error: LogError) -> Self {
        match error {
            LogError::Unavailable(reason) => Self::LogUnavailable(reason),
            LogError::QueueFull | LogError::Fatal(_) => Self::Fatal(error.to_string()),
        }
    }
}

/// The running API.
pub struct Api {
    app: Arc<App>,
    local_addr: SocketAddr,
    stop: watch::Sender<bool>,
    server: JoinHandle<()>,
    background: [JoinHandle<()>; 2],
    threads: Vec<Ended>,
}

/// How the API ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained {
    /// Whether every request was answered and every statement acknowledged within the grace time.
    pub is_clean: bool,
}

impl Api {
    /// Opens the log, then listens. When it returns, requests are answered; [`Api::ready`] says when all is known.
    ///
    /// Must be called on a tokio runtime, which then runs the requests.
    pub async fn start(
        config: Config,
        log: Log,
        tables: Tables,
        appraiser: Option<Arc<dyn Appraiser>>,
        lent: Lent,
        fatal: Fatal,
    ) -> Result<Self, StartError> {
        crate::metrics::describe();
        crate::descriptors::warn_if_too_few(&config);
        let listeners = Arc::new(Listeners::default());
        let recent = Arc::new(Recent::default());
        // Longer would be stale, were an announcement lost.
        let tags = Arc::new(Tags::new(config.stale_after));
        let seen = (Arc::clone(&recent), Arc::clone(&tags));
        let ways = open_log(&config, &log, &listeners, seen, fatal).await?;
        let listener = serve::listen(config.listen).map_err(|error| {
            StartError::Fatal(format!(
                "listen = \"{}\": {error}; choose another address or end what uses it",
                config.listen
            ))
        })?;
        let local_addr = listener.local_addr().map_err(|error| StartError::Fatal(error.to_string()))?;
        let limits = serve::Limits {
            max_connections: config.max_connections,
            header_timeout: config.header_timeout,
            write_timeout: config.write_timeout,
        };
        let (stop, stopped) = Stop::new();
        let freshness = Arc::new(Freshness::new(log.partitions()));
        let refresher = tokio::spawn(freshness::keep(Arc::clone(&freshness), Arc::clone(&tables)));
        let teller = tokio::spawn(feed::tell_staleness(
            Arc::clone(&freshness),
            Arc::clone(&listeners),
            log.partitions(),
            config.stale_after,
        ));
        let app = Arc::new(App {
            in_flight: Semaphore::new(config.max_in_flight),
            waiting: Semaphore::new(config.max_waiting),
            streams: Arc::new(Semaphore::new(config.max_streams)),
            looks: Semaphore::new(LOOKS_AT_ONCE),
            appraisals: Arc::new(Semaphore::new(config.max_appraisals)),
            turns: Semaphore::new(WAITING_FOR_A_TURN * config.max_appraisals),
            batches: Arc::new(Semaphore::new(config.max_batches)),
            recent,
            answers: Answers::default(),
            limits: Limits::new(&config),
            registering: tokio::sync::Mutex::default(),
            names: Names::default(),
            centres: Centres::default(),
            previews: Semaphore::new(config.max_previews),
            scans: Semaphore::new(config.max_scans),
            config,
            access: ways.access,
            webhooks: ways.webhooks,
            log,
            tables,
            statements: ways.statements,
            follower: ways.follower,
            _changes: ways.changes,
            listeners,
            tags,
            freshness,
            appraiser,
            lent,
            stop: stopped.clone(),
        });
        let server = tokio::spawn(serve::serve(listener, router(Arc::clone(&app)), limits, stopped.receiver()));
        tracing::info!(%local_addr, "the API listens on http://{local_addr}");
        Ok(Self { app, local_addr, stop, server, background: [refresher, teller], threads: ways.threads })
    }

    /// Where it listens.
    pub const fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// `Err` says what is not there, and since when. May block for one request to the log.
    pub fn ready(&self) -> Result<(), String> {
        self.app.ready()
    }

    /// Takes no new requests, finishes those under way and their statements, within `grace`; then cuts off the rest.
    pub async fn stop(self, grace: Duration) -> Drained {
        let started = Moment::now();
        // Nobody listening means that everything has ended already.
        let _ = self.stop.send(true);
        let mut server = self.server;
        let answered = tokio::time::timeout(grace, &mut server).await.is_ok();
        if !answered {
            server.abort();
            // An aborted task ends at its next await.
            let _ = server.await;
        }
        self.background.iter().for_each(JoinHandle::abort);
        // With the last request goes the last way to the log, and its threads end.
        drop(self.app);
        let left = grace.saturating_sub(started.elapsed());
        let ended = tokio::time::timeout(left, futures::future::join_all(self.threads)).await.is_ok();
        Drained { is_clean: answered && ended }
    }
}

/// The ways to the log, and what tells that their threads have ended.
struct Ways {
    access: Arc<Access>,
    statements: Statements,
    follower: Follower,
    changes: Changes,
    webhooks: Webhooks,
    threads: Vec<Ended>,
}

/// Opens the ways to the log, on a thread that may block.
async fn open_log(
    config: &Config,
    log: &Log,
    listeners: &Arc<Listeners>,
    (recent, tags): (Arc<Recent>, Arc<Tags>),
    fatal: Fatal,
) -> Result<Ways, StartError> {
    let (log, deadline) = (Arc::clone(log), config.statement_deadline);
    let listeners = Arc::clone(listeners);
    let (auth, webhooks) = (config.auth.clone(), config.webhooks.clone());
    let opened = tokio::task::spawn_blocking(move || {
        let (access, [appended, known]) = Access::start(&auth, access::Role::Api, &log, &fatal)?;
        let (statements, sent) = Statements::start(&log, deadline, Arc::clone(&fatal))?;
        let (follower, followed) =
            Follower::start(&log, Arc::clone(&listeners), Arc::clone(&recent), Arc::clone(&fatal))?;
        let (changes, changed) = Changes::start(&log, listeners, (recent, tags), Arc::clone(&fatal))?;
        let access = Arc::new(access);
        let (webhooks, sending) = Webhooks::start(webhooks, &access, &log, &fatal)?;
        Ok::<_, LogError>(Ways {
            access,
            statements,
            follower,
            changes,
            webhooks,
            threads: [sent, followed, changed, appended, known].into_iter().chain(sending).collect(),
        })
    });
    let opened = opened.await.map_err(|error| StartError::Fatal(error.to_string()))?;
    Ok(opened?)
}
