//! What is wrong with one field: its name, the value, what was expected. The text a person reads to mend it.

use std::fmt;

/// The kind of fault of a field. Maps to a dead-letter code on the log and to a problem on HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The field is required and absent.
    Missing,
    /// The JSON type is wrong, or the text is not of that type.
    BadType,
    /// The type is right and the value is not allowed.
    OutOfRange,
    /// A closed vocabulary does not have this word.
    UnknownWord,
    /// The same member occurs twice.
    Duplicate,
    /// A timestamp too far after the record's own append time.
    InTheFuture,
    /// Too many, too long or too large.
    TooLarge,
    /// An object that takes no other members has one.
    UnknownMember,
    /// The bytes are not UTF-8.
    WrongEncoding,
    /// The text is not JSON.
    NotJson,
    /// The JSON is not an object.
    WrongShape,
    /// Objects and arrays are nested too deep.
    TooDeep,
}

/// Longest value and longest field name that an error repeats, in characters: it travels in headers and log lines.
const MAX_SHOWN_CHARS: usize = 80;

/// One wrong field: `list_price: -5 is not allowed (expected 0.01 to 999999999999.99)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// Path of the field within the message, in the message's own spelling, `/`-separated without a leading slash; empty
    /// for the message itself.
    pub field: String,
    /// The value as received, on one line, shortened to 80 characters.
    pub value: String,
    /// What kind of fault it is.
    pub fault: Fault,
    /// What would have been right.
    pub expected: String,
}

impl FieldError {
    /// A fault of `field`, whose value was `value`.
    pub fn new(field: impl Into<String>, value: impl ToString, fault: Fault, expected: impl Into<String>) -> Self {
        Self { field: field.into(), value: shown(&value.to_string()), fault, expected: expected.into() }
    }

    /// The same fault, seen from the object that holds `field` under `parent`.
    #[must_use]
    pub fn within(mut self, parent: &str) -> Self {
        self.field = format!("{parent}/{}", self.field);
        self
    }

    /// The same fault under another field name.
    #[must_use]
    pub fn named(mut self, field: &str) -> Self {
        field.clone_into(&mut self.field);
        self
    }

    /// The same fault without the value, for texts that outlive what a person had erased.
    #[must_use]
    pub fn without_value(mut self) -> Self {
        if !self.field.is_empty() {
            "the value".clone_into(&mut self.value);
        }
        self
    }

    /// Where the field is, as a JSON pointer (RFC 6901): `/place/cities/0`, and the empty text for the message itself.
    pub fn pointer(&self) -> String {
        if self.field.is_empty() { String::new() } else { format!("/{}", self.field) }
    }
}

impl std::error::Error for FieldError {}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { field, value, fault, expected } = self;
        if !field.is_empty() {
            write!(f, "{}: ", shown(field))?;
        }
        match fault {
            Fault::Missing => f.write_str("is missing"),
            Fault::BadType => write!(f, "{value} is of the wrong type"),
            Fault::OutOfRange => write!(f, "{value} is not allowed"),
            Fault::UnknownWord => write!(f, "{value} is not a known word"),
            Fault::Duplicate => write!(f, "{value} is given twice"),
            Fault::InTheFuture => write!(f, "{value} lies in the future"),
            Fault::TooLarge => write!(f, "{value} is too large"),
            Fault::UnknownMember => f.write_str("is not a member here"),
            Fault::WrongEncoding => write!(f, "{value} is not UTF-8"),
            Fault::NotJson => write!(f, "not a JSON text: {value}"),
            Fault::WrongShape => write!(f, "the JSON is {value}"),
            Fault::TooDeep => write!(f, "{value} is nested too deep"),
        }?;
        write!(f, " (expected {expected})")
    }
}

/// One line of bounded length: what a stranger sent must not break a log or a header, nor reorder the text around it.
fn shown(text: &str) -> String {
    let plain = |c: char| if c.is_control() || is_format_control(c) { '\u{FFFD}' } else { c };
    match text.char_indices().nth(MAX_SHOWN_CHARS) {
        None => text.chars().map(plain).collect(),
        Some(_) => text.chars().take(MAX_SHOWN_CHARS - 1).map(plain).chain(['…']).collect(),
    }
}

/// Characters that break a line, reorder the text around them or hide in it (Unicode's line separators, bidirectional
/// controls, zero-width characters).
pub(crate) const fn is_format_control(c: char) -> bool {
    matches!(c, '\u{061C}' | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{2069}' | '\u{FEFF}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_one_bounded_line_whatever_was_sent() {
        let error = FieldError::new("a\nb", format!("x\u{202E}\r\n{}", "y".repeat(1000)), Fault::OutOfRange, "less");
        let text = error.to_string();
        assert!(
            text.starts_with("a\u{FFFD}b: x\u{FFFD}\u{FFFD}\u{FFFD}yy")
                && text.ends_with("… is not allowed (expected less)"),
            "{text}"
        );
        assert_eq!(error.value.chars().count(), 80);
    }

    #[test]
    fn a_field_is_named_by_its_pointer() {
        let error = FieldError::new("0", "x", Fault::BadType, "y").within("place/cities");
        assert_eq!(error.pointer(), "/place/cities/0");
        assert_eq!(FieldError::new("", "an array", Fault::WrongShape, "an object").pointer(), "");
        assert_eq!(
            FieldError::new("", "an array", Fault::WrongShape, "an object").to_string(),
            "the JSON is an array (expected an object)"
        );
    }
}
