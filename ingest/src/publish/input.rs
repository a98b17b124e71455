//! Files to rows, streaming: which form a file has, by its name, and one reader for each.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::csv_rows::CsvRows;
use super::json_rows::JsonRows;
use super::line_rows::LineRows;
use crate::mapping::{Columns, Mapping, Row};

/// Longest row that is held; ingest takes a quarter of it, but a mapping leaves most of a row out.
pub(super) const MAX_ROW_BYTES: usize = 2 * 1024 * 1024;

/// A file that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{}{}: {reason}", .file.display(), .line.map(|line| format!(":{line}")).unwrap_or_default())]
pub struct InputError {
    /// The file.
    pub file: PathBuf,
    /// The line, where one is meant.
    pub line: Option<u64>,
    /// What is wrong, and what to do.
    pub reason: String,
}

/// Why no further row can be read.
#[derive(Debug)]
pub(super) struct Broken {
    pub(super) line: Option<u64>,
    pub(super) reason: String,
}

impl Broken {
    pub(super) fn at(line: u64, reason: impl Into<String>) -> Self {
        Self { line: Some(line), reason: reason.into() }
    }
    /// The input ends where it must not.
    pub(super) fn cut_off(line: u64, what: &str) -> Self {
        Self::at(line, format!("{what}: the file is cut off (expected a whole one; fetch it again)"))
    }
    pub(super) fn io(line: u64, error: &io::Error) -> Self {
        if error.kind() == io::ErrorKind::UnexpectedEof {
            Self::cut_off(line, "the compressed data has no end")
        } else {
            Self::at(line, format!("cannot be read: {error}"))
        }
    }
}

/// One row as it stands in its file.
#[derive(Debug, PartialEq)]
pub(super) struct RawRow {
    /// The line of its first character.
    pub(super) line: u64,
    /// Its bytes; empty if there are more than [`MAX_ROW_BYTES`].
    pub(super) bytes: Vec<u8>,
    pub(super) content: Content,
}

/// What a row holds.
#[derive(Debug, PartialEq)]
pub(super) enum Content {
    /// JSON, by its place; not looked into.
    Json,
    /// A row of a CSV file with as many cells as its header.
    Csv(csv::StringRecord),
    /// Not a row, for this reason.
    Unreadable(String),
}

/// What is read of a file next.
#[derive(Debug, PartialEq)]
pub(super) enum Next {
    Row(RawRow),
    /// A line that is no row and was never meant to be one.
    Prose,
    End,
}

/// A file that is being read.
pub(super) struct Input {
    path: PathBuf,
    rows: Rows,
}

enum Rows {
    Json(JsonRows<BufReader<Bytes>>),
    Lines(LineRows<BufReader<Bytes>>),
    Csv(Box<CsvRows<BufReader<Bytes>>>),
}

type Bytes = Box<dyn Read>;

/// How a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Json,
    Lines,
    Csv(u8),
}

impl Input {
    /// Opens a file; what is read of it is added to `read_bytes`.
    pub(super) fn open(path: &Path, read_bytes: &Arc<AtomicU64>) -> Result<Self, InputError> {
        let broken = |broken: Broken| InputError { file: path.to_owned(), line: broken.line, reason: broken.reason };
        let io = |error: io::Error| broken(Broken { line: None, reason: format!("cannot be read: {error}") });
        let (form, compressed) = form_of(path).map_err(|reason| broken(Broken { line: None, reason }))?;
        let file = Counted { file: File::open(path).map_err(io)?, read_bytes: read_bytes.clone() };
        let bytes: Bytes =
            if compressed { Box::new(zstd::stream::read::Decoder::new(file).map_err(io)?) } else { Box::new(file) };
        let rows = match form {
            Form::Json => Rows::Json(JsonRows::new(BufReader::new(bytes))),
            Form::Lines => Rows::Lines(LineRows::new(BufReader::new(bytes))),
            Form::Csv(delimiter) => {
                let mut bytes = BufReader::new(bytes);
                let beginning = bytes.fill_buf().map_err(|error| broken(Broken::io(1, &error)))?;
                if beginning.is_empty() {
                    let reason = "is empty (expected a header with the names of the columns, and rows)".to_owned();
                    return Err(broken(Broken { line: None, reason }));
                }
                let delimiter = delimiter_of(beginning, delimiter);
                Rows::Csv(Box::new(CsvRows::new(bytes, delimiter).map_err(broken)?))
            }
        };
        Ok(Self { path: path.to_owned(), rows })
    }

    /// The columns of a CSV file.
    pub(super) const fn columns(&self) -> Option<&Columns> {
        match &self.rows {
            Rows::Csv(rows) => Some(rows.columns()),
            Rows::Json(_) | Rows::Lines(_) => None,
        }
    }

    /// A CSV file must have the columns that the mapping names.
    pub(super) fn check_columns(&self, mapping: &Mapping) -> Result<(), InputError> {
        let Some(columns) = self.columns() else { return Ok(()) };
        let absent = mapping.absent_columns(columns);
        if absent.is_empty() {
            return Ok(());
        }
        let reason =
            format!("has no column {} (it has {}; is it the right mapping?)", quoted(&absent), quoted(columns.names()));
        Err(InputError { file: self.path.clone(), line: Some(1), reason })
    }

    pub(super) fn next(&mut self) -> Result<Next, InputError> {
        let next = match &mut self.rows {
            Rows::Json(rows) => rows.next(),
            Rows::Lines(rows) => rows.next(),
            Rows::Csv(rows) => rows.next(),
        };
        next.map_err(|broken| InputError { file: self.path.clone(), line: broken.line, reason: broken.reason })
    }

    /// Whether the last line has no line end; JSON needs none.
    pub(super) fn ends_open(&self) -> bool {
        match &self.rows {
            Rows::Csv(rows) => rows.ends_open(),
            Rows::Json(_) | Rows::Lines(_) => false,
        }
    }

    /// The row for the mapping, or why there is none.
    pub(super) fn row<'a>(&'a self, raw: &'a RawRow) -> Result<Row<'a>, String> {
        match (&raw.content, self.columns()) {
            (Content::Csv(record), Some(columns)) => Ok(Row::Csv(columns, record)),
            (Content::Unreadable(reason), _) => Err(reason.clone()),
            (Content::Json | Content::Csv(_), _) => match std::str::from_utf8(&raw.bytes) {
                Ok(text) => Ok(Row::Json(text.trim_start_matches('\u{FEFF}'))),
                Err(error) => Err(format!("byte {} is not UTF-8 (expected UTF-8)", error.valid_up_to())),
            },
        }
    }
}

fn quoted(names: &[String]) -> String {
    names.iter().map(|name| format!("'{name}'")).collect::<Vec<_>>().join(", ")
}

fn form_of(path: &Path) -> Result<(Form, bool), String> {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_ascii_lowercase();
    let (stem, compressed) = name.strip_suffix(".zst").map_or((&*name, false), |stem| (stem, true));
    let form = match stem.rsplit_once('.').map(|(_, ending)| ending) {
        Some("json") => Form::Json,
        Some("jsonl" | "ndjson") => Form::Lines,
        Some("csv") => Form::Csv(b','),
        Some("tsv") => Form::Csv(b'\t'),
        Some("gz" | "bz2" | "xz" | "zip") => {
            return Err("is compressed in a way that is not read (expected .zst, or the unpacked file)".to_owned());
        }
        _ => {
            return Err(
                "its name does not say how it is written (expected .json, .jsonl, .ndjson, .csv or .tsv, each \
                        also with .zst)"
                    .to_owned(),
            );
        }
    };
    Ok((form, compressed))
}

/// What separates the cells of a CSV file: `by_name`, unless the first line has none of it. Spreadsheets write `;` where the
/// comma is for decimals.
fn delimiter_of(beginning: &[u8], by_name: u8) -> u8 {
    let header = beginning.split(|byte| *byte == b'\n').next().unwrap_or_default();
    [by_name, b';', b'\t'].into_iter().find(|delimiter| header.contains(delimiter)).unwrap_or(by_name)
}

/// A file whose bytes are counted for the progress bar.
struct Counted {
    file: File,
    read_bytes: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        self.read_bytes.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_says_by_its_name_how_it_is_written() {
        let form = |name: &str| form_of(Path::new(name)).ok();
        assert_eq!(form("a/b.JSON"), Some((Form::Json, false)));
        assert_eq!(form("b.jsonl.zst"), Some((Form::Lines, true)));
        assert_eq!(form("b.2022.csv"), Some((Form::Csv(b','), false)));
        assert_eq!(form("b.tsv.zst"), Some((Form::Csv(b'\t'), true)));
        for name in ["b", "b.xml", "b.zst", "json", ""] {
            assert_eq!(form(name), None, "{name}");
        }
    }
}
