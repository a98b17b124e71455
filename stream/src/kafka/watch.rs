//! Looks at the brokers once a second on a thread of its own: whether they answer, whether the leader of every partition
//! that is read does, and how far groups are behind. Who asks only reads what was found, and so never waits.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{RecvTimeoutError, Sender, bounded};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::topic_partition_list::Offset;
use schemas::topic::Topic;

use super::context::LogOnly;
use super::offsets;
use super::topics::Topics;
use crate::locked::lock;
use crate::metrics;

/// Also the most requests per second that `health` causes.
const EVERY: Duration = Duration::from_secs(1);
/// Brokers that take longer are away.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);
/// So long may a look not succeed before readers are told. Longer than a leader takes to move, shorter than the ten seconds
/// after which a client is to know that what it sees is old.
const UNSEEN_AFTER: Duration = Duration::from_secs(5);

/// What is watched.
pub(super) struct Watch {
    servers: String,
    state: Mutex<State>,
}

struct State {
    /// Since when, and why, the brokers do not answer.
    away: Option<(Instant, String)>,
    /// When the last look began that saw the leader of every partition that is read, and what the last one said that did not.
    seen: Instant,
    unseen: String,
    tracked: Vec<Tracked>,
}

/// A partition that is read, by a group with its lag; watched for as long as its reader holds the position.
pub(super) struct Tracked {
    topic: Topic,
    partition: u32,
    committed: Weak<AtomicU64>,
    keep: Option<Arc<AtomicU64>>,
    lag: Option<::metrics::Gauge>,
}

impl Tracked {
    /// Of a group, if it is named.
    pub(super) fn new(group: Option<&str>, topic: Topic, partition: u32, committed: u64) -> Self {
        let keep = Arc::new(AtomicU64::new(committed));
        let lag = group.map(|group| metrics::lag(group, topic, partition));
        Self { topic, partition, committed: Arc::downgrade(&keep), keep: Some(keep), lag }
    }

    pub(super) fn is_of(&self, topic: Topic, partition: u32) -> bool {
        (self.topic, self.partition) == (topic, partition)
    }

    /// What the reader stores its commits in.
    pub(super) fn position(&self) -> Arc<AtomicU64> {
        self.keep.clone().unwrap_or_default()
    }
}

impl Watch {
    pub(super) fn new(servers: &str) -> Arc<Self> {
        let state = State { away: None, seen: Instant::now(), unseen: String::new(), tracked: Vec::new() };
        Arc::new(Self { servers: servers.to_owned(), state: Mutex::new(state) })
    }

    pub(super) fn track(&self, mut tracked: Tracked) {
        // From here on only the reader keeps it alive.
        tracked.keep = None;
        lock(&self.state).tracked.push(tracked);
    }

    pub(super) fn health(&self) -> Result<(), String> {
        match &lock(&self.state).away {
            None => Ok(()),
            Some((since, reason)) => {
                Err(format!("Kafka at {} does not answer for {} s: {reason}", self.servers, since.elapsed().as_secs()))
            }
        }
    }

    /// `Err` with the reason when some partition that is read may have moved on without us, for too long.
    pub(super) fn sight(&self) -> Result<(), String> {
        let state = lock(&self.state);
        let since = state.seen.elapsed();
        if since < UNSEEN_AFTER {
            return Ok(());
        }
        Err(format!("not every partition could be seen for {} s: {}", since.as_secs(), state.unseen))
    }

    /// Watches until what is returned is dropped.
    pub(super) fn start(self: &Arc<Self>, probe: &Arc<BaseConsumer<LogOnly>>, topics: Arc<Topics>) -> Sender<()> {
        let (stop, stopped) = bounded(0);
        let (watch, probe) = (Arc::clone(self), Arc::clone(probe));
        let spawned = thread::Builder::new().name("log-watch".to_owned()).spawn(move || {
            while stopped.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout) {
                watch.look(&probe, &topics);
            }
        });
        if let Err(error) = spawned {
            tracing::warn!(%error, "nobody watches the brokers: no thread could be started");
        }
        stop
    }

    fn look(&self, probe: &BaseConsumer<LogOnly>, topics: &Topics) {
        // Serves the probe's log lines and errors.
        let _ = probe.poll(Duration::ZERO);
        let began = Instant::now();
        let answer = probe.fetch_metadata(Some(topics.name(Topic::Listings)), ANSWER_WITHIN);
        let wanted: Vec<(Topic, u32)> = {
            let mut state = lock(&self.state);
            match &answer {
                Ok(_) => state.away = None,
                Err(error) => {
                    let since = state.away.take().map_or_else(Instant::now, |(since, _)| since);
                    state.away = Some((since, error.to_string()));
                    state.unseen = error.to_string();
                }
            }
            state.tracked.retain(|tracked| tracked.committed.strong_count() > 0);
            let mut wanted: Vec<_> = state.tracked.iter().map(|tracked| (tracked.topic, tracked.partition)).collect();
            wanted.sort_unstable();
            wanted.dedup();
            wanted
        };
        if answer.is_err() {
            return;
        }
        let ends = offsets::ends(probe, topics, &wanted, Offset::End, ANSWER_WITHIN);
        let mut state = lock(&self.state);
        let ends = match ends {
            Ok(ends) => ends,
            Err(error) => {
                state.unseen = error.to_string();
                return;
            }
        };
        state.seen = began;
        for tracked in &state.tracked {
            let Some(lag) = &tracked.lag else { continue };
            let end = wanted.iter().position(|at| *at == (tracked.topic, tracked.partition)).map(|index| ends[index]);
            if let (Some(end), Some(committed)) = (end, tracked.committed.upgrade()) {
                lag.set(end.saturating_sub(committed.load(Ordering::Relaxed)) as f64);
            }
        }
    }
}
