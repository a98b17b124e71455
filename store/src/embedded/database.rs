//! The directory: opened by one process, of one format, opened again by itself after the disk was full.

use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use fjall::{Keyspace, KeyspaceCreateOptions, PersistMode};

use super::key;
use crate::{Row, StoreError, Table, Write, WriteTimestamp};

/// The format of keys and values; another one is refused.
const FORMAT: &str = "roost tables 1";
/// Read and write of a row are one step: locks by hash, so that rows seldom wait for each other.
const STRIPES: usize = 64;
/// How often a directory that failed is opened again.
const REOPEN_EVERY: Duration = Duration::from_secs(1);

/// A row as it is stored, tombstones included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    pub timestamp: WriteTimestamp,
    pub written_at_ms: i64,
    pub json: Option<String>,
}

impl Stored {
    fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(17 + self.json.as_ref().map_or(0, String::len));
        bytes.extend(self.timestamp.raw().to_be_bytes());
        bytes.extend(self.written_at_ms.to_be_bytes());
        bytes.push(u8::from(self.json.is_some()));
        bytes.extend(self.json.iter().flat_map(|json| json.bytes()));
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (timestamp, rest) = bytes.split_first_chunk::<8>()?;
        let (written_at, rest) = rest.split_first_chunk::<8>()?;
        let (present, json) = rest.split_first()?;
        Some(Self {
            timestamp: WriteTimestamp::from_raw(i64::from_be_bytes(*timestamp)),
            written_at_ms: i64::from_be_bytes(*written_at),
            json: (*present == 1).then(|| String::from_utf8_lossy(json).into_owned()),
        })
    }
}

struct Open {
    database: fjall::Database,
    spaces: BTreeMap<&'static str, Keyspace>,
}

/// See the module.
pub struct Database {
    directory: PathBuf,
    open: RwLock<Option<Open>>,
    stripes: Vec<Mutex<()>>,
    failed_at: Mutex<Option<Instant>>,
    recoveries: AtomicU64,
}

/// Where a sweep goes on.
pub type Cursor = (&'static str, Vec<u8>);

impl Database {
    /// Opens or makes the directory.
    pub fn open(directory: &Path) -> Result<Self, StoreError> {
        let open = open(directory)?;
        Ok(Self {
            directory: directory.to_owned(),
            open: RwLock::new(Some(open)),
            stripes: (0..STRIPES).map(|_| Mutex::new(())).collect(),
            failed_at: Mutex::new(None),
            recoveries: AtomicU64::new(0),
        })
    }

    /// How often it was opened again after a failure.
    pub fn recoveries(&self) -> u64 {
        self.recoveries.load(Ordering::Acquire)
    }

    fn with<T>(&self, work: impl FnOnce(&Open) -> Result<T, fjall::Error>) -> Result<T, StoreError> {
        self.reopen_if_failed()?;
        let guard = self.open.read().unwrap_or_else(PoisonError::into_inner);
        let Some(open) = guard.as_ref() else { return Err(self.away("it could not be opened again yet")) };
        work(open).map_err(|error| {
            *self.failed_at.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
            self.away(&error.to_string())
        })
    }

    fn away(&self, reason: &str) -> StoreError {
        let directory = self.directory.display();
        StoreError::Unavailable(format!("{directory}: {reason}; is the disk full? Work goes on when there is room"))
    }

    /// fjall refuses everything after a failed sync: the directory is opened anew, from what is safely on the disk.
    fn reopen_if_failed(&self) -> Result<(), StoreError> {
        let mut failed_at = self.failed_at.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(at) = *failed_at else { return Ok(()) };
        if at.elapsed() < REOPEN_EVERY {
            return Err(self.away("the last write failed"));
        }
        *failed_at = Some(Instant::now());
        let mut guard = self.open.write().unwrap_or_else(PoisonError::into_inner);
        drop(guard.take());
        *guard = Some(open(&self.directory).map_err(|error| self.away(&error.to_string()))?);
        *failed_at = None;
        self.recoveries.fetch_add(1, Ordering::AcqRel);
        Ok(())
    }

    /// Writes a row, unless a statement with a greater timestamp was there before.
    pub fn put(&self, write: &Write, now_ms: i64) -> Result<(), StoreError> {
        let bytes = key::bytes(&write.row);
        let mut hasher = std::hash::DefaultHasher::new();
        bytes.hash(&mut hasher);
        let stripe = &self.stripes[(hasher.finish() % STRIPES as u64) as usize];
        let _one_at_a_time = stripe.lock().unwrap_or_else(PoisonError::into_inner);
        let json = write.cell.as_deref().map(str::to_owned);
        let stored = Stored { timestamp: write.timestamp, written_at_ms: now_ms, json };
        self.with(|open| {
            let space = &open.spaces[key::space(&write.row)];
            let before = space.get(&bytes)?.as_deref().and_then(Stored::decode);
            if before.is_none_or(|before| before.timestamp < write.timestamp) {
                space.insert(&bytes, stored.encode())?;
            }
            Ok(())
        })
    }

    /// A row, tombstones included.
    pub fn get(&self, row: &Row) -> Result<Option<Stored>, StoreError> {
        self.with(|open| Ok(open.spaces[key::space(row)].get(key::bytes(row))?.as_deref().and_then(Stored::decode)))
    }

    /// Hands out the rows of a key range until `visit` answers `Some(false)` or `None`.
    pub fn each(
        &self,
        space: &'static str,
        from: Vec<u8>,
        to: Vec<u8>,
        visit: &mut dyn FnMut(&[u8], Stored) -> Option<bool>,
    ) -> Result<(), StoreError> {
        self.with(|open| {
            for entry in open.spaces[space].range(from..=to) {
                let (bytes, value) = entry.into_inner()?;
                let Some(stored) = Stored::decode(&value) else { continue };
                if visit(&bytes, stored) != Some(true) {
                    break;
                }
            }
            Ok(())
        })
    }

    /// Every row of a table.
    pub fn all(&self, table: Table) -> Result<Vec<(Row, Stored)>, StoreError> {
        let space = key::of_table(table);
        self.with(|open| {
            let mut rows = Vec::new();
            for entry in open.spaces[space].iter() {
                let (bytes, value) = entry.into_inner()?;
                rows.extend(key::of_space(space, &bytes).zip(Stored::decode(&value)));
            }
            Ok(rows)
        })
    }

    /// Makes what was written so far survive a power loss.
    pub fn sync(&self) -> Result<(), StoreError> {
        self.with(|open| open.database.persist(PersistMode::SyncData))
    }

    /// Removes, of the next `limit` rows behind `cursor`, those that are `gone`; returns where to go on.
    pub fn sweep(
        &self,
        cursor: Option<Cursor>,
        limit: usize,
        gone: &dyn Fn(&Row, &Stored) -> bool,
    ) -> Result<Option<Cursor>, StoreError> {
        let (space, from) = cursor.unwrap_or((key::SPACES[0], Vec::new()));
        self.with(|open| {
            for (seen, entry) in open.spaces[space].range(from..).enumerate() {
                let (bytes, value) = entry.into_inner()?;
                if let Some((row, stored)) = key::of_space(space, &bytes).zip(Stored::decode(&value))
                    && gone(&row, &stored)
                {
                    open.spaces[space].remove(bytes.clone())?;
                }
                if seen + 1 == limit {
                    return Ok(Some((space, [bytes.as_ref(), &[0]].concat())));
                }
            }
            let next = key::SPACES.iter().position(|s| *s == space).and_then(|i| key::SPACES.get(i + 1));
            Ok(next.map(|space| (*space, Vec::new())))
        })
    }
}

fn open(directory: &Path) -> Result<Open, StoreError> {
    let fatal = |error: &dyn std::fmt::Display, remedy: &str| {
        StoreError::Fatal(format!("{}: {error}; {remedy}", directory.display()))
    };
    std::fs::create_dir_all(directory)
        .map_err(|error| fatal(&error, "make the directory writable, or name another one"))?;
    let format_file = directory.join("FORMAT");
    match std::fs::read_to_string(&format_file) {
        Ok(format) if format.trim() == FORMAT => {}
        Ok(format) => {
            let wrong = format!("its format is {:?}, this version reads {FORMAT:?}", format.trim());
            return Err(fatal(&wrong, "remove it: the scorer fills it again from the log"));
        }
        Err(_) => {
            let mut entries =
                std::fs::read_dir(directory).map_err(|error| fatal(&error, "make the directory readable"))?;
            if entries.next().is_some() {
                return Err(fatal(&"it is not empty and holds no tables", "name an empty directory"));
            }
            std::fs::write(&format_file, FORMAT)
                .map_err(|error| fatal(&error, "make room, or name another directory"))?;
        }
    }
    let database = fjall::Database::builder(directory.join("fjall")).open().map_err(|error| match error {
        fjall::Error::Locked => {
            let holder = std::fs::read_to_string(directory.join("PID")).unwrap_or_else(|_| "?".into());
            fatal(&format!("another process ({}) has it open", holder.trim()), "stop it, or name another directory")
        }
        error => fatal(&error, "if it cannot be mended, remove it: the scorer fills it again from the log"),
    })?;
    // For the error message of the next process only.
    let _ = std::fs::write(directory.join("PID"), std::process::id().to_string());
    let mut spaces = BTreeMap::new();
    for space in key::SPACES {
        let keyspace = database
            .keyspace(space, KeyspaceCreateOptions::default)
            .map_err(|error| fatal(&error, "remove it: the scorer fills it again from the log"))?;
        spaces.insert(space, keyspace);
    }
    Ok(Open { database, spaces })
}
