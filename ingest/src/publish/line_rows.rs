//! Rows of JSON lines. A line that is no JSON is a row all the same: it is sent as it is, and dead-lettered.

use std::io::{BufRead, Read};

use super::input::{Broken, Content, MAX_ROW_BYTES, Next, RawRow};

pub(super) struct LineRows<R> {
    reader: R,
    line: u64,
}

impl<R: BufRead> LineRows<R> {
    pub(super) const fn new(reader: R) -> Self {
        Self { reader, line: 0 }
    }

    pub(super) fn next(&mut self) -> Result<Next, Broken> {
        loop {
            let mut bytes = Vec::new();
            let most = MAX_ROW_BYTES as u64 + 1;
            let count = self
                .reader
                .by_ref()
                .take(most)
                .read_until(b'\n', &mut bytes)
                .map_err(|error| Broken::io(self.line + 1, &error))?;
            if count == 0 {
                return Ok(Next::End);
            }
            self.line += 1;
            let closed = bytes.last() == Some(&b'\n');
            if !closed && bytes.len() > MAX_ROW_BYTES {
                self.skip_line()?;
                let reason = format!("the line has more than {MAX_ROW_BYTES} bytes");
                return Ok(Next::Row(RawRow {
                    line: self.line,
                    bytes: Vec::new(),
                    content: Content::Unreadable(reason),
                }));
            }
            let text = bytes.strip_prefix(b"\xEF\xBB\xBF").filter(|_| self.line == 1).unwrap_or(&bytes).trim_ascii();
            if !closed && serde_json::from_slice::<serde::de::IgnoredAny>(text).is_err() {
                return Err(Broken::cut_off(self.line, "the last line is no whole JSON text and has no line end"));
            }
            if !text.is_empty() {
                let bytes = text.to_vec();
                return Ok(Next::Row(RawRow { line: self.line, bytes, content: Content::Json }));
            }
        }
    }

    fn skip_line(&mut self) -> Result<(), Broken> {
        loop {
            let buffer = self.reader.fill_buf().map_err(|error| Broken::io(self.line, &error))?;
            if buffer.is_empty() {
                return Err(Broken::cut_off(self.line, "the last line has no line end"));
            }
            let end = buffer.iter().position(|byte| *byte == b'\n');
            let used = end.map_or(buffer.len(), |end| end + 1);
            self.reader.consume(used);
            if end.is_some() {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(text: &[u8]) -> Result<Vec<(u64, Vec<u8>)>, String> {
        let (mut reader, mut rows) = (LineRows::new(text), Vec::new());
        loop {
            match reader.next().map_err(|broken| broken.reason)? {
                Next::Row(row) => rows.push((row.line, row.bytes)),
                Next::Prose => {}
                Next::End => return Ok(rows),
            }
        }
    }

    #[test]
    fn each_line_that_is_not_blank_is_a_row() {
        let expected = vec![(1, b"{}".to_vec()), (3, b"no json".to_vec()), (5, b"{\"a\":1}".to_vec())];
        assert_eq!(rows(b"\xEF\xBB\xBF{}\r\n\n no json\n \n{\"a\":1}"), Ok(expected));
        assert_eq!(rows(b""), Ok(Vec::new()));
    }

    #[test]
    fn a_last_line_that_stops_in_the_middle_is_cut_off() {
        assert!(rows(b"{}\n{\"a\":").unwrap_err().contains("cut off"));
    }

    #[test]
    fn a_line_beyond_all_bounds_is_named_and_left_out() {
        let text = [b"{}\n".to_vec(), vec![b'x'; 2 * MAX_ROW_BYTES], b"\n{}\n".to_vec()].concat();
        let rows = rows(&text).unwrap();
        assert_eq!(rows.iter().map(|(line, bytes)| (*line, bytes.len())).collect::<Vec<_>>(), [(1, 2), (2, 0), (3, 2)]);
    }
}
