//! One partition of a reader, with a queue of its own: takes records and the end of the partition from it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rdkafka::consumer::base_consumer::PartitionQueue;
use rdkafka::message::{BorrowedMessage, Message};
use schemas::topic::Topic;

use super::context::ReaderContext;
use super::failure::{self, Failure};
use super::headers;
use crate::metrics::Consumed;
use crate::{Event, LogError, Record};

/// One partition.
pub(super) struct Lane {
    pub(super) topic: Topic,
    pub(super) partition: u32,
    /// Handed out only while it is ours.
    pub(super) ours: bool,
    /// Of the next record, at least.
    pub(super) next_offset: u64,
    /// What the service asked for since the partition is ours, and whether it is still to be sent.
    pub(super) commit: Option<u64>,
    pub(super) unsent: bool,
    queue: Option<PartitionQueue<ReaderContext>>,
    consumed: Consumed,
    pub(super) tracked: Option<Arc<AtomicU64>>,
    /// Its end was told, and nothing came after.
    pub(super) at_end: bool,
}

impl Lane {
    /// Not ours yet.
    pub(super) fn new(topic: Topic, partition: u32) -> Self {
        let consumed = Consumed::new(topic);
        Self {
            topic,
            partition,
            ours: false,
            next_offset: 0,
            commit: None,
            unsent: false,
            queue: None,
            consumed,
            tracked: None,
            at_end: false,
        }
    }

    /// The old handle of the queue must go before a new one is made: dropping it switches the callback of the shared
    /// queue off.
    pub(super) fn close(&mut self) {
        self.queue = None;
    }

    /// Ours from now on, from that offset.
    pub(super) fn open(&mut self, queue: PartitionQueue<ReaderContext>, next_offset: u64) {
        self.queue = Some(queue);
        self.next_offset = next_offset;
        self.commit = None;
        self.unsent = false;
        self.at_end = false;
        self.ours = true;
    }

    /// What the service has done up to there is to be committed.
    pub(super) fn commit(&mut self, next_offset: u64) {
        self.commit = Some(next_offset);
        self.unsent = true;
        if let Some(tracked) = &self.tracked {
            tracked.store(next_offset, Ordering::Relaxed);
        }
    }

    /// Appends at most `most` events. `true`: there may be more.
    pub(super) fn take(&mut self, most: usize, events: &mut Vec<Event>) -> Result<bool, LogError> {
        let Some(queue) = &self.queue else { return Ok(false) };
        let (mut records, mut bytes) = (0, 0);
        let mut outcome = Ok(true);
        for _ in 0..most {
            match queue.poll(Duration::ZERO) {
                None => {
                    outcome = Ok(false);
                    break;
                }
                // Left over from an assignment that is no longer ours.
                Some(_) if !self.ours => {}
                Some(Ok(message)) => {
                    // Offsets are never negative on a record that was read.
                    let offset = message.offset() as u64;
                    if offset < self.next_offset {
                        // A batch is fetched whole, also when reading starts in its middle.
                        continue;
                    }
                    self.next_offset = offset + 1;
                    self.at_end = false;
                    records += 1;
                    bytes += (message.key_len() + message.payload_len()) as u64;
                    events.push(Event::Record(record(self.topic, &message)));
                }
                Some(Err(error)) => match failure::of(&error) {
                    Failure::End => {
                        self.at_end = true;
                        let Self { topic, partition, next_offset, .. } = *self;
                        events.push(Event::End { topic, partition, next_offset });
                    }
                    // The main queue tells of the group.
                    Failure::Passing | Failure::Displaced => {}
                    Failure::Fatal(what) => {
                        outcome = Err(LogError::Fatal(format!("{}/{}: {what}", self.topic, self.partition)));
                        break;
                    }
                },
            }
        }
        self.consumed.record(records, bytes);
        outcome
    }
}

fn record(topic: Topic, message: &BorrowedMessage<'_>) -> Record {
    Record {
        topic,
        partition: message.partition() as u32,
        offset: message.offset() as u64,
        append_time_ms: message.timestamp().to_millis().unwrap_or_default(),
        key: message.key().map(<[u8]>::to_vec),
        value: message.payload().map(<[u8]>::to_vec),
        headers: headers::read(message),
    }
}
