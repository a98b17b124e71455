//! A fjall database that holds some topics. After a failed write fjall takes no more of them, so a volume can be closed
//! and opened again in place; readers wait meanwhile.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, RwLock};
use std::time::Instant;

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use schemas::topic::Topic;

use super::codec;
use crate::locked::{lock, read, write};
use crate::{LogError, Record};

/// Of the pages that were read last; the newest records stand in memory anyway.
const CACHE_BYTES: u64 = 16 * 1024 * 1024;
/// A topic's newest records in memory: a dozen topics stay below 200 MB.
const MEMTABLE_BYTES: u64 = 16 * 1024 * 1024;
/// Of the journal, beyond which quiet topics are written out so that it can go.
const JOURNAL_BYTES: u64 = 128 * 1024 * 1024;

/// What a disk with room takes: about as much as one batch.
const PROBE_BYTES: usize = 1024 * 1024;

/// Why a write did not succeed.
#[derive(Debug)]
pub(super) enum Failure {
    /// No room: it will succeed when there is some.
    Full,
    /// Something else is wrong with the disk or the directory.
    Other(String),
}

/// What is to be written, all or nothing.
pub(super) enum Change {
    /// A record at its place.
    Put { topic: Topic, partition: u32, offset: u64, bytes: Vec<u8> },
    /// A record that is no longer needed.
    Remove { topic: Topic, partition: u32, offset: u64 },
    /// A group's position.
    Commit { key: Vec<u8>, next_offset: u64 },
}

pub(super) struct Volume {
    path: PathBuf,
    topics: Vec<Topic>,
    open: RwLock<Option<Open>>,
    /// Since when, and why, writing does not succeed.
    trouble: Mutex<Option<(Instant, String)>>,
}

struct Open {
    database: Database,
    /// By `Topic as usize`; those of the other volume are absent.
    records: Vec<Option<Keyspace>>,
    committed: Keyspace,
}

impl Volume {
    pub(super) fn open(path: PathBuf, topics: Vec<Topic>) -> Result<Self, LogError> {
        let open = Open::new(&path, &topics).map_err(|error| match failure(&error) {
            Failure::Full => LogError::Fatal(full(&path)),
            Failure::Other(reason) => LogError::Fatal(format!(
                "the log in {} cannot be opened: {reason}; look at the disk, or restore the directory",
                path.display()
            )),
        })?;
        Ok(Self { path, topics, open: RwLock::new(Some(open)), trouble: Mutex::new(None) })
    }

    pub(super) fn close(&self) {
        *write(&self.open) = None;
    }

    /// Reads what is on the disk anew. What was written and not synced is there too, unless the machine went down.
    pub(super) fn reopen(&self) -> Result<(), Failure> {
        let mut open = write(&self.open);
        // The old handle goes first: it holds the lock of the database.
        *open = None;
        *open = Some(Open::new(&self.path, &self.topics).map_err(|error| failure(&error))?);
        Ok(())
    }

    pub(super) fn trouble(&self) -> Option<String> {
        lock(&self.trouble).as_ref().map(|(since, what)| format!("{what} (for {} s)", since.elapsed().as_secs()))
    }

    /// Told once when it begins and once when it ends.
    pub(super) fn set_trouble(&self, failure: Option<&Failure>) {
        let mut trouble = lock(&self.trouble);
        match failure {
            None => {
                if let Some((since, _)) = trouble.take() {
                    tracing::info!(
                        path = %self.path.display(),
                        "the log in {} is written again after {} s",
                        self.path.display(),
                        since.elapsed().as_secs()
                    );
                }
            }
            Some(failure) => {
                let what = self.say(failure);
                let since = trouble.as_ref().map_or_else(Instant::now, |(since, _)| *since);
                if trouble.as_ref().is_none_or(|(_, before)| *before != what) {
                    tracing::error!(path = %self.path.display(), "{what}");
                }
                *trouble = Some((since, what));
            }
        }
    }

    pub(super) fn say(&self, failure: &Failure) -> String {
        match failure {
            Failure::Full => full(&self.path),
            Failure::Other(reason) => {
                format!("the log in {} cannot be written: {reason}; look at the disk", self.path.display())
            }
        }
    }

    /// Writes all or nothing. `durable`: on the disk, with everything that was written before, when it returns.
    pub(super) fn write(&self, changes: &[Change], durable: bool) -> Result<(), Failure> {
        let open = read(&self.open);
        let open = open.as_ref().ok_or_else(|| Failure::Other("it is closed".to_owned()))?;
        let mode = if durable { PersistMode::SyncData } else { PersistMode::Buffer };
        if changes.is_empty() {
            return open.database.persist(mode).map_err(|error| failure(&error));
        }
        let mut batch = open.database.batch().durability(Some(mode));
        for change in changes {
            match change {
                Change::Put { topic, partition, offset, bytes } => {
                    let records = open.records(*topic)?;
                    batch.insert(records, codec::place(*partition, *offset), bytes.as_slice());
                }
                Change::Remove { topic, partition, offset } => {
                    batch.remove(open.records(*topic)?, codec::place(*partition, *offset));
                }
                Change::Commit { key, next_offset } => {
                    batch.insert(&open.committed, key.as_slice(), next_offset.to_be_bytes());
                }
            }
        }
        batch.commit().map_err(|error| failure(&error))
    }

    /// Looks at the records of `[from, to)` in order until `see` returns `false`. `see` gets offset and bytes.
    pub(super) fn scan(
        &self,
        topic: Topic,
        partition: u32,
        (from, to): (u64, u64),
        mut see: impl FnMut(u64, &[u8]) -> Result<bool, LogError>,
    ) -> Result<(), LogError> {
        let open = read(&self.open);
        let Some(open) = open.as_ref() else { return Err(self.unreadable("it is closed")) };
        let records = open.records(topic).map_err(|failure| self.unreadable(&format!("{failure:?}")))?;
        for entry in records.range(codec::place(partition, from)..codec::place(partition, to)) {
            let (place, bytes) = entry.into_inner().map_err(|error| self.unreadable(&error.to_string()))?;
            let offset = codec::offset(&place).ok_or_else(|| self.damaged(topic, partition, from))?;
            if !see(offset, &bytes)? {
                break;
            }
        }
        Ok(())
    }

    /// fjall does not say why a write of its background thread failed: asks the disk.
    pub(super) fn diagnose(&self, failure: Failure) -> Failure {
        let probe = self.path.join("probe");
        let written = fs::write(&probe, [0; PROBE_BYTES]).and_then(|()| File::open(&probe)?.sync_all());
        // What cannot be removed is written over by the next probe.
        let _ = fs::remove_file(&probe);
        match written {
            Err(error) if is_full(&error) => Failure::Full,
            _ => failure,
        }
    }

    /// Appends at most `most` records of `[from, to)`; stops early behind `enough` bytes.
    pub(super) fn read(
        &self,
        topic: Topic,
        partition: u32,
        (from, to): (u64, u64),
        (most, enough): (usize, usize),
        records: &mut Vec<Record>,
    ) -> Result<(), LogError> {
        let (before, mut bytes_read) = (records.len(), 0);
        self.scan(topic, partition, (from, to), |offset, bytes| {
            let record =
                codec::read(topic, partition, offset, bytes).ok_or_else(|| self.damaged(topic, partition, offset))?;
            records.push(record);
            bytes_read += bytes.len();
            Ok(records.len() - before < most && bytes_read < enough)
        })
    }

    /// Offset and append time of the newest record.
    pub(super) fn newest(&self, topic: Topic, partition: u32) -> Result<Option<(u64, i64)>, LogError> {
        let open = read(&self.open);
        let Some(open) = open.as_ref() else { return Err(self.unreadable("it is closed")) };
        let records = open.records(topic).map_err(|failure| self.unreadable(&format!("{failure:?}")))?;
        let Some(entry) = records.prefix(partition.to_be_bytes()).next_back() else { return Ok(None) };
        let (place, bytes) = entry.into_inner().map_err(|error| self.unreadable(&error.to_string()))?;
        let offset = codec::offset(&place).ok_or_else(|| self.damaged(topic, partition, 0))?;
        let (time, _, _) = codec::summary(&bytes).ok_or_else(|| self.damaged(topic, partition, offset))?;
        Ok(Some((offset, time)))
    }

    /// Offset of the oldest record.
    pub(super) fn oldest(&self, topic: Topic, partition: u32) -> Result<Option<u64>, LogError> {
        let mut oldest = None;
        self.scan(topic, partition, (0, u64::MAX), |offset, _| {
            oldest = Some(offset);
            Ok(false)
        })?;
        Ok(oldest)
    }

    /// Every group's positions.
    pub(super) fn committed(&self) -> Result<Vec<(String, Topic, u32, u64)>, LogError> {
        let open = read(&self.open);
        let Some(open) = open.as_ref() else { return Err(self.unreadable("it is closed")) };
        let mut committed = Vec::new();
        for entry in open.committed.iter() {
            let (key, value) = entry.into_inner().map_err(|error| self.unreadable(&error.to_string()))?;
            committed.extend(codec::read_committed(&key, &value));
        }
        Ok(committed)
    }

    fn unreadable(&self, reason: &str) -> LogError {
        LogError::Unavailable(format!("the log in {} cannot be read: {reason}", self.path.display()))
    }

    fn damaged(&self, topic: Topic, partition: u32, offset: u64) -> LogError {
        LogError::Fatal(format!(
            "{topic}/{partition} at {offset}: the record in {} is damaged: look at the disk, restore the directory",
            self.path.display()
        ))
    }
}

impl Open {
    fn new(path: &Path, topics: &[Topic]) -> fjall::Result<Self> {
        let database = Database::builder(path)
            .cache_size(CACHE_BYTES)
            .max_journaling_size(JOURNAL_BYTES)
            // One: a second one could let memtables pile up behind a first that failed, and fjall would wait for ever.
            .worker_threads(1)
            .open()?;
        let options = || KeyspaceCreateOptions::default().max_memtable_size(MEMTABLE_BYTES);
        let mut records: Vec<Option<Keyspace>> = Topic::ALL.map(|_| None).into();
        for topic in topics {
            records[*topic as usize] = Some(database.keyspace(topic.name(), options)?);
        }
        let committed = database.keyspace("committed offsets", options)?;
        Ok(Self { database, records, committed })
    }

    fn records(&self, topic: Topic) -> Result<&Keyspace, Failure> {
        let records = self.records[topic as usize].as_ref();
        records.ok_or_else(|| Failure::Other(format!("topic {topic} is not on this volume")))
    }
}

fn full(path: &Path) -> String {
    format!(
        "the disk of the log in {} is full: make room; nothing is lost, and the work goes on by itself",
        path.display()
    )
}

fn failure(error: &fjall::Error) -> Failure {
    let io = match error {
        fjall::Error::Io(io) | fjall::Error::Storage(fjall::LsmError::Io(io)) => Some(io),
        _ => None,
    };
    if io.is_some_and(is_full) { Failure::Full } else { Failure::Other(error.to_string()) }
}

fn is_full(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded)
}
