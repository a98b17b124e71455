//! A log of its own for each test, an enricher on it, and hands to publish and to read.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use enricher::{Appraiser, Config, Enricher};
use schemas::listing::Listing;
use schemas::priced::PricedListing;
use schemas::sale::Sale;
use schemas::topic::Topic;
use stream::{
    AckSink, BackendKind, Delivered, DeliveryError, EmbeddedConfig, Event, Fatal, KafkaConfig, Log, LogConfig,
    Outgoing, Reader, Record, Start,
};
use tempfile::TempDir;

/// Longer than anything takes on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);
pub const PARTITIONS: u32 = 2;

pub struct House {
    pub log: Log,
    pub config: Config,
    /// Why a service wanted to end the process.
    pub broken: Arc<Mutex<Vec<String>>>,
    /// Where an embedded log lies; goes last.
    _directory: Option<TempDir>,
}

/// Runs a test on every log that is there.
pub fn on_every_log(test: impl Fn(&House)) {
    for house in [Some(embedded()), kafka()].into_iter().flatten() {
        test(&house);
        house.is_sound();
    }
}

pub fn embedded() -> House {
    let directory = tempfile::tempdir().unwrap();
    let embedded =
        EmbeddedConfig { directory: directory.path().join("log"), partitions: PARTITIONS, ..EmbeddedConfig::default() };
    let config = LogConfig { backend: BackendKind::Embedded, embedded, ..LogConfig::default() };
    House { _directory: Some(directory), ..House::on(stream::open(&config).unwrap()) }
}

/// `None`, and a line that says so, without a Kafka to test on.
pub fn kafka() -> Option<House> {
    let Ok(servers) = std::env::var("ROOST_TEST_KAFKA") else {
        println!("skipped: ROOST_TEST_KAFKA is not set (make test sets it)");
        return None;
    };
    let unique = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
    let kafka = KafkaConfig {
        bootstrap_servers: servers,
        partitions: PARTITIONS,
        replication_factor: 1,
        topic_prefix: format!("enricher-test-{}-{unique}.", std::process::id()),
        session_timeout: Duration::from_secs(6),
        ..KafkaConfig::default()
    };
    let config = LogConfig { backend: BackendKind::Kafka, kafka, ..LogConfig::default() };
    stream::init(&config).unwrap();
    Some(House::on(stream::open(&config).unwrap()))
}

pub fn models() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/models")
}

pub fn library() -> PathBuf {
    let fetched = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.ort/libonnxruntime.so");
    std::env::var_os("ORT_DYLIB_PATH").map_or(fetched, PathBuf::from)
}

impl House {
    pub fn on(log: Log) -> Self {
        let config = Config {
            registry: models(),
            model: "tiny/1".to_owned(),
            library: Some(library()),
            workers: 2,
            ..Config::default()
        };
        Self { log, config, broken: Arc::default(), _directory: None }
    }

    pub fn fatal(&self) -> Fatal {
        let broken = Arc::clone(&self.broken);
        Arc::new(move |reason| broken.lock().unwrap().push(reason))
    }

    /// Nothing wanted to end the process.
    pub fn is_sound(&self) {
        assert_eq!(*self.broken.lock().unwrap(), Vec::<String>::new());
    }

    pub fn appraiser(&self) -> Appraiser {
        Appraiser::start(&self.config, &self.log, &self.fatal()).unwrap()
    }

    pub fn enricher(&self) -> Enricher {
        self.enricher_named("a", self.appraiser())
    }

    pub fn enricher_named(&self, instance: &str, appraiser: Appraiser) -> Enricher {
        let config = Config { instance: instance.to_owned(), ..self.config.clone() };
        Enricher::start(&config, &self.log, appraiser, self.fatal()).unwrap()
    }

    /// Appends records and waits until they are on the log.
    pub fn publish(&self, records: Vec<Outgoing>) -> Vec<Delivered> {
        let (sender, acks) = sync_channel(records.len().max(1));
        let producer = self.log.producer(Arc::new(Sink(sender))).unwrap();
        let count = records.len();
        for (token, record) in records.into_iter().enumerate() {
            producer.send(record, token as u64).unwrap();
        }
        let mut delivered: Vec<_> = (0..count).map(|_| next(&acks)).collect();
        delivered.sort_by_key(|(token, _)| *token);
        delivered.into_iter().map(|(_, delivered)| delivered).collect()
    }

    pub fn state(&self, listings: impl IntoIterator<Item = Listing>) {
        self.publish(
            listings
                .into_iter()
                .map(|listing| record(Topic::Listings, listing.listing_id.as_str(), &listing))
                .collect(),
        );
    }

    /// Everything that is on a topic.
    pub fn read_all(&self, topic: Topic) -> Vec<Record> {
        let partitions = if topic == Topic::Models { 1 } else { PARTITIONS };
        let starts: Vec<_> = (0..partitions).map(|p| (topic, p, Start::Earliest)).collect();
        let mut reader = self.log.follow(&starts).unwrap();
        let (mut records, mut ends) = (Vec::new(), std::collections::BTreeSet::new());
        let deadline = Instant::now() + PATIENCE;
        while ends.len() < partitions as usize {
            assert!(Instant::now() < deadline, "{topic} has no end");
            for event in poll(&mut *reader) {
                match event {
                    Event::Record(record) => records.push(record),
                    Event::End { partition, .. } => {
                        ends.insert(partition);
                    }
                    Event::Assigned(_) | Event::Revoked(_) => {}
                }
            }
        }
        records
    }

    /// The last fact of every listing.
    pub fn facts(&self) -> BTreeMap<String, PricedListing> {
        let records = self.read_all(Topic::ListingsPriced);
        records.iter().map(|record| (text(record.key.as_deref()), json(record))).collect()
    }

    pub fn sales(&self) -> Vec<Sale> {
        self.read_all(Topic::Sales).iter().map(json).collect()
    }

    /// Waits until the log says what it should.
    pub fn until<T>(&self, what: &str, look: impl Fn() -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = look() {
                return found;
            }
            self.is_sound();
            assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        }
    }

    /// Waits until a fact of that listing is as it should.
    pub fn fact(&self, key: &str, is_right: impl Fn(&PricedListing) -> bool) -> PricedListing {
        self.until(key, || self.facts().remove(key).filter(&is_right))
    }
}

fn next(acks: &Receiver<(u64, Result<Delivered, DeliveryError>)>) -> (u64, Delivered) {
    let (token, outcome) = acks.recv_timeout(PATIENCE).expect("an acknowledgement");
    (token, outcome.expect("delivered"))
}

struct Sink(SyncSender<(u64, Result<Delivered, DeliveryError>)>);

impl AckSink for Sink {
    fn acked(&self, token: u64, outcome: Result<Delivered, DeliveryError>) {
        let _ = self.0.send((token, outcome));
    }
}

pub fn poll(reader: &mut dyn Reader) -> Vec<Event> {
    let mut events = Vec::new();
    reader.poll(Duration::from_millis(50), &mut events).unwrap();
    events
}

pub fn record(topic: Topic, key: &str, value: &impl serde::Serialize) -> Outgoing {
    let value = Some(serde_json::to_vec(value).unwrap());
    Outgoing { topic, partition: None, key: Some(key.as_bytes().to_vec()), value, headers: Vec::new() }
}

pub fn text(bytes: Option<&[u8]>) -> String {
    String::from_utf8(bytes.unwrap_or_default().to_vec()).unwrap()
}

pub fn json<T: serde::de::DeserializeOwned>(record: &Record) -> T {
    serde_json::from_slice(record.value.as_deref().unwrap()).unwrap()
}

/// Statement `n` about a home of 1,000 square feet, which `tiny/1` values at 250,000.
pub fn listing(key: &str, n: i64, status: &str, price: i64) -> Listing {
    with(key, n, status, price, serde_json::json!({}))
}

pub fn with(key: &str, n: i64, status: &str, price: i64, more: serde_json::Value) -> Listing {
    let mut value = serde_json::json!({
        "listing_id": key, "feed": "f", "standard_status": status, "property_type": "Residential",
        "version": {"timestamp_ms": 1_700_000_000_000_i64 + n * 1_000, "raw_partition": 0, "raw_offset": n, "batch_index": 0},
        "transaction": "sale", "market": "us/wa/seattle", "country": "us", "currency": "USD",
        "list_price": price, "living_area_sqft": 1_000,
    });
    value.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    serde_json::from_value(value).unwrap()
}
