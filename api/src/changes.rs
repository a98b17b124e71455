//! Follows topic `recommendations` on a thread of its own, and hands every change to who listens for its session. Reads
//! from its end at the start: what was before stands in the tables.
//!
//! Records of sessions that nobody listens for are not even decoded.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::thread::Thread;
use std::time::Duration;

use schemas::header;
use schemas::id::SessionId;
use schemas::recommendation::{RecommendationEvent, items_hash};
use schemas::topic::Topic;
use schemas::units::Instant;
use serde::Deserialize;
use serde_json::value::RawValue;
use store::{Cell, RecommendationRow, WriteTimestamp};
use stream::{Event, Fatal, Log, LogError, Reader, Record, Start};

use crate::feed::EventId;
use crate::listeners::{Listeners, Picks};
use crate::metrics;
use crate::recent::Recent;
use crate::statements::Ended;
use crate::tags::Tags;

/// How long one poll waits: how soon the thread sees that it must end.
const POLL: Duration = Duration::from_millis(100);

/// The followed topic. Dropping it ends the thread.
pub struct Changes {
    shared: Arc<Shared>,
    thread: Thread,
}

struct Shared {
    listeners: Arc<Listeners>,
    /// Where the rows of those sessions are renewed.
    recent: Arc<Recent>,
    /// What is told here that no longer is what the rows say.
    tags: Arc<Tags>,
    /// Why changes may be missed, while they may.
    behind: RwLock<Option<String>>,
    stop: AtomicBool,
}

impl Changes {
    /// Starts following. Blocks while it asks the log for its ends.
    pub fn start(
        log: &Log,
        listeners: Arc<Listeners>,
        (recent, tags): (Arc<Recent>, Arc<Tags>),
        fatal: Fatal,
    ) -> Result<(Self, Ended), LogError> {
        let mut starts = Vec::new();
        for partition in 0..log.partitions() {
            // Not `Latest`, which is wherever the reader finds the end later on: a change in between would be missed.
            let (_, next) = log.range(Topic::Recommendations, partition)?;
            starts.push((Topic::Recommendations, partition, Start::Offset(next)));
        }
        let reader = log.follow(&starts)?;
        let shared =
            Arc::new(Shared { listeners, recent, tags, behind: RwLock::default(), stop: AtomicBool::new(false) });
        let of_thread = Arc::clone(&shared);
        let (running, ended) = tokio::sync::oneshot::channel();
        let told = Fatal::clone(&fatal);
        let run = move || {
            follow(reader, &of_thread, &told);
            drop(running);
        };
        let handle = stream::spawn("api-changes", &fatal, run)
            .map_err(|error| LogError::Fatal(format!("the API cannot start a thread: {error}")))?;
        Ok((Self { shared, thread: handle.thread().clone() }, ended))
    }
}

impl Drop for Changes {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.thread.unpark();
    }
}

impl Shared {
    /// Notes why changes may be missed, or that the log is there again; says so once per change.
    fn set_behind(&self, reason: Option<String>) {
        let mut behind = self.behind.write().unwrap_or_else(PoisonError::into_inner);
        match (&*behind, &reason) {
            (None, Some(reason)) => {
                tracing::warn!("topic recommendations cannot be followed, streams stand still: {reason}");
            }
            (Some(_), None) => {
                tracing::info!("topic recommendations is followed again, streams read their rows once");
                self.listeners.all_look_again();
            }
            (None, None) | (Some(_), Some(_)) => {}
        }
        self.tags.set_followed(reason.is_none());
        metrics::record_changes_behind(reason.is_some());
        *behind = reason;
    }

    /// Lets the memory of tags know; the record is not decoded for that.
    fn note(&self, session: SessionId, record: &Record) {
        if !self.tags.watches(session) {
            return;
        }
        let id = header::text(&record.headers, header::CE_ID).and_then(EventId::parse);
        match id.filter(|_| record.value.is_some()) {
            Some(id) => self.tags.announced(session, id.write_timestamp()),
            None => self.tags.forget(session),
        }
    }

    fn take(&self, record: &Record) {
        let session = record.key.as_deref().and_then(|key| std::str::from_utf8(key).ok()?.parse::<SessionId>().ok());
        let Some(session) = session else { return };
        self.note(session, record);
        if !self.listeners.listens(session) {
            return;
        }
        let event = record.value.as_deref().map(serde_json::from_slice::<RecommendationEvent>);
        match event {
            Some(Ok(event)) if event.session_id == session => {
                self.renew(session, record);
                let RecommendationEvent { write_timestamp, items_hash, recommendation, .. } = event;
                self.listeners.tell(session, Picks { write_timestamp, items_hash, recommendation });
            }
            Some(event) => {
                let reason = event.err().map_or_else(|| "it names another session".to_owned(), |e| e.to_string());
                let Record { partition, offset, .. } = record;
                tracing::warn!(
                    partition,
                    offset,
                    "recommendations-{partition}, offset {offset}: {reason}; the row is read"
                );
                self.listeners.look_again(session);
            }
            // The row is gone; whether the session is, topic `preferences` says.
            None => self.listeners.look_again(session),
        }
    }

    /// Renews the row that is answered while the store is away, if there is one: a row that nobody has read is not kept.
    fn renew(&self, session: SessionId, record: &Record) {
        #[derive(Deserialize)]
        struct Whole<'a> {
            write_timestamp: i64,
            items_hash: String,
            /// The cell as it was written: its hash is the entity tag.
            #[serde(borrow)]
            recommendation: &'a RawValue,
        }
        let Some(known) = self.recent.get(session) else { return };
        let Some(Ok(Whole { write_timestamp, items_hash: hash, recommendation })) =
            record.value.as_deref().map(serde_json::from_slice)
        else {
            return;
        };
        // Its counts would be lost.
        if write_timestamp <= known.row.items.timestamp.raw() {
            return;
        }
        let json = recommendation.get().to_owned();
        if items_hash(&json) == hash {
            let timestamp = WriteTimestamp::from_raw(write_timestamp);
            // What was counted was so for the old row.
            let row = RecommendationRow { items: Cell { json, timestamp }, counts: None };
            self.recent.keep(session, &row, known.as_of.max(Instant::from_ms(record.append_time_ms)));
        }
    }
}

fn follow(mut reader: Box<dyn Reader>, shared: &Shared, fatal: &Fatal) {
    let mut events = Vec::new();
    while !shared.stop.load(Ordering::Relaxed) {
        match reader.poll(POLL, &mut events) {
            Ok(()) => shared.set_behind(None),
            Err(error @ (LogError::Unavailable(_) | LogError::QueueFull)) => {
                shared.set_behind(Some(error.to_string()));
                // The reader may answer at once while the brokers are away.
                std::thread::park_timeout(POLL);
            }
            Err(LogError::Fatal(reason)) => {
                fatal(format!("the API cannot follow topic recommendations: {reason}"));
                return;
            }
        }
        for event in events.drain(..) {
            match event {
                Event::Record(record) => shared.take(&record),
                // No group: nobody assigns or revokes.
                Event::End { .. } | Event::Assigned(_) | Event::Revoked(_) => {}
            }
        }
    }
}
