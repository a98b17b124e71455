//! Looks offsets up: where partitions begin and end, and what a group committed.

use std::time::Duration;

use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::topic_partition_list::Offset;
use schemas::topic::Topic;

use super::topics::Topics;
use crate::{LogError, asking};

/// The offsets of the oldest record and of the next one to come, in the order of `wanted`. Two requests per broker.
pub(super) fn ranges<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    topics: &Topics,
    wanted: &[(Topic, u32)],
    timeout: Duration,
) -> Result<Vec<(u64, u64)>, LogError> {
    let low = ends(consumer, topics, wanted, Offset::Beginning, timeout)?;
    let high = ends(consumer, topics, wanted, Offset::End, timeout)?;
    // The log may have been cut between the two requests.
    Ok(low.into_iter().zip(high).map(|(low, high)| (low, high.max(low))).collect())
}

/// One end of each partition, in the order of `wanted`.
pub(super) fn ends<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    topics: &Topics,
    wanted: &[(Topic, u32)],
    which: Offset,
    timeout: Duration,
) -> Result<Vec<u64>, LogError> {
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let look_up = || -> KafkaResult<TopicPartitionList> {
        let mut list = TopicPartitionList::with_capacity(wanted.len());
        for (topic, partition) in wanted {
            list.add_partition_offset(topics.name(*topic), *partition as i32, which)?;
        }
        // The offset that is asked for is a time to this function; the two ends are times like any other to the broker.
        consumer.offsets_for_times(list, timeout)
    };
    // Leaders move, and a new topic's are not known at once.
    asking::until(
        timeout,
        || {
            let found = look_up().map_err(|error| unavailable("offsets could not be looked up", &error))?;
            wanted.iter().map(|(topic, partition)| offset_in(&found, topics, *topic, *partition)).collect()
        },
        |answer: &Result<_, LogError>| answer.is_ok(),
    )
}

/// A failed question, as the caller sees it.
pub(super) fn unavailable(what: &str, error: &KafkaError) -> LogError {
    LogError::Unavailable(format!("{what}: {error}"))
}

fn offset_in(found: &TopicPartitionList, topics: &Topics, topic: Topic, partition: u32) -> Result<u64, LogError> {
    let element = found.find_partition(topics.name(topic), partition as i32);
    match element.map(|element| (element.error(), element.offset())) {
        Some((Ok(()), Offset::Offset(offset))) => Ok(offset.max(0) as u64),
        Some((Err(error), _)) => {
            Err(unavailable(&format!("{topic}/{partition}: no offset could be looked up"), &error))
        }
        _ => Err(LogError::Unavailable(format!("{topic}/{partition}: the brokers named no offset"))),
    }
}

/// What the consumer's group committed, in the order of `partitions`.
pub(super) fn committed<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    topics: &Topics,
    topic: Topic,
    partitions: &[u32],
    timeout: Duration,
) -> Result<Vec<Option<u64>>, LogError> {
    if partitions.is_empty() {
        return Ok(Vec::new());
    }
    let name = topics.name(topic);
    let mut list = TopicPartitionList::with_capacity(partitions.len());
    for partition in partitions {
        list.add_partition(name, *partition as i32);
    }
    let found = consumer
        .committed_offsets(list, timeout)
        .map_err(|error| unavailable("committed offsets could not be looked up", &error))?;
    partitions
        .iter()
        .map(|partition| {
            let element = found.find_partition(name, *partition as i32);
            match element.map(|element| (element.error(), element.offset())) {
                Some((Ok(()), Offset::Offset(offset))) => Ok(Some(offset.max(0) as u64)),
                Some((Err(error), _)) => Err(unavailable(
                    &format!("{topic}/{partition}: the committed offset could not be looked up"),
                    &error,
                )),
                _ => Ok(None),
            }
        })
        .collect()
}
