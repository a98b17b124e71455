//! Appends what was pushed and waits until the log has it: the bridge between the producer's acknowledgements and requests.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use stream::{AckSink, Delivered, DeliveryError, Log, LogError, Outgoing, Producer};
use tokio::sync::oneshot;

/// How long to let acknowledgements come in before a full queue is tried again.
const QUEUE_FULL_PAUSE: Duration = Duration::from_millis(2);

/// Appends records for requests.
pub(super) struct Appender {
    producer: Box<dyn Producer>,
    waiting: Arc<Waiting>,
    next_token: AtomicU64,
}

/// Whether the records of one request are on the log is not known, for this reason.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Unknown(String);

/// The places of the records of one request, in their order.
pub(super) type Places = Vec<Delivered>;

/// The requests that wait, by the tokens of their records.
#[derive(Default)]
struct Waiting(Mutex<HashMap<u64, (Arc<Request>, usize)>>);

/// One request that waits for its records.
struct Request(Mutex<Progress>);

struct Progress {
    places: Vec<Option<Delivered>>,
    left: usize,
    done: Option<oneshot::Sender<Result<Places, Unknown>>>,
}

impl AckSink for Waiting {
    fn acked(&self, token: u64, outcome: Result<Delivered, DeliveryError>) {
        let waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&token);
        // A request that has given up waits for nothing.
        let Some((request, index)) = waiting else { return };
        let mut progress = request.0.lock().unwrap_or_else(PoisonError::into_inner);
        match outcome {
            Ok(place) => {
                progress.places[index] = Some(place);
                progress.left -= 1;
                if progress.left > 0 {
                    return;
                }
                let places = progress.places.iter().copied().flatten().collect();
                if let Some(done) = progress.done.take() {
                    // The request may have given up this moment.
                    let _ = done.send(Ok(places));
                }
            }
            Err(error) => {
                if let Some(done) = progress.done.take() {
                    let _ = done.send(Err(Unknown(error.to_string())));
                }
            }
        }
    }
}

impl Appender {
    pub(super) fn new(log: &Log) -> Result<Self, LogError> {
        let waiting = Arc::new(Waiting::default());
        let producer = log.producer(waiting.clone())?;
        Ok(Self { producer, waiting, next_token: AtomicU64::new(0) })
    }

    /// Hands the records to the producer, in order, by `deadline`; blocks while its queue is full. What comes back tells
    /// when all of them are acknowledged.
    pub(super) fn append(&self, records: Vec<Outgoing>, deadline: Instant) -> Result<Append, Unknown> {
        let count = records.len();
        let first = self.next_token.fetch_add(count as u64, Ordering::Relaxed);
        let (done, answer) = oneshot::channel();
        let progress = Progress { places: vec![None; count], left: count, done: Some(done) };
        let request = Arc::new(Request(Mutex::new(progress)));
        let append = Append { waiting: self.waiting.clone(), tokens: first..first + count as u64, answer };
        {
            let mut waiting = self.waiting.0.lock().unwrap_or_else(PoisonError::into_inner);
            waiting.extend(append.tokens.clone().zip((0..).map(|index| (request.clone(), index))));
        }
        for (token, record) in append.tokens.clone().zip(records) {
            self.send(record, token, deadline)?;
        }
        Ok(append)
    }

    fn send(&self, record: Outgoing, token: u64, deadline: Instant) -> Result<(), Unknown> {
        loop {
            match self.producer.send(record.clone(), token) {
                Ok(()) => return Ok(()),
                Err(LogError::QueueFull) if Instant::now() < deadline => std::thread::park_timeout(QUEUE_FULL_PAUSE),
                Err(error) => return Err(Unknown(error.to_string())),
            }
        }
    }

    /// Waits until everything handed over is acknowledged or failed.
    pub(super) fn flush(&self, timeout: Duration) -> Result<(), LogError> {
        self.producer.flush(timeout)
    }
}

/// Records under way. Dropped, it waits for none of them any more.
pub(super) struct Append {
    waiting: Arc<Waiting>,
    tokens: std::ops::Range<u64>,
    answer: oneshot::Receiver<Result<Places, Unknown>>,
}

impl Append {
    /// Waits until the log has all records.
    pub(super) async fn acknowledged(mut self, deadline: Instant) -> Result<Places, Unknown> {
        match tokio::time::timeout_at(deadline.into(), &mut self.answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(Unknown("the producer went away".to_owned())),
            Err(_) => Err(Unknown("the log did not acknowledge in time".to_owned())),
        }
    }
}

impl Drop for Append {
    fn drop(&mut self) {
        let mut waiting = self.waiting.0.lock().unwrap_or_else(PoisonError::into_inner);
        for token in self.tokens.clone() {
            waiting.remove(&token);
        }
    }
}
