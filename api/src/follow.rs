//! Follows the tail of topic `preferences` on a thread of its own, so that what any process of the API accepted or erased
//! is known to this one within moments.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::thread::Thread;
use std::time::Duration;

use schemas::id::SessionId;
use schemas::topic::Topic;
use stream::{Event, Fatal, Log, LogError, Reader, Start};

use crate::listeners::Listeners;
use crate::overheard::{Hearing, Overheard};
use crate::recent::Recent;
use crate::statements::Ended;
use crate::tail::{Note, Tail, Verdict};

/// How many records before the end of each partition are read at the start: statements and erasures that the scorer may
/// not have applied when this process starts. Read in well below a second.
const LOOK_BACK: u64 = 2_000;
/// How long one poll waits: how soon the thread sees that it must end.
const POLL: Duration = Duration::from_millis(100);

/// The followed tail. Dropping it ends the thread.
pub struct Follower {
    shared: Arc<Shared>,
    thread: Thread,
}

struct Shared {
    tail: RwLock<Tail>,
    /// Who wants to know of an erasure.
    listeners: Arc<Listeners>,
    /// What must not show who is erased.
    recent: Arc<Recent>,
    /// Who wants to know of statements.
    overheard: Arc<Overheard>,
    /// Why the tail is not known, while it is not.
    behind: RwLock<Option<String>>,
    /// Whether it was read to its end once: what was erased before this process started is known.
    was_read: AtomicBool,
    stop: AtomicBool,
}

impl Follower {
    /// Starts following. Blocks while it asks the log for its ends.
    pub fn start(
        log: &Log,
        listeners: Arc<Listeners>,
        recent: Arc<Recent>,
        fatal: Fatal,
    ) -> Result<(Self, Ended), LogError> {
        let partitions = log.partitions();
        let mut starts = Vec::new();
        for partition in 0..partitions {
            let (first, next) = log.range(Topic::Preferences, partition)?;
            starts.push((Topic::Preferences, partition, Start::Offset(next.saturating_sub(LOOK_BACK).max(first))));
        }
        let reader = log.follow(&starts)?;
        let shared = Arc::new(Shared {
            tail: RwLock::default(),
            listeners,
            recent,
            overheard: Arc::default(),
            behind: RwLock::new(Some("not read to its end yet".to_owned())),
            was_read: AtomicBool::new(false),
            stop: AtomicBool::new(false),
        });
        let of_thread = Arc::clone(&shared);
        let (running, ended) = tokio::sync::oneshot::channel();
        let handle = {
            let told = Fatal::clone(&fatal);
            let run = move || {
                follow(reader, &of_thread, partitions, &told);
                drop(running);
            };
            stream::spawn("api-follow", &fatal, run)
                .map_err(|error| LogError::Fatal(format!("the API cannot start a thread: {error}")))?
        };
        Ok((Self { shared, thread: handle.thread().clone() }, ended))
    }

    /// See [`Tail::verdict`]. `None` before the tail was read once: the tables may still have what is erased on it.
    pub fn verdict(&self, session: SessionId, row_version: Option<u64>) -> Option<Verdict> {
        self.shared.was_read.load(Ordering::Acquire).then(|| self.verdict_now(session, row_version))
    }

    fn verdict_now(&self, session: SessionId, row_version: Option<u64>) -> Verdict {
        self.shared.tail.read().unwrap_or_else(PoisonError::into_inner).verdict(session, row_version)
    }

    /// See [`Tail::stated`].
    pub fn stated(&self, session: SessionId) -> Option<u64> {
        self.shared.tail.read().unwrap_or_else(PoisonError::into_inner).stated(session)
    }

    /// See [`Overheard::hear`].
    pub fn hear(&self, session: SessionId) -> Hearing {
        self.shared.overheard.hear(session)
    }

    /// Takes in what this process itself has just had acknowledged, without the way through the log.
    pub fn note(&self, note: Note) {
        self.shared.note(note);
    }

    /// `Err` while the tail is not known, with the reason.
    pub fn ready(&self) -> Result<(), String> {
        match &*self.shared.behind.read().unwrap_or_else(PoisonError::into_inner) {
            None => Ok(()),
            Some(reason) => Err(format!("topic preferences: {reason}")),
        }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.thread.unpark();
    }
}

impl Shared {
    fn note(&self, note: Note) {
        self.tail.write().unwrap_or_else(PoisonError::into_inner).note(note);
        if note.erases {
            // After the tail: who keeps a row asks the tail afterwards.
            self.recent.forget(note.session);
            self.listeners.wake(note.session);
        }
    }

    /// Notes why the tail is not known, or that it is; says so once per change.
    fn set_behind(&self, reason: Option<String>) {
        let mut behind = self.behind.write().unwrap_or_else(PoisonError::into_inner);
        match (&*behind, &reason) {
            (None, Some(reason)) => tracing::warn!("topic preferences cannot be followed: {reason}"),
            (Some(_), None) => tracing::info!("topic preferences is followed to its end"),
            (None, None) | (Some(_), Some(_)) => {}
        }
        *behind = reason;
    }
}

fn follow(mut reader: Box<dyn Reader>, shared: &Shared, partitions: u32, fatal: &Fatal) {
    let mut events = Vec::new();
    let mut caught_up = std::collections::BTreeSet::new();
    while !shared.stop.load(Ordering::Relaxed) {
        let mut answered = true;
        match reader.poll(POLL, &mut events) {
            Ok(()) => {}
            Err(error @ (LogError::Unavailable(_) | LogError::QueueFull)) => {
                answered = false;
                shared.set_behind(Some(error.to_string()));
                // The reader may answer at once while the brokers are away.
                std::thread::park_timeout(POLL);
            }
            Err(LogError::Fatal(reason)) => {
                fatal(format!("the API cannot follow topic preferences: {reason}"));
                return;
            }
        }
        for event in events.drain(..) {
            match event {
                Event::Record(record) => {
                    if let Some((note, stated)) = Note::read(&record, partitions) {
                        shared.note(note);
                        shared.overheard.note(note.session, note.version, || stated);
                    }
                }
                Event::End { partition, .. } => {
                    caught_up.insert(partition);
                }
                // No group: nobody assigns or revokes.
                Event::Assigned(_) | Event::Revoked(_) => {}
            }
        }
        if answered && caught_up.len() == partitions as usize {
            shared.was_read.store(true, Ordering::Release);
            shared.set_behind(None);
        }
    }
}
