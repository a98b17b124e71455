//! All rules of one mapping file, applied to a row.

use jiff::Timestamp;
use schemas::field_error::{Fault, FieldError};
use serde_json::Value;

use super::RowError;
use super::cell::{Cells, Columns, Row};
use super::members::{Members, quoted};
use super::rule::{Rule, Source};

/// Most wrong cells that a row's error names: a person mends a few at a time, and the text travels in a header.
const MAX_FAULTS: usize = 16;

/// A mapping.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    /// Members and their rules, of which the first that has something to say counts; `ListingKey` comes first.
    pub(super) members: Vec<(String, Vec<Rule>)>,
    /// When a row's snapshot was taken.
    pub(super) snapshot: Option<Rule>,
}

impl Rules {
    /// The columns that must be there and are not.
    pub(super) fn absent_columns(&self, columns: &Columns) -> Vec<String> {
        let rules = self.members.iter().flat_map(|(_, rules)| rules).chain(&self.snapshot);
        let mut absent: Vec<String> = rules
            .filter(|rule| !rule.optional)
            .flat_map(|rule| {
                let own = match &rule.source {
                    Source::Column(column) if !columns.has(column) => Some(column.clone()),
                    Source::Column(_) | Source::Constant(_) => None,
                };
                own.into_iter().chain(rule.when.absent(columns)).chain(rule.unless.absent(columns))
            })
            .collect();
        absent.sort();
        absent.dedup();
        absent
    }

    /// What a row becomes.
    pub(super) fn members<'a>(&self, row: &Row<'a>) -> Result<Members<'a>, RowError> {
        let cells = Cells::of(row).ok_or_else(not_an_object)?;
        let (mut members, mut faults) = (Members::default(), Vec::new());
        for (name, rules) in &self.members {
            match first(rules, &cells) {
                Ok(Some((rule, value))) => {
                    if let Some((unit_member, unit)) = rule.unit.and_then(|unit| Some((unit_member(name)?, unit))) {
                        members.push(unit_member, quoted(unit));
                    }
                    members.push(name.clone(), value.to_string());
                }
                Ok(None) => {}
                Err(fault) if faults.len() < MAX_FAULTS => faults.push(fault),
                Err(_) => {}
            }
        }
        if faults.is_empty() { Ok(members) } else { Err(RowError { faults, listing_key: members.text("ListingKey") }) }
    }

    /// When the row's snapshot was taken.
    pub(super) fn snapshot_time(&self, row: &Row<'_>) -> Result<Option<Timestamp>, RowError> {
        let Some(rule) = &self.snapshot else { return Ok(None) };
        let cells = Cells::of(row).ok_or_else(not_an_object)?;
        let value = rule.value(&cells).map_err(|fault| RowError { faults: vec![fault], listing_key: None })?;
        // The rule reads dates: its value is an instant in RFC 3339.
        Ok(value.as_ref().and_then(Value::as_str).and_then(|text| text.parse().ok()))
    }
}

fn first<'a>(rules: &'a [Rule], cells: &Cells<'_>) -> Result<Option<(&'a Rule, Value)>, FieldError> {
    for rule in rules {
        if let Some(value) = rule.value(cells)? {
            return Ok(Some((rule, value)));
        }
    }
    Ok(None)
}

/// The RESO member that names the unit of an area.
pub(super) fn unit_member(member: &str) -> Option<&'static str> {
    match member {
        "LivingArea" => Some("LivingAreaUnits"),
        "LotSizeArea" => Some("LotSizeUnits"),
        _ => None,
    }
}

fn not_an_object() -> RowError {
    let fault = FieldError::new("", "not an object", Fault::WrongShape, "a JSON object");
    RowError { faults: vec![fault], listing_key: None }
}
