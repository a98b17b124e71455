//! When a rule holds: `{ STATUS = ["Sold", ""], "SALE TYPE" = ["PAST SALE"] }`.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::cell::{Cell, Cells, Columns};

/// Any of these; none: always.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(
    untagged,
    expecting = "expected a table of columns and their words, { STATUS = [\"Sold\"] }, or a list of such tables"
)]
pub(super) enum Condition {
    /// Nothing is asked.
    #[default]
    Nothing,
    /// All columns of one table.
    One(All),
    /// All columns of one of several tables.
    Any(Vec<All>),
}

/// For every column the words of which the cell has one; the empty word is a cell that says nothing.
type All = BTreeMap<String, Vec<String>>;

impl Condition {
    /// Whether the row meets it; `None` if nothing is asked.
    pub(super) fn holds(&self, cells: &Cells<'_>) -> Option<bool> {
        match self {
            Self::Nothing => None,
            Self::One(all) => Some(all_hold(all, cells)),
            Self::Any(any) => Some(any.iter().any(|all| all_hold(all, cells))),
        }
    }

    pub(super) fn columns(&self) -> impl Iterator<Item = &str> {
        let tables = match self {
            Self::Nothing => &[],
            Self::One(all) => std::slice::from_ref(all),
            Self::Any(any) => any.as_slice(),
        };
        tables.iter().flat_map(|all| all.keys().map(String::as_str))
    }

    /// Columns that a file needs for it: a condition on one that is not there could never be told to be wrong.
    pub(super) fn absent(&self, columns: &Columns) -> Vec<String> {
        self.columns().filter(|column| !columns.has(column)).map(str::to_owned).collect()
    }
}

fn all_hold(all: &All, cells: &Cells<'_>) -> bool {
    all.iter().all(|(column, words)| {
        let cell = cells.get(column);
        let text = cell.as_ref().and_then(Cell::text).unwrap_or_default();
        words.iter().any(|word| word.trim().eq_ignore_ascii_case(&text))
    })
}
