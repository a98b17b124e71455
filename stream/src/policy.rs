//! Topic policies in Kafka's words (DESIGN §2). What a policy is, is in `schemas::topic`.

use std::collections::BTreeMap;

use schemas::topic::{Cleanup, DELETE_RETENTION_MS, MAX_RECORD_BYTES, SEGMENT_MS, Topic};

/// Raw topics take what Kafka takes by default; ingest refuses what is above its own limit with a dead letter.
const MAX_RAW_RECORD_BYTES: usize = 1_048_588;

/// The settings of a topic, by name.
pub(crate) fn of(topic: Topic, replication_factor: u16) -> BTreeMap<String, String> {
    let mut policy = BTreeMap::new();
    let mut set = |name: &str, value: String| {
        policy.insert(name.to_owned(), value);
    };
    set("message.timestamp.type", "LogAppendTime".to_owned());
    // All but one copy must have a record before it is acknowledged, so that one broker may be away.
    set("min.insync.replicas", replication_factor.saturating_sub(1).max(1).to_string());
    set("unclean.leader.election.enable", "false".to_owned());
    let most =
        if topic == Topic::ListingsRaw { MAX_RAW_RECORD_BYTES } else { MAX_RECORD_BYTES + RECORD_OVERHEAD_BYTES };
    set("max.message.bytes", most.to_string());
    match topic.cleanup() {
        Cleanup::Delete { retention_ms } => {
            set("cleanup.policy", "delete".to_owned());
            set("retention.ms", retention_ms.to_string());
        }
        Cleanup::Compact { min_lag_ms, max_lag_ms } => {
            set("cleanup.policy", "compact".to_owned());
            set("min.compaction.lag.ms", min_lag_ms.to_string());
            if let Some(max_lag_ms) = max_lag_ms {
                set("max.compaction.lag.ms", max_lag_ms.to_string());
            }
        }
        Cleanup::CompactDelete { retention_ms } => {
            set("cleanup.policy", "compact,delete".to_owned());
            set("retention.ms", retention_ms.to_string());
            set("min.compaction.lag.ms", schemas::topic::MIN_COMPACTION_LAG_MS.to_string());
        }
    }
    if topic.is_compacted() {
        set("segment.ms", SEGMENT_MS.to_string());
        set("delete.retention.ms", DELETE_RETENTION_MS.to_string());
    }
    policy
}

/// The largest record that the topic takes, framing included.
pub(crate) const fn max_bytes(topic: Topic) -> usize {
    match topic {
        Topic::ListingsRaw => MAX_RAW_RECORD_BYTES,
        _ => MAX_RECORD_BYTES + RECORD_OVERHEAD_BYTES,
    }
}

/// Keys, headers and framing on top of the largest value.
pub(crate) const RECORD_OVERHEAD_BYTES: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_are_kept_for_ever() {
        assert_eq!(of(Topic::ScorerClaims, 3)["retention.ms"], "-1");
    }

    #[test]
    fn statements_are_compacted_within_eight_days() {
        let policy = of(Topic::Preferences, 3);
        assert_eq!(policy["min.compaction.lag.ms"], "86400000");
        assert_eq!(policy["max.compaction.lag.ms"], "691200000");
        assert_eq!(policy["min.insync.replicas"], "2");
    }

    #[test]
    fn the_document_of_the_topics_tells_the_settings_that_they_get() {
        for topic in Topic::ALL {
            let policy = of(topic, 3);
            for (name, told) in schemas::asyncapi::configuration(topic) {
                let raw = told.to_string();
                let words =
                    told.as_array().map(|words| words.iter().filter_map(|word| word.as_str()).collect::<Vec<_>>());
                let told = words.map(|words| words.join(",")).or_else(|| told.as_str().map(str::to_owned));
                let told = told.unwrap_or(raw);
                assert_eq!(policy.get(&name), Some(&told), "{topic}: {name}");
            }
        }
    }
}
