//! Queues records for the writers, within bounds, and counts what is under way.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use crossbeam_channel::{Sender, TrySendError};

use super::Shared;
use super::writer::Command;
use crate::locked::{lock, wait};
use crate::metrics::Produced;
use crate::{AckSink, Delivered, DeliveryError, LogError, Outgoing, Producer, placement};

/// Bytes that wait for a writer: a slow disk must not fill the memory.
const QUEUED_BYTES: usize = 256 * 1024 * 1024;

/// The way to one writer.
#[derive(Clone)]
pub(super) struct Lane {
    pub(super) queue: Sender<Command>,
    pub(super) queued_bytes: Arc<AtomicUsize>,
}

/// One record on its way.
pub(super) struct Append {
    pub(super) record: Outgoing,
    pub(super) partition: u32,
    pub(super) size: usize,
    token: u64,
    origin: Arc<Origin>,
}

/// What the records of one producer have in common.
struct Origin {
    sink: Arc<dyn AckSink>,
    produced: Produced,
    in_flight: Mutex<u64>,
    landed: Condvar,
}

impl Append {
    pub(super) fn acknowledge(self, outcome: Result<Delivered, DeliveryError>) {
        self.origin.produced.record(Some(self.record.topic), outcome.is_ok());
        self.origin.sink.acked(self.token, outcome);
        self.origin.land();
    }
}

impl Origin {
    fn land(&self) {
        let mut in_flight = lock(&self.in_flight);
        *in_flight = in_flight.saturating_sub(1);
        if *in_flight == 0 {
            self.landed.notify_all();
        }
    }
}

pub(super) struct EmbeddedProducer {
    shared: Arc<Shared>,
    origin: Arc<Origin>,
}

impl EmbeddedProducer {
    pub(super) fn new(shared: Arc<Shared>, sink: Arc<dyn AckSink>) -> Self {
        let origin = Origin { sink, produced: Produced::new(), in_flight: Mutex::new(0), landed: Condvar::new() };
        Self { shared, origin: Arc::new(origin) }
    }
}

impl Producer for EmbeddedProducer {
    fn send(&self, record: Outgoing, token: u64) -> Result<(), LogError> {
        let partition = placement::check(&record, self.shared.heads.partitions(record.topic))?;
        let size = placement::size(&record);
        if let Some(trouble) = self.shared.volume(record.topic).trouble() {
            return Err(LogError::Unavailable(trouble));
        }
        let lane = self.shared.lane(record.topic);
        if lane.queued_bytes.load(Ordering::Relaxed) > QUEUED_BYTES {
            return Err(LogError::QueueFull);
        }
        let append = Append { record, partition, size, token, origin: Arc::clone(&self.origin) };
        *lock(&self.origin.in_flight) += 1;
        lane.queued_bytes.fetch_add(size, Ordering::Relaxed);
        let refused = match lane.queue.try_send(Command::Append(append)) {
            Ok(()) => return Ok(()),
            Err(TrySendError::Full(_)) => LogError::QueueFull,
            Err(TrySendError::Disconnected(_)) => LogError::Fatal("the log is closed".to_owned()),
        };
        lane.queued_bytes.fetch_sub(size, Ordering::Relaxed);
        self.origin.land();
        Err(refused)
    }

    fn flush(&self, timeout: Duration) -> Result<(), LogError> {
        if wait(&self.origin.in_flight, &self.origin.landed, timeout, |in_flight| *in_flight == 0) {
            return Ok(());
        }
        let left = *lock(&self.origin.in_flight);
        Err(LogError::Unavailable(format!("{left} records are not acknowledged after {timeout:?}")))
    }
}
