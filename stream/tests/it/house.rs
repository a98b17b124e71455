//! A log of its own for each test: topics with a random prefix on the Kafka that `ROOST_TEST_KAFKA` names, or a fresh
//! directory. Everything made is removed again.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use futures::executor::block_on;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use schemas::topic::Topic;
use stream::{
    AckSink, BackendKind, Delivered, DeliveryError, EmbeddedConfig, Event, KafkaConfig, Log, LogConfig, LogError,
    Outgoing, Producer, Reader, Record, Start,
};
use tempfile::TempDir;

use crate::meter;

/// Longer than anything takes on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);
pub const PARTITIONS: u32 = 4;

pub struct House {
    pub log: Log,
    pub config: LogConfig,
    place: Place,
}

/// Where it stands; removed when it goes.
pub enum Place {
    Topics { _topics: Topics },
    Directory { directory: TempDir },
    Borrowed,
}

/// Removes the topics of a prefix when it goes.
pub struct Topics(KafkaConfig);

impl Drop for Topics {
    fn drop(&mut self) {
        let names: Vec<String> = Topic::ALL.iter().map(|topic| format!("{}{topic}", self.0.topic_prefix)).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let _ = block_on(admin(&self.0).delete_topics(&names, &AdminOptions::new()));
    }
}

pub fn admin(config: &KafkaConfig) -> AdminClient<DefaultClientContext> {
    ClientConfig::new().set("bootstrap.servers", &config.bootstrap_servers).create().unwrap()
}

/// Compacts within seconds.
pub fn quick_compaction() -> BTreeMap<String, String> {
    [
        ("min.compaction.lag.ms", "0"),
        ("segment.ms", "500"),
        ("min.cleanable.dirty.ratio", "0.01"),
        ("delete.retention.ms", "60000"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into()
}

/// `None`, and a line that says so, without a Kafka to test on.
pub fn kafka_config() -> Option<(LogConfig, Topics)> {
    let Ok(servers) = std::env::var("ROOST_TEST_KAFKA") else {
        println!("skipped: ROOST_TEST_KAFKA is not set (make test sets it)");
        return None;
    };
    let unique = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
    let kafka = KafkaConfig {
        bootstrap_servers: servers,
        partitions: PARTITIONS,
        replication_factor: 1,
        topic_prefix: format!("stream-test-{}-{unique}.", std::process::id()),
        session_timeout: Duration::from_secs(6),
        topic_settings: [(Topic::ListingsPriced.name().to_owned(), quick_compaction())].into(),
        ..KafkaConfig::default()
    };
    let topics = Topics(kafka.clone());
    Some((LogConfig { backend: BackendKind::Kafka, kafka, ..LogConfig::default() }, topics))
}

pub fn kafka() -> Option<House> {
    meter::install();
    let (config, topics) = kafka_config()?;
    stream::init(&config).unwrap();
    let log = stream::open(&config).unwrap();
    Some(House { log, config, place: Place::Topics { _topics: topics } })
}

/// In that directory; compacts within a second.
pub fn embedded_config(directory: &std::path::Path) -> LogConfig {
    let embedded = EmbeddedConfig {
        directory: directory.join("log"),
        partitions: PARTITIONS,
        min_compaction_lag: Some(Duration::ZERO),
        compact_every: Duration::from_millis(50),
        ..EmbeddedConfig::default()
    };
    LogConfig { backend: BackendKind::Embedded, embedded, ..LogConfig::default() }
}

pub fn embedded() -> House {
    let directory = tempfile::tempdir().unwrap();
    House::in_directory(embedded_config(directory.path()), directory)
}

/// Acknowledgements, as a channel.
pub struct Acks(Receiver<(u64, Result<Delivered, DeliveryError>)>);
struct Sink(SyncSender<(u64, Result<Delivered, DeliveryError>)>);

impl AckSink for Sink {
    fn acked(&self, token: u64, outcome: Result<Delivered, DeliveryError>) {
        let _ = self.0.send((token, outcome));
    }
}

impl Acks {
    /// Takes what is there.
    pub fn drain(&self) {
        while self.0.try_recv().is_ok() {}
    }

    pub fn next(&self) -> (u64, Delivered) {
        let (token, outcome) = self.0.recv_timeout(PATIENCE).expect("an acknowledgement");
        (token, outcome.expect("delivered"))
    }
}

impl House {
    pub fn in_directory(config: LogConfig, directory: TempDir) -> Self {
        meter::install();
        let log = stream::open(&config).unwrap();
        Self { log, config, place: Place::Directory { directory } }
    }

    /// On a directory that somebody else removes.
    pub fn borrowed(log: Log, config: LogConfig) -> Self {
        Self { log, config, place: Place::Borrowed }
    }

    /// As after a restart of the process.
    pub fn reopen(self) -> Self {
        let Self { log, config, place } = self;
        drop(log);
        match place {
            Place::Directory { directory } => Self::in_directory(config, directory),
            Place::Topics { .. } | Place::Borrowed => panic!("only a log in a directory of its own is opened again"),
        }
    }

    pub fn producer(&self) -> (Box<dyn Producer>, Acks) {
        // More than any test sends.
        let (sender, receiver) = sync_channel(100_000);
        (self.log.producer(Arc::new(Sink(sender))).unwrap(), Acks(receiver))
    }

    /// Sends them, and waits until all are on the log; acknowledgements in order of sending.
    pub fn publish(&self, records: Vec<Outgoing>) -> Vec<Delivered> {
        let (producer, acks) = self.producer();
        let count = records.len();
        for (token, record) in records.into_iter().enumerate() {
            producer.send(record, token as u64).unwrap();
        }
        let mut delivered: Vec<(u64, Delivered)> = (0..count).map(|_| acks.next()).collect();
        delivered.sort_by_key(|(token, _)| *token);
        delivered.into_iter().map(|(_, delivered)| delivered).collect()
    }

    pub fn follow(&self, starts: &[(Topic, u32, Start)]) -> Tap {
        Tap::new(self.log.follow(starts).unwrap())
    }

    pub fn follow_all(&self, topic: Topic) -> Tap {
        let starts: Vec<_> = (0..PARTITIONS).map(|p| (topic, p, Start::Earliest)).collect();
        self.follow(&starts)
    }

    /// Everything that is on a topic.
    pub fn read_all(&self, topic: Topic) -> Vec<Record> {
        let mut tap = self.follow_all(topic);
        let mut ends = BTreeSet::new();
        let mut records = Vec::new();
        while ends.len() < PARTITIONS as usize {
            match tap.next() {
                Event::Record(record) => records.push(record),
                Event::End { partition, .. } => {
                    ends.insert(partition);
                }
                Event::Assigned(_) | Event::Revoked(_) => {}
            }
        }
        records
    }
}

/// A reader, event by event.
pub struct Tap {
    pub reader: Box<dyn Reader>,
    polled: VecDeque<Event>,
}

impl Tap {
    pub fn new(reader: Box<dyn Reader>) -> Self {
        Self { reader, polled: VecDeque::new() }
    }

    /// The next event; fails after a minute without one.
    #[track_caller]
    pub fn next(&mut self) -> Event {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(event) = self.polled.pop_front() {
                return event;
            }
            assert!(Instant::now() < deadline, "no event within {PATIENCE:?}");
            self.polled.extend(poll(&mut *self.reader));
        }
    }
}

/// Asks again in a moment; for conditions that nobody tells.
pub fn pause() {
    std::thread::park_timeout(Duration::from_millis(10));
}

/// One poll; brokers that are slow for a moment are waited for.
pub fn poll(reader: &mut dyn Reader) -> Vec<Event> {
    try_poll(reader).unwrap()
}

/// The same, with what ends a reader.
pub fn try_poll(reader: &mut dyn Reader) -> Result<Vec<Event>, LogError> {
    let mut events = Vec::new();
    match reader.poll(Duration::from_millis(200), &mut events) {
        Ok(()) | Err(LogError::Unavailable(_)) => Ok(events),
        Err(error) => Err(error),
    }
}

/// A record with a key and a value.
pub fn keyed(topic: Topic, key: &str, value: &str) -> Outgoing {
    Outgoing {
        topic,
        partition: None,
        key: Some(key.as_bytes().to_vec()),
        value: Some(value.as_bytes().to_vec()),
        headers: Vec::new(),
    }
}

pub fn text(record: &Record) -> &str {
    std::str::from_utf8(record.value.as_deref().unwrap_or_default()).unwrap()
}
