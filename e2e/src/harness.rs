//! Real processes on real servers: an installation of roost with names of its own on shared Kafka and CQL servers, its
//! services as child processes that can be killed, paused and started again.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Write;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use schemas::topic::Topic;
use store::{Row, Table, Tables};
use stream::{Event, Log, LogError, Record, Start};

use crate::http;

/// The servers that `make test` names; `None` when there are none.
pub struct Servers {
    /// `host:port`.
    pub kafka: String,
    /// `host:port`.
    pub cql: String,
}

impl Servers {
    /// From `ROOST_TEST_KAFKA` and `ROOST_TEST_CQL`. Says so on standard error when they are not set.
    pub fn from_environment() -> Option<Self> {
        let servers = std::env::var("ROOST_TEST_KAFKA").ok().zip(std::env::var("ROOST_TEST_CQL").ok());
        if servers.is_none() {
            eprintln!("skipped: ROOST_TEST_KAFKA and ROOST_TEST_CQL are not set (make test sets them)");
        }
        servers.map(|(kafka, cql)| Self { kafka, cql })
    }
}

/// How patient tests are; a loaded machine needs more (`ROOST_TEST_PATIENCE`, a factor).
pub fn patience(seconds: u64) -> Duration {
    let factor = std::env::var("ROOST_TEST_PATIENCE").ok().and_then(|f| f.parse::<f64>().ok()).unwrap_or(1.0);
    Duration::from_secs_f64(seconds as f64 * factor.clamp(0.1, 100.0))
}

/// Asks `done` until it answers `Ok(Some(_))`; its last words are the error when time is up.
pub fn until<T>(what: &str, limit: Duration, mut done: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let begun = Instant::now();
    loop {
        let outcome = done();
        match outcome {
            Ok(Some(value)) => return Ok(value),
            Ok(None) if begun.elapsed() > limit => bail!("{what}: not within {} s", limit.as_secs()),
            Err(error) if begun.elapsed() > limit => {
                return Err(error.context(format!("{what}: not within {} s", limit.as_secs())));
            }
            Ok(None) | Err(_) => std::thread::park_timeout(Duration::from_millis(50)),
        }
    }
}

/// A directory of the repository.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map_or_else(PathBuf::new, Path::to_path_buf)
}

/// A file of real data; `None`, and a line on standard error, when this machine has none.
pub fn real_data(name: &str) -> Option<PathBuf> {
    let path = repository().join("../shared/data").join(name);
    if !path.exists() {
        eprintln!("skipped: no real data ({name})");
        return None;
    }
    Some(path)
}

/// The binary under test: built beside a test's directory by `cargo test --workspace`, or beside a benchmark.
pub fn binary() -> Result<PathBuf> {
    let this = std::env::current_exe()?;
    let beside = this.ancestors().skip(1).take(2).map(|directory| directory.join("roost"));
    let built = beside.into_iter().find(|path| path.is_file());
    built.with_context(|| format!("no roost beside {}; run `cargo build --bin roost`", this.display()))
}

/// The binary, run where its default paths (models, ONNX Runtime) are.
pub fn roost() -> Result<Command> {
    let mut command = Command::new(binary()?);
    command.current_dir(repository());
    Ok(command)
}

/// A port that was free a moment ago. Below those that systems take for outgoing connections, so that a service that is
/// killed finds it free again.
pub fn free_port() -> Result<u16> {
    for _ in 0..100 {
        let port = 10_000 + (random() % 20_000) as u16;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no free port between 10000 and 30000")
}

/// Random bits.
pub fn random() -> u64 {
    schemas::id::SessionToken::random().session_id().bits() as u64
}

/// The seed of a test's random choices: `ROOST_TEST_SEED`, else a new one; printed, so that a failure can be repeated.
pub fn seed() -> Result<u64> {
    let seed = match std::env::var("ROOST_TEST_SEED") {
        Ok(text) => text.parse().with_context(|| format!("ROOST_TEST_SEED={text} is not a number"))?,
        Err(_) => random() >> 32,
    };
    eprintln!("seed {seed} (ROOST_TEST_SEED={seed} chooses it again)");
    Ok(seed)
}

/// One installation: its settings, its services, its clients.
pub struct Installation {
    directory: tempfile::TempDir,
    settings: String,
    /// Of its tables; the default's where the settings name none.
    pub keyspace: String,
    /// The log, as a client of the test.
    pub log: Log,
    /// The tables, as a client of the test.
    pub tables: Tables,
    runtime: tokio::runtime::Runtime,
    services: BTreeMap<String, Service>,
}

/// A running service.
struct Service {
    child: Child,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
}

impl Installation {
    /// Topics and tables under a fresh name, made by `roost init`. `more` is TOML that is added to the settings.
    pub fn on_servers(servers: &Servers, name: &str, more: &str) -> Result<Self> {
        let unique = format!("{name}_{:08x}", random() as u32);
        // A busy machine needs minutes to start the brokers again; the services' own two would end them.
        let message_timeout_s = patience(600).as_secs();
        let settings = format!(
            "[log]\nbackend = \"kafka\"\n[log.kafka]\nbootstrap_servers = \"{}\"\npartitions = 4\nreplication_factor = 1\n\
             topic_prefix = \"{unique}.\"\nsession_timeout = \"6s\"\nmessage_timeout = \"{message_timeout_s}s\"\n\
             [store]\nbackend = \"scylla\"\n[store.scylla]\ncontact_points = [\"{}\"]\nkeyspace = \"{unique}\"\nreplication_factor = 1\n{more}\n",
            servers.kafka, servers.cql
        );
        Self::new(settings, true)
    }

    /// Clients of an installation that is there already; nothing is created. `settings` is TOML.
    pub fn with_settings(settings: String) -> Result<Self> {
        Self::new(settings, false)
    }

    fn new(settings: String, init: bool) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let path = directory.path().join("roost.toml");
        std::fs::write(&path, &settings)?;
        if init {
            let done = roost()?.arg("--config").arg(&path).arg("init").output()?;
            ensure!(done.status.success(), "roost init: {}", String::from_utf8_lossy(&done.stderr));
        }
        #[derive(serde::Deserialize)]
        struct Clients {
            log: stream::LogConfig,
            store: store::StoreConfig,
        }
        let table: toml::Table = settings.parse()?;
        let clients = Clients {
            log: table.get("log").cloned().context("no [log]")?.try_into()?,
            store: table.get("store").cloned().context("no [store]")?.try_into()?,
        };
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let log = stream::open(&clients.log)?;
        let tables = runtime.block_on(store::open(&clients.store))?;
        let keyspace = clients.store.scylla.keyspace.to_string();
        Ok(Self { directory, settings, keyspace, log, tables, runtime, services: BTreeMap::new() })
    }

    /// The settings file.
    pub fn config(&self) -> PathBuf {
        self.directory.path().join("roost.toml")
    }

    /// A file or directory of this installation.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The settings, TOML.
    pub fn settings(&self) -> &str {
        &self.settings
    }

    /// Starts `roost ARGUMENTS` under a name, with variables such as `ROOST__ADMIN__LISTEN`; its output goes to a file.
    pub fn start(&mut self, name: &str, arguments: &[&str], environment: &[(&str, String)]) -> Result<()> {
        let arguments = arguments.iter().map(ToString::to_string).collect();
        let environment = environment.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect();
        self.spawn(name, arguments, environment)
    }

    fn spawn(&mut self, name: &str, arguments: Vec<String>, environment: Vec<(String, String)>) -> Result<()> {
        let output = File::options().create(true).append(true).open(self.path(&format!("{name}.log")))?;
        let child = roost()?
            .arg("--config")
            .arg(self.config())
            .args(&arguments)
            .envs(environment.iter().cloned())
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()?;
        self.services.insert(name.to_owned(), Service { child, arguments, environment });
        Ok(())
    }

    /// Starts the service `role` under a name, with ports of its own, as the member of its group that the name says: after a
    /// kill it is that member again.
    pub fn start_role(&mut self, name: &str, role: &str) -> Result<()> {
        self.start_role_with(name, role, &[])
    }

    /// The same, with more variables.
    pub fn start_role_with(&mut self, name: &str, role: &str, more: &[(&str, String)]) -> Result<()> {
        let mut environment: Vec<(String, String)> = more.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect();
        for listener in ["ADMIN", "API", "INGEST__PUSH"] {
            environment.push((format!("ROOST__{listener}__LISTEN"), format!("127.0.0.1:{}", free_port()?)));
        }
        for group in ["INGEST", "ENRICHER", "SCORER"] {
            environment.push((format!("ROOST__{group}__INSTANCE"), name.to_owned()));
        }
        self.spawn(name, vec![role.to_owned()], environment)
    }

    /// The base address of a listener of a service: `ADMIN`, `API`, `INGEST__PUSH`.
    pub fn url(&self, name: &str, listener: &str) -> Result<String> {
        let service = self.services.get(name).with_context(|| format!("{name} never ran"))?;
        let variable = format!("ROOST__{listener}__LISTEN");
        let address = service.environment.iter().find(|(key, _)| *key == variable);
        Ok(format!("http://{}", address.with_context(|| format!("{name} was not given {variable}"))?.1))
    }

    /// Waits until a service says that it is ready.
    pub fn ready(&self, name: &str) -> Result<()> {
        let url = format!("{}/readyz", self.url(name, "ADMIN")?);
        until(&format!("{name} is ready"), patience(60), || http::get(&url).map(Some)).map(drop)
    }

    /// A metric of a service, summed over its labels; 0 where it is not served.
    pub fn metric(&self, name: &str, metric: &str) -> Result<f64> {
        Ok(http::sum(&http::get(&format!("{}/metrics", self.url(name, "ADMIN")?))?, metric))
    }

    /// Kills a service with SIGKILL.
    pub fn kill(&mut self, name: &str) -> Result<()> {
        let service = self.services.get_mut(name).with_context(|| format!("{name} does not run"))?;
        service.child.kill()?;
        service.child.wait()?;
        Ok(())
    }

    /// Starts a killed service again, as it was.
    pub fn restart(&mut self, name: &str) -> Result<()> {
        let service = self.services.remove(name).with_context(|| format!("{name} never ran"))?;
        self.spawn(name, service.arguments, service.environment)
    }

    /// Kills every service that was started, and starts it again.
    pub fn restart_all(&mut self) -> Result<()> {
        let names: Vec<String> = self.services.keys().cloned().collect();
        for name in &names {
            self.kill(name)?;
        }
        for name in &names {
            self.restart(name)?;
        }
        Ok(())
    }

    /// Sends a signal to a service.
    pub fn signal(&self, name: &str, signal: &str) -> Result<()> {
        let pid = self.pid(name).with_context(|| format!("{name} does not run"))?;
        let sent = Command::new("kill").arg(format!("-{signal}")).arg(pid.to_string()).status()?;
        ensure!(sent.success(), "kill -{signal} {name}");
        Ok(())
    }

    /// The process of a service that was started.
    pub fn pid(&self, name: &str) -> Option<u32> {
        self.services.get(name).map(|service| service.child.id())
    }

    /// The exit code of a service that has ended; `None` while it runs.
    pub fn exit_code(&mut self, name: &str) -> Result<Option<i32>> {
        let service = self.services.get_mut(name).with_context(|| format!("{name} never ran"))?;
        Ok(service.child.try_wait()?.map(|status| status.code().unwrap_or(-1)))
    }

    /// Sends SIGTERM and waits for the end; the exit code.
    pub fn stop(&mut self, name: &str) -> Result<i32> {
        self.signal(name, "TERM")?;
        until(&format!("{name} stops"), patience(30), || self.exit_code(name))
    }

    /// What a service has printed so far.
    pub fn output(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(&format!("{name}.log"))).unwrap_or_default()
    }

    /// Runs `roost ARGUMENTS` to its end; standard output and error, and the exit code.
    pub fn run(&self, arguments: &[&str]) -> Result<(String, i32)> {
        let done = roost()?.arg("--config").arg(self.config()).args(arguments).output()?;
        let text = String::from_utf8_lossy(&done.stdout).into_owned() + &String::from_utf8_lossy(&done.stderr);
        Ok((text, done.status.code().unwrap_or(-1)))
    }

    /// Every record that stands on a topic now, partition by partition.
    pub fn records(&self, topic: Topic) -> Result<Vec<Record>> {
        read_to_end(&self.log, topic)
    }

    /// The deterministic rows of all tables.
    pub fn rows(&self) -> Result<crate::oracle::Rows> {
        let mut rows = BTreeMap::new();
        let tables = [
            Table::Recommendations,
            Table::Sessions,
            Table::Listings,
            Table::ListingsByMarket,
            Table::Markets,
            Table::MarketDays,
        ];
        for table in tables {
            let scanned = self.runtime.block_on(self.tables.scan(table))?;
            for (row, cell) in scanned {
                ensure!(cell.timestamp.raw() < 1 << 50, "{row:?} was written at {}", cell.timestamp.raw());
                rows.insert(row, cell.json);
            }
        }
        Ok(rows)
    }

    /// The runtime on which the tables are asked, for threads of a test.
    pub fn runtime(&self) -> tokio::runtime::Handle {
        self.runtime.handle().clone()
    }

    /// One cell.
    pub fn cell(&self, row: Row) -> Result<Option<store::Cell>> {
        Ok(self.runtime.block_on(self.tables.read(row))?)
    }
}

impl Drop for Installation {
    fn drop(&mut self) {
        for (name, service) in &mut self.services {
            let failed =
                service.child.try_wait().ok().flatten().and_then(|status| status.code()).is_some_and(|c| c != 0);
            // Ended already, or ends now: both are fine.
            let _ = service.child.kill();
            let _ = service.child.wait();
            if failed || std::thread::panicking() {
                let output =
                    std::fs::read_to_string(self.directory.path().join(format!("{name}.log"))).unwrap_or_default();
                let tail: Vec<&str> = output.lines().rev().take(30).collect();
                let mut error = std::io::stderr();
                let _ = writeln!(error, "--- {name}, last lines:");
                for line in tail.iter().rev() {
                    let _ = writeln!(error, "{line}");
                }
            }
        }
    }
}

/// A child process that ends with its test.
pub struct Running(Child);

impl Running {
    /// Starts it.
    pub fn spawn(command: &mut Command) -> Result<Self> {
        Ok(Self(command.spawn()?))
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// Waits for its end; an error when that is none with success.
    pub fn finish(mut self, what: &str, limit: Duration) -> Result<()> {
        let status = until(&format!("{what} ends"), limit, || Ok(self.0.try_wait()?))?;
        ensure!(status.success(), "{what}: {status}");
        Ok(())
    }

    /// Sends SIGTERM and waits for its end.
    pub fn stop(self, what: &str) -> Result<()> {
        let told = Command::new("kill").arg("-TERM").arg(self.id().to_string()).status()?;
        ensure!(told.success(), "kill -TERM");
        self.finish(what, patience(30))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Ended already, or ends now: both are fine.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Every record that stands on a topic now, partition by partition.
pub fn read_to_end(log: &Log, topic: Topic) -> Result<Vec<Record>> {
    let partitions = match topic.partitions() {
        schemas::topic::Partitions::Keyed => log.partitions(),
        schemas::topic::Partitions::One => 1,
    };
    let starts: Vec<_> = (0..partitions).map(|p| (topic, p, Start::Earliest)).collect();
    let mut reader = log.follow(&starts)?;
    let (mut records, mut ends, mut events) = (Vec::new(), BTreeSet::new(), Vec::new());
    let begun = Instant::now();
    while ends.len() < partitions as usize {
        ensure!(begun.elapsed() < patience(60), "{topic} was not read to its end in time");
        match reader.poll(Duration::from_millis(100), &mut events) {
            Ok(()) | Err(LogError::Unavailable(_)) => {}
            Err(error) => return Err(error.into()),
        }
        for event in events.drain(..) {
            match event {
                Event::Record(record) => records.push(record),
                Event::End { partition, .. } => drop(ends.insert(partition)),
                Event::Assigned(_) | Event::Revoked(_) => {}
            }
        }
    }
    records.sort_by_key(|record| (record.partition, record.offset));
    Ok(records)
}
