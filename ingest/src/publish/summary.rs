//! What publishing did: counts for the end, progress for the way there.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use jiff::Timestamp;

/// Most refused rows that are told one by one; the others are counted.
const MAX_TOLD: usize = 20;

/// What was done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Rows read, without the skipped ones.
    pub rows: u64,
    /// Lines that are no rows: a disclaimer in a CSV file.
    pub skipped: u64,
    /// Records that the log has: rows and deletions, also those that it will dead-letter.
    pub sent: u64,
    /// Deletions among them: homes that are absent from a snapshot.
    pub deleted: u64,
    /// Rows that the mapping could not read. To the log they are sent as they are, to a push port not at all.
    pub unmapped: u64,
    /// Rows that are not on the log, by code.
    pub refused: BTreeMap<String, u64>,
    /// The first rows that could not be mapped or were refused.
    pub told: Vec<Refused>,
    /// What was done for each snapshot, in the order of their times.
    pub snapshots: Vec<SnapshotSummary>,
    /// Members of the mapping that no row had anything to say for: a misspelt column, most often.
    pub silent_members: Vec<String>,
}

/// Where a row stands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The file.
    pub file: PathBuf,
    /// The line, from 1, of the row's first character.
    pub line: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file.display(), self.line)
    }
}

/// A row that could not be mapped, or was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Where it stands.
    pub place: Place,
    /// A code of dead letters.
    pub code: String,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, code, message } = self;
        write!(f, "{place}: {message} ({code})")
    }
}

/// What was done for one snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotSummary {
    /// When it was taken.
    pub time: Timestamp,
    /// Its rows.
    pub rows: u64,
    /// Homes that were on offer or pending and are absent from it.
    pub deleted: u64,
}

impl Summary {
    /// Notes a row that is not on the log.
    pub(super) fn refuse(&mut self, place: &Place, code: &str, message: impl Into<String>) {
        *self.refused.entry(code.to_owned()).or_default() += 1;
        self.tell(place, code, message);
    }

    /// Notes a row that a person should look at.
    pub(super) fn tell(&mut self, place: &Place, code: &str, message: impl Into<String>) {
        if self.told.len() < MAX_TOLD {
            self.told.push(Refused { place: place.clone(), code: code.to_owned(), message: message.into() });
        }
    }
}

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Bytes of the files read so far; files that are read several times count several times.
    pub read_bytes: u64,
    /// Bytes to be read in all.
    pub total_bytes: u64,
    /// Rows read so far.
    pub rows: u64,
    /// Records handed over so far.
    pub sent: u64,
}
