//! The composition root: which services run in this process, and how they start, tell that they are well, and stop.

use std::process::ExitCode;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context;
use store::Tables;
use stream::{Fatal, Log};
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::block_in_place;

use crate::admin;
use crate::config::{Process, Settings};

/// A service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The front door.
    Ingest,
    /// The appraiser.
    Enricher,
    /// The judge.
    Scorer,
    /// The counter.
    Api,
}

impl Role {
    /// Every service, in start order: who reads a topic starts before who writes it.
    pub const ALL: [Self; 4] = [Self::Scorer, Self::Enricher, Self::Ingest, Self::Api];
}

/// Exit code of a process that ends itself to be started again and replay (`EX_SOFTWARE`).
const CRASH: i32 = 70;

/// The running services of this process.
pub struct Services {
    /// The log they share.
    pub log: Log,
    parts: Arc<Mutex<Parts>>,
    addresses: Vec<(&'static str, std::net::SocketAddr)>,
}

#[derive(Default)]
struct Parts {
    ingest: Option<ingest::Ingest>,
    enricher: Option<enricher::Enricher>,
    scorer: Option<scorer::Scorer>,
    api: Option<api::Api>,
    log: Option<Log>,
}

impl Parts {
    fn checks(&self) -> Vec<(&'static str, Result<(), String>)> {
        let mut checks = Vec::new();
        checks.extend(self.log.as_ref().map(|log| ("log", log.health())));
        checks.extend(self.ingest.as_ref().map(|s| ("ingest", s.ready())));
        checks.extend(self.enricher.as_ref().map(|s| ("enricher", s.ready())));
        checks.extend(self.scorer.as_ref().map(|s| ("scorer", s.ready())));
        checks.extend(self.api.as_ref().map(|s| ("api", s.ready())));
        checks
    }
}

/// The runtime on which statements and requests are performed.
pub fn runtime(process: &Process) -> anyhow::Result<Runtime> {
    let threads = process.runtime_threads.clamp(1, 64);
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .enable_all()
        .build()
        .context("the runtime cannot start")
}

/// Creates topics and tables; returns what it changed.
pub async fn initialise(settings: &Settings) -> anyhow::Result<Vec<String>> {
    let mut changes: Vec<String> =
        block_in_place(|| stream::init(&settings.log))?.iter().map(ToString::to_string).collect();
    changes.extend(store::init(&settings.store).await?);
    Ok(changes)
}

/// Ends the process after a line that says what to look at: nothing is skipped, the next start reads again.
fn fatal() -> Fatal {
    Arc::new(|line: String| {
        tracing::error!("{line}; this process ends and reads again when it is started");
        std::process::exit(CRASH);
    })
}

/// A line that nobody should miss where nobody is asked for anything; louder where others can reach the ports.
fn say_what_is_open(settings: &Settings) {
    if settings.auth.mode != access::Mode::Open {
        return;
    }
    let ports = [settings.api.listen, settings.ingest.push.listen];
    match ports.iter().find(|port| !port.ip().is_loopback()) {
        None => {
            tracing::warn!("auth.mode is \"open\": every program of this machine may push listings and make sessions")
        }
        Some(port) => tracing::error!(
            "auth.mode is \"open\" and port {port} is reachable from outside: WHOEVER REACHES IT MAY PUSH LISTINGS AND MAKE SESSIONS; \
             set auth.mode to \"tokens\" (docs/access.md), or have a proxy in front ask for more"
        ),
    }
}

fn lock(parts: &Mutex<Parts>) -> MutexGuard<'_, Parts> {
    parts.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Services {
    /// Starts `roles`; when it returns, they take work.
    pub async fn start(roles: &[Role], settings: &Settings) -> anyhow::Result<Self> {
        let metrics = crate::telemetry::install_metrics()?;
        let log = block_in_place(|| stream::open(&settings.log))?;
        let has = |role| roles.contains(&role);
        let tables: Option<Tables> = match has(Role::Scorer) || has(Role::Api) {
            true => Some(store::open(&settings.store).await?),
            false => None,
        };
        if has(Role::Ingest) || has(Role::Api) {
            say_what_is_open(settings);
        }
        let mut parts = Parts { log: Some(log.clone()), ..Parts::default() };
        let mut addresses = Vec::new();
        if let Some(tables) = tables.clone().filter(|_| has(Role::Scorer)) {
            parts.scorer = Some(scorer::Scorer::start(settings.scorer.clone(), log.clone(), tables, fatal())?);
        }
        let appraiser = match has(Role::Enricher) || has(Role::Api) {
            true => Some(block_in_place(|| enricher::Appraiser::start(&settings.enricher, &log, &fatal()))?),
            false => None,
        };
        if let Some(appraiser) = appraiser.clone().filter(|_| has(Role::Enricher)) {
            parts.enricher = Some(enricher::Enricher::start(&settings.enricher, &log, appraiser, fatal())?);
        }
        if has(Role::Ingest) {
            let config = ingest::Config { auth: settings.auth.clone(), ..settings.ingest.clone() };
            let ingest = ingest::Ingest::start(config, log.clone(), fatal()).await?;
            addresses.extend(ingest.push_address().map(|address| ("feed push", address)));
            parts.ingest = Some(ingest);
        }
        if let Some(tables) = tables.filter(|_| has(Role::Api)) {
            let appraiser = appraiser.map(|a| crate::appraiser::bridge(a, &settings.enricher)).transpose()?;
            let config = api::Config { auth: settings.auth.clone(), ..settings.api.clone() };
            let render = metrics.clone();
            let lent = api::Lent {
                judge: Some(crate::judge::bridge(&settings.scorer)),
                metrics: Some(Arc::new(move || render.render())),
            };
            let api = api::Api::start(config, log.clone(), tables, appraiser, lent, fatal()).await?;
            addresses.push(("api", api.local_addr()));
            parts.api = Some(api);
        }
        let parts = Arc::new(Mutex::new(parts));
        let check: admin::Check = {
            let parts = parts.clone();
            Arc::new(move || lock(&parts).checks())
        };
        addresses.push(("admin", admin::serve(&settings.admin, metrics, check).await?));
        Ok(Self { log, parts, addresses })
    }

    /// One line with what listens where.
    pub fn started_line(&self) -> String {
        let addresses: Vec<_> = self.addresses.iter().map(|(name, at)| format!("{name} http://{at}")).collect();
        format!("roost {} has started: {}", env!("CARGO_PKG_VERSION"), addresses.join(", "))
    }

    /// Where a part listens.
    pub fn address(&self, part: &str) -> Option<std::net::SocketAddr> {
        self.addresses.iter().find(|(name, _)| *name == part).map(|(_, at)| *at)
    }

    /// Everything that is not well, for a person.
    pub fn complaints(&self) -> Vec<String> {
        lock(&self.parts)
            .checks()
            .into_iter()
            .filter_map(|(name, state)| Some(format!("{name}: {}", state.err()?)))
            .collect()
    }

    /// Stops in the order of the flow, so that what is taken in still comes out at the end.
    pub async fn stop(self, grace: Duration) -> ExitCode {
        let deadline = std::time::Instant::now() + grace;
        let left = || deadline.saturating_duration_since(std::time::Instant::now());
        let parts = std::mem::take(&mut *lock(&self.parts));
        if let Some(api) = parts.api {
            api.stop(left()).await;
        }
        block_in_place(|| {
            if let Some(ingest) = parts.ingest {
                tracing::info!("ingest: {}", ingest.stop(left()));
            }
            if let Some(enricher) = parts.enricher {
                tracing::info!("enricher: {}", enricher.stop(left()));
            }
            if let Some(scorer) = parts.scorer {
                tracing::info!("scorer: {}", scorer.stop(left()));
            }
        });
        tracing::info!("stopped");
        // Clients of the log and the store may wait for their servers when they are dropped: the process is done, it ends.
        std::process::exit(0);
    }
}

/// What is not well is said again after so many seconds.
const SAID_EVERY_S: u32 = 5;

/// Waits for SIGTERM or SIGINT; a second one ends the process at once, which loses nothing.
pub async fn until_told_to_stop(services: &Services) {
    let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        tracing::error!("signals cannot be caught; stop this process with SIGKILL: nothing is lost");
        return std::future::pending().await;
    };
    let mut told = tokio::time::interval(Duration::from_secs(1));
    // For how many seconds something has been amiss; `None`: all is well.
    let mut amiss = Some(0_u32);
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = told.tick() => {
                let complaints = services.complaints();
                let seconds = amiss.unwrap_or(0);
                if complaints.is_empty() && amiss.is_some() {
                    tracing::info!("ready");
                } else if seconds.is_multiple_of(SAID_EVERY_S) {
                    complaints.iter().for_each(|line| tracing::info!("waiting: {line}"));
                }
                amiss = (!complaints.is_empty()).then_some(seconds + 1);
            }
        }
    }
    tracing::info!("stopping: taking no new work; a second signal ends at once and loses nothing");
    tokio::spawn(async move {
        tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
        std::process::exit(130);
    });
}
