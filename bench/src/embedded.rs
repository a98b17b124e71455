//! The whole house in this process on the embedded log and tables, composed as `roost up` composes it, so that the benchmark
//! can look at every stage of the log.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use store::{StoreConfig, Tables};
use stream::{BackendKind, Fatal, Log, LogConfig};
use tokio::runtime::Runtime;

/// How long it may take to stop.
const GRACE: Duration = Duration::from_secs(10);

/// The house.
pub struct House {
    /// Its log.
    pub log: Log,
    /// Its tables.
    pub tables: Tables,
    /// Where its API answers.
    pub api: SocketAddr,
    /// On which requests are answered and rows written.
    pub runtime: Runtime,
    parts: Parts,
}

struct Parts {
    scorer: scorer::Scorer,
    enricher: enricher::Enricher,
    ingest: ingest::Ingest,
    api: api::Api,
}

impl House {
    /// Opens it in a directory, with the shipped settings.
    pub fn open(directory: &Path) -> Result<Self> {
        let runtime = crate::services::runtime()?;
        let mut log = LogConfig { backend: BackendKind::Embedded, ..LogConfig::default() };
        log.embedded.directory = directory.join("log");
        let mut tables = StoreConfig { backend: store::BackendKind::Embedded, ..StoreConfig::default() };
        tables.embedded.directory = directory.join("tables");
        stream::init(&log)?;
        runtime.block_on(store::init(&tables))?;
        let log = stream::open(&log)?;
        let tables = runtime.block_on(store::open(&tables))?;
        let parts = runtime.block_on(Parts::start(&log, &tables))?;
        Ok(Self { api: parts.api.local_addr(), log, tables, runtime, parts })
    }

    /// `Err` names a part that is not ready.
    pub fn ready(&self) -> Result<(), String> {
        let Parts { scorer, enricher, ingest, api } = &self.parts;
        scorer.ready().and(enricher.ready()).and(ingest.ready()).and(api.ready())
    }

    /// Stops it in the order of the flow.
    pub fn stop(self) {
        let Parts { scorer, enricher, ingest, api } = self.parts;
        self.runtime.block_on(api.stop(GRACE));
        ingest.stop(GRACE);
        enricher.stop(GRACE);
        scorer.stop(GRACE);
    }
}

impl Parts {
    async fn start(log: &Log, tables: &Tables) -> Result<Self> {
        let fatal: Fatal = Arc::new(|line| {
            eprintln!("the embedded house ends: {line}");
            std::process::exit(1);
        });
        let scorer = scorer::Scorer::start(scorer::Config::default(), log.clone(), tables.clone(), fatal.clone())?;
        let settings = enricher::Config::default();
        let appraiser = tokio::task::block_in_place(|| enricher::Appraiser::start(&settings, log, &fatal))?;
        let enricher = enricher::Enricher::start(&settings, log, appraiser, fatal.clone())?;
        let mut settings = ingest::Config::default();
        // Its records come through the log.
        settings.push.enabled = false;
        let ingest = ingest::Ingest::start(settings, log.clone(), fatal.clone()).await?;
        let mut settings = api::Config::default();
        settings.listen.set_port(0);
        let api = api::Api::start(settings, log.clone(), tables.clone(), None, api::Lent::default(), fatal).await?;
        Ok(Self { scorer, enricher, ingest, api })
    }
}
