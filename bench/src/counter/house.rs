//! roost as its users have it: the four services on Kafka and CQL, or `roost up` on one machine. Filled over HTTP like every
//! installation: listings are pushed to ingest, statements posted to the API.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use e2e::harness::{self, Installation, Running, Servers, free_port, until};
use e2e::http;
use synthetic::{Event, Session};

use super::load::{Pace, Requests};
use super::town::Town;
use crate::http::{Connection, bearer, with_body};
use crate::machine;
use crate::services::{self, Service};

/// Listings of one push, some 1 MB: as many as ingest takes at once.
const PUSHED_AT_ONCE: usize = 1_000;
/// Statements are posted over so many connections.
const COUNTERS: usize = 16;
/// How long the stock may take to come through.
const OPENING: Duration = Duration::from_secs(400);
/// No row waits for so long: all are written. What is counted off the hot path may follow.
const STILL: Duration = Duration::from_secs(2);

/// A running roost.
pub struct Roost {
    /// What it stands on.
    pub name: &'static str,
    /// `host:port` of the API.
    pub api: String,
    /// Its process: of `roost up`, everything.
    pub pid: u32,
    /// Whoever else works for an answer: the store.
    store: Vec<u32>,
    push: String,
    admins: Vec<String>,
    kind: Kind,
}

enum Kind {
    OnServers(Box<Installation>),
    Embedded { _running: Running, _directory: tempfile::TempDir },
}

impl Roost {
    /// The four services on Kafka and CQL; `api` are settings of the API, as variables.
    pub fn on_servers(servers: &Servers, api: &[(&str, &str)]) -> Result<Self> {
        let mut installation = services::installation(servers, "counter")?;
        let mut running = Vec::new();
        for name in ["scorer", "enricher", "ingest"] {
            running.push(Service::start(&mut installation, name, &[])?);
        }
        running.push(Service::start(&mut installation, "api", api)?);
        for service in &running {
            service.until_ready(&mut installation)?;
        }
        let [scorer, enricher, ingest, counter] = &running[..] else { unreachable!("four were started") };
        Ok(Self {
            name: "Kafka + CQL",
            api: counter.address.clone(),
            pid: counter.pid(&installation)?,
            store: machine::named("CassandraDaemon"),
            push: ingest.address.clone(),
            admins: [scorer, enricher, ingest, counter].map(Service::ready_url).map(|url| metrics_of(&url)).into(),
            kind: Kind::OnServers(Box::new(installation)),
        })
    }

    /// `roost up` in a directory of its own on the disk of the repository.
    pub fn embedded(api: &[(&str, &str)]) -> Result<Self> {
        let directory = tempfile::tempdir_in(".")?;
        let [admin, address, push] = [free_port()?, free_port()?, free_port()?].map(|port| format!("127.0.0.1:{port}"));
        let output = File::create(directory.path().join("output"))?;
        let mut command = harness::roost()?;
        command
            .arg("up")
            .arg("--data-dir")
            .arg(std::path::absolute(directory.path())?.join("data"))
            .env("ROOST__ADMIN__LISTEN", &admin)
            .env("ROOST__API__LISTEN", &address)
            .env("ROOST__INGEST__PUSH__LISTEN", &push)
            .env("ROOST__TELEMETRY__FILTER", "warn")
            .envs(api.iter().copied())
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output);
        let running = Running::spawn(&mut command)?;
        let ready = format!("http://{admin}/readyz");
        until("roost up is ready", OPENING, || Ok(http::get(&ready).is_ok().then_some(()))).map_err(|error| {
            let said = std::fs::read_to_string(directory.path().join("output")).unwrap_or_default();
            error.context(said)
        })?;
        Ok(Self {
            name: "embedded",
            api: address,
            pid: running.id(),
            store: Vec::new(),
            push,
            admins: vec![metrics_of(&ready)],
            kind: Kind::Embedded { _running: running, _directory: directory },
        })
    }

    /// Its process; with the store's, where that is another.
    pub fn processes(&self) -> Vec<Vec<u32>> {
        let mut groups = vec![vec![self.pid]];
        if !self.store.is_empty() {
            groups.push([vec![self.pid], self.store.clone()].concat());
        }
        groups
    }

    /// Starts the API once more with other settings. Of `roost up` there is no API alone.
    pub fn api_with(&mut self, settings: &[(&str, &str)]) -> Result<()> {
        let Kind::OnServers(installation) = &mut self.kind else {
            anyhow::bail!("only an API that is a process of its own starts by itself");
        };
        services::stop(installation, "api")?;
        let counter = Service::start(installation, "api", settings)?;
        counter.until_ready(installation)?;
        self.api.clone_from(&counter.address);
        self.pid = counter.pid(installation)?;
        Ok(())
    }

    /// Brings in the whole town, and waits until every row of it is written.
    pub fn fill(&self, town: &Town) -> Result<()> {
        let mut of_feed: BTreeMap<&str, Vec<&Event>> = BTreeMap::new();
        for event in &town.events {
            of_feed.entry(event.feed()).or_default().push(event);
        }
        for (feed, events) in of_feed {
            for part in events.chunks(PUSHED_AT_ONCE) {
                self.push(feed, part.iter().map(|event| event.json()))?;
            }
        }
        self.settle("roost_listings_known", town.events.len())?;
        self.state(&town.sessions)?;
        self.settle("roost_sessions_active", town.sessions.len())
    }

    /// Publishes what a feed says, as one batch; when it returns, the log has it.
    pub fn push(&self, feed: &str, records: impl Iterator<Item = Vec<u8>>) -> Result<()> {
        self.publisher(feed)?.push(records)
    }

    /// A connection of a feed's own.
    pub fn publisher(&self, feed: &str) -> Result<Publisher> {
        Ok(Publisher {
            connection: Connection::open(&self.push)?,
            address: self.push.clone(),
            path: format!("/feeds/{feed}/listings"),
        })
    }

    /// The request that states what a session wants.
    pub fn statement(&self, Session { token, preferences }: &Session) -> Vec<u8> {
        with_body("POST", &self.api, "/api/v1/preferences", &bearer(*token), &preferences.to_json())
    }

    /// Posts what these sessions want.
    pub fn state(&self, sessions: &[Session]) -> Result<()> {
        self.post(sessions.iter().map(|session| self.statement(session)).collect())
    }

    /// Posts these statements, each once.
    pub fn post(&self, statements: Vec<Vec<u8>>) -> Result<()> {
        let requests = Requests { address: self.api.clone(), each: Arc::new(statements), status: 202 };
        requests.ask(COUNTERS, Pace::Once, &[])?;
        Ok(())
    }

    /// Waits until a metric has come so far, and then no row waits to be written.
    pub fn settle(&self, metric: &str, wanted: usize) -> Result<()> {
        let mut still: Option<Instant> = None;
        until(&format!("{wanted} by {metric}, and every row written"), OPENING, || {
            let [known, dirty, outstanding] =
                [metric, "roost_scorer_rows_dirty", "roost_scorer_rows_outstanding"].map(|name| self.metric(name));
            if known? < wanted as f64 || dirty? > 0.0 {
                still = None;
                return Ok(None);
            }
            // Rows that tell how far a shard is are outstanding again and again, also when nothing happens.
            let since = *still.get_or_insert_with(Instant::now);
            Ok((since.elapsed() >= STILL && outstanding? == 0.0).then_some(()))
        })
    }

    /// A metric, summed over services and labels.
    pub fn metric(&self, name: &str) -> Result<f64> {
        self.admins.iter().map(|url| Ok(http::sum(&http::get(url)?, name))).sum()
    }
}

fn metrics_of(ready_url: &str) -> String {
    ready_url.replace("/readyz", "/metrics")
}

/// One feed that pushes.
pub struct Publisher {
    connection: Connection,
    address: String,
    path: String,
}

impl Publisher {
    /// Publishes a batch; when it returns, the log has it.
    pub fn push(&mut self, records: impl Iterator<Item = Vec<u8>>) -> Result<()> {
        let mut body = String::from(r#"{"value":["#);
        for (number, record) in records.enumerate() {
            // Writing to a text cannot fail.
            let _ = write!(body, "{}{}", if number == 0 { "" } else { "," }, String::from_utf8_lossy(&record));
        }
        body.push_str("]}");
        let mut answer = Vec::new();
        let status =
            self.connection.ask(&with_body("POST", &self.address, &self.path, "", body.as_bytes()), &mut answer)?;
        ensure!(
            status == 200,
            "{}: {status}: {}",
            self.path,
            String::from_utf8_lossy(&answer[..answer.len().min(600)])
        );
        Ok(())
    }
}
