//! Why a record is a dead letter: one code per kind of fault. This list is the documentation.

use crate::field_error::{Fault, FieldError};

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $variant:ident = $text:literal),+ $(,)?) => {
        /// The code of a dead letter, in the header `roost-error-code`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code { $($(#[doc = $doc])+ $variant),+ }
        impl Code {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];
            /// The text of the header and of the metric label.
            pub const fn as_str(self) -> &'static str { match self { $(Self::$variant => $text),+ } }
            /// What it means, in a sentence.
            pub const fn meaning(self) -> &'static str { match self { $(Self::$variant => concat!($($doc),+)),+ } }
        }
    };
}

codes! {
    /// The bytes are not UTF-8 (a byte order mark before UTF-8 is accepted).
    WrongEncoding = "wrong_encoding",
    /// The bytes are not a JSON text, or something follows it.
    NotJson = "not_json",
    /// The JSON is neither an object nor a batch `{"value":[…]}` of objects.
    WrongShape = "wrong_shape",
    /// Objects and arrays are nested more than 32 deep.
    TooDeep = "too_deep",
    /// The value is larger than 512 KiB, key and headers than 16 KiB, or a batch has more than 1,000 records.
    TooLarge = "too_large",
    /// An object that takes no other members has one: a statement's, a misspelt preference most often.
    UnknownMember = "unknown_member",
    /// A member occurs twice in one object.
    DuplicateMember = "duplicate_member",
    /// The record names no listing: no `ListingKey` in the value, and for an empty value no usable key.
    KeyMissing = "key_missing",
    /// The Kafka key is not valid here: it contradicts the value, or hashes to another partition than the record's.
    WrongKey = "wrong_key",
    /// A required field is absent.
    FieldMissing = "field_missing",
    /// A field has the wrong JSON type, or a text that is not of its type.
    BadType = "bad_type",
    /// A field's value is outside the allowed range.
    OutOfRange = "out_of_range",
    /// `StandardStatus` is none of RESO's words.
    UnknownStatus = "unknown_status",
    /// Another closed vocabulary does not have the word.
    UnknownWord = "unknown_word",
    /// A timestamp lies more than five minutes after the record's append time.
    TimestampInTheFuture = "timestamp_in_the_future",
    /// A header that must be readable is not (the feed, the deadline of a statement, the versions of a repair).
    WrongHeader = "wrong_header",
    /// The feed client's mapping could not read the row; the header `roost-mapping-error` says why, the value is the row.
    MappingFailed = "mapping_failed",
    /// A statement was appended after the deadline that its sender set: it is none.
    TooLate = "too_late",
    /// A repair claims a version that is not older than the repair itself.
    WrongVersion = "wrong_version",
    /// The reader itself failed on the record: a defect of roost.
    ReaderFailed = "reader_failed",
    /// The receiver of a webhook did not take a change within `api.webhooks.give_up_after`, or too many others waited for it.
    WebhookUndeliverable = "webhook_undeliverable",
}

impl Code {
    /// The code of a faulty field.
    pub fn of(error: &FieldError) -> Self {
        match error.fault {
            Fault::Missing => Self::FieldMissing,
            Fault::BadType => Self::BadType,
            Fault::OutOfRange => Self::OutOfRange,
            Fault::UnknownWord
                if error.field.ends_with("StandardStatus") || error.field.ends_with("standard_status") =>
            {
                Self::UnknownStatus
            }
            Fault::UnknownWord => Self::UnknownWord,
            Fault::Duplicate => Self::DuplicateMember,
            Fault::InTheFuture => Self::TimestampInTheFuture,
            Fault::TooLarge => Self::TooLarge,
            Fault::UnknownMember => Self::UnknownMember,
            Fault::WrongEncoding => Self::WrongEncoding,
            Fault::NotJson => Self::NotJson,
            Fault::WrongShape => Self::WrongShape,
            Fault::TooDeep => Self::TooDeep,
        }
    }
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Most wrong fields that a dead letter's message names: a person mends a few at a time, and it travels in a header.
const MAX_NAMED: usize = 16;

/// A record that cannot be used: poison. It goes to `dead-letters`, the work goes on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}; record dead-lettered as {code}")]
pub struct Poison {
    /// The kind of fault.
    pub code: Code,
    /// Names the field, the value and what was expected.
    pub message: String,
}

impl From<FieldError> for Poison {
    fn from(error: FieldError) -> Self {
        Self { code: Code::of(&error), message: error.to_string() }
    }
}

impl Poison {
    /// All that is wrong with a record: the code is the first fault's.
    pub fn of_faults(faults: &[FieldError]) -> Self {
        let named: Vec<String> = faults.iter().take(MAX_NAMED).map(ToString::to_string).collect();
        let more = faults.len() - named.len();
        let more = if more > 0 { format!("; and {more} more") } else { String::new() };
        // No caller has none: the list is the error of a reader that found some.
        Self { code: faults.first().map_or(Code::WrongShape, Code::of), message: named.join("; ") + &more }
    }
}
