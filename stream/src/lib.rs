//! The log: read, produce, commit, dead-letter. Two backends behind one interface: `kafka` (rdkafka, the only crate that
//! touches it) and `embedded` (fjall, one machine, one process).
//!
//! Knows topics, keys and headers; knows nothing of listings or sessions. Everything here is synchronous: services read
//! on threads of their own.

mod asking;
mod clock;
pub mod config;
pub mod dead_letter;
mod embedded;
pub mod init;
mod kafka;
mod locked;
pub mod metrics;
mod pause;
mod placement;
mod policy;
mod ready;
mod resume;
mod thread;
pub mod tracker;

use std::sync::Arc;
use std::time::Duration;

use schemas::header::Headers;
use schemas::topic::Topic;

/// A record as it stands on the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its topic.
    pub topic: Topic,
    /// Its partition.
    pub partition: u32,
    /// Its offset.
    pub offset: u64,
    /// When the log appended it (`LogAppendTime`), milliseconds since 1970.
    pub append_time_ms: i64,
    /// Its key.
    pub key: Option<Vec<u8>>,
    /// Its value; `None` is a tombstone.
    pub value: Option<Vec<u8>>,
    /// Its headers.
    pub headers: Headers,
}

/// A record to append.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// Where to.
    pub topic: Topic,
    /// `None`: by murmur2 of the key, which must then be present and not empty.
    pub partition: Option<u32>,
    /// Its key.
    pub key: Option<Vec<u8>>,
    /// Its value; `None` is a tombstone.
    pub value: Option<Vec<u8>>,
    /// Its headers.
    pub headers: Headers,
}

/// Where and when a record was appended, once the log has it durably.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivered {
    /// Its partition.
    pub partition: u32,
    /// Its offset.
    pub offset: u64,
    /// Its append time, milliseconds since 1970.
    pub append_time_ms: i64,
}

/// Whether a record is on the log is unknown or known to be false: for a service a crash and a replay, never a skip;
/// for the API a 503.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{topic}: a record was not delivered: {reason}")]
pub struct DeliveryError {
    /// Where to.
    pub topic: &'static str,
    /// What the client says, and what to do.
    pub reason: String,
}

/// Takes the acknowledgements of one producer. Called from the producer's own thread: must not block.
pub trait AckSink: Send + Sync + 'static {
    /// `token` is what [`Producer::send`] was given.
    fn acked(&self, token: u64, outcome: Result<Delivered, DeliveryError>);
}

/// What can go wrong with the log, by what the caller can do.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// Try again: the brokers are away for now.
    #[error("the log does not answer: {0}")]
    Unavailable(String),
    /// The local queue is full: let acknowledgements come in, then try again.
    #[error("the producer's queue is full")]
    QueueFull,
    /// End the process; what to do is in the text.
    #[error("{0}")]
    Fatal(String),
}

/// Where to start reading a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// At the oldest record.
    Earliest,
    /// Behind the newest record.
    Latest,
    /// At this offset, or the next one that is left; before the log's start: at its start.
    Offset(u64),
}

/// Where a group member starts to read a partition that it is handed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupStart {
    /// At the committed offset, else at the oldest record.
    Committed,
    /// At the oldest record, whatever is committed: for state that is rebuilt from a compacted topic.
    Earliest,
}

/// A partition handed to a group member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// Which.
    pub partition: u32,
    /// What the group last committed for it: the next offset to work on, as far as effects go.
    pub committed: Option<u64>,
}

/// What a reader sees, in order per partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A record.
    Record(Record),
    /// Everything that was on the partition has been handed out; comes again after every catch-up.
    End {
        /// Its topic.
        topic: Topic,
        /// Its partition.
        partition: u32,
        /// The offset that the next record will have, at least.
        next_offset: u64,
    },
    /// (Groups) these partitions are ours from now on; reading starts as [`GroupStart`] says.
    Assigned(Vec<Assignment>),
    /// (Groups) these partitions are no longer ours: drop what is in flight for them, commit nothing for them.
    Revoked(Vec<u32>),
}

/// The two backends; see [`Log`].
pub trait Backend: Send + Sync {
    /// P: how many partitions every keyed topic has.
    fn partitions(&self) -> u32;
    /// A producer whose acknowledgements go to `acks`. Idempotent, `acks=all`, no linger.
    fn producer(&self, acks: Arc<dyn AckSink>) -> Result<Box<dyn Producer>, LogError>;
    /// Reads these partitions without a group.
    fn follow(&self, starts: &[(Topic, u32, Start)]) -> Result<Box<dyn Reader>, LogError>;
    /// The same for who need not know a record at once: the log may gather records for up to a tenth of a second, which costs
    /// it and the reader a fraction of the work. Embedded: no different, there is nothing to save.
    fn follow_gathered(&self, starts: &[(Topic, u32, Start)]) -> Result<Box<dyn Reader>, LogError> {
        self.follow(starts)
    }
    /// Reads the partitions of `topic` that the group hands to this process. `instance` is the static member's name: it keeps its
    /// partitions over a restart that is quicker than the session timeout. Empty: the member leaves when it is dropped.
    /// Embedded: all partitions at once, one group member.
    fn join(&self, group: &str, instance: &str, topic: Topic, start: GroupStart) -> Result<Box<dyn Reader>, LogError>;
    /// The offsets of the oldest record and of the next one to come.
    fn range(&self, topic: Topic, partition: u32) -> Result<(u64, u64), LogError>;
    /// The append time of a record that this partition took now, as far as it can be told here: for deadlines that are compared
    /// with it. Milliseconds since 1970.
    fn append_time_ms(&self, topic: Topic, partition: u32) -> i64;
    /// `Err` with the reason while the log does not answer; for `/readyz`. Cheap: at most one request per second.
    fn health(&self) -> Result<(), String>;
}

pub use config::{BackendKind, EmbeddedConfig, KafkaConfig, LogConfig};
pub use embedded::{EmbeddedLog, is_log as is_embedded_log};
pub use init::init;
pub use kafka::KafkaLog;
pub use pause::PauseWatch;
pub use thread::{EndsWithMe, spawn};
pub use tracker::OffsetTracker;

/// Opens the log that the configuration names: waits for Kafka's brokers, or locks the embedded log's directory.
pub fn open(config: &LogConfig) -> Result<Log, LogError> {
    Ok(match config.backend {
        BackendKind::Kafka => Arc::new(KafkaLog::connect(&config.kafka)?),
        BackendKind::Embedded => Arc::new(EmbeddedLog::open(&config.embedded)?),
    })
}

/// The log: a handle that services share.
pub type Log = Arc<dyn Backend>;

/// Ends the process: called with one line that says what to look at. Crash and replay, never a skip.
pub type Fatal = Arc<dyn Fn(String) + Send + Sync>;

/// Appends records.
pub trait Producer: Send + Sync {
    /// Queues a record; its acknowledgement comes to the sink with `token`. Per key the order of sends is the order on the
    /// log. `QueueFull` hands nothing on.
    fn send(&self, record: Outgoing, token: u64) -> Result<(), LogError>;
    /// Waits until every queued record is acknowledged or failed.
    fn flush(&self, timeout: Duration) -> Result<(), LogError>;
}

/// Reads records.
pub trait Reader: Send {
    /// Waits up to `timeout` for the first event, then appends what is there (at most about 1,000 events) to `events`.
    /// `Unavailable` is said when the log has been out of sight for some seconds, and then whenever nothing came in time: there
    /// may be records that nobody has handed out. [`Event::End`] comes again for each partition that is at its end once more.
    fn poll(&mut self, timeout: Duration, events: &mut Vec<Event>) -> Result<(), LogError>;
    /// Like `poll`, but takes no records: for a reader whose window is full, so that the group still sees it alive.
    fn poll_control(&mut self, timeout: Duration, events: &mut Vec<Event>) -> Result<(), LogError>;
    /// (Groups) the next offset to read after a restart; does not wait. Ignored for partitions that are not ours.
    fn commit(&mut self, partition: u32, next_offset: u64) -> Result<(), LogError>;
    /// (Groups) waits, bounded, until commits so far are with the log; for shutdown.
    fn commit_sync(&mut self, timeout: Duration) -> Result<(), LogError>;
}
