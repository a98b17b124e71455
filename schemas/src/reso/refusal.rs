//! Why a record, or a whole value, is refused: one code, and every wrong field at once.

use std::borrow::Cow;

use crate::dead_letter::{Code, Poison};
use crate::field_error::{Fault, FieldError};

/// Most wrong fields that one refusal names: a person mends a few at a time, and the text travels in a header.
pub const MAX_FAULTS: usize = 16;

/// A refused record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// The kind of the first fault.
    pub code: Code,
    /// All faults in one text: field, value, what was expected.
    pub message: String,
    /// Each wrong field, at most [`MAX_FAULTS`]; empty when the fault is not a field's.
    pub faults: Vec<FieldError>,
}

impl Refusal {
    /// A fault that is not a field's.
    pub(crate) fn whole(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), faults: Vec::new() }
    }
}

impl From<Refusal> for Poison {
    fn from(refusal: Refusal) -> Self {
        Self { code: refusal.code, message: refusal.message }
    }
}

/// The faults found so far in one record.
#[derive(Debug, Default)]
pub(super) struct Faults {
    first: Option<Code>,
    found: Vec<FieldError>,
}

impl Faults {
    /// Notes a wrong field.
    pub(super) fn push(&mut self, error: FieldError) {
        self.push_as(Code::of(&error), error);
    }

    /// Notes a wrong field whose code is not the one of its kind of fault.
    pub(super) fn push_as(&mut self, code: Code, error: FieldError) {
        self.first.get_or_insert(code);
        if self.found.len() < MAX_FAULTS {
            self.found.push(error);
        }
    }

    /// Notes a required field that is absent.
    pub(super) fn missing(&mut self, field: &str, expected: &str) {
        self.push(FieldError::new(field, "", Fault::Missing, expected));
    }

    /// Notes the fault of a result and goes on without its value.
    pub(super) fn note<T>(&mut self, result: Result<Option<T>, FieldError>) -> Option<T> {
        result.unwrap_or_else(|error| {
            self.push(error);
            None
        })
    }

    /// Names fields as the record does: `respelled` holds pairs of RESO's name and the record's.
    pub(super) fn respell(&mut self, respelled: &[(&str, Cow<'_, str>)]) {
        for fault in &mut self.found {
            if let Some((_, own)) = respelled.iter().find(|(name, _)| *name == fault.field) {
                (**own).clone_into(&mut fault.field);
            }
        }
    }

    /// The refusal, if there was any fault.
    pub(super) fn into_refusal(self) -> Option<Refusal> {
        let code = self.first?;
        let texts: Vec<String> = self.found.iter().map(ToString::to_string).collect();
        Some(Refusal { code, message: texts.join("; "), faults: self.found })
    }
}
