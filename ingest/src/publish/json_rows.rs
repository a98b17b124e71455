//! Rows of a JSON file: the elements of an array, those of `value` in a RESO batch, or objects one after the other. Streams:
//! a file of any size is read one row at a time.
//!
//! Finds where a row ends and nothing else; what is in it is read later.

use std::io::BufRead;

use super::input::{Broken, Content, MAX_ROW_BYTES, Next, RawRow};

pub(super) struct JsonRows<R> {
    reader: R,
    line: u64,
    within: Within,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Within {
    /// Nothing is read yet.
    Start,
    /// Between values that follow each other.
    Values,
    /// Between the elements of the outermost array.
    Array,
    /// Between the elements of `value` in the outermost object.
    Batch,
    End,
}

/// How a value ended.
enum Ended {
    /// It is whole; its bytes unless there are too many.
    Whole(Option<Vec<u8>>),
    /// It is the wrapper of a batch, and its array has begun.
    BatchBegins,
}

impl<R: BufRead> JsonRows<R> {
    pub(super) const fn new(reader: R) -> Self {
        Self { reader, line: 1, within: Within::Start }
    }

    pub(super) fn next(&mut self) -> Result<Next, Broken> {
        loop {
            let Some(byte) = self.skip_blanks()? else { return self.end_of_file() };
            match (self.within, byte) {
                (Within::Start, b'[') => {
                    self.take()?;
                    self.within = Within::Array;
                }
                (Within::Array | Within::Batch, b',') => drop(self.take()?),
                (Within::Array, b']') => {
                    self.take()?;
                    self.within = Within::End;
                }
                (Within::Batch, b']') => {
                    self.take()?;
                    self.rest_of_wrapper()?;
                    self.within = Within::End;
                }
                (Within::End, _) => return Err(Broken::at(self.line, "something follows the JSON text")),
                (Within::Start | Within::Values, byte) if byte != b'{' => {
                    return Err(Broken::at(
                        self.line,
                        "is not JSON (expected an array, an object, or {\"value\":[…]})",
                    ));
                }
                (within, _) => {
                    let line = self.line;
                    match self.value(within == Within::Start)? {
                        Ended::BatchBegins => self.within = Within::Batch,
                        Ended::Whole(bytes) => {
                            if within == Within::Start {
                                self.within = Within::Values;
                            }
                            return Ok(Next::Row(row(line, bytes)));
                        }
                    }
                }
            }
        }
    }

    fn end_of_file(&self) -> Result<Next, Broken> {
        match self.within {
            Within::Array | Within::Batch => Err(Broken::cut_off(self.line, "the array has no end")),
            Within::Start | Within::Values | Within::End => Ok(Next::End),
        }
    }

    /// Reads one value. `may_wrap`: an object may turn out to be the wrapper of a batch, which it is when its member `value`
    /// is an array and no `ListingKey` came before.
    fn value(&mut self, may_wrap: bool) -> Result<Ended, Broken> {
        let mut bytes = Vec::new();
        let (mut depth, mut in_text, mut escaped) = (0_usize, false, false);
        let mut names = may_wrap.then(Names::default);
        while let Some(byte) = self.peek()? {
            if depth == 0
                && !bytes.is_empty()
                && !in_text
                && (byte.is_ascii_whitespace() || matches!(byte, b',' | b']'))
            {
                return Ok(whole(bytes)); // A number or a word: it ends before this byte.
            }
            self.take()?;
            if bytes.len() <= MAX_ROW_BYTES {
                bytes.push(byte);
            }
            if in_text {
                match byte {
                    _ if escaped => escaped = false,
                    b'\\' => escaped = true,
                    b'"' => in_text = false,
                    _ => {}
                }
                if let Some(names) = &mut names {
                    names.within_text(byte, in_text);
                }
                if !in_text && depth == 0 {
                    return Ok(whole(bytes));
                }
                continue;
            }
            match byte {
                b'"' => in_text = true,
                b'[' if depth == 1 && names.as_ref().is_some_and(Names::are_of_a_wrapper) => {
                    return Ok(Ended::BatchBegins);
                }
                b'{' | b'[' => depth += 1,
                b'}' | b']' => {
                    depth = depth.saturating_sub(1);
                    if depth == 0 {
                        return Ok(whole(bytes));
                    }
                }
                _ => {}
            }
            if let Some(names) = &mut names {
                names.outside_text(depth, byte);
            }
        }
        if depth == 0 && !in_text && !bytes.is_empty() {
            return Ok(whole(bytes));
        }
        Err(Broken::cut_off(self.line, "a value has no end"))
    }

    /// Skips what follows the array of a batch, up to the end of its wrapper.
    fn rest_of_wrapper(&mut self) -> Result<(), Broken> {
        let (mut depth, mut in_text, mut escaped) = (1_usize, false, false);
        while let Some(byte) = self.peek()? {
            self.take()?;
            match byte {
                _ if escaped => escaped = false,
                b'\\' if in_text => escaped = true,
                b'"' => in_text = !in_text,
                b'{' | b'[' if !in_text => depth += 1,
                b'}' | b']' if !in_text => {
                    depth -= 1;
                    if depth == 0 {
                        return Ok(());
                    }
                }
                _ => {}
            }
        }
        Err(Broken::cut_off(self.line, "the batch has no end"))
    }

    fn skip_blanks(&mut self) -> Result<Option<u8>, Broken> {
        loop {
            match self.peek()? {
                // A byte order mark is three such bytes; anywhere else they are no JSON, and found to be none.
                Some(byte)
                    if byte.is_ascii_whitespace()
                        || (self.within == Within::Start && b"\xEF\xBB\xBF".contains(&byte)) =>
                {
                    self.take()?;
                }
                other => return Ok(other),
            }
        }
    }

    fn peek(&mut self) -> Result<Option<u8>, Broken> {
        match self.reader.fill_buf() {
            Ok(buffer) => Ok(buffer.first().copied()),
            Err(error) => Err(Broken::io(self.line, &error)),
        }
    }

    fn take(&mut self) -> Result<(), Broken> {
        if self.peek()? == Some(b'\n') {
            self.line += 1;
        }
        self.reader.consume(1);
        Ok(())
    }
}

fn whole(bytes: Vec<u8>) -> Ended {
    Ended::Whole((bytes.len() <= MAX_ROW_BYTES).then_some(bytes))
}

fn row(line: u64, bytes: Option<Vec<u8>>) -> RawRow {
    match bytes {
        Some(bytes) => RawRow { line, bytes, content: Content::Json },
        None => RawRow {
            line,
            bytes: Vec::new(),
            content: Content::Unreadable(format!("the row has more than {MAX_ROW_BYTES} bytes")),
        },
    }
}

/// The names of the members of the outermost object, as they pass.
#[derive(Default)]
struct Names {
    /// The name that was read last, without its quotes; only its beginning.
    last: Vec<u8>,
    /// The next text is a name.
    expected: bool,
    /// The text that is being read is one.
    reading: bool,
    has_key: bool,
}

/// Longer than the names that matter.
const NAME_BYTES: usize = 16;

impl Names {
    fn within_text(&mut self, byte: u8, goes_on: bool) {
        if self.reading && goes_on && self.last.len() < NAME_BYTES {
            self.last.push(byte);
        }
        self.reading &= goes_on;
    }

    fn outside_text(&mut self, depth: usize, byte: u8) {
        match byte {
            b'{' | b',' if depth == 1 => self.expected = true,
            b'"' if depth == 1 && self.expected => {
                self.last.clear();
                (self.expected, self.reading) = (false, true);
            }
            b':' if depth == 1 => self.has_key |= self.last == b"ListingKey",
            _ => {}
        }
    }

    fn are_of_a_wrapper(&self) -> bool {
        self.last == b"value" && !self.has_key
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Line and bytes of each row, read from a reader that hands out few bytes at a time.
    fn rows(text: &str) -> Result<Vec<(u64, String)>, String> {
        let reader = std::io::BufReader::with_capacity(3, text.as_bytes());
        let (mut reader, mut rows) = (JsonRows::new(reader), Vec::new());
        loop {
            match reader.next().map_err(|broken| broken.reason)? {
                Next::Row(row) => rows.push((row.line, String::from_utf8(row.bytes).unwrap())),
                Next::Prose => {}
                Next::End => return Ok(rows),
            }
        }
    }
    fn texts(text: &str) -> Vec<String> {
        rows(text).unwrap_or_else(|error| panic!("{text}: {error}")).into_iter().map(|(_, text)| text).collect()
    }

    #[test]
    fn the_elements_of_an_array_are_rows() {
        assert_eq!(
            rows("\u{FEFF}[\n{\"a\":[1,{\"b\":\"]}\\\"\"}]},\n {} , 3,\"x, y\" , null]\n").unwrap(),
            [
                (2, "{\"a\":[1,{\"b\":\"]}\\\"\"}]}".to_owned()),
                (3, "{}".to_owned()),
                (3, "3".to_owned()),
                (3, "\"x, y\"".to_owned()),
                (3, "null".to_owned()),
            ]
        );
        assert_eq!(texts("[]"), Vec::<String>::new());
        assert_eq!(texts(""), Vec::<String>::new());
    }

    #[test]
    fn the_value_of_a_batch_holds_the_rows() {
        let wrapped = r#"{"@odata.context":"x:value","count":2, "value" : [ {"ListingKey":1},{"value":[2]} ],"@odata.nextLink":"]}"}"#;
        assert_eq!(texts(wrapped), [r#"{"ListingKey":1}"#, r#"{"value":[2]}"#]);
        assert_eq!(texts(r#"{"value":[]}"#), Vec::<String>::new());
    }

    #[test]
    fn an_object_that_is_a_listing_is_one_row() {
        for text in [
            r#"{"ListingKey":"1","value":[1]}"#,
            r#"{"a":"value","b":["x"]}"#,
            r#"{"value":{"value":[1]}}"#,
            r#"{"value":1,"":[2]}"#,
        ] {
            assert_eq!(texts(text), [text], "{text}");
        }
        assert_eq!(texts("{\"a\":1}\n{\"value\":[2]} {}"), ["{\"a\":1}", "{\"value\":[2]}", "{}"]);
    }

    #[test]
    fn json_that_stops_is_cut_off() {
        for text in ["[", "[{}", "[{},", "[{\"a\":", "{", "{\"value\":[{}", "{\"value\":[{}]", "[{\"a\":\"]}"] {
            assert!(rows(text).unwrap_err().contains("cut off"), "{text}");
        }
    }

    #[test]
    fn what_is_no_list_of_rows_is_refused() {
        assert!(rows("3").unwrap_err().contains("is not JSON"));
        assert!(rows("a,b\n1,2").unwrap_err().contains("is not JSON"));
        assert!(rows("[] []").unwrap_err().contains("something follows"));
    }

    #[test]
    fn a_row_beyond_all_bounds_is_named_and_left_out() {
        let text = format!("[{{\"a\":\"{}\"}},{{}}]", "x".repeat(2 * MAX_ROW_BYTES));
        let lengths: Vec<usize> = texts(&text).iter().map(String::len).collect();
        assert_eq!(lengths, [0, 2]);
    }
}
