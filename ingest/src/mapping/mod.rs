//! Mappings: what turns a row of a foreign export (CSV, JSON) into the members of a RESO object. The form of mapping files
//! is told to people in `docs/mapping.md`.
//!
//! Pure, but for [`Mapping::load`], which reads the file. Works in the feed client (`roost publish`), not in the service:
//! ingest knows RESO alone. Judges no value: what a member may be, `schemas::reso` says.

mod cell;
mod condition;
mod date;
mod file;
mod members;
mod rule;
mod rules;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use schemas::field_error::FieldError;

pub use self::cell::{Columns, Row};
pub use self::members::Members;
use self::rules::Rules;

/// What one row becomes, and when its snapshot was taken.
#[derive(Debug)]
pub struct Mapping(Kind);

#[derive(Debug)]
enum Kind {
    /// The rows are RESO already: columns or members have RESO names.
    Reso,
    /// As a mapping file says.
    Rules(Box<Rules>),
}

/// A mapping file that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("mapping {}{}: {reason}", .file.display(), .line.map(|line| format!(":{line}")).unwrap_or_default())]
pub struct MappingFileError {
    /// The file.
    pub file: PathBuf,
    /// The line of the key, from 1, where one is meant.
    pub line: Option<usize>,
    /// The key, and what to write instead.
    pub reason: String,
}

/// A row that a mapping cannot read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
pub struct RowError {
    /// Each wrong cell: column, value, what was expected. At least one.
    pub faults: Vec<FieldError>,
    /// The row's `ListingKey`, if that much can be read.
    pub listing_key: Option<String>,
}

impl Mapping {
    /// The mapping for rows that are RESO already.
    pub const fn reso() -> Self {
        Self(Kind::Reso)
    }

    /// The mapping for CSV exports of Redfin's search page.
    pub fn redfin() -> Self {
        // It is part of the program, and a test reads it.
        Self::parse(include_str!("redfin.toml")).expect("the built-in mapping is one")
    }

    /// `reso`, `redfin`, or the path of a mapping file.
    pub fn named_or_load(name: &str) -> Result<Self, MappingFileError> {
        match name {
            "reso" => Ok(Self::reso()),
            "redfin" => Ok(Self::redfin()),
            path => Self::load(Path::new(path)),
        }
    }

    /// Reads a mapping file.
    pub fn load(path: &Path) -> Result<Self, MappingFileError> {
        let wrong = |line, reason| MappingFileError { file: path.to_owned(), line, reason };
        let text = std::fs::read_to_string(path).map_err(|error| {
            wrong(None, format!("cannot be read: {error} (expected 'reso', 'redfin' or the path of a TOML file)"))
        })?;
        Self::parse(&text).map_err(|reason| wrong(file::line_of(&text, &reason), reason))
    }

    /// Reads the text of a mapping file; an error says the key and what to write instead.
    pub fn parse(text: &str) -> Result<Self, String> {
        file::rules(text).map(|rules| Self(Kind::Rules(Box::new(rules))))
    }

    /// Whether the rows are RESO already.
    pub const fn is_reso(&self) -> bool {
        matches!(self.0, Kind::Reso)
    }

    /// The members that the mapping tells; none for rows that are RESO already.
    pub fn member_names(&self) -> impl Iterator<Item = &str> {
        let members = match &self.0 {
            Kind::Reso => &[],
            Kind::Rules(rules) => rules.members.as_slice(),
        };
        members.iter().map(|(name, _)| name.as_str())
    }

    /// Whether the mapping says when a row's snapshot was taken.
    pub fn tells_snapshot_time(&self) -> bool {
        matches!(&self.0, Kind::Rules(rules) if rules.snapshot.is_some())
    }

    /// The columns that a file must have and these do not hold; asked once per CSV file.
    pub fn absent_columns(&self, columns: &Columns) -> Vec<String> {
        match &self.0 {
            Kind::Reso if columns.has("ListingKey") => Vec::new(),
            Kind::Reso => vec!["ListingKey".to_owned()],
            Kind::Rules(rules) => rules.absent_columns(columns),
        }
    }

    /// What a row becomes.
    pub fn members<'a>(&self, row: &Row<'a>) -> Result<Members<'a>, RowError> {
        match &self.0 {
            Kind::Reso => members::of_reso(row),
            Kind::Rules(rules) => rules.members(row),
        }
    }

    /// When the snapshot that the row belongs to was taken; `None` if the mapping, or the row, does not say.
    pub fn snapshot_time(&self, row: &Row<'_>) -> Result<Option<Timestamp>, RowError> {
        match &self.0 {
            Kind::Reso => Ok(None),
            Kind::Rules(rules) => rules.snapshot_time(row),
        }
    }
}
