//! The scorer as it runs: readers and the judge on threads of their own, statements on the runtime. Performs what
//! `judge.rs` decides; no branch here depends on a listing or a session.

mod follower;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded, select, tick};
use rustc_hash::FxHashMap;
use schemas::cells::ShardCell;
use schemas::topic::Topic;
use store::{Row, StoreError, Table, Tables, WriteTimestamp};
use stream::{
    AckSink, Delivered, DeliveryError, EndsWithMe, Event, Fatal, GroupStart, Log, LogError, Outgoing, PauseWatch,
    Producer, Reader, Start,
};

use self::follower::Follower;
use crate::config::{Config, EngineKind};
use crate::engine::indexed::Indexed;
use crate::engine::kernel::Kernel;
use crate::engine::oracle::Oracle;
use crate::facts::ScoreEpoch;
use crate::judge::{Effect, Judge, Rules, Safeguards, Then};
use crate::keeper::{self, Keeper};
use crate::metrics;
use crate::snapshot::Directory;

/// Batches of events between a reader and the judge: enough that neither waits for the other, few enough that a slow judge
/// stops its readers within some ten thousand records.
const LOG_QUEUE: usize = 16;
/// Acknowledgements between the clients and the judge: more than can be under way, so that no client thread waits.
const ACK_QUEUE: usize = 65_536;
/// Log batches taken per turn of the judge, so that acknowledgements and time are not kept waiting.
const BATCHES_PER_TURN: usize = 4;
/// How often time passes for the judge, and how often its numbers are told: a turn takes microseconds, and there are
/// thousands a second.
const TICK: Duration = Duration::from_millis(100);
/// How long a log was out of sight, about, when a reader says so: it looks at the brokers once a second and gives them some
/// to answer.
const UNSEEN_BEFORE: Duration = Duration::from_secs(5);
/// How long reading the `shards` row is tried before the operator is told again.
const READ_RETRY: Duration = Duration::from_millis(200);

/// Why the scorer could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The log.
    #[error("scorer: {0}")]
    Log(#[from] LogError),
    /// The engine that was asked for.
    #[error(
        "scorer.engine: avx512 is asked for, and this processor has not F, BW, DQ, VL and VBMI of AVX-512 (expected \"auto\" or \"scalar\")"
    )]
    NoAvx512,
    /// The directory of snapshots.
    #[error("scorer.snapshot_directory: {path}: {error} (expected a directory that can be made or written)")]
    Snapshots {
        /// Which.
        path: String,
        /// Why.
        error: std::io::Error,
    },
    /// A thread.
    #[error("scorer: cannot start a thread: {0}")]
    Thread(#[from] std::io::Error),
}

/// How a stop went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drained {
    /// Every row was written.
    Clean,
    /// The grace time ran out with rows unwritten: the next owner writes them.
    RowsLeft(usize),
}

impl std::fmt::Display for Drained {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Clean => f.write_str("finished everything"),
            Self::RowsLeft(left) => {
                write!(f, "ran out of time: {left} rows are unwritten; their next owner writes them")
            }
        }
    }
}

/// Numbers as a person reads them.
fn list(numbers: &[u32]) -> String {
    numbers.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

enum Input {
    Events(Vec<Event>),
    LostSight(Topic, String),
}

enum Ack {
    Appended {
        token: u64,
        outcome: Result<Delivered, DeliveryError>,
    },
    Checked {
        shard: u32,
        row: Option<ShardCell>,
    },
    Scanned {
        shard: u32,
        rows: Vec<Row>,
    },
    Written {
        row: Row,
        timestamp: WriteTimestamp,
        outcome: Result<(), StoreError>,
    },
    /// The store did not answer a read, which is repeated.
    Unread(String),
}

struct Acks(Sender<Ack>);

impl AckSink for Acks {
    fn acked(&self, token: u64, outcome: Result<Delivered, DeliveryError>) {
        // A judge that is gone needs no acknowledgement.
        let _ = self.0.send(Ack::Appended { token, outcome });
    }
}

/// A running scorer.
pub struct Scorer {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
    judge: JoinHandle<usize>,
    state: Arc<parking::State>,
}

mod parking {
    //! What `/readyz` shows.
    use std::sync::Mutex;

    /// The judge's last word about itself.
    pub struct State(Mutex<Result<(), String>>);

    impl State {
        pub(super) fn new(text: &str) -> Self {
            Self(Mutex::new(Err(text.to_owned())))
        }
        pub(super) fn set(&self, state: Result<(), String>) {
            *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = state;
        }
        pub(super) fn get(&self) -> Result<(), String> {
            self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
        }
    }
}

impl Scorer {
    /// Starts to read; must be called on a runtime, on which statements are performed.
    pub fn start(config: Config, log: Log, tables: Tables, fatal: Fatal) -> Result<Self, StartError> {
        let partitions = log.partitions();
        let snapshots = snapshots(&config)?;
        let judge = judge(config.engine, rules(&config, partitions), snapshots.as_ref())?;
        let keeper = snapshots.map(|directory| Keeper::start(directory, &config, &fatal)).transpose()?;
        let (keeper, writer) = keeper.unzip();
        let of = |topic: Topic| (0..partitions).map(move |p| (topic, p, Start::Earliest));
        let facts = log.follow(&of(Topic::ListingsPriced).collect::<Vec<_>>())?;
        // No change waits for these; fetched with the facts they would be asked for with every one of them.
        let rest: Vec<_> = [Topic::MarketDays, Topic::ScorerClaims].into_iter().flat_map(of).collect();
        let rest = log.follow_gathered(&rest)?;
        let instance = if config.instance.is_empty() { instance_name() } else { config.instance.clone() };
        let statements = log.join(&config.group, &instance, Topic::Preferences, GroupStart::Earliest)?;
        let (ack_in, acks) = bounded(ACK_QUEUE);
        let producer = log.producer(Arc::new(Acks(ack_in.clone())))?;

        let stop = Arc::new(AtomicBool::new(false));
        let state = Arc::new(parking::State::new("the logs are being read"));
        let (log_in, inputs) = bounded(LOG_QUEUE);
        let (commit_in, commits) = bounded(ACK_QUEUE);
        let reader = |name: &str, topic: Topic, reader: Box<dyn Reader>, commits: Option<Receiver<(u32, u64)>>| {
            let follower = Follower {
                topic,
                reader,
                inputs: log_in.clone(),
                commits,
                stop: stop.clone(),
                fatal: fatal.clone(),
                pause: PauseWatch::new(config.max_pause),
            };
            stream::spawn(name, &fatal, move || follower.run())
        };
        let mut threads = vec![
            reader("scorer-facts", Topic::ListingsPriced, facts, None)?,
            reader("scorer-rest", Topic::MarketDays, rest, None)?,
            reader("scorer-statements", Topic::Preferences, statements, Some(commits))?,
        ];
        threads.extend(writer);
        let bench = Bench {
            judge,
            keeper,
            instance,
            inputs,
            acks,
            ack_in,
            commit_in,
            producer,
            tables,
            runtime: tokio::runtime::Handle::current(),
            pending: FxHashMap::default(),
            next_token: 0,
            recoveries: 0,
            told: BTreeSet::new(),
            store: Ok(()),
            stop: stop.clone(),
            state: state.clone(),
            fatal: fatal.clone(),
        };
        let judge = stream::spawn("scorer-judge", &fatal, move || bench.run())?;
        Ok(Self { stop, threads, judge, state })
    }

    /// `Err` says what is still missing.
    pub fn ready(&self) -> Result<(), String> {
        self.state.get()
    }

    /// Takes nothing new, writes what is dirty while `grace` lasts, commits.
    pub fn stop(self, grace: Duration) -> Drained {
        let deadline = Instant::now() + grace;
        self.stop.store(true, Ordering::Release);
        while !self.judge.is_finished() && Instant::now() < deadline {
            std::thread::park_timeout(Duration::from_millis(5));
        }
        if !self.judge.is_finished() {
            return Drained::RowsLeft(1);
        }
        let left = self.judge.join().unwrap_or(1);
        for thread in self.threads {
            if Instant::now() < deadline {
                let _ = thread.join();
            }
        }
        if left == 0 { Drained::Clean } else { Drained::RowsLeft(left) }
    }
}

fn rules(config: &Config, partitions: u32) -> Rules {
    Rules {
        partitions,
        session_life_ms: config.session_life.as_millis() as i64,
        window: config.window.max(1),
        market_every_ms: config.market_every.as_millis() as i64,
        scrub_every_ms: config.scrub_every.as_millis() as i64,
        score_epoch: ScoreEpoch::new(config.score_epoch),
        safeguards: Safeguards::default(),
    }
}

/// Where snapshots are kept, if they are.
fn snapshots(config: &Config) -> Result<Option<Directory>, StartError> {
    let path = &config.snapshot_directory;
    if path.as_os_str().is_empty() {
        return Ok(None);
    }
    let made = Directory::at(path);
    made.map(Some).map_err(|error| StartError::Snapshots { path: path.display().to_string(), error })
}

/// With what the newest snapshot knows, if there is one.
fn judge(kind: EngineKind, rules: Rules, snapshots: Option<&Directory>) -> Result<Judge, StartError> {
    let kernel = match kind {
        EngineKind::Oracle => return Ok(Judge::new(rules, Box::new(Oracle::default()))),
        EngineKind::Auto => Kernel::best(),
        EngineKind::Scalar => Kernel::Portable,
        EngineKind::Avx512 => Kernel::avx512().ok_or(StartError::NoAvx512)?,
    };
    let loaded = snapshots.and_then(|directory| keeper::load(directory, rules.score_epoch, kernel, now_ms()));
    Ok(match loaded {
        Some(engine) => Judge::warm(rules, engine),
        None => Judge::new(rules, Box::new(Indexed::new(kernel))),
    })
}

fn instance_name() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("{}-{}", if host.trim().is_empty() { "scorer" } else { host.trim() }, std::process::id())
}

pub(crate) fn now_ms() -> i64 {
    // Before 1970 the clock is wrong by more than anything here could mend.
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}

/// What the token of an append stands for.
enum Pending {
    Claim(u32),
    Row(Row, WriteTimestamp),
    DeadLetter { partition: u32, offset: u64 },
    Nothing,
}

/// The judge's thread.
struct Bench {
    judge: Judge,
    keeper: Option<Keeper>,
    instance: String,
    inputs: Receiver<Input>,
    acks: Receiver<Ack>,
    ack_in: Sender<Ack>,
    commit_in: Sender<(u32, u64)>,
    producer: Box<dyn Producer>,
    tables: Tables,
    runtime: tokio::runtime::Handle,
    pending: FxHashMap<u64, Pending>,
    next_token: u64,
    recoveries: u64,
    /// Shards whose states the metrics tell.
    told: BTreeSet<u32>,
    /// What the store said last; the rows of owned shards ask it every second, shards that are taken over until it answers.
    store: Result<(), String>,
    stop: Arc<AtomicBool>,
    state: Arc<parking::State>,
    fatal: Fatal,
}

impl Bench {
    /// Runs until told to stop and every row is clean, or the process must end. Returns the rows left unwritten.
    fn run(mut self) -> usize {
        let ticks = tick(TICK);
        let mut told_at = Instant::now();
        let (mut inputs, acks) = (self.inputs.clone(), self.acks.clone());
        loop {
            select! {
                recv(inputs) -> input => match input {
                    Ok(input) => self.input(input),
                    // The readers have stopped. Asked again, the queue would answer at once for as long as rows are left.
                    Err(_) => inputs = crossbeam_channel::never(),
                },
                recv(acks) -> ack => self.ack(ack.ok()),
                recv(ticks) -> _ => {}
            }
            for _ in 1..BATCHES_PER_TURN {
                let Ok(input) = self.inputs.try_recv() else { break };
                self.input(input);
            }
            for _ in 0..ACK_QUEUE {
                let Ok(ack) = self.acks.try_recv() else { break };
                self.ack(Some(ack));
            }
            let recoveries = self.tables.recoveries();
            if std::mem::replace(&mut self.recoveries, recoveries) < recoveries {
                self.judge.store_recovered(now_ms());
            }
            self.judge.tick(now_ms(), self.tables.is_whole());
            let started = Instant::now();
            let effects = self.judge.settle(now_ms());
            metrics::record_settle(started.elapsed());
            for effect in effects {
                if let Err(error) = self.perform(effect) {
                    (self.fatal)(format!("scorer: {error}"));
                    return self.judge.summary().unwritten();
                }
            }
            if let Some(keeper) = &mut self.keeper {
                keeper.look(&self.judge, now_ms());
            }
            let is_told = self.stop.load(Ordering::Acquire);
            if is_told || told_at.elapsed() >= TICK {
                told_at = Instant::now();
                let summary = self.judge.summary();
                metrics::record_summary(&summary, &mut self.told);
                self.state.set(self.store.clone().and_then(|()| summary.ready()));
                if is_told && self.inputs.is_empty() && summary.unwritten() == 0 {
                    if let Some(keeper) = self.keeper.take() {
                        keeper.finish(&self.judge, now_ms());
                    }
                    return 0;
                }
            }
        }
    }

    fn input(&mut self, input: Input) {
        match input {
            Input::LostSight(topic, reason) => {
                if self.judge.lost_sight(topic, now_ms() - UNSEEN_BEFORE.as_millis() as i64) {
                    tracing::warn!(%topic, "{topic} is out of sight: {reason}");
                }
            }
            Input::Events(events) => {
                metrics::record_events(events.len());
                for event in events {
                    match event {
                        Event::Record(record) => self.judge.record(record),
                        Event::End { topic, partition, next_offset } => self.judge.end(topic, partition, next_offset),
                        Event::Assigned(assignments) => {
                            let shards: Vec<u32> = assignments.iter().map(|given| given.partition).collect();
                            tracing::info!("shards {} were handed to this process", list(&shards));
                            self.judge.assigned(&assignments);
                        }
                        Event::Revoked(partitions) => {
                            tracing::info!("shards {} were taken from this process", list(&partitions));
                            self.judge.revoked(&partitions);
                        }
                    }
                }
            }
        }
    }

    fn ack(&mut self, ack: Option<Ack>) {
        let now = now_ms();
        match ack {
            None => {}
            Some(Ack::Unread(reason)) => self.store = Err(reason),
            Some(Ack::Checked { shard, row }) => {
                self.store = Ok(());
                self.judge.checked(shard, row, now);
            }
            Some(Ack::Scanned { shard, rows }) => {
                self.store = Ok(());
                self.judge.scanned(shard, rows, now);
            }
            Some(Ack::Written { row, timestamp, outcome }) => {
                metrics::record_write(&row, outcome.is_ok());
                self.store = outcome.clone().map_err(|error| error.to_string());
                match &outcome {
                    Err(StoreError::Fatal(message)) => (self.fatal)(format!("scorer: {message}")),
                    Err(StoreError::Unavailable(_)) | Ok(()) => {}
                }
                self.judge.written(&row, timestamp, outcome.is_ok(), now);
            }
            Some(Ack::Appended { token, outcome: Ok(delivered) }) => match self.pending.remove(&token) {
                Some(Pending::Claim(shard)) => self.judge.claimed(shard, delivered.offset),
                Some(Pending::Row(row, timestamp)) => self.judge.announced(&row, timestamp),
                Some(Pending::DeadLetter { partition, offset }) => self.judge.dead_lettered(partition, offset),
                Some(Pending::Nothing) | None => {}
            },
            Some(Ack::Appended { outcome: Err(error), .. }) => (self.fatal)(format!("scorer: {error}")),
        }
    }

    fn perform(&mut self, effect: Effect) -> Result<(), LogError> {
        match effect {
            Effect::Claim { shard } => {
                let value = serde_json::json!({"shard": shard, "instance": self.instance});
                let record = Outgoing {
                    topic: Topic::ScorerClaims,
                    partition: Some(shard),
                    key: None,
                    value: Some(value.to_string().into_bytes()),
                    headers: Vec::new(),
                };
                metrics::record_claim();
                self.append(record, Pending::Claim(shard))
            }
            Effect::Append { record, then } => {
                let pending = match then {
                    Then::Announced(row, timestamp) => Pending::Row(row, timestamp),
                    Then::Nothing => Pending::Nothing,
                };
                self.append(record, pending)
            }
            Effect::DeadLetter { record, poison } => {
                let (partition, offset) = (record.partition, record.offset);
                tracing::warn!(partition, offset, "preferences: {poison}");
                metrics::record_dead_letter(poison.code);
                let letter = stream::dead_letter::of(&record, &poison, "scorer", 0, None);
                self.append(letter, Pending::DeadLetter { partition, offset })
            }
            Effect::Commit { partition, next_offset } => {
                // A full queue means that the reader is busy: a later commit says more anyway.
                let _ = self.commit_in.try_send((partition, next_offset));
                Ok(())
            }
            Effect::Write(write) => {
                let (tables, acks) = (self.tables.clone(), self.ack_in.clone());
                let guard = EndsWithMe::new("scorer: a write", &self.fatal);
                self.runtime.spawn(async move {
                    let _guard = guard;
                    let (row, timestamp) = (write.row.clone(), write.timestamp);
                    let outcome = tables.write(write).await;
                    let _ = acks.send(Ack::Written { row, timestamp, outcome });
                });
                Ok(())
            }
            Effect::ReadShard { shard } => {
                let (tables, acks, fatal) = (self.tables.clone(), self.ack_in.clone(), self.fatal.clone());
                self.runtime.spawn(async move {
                    let _guard = EndsWithMe::new("scorer: a read of a shard's row", &fatal);
                    let Some(cell) = until_read(&fatal, &acks, || tables.read(Row::Shard(shard))).await else { return };
                    match cell.map(|cell| serde_json::from_str(&cell.json)).transpose() {
                        Ok(row) => drop(acks.send(Ack::Checked { shard, row })),
                        Err(error) => fatal(format!(
                            "scorer: table shards, row {shard}: {error}; was it written by a later version?"
                        )),
                    }
                });
                Ok(())
            }
            Effect::Scan { shard, table } => {
                self.scan(shard, table);
                Ok(())
            }
            Effect::Warn(message) => {
                tracing::warn!("{message}");
                Ok(())
            }
        }
    }

    fn scan(&self, shard: u32, table: Table) {
        let (tables, acks, fatal) = (self.tables.clone(), self.ack_in.clone(), self.fatal.clone());
        self.runtime.spawn(async move {
            let _guard = EndsWithMe::new("scorer: a scan", &fatal);
            if let Some(rows) = until_read(&fatal, &acks, || tables.scan(table)).await {
                let _ = acks.send(Ack::Scanned { shard, rows: rows.into_keys().collect() });
            }
        });
    }

    /// Queues a record; while the queue is full, takes acknowledgements.
    fn append(&mut self, record: Outgoing, pending: Pending) -> Result<(), LogError> {
        self.next_token += 1;
        let token = self.next_token;
        self.pending.insert(token, pending);
        loop {
            match self.producer.send(record.clone(), token) {
                Err(LogError::QueueFull) => match self.acks.recv_timeout(TICK) {
                    Ok(ack) => self.ack(Some(ack)),
                    Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
                },
                outcome => return outcome,
            }
        }
    }
}

/// Asks again until the store answers, and tells that it does not; `None` when it says that asking is no use.
async fn until_read<'a, T>(fatal: &Fatal, acks: &Sender<Ack>, ask: impl Fn() -> store::Answer<'a, T>) -> Option<T> {
    let mut again = tokio::time::interval(READ_RETRY);
    loop {
        again.tick().await;
        match ask().await {
            Ok(answer) => return Some(answer),
            Err(error @ StoreError::Unavailable(_)) => {
                tracing::warn!("{error}");
                let _ = acks.send(Ack::Unread(error.to_string()));
            }
            Err(StoreError::Fatal(message)) => {
                fatal(format!("scorer: {message}"));
                return None;
            }
        }
    }
}
