//! Records to `listings.raw`, with a bounded window of those that the log has not acknowledged.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use schemas::topic::Topic;
use stream::{AckSink, Delivered, DeliveryError, Log, LogError, Outgoing, Producer};

use super::record::Item;
use super::{PATIENCE, PublishError, Waits};

/// Most records under way: at 1 kB some ten megabytes, and more than a fast broker takes in a round trip.
const WINDOW: u64 = 10_000;
/// After how long without an acknowledgement somebody is told: a busy broker takes less.
const SILENCE: Duration = Duration::from_secs(5);

pub(super) struct LogSink {
    producer: Box<dyn Producer>,
    acks: Arc<Acks>,
    handed_over: u64,
    waits: Waits,
}

#[derive(Default)]
struct Acks {
    state: Mutex<Acknowledged>,
    changed: Condvar,
}

#[derive(Default)]
struct Acknowledged {
    count: u64,
    failed: Option<String>,
}

impl AckSink for Acks {
    fn acked(&self, _token: u64, outcome: Result<Delivered, DeliveryError>) {
        let mut state = self.lock();
        match outcome {
            Ok(_) => state.count += 1,
            Err(error) => drop(state.failed.get_or_insert(error.to_string())),
        }
        self.changed.notify_all();
    }
}

impl Acks {
    fn lock(&self) -> MutexGuard<'_, Acknowledged> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LogSink {
    pub(super) fn new(log: &Log, waits: &Waits) -> Result<Self, PublishError> {
        let acks = Arc::new(Acks::default());
        let producer = log.producer(acks.clone()).map_err(|error| failed(&error, 0))?;
        Ok(Self { producer, acks, handed_over: 0, waits: waits.clone() })
    }

    /// How many records the log is known to have.
    pub(super) fn sent(&self) -> u64 {
        self.acks.lock().count
    }

    pub(super) fn put(&mut self, item: Item) -> Result<(), PublishError> {
        self.until_acknowledged(self.handed_over.saturating_sub(WINDOW - 1))?;
        let record = Outgoing {
            topic: Topic::ListingsRaw,
            partition: None,
            key: Some(item.key),
            value: Some(item.value),
            headers: item.headers,
        };
        let since = Instant::now();
        loop {
            let sent = self.sent();
            match self.producer.send(record.clone(), self.handed_over) {
                Ok(()) => {
                    self.handed_over += 1;
                    return Ok(());
                }
                Err(LogError::QueueFull) => self.until_acknowledged((sent + 1).min(self.handed_over))?,
                Err(error @ LogError::Unavailable(_)) if since.elapsed() > PATIENCE => {
                    return Err(failed(&error, sent));
                }
                Err(LogError::Unavailable(_)) => super::http::wait_until(Instant::now() + super::http::PAUSE),
                Err(error @ LogError::Fatal(_)) => return Err(failed(&error, sent)),
            }
        }
    }

    /// Waits until the log has everything.
    pub(super) fn finish(&mut self) -> Result<(), PublishError> {
        self.producer.flush(PATIENCE).map_err(|error| failed(&error, self.sent()))?;
        self.until_acknowledged(self.handed_over)
    }

    /// Waits until so many records are acknowledged; not longer than [`PATIENCE`] without any progress.
    fn until_acknowledged(&self, count: u64) -> Result<(), PublishError> {
        let mut state = self.acks.lock();
        let (mut seen, mut since, mut told) = (state.count, Instant::now(), false);
        loop {
            if let Some(reason) = &state.failed {
                return Err(PublishError::Unavailable { reason: reason.clone(), sent: state.count });
            }
            if state.count >= count {
                return Ok(());
            }
            if state.count > seen {
                (seen, since, told) = (state.count, Instant::now(), false);
            }
            let Some(left) = PATIENCE.checked_sub(since.elapsed()) else {
                let reason = format!("the log has acknowledged nothing for {} s", PATIENCE.as_secs());
                return Err(PublishError::Unavailable { reason, sent: state.count });
            };
            if !told && since.elapsed() >= SILENCE {
                told = true;
                (self.waits)(&format!(
                    "the log acknowledges nothing (are the brokers up?); waiting for {} s",
                    left.as_secs()
                ));
            }
            let pause = if told { left } else { left.min(SILENCE) };
            state = self.acks.changed.wait_timeout(state, pause).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

fn failed(error: &LogError, sent: u64) -> PublishError {
    PublishError::Unavailable { reason: error.to_string(), sent }
}
