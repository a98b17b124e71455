//! Rows of a CSV file, each with its own bytes, so that one that cannot be used is sent as it stands.

use std::cell::{Cell, RefCell};
use std::io::{self, Read};

use super::input::{Broken, Content, MAX_ROW_BYTES, Next, RawRow};
use super::quotes::Quotes;
use crate::mapping::Columns;

/// A line with as few cells, in a file with more than twice as many, is no row but words for people.
const PROSE_CELLS: usize = 3;

pub(super) struct CsvRows<R> {
    reader: csv::Reader<Kept<R>>,
    columns: Columns,
    record: csv::ByteRecord,
    delimiter: u8,
    /// The line that the reader stands in.
    line: u64,
}

impl<R: Read> CsvRows<R> {
    pub(super) fn new(bytes: R, delimiter: u8) -> Result<Self, Broken> {
        let kept = Kept {
            inner: bytes,
            bytes: RefCell::default(),
            first: Cell::new(0),
            last: Cell::new(b'\n'),
            is_at_end: Cell::new(false),
        };
        let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).flexible(true).from_reader(kept);
        let header = reader.headers().map_err(|error| broken(1, &error))?;
        let columns = Columns::new(header.iter());
        let header = reader.get_ref().take(reader.position().byte());
        if reader.get_ref().is_at_end.get()
            && let Quotes::Open { line } = Quotes::of(&header, delimiter)
        {
            return Err(never_closed(1 + line));
        }
        if columns.names().len() < 2 {
            return Err(Broken::at(
                1,
                "the first line has fewer than two columns (expected a header with their names, separated by commas, \
                 semicolons or tabs)",
            ));
        }
        let line = 1 + line_feeds(&header);
        Ok(Self { reader, columns, record: csv::ByteRecord::new(), delimiter, line })
    }

    pub(super) const fn columns(&self) -> &Columns {
        &self.columns
    }

    pub(super) fn next(&mut self) -> Result<Next, Broken> {
        if !self.reader.read_byte_record(&mut self.record).map_err(|error| broken(self.line, &error))? {
            return Ok(Next::End);
        }
        let taken = self.reader.get_ref().take(self.reader.position().byte());
        let bytes = without_line_ends(&taken);
        // Line ends before a row belong to it: the one of the row before, where it is two bytes, and blank lines.
        let before = taken.iter().take_while(|byte| matches!(byte, b'\n' | b'\r')).count();
        let line = self.line + line_feeds(&taken[..before]);
        self.line += line_feeds(&taken);
        // A row that holds a line end, or that only the end of the file ended: has a quote swallowed what follows it?
        let quotes = match self.reader.get_ref().is_at_end.get() || bytes.contains(&b'\n') {
            true => Quotes::of(bytes, self.delimiter),
            false => Quotes::Sound,
        };
        if let Quotes::Open { line: within } = quotes {
            return Err(never_closed(line + within));
        }
        let (cells, columns) = (self.record.len(), self.columns.names().len());
        if cells < columns {
            let filled = self.record.iter().filter(|cell| !cell.trim_ascii().is_empty()).count();
            if filled <= 1 || (cells <= PROSE_CELLS && columns > 2 * PROSE_CELLS) {
                return Ok(Next::Prose);
            }
        }
        let content = if let Quotes::Ragged { line: within } = quotes {
            Content::Unreadable(format!(
                "the quote opened at line {} is closed on a later line, in the middle of a cell (expected it to be closed \
                 where its cell ends; rows may be missing between)",
                line + within
            ))
        } else if cells != columns {
            Content::Unreadable(format!("the row has {cells} cells (expected {columns}, as the header has)"))
        } else if bytes.len() > MAX_ROW_BYTES {
            let reason = format!("the row has more than {MAX_ROW_BYTES} bytes");
            return Ok(Next::Row(RawRow { line, bytes: Vec::new(), content: Content::Unreadable(reason) }));
        } else {
            match csv::StringRecord::from_byte_record(self.record.clone()) {
                Ok(record) => Content::Csv(record),
                Err(error) => {
                    let column = self.columns.names().get(error.utf8_error().field());
                    Content::Unreadable(format!(
                        "column '{}' is not UTF-8 (expected a file in UTF-8)",
                        column.map_or("?", String::as_str)
                    ))
                }
            }
        };
        Ok(Next::Row(RawRow { line, bytes: bytes.to_vec(), content }))
    }

    /// Whether the file's last line, once it is read, has no line end.
    pub(super) fn ends_open(&self) -> bool {
        self.reader.get_ref().last.get() != b'\n'
    }
}

fn never_closed(line: u64) -> Broken {
    Broken::cut_off(line, &format!("a quote opened at line {line} is never closed"))
}

fn broken(line: u64, error: &csv::Error) -> Broken {
    match error.kind() {
        csv::ErrorKind::Io(error) => Broken::io(line, error),
        _ => Broken::at(line, error.to_string()),
    }
}

/// A reader that keeps what the CSV reader has taken from it and not yet made rows of.
struct Kept<R> {
    inner: R,
    bytes: RefCell<Vec<u8>>,
    /// Position in the file of the first byte kept.
    first: Cell<u64>,
    /// The last byte taken.
    last: Cell<u8>,
    /// Whether the CSV reader has asked for more than there is: what it reads now, nothing but the end has ended.
    is_at_end: Cell<bool>,
}

impl<R: Read> Read for Kept<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.is_at_end.set(count == 0 && !buffer.is_empty());
        self.bytes.borrow_mut().extend_from_slice(&buffer[..count]);
        self.last.set(buffer[..count].last().copied().unwrap_or(self.last.get()));
        Ok(count)
    }
}

impl<R> Kept<R> {
    /// The bytes up to `end` that were not taken before.
    fn take(&self, end: u64) -> Vec<u8> {
        let mut bytes = self.bytes.borrow_mut();
        let count = usize::try_from(end - self.first.get()).unwrap_or(usize::MAX).min(bytes.len());
        self.first.set(end);
        bytes.drain(..count).collect()
    }
}

fn line_feeds(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|byte| **byte == b'\n').count() as u64
}

fn without_line_ends(mut bytes: &[u8]) -> &[u8] {
    while let [b'\n' | b'\r', rest @ ..] | [rest @ .., b'\n' | b'\r'] = bytes {
        bytes = rest;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(text: &[u8]) -> (Vec<Next>, bool) {
        let (mut reader, mut rows) = (CsvRows::new(text, b',').unwrap(), Vec::new());
        loop {
            match reader.next().unwrap() {
                Next::End => return (rows, reader.ends_open()),
                next => rows.push(next),
            }
        }
    }
    fn shown(next: &Next) -> (u64, String, String) {
        let Next::Row(row) = next else { panic!("{next:?}") };
        let content = match &row.content {
            Content::Csv(record) => record.iter().collect::<Vec<_>>().join("|"),
            Content::Unreadable(reason) => reason.clone(),
            Content::Json => "json".to_owned(),
        };
        (row.line, String::from_utf8_lossy(&row.bytes).into_owned(), content)
    }

    #[test]
    fn each_row_has_its_cells_and_its_own_bytes() {
        let text = "\u{FEFF}a,b,c\r\n1,\"x, \"\"y\"\"\nz\",\r\n\r\n2,5'10\" high,3\n";
        let (rows, open) = rows(text.as_bytes());
        assert_eq!(shown(&rows[0]), (2, "1,\"x, \"\"y\"\"\nz\",".to_owned(), "1|x, \"y\"\nz|".to_owned()));
        assert_eq!(shown(&rows[1]).1, "2,5'10\" high,3");
        assert_eq!((rows.len(), open), (2, false));
    }

    #[test]
    fn many_rows_keep_their_bytes_across_buffers() {
        let lines: Vec<String> = (0..20_000).map(|i| format!("{i},\"{}\"", "x".repeat(i % 97))).collect();
        let (rows, open) = rows(format!("a,b\n{}", lines.join("\n")).as_bytes());
        assert!(open && rows.len() == lines.len());
        for (row, line) in rows.iter().zip(&lines) {
            assert_eq!(shown(row).1, *line);
        }
    }

    #[test]
    fn a_line_of_prose_is_no_row_and_a_short_row_is_not_prose() {
        let header = "a,b,c,d,e,f,g\n";
        let (found, _) = rows(
            format!("{header}Over 500 results, only some are shown\n\"Local rules, see below\"\n1,2,3,4\n").as_bytes(),
        );
        assert_eq!(found[..2], [Next::Prose, Next::Prose]);
        assert_eq!(shown(&found[2]).2, "the row has 4 cells (expected 7, as the header has)");
    }

    #[test]
    fn a_row_that_is_not_utf_8_says_which_column_and_keeps_its_bytes() {
        let (rows, _) = rows(b"city,b\nM\xFCnchen,1\n");
        let Next::Row(row) = &rows[0] else { panic!() };
        assert_eq!(row.bytes, b"M\xFCnchen,1");
        assert_eq!(
            row.content,
            Content::Unreadable("column 'city' is not UTF-8 (expected a file in UTF-8)".to_owned())
        );
    }

    /// The line and the reason of what stops a file, after this many rows.
    fn stop(text: &str) -> Option<(usize, u64, String)> {
        let mut reader = match CsvRows::new(text.as_bytes(), b',') {
            Ok(reader) => reader,
            Err(broken) => return Some((0, broken.line.unwrap(), broken.reason)),
        };
        for count in 0.. {
            match reader.next() {
                Ok(Next::End) => return None,
                Ok(_) => {}
                Err(broken) => return Some((count, broken.line.unwrap(), broken.reason)),
            }
        }
        None
    }

    #[test]
    fn a_quote_that_is_never_closed_stops_the_file_at_its_line() {
        let cases = [
            ("a,b\n1,x\n2,\"y\n3,z\n", 1, 3),
            ("a,b\n1,\"y", 0, 2),
            ("a,b\r\n1,x\r\n\r\n2,\"y\r\n", 1, 4),
            ("a,b\n1,x\n\"2,y\n3,z\n", 1, 3),
            // Closed once, opened again two lines below.
            ("a,b\n\"1\n\",\"\"\"y\n2,z\n", 0, 3),
            // A row that would pass for prose.
            ("a,b,c,d,e,f,g\n\"1,2,3,4,5,6,7\n", 0, 2),
            ("a,\"b\n1,x\n2,y\n", 0, 1),
        ];
        for (text, rows, line) in cases {
            let reason = format!(
                "a quote opened at line {line} is never closed: the file is cut off (expected a whole one; fetch it again)"
            );
            assert_eq!(stop(text), Some((rows, line, reason)), "{text:?}");
        }
        for text in ["a,b\n1,\"y\"", "a,b\n1,\"y\"\"\"", "a,b\n1,5\"", "a,b\n1,\"y\nz\"\n", "a,b\n1,"] {
            assert_eq!(stop(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_quote_that_the_next_quote_closes_does_not_swallow_rows_in_silence() {
        let (rows, _) = rows(b"a,b\n1,\"x\n2,\"y\"\n3,\"z\"\n");
        let (line, _, reason) = shown(&rows[0]);
        assert!(line == 2 && reason.starts_with("the quote opened at line 2 is closed on a later line"), "{reason}");
        assert_eq!(shown(&rows[1]).2, "3|z");
    }

    #[test]
    fn a_file_without_a_header_is_told() {
        assert!(CsvRows::new(&b""[..], b',').is_err());
        assert!(CsvRows::new(&b"just a line\n"[..], b',').is_err());
    }
}
