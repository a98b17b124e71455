//! A log in memory with what makes a real one hard: compaction that keeps the last offset of a key, retention of
//! tombstones, append times of its own. Remembers what compaction took away, for the oracle alone.

use std::collections::{BTreeMap, HashMap};

use schemas::topic::{Topic, partition_of};
use stream::{Delivered, Outgoing, Record};

use super::tally::{Happening, Tally};

/// The lag of `preferences` is so many times that of the other topics: a day, to their two hours.
const PREFERENCES_LAG: i64 = 12;

/// One record, and what compaction did with it.
#[derive(Clone, Debug)]
struct Entry {
    record: Record,
    /// It was taken away.
    is_gone: bool,
    /// When a tombstone may be purged: set by the pass that took away what it covers, as Kafka does (KIP-534), so that who
    /// began to read before that has this long to reach it.
    horizon: Option<i64>,
}

/// All topics, each with P partitions. Offsets have no gaps, so a partition's entry `n` has offset `n`.
#[derive(Clone, Debug)]
pub struct SimLog {
    partitions: u32,
    logs: BTreeMap<(Topic, u32), Vec<Entry>>,
}

impl SimLog {
    /// Empty.
    pub const fn new(partitions: u32) -> Self {
        Self { partitions, logs: BTreeMap::new() }
    }

    /// P.
    pub const fn partitions(&self) -> u32 {
        self.partitions
    }

    /// The partition that a record goes to.
    pub fn partition_of(&self, record: &Outgoing) -> u32 {
        let by_key = || partition_of(record.key.as_deref().unwrap_or_default(), self.partitions);
        record.partition.unwrap_or_else(by_key)
    }

    /// Appends a record at `now`.
    pub fn append(&mut self, outgoing: Outgoing, now: i64) -> Delivered {
        let partition = self.partition_of(&outgoing);
        let log = self.logs.entry((outgoing.topic, partition)).or_default();
        let offset = log.len() as u64;
        let record = Record {
            topic: outgoing.topic,
            partition,
            offset,
            append_time_ms: now,
            key: outgoing.key,
            value: outgoing.value,
            headers: outgoing.headers,
        };
        log.push(Entry { record, is_gone: false, horizon: None });
        Delivered { partition, offset, append_time_ms: now }
    }

    /// The first record that is left at or behind `offset`.
    pub fn read(&self, topic: Topic, partition: u32, offset: u64) -> Option<&Record> {
        let log = self.logs.get(&(topic, partition))?;
        let left = log.get(offset as usize..)?.iter().find(|entry| !entry.is_gone);
        left.map(|entry| &entry.record)
    }

    /// The offset of the next record.
    pub fn next_offset(&self, topic: Topic, partition: u32) -> u64 {
        self.logs.get(&(topic, partition)).map_or(0, |log| log.len() as u64)
    }

    /// Every record that is left of a topic, partition by partition.
    pub fn records(&self, topic: Topic) -> impl Iterator<Item = &Record> {
        self.entries(topic).filter(|entry| !entry.is_gone).map(|entry| &entry.record)
    }

    /// Every record that ever was on a topic.
    pub fn history(&self, topic: Topic) -> impl Iterator<Item = &Record> {
        self.entries(topic).map(|entry| &entry.record)
    }

    fn entries(&self, topic: Topic) -> impl Iterator<Item = &Entry> {
        self.logs.range((topic, 0)..=(topic, u32::MAX)).flat_map(|(_, log)| log)
    }

    /// A topic is lost and made anew: its offsets start over.
    pub fn lose(&mut self, topic: Topic) {
        self.logs.retain(|(other, _), _| *other != topic);
    }

    /// Compacts the compacted topics as Kafka does: of what is older than `lag_ms` (of `preferences`, a multiple) the last
    /// record of a key stays;
    /// tombstones go in a later pass, at least `delete_retention_ms` after the first one.
    pub fn compact(&mut self, now: i64, lag_ms: i64, delete_retention_ms: i64, tally: &mut Tally) {
        for ((topic, _), log) in &mut self.logs {
            if !topic.is_compacted() || *topic == Topic::Recommendations {
                continue;
            }
            let lag_ms = if *topic == Topic::Preferences { lag_ms * PREFERENCES_LAG } else { lag_ms };
            let clean = log.partition_point(|entry| entry.record.append_time_ms + lag_ms <= now);
            let mut last: HashMap<Option<Vec<u8>>, u64> = HashMap::new();
            for entry in log[..clean].iter().filter(|entry| !entry.is_gone) {
                last.insert(entry.record.key.clone(), entry.record.offset);
            }
            for entry in log[..clean].iter_mut().filter(|entry| !entry.is_gone) {
                let is_purged = entry.horizon.is_some_and(|horizon| horizon <= now);
                let mut is_superseded = last.get(&entry.record.key) != Some(&entry.record.offset);
                if entry.record.value.is_none() {
                    entry.horizon.get_or_insert(now + delete_retention_ms);
                    // Kafka takes away a tombstone that a later record covers at once. A reader in the middle of the log in that
                    // very moment would join a listing's life before it was forgotten with its life after, until its next start:
                    // that needs a listing offered again 400 days after its Delete, and is not simulated.
                    is_superseded &= *topic != Topic::ListingsPriced;
                }
                entry.is_gone = is_purged || is_superseded;
                tally.add(Happening::RecordCompacted, u64::from(is_superseded));
                tally.add(Happening::TombstonePurged, u64::from(is_purged));
            }
        }
    }
}
