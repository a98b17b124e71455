//! A log in memory with what makes a real one hard: compaction that keeps the last offset of a key, retention of
//! tombstones, append times of its own.

use std::collections::{BTreeMap, HashMap};

use schemas::topic::{Topic, partition_of};
use stream::{Delivered, Outgoing, Record};

/// One partition.
#[derive(Clone, Debug, Default)]
struct Partition {
    records: Vec<Record>,
    next_offset: u64,
}

/// All topics, each with P partitions.
#[derive(Clone, Debug)]
pub struct SimLog {
    partitions: u32,
    logs: BTreeMap<(Topic, u32), Partition>,
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

    /// Appends a record at `now`.
    pub fn append(&mut self, outgoing: Outgoing, now: i64) -> Delivered {
        let by_key = || partition_of(outgoing.key.as_deref().unwrap_or_default(), self.partitions);
        let partition = outgoing.partition.unwrap_or_else(by_key);
        let log = self.logs.entry((outgoing.topic, partition)).or_default();
        let offset = log.next_offset;
        log.next_offset += 1;
        log.records.push(Record {
            topic: outgoing.topic,
            partition,
            offset,
            append_time_ms: now,
            key: outgoing.key,
            value: outgoing.value,
            headers: outgoing.headers,
        });
        Delivered { partition, offset, append_time_ms: now }
    }

    /// The first record at or behind `offset`.
    pub fn read(&self, topic: Topic, partition: u32, offset: u64) -> Option<&Record> {
        let records = &self.logs.get(&(topic, partition))?.records;
        records.get(records.partition_point(|record| record.offset < offset))
    }

    /// The offset of the next record.
    pub fn next_offset(&self, topic: Topic, partition: u32) -> u64 {
        self.logs.get(&(topic, partition)).map_or(0, |log| log.next_offset)
    }

    /// Every record that is left of a topic, partition by partition.
    pub fn records(&self, topic: Topic) -> impl Iterator<Item = &Record> {
        self.logs.range((topic, 0)..=(topic, u32::MAX)).flat_map(|(_, log)| &log.records)
    }

    /// Compacts the compacted topics as Kafka does: of what is older than `lag_ms` the last record of a key stays;
    /// tombstones go `delete_retention_ms` later.
    pub fn compact(&mut self, now: i64, lag_ms: i64, delete_retention_ms: i64) {
        for ((topic, _), log) in &mut self.logs {
            if !topic.is_compacted() || *topic == Topic::Recommendations {
                continue;
            }
            let clean = log.records.partition_point(|record| record.append_time_ms + lag_ms <= now);
            let last: HashMap<Option<Vec<u8>>, u64> = log.records[..clean].iter().map(|r| (r.key.clone(), r.offset)).collect();
            let mut index = 0;
            log.records.retain(|record| {
                index += 1;
                if index > clean {
                    return true;
                }
                let purged = record.value.is_none() && record.append_time_ms + lag_ms + delete_retention_ms <= now;
                last.get(&record.key) == Some(&record.offset) && !purged
            });
        }
    }
}
