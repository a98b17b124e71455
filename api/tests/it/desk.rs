//! An API that listens on a free port, with its log and tables, and a client that asks it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use api::{Api, Appraiser, Config, Lent};
use schemas::id::{ListingId, SessionId, SessionToken};
use schemas::listing::Listing;
use schemas::recommendation::items_hash;
use schemas::topic::{Topic, session_key};
use serde_json::{Value, json};
use store::{ByMarket, Row, StoreConfig, Write, WriteTimestamp};
use stream::{AckSink, Delivered, DeliveryError, LogConfig, Outgoing};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tracing::Dispatch;

use crate::contract::CONTRACT;
use crate::faults::{Delivery, FaultyLog, FaultyTables};

/// A running API.
pub struct Desk {
    runtime: Runtime,
    api: Option<Api>,
    pub log: stream::Log,
    pub delivery: Arc<Mutex<Delivery>>,
    pub tables: Arc<FaultyTables>,
    pub fatal: Arc<Mutex<Vec<String>>>,
    pub base: String,
    agent: ureq::Agent,
    /// Holds what the log and the tables hold; goes last.
    directory: Option<TempDir>,
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: ureq::http::HeaderMap,
    pub text: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {} {}", self.status, self.text))
    }
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
    /// Asserts that it is a whole problem document of this kind, and gives it.
    #[track_caller]
    pub fn problem(&self, status: u16, slug: &str) -> Value {
        assert_eq!(
            (self.status, self.header("content-type")),
            (status, Some("application/problem+json")),
            "{}",
            self.text
        );
        let document = self.json();
        assert_eq!(document["type"], format!("/problems/{slug}"), "{document:#}");
        assert_eq!(document["status"], status);
        for member in ["title", "detail", "instance", "request_id"] {
            assert!(document[member].as_str().is_some_and(|text| !text.is_empty()), "{member}: {document:#}");
        }
        assert_eq!(document["request_id"].as_str(), self.header("x-request-id"));
        assert_eq!(self.header("retry-after").is_some(), status == 503 || status == 429, "{document:#}");
        document
    }
}

impl Desk {
    pub fn start() -> Self {
        Self::start_with(Config::default(), None)
    }

    pub fn start_with(config: Config, appraiser: Option<Arc<dyn Appraiser>>) -> Self {
        Self::open(config, appraiser, Lent::default(), None)
    }

    /// An API to which other parts of the process lend something.
    pub fn start_lent(config: Config, appraiser: Option<Arc<dyn Appraiser>>, lent: Lent) -> Self {
        Self::open(config, appraiser, lent, None)
    }

    /// An API with everything that can be there.
    pub fn start_furnished(appraiser: Arc<dyn Appraiser>, lent: Lent) -> Self {
        Self::open(Config::default(), Some(appraiser), lent, None)
    }

    /// An API whose threads log to this.
    pub fn start_watched(watch: Dispatch) -> Self {
        Self::open(Config::default(), None, Lent::default(), Some(watch))
    }

    fn open(config: Config, appraiser: Option<Arc<dyn Appraiser>>, lent: Lent, watch: Option<Dispatch>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = StoreConfig {
            backend: store::BackendKind::Embedded,
            embedded: store::EmbeddedConfig {
                directory: directory.path().join("tables"),
                ..store::EmbeddedConfig::default()
            },
            ..StoreConfig::default()
        };
        let log = LogConfig {
            backend: stream::BackendKind::Embedded,
            embedded: stream::EmbeddedConfig {
                directory: directory.path().join("log"),
                partitions: 4,
                ..stream::EmbeddedConfig::default()
            },
            ..LogConfig::default()
        };
        let log = stream::open(&log).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let tables = runtime.block_on(store::open(&store)).unwrap();
        let mut desk = Self::run(config, appraiser, lent, log, tables, watch, false);
        desk.eventually("the API is ready", || desk.api().ready().is_ok());
        desk.directory = Some(directory);
        desk
    }

    /// Another process of the same API.
    pub fn start_beside(other: &Self) -> Self {
        let desk = Self::start_endless_or_not(other, false);
        desk.eventually("the API is ready", || desk.api().ready().is_ok());
        desk
    }

    /// Another process of the same API, with settings of its own.
    pub fn start_beside_with(other: &Self, config: Config) -> Self {
        let (log, tables) = (Arc::clone(&other.log), Arc::clone(&other.tables.inner));
        let desk = Self::run(config, None, Lent::default(), log, tables, None, false);
        desk.eventually("the API is ready", || desk.api().ready().is_ok());
        desk
    }

    /// Another process of the same API, which never knows that it has read the log to its end.
    pub fn start_endless_beside(other: &Self) -> Self {
        Self::start_endless_or_not(other, true)
    }

    fn start_endless_or_not(other: &Self, endless: bool) -> Self {
        let (log, tables) = (Arc::clone(&other.log), Arc::clone(&other.tables.inner));
        Self::run(Config::default(), None, Lent::default(), log, tables, None, endless)
    }

    fn run(
        config: Config,
        appraiser: Option<Arc<dyn Appraiser>>,
        lent: Lent,
        log: stream::Log,
        tables: store::Tables,
        watch: Option<Dispatch>,
        endless: bool,
    ) -> Self {
        let mut threads = tokio::runtime::Builder::new_multi_thread();
        if let Some(watch) = watch {
            threads.on_thread_start(move || std::mem::forget(tracing::dispatcher::set_default(&watch)));
        }
        let runtime = threads.worker_threads(2).enable_all().build().unwrap();
        let delivery = Arc::new(Mutex::new(Delivery::Honest));
        let faulty: stream::Log =
            Arc::new(FaultyLog { inner: Arc::clone(&log), delivery: Arc::clone(&delivery), endless });
        let tables = Arc::new(FaultyTables { inner: tables, away: AtomicBool::new(false) });
        let fatal = Arc::new(Mutex::new(Vec::new()));
        let config = Config { listen: ([127, 0, 0, 1], 0).into(), ..config };
        let lines = Arc::clone(&fatal);
        let tell: stream::Fatal = Arc::new(move |line| lines.lock().unwrap().push(line));
        let api = runtime.block_on(Api::start(config, faulty, tables.clone(), appraiser, lent, tell)).unwrap();
        let base = format!("http://{}", api.local_addr());
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .allow_non_standard_methods(true)
            .max_redirects(0)
            .timeout_global(Some(Duration::from_secs(60)))
            .build()
            .into();
        Self { runtime, api: Some(api), log, delivery, tables, fatal, base, agent, directory: None }
    }

    pub fn api(&self) -> &Api {
        self.api.as_ref().unwrap()
    }

    pub fn stop(mut self, grace: Duration) -> api::Drained {
        self.runtime.block_on(self.api.take().unwrap().stop(grace))
    }

    /// Asks and reads the whole answer.
    pub fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let mut request = ureq::http::Request::builder().method(method).uri(format!("{}{path}", self.base));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        // A GET without a body must not announce one.
        let outcome = if body.is_empty() {
            self.agent.run(request.body(()).unwrap())
        } else {
            self.agent.run(request.body(body).unwrap())
        };
        let mut response = outcome.unwrap_or_else(|error| panic!("{method} {path}: {error}"));
        let text = String::from_utf8_lossy(&response.body_mut().read_to_vec().unwrap()).into_owned();
        let answer = Answer { status: response.status().as_u16(), headers: response.headers().clone(), text };
        CONTRACT.judge(method, path, &answer).unwrap_or_else(|wrong| panic!("{wrong}"));
        answer
    }

    pub fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &[], b"")
    }

    pub fn get_as(&self, token: &str, path: &str) -> Answer {
        self.ask("GET", path, &[("authorization", &format!("Bearer {token}"))], b"")
    }

    pub fn post(&self, path: &str, body: &Value) -> Answer {
        self.ask("POST", path, &[("content-type", "application/json")], body.to_string().as_bytes())
    }

    pub fn post_lines(&self, path: &str, body: &str) -> Answer {
        self.ask("POST", path, &[("content-type", "application/x-ndjson")], body.as_bytes())
    }

    /// States preferences and gives the accepted answer.
    pub fn state(&self) -> Value {
        let answer = self.post("/api/v1/preferences", &preferences());
        assert_eq!(answer.status, 202, "{}", answer.text);
        answer.json()
    }

    /// Writes a row as the scorer would; later writes win.
    pub fn write(&self, row: Row, cell: Option<&Value>) -> WriteTimestamp {
        static SEQUENCE: AtomicU64 = AtomicU64::new(1);
        let timestamp = WriteTimestamp::new(1, SEQUENCE.fetch_add(1, Ordering::Relaxed)).unwrap();
        let cell = cell.map(|cell| cell.to_string().into());
        self.runtime.block_on(self.tables.inner.write(Write { row, cell, timestamp })).unwrap();
        timestamp
    }

    /// Writes the recommendation of a session for the statement of this version.
    pub fn recommend(&self, session: SessionId, version: u64) {
        self.write(Row::Recommendation(session), Some(&json!({"preference_version": version, "items": [item()]})));
    }

    /// Writes the recommendation of a session and says so on the log, as the scorer does. Gives the event's id.
    pub fn announce(&self, session: SessionId, version: u64, items: &[Value]) -> String {
        let cell = json!({"preference_version": version, "items": items});
        let timestamp = self.write(Row::Recommendation(session), Some(&cell)).raw();
        self.tell(session, timestamp, &cell)
    }

    /// Says on the log that a session's cell is this since that write. Gives the event's id.
    pub fn tell(&self, session: SessionId, write_timestamp: i64, cell: &Value) -> String {
        let hash = items_hash(&cell.to_string());
        let value = json!({"session_id": session, "write_timestamp": write_timestamp, "items_hash": hash, "recommendation": cell});
        self.append(Topic::Recommendations, session, Some(value.to_string().into_bytes()));
        format!("{write_timestamp}-{hash}")
    }

    /// Appends a record under a session's key.
    pub fn append(&self, topic: Topic, session: SessionId, value: Option<Vec<u8>>) {
        self.append_under(topic, session_key(session), value);
    }

    /// Appends a record under any key.
    pub fn append_under(&self, topic: Topic, key: Vec<u8>, value: Option<Vec<u8>>) {
        let producer = self.log.producer(Arc::new(Heedless)).unwrap();
        let key = Some(key);
        producer.send(Outgoing { topic, partition: None, key, value, headers: Vec::new() }, 0).unwrap();
        producer.flush(Duration::from_secs(5)).unwrap();
    }

    /// Says for every shard that its owner has applied the logs up to `seconds` ago.
    pub fn catch_up(&self, seconds: i64) {
        let at = jiff::Timestamp::now() - jiff::SignedDuration::from_secs(seconds);
        for shard in 0..self.log.partitions() {
            self.write(Row::Shard(shard), Some(&json!({"epoch": 1, "caught_up_at": format!("{at:.3}")})));
        }
    }

    /// Writes a listing and its index entry, as the scorer would.
    pub fn list(&self, key: &str, price: i64, members: &Value) {
        let fact = fact(key, price, members);
        self.write(Row::Listing(id_of(key)), Some(&fact));
        self.write(Row::ListingByMarket(entry(&fact)), Some(&json!({})));
    }

    /// Looks until it is so, for at most ten seconds.
    #[track_caller]
    pub fn eventually(&self, what: &str, mut is_so: impl FnMut() -> bool) {
        let until = Instant::now() + Duration::from_secs(10);
        while !is_so() {
            assert!(Instant::now() < until, "not within 10 s: {what}");
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }
}

struct Heedless;
impl AckSink for Heedless {
    fn acked(&self, _: u64, outcome: Result<Delivered, DeliveryError>) {
        outcome.unwrap();
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        if let Some(api) = self.api.take() {
            self.runtime.block_on(api.stop(Duration::from_secs(5)));
        }
        let fatal = self.fatal.lock().unwrap();
        if !std::thread::panicking() {
            assert!(fatal.is_empty(), "the API wanted to end the process: {fatal:?}");
        }
    }
}

/// The smallest preferences.
pub fn preferences() -> Value {
    json!({"budget": 750_000, "currency": "USD", "place": {"cities": ["us/wa/seattle"]}})
}

/// The session of a token as text.
pub fn session(token: &str) -> SessionId {
    token.parse::<SessionToken>().unwrap().session_id()
}

/// A recommended listing.
pub fn item() -> Value {
    json!({
        "rank": 1, "listing_id": "seattle:1", "score": 812, "last_change": "PriceChange",
        "content_version": version(), "changed_at": "2026-11-25T12:00:00.000Z",
        "components": [{"component": "affordability", "points": 170, "of": 218, "reason": "31 % under budget"}],
        "title": "1 Pine St", "market": "us/wa/seattle", "standard_status": "Active", "list_price": 520_000, "currency": "USD",
    })
}

/// A version of a listing.
pub fn version() -> Value {
    json!({"timestamp_ms": 1_796_000_000_000_i64, "raw_partition": 0, "raw_offset": 7, "batch_index": 0, "model_epoch": 0})
}

/// The id of the listing of this key.
pub fn id_of(key: &str) -> ListingId {
    format!("seattle:{key}").parse().unwrap()
}

/// The fact of a listing, with further members of its canonical form.
pub fn fact(key: &str, price: i64, members: &Value) -> Value {
    let mut listing = json!({
        "listing_id": id_of(key), "version": version(), "feed": "seattle", "standard_status": "Active",
        "property_type": "Residential", "property_sub_type": "SingleFamilyResidence", "transaction": "sale",
        "market": "us/wa/seattle", "country": "us", "state_or_province": "WA", "city": "Seattle", "postal_code": "98101",
        "unparsed_address": "1 Pine St", "position": {"latitude": 47.61, "longitude": -122.33}, "currency": "USD",
        "list_price": price, "bedrooms_total": 3, "bathrooms_total": 2.5, "living_area_sqft": 1_800,
    });
    listing.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    let point = |ms: i64, price: i64| {
        let mut version = version();
        version["timestamp_ms"] = json!(ms);
        json!({"version": version, "standard_status": "Active", "list_price": price})
    };
    json!({
        "listing": listing, "content_version": version(), "last_confirmed_at": "2026-11-25T12:00:00.000Z",
        "history": [point(1_795_000_000_000, price + 10_000), point(1_796_000_000_000, price)],
        "first_seen_at": "2026-11-18T10:13:20.000Z", "original_list_price": price + 10_000,
        "previous_list_price": price + 10_000, "price_changed_at": "2026-11-30T00:00:00.000Z", "last_change": "PriceChange",
        "commute": {"minutes": 18, "estimated": true},
        "valuation": {"p10": 480_000, "p50": 530_000, "p90": 590_000, "model": "price", "model_version": "1"},
        "deal": {"score": 61, "valuation_gap": 55, "price_trend": 5, "source_reliability": 1, "discount": 0,
                 "competitiveness": 0, "anomaly": false},
    })
}

/// The index entry of a fact.
pub fn entry(fact: &Value) -> ByMarket {
    let listing: Listing = serde_json::from_value(fact["listing"].clone()).unwrap();
    ByMarket {
        market: listing.market,
        transaction: listing.transaction,
        list_price: listing.list_price.unwrap(),
        listing_id: listing.listing_id,
    }
}
