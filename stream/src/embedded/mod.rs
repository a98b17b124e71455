//! The log on one machine: fjall, for one process. The same interface as on Kafka less the sharing of groups.
//!
//! Two volumes with a journal each, because syncing one stalls its writes: what comes from outside, and what must not be
//! taken back (claims, models), is on the disk before it is read or acknowledged; what is derived from it follows every
//! 100 ms, and with it what groups committed, behind it in the same journal.

mod clean;
mod codec;
mod directory;
mod groups;
mod heads;
mod producer;
mod reader;
mod volume;
mod writer;

pub use self::directory::is_log;

use std::sync::Arc;
use std::thread::{self, JoinHandle};

use crossbeam_channel::{Receiver, Sender, bounded};
use schemas::topic::Topic;

use self::clean::Cleaner;
use self::directory::Locked;
use self::groups::Groups;
use self::heads::Heads;
use self::producer::{EmbeddedProducer, Lane};
use self::reader::EmbeddedReader;
use self::volume::Volume;
use self::writer::{Command, Durability, Writer};
use crate::clock;
use crate::config::EmbeddedConfig;
use crate::init::Change;
use crate::{AckSink, Backend, GroupStart, LogError, Producer, Reader, Start};

/// Records that wait for a writer; `QueueFull` beyond.
const QUEUE: usize = 20_000;

/// The log in a directory.
pub struct EmbeddedLog {
    partitions: u32,
    shared: Arc<Shared>,
    /// Dropped to end the threads.
    stop: Option<Sender<()>>,
    threads: Vec<JoinHandle<()>>,
    _directory: Locked,
}

/// What producers, readers and threads have in common.
pub(crate) struct Shared {
    heads: Arc<Heads>,
    groups: Arc<Groups>,
    input: Side,
    derived: Side,
}

struct Side {
    volume: Arc<Volume>,
    lane: Lane,
}

/// Whether a topic's records must be on the disk before they are read or acknowledged.
const fn is_input(topic: Topic) -> bool {
    match topic {
        // From outside: whoever sent them will not send them again once they are acknowledged.
        Topic::ListingsRaw | Topic::Preferences | Topic::Interactions | Topic::Access => true,
        // Their offsets are epochs: one that was used must never be used again.
        Topic::ScorerClaims | Topic::Models => true,
        Topic::Listings
        | Topic::ListingsPriced
        | Topic::Sales
        | Topic::Recommendations
        | Topic::MarketDays
        | Topic::ValuationsShadow
        | Topic::DeadLetters => false,
    }
}

impl Shared {
    fn side(&self, topic: Topic) -> &Side {
        if is_input(topic) { &self.input } else { &self.derived }
    }

    fn volume(&self, topic: Topic) -> &Volume {
        &self.side(topic).volume
    }

    fn lane(&self, topic: Topic) -> &Lane {
        &self.side(topic).lane
    }

    /// Where the log begins, as far as age goes: compaction leaves holes and takes nothing that is still needed.
    fn range(&self, topic: Topic, partition: u32) -> Result<(u64, u64), LogError> {
        if partition >= self.heads.partitions(topic) {
            return Err(LogError::Fatal(format!(
                "{topic}: partition {partition} does not exist (expected 0..{})",
                self.heads.partitions(topic)
            )));
        }
        let (head, _) = self.heads.get(topic, partition);
        let low = if topic.is_compacted() { 0 } else { self.volume(topic).oldest(topic, partition)?.unwrap_or(head) };
        Ok((low, head))
    }

    fn trouble(&self) -> Option<String> {
        self.input.volume.trouble().or_else(|| self.derived.volume.trouble())
    }
}

impl EmbeddedLog {
    /// Opens the directory, or makes it. Refuses a second process, another format and another partition count.
    pub fn open(config: &EmbeddedConfig) -> Result<Self, LogError> {
        let directory = directory::enter(config)?;
        let (input, derived): (Vec<Topic>, Vec<Topic>) = Topic::ALL.into_iter().partition(|topic| is_input(*topic));
        let (input, input_queue) = side(config, "input", input)?;
        let (derived, derived_queue) = side(config, "derived", derived)?;
        let committed = derived.volume.committed()?;
        let place = |(group, topic, partition, next)| ((group, topic, partition), next);
        let groups = Arc::new(Groups::new(committed.into_iter().map(place)));
        let heads = Arc::new(Heads::new(config.partitions));
        let shared = Arc::new(Shared { heads, groups, input, derived });
        for topic in Topic::ALL {
            for partition in 0..shared.heads.partitions(topic) {
                if let Some((newest, time)) = shared.volume(topic).newest(topic, partition)? {
                    shared.heads.advance(topic, partition, newest + 1, time);
                }
            }
        }
        let (stop, stopped) = bounded(0);
        let lazily = Durability::Every(config.sync_every, Arc::clone(&shared.groups));
        let input_writer = writer(&shared, &shared.input, Durability::AtOnce, input_queue, &stopped);
        let derived_writer = writer(&shared, &shared.derived, lazily, derived_queue, &stopped);
        let cleaner = Cleaner::new(config, Arc::clone(&shared), stopped);
        let threads = vec![
            spawn("log-input", move || input_writer.run())?,
            spawn("log-derived", move || derived_writer.run())?,
            spawn("log-clean", move || cleaner.run())?,
        ];
        Ok(Self { partitions: config.partitions, shared, stop: Some(stop), threads, _directory: directory })
    }
}

fn side(config: &EmbeddedConfig, name: &str, topics: Vec<Topic>) -> Result<(Side, Receiver<Command>), LogError> {
    let volume = Arc::new(Volume::open(config.directory.join(name), topics)?);
    let (queue, receiver) = bounded(QUEUE);
    Ok((Side { volume, lane: Lane { queue, queued_bytes: Arc::default() } }, receiver))
}

fn writer(
    shared: &Shared,
    side: &Side,
    durability: Durability,
    queue: Receiver<Command>,
    stop: &Receiver<()>,
) -> Writer {
    Writer {
        volume: Arc::clone(&side.volume),
        heads: Arc::clone(&shared.heads),
        durability,
        queue,
        queued_bytes: Arc::clone(&side.lane.queued_bytes),
        stop: stop.clone(),
    }
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, LogError> {
    let spawned = thread::Builder::new().name(name.to_owned()).spawn(run);
    spawned.map_err(|error| LogError::Fatal(format!("thread {name} could not be started: {error}")))
}

/// Makes the directory; the second time it changes nothing.
pub(crate) fn init(config: &EmbeddedConfig) -> Result<Vec<Change>, LogError> {
    let directory = directory::enter(config)?;
    let made =
        Change::Created(format!("log directory {} with {} partitions", config.directory.display(), config.partitions));
    Ok(if directory.is_new { vec![made] } else { Vec::new() })
}

impl Backend for EmbeddedLog {
    fn partitions(&self) -> u32 {
        self.partitions
    }

    fn producer(&self, acks: Arc<dyn AckSink>) -> Result<Box<dyn Producer>, LogError> {
        Ok(Box::new(EmbeddedProducer::new(Arc::clone(&self.shared), acks)))
    }

    fn follow(&self, starts: &[(Topic, u32, Start)]) -> Result<Box<dyn Reader>, LogError> {
        Ok(Box::new(EmbeddedReader::follow(Arc::clone(&self.shared), starts)?))
    }

    fn join(&self, group: &str, _instance: &str, topic: Topic, start: GroupStart) -> Result<Box<dyn Reader>, LogError> {
        Ok(Box::new(EmbeddedReader::join(Arc::clone(&self.shared), group, topic, start)?))
    }

    fn range(&self, topic: Topic, partition: u32) -> Result<(u64, u64), LogError> {
        self.shared.range(topic, partition)
    }

    fn append_time_ms(&self, topic: Topic, partition: u32) -> i64 {
        // As the writer does: a clock that was ahead for a while has left its time here.
        self.shared.heads.get(topic, partition).1.max(clock::now_ms())
    }

    fn health(&self) -> Result<(), String> {
        self.shared.trouble().map_or(Ok(()), Err)
    }
}

impl Drop for EmbeddedLog {
    fn drop(&mut self) {
        self.stop = None;
        let me = thread::current().id();
        // An acknowledgement may have held the last handle: a thread does not wait for itself.
        for thread in self.threads.drain(..).filter(|thread| thread.thread().id() != me) {
            if thread.join().is_err() {
                tracing::error!("a thread of the log has panicked");
            }
        }
        // Readers and producers may live on; the directory is free from here.
        self.shared.input.volume.close();
        self.shared.derived.volume.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_a_log_whose_clock_was_put_back_is_that_of_its_last_record() {
        let directory = tempfile::tempdir().unwrap();
        let config = EmbeddedConfig { directory: directory.path().to_owned(), partitions: 2, ..Default::default() };
        let log = EmbeddedLog::open(&config).unwrap();
        let ahead = clock::now_ms() + 3_600_000;
        log.shared.heads.advance(Topic::Preferences, 1, 1, ahead);
        assert_eq!(log.append_time_ms(Topic::Preferences, 1), ahead);
        assert!(log.append_time_ms(Topic::Preferences, 0) < ahead, "each partition has a time of its own");
    }
}
