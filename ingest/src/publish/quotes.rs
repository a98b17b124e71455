//! Whether the quotes of a CSV row are in order: what a quote that was never closed swallows, the reader takes for one
//! cell. Pure; follows the reader's own rules (`csv-core`), by which a quote opens at the start of a cell only.

/// What the quotes of a row say. Lines are counted from the row's first, which is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quotes {
    Sound,
    /// Opened at this line and closed on a later one with text behind: most likely by the quote of another row.
    Ragged {
        line: u64,
    },
    /// Opened at this line and never closed.
    Open {
        line: u64,
    },
}

/// Where in a cell.
enum At {
    Start,
    Plain,
    /// Within quotes that were opened at this line.
    Quoted(u64),
    /// After a quote within them: their end, or the first of two that stand for one.
    Closing(u64),
}

impl Quotes {
    pub(super) fn of(row: &[u8], delimiter: u8) -> Self {
        let (mut at, mut line, mut found) = (At::Start, 0, Self::Sound);
        for &byte in row.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(row) {
            at = match at {
                At::Quoted(opened) if byte == b'"' => At::Closing(opened),
                At::Quoted(opened) => At::Quoted(opened),
                At::Closing(opened) if byte == b'"' => At::Quoted(opened),
                At::Start if byte == b'"' => At::Quoted(line),
                At::Start | At::Plain | At::Closing(_) if byte == delimiter || matches!(byte, b'\n' | b'\r') => {
                    At::Start
                }
                At::Closing(opened) => {
                    if opened < line {
                        found = Self::Ragged { line: opened };
                    }
                    At::Plain
                }
                At::Start | At::Plain => At::Plain,
            };
            line += u64::from(byte == b'\n');
        }
        match at {
            At::Quoted(line) => Self::Open { line },
            At::Start | At::Plain | At::Closing(_) => found,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quote_opens_at_the_start_of_a_cell_and_two_of_them_are_one() {
        for row in ["", "a", "\"a\"", "5\" x 3\"", "a,\"b\"\"\",c", "\"a\nb\",\"c\n\"", "\"a\"b\"", "\u{FEFF}\"a\""] {
            assert_eq!(Quotes::of(row.as_bytes(), b','), Quotes::Sound, "{row:?}");
        }
    }

    #[test]
    fn the_line_is_that_of_the_quote() {
        assert_eq!(Quotes::of(b"1,\"a\nb\",\"c\n", b','), Quotes::Open { line: 1 });
        assert_eq!(Quotes::of(b"1,\"a\n2,\"b\"", b','), Quotes::Ragged { line: 0 });
        assert_eq!(Quotes::of(b"1\t\"a,\n", b'\t'), Quotes::Open { line: 0 });
    }
}
