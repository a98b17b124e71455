//! One row as it was read, and its cells by the name of a column (CSV) or by a path (JSON).

use std::borrow::Cow;

use rustc_hash::FxHashMap;
use serde_json::{Map, Value};

/// The columns of a CSV file, by name.
#[derive(Clone, Debug, Default)]
pub struct Columns {
    names: Vec<String>,
    by_name: FxHashMap<String, usize>,
}

impl Columns {
    /// Of a header line; of two columns with one name the first counts.
    pub fn new<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let names: Vec<String> =
            names.into_iter().map(|name| name.trim_start_matches('\u{FEFF}').trim().to_owned()).collect();
        let mut by_name = FxHashMap::default();
        for (index, name) in names.iter().enumerate() {
            by_name.entry(name.clone()).or_insert(index);
        }
        Self { names, by_name }
    }

    /// The names, in order.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Whether there is a column of that name; `URL*` is any that starts with `URL`.
    pub fn has(&self, name: &str) -> bool {
        self.index(name).is_some()
    }

    fn index(&self, name: &str) -> Option<usize> {
        match name.strip_suffix('*') {
            Some(start) => self.names.iter().position(|own| own.starts_with(start)),
            None => self.by_name.get(name).copied(),
        }
    }
}

/// One row.
#[derive(Clone, Copy, Debug)]
pub enum Row<'a> {
    /// Of a CSV file.
    Csv(&'a Columns, &'a csv::StringRecord),
    /// A JSON text: an object, if it is a row.
    Json(&'a str),
}

/// A row whose cells are asked for.
pub(super) enum Cells<'a> {
    Csv(&'a Columns, &'a csv::StringRecord),
    Json(Map<String, Value>),
}

/// What a cell says.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Cell<'a> {
    /// Text of a CSV file, trimmed, not empty.
    Text(&'a str),
    /// JSON: not null, no blank text.
    Value(&'a Value),
}

impl<'a> Cells<'a> {
    /// `None`: the JSON is not an object.
    pub(super) fn of(row: &Row<'a>) -> Option<Self> {
        match *row {
            Row::Csv(columns, record) => Some(Self::Csv(columns, record)),
            Row::Json(text) => serde_json::from_str(text).ok().map(Self::Json),
        }
    }

    /// The cell, if it says something.
    pub(super) fn get(&self, column: &str) -> Option<Cell<'_>> {
        match self {
            Self::Csv(columns, record) => {
                let text = record.get(columns.index(column)?)?.trim();
                (!text.is_empty()).then_some(Cell::Text(text))
            }
            Self::Json(object) => match at_path(object, column)? {
                Value::Null => None,
                Value::String(text) if text.trim().is_empty() => None,
                value => Some(Cell::Value(value)),
            },
        }
    }
}

/// A member of that very name, else the value at `member.member.index`.
fn at_path<'a>(object: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    if let Some(value) = object.get(path) {
        return Some(value);
    }
    let mut steps = path.split('.');
    let first = object.get(steps.next()?)?;
    steps.try_fold(first, |value, step| match value {
        Value::Object(object) => object.get(step),
        Value::Array(array) => array.get(step.parse::<usize>().ok()?),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    })
}

impl Cell<'_> {
    /// As a text; `None` for an object or an array.
    pub(super) fn text(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Text(text) => Some(Cow::Borrowed(text)),
            Self::Value(Value::String(text)) => Some(Cow::Borrowed(text.trim())),
            Self::Value(Value::Number(number)) => Some(Cow::Owned(number.to_string())),
            Self::Value(Value::Bool(yes)) => Some(Cow::Borrowed(if *yes { "true" } else { "false" })),
            Self::Value(Value::Null | Value::Array(_) | Value::Object(_)) => None,
        }
    }

    /// As JSON.
    pub(super) fn to_value(&self) -> Value {
        match self {
            Self::Text(text) => Value::String((*text).to_owned()),
            Self::Value(value) => (*value).clone(),
        }
    }

    /// For a message.
    pub(super) fn shown(&self) -> String {
        self.text().map_or_else(|| self.to_value().to_string(), Cow::into_owned)
    }
}
