//! What is wrong with one field: its name, the value, what was expected. The text a person reads to mend it.

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
}

/// One wrong field: `list_price: -5 is not allowed (expected 0.01 to 999999999999.99)`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {} (expected {expected})", .field, describe(*.fault, .value))]
pub struct FieldError {
    /// Path of the field within the message, in the message's own spelling, `/`-separated without a leading slash.
    pub field: String,
    /// The value as received, shortened to 80 characters.
    pub value: String,
    /// What kind of fault it is.
    pub fault: Fault,
    /// What would have been right.
    pub expected: String,
}

impl FieldError {
    /// A fault of `field`, whose value was `value`.
    pub fn new(field: impl Into<String>, value: impl ToString, fault: Fault, expected: impl Into<String>) -> Self {
        let mut value = value.to_string();
        if value.chars().count() > 80 {
            value = value.chars().take(79).chain(['…']).collect();
        }
        Self { field: field.into(), value, fault, expected: expected.into() }
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
}

fn describe(fault: Fault, value: &str) -> String {
    match fault {
        Fault::Missing => "is missing".to_owned(),
        Fault::BadType => format!("{value} is of the wrong type"),
        Fault::OutOfRange => format!("{value} is not allowed"),
        Fault::UnknownWord => format!("{value} is not a known word"),
        Fault::Duplicate => format!("{value} is given twice"),
        Fault::InTheFuture => format!("{value} lies in the future"),
        Fault::TooLarge => format!("{value} is too large"),
    }
}
