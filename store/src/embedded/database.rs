//! Rows in the directory, in the order of their timestamps, whatever order they come in.
//!
//! fjall refuses every write after one that failed. Then writes are refused here too, reads go on from what is open, and
//! [`Database::recover`] opens the directory anew when there is room again.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};

use fjall::PersistMode;

use super::directory::{self, Open};
use super::key;
use super::stored::Stored;
use crate::{Row, StoreError, Table, metrics};

/// To look at a row and to write it is one step: locks by the hash of the key, so that rows seldom wait for each other.
const STRIPES: usize = 64;

/// See the module.
pub(super) struct Database {
    directory: PathBuf,
    /// `None` while it could not be opened again.
    open: RwLock<Option<Open>>,
    stripes: [Mutex<()>; STRIPES],
    /// Why the last write failed. While it is there nothing is written.
    failure: Mutex<Option<String>>,
    /// Whether something has been written since the last sync.
    is_dirty: AtomicBool,
    recoveries: AtomicU64,
}

/// Where a sweep goes on.
pub(super) type Cursor = (&'static str, Vec<u8>);

fn held<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    // What these locks guard is whole between any two statements.
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Database {
    /// Opens or makes the directory.
    pub fn open(directory: &Path) -> Result<Self, StoreError> {
        Ok(Self {
            open: RwLock::new(Some(directory::open(directory)?)),
            directory: directory.to_owned(),
            stripes: [const { Mutex::new(()) }; STRIPES],
            failure: Mutex::new(None),
            is_dirty: AtomicBool::new(false),
            recoveries: AtomicU64::new(0),
        })
    }

    /// How often it was opened again after a failure: what was written last may be lost each time.
    pub fn recoveries(&self) -> u64 {
        self.recoveries.load(Ordering::Relaxed)
    }

    /// Why nothing can be written, if so.
    pub fn failure(&self) -> Option<String> {
        held(&self.failure).clone()
    }

    fn reading<T>(&self, work: impl FnOnce(&Open) -> Result<T, fjall::Error>) -> Result<T, StoreError> {
        let open = self.open.read().unwrap_or_else(PoisonError::into_inner);
        let Some(open) = open.as_ref() else {
            let failure = self.failure();
            return Err(StoreError::Unavailable(failure.unwrap_or_else(|| "it is being opened again".to_owned())));
        };
        work(open).map_err(|error| StoreError::Unavailable(directory::reason(&self.directory, &error)))
    }

    fn writing<T>(&self, work: impl FnOnce(&Open) -> Result<T, fjall::Error>) -> Result<T, StoreError> {
        if let Some(reason) = self.failure() {
            return Err(StoreError::Unavailable(reason));
        }
        let outcome = self.reading(work);
        if let Err(StoreError::Unavailable(reason)) = &outcome {
            let mut failure = held(&self.failure);
            if failure.is_none() {
                tracing::error!("{reason}");
                *failure = Some(reason.clone());
            }
        }
        outcome
    }

    /// Locks the stripes of some keys, always in the same order.
    fn lock(&self, keys: &[(&'static str, Vec<u8>)]) -> Vec<MutexGuard<'_, ()>> {
        let stripe = |key: &(&str, Vec<u8>)| {
            let mut hasher = DefaultHasher::new();
            key.hash(&mut hasher);
            (hasher.finish() % STRIPES as u64) as usize
        };
        let mut stripes: Vec<usize> = keys.iter().map(stripe).collect();
        stripes.sort_unstable();
        stripes.dedup();
        stripes.into_iter().map(|stripe| held(&self.stripes[stripe])).collect()
    }

    /// Writes rows, all or none of them; each unless a statement with a greater or the same timestamp was there before.
    pub fn put(&self, rows: &[Row], stored: &Stored) -> Result<(), StoreError> {
        let keys: Vec<_> = rows.iter().map(|row| (key::space(row), key::bytes(row))).collect();
        let _one_at_a_time = self.lock(&keys);
        self.writing(|open| {
            let mut batch = open.database.batch();
            for (space, key) in keys {
                let space = &open.spaces[space];
                let before = space.get(&key)?.as_deref().and_then(Stored::decode);
                if before.is_none_or(|before| before.timestamp < stored.timestamp) {
                    batch.insert(space, key, stored.encode());
                }
            }
            self.is_dirty.store(true, Ordering::Release);
            batch.commit()
        })
    }

    /// A row, tombstones included.
    pub fn get(&self, row: &Row) -> Result<Option<Stored>, StoreError> {
        self.reading(|open| Ok(open.spaces[key::space(row)].get(key::bytes(row))?.as_deref().and_then(Stored::decode)))
    }

    /// Hands out the rows with keys `from..to` in order until `visit` answers `false`.
    pub fn each(
        &self,
        space: &'static str,
        from: Vec<u8>,
        to: Vec<u8>,
        mut visit: impl FnMut(Row, Stored) -> bool,
    ) -> Result<(), StoreError> {
        if from >= to {
            return Ok(());
        }
        self.reading(|open| {
            for entry in open.spaces[space].range(from..to) {
                let (key, value) = entry.into_inner()?;
                if let Some((row, stored)) = key::row(space, &key).zip(Stored::decode(&value))
                    && !visit(row, stored)
                {
                    break;
                }
            }
            Ok(())
        })
    }

    /// Every row of a table.
    pub fn all(&self, table: Table) -> Result<Vec<(Row, Stored)>, StoreError> {
        let space = key::of_table(table);
        self.reading(|open| {
            let mut rows = Vec::new();
            for entry in open.spaces[space].iter() {
                let (key, value) = entry.into_inner()?;
                rows.extend(key::row(space, &key).zip(Stored::decode(&value)));
            }
            Ok(rows)
        })
    }

    /// Makes what was written so far survive a power loss.
    pub fn sync(&self) -> Result<(), StoreError> {
        if self.is_dirty.swap(false, Ordering::AcqRel) {
            self.writing(|open| open.database.persist(PersistMode::SyncData))?;
        }
        Ok(())
    }

    /// After a failure: opens the directory again if there is room. Waits for nobody but the disk; not for a thread of an
    /// asynchronous runtime.
    pub fn recover(&self) -> Result<(), StoreError> {
        if self.failure().is_none() || !directory::has_room(&self.directory) {
            return Ok(());
        }
        let mut open = self.open.write().unwrap_or_else(PoisonError::into_inner);
        drop(open.take());
        match directory::open(&self.directory) {
            Ok(opened) => {
                *open = Some(opened);
                *held(&self.failure) = None;
                self.recoveries.fetch_add(1, Ordering::Relaxed);
                metrics::record_recovery();
                tracing::info!("{}: open again", self.directory.display());
                Ok(())
            }
            Err(error) => {
                *held(&self.failure) = Some(error.to_string());
                Err(error)
            }
        }
    }

    /// Removes, of the next `limit` rows behind `cursor`, those that are forgotten; returns where to go on.
    pub fn sweep(
        &self,
        cursor: Option<Cursor>,
        limit: usize,
        is_forgotten: impl Fn(&Row, &Stored) -> bool,
    ) -> Result<Option<Cursor>, StoreError> {
        let (space, from) = cursor.unwrap_or((key::SPACES[0], Vec::new()));
        let mut forgotten = Vec::new();
        let next = self.reading(|open| {
            for (seen, entry) in open.spaces[space].range(from..).enumerate() {
                let (key, value) = entry.into_inner()?;
                if key::row(space, &key)
                    .zip(Stored::decode(&value))
                    .is_some_and(|(row, stored)| is_forgotten(&row, &stored))
                {
                    forgotten.push((key.to_vec(), value));
                }
                if seen + 1 == limit {
                    return Ok(Some((space, [&*key, &[0]].concat())));
                }
            }
            let next = key::SPACES.iter().position(|s| *s == space).and_then(|i| key::SPACES.get(i + 1));
            Ok(next.map(|space| (*space, Vec::new())))
        })?;
        for (key, value) in forgotten {
            let key = [(space, key)];
            let _one_at_a_time = self.lock(&key);
            let [(space, key)] = key;
            self.writing(|open| {
                // It may have been written again since it was looked at.
                if open.spaces[space].get(&key)?.as_ref() == Some(&value) {
                    open.spaces[space].remove(key)?;
                }
                Ok(())
            })?;
        }
        Ok(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::WriteTimestamp;

    fn row(number: u32) -> Row {
        if number.is_multiple_of(2) {
            Row::Shard(number)
        } else {
            Row::Listing(format!("feed:{number:04}").parse().unwrap())
        }
    }

    fn stored(sequence: u64) -> Stored {
        let timestamp = WriteTimestamp::new(1, sequence).unwrap();
        Stored { timestamp, written_at_ms: 0, json: Some("{}".to_owned()) }
    }

    fn database(rows: u32) -> (tempfile::TempDir, Database) {
        let directory = tempfile::tempdir().unwrap();
        let database = Database::open(&directory.path().join("tables")).unwrap();
        for number in 0..rows {
            database.put(&[row(number)], &stored(1)).unwrap();
        }
        (directory, database)
    }

    #[test]
    fn a_sweep_comes_past_every_row_a_few_at_a_time() {
        let (_directory, database) = database(20);
        let looked_at = std::cell::RefCell::new(Vec::new());
        let mut cursor = None;
        for _ in 0..100 {
            let before = looked_at.borrow().len();
            cursor = database
                .sweep(cursor, 3, |row, _| {
                    looked_at.borrow_mut().push(row.clone());
                    matches!(row, Row::Shard(_))
                })
                .unwrap();
            assert!(looked_at.borrow().len() - before <= 3);
            if cursor.is_none() {
                break;
            }
        }
        let mut looked_at = looked_at.into_inner();
        looked_at.sort();
        let mut expected: Vec<Row> = (0..20).map(row).collect();
        expected.sort();
        assert_eq!(looked_at, expected);
        assert_eq!(database.all(Table::Shards).unwrap(), []);
        assert_eq!(database.all(Table::Listings).unwrap().len(), 10);
    }

    #[test]
    fn a_row_that_is_written_again_while_it_is_swept_stays() {
        let (_directory, database) = database(1);
        database
            .sweep(Some(("shards", Vec::new())), 10, |row, _| {
                database.put(std::slice::from_ref(row), &stored(2)).unwrap();
                true
            })
            .unwrap();
        assert_eq!(database.get(&row(0)).unwrap(), Some(stored(2)));
    }
}
