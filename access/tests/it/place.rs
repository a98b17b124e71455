//! A log, and processes that follow it.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use access::{Access, Config, Role};
use stream::{AckSink, Delivered, DeliveryError, Fatal, Log, LogConfig, Outgoing};
use tempfile::TempDir;

pub struct Place {
    pub log: Log,
    pub runtime: tokio::runtime::Runtime,
    pub fatal: Arc<Mutex<Vec<String>>>,
    pub directory: TempDir,
}

impl Place {
    pub fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let embedded = stream::EmbeddedConfig {
            directory: directory.path().join("log"),
            partitions: 4,
            ..stream::EmbeddedConfig::default()
        };
        let config = LogConfig { backend: stream::BackendKind::Embedded, embedded, ..LogConfig::default() };
        let log = stream::open(&config).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Self { log, runtime, fatal: Arc::default(), directory }
    }

    /// A process that has read the log to its end.
    pub fn access(&self, config: &Config) -> Access {
        let access = self.start(config).unwrap();
        eventually("it is ready", || access.ready().is_ok());
        access
    }

    /// A process, or why there is none.
    pub fn start(&self, config: &Config) -> Result<Access, String> {
        let lines = Arc::clone(&self.fatal);
        let fatal: Fatal = Arc::new(move |line| lines.lock().unwrap().push(line));
        let started = Access::start(config, Role::Api, &self.log, &fatal);
        started.map(|(access, _)| access).map_err(|error| error.to_string())
    }

    /// Settings of mode `tokens`, whose secret is a file here.
    pub fn tokens(&self) -> Config {
        let secret = self.directory.path().join("secret");
        if !secret.exists() {
            access::secret::Secret::create(&secret).unwrap();
        }
        Config { mode: access::Mode::Tokens, secret_file: secret, ..Config::default() }
    }

    /// Appends as a process would that knows nothing.
    pub fn append(&self, record: &schemas::access::AccessRecord) {
        let producer = self.log.producer(Arc::new(Heedless)).unwrap();
        let (key, value) = (Some(record.key().to_string().into_bytes()), Some(record.to_json()));
        let topic = schemas::topic::Topic::Access;
        producer.send(Outgoing { topic, partition: None, key, value, headers: Vec::new() }, 0).unwrap();
        producer.flush(Duration::from_secs(5)).unwrap();
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert!(self.fatal.lock().unwrap().is_empty(), "{:?}", self.fatal);
        }
    }
}

struct Heedless;
impl AckSink for Heedless {
    fn acked(&self, _: u64, outcome: Result<Delivered, DeliveryError>) {
        outcome.unwrap();
    }
}

/// Looks until it is so, for at most ten seconds.
#[track_caller]
pub fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(10);
    while !is_so() {
        assert!(Instant::now() < until, "not within 10 s: {what}");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}
