//! The answer to a push: what became of each record, in the order of the body.

use schemas::dead_letter::Code;
use schemas::id::{FeedName, ListingId};
use schemas::reso::Refusal;
use serde::Serialize;

/// The answer to a push.
#[derive(Debug, Serialize)]
pub(super) struct Answer {
    pub(super) feed: FeedName,
    /// How many records are on the log.
    pub(super) accepted: usize,
    /// How many are not.
    pub(super) refused: usize,
    pub(super) records: Vec<RecordAnswer>,
}

/// What became of one record.
#[derive(Debug, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub(super) enum RecordAnswer {
    /// It is on the log, at this place.
    Accepted { index: usize, listing_id: ListingId, partition: u32, offset: u64 },
    /// It is not on the log; the client has it, and mends it.
    Refused { index: usize, code: &'static str, message: String, errors: Vec<FieldAnswer> },
}

/// One wrong field of a record.
#[derive(Debug, Serialize)]
pub(super) struct FieldAnswer {
    /// JSON pointer within the record.
    pointer: String,
    code: &'static str,
    message: String,
}

impl RecordAnswer {
    pub(super) const fn index(&self) -> usize {
        match self {
            Self::Accepted { index, .. } | Self::Refused { index, .. } => *index,
        }
    }

    pub(super) fn refused(index: usize, refusal: &Refusal) -> Self {
        let errors = refusal.faults.iter().map(|fault| FieldAnswer {
            pointer: pointer(&fault.field),
            code: Code::of(fault).as_str(),
            message: fault.to_string(),
        });
        Self::Refused { index, code: refusal.code.as_str(), message: refusal.message.clone(), errors: errors.collect() }
    }
}

/// RFC 6901: the field's path with its escapes. A member's own name may hold both characters.
fn pointer(field: &str) -> String {
    format!("/{}", field.replace('~', "~0").replace('/', "~1"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_escapes_what_a_name_may_hold() {
        assert_eq!(pointer("a/b~c"), "/a~1b~0c");
    }
}
