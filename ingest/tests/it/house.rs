//! A log of its own for each test, and ingest running on it: a fresh directory for the embedded one; on the Kafka that
//! `ROOST_TEST_KAFKA` names, topics with a prefix of their own (they go with that Kafka).

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ingest::{Config, Drained, Ingest, PushConfig};
use schemas::header::Headers;
use schemas::topic::Topic;
use stream::{
    AckSink, BackendKind, Delivered, DeliveryError, EmbeddedConfig, Event, Fatal, KafkaConfig, Log, LogConfig,
    LogError, Outgoing, Record, Start,
};
use tokio::runtime::Runtime;

/// Longer than anything takes on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);
pub const PARTITIONS: u32 = 4;

pub struct House {
    pub log: Log,
    runtime: Runtime,
    fatal: Fatal,
    pub complaints: Arc<Mutex<Vec<String>>>,
}

/// Runs a test that does not depend on the log.
pub fn on_the_embedded_log(test: impl Fn(&House)) {
    let directory = tempfile::tempdir().unwrap();
    let embedded =
        EmbeddedConfig { directory: directory.path().to_owned(), partitions: PARTITIONS, ..EmbeddedConfig::default() };
    println!("on the embedded log");
    test(&House::new(&LogConfig { backend: BackendKind::Embedded, embedded, ..LogConfig::default() }));
}

/// Runs a test on every log that is there.
pub fn on_every_log(test: impl Fn(&House)) {
    on_the_embedded_log(&test);
    let Ok(servers) = std::env::var("ROOST_TEST_KAFKA") else {
        println!("not run on Kafka: ROOST_TEST_KAFKA is not set (make test sets it)");
        return;
    };
    let unique = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
    let kafka = KafkaConfig {
        bootstrap_servers: servers,
        partitions: PARTITIONS,
        replication_factor: 1,
        topic_prefix: format!("ingest-test-{}-{unique}.", std::process::id()),
        session_timeout: Duration::from_secs(6),
        ..KafkaConfig::default()
    };
    println!("on Kafka");
    test(&House::new(&LogConfig { backend: BackendKind::Kafka, kafka, ..LogConfig::default() }));
}

impl House {
    fn new(config: &LogConfig) -> Self {
        stream::init(config).unwrap();
        let log = stream::open(config).unwrap();
        let complaints = Arc::new(Mutex::new(Vec::new()));
        let heard = complaints.clone();
        let fatal: Fatal = Arc::new(move |line| heard.lock().unwrap().push(line));
        Self { log, runtime: Runtime::new().unwrap(), fatal, complaints }
    }

    /// Starts ingest on a free port and waits until it is ready.
    pub fn start(&self) -> Ingest {
        let ingest = self.start_on(&self.log, Config::default());
        let deadline = Instant::now() + PATIENCE;
        while let Err(reason) = ingest.ready() {
            assert!(Instant::now() < deadline, "{reason}");
            std::thread::park_timeout(Duration::from_millis(20));
        }
        ingest
    }

    /// Starts ingest on a free port, on a log that may have faults.
    pub fn start_on(&self, log: &Log, config: Config) -> Ingest {
        let listen = "127.0.0.1:0".parse().unwrap();
        let push = PushConfig { listen, max_body_bytes: 1 << 20, ..config.push };
        let config = Config { push, instance: "test".to_owned(), ..config };
        self.runtime.block_on(Ingest::start(config, log.clone(), self.fatal.clone())).unwrap()
    }

    /// Stops it; nothing is left, and it had no complaint.
    pub fn stop(&self, ingest: Ingest) {
        assert_eq!(ingest.stop(PATIENCE), Drained::Clean);
        assert_eq!(*self.complaints.lock().unwrap(), Vec::<String>::new());
    }

    /// Sends raw records in order, and waits until all are on the log.
    pub fn publish(&self, records: Vec<Outgoing>) -> Vec<Delivered> {
        struct Acks(mpsc::SyncSender<(u64, Result<Delivered, DeliveryError>)>);
        impl AckSink for Acks {
            fn acked(&self, token: u64, outcome: Result<Delivered, DeliveryError>) {
                self.0.send((token, outcome)).unwrap();
            }
        }
        let (sender, acks) = mpsc::sync_channel(records.len());
        let producer = self.log.producer(Arc::new(Acks(sender))).unwrap();
        let mut places = vec![None; records.len()];
        for (token, record) in (0..).zip(records) {
            producer.send(record, token).unwrap();
        }
        for _ in 0..places.len() {
            let (token, outcome) = acks.recv_timeout(PATIENCE).expect("an acknowledgement");
            places[token as usize] = Some(outcome.unwrap());
        }
        places.into_iter().map(Option::unwrap).collect()
    }

    /// What is on a topic once it has at least `count` records and its end is reached.
    pub fn read(&self, topic: Topic, count: usize) -> Vec<Record> {
        let starts: Vec<_> = (0..PARTITIONS).map(|partition| (topic, partition, Start::Earliest)).collect();
        let mut reader = self.log.follow(&starts).unwrap();
        let (mut records, mut ends, mut events) = (Vec::new(), BTreeSet::new(), Vec::new());
        let deadline = Instant::now() + PATIENCE;
        while records.len() < count || ends.len() < PARTITIONS as usize {
            assert!(Instant::now() < deadline, "{} of {count} records on {topic}: {records:?}", records.len());
            match reader.poll(Duration::from_millis(100), &mut events) {
                Ok(()) | Err(LogError::Unavailable(_)) => {}
                Err(error) => panic!("{error}"),
            }
            for event in events.drain(..) {
                match event {
                    Event::Record(record) => records.push(record),
                    Event::End { partition, .. } => drop(ends.insert(partition)),
                    Event::Assigned(_) | Event::Revoked(_) => {}
                }
            }
        }
        records
    }
}

/// A raw record.
pub fn raw(key: Option<&str>, value: Option<&str>, headers: &[(&str, &str)]) -> Outgoing {
    let headers: Headers =
        headers.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec())).collect();
    Outgoing {
        topic: Topic::ListingsRaw,
        partition: key.is_none().then_some(1),
        key: key.map(|key| key.as_bytes().to_vec()),
        value: value.map(|value| value.as_bytes().to_vec()),
        headers,
    }
}

/// The least that a listing needs.
pub fn least(key: &str) -> String {
    format!(
        r#"{{"ListingKey":"{key}","StandardStatus":"Active","ListPrice":650000,"City":"Austin","StateOrProvince":"TX"}}"#
    )
}
