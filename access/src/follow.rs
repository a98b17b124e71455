//! Follows topic `access` on a thread of its own, from its beginning, so that what any process appended is known to this one
//! within moments; repairs the log where its last record of a key is not the whole truth; and forgets what is long over.
//!
//! What the records mean is for `register.rs`.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::thread::Thread;
use std::time::{Duration, Instant as Moment};

use schemas::access::{AccessKey, AccessRecord};
use schemas::header;
use schemas::topic::Topic;
use stream::{Event, Fatal, Log, LogError, Reader, Record, Start};
use tokio::sync::{oneshot, watch};

use crate::append::Appender;
use crate::register::{Register, Taken};
use crate::{Ended, metrics, now};

/// How long one poll waits: how soon the thread sees that it must end.
const POLL: Duration = Duration::from_millis(100);
/// How soon a repair that did not arrive is sent again.
const REPAIR_AGAIN: Duration = Duration::from_secs(10);
/// How often it is looked for what may be forgotten.
const SWEEP: Duration = Duration::from_secs(3_600);
/// How soon again when there was more than is forgotten at once.
const SWEEP_ON: Duration = Duration::from_secs(60);
/// Most repairs or tombstones at once: half of the appender's queue, so that they never keep out renewals.
const AT_ONCE: usize = 2_048;

/// The followed topic. Dropping it ends the thread.
pub(crate) struct Follower {
    shared: Arc<Shared>,
    thread: Thread,
}

struct Shared {
    register: RwLock<Register>,
    /// Counts changes of webhooks.
    webhooks: watch::Sender<u64>,
    /// Why it is not known what stands on the topic, while it is not.
    behind: RwLock<Option<String>>,
    /// Whether it was read to its end once.
    was_read: AtomicBool,
    /// Whether it was said that a bound is reached.
    told_full: AtomicBool,
    stop: AtomicBool,
}

impl Follower {
    /// Starts following. `source` names the records of this process.
    pub fn start(
        log: &Log,
        register: Register,
        appender: Appender,
        source: Arc<str>,
        fatal: &Fatal,
    ) -> Result<(Self, Ended), LogError> {
        let partitions = log.partitions();
        let starts: Vec<_> = (0..partitions).map(|partition| (Topic::Access, partition, Start::Earliest)).collect();
        let reader = log.follow(&starts)?;
        let shared = Arc::new(Shared {
            register: RwLock::new(register),
            webhooks: watch::Sender::new(0),
            behind: RwLock::new(Some("not read to its end yet".to_owned())),
            was_read: AtomicBool::new(false),
            told_full: AtomicBool::new(false),
            stop: AtomicBool::new(false),
        });
        let (running, ended) = oneshot::channel();
        let round = Round {
            shared: Arc::clone(&shared),
            appender,
            source,
            partitions,
            caught_up: BTreeSet::new(),
            repair_at: None,
            sweep_at: Moment::now() + SWEEP,
        };
        let told = Fatal::clone(fatal);
        let handle = stream::spawn("access-follow", fatal, move || {
            follow(reader, round, &told);
            drop(running);
        })
        .map_err(|error| LogError::Fatal(format!("access cannot start a thread: {error}")))?;
        Ok((Self { shared, thread: handle.thread().clone() }, ended))
    }

    /// What is known now.
    pub fn register(&self) -> RwLockReadGuard<'_, Register> {
        self.shared.register.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in what this process itself has just had acknowledged, without the way through the log.
    pub fn note(&self, record: AccessRecord) {
        self.shared.take(record, Register::learn);
    }

    /// Told whenever webhooks change.
    pub fn webhooks(&self) -> watch::Receiver<u64> {
        self.shared.webhooks.subscribe()
    }

    /// Whether the topic was read to its end once: what was revoked before this process started is known.
    pub fn was_read(&self) -> bool {
        self.shared.was_read.load(Ordering::Acquire)
    }

    /// `Err` while it is not known what stands on the topic, with the reason.
    pub fn ready(&self) -> Result<(), String> {
        match &*self.shared.behind.read().unwrap_or_else(PoisonError::into_inner) {
            None => Ok(()),
            Some(reason) => Err(format!("topic access: {reason}")),
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
    fn take(&self, record: AccessRecord, how: fn(&mut Register, AccessRecord) -> Taken) -> Taken {
        let taken = how(&mut self.register.write().unwrap_or_else(PoisonError::into_inner), record);
        if taken.webhooks_changed {
            self.webhooks.send_modify(|count| *count += 1);
        }
        if taken.is_full && !self.told_full.swap(true, Ordering::Relaxed) {
            tracing::error!(
                "topic access has more keys, token families, revocations or webhooks than are known at a time; what ends first is dead, what is new is not taken"
            );
        }
        taken
    }

    fn forget(&self, key: &AccessKey) {
        if self.register.write().unwrap_or_else(PoisonError::into_inner).forget(key) {
            self.webhooks.send_modify(|count| *count += 1);
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, Register> {
        self.register.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes why it is not known what stands on the topic, or that it is; says so once per change.
    fn set_behind(&self, reason: Option<String>) {
        let mut behind = self.behind.write().unwrap_or_else(PoisonError::into_inner);
        match (&*behind, &reason) {
            (None, Some(reason)) => tracing::warn!("topic access cannot be followed: {reason}"),
            (Some(_), None) => tracing::info!("topic access is followed to its end"),
            (None, None) | (Some(_), Some(_)) => {}
        }
        metrics::record_behind(reason.is_some());
        *behind = reason;
    }
}

/// What the thread knows beside what it shares.
struct Round {
    shared: Arc<Shared>,
    appender: Appender,
    source: Arc<str>,
    partitions: u32,
    caught_up: BTreeSet<u32>,
    /// When the log is to be repaired next: once at its end, and when a record of this process said less than what was
    /// known. Other processes repair theirs.
    repair_at: Option<Moment>,
    sweep_at: Moment,
}

fn follow(mut reader: Box<dyn Reader>, mut round: Round, fatal: &Fatal) {
    let mut events = Vec::new();
    while !round.shared.stop.load(Ordering::Relaxed) {
        let answered = match reader.poll(POLL, &mut events) {
            Ok(()) => true,
            Err(error @ (LogError::Unavailable(_) | LogError::QueueFull)) => {
                round.shared.set_behind(Some(error.to_string()));
                // The reader may answer at once while the brokers are away.
                std::thread::park_timeout(POLL);
                false
            }
            Err(LogError::Fatal(reason)) => {
                fatal(format!("topic access cannot be followed: {reason}"));
                return;
            }
        };
        for event in events.drain(..) {
            match event {
                Event::Record(record) => round.take(&record),
                Event::End { partition, .. } => {
                    round.caught_up.insert(partition);
                }
                // No group: nobody assigns or revokes.
                Event::Assigned(_) | Event::Revoked(_) => {}
            }
        }
        if answered && round.caught_up.len() == round.partitions as usize {
            round.at_the_end();
        }
    }
}

impl Round {
    fn take(&mut self, record: &Record) {
        let key = record.key.as_deref().and_then(AccessKey::parse);
        let (Some(key), Record { partition, offset, .. }) = (key, record) else {
            tracing::warn!(
                "access-{}, offset {}: its key is none that this version knows",
                record.partition,
                record.offset
            );
            return;
        };
        match record.value.as_deref().map(|value| AccessRecord::decode(&key, value)) {
            None => self.shared.forget(&key),
            Some(Ok(value)) => {
                let taken = self.shared.take(value, Register::take);
                let is_own = header::text(&record.headers, header::CE_SOURCE) == Some(&*self.source);
                if taken.is_lesser && is_own {
                    self.repair_at = Some(Moment::now());
                }
            }
            // The reason may quote the record, which holds no secret.
            Some(Err(reason)) => tracing::warn!("access-{partition}, offset {offset}: {key}: {reason}; it is ignored"),
        }
    }

    fn at_the_end(&mut self) {
        let moment = Moment::now();
        if !self.shared.was_read.swap(true, Ordering::AcqRel) {
            self.repair_at = Some(moment);
        }
        self.shared.set_behind(None);
        if self.repair_at.is_some_and(|at| at <= moment) {
            let repairs = self.shared.read().repairs(AT_ONCE);
            for record in &repairs {
                self.appender.send(&record.key(), Some(record));
            }
            metrics::record_repairs(repairs.len());
            self.repair_at = (!repairs.is_empty()).then(|| moment + REPAIR_AGAIN);
        }
        if self.sweep_at <= moment {
            let over = self.shared.read().over(now(), AT_ONCE);
            self.sweep_at = moment + if over.len() == AT_ONCE { SWEEP_ON } else { SWEEP };
            for key in over {
                self.appender.send(&key, None);
            }
        }
        metrics::record_counts(self.shared.read().counts());
    }
}
