//! Appends statements and erasures to topic `preferences`, and interactions to theirs, and says what became of them.
//!
//! The producer is synchronous and has a thread of its own; a request waits for the acknowledgement without one. What a
//! statement says is not known here.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use schemas::header::{self, Headers};
use schemas::id::SessionId;
use schemas::interaction::Interaction;
use schemas::recommendation::items_hash;
use schemas::statement::deadline_header;
use schemas::topic::{Topic, partition_of, session_key};
use stream::{AckSink, Delivered, DeliveryError, Fatal, Log, LogError, Outgoing};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use crate::problem::{Kind, Problem};

/// Most statements queued for the producer's thread: more than requests may be under way, so the queue is full only when
/// the producer stands still.
const QUEUE: usize = 4_096;
/// Most statements without an acknowledgement: a client that went away leaves its one behind until the log answers.
const MAX_UNACKNOWLEDGED: usize = 16_384;
/// Most interactions without an acknowledgement: a quarter of the queue, so that they never keep out statements.
const MAX_INTERACTIONS: usize = 1_024;
/// How long after its deadline a statement without an acknowledgement is answered as unknown (DESIGN §3).
const PATIENCE: Duration = Duration::from_secs(1);
/// How long the producer may take for the rest when the service ends.
const FLUSH: Duration = Duration::from_secs(5);

/// CloudEvents `source` of interactions: the same of every process, so that `id` tells a repetition.
const INTERACTIONS_SOURCE: &str = "/roost/api";

/// Where the outcome goes, and the permit that its record keeps until then: its client may be gone long before.
struct Answer {
    to: oneshot::Sender<Result<Delivered, Undelivered>>,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Answer {
    fn give(self, outcome: Result<Delivered, Undelivered>) {
        // The client may have gone: then nobody waits for the answer.
        let _ = self.to.send(outcome);
    }
}

/// Why there is no acknowledgement.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Undelivered {
    /// It was never handed to the log.
    NotSent(String),
    /// It was, and the log said that it failed: it may be there all the same.
    Failed(String),
}

/// A statement on its way to the producer's thread.
struct Job {
    record: Outgoing,
    /// Handed on later, it would not come in time.
    until: Instant,
    answer: Answer,
}

/// Resolves (to an error) when a thread has ended.
pub type Ended = oneshot::Receiver<std::convert::Infallible>;

/// The way to topic `preferences`. Dropping it lets the thread hand on what it holds and end.
pub struct Statements {
    log: Log,
    jobs: mpsc::Sender<Job>,
    deadline: Duration,
    sent: AtomicU64,
    source: String,
    /// One permit per interaction under way.
    interactions: Arc<Semaphore>,
}

impl Statements {
    /// Opens the producer and starts its thread.
    pub fn start(log: &Log, deadline: Duration, fatal: Fatal) -> Result<(Self, Ended), LogError> {
        let acks = Arc::new(Unacknowledged::default());
        let producer = log.producer(acks.clone())?;
        let (jobs, queue) = mpsc::channel(QUEUE);
        let (running, ended) = oneshot::channel();
        let of_thread = Fatal::clone(&fatal);
        stream::spawn("api-statements", &fatal, move || {
            send_all(&*producer, &acks, queue, &of_thread);
            drop(running);
        })
        .map_err(|error| LogError::Fatal(format!("the API cannot start a thread: {error}")))?;
        let statements = Self {
            log: Arc::clone(log),
            jobs,
            deadline,
            sent: AtomicU64::new(0),
            source: source(),
            interactions: Arc::new(Semaphore::new(MAX_INTERACTIONS)),
        };
        Ok((statements, ended))
    }

    /// Appends a statement (`Some`) or an erasure (`None`) of a session. `Ok` only when the log has it in time.
    pub async fn append(
        &self,
        session: SessionId,
        value: Option<Vec<u8>>,
        traceparent: Option<Vec<u8>>,
    ) -> Result<Delivered, Problem> {
        let key = session_key(session);
        let partition = partition_of(&key, self.log.partitions());
        // By the log's time, with which it is compared.
        let deadline_ms = self.log.append_time_ms(Topic::Preferences, partition)
            + i64::try_from(self.deadline.as_millis()).unwrap_or(i64::MAX / 2);
        let headers = self.headers(value.is_none(), now_ms(), deadline_ms, traceparent);
        let record = Outgoing { topic: Topic::Preferences, partition: None, key: Some(key), value, headers };
        let (to, outcome) = oneshot::channel();
        let answer = Answer { to, _permit: None };
        if self.jobs.try_send(Job { record, until: Instant::now() + self.deadline, answer }).is_err() {
            return judge(
                Some(Err(Undelivered::NotSent("too many statements wait for the log".to_owned()))),
                deadline_ms,
            );
        }
        // A dropped answer is the producer's thread ending: then nobody knows.
        let outcome = tokio::time::timeout(self.deadline + PATIENCE, outcome).await;
        judge(outcome.ok().and_then(Result::ok), deadline_ms)
    }

    /// Appends what a session did. `Ok` only when the log has all of it.
    pub async fn record(&self, interactions: &[Interaction], traceparent: Option<Vec<u8>>) -> Result<(), Problem> {
        // A batch is far smaller than the bound.
        let permits = Arc::clone(&self.interactions).try_acquire_many_owned(interactions.len() as u32);
        let Ok(mut permits) = permits else {
            return Err(Problem::new(
                Kind::Overloaded,
                format!("{MAX_INTERACTIONS} interactions are under way already"),
            ));
        };
        let until = Instant::now() + self.deadline;
        let mut outcomes = Vec::with_capacity(interactions.len());
        for interaction in interactions {
            let (value, key) = (interaction.to_json(), session_key(interaction.session_id));
            // Of the content: whoever sends it again says the same.
            let id = items_hash(&String::from_utf8_lossy(&value));
            let mut headers = header::cloud_event("roost.interaction.recorded", INTERACTIONS_SOURCE, id, now_ms());
            headers.extend(traceparent.clone().map(|value| (header::TRACEPARENT.to_owned(), value)));
            let (key, value) = (Some(key), Some(value));
            let record = Outgoing { topic: Topic::Interactions, partition: None, key, value, headers };
            let (to, outcome) = oneshot::channel();
            let answer = Answer { to, _permit: permits.split(1) };
            if self.jobs.try_send(Job { record, until, answer }).is_err() {
                return Err(judge_interactions(Undelivered::NotSent(
                    "too many statements wait for the log".to_owned(),
                )));
            }
            outcomes.push(outcome);
        }
        // A dropped answer is the producer's thread ending: then nobody knows.
        let lost = |_| Err(Undelivered::Failed("the producer has ended".to_owned()));
        let all = futures::future::join_all(outcomes);
        let Ok(outcomes) = tokio::time::timeout(self.deadline + PATIENCE, all).await else {
            return Err(judge_interactions(Undelivered::Failed("no answer".to_owned())));
        };
        outcomes.into_iter().try_for_each(|outcome| outcome.unwrap_or_else(lost).map(drop)).map_err(judge_interactions)
    }

    fn headers(&self, erases: bool, now_ms: i64, deadline_ms: i64, traceparent: Option<Vec<u8>>) -> Headers {
        let kind = if erases { "roost.session.erased" } else { "roost.preferences.stated" };
        let id = self.sent.fetch_add(1, Ordering::Relaxed).to_string();
        let mut headers = header::cloud_event(kind, &self.source, id, now_ms);
        headers.push(deadline_header(deadline_ms));
        headers.extend(traceparent.map(|value| (header::TRACEPARENT.to_owned(), value)));
        headers
    }
}

/// CloudEvents `source`: names this run of this process, so that `id`, which counts, is unique within it.
fn source() -> String {
    format!("/roost/api/{}-{}", std::process::id(), now_ms())
}

/// What to tell the client. `None`: no answer of the log within the time.
fn judge(outcome: Option<Result<Delivered, Undelivered>>, deadline_ms: i64) -> Result<Delivered, Problem> {
    match outcome {
        Some(Ok(delivered)) if delivered.append_time_ms <= deadline_ms => Ok(delivered),
        Some(Ok(_)) => Err(Problem::new(
            Kind::LogUnavailable,
            "the log took the statement after its deadline, so it does not count; repeat it",
        )),
        Some(Err(Undelivered::NotSent(reason))) => {
            Err(Problem::new(Kind::LogUnavailable, format!("the statement is not recorded ({reason}); repeat it")))
        }
        Some(Err(Undelivered::Failed(_))) | None => {
            Err(Problem::new(Kind::OutcomeUnknown, "whether the statement is recorded is unknown; repeat it"))
        }
    }
}

/// What to tell a client whose interactions are not all acknowledged.
fn judge_interactions(why: Undelivered) -> Problem {
    match why {
        Undelivered::NotSent(reason) => {
            Problem::new(Kind::LogUnavailable, format!("not all interactions are recorded ({reason}); repeat them"))
        }
        Undelivered::Failed(_) => {
            Problem::new(Kind::OutcomeUnknown, "whether the interactions are recorded is unknown; repeat them")
        }
    }
}

/// The producer's thread: hands every job to the log, until the queue is closed.
fn send_all(producer: &dyn stream::Producer, acks: &Unacknowledged, mut queue: mpsc::Receiver<Job>, fatal: &Fatal) {
    let mut token = 0;
    while let Some(job) = queue.blocking_recv() {
        if Instant::now() > job.until {
            refuse(job.answer, "it waited for the log until its deadline");
            continue;
        }
        token += 1;
        if let Err(answer) = acks.insert(token, job.answer) {
            refuse(answer, "too many statements wait for the log");
            continue;
        }
        if let Err(error) = producer.send(job.record, token) {
            acks.answer(token, Err(Undelivered::NotSent(error.to_string())));
            if let LogError::Fatal(reason) = error {
                fatal(format!("the API cannot append statements: {reason}"));
            }
        }
    }
    if let Err(error) = producer.flush(FLUSH) {
        tracing::warn!("statements may be without an answer at the end: {error}");
    }
}

fn refuse(answer: Answer, reason: &str) {
    answer.give(Err(Undelivered::NotSent(reason.to_owned())));
}

/// Who waits for which acknowledgement.
#[derive(Default)]
struct Unacknowledged(Mutex<HashMap<u64, Answer>>);

impl Unacknowledged {
    fn insert(&self, token: u64, answer: Answer) -> Result<(), Answer> {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() >= MAX_UNACKNOWLEDGED {
            return Err(answer);
        }
        waiting.insert(token, answer);
        Ok(())
    }

    fn answer(&self, token: u64, outcome: Result<Delivered, Undelivered>) {
        let answer = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&token);
        if let Some(answer) = answer {
            answer.give(outcome);
        }
    }
}

impl AckSink for Unacknowledged {
    fn acked(&self, token: u64, outcome: Result<Delivered, DeliveryError>) {
        self.answer(token, outcome.map_err(|error| Undelivered::Failed(error.reason)));
    }
}

/// The wall clock, milliseconds since 1970.
pub fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_log_has_by_the_deadline_is_accepted() {
        let at = |append_time_ms| Some(Ok(Delivered { partition: 0, offset: 7, append_time_ms }));
        assert_eq!(judge(at(5_000), 5_000).unwrap().offset, 7);
        assert_eq!(judge(at(5_001), 5_000).unwrap_err().kind, Kind::LogUnavailable);
        assert_eq!(judge(Some(Err(Undelivered::NotSent("x".into()))), 0).unwrap_err().kind, Kind::LogUnavailable);
        assert_eq!(judge(Some(Err(Undelivered::Failed("x".into()))), 0).unwrap_err().kind, Kind::OutcomeUnknown);
        let unknown = judge(None, 0).unwrap_err();
        assert_eq!((unknown.kind, unknown.retry_after), (Kind::OutcomeUnknown, Some(1)));
    }
}
