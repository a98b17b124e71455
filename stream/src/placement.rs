//! Which partition a record goes to, and whether it fits: the same on both backends.

use schemas::topic::partition_of;

use crate::policy::max_bytes;
use crate::{LogError, Outgoing};

/// What Kafka adds to a record: its own fields and those of a batch of one.
const FRAMING_BYTES: usize = 1024;

/// Refuses a record that is too large or has no place; else returns its partition.
pub(crate) fn check(record: &Outgoing, partitions: u32) -> Result<u32, LogError> {
    if !fits(record) {
        return Err(too_large(record));
    }
    partition(record, partitions)
}

/// Whether the topic takes a record of this size.
pub(crate) fn fits(record: &Outgoing) -> bool {
    size(record) + FRAMING_BYTES <= max_bytes(record.topic)
}

/// The partition it names, else the one of its key.
fn partition(record: &Outgoing, partitions: u32) -> Result<u32, LogError> {
    match (record.partition, record.key.as_deref()) {
        (Some(partition), _) if partition < partitions => Ok(partition),
        (Some(partition), _) => Err(LogError::Fatal(format!(
            "{}: partition {partition} does not exist (expected 0..{partitions})",
            record.topic
        ))),
        (None, Some(key)) if !key.is_empty() => Ok(partition_of(key, partitions)),
        (None, _) => Err(LogError::Fatal(format!(
            "{}: a record without a partition needs a key that is not empty, or records of one key would not stay in order",
            record.topic
        ))),
    }
}

/// Larger than any topic takes: the sender's mistake, nothing that trying again mends.
pub(crate) fn too_large(record: &Outgoing) -> LogError {
    LogError::Fatal(format!(
        "{}: a record of {} bytes is too large (expected at most {})",
        record.topic,
        size(record),
        max_bytes(record.topic) - FRAMING_BYTES
    ))
}

/// Bytes of key, value and headers.
pub(crate) fn size(record: &Outgoing) -> usize {
    record.key.as_ref().map_or(0, Vec::len)
        + record.value.as_ref().map_or(0, Vec::len)
        + record.headers.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use schemas::topic::Topic;

    fn record(partition: Option<u32>, key: Option<&[u8]>) -> Outgoing {
        Outgoing { topic: Topic::Listings, partition, key: key.map(<[u8]>::to_vec), value: None, headers: Vec::new() }
    }

    #[test]
    fn a_named_partition_wins_over_the_key() {
        assert_eq!(partition(&record(Some(2), Some(b"a")), 4).unwrap(), 2);
        assert_eq!(partition(&record(None, Some(b"a")), 4).unwrap(), partition_of(b"a", 4));
    }

    #[test]
    fn a_record_that_has_no_place_is_refused() {
        for nowhere in [record(Some(4), Some(b"a")), record(None, None), record(None, Some(b""))] {
            assert!(matches!(partition(&nowhere, 4), Err(LogError::Fatal(_))), "{nowhere:?}");
        }
    }
}
