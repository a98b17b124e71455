//! The metrics of the log: names, units, help. No other file of this crate calls a metrics macro.

use metrics::{Counter, Gauge, Unit, counter, describe_counter, describe_gauge, gauge};
use schemas::topic::Topic;

const PRODUCED: &str = "roost_log_records_produced_total";
const DELIVERY_ERRORS: &str = "roost_log_delivery_errors_total";
const CONSUMED: &str = "roost_log_records_consumed_total";
const CONSUMED_BYTES: &str = "roost_log_bytes_consumed_total";
const LOST_TO_RETENTION: &str = "roost_log_records_lost_to_retention_total";
const REBALANCES: &str = "roost_log_rebalances_total";
const LAG: &str = "kafka_consumergroup_lag";
const SYNC_ERRORS: &str = "roost_log_sync_errors_total";
const COMPACTED: &str = "roost_log_records_compacted_total";

/// Histogram buckets of this crate: none.
pub const BUCKETS: &[(&str, &[f64])] = &[];

/// Tells the recorder what each metric is.
pub fn describe() {
    describe_counter!(PRODUCED, Unit::Count, "Records that the log acknowledged, by topic");
    describe_counter!(DELIVERY_ERRORS, Unit::Count, "Records that were not delivered, by topic; each ends its service");
    describe_counter!(CONSUMED, Unit::Count, "Records handed to services, by topic");
    describe_counter!(CONSUMED_BYTES, Unit::Bytes, "Bytes of keys and values handed to services, by topic");
    describe_counter!(
        LOST_TO_RETENTION,
        Unit::Count,
        "Records that went by age before their group read them, by topic"
    );
    describe_counter!(
        REBALANCES,
        Unit::Count,
        "Assignments and revocations seen by this process's group members, by topic"
    );
    describe_gauge!(LAG, Unit::Count, "Records between a group's committed offset and the end of the partition");
    describe_counter!(SYNC_ERRORS, Unit::Count, "Failed writes of the embedded log to its disk");
    describe_counter!(COMPACTED, Unit::Count, "Records that the embedded log removed by compaction or age, by topic");
}

/// What one producer counts.
pub(crate) struct Produced {
    acknowledged: [Counter; Topic::ALL.len()],
    failed: [Counter; Topic::ALL.len()],
}

impl Produced {
    pub(crate) fn new() -> Self {
        Self {
            acknowledged: Topic::ALL.map(|topic| counter!(PRODUCED, "topic" => topic.name())),
            failed: Topic::ALL.map(|topic| counter!(DELIVERY_ERRORS, "topic" => topic.name())),
        }
    }

    /// `None`: a topic that is not ours, which cannot be; nothing is counted.
    pub(crate) fn record(&self, topic: Option<Topic>, delivered: bool) {
        if let Some(topic) = topic {
            let counters = if delivered { &self.acknowledged } else { &self.failed };
            counters[topic as usize].increment(1);
        }
    }
}

/// What one reader counts of one partition.
pub(crate) struct Consumed {
    records: Counter,
    bytes: Counter,
}

impl Consumed {
    pub(crate) fn new(topic: Topic) -> Self {
        Self {
            records: counter!(CONSUMED, "topic" => topic.name()),
            bytes: counter!(CONSUMED_BYTES, "topic" => topic.name()),
        }
    }

    pub(crate) fn record(&self, records: u64, bytes: u64) {
        self.records.increment(records);
        self.bytes.increment(bytes);
    }
}

pub(crate) fn record_lost_to_retention(topic: Topic, records: u64) {
    counter!(LOST_TO_RETENTION, "topic" => topic.name()).increment(records);
}

pub(crate) fn record_rebalance(topic: Topic) {
    counter!(REBALANCES, "topic" => topic.name()).increment(1);
}

/// The gauge of one partition's lag.
pub(crate) fn lag(group: &str, topic: Topic, partition: u32) -> Gauge {
    gauge!(LAG, "consumergroup" => group.to_owned(), "topic" => topic.name(), "partition" => partition.to_string())
}

pub(crate) fn record_sync_error() {
    counter!(SYNC_ERRORS).increment(1);
}

pub(crate) fn record_compacted(topic: Topic, records: u64) {
    counter!(COMPACTED, "topic" => topic.name()).increment(records);
}
