//! What no receiver took, as dead letters: sent, and sent again until the log has them. Of the picks nothing is kept, for they
//! are a person's and stand in the tables; the letter says which change of which session it was.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use schemas::dead_letter::{Code, Poison};
use schemas::id::{AccessId, SessionId};
use schemas::topic::{Topic, session_key};
use stream::{AckSink, Delivered, DeliveryError, Log, LogError, Outgoing, Producer, Record, dead_letter};

use super::marks::Mark;

/// Most letters under way.
const AT_ONCE: usize = 1_024;
/// Beyond so many that wait for the log, no more changes are taken: some 500 bytes each.
const MOST: usize = 20_000;

/// A change that was not taken.
#[derive(Clone, Debug)]
pub struct Letter {
    /// By whom.
    pub webhook: AccessId,
    /// Whose change.
    pub session: SessionId,
    /// Where the webhook is, without the rest of its address.
    pub host: String,
    /// Which change.
    pub what: String,
    /// Why not.
    pub why: String,
    /// Where the change stands on `recommendations`,
    pub partition: u32,
    /// at which offset,
    pub offset: u64,
    /// and since when.
    pub append_time_ms: i64,
    /// What may be committed once the letter is written.
    pub mark: Mark,
}

impl Letter {
    fn outgoing(&self) -> Outgoing {
        let Self { webhook, session, host, what, why, .. } = self;
        let value = serde_json::json!({"webhook_id": webhook, "host": host, "session_id": session, "version": what});
        let record = Record {
            topic: Topic::Recommendations,
            partition: self.partition,
            offset: self.offset,
            append_time_ms: self.append_time_ms,
            key: Some(session_key(*session)),
            value: Some(value.to_string().into_bytes()),
            headers: Vec::new(),
        };
        let message = format!("webhook {webhook} at {host}: {why}");
        dead_letter::of(&record, &Poison { code: Code::WebhookUndeliverable, message }, "api", 0, None)
    }
}

type Ack = (u64, Result<Delivered, DeliveryError>);

/// There is room for all that can be under way, so that the producer's thread never waits.
struct Acks(SyncSender<Ack>);

impl AckSink for Acks {
    fn acked(&self, token: u64, outcome: Result<Delivered, DeliveryError>) {
        // Who is gone needs no acknowledgement.
        let _ = self.0.try_send((token, outcome));
    }
}

/// The way to topic `dead-letters`.
pub struct Letters {
    producer: Box<dyn Producer>,
    acks: Receiver<Ack>,
    waiting: VecDeque<Letter>,
    under_way: HashMap<u64, Letter>,
    token: u64,
}

impl Letters {
    /// Opens the way.
    pub fn new(log: &Log) -> Result<Self, LogError> {
        let (sink, acks) = sync_channel(AT_ONCE);
        let producer = log.producer(Arc::new(Acks(sink)))?;
        Ok(Self { producer, acks, waiting: VecDeque::new(), under_way: HashMap::new(), token: 0 })
    }

    /// Takes a letter; [`Letters::push`] sends it.
    pub fn send(&mut self, letter: Letter) {
        self.waiting.push_back(letter);
    }

    /// Hands letters to the log, as many as it takes now.
    pub fn push(&mut self) {
        while self.under_way.len() < AT_ONCE {
            let Some(letter) = self.waiting.pop_front() else { return };
            self.token += 1;
            if self.producer.send(letter.outgoing(), self.token).is_err() {
                self.waiting.push_front(letter);
                return;
            }
            self.under_way.insert(self.token, letter);
        }
    }

    /// The marks of letters that are on the log; others are sent again.
    pub fn take_written(&mut self) -> Vec<Mark> {
        let mut written = Vec::new();
        while let Ok((token, outcome)) = self.acks.try_recv() {
            let Some(letter) = self.under_way.remove(&token) else { continue };
            match outcome {
                Ok(_) => written.push(letter.mark),
                Err(error) => {
                    tracing::warn!("a dead letter of webhook {} is sent again: {error}", letter.webhook);
                    self.waiting.push_front(letter);
                }
            }
        }
        written
    }

    /// Whether so many wait that no more may come.
    pub fn is_full(&self) -> bool {
        self.waiting.len() >= MOST
    }

    /// Whether any is not on the log yet.
    pub fn is_busy(&self) -> bool {
        !self.waiting.is_empty() || !self.under_way.is_empty()
    }
}
