//! One rule: from a cell, or from nothing, to the value of one member.

use std::collections::BTreeMap;

use schemas::field_error::{Fault, FieldError};
use serde_json::Value;

use super::cell::{Cell, Cells};
use super::condition::Condition;
use super::date::Dates;

/// From a row to the value of one member.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    pub(super) source: Source,
    pub(super) when: Condition,
    pub(super) unless: Condition,
    pub(super) reading: Reading,
    /// The unit of an area, as RESO names it.
    pub(super) unit: Option<&'static str>,
    /// Whether a file may lack the column.
    pub(super) optional: bool,
}

/// Where a value comes from.
#[derive(Clone, Debug)]
pub(super) enum Source {
    /// A column of a CSV file, a member or path of a JSON object.
    Column(String),
    /// The mapping itself.
    Constant(Value),
}

/// How a cell is read.
#[derive(Clone, Debug)]
pub(super) enum Reading {
    /// As it is.
    Plain,
    /// By a table of words.
    Words {
        /// Words in lower case, and what they mean.
        values: BTreeMap<String, Value>,
        /// What every other word means.
        others: Others,
    },
    /// As an instant.
    Instant(Dates),
    /// As a day.
    Day(Dates),
    /// As a list of texts between separators.
    List(String),
    /// The digits behind this text.
    DigitsAfter(String),
}

/// What a word means that the table does not have.
#[derive(Clone, Debug)]
pub(super) enum Others {
    /// A fault of the row.
    Refused,
    /// Itself.
    Kept,
    /// This.
    Mean(Value),
}

impl Rule {
    /// The value; `None` if the rule has nothing to say of this row.
    pub(super) fn value(&self, cells: &Cells<'_>) -> Result<Option<Value>, FieldError> {
        if self.when.holds(cells) == Some(false) || self.unless.holds(cells) == Some(true) {
            return Ok(None);
        }
        match &self.source {
            Source::Constant(value) => Ok(Some(value.clone())),
            Source::Column(column) => match cells.get(column) {
                Some(cell) => self.reading.read(column, &cell).map(Some),
                None => Ok(None),
            },
        }
    }
}

impl Reading {
    fn read(&self, column: &str, cell: &Cell<'_>) -> Result<Value, FieldError> {
        let wrong =
            |fault, expected: String| FieldError::new(format!("column '{column}'"), cell.shown(), fault, expected);
        if matches!(self, Self::Plain) {
            return Ok(cell.to_value());
        }
        // A list may be one already.
        if let (Self::List(_), Cell::Value(Value::Array(_))) = (self, cell) {
            return Ok(cell.to_value());
        }
        let text = cell.text().ok_or_else(|| wrong(Fault::BadType, "a text or a number".to_owned()))?;
        match self {
            Self::Plain => Ok(cell.to_value()),
            Self::Words { values, others } => match (values.get(&text.to_ascii_lowercase()), others) {
                (Some(value), _) | (None, Others::Mean(value)) => Ok(value.clone()),
                (None, Others::Kept) => Ok(cell.to_value()),
                (None, Others::Refused) => {
                    let words: Vec<_> = values.keys().map(String::as_str).collect();
                    Err(wrong(Fault::UnknownWord, format!("one of {}, in any case", words.join(", "))))
                }
            },
            Self::Instant(dates) => match dates.instant(&text) {
                Some(at) => Ok(Value::String(at.to_string())),
                None => Err(wrong(Fault::BadType, dates.expected())),
            },
            Self::Day(dates) => match dates.day(&text) {
                Some(day) => Ok(Value::String(day.to_string())),
                None => Err(wrong(Fault::BadType, dates.expected())),
            },
            Self::List(separator) => Ok(text
                .split(separator.as_str())
                .map(str::trim)
                .filter(|word| !word.is_empty())
                .map(Value::from)
                .collect()),
            Self::DigitsAfter(mark) => {
                let rest = text.split_once(mark.as_str()).map_or("", |(_, rest)| rest);
                let digits = &rest[..rest.bytes().take_while(u8::is_ascii_digit).count()];
                if digits.is_empty() {
                    return Err(wrong(Fault::BadType, format!("a text with a number behind '{mark}'")));
                }
                Ok(Value::from(digits))
            }
        }
    }
}
