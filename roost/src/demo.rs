//! The demonstration of `roost up --demo`: a seeded market that moves, and a session whose three homes change.
//!
//! A feed and a client like any other: publishes to `listings.raw`, posts preferences over HTTP.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use anyhow::Context;
use schemas::header;
use schemas::topic::Topic;
use stream::{AckSink, Delivered, DeliveryError, LogError, Outgoing, Producer};

use crate::services::Services;

/// Listings of the demonstration: enough that three good ones are never all, few enough for a start within seconds.
const LISTINGS: usize = 2_000;
/// Records without an acknowledgement, so that the opening stock does not fill the memory.
const WINDOW: u64 = 1_000;
/// How long the API may take to accept the watching session.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running demonstration; ends when it is dropped.
pub struct Demo {
    api: SocketAddr,
    token: String,
    preferences: String,
    stop: Arc<AtomicBool>,
    feed: Option<JoinHandle<()>>,
}

impl Demo {
    /// Opens the market, then posts the watching session's preferences.
    pub async fn start(services: &Services, rate: f64) -> anyhow::Result<Self> {
        let api = services.address("api").context("the demonstration needs the API in this process")?;
        let watched = synthetic::newcomer();
        let config = synthetic::Config { listings: LISTINGS, ..synthetic::Config::default() };
        let market = synthetic::Demo::new(config, &watched, rate)?;
        let acked = Arc::new(AtomicU64::new(0));
        let producer = services.log.producer(Arc::new(Acks(acked.clone())))?;
        let stop = Arc::new(AtomicBool::new(false));
        let feed = Feed { market, producer, rate, sent: 0, acked, stop: stop.clone() };
        let feed = std::thread::Builder::new().name("demo-feed".into()).spawn(move || feed.run())?;
        let preferences = serde_json::to_string(&watched)?;
        let body = preferences.clone();
        let token = tokio::task::spawn_blocking(move || post(api, &body)).await??;
        Ok(Self { api, token, preferences, stop, feed: Some(feed) })
    }

    /// What to open, and two commands that work.
    pub fn greeting(&self) -> String {
        let Self { api, token, preferences, .. } = self;
        format!(
            "\nThe market is open. See its page at http://{api}/ and the API at http://{api}/docs; two commands to begin with:\n\n  \
             # the three best homes of a session that watches the market; ask again in a few seconds\n  \
             curl -s http://{api}/api/v1/recommendations -H 'Authorization: Bearer {token}'\n\n  \
             # a session of your own: the answer holds its token\n  \
             curl -s -X POST http://{api}/api/v1/preferences -H 'Content-Type: application/json' -d '{preferences}'\n"
        )
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(feed) = self.feed.take() {
            let _ = feed.join();
        }
    }
}

/// Posts preferences until the API takes them; returns the session's token.
fn post(api: SocketAddr, body: &str) -> anyhow::Result<String> {
    let begun = Instant::now();
    loop {
        let answer = ureq::post(format!("http://{api}/api/v1/preferences")).content_type("application/json").send(body);
        match answer {
            Ok(mut answer) => {
                let answer: serde_json::Value = answer.body_mut().read_json()?;
                return answer["token"].as_str().map(str::to_owned).context("the API's answer has no token");
            }
            Err(error) if begun.elapsed() > PATIENCE => {
                return Err(error).context("the API does not accept preferences");
            }
            Err(_) => std::thread::park_timeout(Duration::from_millis(100)),
        }
    }
}

struct Acks(Arc<AtomicU64>);

impl AckSink for Acks {
    fn acked(&self, _: u64, outcome: Result<Delivered, DeliveryError>) {
        if let Err(error) = outcome {
            tracing::warn!("the demonstration's feed: {error}");
        }
        self.0.fetch_add(1, Ordering::AcqRel);
    }
}

struct Feed {
    market: synthetic::Demo,
    producer: Box<dyn Producer>,
    rate: f64,
    sent: u64,
    acked: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
}

impl Feed {
    fn run(mut self) {
        let pace = Duration::from_secs_f64(1.0 / self.rate);
        let mut due = Instant::now();
        while !self.stop.load(Ordering::Acquire) {
            if self.sent - self.acked.load(Ordering::Acquire) >= WINDOW {
                std::thread::park_timeout(Duration::from_millis(1));
                continue;
            }
            if self.market.is_open() {
                due = (due + pace).max(Instant::now() - pace);
                std::thread::park_timeout(due.saturating_duration_since(Instant::now()));
            }
            let event = self.market.next_event_at(now_ms());
            let record = raw_record(&event);
            match self.producer.send(record, self.sent) {
                Ok(()) => self.sent += 1,
                Err(LogError::QueueFull) => std::thread::park_timeout(Duration::from_millis(1)),
                Err(error) => return tracing::warn!("the demonstration's feed ends: {error}"),
            }
        }
    }
}

/// An event as a feed publishes it.
pub fn raw_record(event: &synthetic::Event) -> Outgoing {
    Outgoing {
        topic: Topic::ListingsRaw,
        partition: None,
        key: Some(event.listing_id().as_str().as_bytes().to_vec()),
        value: Some(event.json()),
        headers: vec![(header::FEED.to_owned(), event.feed().as_bytes().to_vec())],
    }
}

/// Milliseconds since 1970.
pub fn now_ms() -> i64 {
    // A clock before 1970 is wrong by more than a demonstration could mend.
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}
