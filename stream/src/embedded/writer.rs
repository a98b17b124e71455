//! The one thread that writes a volume: takes what is queued, gives it offsets and times, writes it in one batch, then
//! moves the heads and acknowledges. Under load a batch grows while the last one is brought to the disk.
//!
//! When the disk is full it keeps the batch, tries again every second, and meanwhile nothing new is taken: work goes on
//! when there is room. Any other failure that stays is told to the senders, whose services then end.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, select};
use rustc_hash::FxHashMap;
use schemas::topic::Topic;

use super::codec;
use super::groups::Groups;
use super::heads::Heads;
use super::producer::Append;
use super::volume::{Change, Failure, Volume};
use crate::clock::now_ms;
use crate::{Delivered, DeliveryError, metrics};

/// Records in one batch: bounds what is written again after a failure, and how long the first waits for the last.
const BATCH: usize = 1_024;
/// Bytes in one batch, for the same reason; one more record may go beyond.
const BATCH_BYTES: usize = 4 * 1024 * 1024;
/// Between two tries on a full disk.
const RETRY: Duration = Duration::from_secs(1);
/// A failure that is not a full disk may pass when the volume is opened again; not more often than this.
const REOPENINGS: u32 = 3;

pub(super) enum Command {
    Append(Append),
    /// Records that the cleaner found unneeded.
    Remove {
        topic: Topic,
        partition: u32,
        offsets: Vec<u64>,
    },
}

/// When a batch must be on the disk.
pub(super) enum Durability {
    /// Before it is read or acknowledged.
    AtOnce,
    /// So often, and then with the groups' positions behind it.
    Every(Duration, Arc<Groups>),
}

pub(super) struct Writer {
    pub(super) volume: Arc<Volume>,
    pub(super) heads: Arc<Heads>,
    pub(super) durability: Durability,
    pub(super) queue: Receiver<Command>,
    pub(super) queued_bytes: Arc<AtomicUsize>,
    /// Disconnected when the log closes.
    pub(super) stop: Receiver<()>,
}

/// Where a record of a batch goes.
#[derive(Clone, Copy)]
struct Place {
    topic: Topic,
    partition: u32,
    offset: u64,
    append_time_ms: i64,
}

impl Writer {
    /// Until the log closes; then what is queued is written, and all of it brought to the disk.
    pub(super) fn run(self) {
        let every = match &self.durability {
            Durability::AtOnce => None,
            Durability::Every(every, _) => Some(*every),
        };
        let (mut synced_at, mut dirty) = (Instant::now(), false);
        loop {
            let due = every.map_or(Duration::MAX, |every| every.saturating_sub(synced_at.elapsed()));
            // Far enough not to wake a thread for nothing.
            let due = due.min(Duration::from_secs(60));
            select! {
                recv(self.queue) -> command => match command {
                    Ok(command) => dirty |= self.work(command),
                    Err(_) => break,
                },
                recv(self.stop) -> _ => break,
                default(due) => {}
            }
            if every.is_some_and(|every| synced_at.elapsed() >= every) {
                self.sync(std::mem::take(&mut dirty));
                synced_at = Instant::now();
            }
        }
        while let Ok(command) = self.queue.try_recv() {
            self.work(command);
        }
        self.sync(true);
    }

    /// Takes what else is queued, and writes it.
    fn work(&self, first: Command) -> bool {
        let (mut appends, mut removes, mut bytes) = (Vec::new(), Vec::new(), 0);
        let mut next = Some(first);
        while let Some(command) = next {
            match command {
                Command::Append(append) => {
                    bytes += append.size;
                    appends.push(append);
                }
                Command::Remove { topic, partition, offsets } => {
                    removes.extend(offsets.into_iter().map(|offset| Change::Remove { topic, partition, offset }));
                }
            }
            if appends.len() >= BATCH || bytes >= BATCH_BYTES {
                break;
            }
            next = self.queue.try_recv().ok();
        }
        if !removes.is_empty() && self.volume.write(&removes, false).is_err() {
            // They are found again; a failing disk is dealt with when something must be written.
            tracing::debug!("old records could not be removed");
        }
        if !appends.is_empty() {
            self.append(appends);
        }
        self.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
        true
    }

    fn append(&self, appends: Vec<Append>) {
        let durable = matches!(self.durability, Durability::AtOnce);
        let written = self.until_written(durable, || {
            // Anew for each try: a statement that was held back is as late as it is.
            let places = self.place(&appends, now_ms());
            let changes: Vec<Change> = appends
                .iter()
                .zip(&places)
                .map(|(append, place)| Change::Put {
                    topic: place.topic,
                    partition: place.partition,
                    offset: place.offset,
                    bytes: codec::record(&append.record, place.append_time_ms),
                })
                .collect();
            (changes, places)
        });
        match written {
            Ok(places) => {
                self.publish(&places);
                for (append, place) in appends.into_iter().zip(places) {
                    let Place { partition, offset, append_time_ms, .. } = place;
                    append.acknowledge(Ok(Delivered { partition, offset, append_time_ms }));
                }
            }
            Err(reason) => {
                for append in appends {
                    let topic = append.record.topic.name();
                    append.acknowledge(Err(DeliveryError { topic, reason: reason.clone() }));
                }
            }
        }
    }

    fn place(&self, appends: &[Append], now_ms: i64) -> Vec<Place> {
        let mut ends: FxHashMap<(Topic, u32), (u64, i64)> = FxHashMap::default();
        appends
            .iter()
            .map(|append| {
                let (topic, partition) = (append.record.topic, append.partition);
                let end = ends.entry((topic, partition)).or_insert_with(|| self.heads.get(topic, partition));
                // The clock may be set back; the log's time is not.
                let append_time_ms = end.1.max(now_ms);
                let offset = end.0;
                *end = (offset + 1, append_time_ms);
                Place { topic, partition, offset, append_time_ms }
            })
            .collect()
    }

    /// Moves each head once, behind the last of its records.
    fn publish(&self, places: &[Place]) {
        let mut last: FxHashMap<(Topic, u32), Place> = FxHashMap::default();
        for place in places {
            last.insert((place.topic, place.partition), *place);
        }
        for place in last.into_values() {
            self.heads.advance(place.topic, place.partition, place.offset + 1, place.append_time_ms);
        }
    }

    /// Brings what was written to the disk, and behind it what the groups committed.
    fn sync(&self, dirty: bool) {
        let Durability::Every(_, groups) = &self.durability else { return };
        let (unsaved, commits) = groups.unsaved();
        if !dirty && unsaved.is_empty() {
            groups.saved(commits);
            return;
        }
        let changes = || {
            let commit = |((group, topic, partition), next_offset): &((String, Topic, u32), u64)| Change::Commit {
                key: codec::committed(group, *topic, *partition),
                next_offset: *next_offset,
            };
            (unsaved.iter().map(commit).collect(), ())
        };
        if self.until_written(true, changes).is_ok() {
            groups.saved(commits);
        }
    }

    /// Writes what `make` makes, and makes it again for each further try. `Err`: it was given up, with the reason.
    fn until_written<T>(&self, durable: bool, make: impl Fn() -> (Vec<Change>, T)) -> Result<T, String> {
        let mut reopenings = 0;
        loop {
            let (changes, made) = make();
            let failure = match self.volume.write(&changes, durable) {
                Ok(()) => {
                    self.volume.set_trouble(None);
                    return Ok(made);
                }
                Err(failure) => failure,
            };
            self.reopen(failure, &mut reopenings)?;
        }
    }

    /// fjall takes nothing more after a failure: opens the volume anew, when there is room again.
    fn reopen(&self, mut failure: Failure, reopenings: &mut u32) -> Result<(), String> {
        loop {
            metrics::record_sync_error();
            failure = self.volume.diagnose(failure);
            self.volume.set_trouble(Some(&failure));
            if !matches!(failure, Failure::Full) {
                *reopenings += 1;
                if *reopenings > REOPENINGS {
                    return Err(self.volume.say(&failure));
                }
            }
            if self.stop.recv_timeout(RETRY) != Err(RecvTimeoutError::Timeout) {
                return Err(format!("{}; the log was closed before that", self.volume.say(&failure)));
            }
            match self.volume.reopen() {
                Ok(()) => return Ok(()),
                Err(again) => failure = again,
            }
        }
    }
}
