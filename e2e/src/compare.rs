//! Two installations that were told the same hold the same rows, versions, offsets and log times aside.

use std::collections::BTreeMap;

use anyhow::{Result, bail, ensure};
use serde_json::Value;
use store::Row;

use crate::oracle::Rows;

/// Rows by key, as far as two installations can be compared.
type Comparable = BTreeMap<String, Value>;

/// Every row of one is a row of the other; how many there are.
pub fn same_rows(one: &Rows, other: &Rows) -> Result<usize> {
    let (one, other) = (comparable(one)?, comparable(other)?);
    let keys: std::collections::BTreeSet<&String> = one.keys().chain(other.keys()).collect();
    let differing = keys.iter().filter(|key| one.get(**key) != other.get(**key));
    let mut lines: Vec<String> =
        differing.map(|key| format!("{key}\n   one   {:?}\n   other {:?}", one.get(*key), other.get(*key))).collect();
    let total = lines.len();
    lines.truncate(10);
    if total > 0 {
        bail!("{total} rows differ:\n{}", lines.join("\n"));
    }
    Ok(one.len())
}

/// What is set aside:
/// * `raw_offset` in every version of a listing: where the raw record landed. Its time (the feed's), its partition (the
///   key's) and its index in the batch are compared.
/// * the version of a statement, its offset in `preferences`, in `sessions` and in `recommendations.items`.
/// * of a market's day its version (a write timestamp) and when it was observed, and which day it was (the wall clock's, so
///   a run across midnight has two). The last day is compared, and with nothing on offer it is as good as none: whether the
///   once-a-second observer saw the hour in which something was depends on the moment.
fn comparable(rows: &Rows) -> Result<Comparable> {
    let mut comparable = Comparable::new();
    for (row, cell) in rows {
        let mut value: Value = serde_json::from_str(cell)?;
        let key = match row {
            Row::MarketDay(market, transaction, _) => {
                // In the order of days: a later one replaces an earlier one.
                let key = format!("the last day of {market} {transaction:?}");
                let numbers = value["numbers"].take();
                match numbers.is_null() {
                    true => comparable.remove(&key),
                    false => comparable.insert(key, numbers),
                };
                continue;
            }
            Row::Session(_) => {
                ensure!(value["version"].take().is_u64(), "{row:?} has no version: {cell}");
                format!("{row:?}")
            }
            Row::Recommendation(_) => {
                ensure!(value["preference_version"].take().is_u64(), "{row:?} has no version: {cell}");
                format!("{row:?}")
            }
            row => format!("{row:?}"),
        };
        set_offsets_aside(&mut value);
        comparable.insert(key, value);
    }
    Ok(comparable)
}

fn set_offsets_aside(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.remove("raw_offset");
            members.values_mut().for_each(set_offsets_aside);
        }
        Value::Array(values) => values.iter_mut().for_each(set_offsets_aside),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(cell: &str) -> Rows {
        Rows::from([(Row::Listing("seattle:1".parse().unwrap()), cell.to_owned())])
    }

    #[test]
    fn where_a_record_landed_makes_no_difference_and_what_it_says_does() {
        let one = rows(r#"{"version":{"timestamp_ms":5,"raw_partition":1,"raw_offset":7},"list_price":500}"#);
        let elsewhere = rows(r#"{"version":{"timestamp_ms":5,"raw_partition":1,"raw_offset":8},"list_price":500}"#);
        assert_eq!(same_rows(&one, &elsewhere).unwrap(), 1);
        let later = rows(r#"{"version":{"timestamp_ms":6,"raw_partition":1,"raw_offset":7},"list_price":500}"#);
        let cheaper = rows(r#"{"version":{"timestamp_ms":5,"raw_partition":1,"raw_offset":7},"list_price":499}"#);
        for other in [later, cheaper, Rows::new()] {
            let error = same_rows(&one, &other).unwrap_err().to_string();
            assert!(error.starts_with("1 rows differ") && error.contains("seattle:1"), "{error}");
        }
    }
}
