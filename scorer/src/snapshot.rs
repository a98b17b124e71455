//! A snapshot of the engine as a file: what it must be to be believed, and the two newest ones in a directory.
//!
//! A cache, nothing more (DESIGN §3): what it says is held against the logs before anybody is shown any of it, so it may be
//! old, but it must be whole, and of an engine that scores as this one does. Does not know what stands in it
//! (`engine/`), nor when one is written (`service.rs`).
//!
//! ```text
//! magic 8 | version u32 | config u64 | written at, ms i64 | count u32, offsets u64 … | the engine | checksum u64
//! ```
//! All numbers are little-endian. The checksum is XXH3 of everything before it.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use schemas::amenities::WORDS;
use schemas::topic::MIN_COMPACTION_LAG_MS;
use schemas::vocabulary::{PropertySubType, StandardStatus};
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use crate::engine::bytes::Malformed;
use crate::facts::ScoreEpoch;

#[cfg(test)]
mod layout;

const MAGIC: [u8; 8] = *b"roostEN\n";
/// Counts up with whatever is written otherwise.
const VERSION: u32 = 2;
/// Bytes and XXH3 of what [`layout`] writes. Other scores, or other places in the engine, change them too; a version more
/// than was needed then costs one cold start.
#[cfg(test)]
const LAYOUT: (usize, u64) = (122_733, 0xf4c9_7034_1c92_d6ef);
/// Older ones are refused: half of the time that the logs keep what was replaced. A start from an older one would be right,
/// but has most of it to do again.
pub const MAX_AGE_MS: i64 = MIN_COMPACTION_LAG_MS / 2;
/// Snapshots that are kept: a torn one leaves the one before it.
const GENERATIONS: usize = 2;
const CHECKSUM_BYTES: usize = 8;

/// Why a snapshot is not loaded.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// Something else.
    #[error("it is no snapshot")]
    NoSnapshot,
    /// Written by another version.
    #[error("it has version {0} of the format, this process reads {VERSION}")]
    Version(u32),
    /// Not as it was written.
    #[error("it is torn: its bytes are not those that were written")]
    Torn,
    /// Scores would differ.
    #[error("it is of another configuration or version of the score")]
    Config,
    /// Too old.
    #[error("it is {} min old, more than {} min", .0 / 60_000, MAX_AGE_MS / 60_000)]
    Stale(i64),
    /// Its checksum is right, but no engine wrote it.
    #[error("it holds what no engine writes: {0}")]
    Malformed(#[from] Malformed),
    /// The file.
    #[error("it cannot be read: {0}")]
    Unreadable(#[from] io::Error),
}

impl Refused {
    /// One word, for a metric.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::NoSnapshot => "no_snapshot",
            Self::Version(_) => "version",
            Self::Torn => "torn",
            Self::Config => "config",
            Self::Stale(_) => "stale",
            Self::Malformed(_) => "malformed",
            Self::Unreadable(_) => "unreadable",
        }
    }
}

/// What stands before the engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// See [`config`].
    pub config: u64,
    /// Milliseconds since 1970.
    pub written_at_ms: i64,
    /// Up to where `listings.priced` was read, by partition. For people: the logs are read from their beginning even so.
    pub offsets: Vec<u64>,
}

impl Head {
    /// To be followed by the engine, and then [sealed](seal).
    pub fn to_bytes(&self) -> Vec<u8> {
        let Self { config, written_at_ms, offsets } = self;
        let mut bytes = MAGIC.to_vec();
        bytes.extend(VERSION.to_le_bytes());
        bytes.extend(config.to_le_bytes());
        bytes.extend(written_at_ms.to_le_bytes());
        // Partitions are counted by 32 bits.
        bytes.extend((offsets.len() as u32).to_le_bytes());
        offsets.iter().for_each(|offset| bytes.extend(offset.to_le_bytes()));
        bytes
    }

    fn parse(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (config, bytes) = bytes.split_first_chunk()?;
        let (written_at_ms, bytes) = bytes.split_first_chunk()?;
        let (count, bytes) = bytes.split_first_chunk()?;
        let (offsets, bytes) = bytes.split_at_checked((u32::from_le_bytes(*count) as usize).checked_mul(8)?)?;
        let head = Self {
            config: u64::from_le_bytes(*config),
            written_at_ms: i64::from_le_bytes(*written_at_ms),
            offsets: offsets.as_chunks().0.iter().map(|offset| u64::from_le_bytes(*offset)).collect(),
        };
        Some((head, bytes))
    }
}

/// Adds the checksum. Takes some 20 ms for a million sessions: not for a thread that others wait for.
#[must_use]
pub fn seal(mut bytes: Vec<u8>) -> Vec<u8> {
    let checksum = xxh3_64(&bytes);
    bytes.extend(checksum.to_le_bytes());
    bytes
}

/// The head of a snapshot and its engine, if they may be believed at `now`.
pub fn open(bytes: &[u8], config: u64, now_ms: i64) -> Result<(Head, &[u8]), Refused> {
    let (magic, rest) = bytes.split_first_chunk().ok_or(Refused::NoSnapshot)?;
    if *magic != MAGIC {
        return Err(Refused::NoSnapshot);
    }
    // Another version may have another checksum.
    let (version, _) = rest.split_first_chunk().ok_or(Refused::Torn)?;
    let version = u32::from_le_bytes(*version);
    if version != VERSION {
        return Err(Refused::Version(version));
    }
    let (whole, checksum) = bytes.split_last_chunk::<CHECKSUM_BYTES>().ok_or(Refused::Torn)?;
    if xxh3_64(whole) != u64::from_le_bytes(*checksum) {
        return Err(Refused::Torn);
    }
    let (head, engine) = whole.get(MAGIC.len() + size_of_val(&version)..).and_then(Head::parse).ok_or(Refused::Torn)?;
    if head.config != config {
        return Err(Refused::Config);
    }
    // A clock that was put back makes none of them new.
    let age_ms = now_ms.saturating_sub(head.written_at_ms).saturating_abs();
    if age_ms > MAX_AGE_MS {
        return Err(Refused::Stale(age_ms));
    }
    Ok((head, engine))
}

/// Equal only where every score is: the epoch, the words that facts are bits of, and the formula itself as it was compiled,
/// so that nobody who changes it has to think of this.
pub fn config(epoch: ScoreEpoch) -> u64 {
    let mut hash = Xxh3::new();
    let sources = [include_str!("score.rs"), include_str!("facts.rs"), include_str!("geo.rs")];
    let words = WORDS.iter().map(|(word, _)| *word);
    let kinds = PropertySubType::ALL.iter().map(|kind| kind.as_str());
    let statuses = StandardStatus::ALL.iter().map(|status| status.as_str());
    for text in sources.into_iter().chain(words).chain(kinds).chain(statuses) {
        hash.update(text.as_bytes());
        hash.update(&[0]);
    }
    hash.update(&epoch.day().to_le_bytes());
    hash.digest()
}

/// The snapshots of one process.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    /// Locked as long as this is there: two processes would write over each other's.
    _lock: File,
}

impl Directory {
    /// Made if it is not there, for its owner alone: sessions stand in it. An error of kind `WouldBlock`: another process has it.
    pub fn at(path: &Path) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        let lock = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path.join("lock"))?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::Error(error) => error,
            TryLockError::WouldBlock => io::Error::new(
                io::ErrorKind::WouldBlock,
                "another process keeps its snapshots there: give each its own",
            ),
        })?;
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    /// The newest first. Whatever else has such a name (a directory, a link, a pipe) is not one of them.
    pub fn newest_first(&self) -> io::Result<Vec<PathBuf>> {
        let mut all = self.generations()?;
        all.retain(|(_, path)| path.symlink_metadata().is_ok_and(|it| it.is_file()));
        all.sort_by_key(|(generation, _)| std::cmp::Reverse(*generation));
        Ok(all.into_iter().map(|(_, path)| path).collect())
    }

    fn generations(&self) -> io::Result<Vec<(u64, PathBuf)>> {
        let mut all = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let path = entry?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let number = name.strip_prefix("engine.").and_then(|name| name.strip_suffix(".snapshot"));
            if let Some(generation) = number.and_then(|number| number.parse().ok()) {
                all.push((generation, path));
            }
        }
        Ok(all)
    }

    /// Writes the next generation: whole and on the disk, or not at all. Those before the last one go.
    pub fn write(&self, sealed: &[u8]) -> io::Result<PathBuf> {
        let newest = self.generations()?.into_iter().map(|(generation, _)| generation).max();
        let generation = newest.map_or(1, |newest| newest.saturating_add(1));
        let path = self.path.join(format!("engine.{generation}.snapshot"));
        // One name: what a process left behind that was killed while it wrote goes.
        let temporary = self.path.join("engine.writing");
        match fs::remove_file(&temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Err(_) | Ok(()) => {}
        }
        // A new one: a link that somebody put there is not followed, and the file is its owner's alone even where the directory,
        // made by others, is not.
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
        file.write_all(sealed)?;
        file.sync_all()?;
        fs::rename(&temporary, &path)?;
        File::open(&self.path)?.sync_all()?;
        for old in self.newest_first()?.into_iter().skip(GENERATIONS) {
            fs::remove_file(old)?;
        }
        Ok(path)
    }

    /// The newest that `load` takes; `refused` is told of each one that is not taken.
    pub fn load<T>(
        &self,
        config: u64,
        now_ms: i64,
        load: impl Fn(&[u8]) -> Result<T, Malformed>,
        mut refused: impl FnMut(&Path, Refused),
    ) -> Option<(PathBuf, Head, T)> {
        let paths = match self.newest_first() {
            Ok(paths) => paths,
            Err(error) => {
                refused(&self.path, error.into());
                return None;
            }
        };
        paths.into_iter().find_map(|path| {
            let loaded = fs::read(&path).map_err(Refused::from).and_then(|bytes| {
                let (head, engine) = open(&bytes, config, now_ms)?;
                Ok((head, load(engine)?))
            });
            match loaded {
                Ok((head, loaded)) => Some((path, head, loaded)),
                Err(reason) => {
                    refused(&path, reason);
                    None
                }
            }
        })
    }
}
