//! Appends records to topic `access`, and says what became of them.
//!
//! The producer is synchronous and has a thread of its own; who waits for an acknowledgement needs none. What a record says
//! is not known here.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant as Moment};

use schemas::access::{AccessKey, AccessRecord};
use schemas::header;
use schemas::topic::Topic;
use stream::{AckSink, Delivered, DeliveryError, Fatal, Log, LogError, Outgoing};
use tokio::sync::{mpsc, oneshot};

use crate::{Ended, now};

/// Most records queued for the producer's thread, and most without an acknowledgement: renewals and registrations come one
/// by one, so this is full only when the log stands still.
const QUEUE: usize = 4_096;
/// How long who asked waits for the log.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long the producer may take for the rest when the process ends.
const FLUSH: Duration = Duration::from_secs(5);

/// Why a record is not known to be on the log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAppended {
    /// It was never handed to the log.
    #[error("it is not recorded ({0}); repeat it")]
    NotSent(String),
    /// It was, and there is no word of it: it may be there all the same.
    #[error("whether it is recorded is unknown ({0}); repeat it")]
    Unknown(String),
}

type Answer = oneshot::Sender<Result<Delivered, NotAppended>>;

struct Job {
    record: Outgoing,
    until: Moment,
    answer: Option<Answer>,
}

/// The way to topic `access`. When the last clone is dropped, the thread hands on what it holds and ends.
#[derive(Clone)]
pub(crate) struct Appender {
    jobs: mpsc::Sender<Job>,
    source: Arc<str>,
    sent: Arc<AtomicU64>,
}

impl Appender {
    /// Opens the producer and starts its thread. `source` names this run of this process.
    pub fn start(log: &Log, source: Arc<str>, fatal: &Fatal) -> Result<(Self, Ended), LogError> {
        let acks = Arc::new(Unacknowledged::default());
        let producer = log.producer(acks.clone())?;
        let (jobs, queue) = mpsc::channel(QUEUE);
        let (running, ended) = oneshot::channel();
        let told = Fatal::clone(fatal);
        stream::spawn("access-append", fatal, move || {
            send_all(&*producer, &acks, queue, &told);
            drop(running);
        })
        .map_err(|error| LogError::Fatal(format!("access cannot start a thread: {error}")))?;
        Ok((Self { jobs, source, sent: Arc::default() }, ended))
    }

    /// Appends a record. `Ok` when the log has it.
    pub async fn append(&self, record: &AccessRecord) -> Result<Delivered, NotAppended> {
        let (answer, outcome) = oneshot::channel();
        self.queue(self.outgoing(&record.key(), Some(record.to_json())), Some(answer))?;
        match tokio::time::timeout(PATIENCE + Duration::from_secs(1), outcome).await {
            Ok(Ok(outcome)) => outcome,
            // A dropped answer is the producer's thread ending: then nobody knows.
            Ok(Err(_)) => Err(NotAppended::Unknown("the process ends".to_owned())),
            Err(_) => Err(NotAppended::Unknown("the log does not answer".to_owned())),
        }
    }

    /// Appends a record, or a tombstone, that nobody waits for: who needs it there looks again.
    pub fn send(&self, key: &AccessKey, record: Option<&AccessRecord>) {
        if let Err(error) = self.queue(self.outgoing(key, record.map(AccessRecord::to_json)), None) {
            tracing::debug!("topic access: {key}: {error}");
        }
    }

    fn queue(&self, record: Outgoing, answer: Option<Answer>) -> Result<(), NotAppended> {
        let job = Job { record, until: Moment::now() + PATIENCE, answer };
        self.jobs.try_send(job).map_err(|_| NotAppended::NotSent("too many records wait for the log".to_owned()))
    }

    fn outgoing(&self, key: &AccessKey, value: Option<Vec<u8>>) -> Outgoing {
        let kind = match key {
            AccessKey::Key(_) => "roost.access.key",
            AccessKey::Family(_) => "roost.access.family",
            AccessKey::Session(_) => "roost.access.session",
            AccessKey::Webhook(_) => "roost.access.webhook",
        };
        let id = self.sent.fetch_add(1, Ordering::Relaxed).to_string();
        let headers = header::cloud_event(kind, &self.source, id, now().ms());
        Outgoing { topic: Topic::Access, partition: None, key: Some(key.to_string().into_bytes()), value, headers }
    }
}

/// The producer's thread: hands every job to the log, until the queue is closed.
fn send_all(producer: &dyn stream::Producer, acks: &Unacknowledged, mut queue: mpsc::Receiver<Job>, fatal: &Fatal) {
    let mut token = 0;
    while let Some(Job { record, until, answer }) = queue.blocking_recv() {
        token += 1;
        acks.insert(token, answer);
        if Moment::now() > until {
            acks.answer(token, Err(NotAppended::NotSent("it waited too long for the log".to_owned())));
        } else if let Err(error) = producer.send(record, token) {
            acks.answer(token, Err(NotAppended::NotSent(error.to_string())));
            if let LogError::Fatal(reason) = error {
                fatal(format!("topic access cannot be appended to: {reason}"));
            }
        }
    }
    if let Err(error) = producer.flush(FLUSH) {
        tracing::warn!("records of access may be without an answer at the end: {error}");
    }
}

/// Who waits for which acknowledgement. Bounded by the producer's own queue, which refuses what is beyond it.
#[derive(Default)]
struct Unacknowledged(Mutex<HashMap<u64, Answer>>);

impl Unacknowledged {
    fn insert(&self, token: u64, answer: Option<Answer>) {
        if let Some(answer) = answer {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(token, answer);
        }
    }

    fn answer(&self, token: u64, outcome: Result<Delivered, NotAppended>) {
        let answer = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&token);
        if let Some(answer) = answer {
            // Who asked may have gone: then nobody waits for the answer.
            let _ = answer.send(outcome);
        }
    }
}

impl AckSink for Unacknowledged {
    fn acked(&self, token: u64, outcome: Result<Delivered, DeliveryError>) {
        self.answer(token, outcome.map_err(|error| NotAppended::Unknown(error.reason)));
    }
}
