//! Every CQL statement of the tables, made from their description in `schemas::cql` and prepared once.
//!
//! A row that is written once without our time stamp gets the server's wall clock and can never be overwritten. So the
//! text of a write is made in two functions that end in the time stamp, and its values in one that binds it.

use std::time::Duration;

use ::scylla::client::session::Session;
use ::scylla::statement::Statement;
use ::scylla::statement::prepared::PreparedStatement;
use ::scylla::value::CqlValue;
use schemas::cql::{self, Keyspace};
use schemas::id::{ListingId, Market};
use schemas::money::Money;
use schemas::vocabulary::Transaction;

use super::{fault, key};
use crate::{Row, StoreError, Table, Write};

/// Rows of one page of an answer: 1,000 listings of a few kilobytes, which a node reads well within the time-out.
const PAGE_ROWS: i32 = 1_000;

/// All statements, ready to be executed.
pub(super) struct Statements {
    tables: [TableStatements; 7],
    put_counts: PreparedStatement,
    delete_counts: PreparedStatement,
    read_counts: PreparedStatement,
    pub(super) recommendation: PreparedStatement,
    pub(super) by_market: PreparedStatement,
    pub(super) markets: PreparedStatement,
    pub(super) countries: PreparedStatement,
    pub(super) market_days: PreparedStatement,
}

/// What every table has: its main cell is written, its rows are deleted, read and scanned.
pub(super) struct TableStatements {
    put: PreparedStatement,
    delete: PreparedStatement,
    read: PreparedStatement,
    scan: PreparedStatement,
}

impl TableStatements {
    pub(super) const fn scan(&self) -> &PreparedStatement {
        &self.scan
    }
}

impl Statements {
    pub(super) async fn prepare(session: &Session, keyspace: &Keyspace) -> Result<Self, StoreError> {
        let text = Text { keyspace };
        let prepare = async |text: String| {
            let mut prepared = session
                .prepare(Statement::new(text).with_page_size(PAGE_ROWS))
                .await
                .map_err(|error| fault::of_prepare(&error))?;
            prepared.set_is_idempotent(true);
            Ok::<_, StoreError>(prepared)
        };
        let mut tables = Vec::with_capacity(Table::ALL.len());
        for table in Table::ALL.map(Table::definition) {
            let main = table.cells[0];
            tables.push(TableStatements {
                put: prepare(text.put(table, main)).await?,
                delete: prepare(text.delete(table, None)).await?,
                read: prepare(text.read(table, &[main])).await?,
                scan: prepare(text.scan(table)).await?,
            });
        }
        let recommendations = &cql::RECOMMENDATIONS;
        let counts = recommendations.cells[1];
        Ok(Self {
            // One per table of `Table::ALL`, which has as many.
            tables: tables.try_into().unwrap_or_else(|_| unreachable!("as many statements as tables")),
            put_counts: prepare(text.put(recommendations, counts)).await?,
            delete_counts: prepare(text.delete(recommendations, Some(counts))).await?,
            read_counts: prepare(text.read(recommendations, &[counts])).await?,
            recommendation: prepare(text.read(recommendations, recommendations.cells)).await?,
            by_market: prepare(text.by_market()).await?,
            markets: prepare(text.partition(&cql::MARKETS)).await?,
            countries: prepare(text.countries()).await?,
            market_days: prepare(format!("{} LIMIT ?", text.partition(&cql::MARKET_DAYS))).await?,
        })
    }

    pub(super) const fn of(&self, table: Table) -> &TableStatements {
        // `Table::ALL` lists the tables in their declared order.
        &self.tables[table as usize]
    }

    /// The statement that performs a write, and its values.
    pub(super) fn writing(&self, write: &Write, ttl: Duration) -> (&PreparedStatement, Vec<CqlValue>) {
        let Write { row, cell, timestamp } = write;
        let table = self.of(row.table());
        let (put, delete) = match row {
            Row::Counts(_) => (&self.put_counts, &self.delete_counts),
            _ => (&table.put, &table.delete),
        };
        let timestamp = CqlValue::BigInt(timestamp.raw());
        match cell {
            Some(json) => {
                let mut values = key::of(row);
                // A time to live is at most 20 years, see `config`.
                values.extend([CqlValue::Text(json.to_string()), CqlValue::Int(ttl.as_secs() as i32), timestamp]);
                (put, values)
            }
            None => {
                let mut values = vec![timestamp];
                values.extend(key::of(row));
                (delete, values)
            }
        }
    }

    /// The statement that reads one cell; its values are the row's key.
    pub(super) fn reading(&self, row: &Row) -> &PreparedStatement {
        match row {
            Row::Counts(_) => &self.read_counts,
            _ => &self.of(row.table()).read,
        }
    }
}

/// Values of [`Text::by_market`]: entries strictly after `after`, or from `min` on, and below the price above `max`.
pub(super) fn market_range(
    market: &Market,
    transaction: Transaction,
    min: Money,
    max: Money,
    after: Option<(Money, ListingId)>,
    entries: u32,
) -> Vec<CqlValue> {
    // No listing id is empty: all entries of a price come after the empty one.
    let first = (min.cents(), String::new());
    let after = after.map_or_else(|| first.clone(), |(price, listing)| (price.cents(), listing.to_string()));
    let (price, listing) = after.max(first);
    vec![
        key::text(market),
        key::word(transaction),
        CqlValue::BigInt(price),
        CqlValue::Text(listing),
        CqlValue::BigInt(max.cents() + 1),
        CqlValue::Text(String::new()),
        limit(entries),
    ]
}

/// A bound of the count of rows: CQL takes 1 to 2^31 − 1, and the callers no 0.
pub(super) fn limit(rows: u32) -> CqlValue {
    CqlValue::Int(i32::try_from(rows).unwrap_or(i32::MAX))
}

/// Makes the text of statements.
struct Text<'a> {
    keyspace: &'a Keyspace,
}

impl Text<'_> {
    fn put(&self, table: &cql::Table, cell: &str) -> String {
        let columns: Vec<&str> = table.key().map(|column| column.name).chain([cell]).collect();
        let marks = vec!["?"; columns.len()];
        format!(
            "INSERT INTO {} ({}) VALUES ({}) USING TTL ? AND TIMESTAMP ?",
            self.name(table),
            columns.join(", "),
            marks.join(", ")
        )
    }

    fn delete(&self, table: &cql::Table, cell: Option<&str>) -> String {
        let cell = cell.map(|cell| format!("{cell} ")).unwrap_or_default();
        format!("DELETE {cell}FROM {} USING TIMESTAMP ? WHERE {}", self.name(table), equals(table.key()))
    }

    fn read(&self, table: &cql::Table, cells: &[&str]) -> String {
        let cells: Vec<String> = cells.iter().map(|cell| with_writetime(cell)).collect();
        format!("SELECT {} FROM {} WHERE {}", cells.join(", "), self.name(table), equals(table.key()))
    }

    /// Key and main cell of every row.
    fn scan(&self, table: &cql::Table) -> String {
        let key: Vec<&str> = table.key().map(|column| column.name).collect();
        format!("SELECT {}, {} FROM {}", key.join(", "), with_writetime(table.cells[0]), self.name(table))
    }

    /// Clustering key and main cell of the rows of one partition.
    fn partition(&self, table: &cql::Table) -> String {
        let order: Vec<&str> = table.clustering_key.iter().map(|(column, _)| column.name).collect();
        format!(
            "SELECT {}, {} FROM {} WHERE {}",
            order.join(", "),
            with_writetime(table.cells[0]),
            self.name(table),
            equals(table.partition_key.iter().copied())
        )
    }

    fn by_market(&self) -> String {
        let table = &cql::LISTINGS_BY_MARKET;
        format!(
            "SELECT list_price, listing_id FROM {} WHERE {} AND (list_price, listing_id) > (?, ?) \
             AND (list_price, listing_id) < (?, ?) LIMIT ?",
            self.name(table),
            equals(table.partition_key.iter().copied())
        )
    }

    fn countries(&self) -> String {
        format!("SELECT DISTINCT country FROM {}", self.name(&cql::MARKETS))
    }

    fn name(&self, table: &cql::Table) -> String {
        format!("\"{}\".{}", self.keyspace, table.name)
    }
}

fn with_writetime(cell: &str) -> String {
    format!("{cell}, WRITETIME({cell})")
}

fn equals(columns: impl Iterator<Item = cql::Column>) -> String {
    columns.map(|column| format!("{} = ?", column.name)).collect::<Vec<_>>().join(" AND ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_statement_that_writes_carries_a_timestamp() {
        let keyspace = Keyspace::default();
        let text = Text { keyspace: &keyspace };
        for table in cql::TABLES {
            for cell in table.cells {
                let put = text.put(table, cell);
                assert!(put.ends_with(" USING TTL ? AND TIMESTAMP ?"), "{put}");
                for delete in [text.delete(table, None), text.delete(table, Some(cell))] {
                    assert!(delete.contains(" USING TIMESTAMP ? WHERE "), "{delete}");
                }
            }
        }
        assert_eq!(
            text.put(&cql::LISTINGS_BY_MARKET, "hint"),
            "INSERT INTO \"roost\".listings_by_market (market, \"transaction\", list_price, listing_id, hint) \
             VALUES (?, ?, ?, ?, ?) USING TTL ? AND TIMESTAMP ?"
        );
    }

    #[test]
    fn no_other_file_writes_a_statement_that_changes_rows() {
        fn look(directory: &std::path::Path, found: &mut Vec<String>) {
            for entry in std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()) {
                if entry.is_dir() {
                    look(&entry, found);
                } else if !entry.ends_with("scylla/statements.rs") {
                    let text = std::fs::read_to_string(&entry).unwrap();
                    let words = ["INSERT INTO", "UPDATE \"", "DELETE FROM", "BEGIN BATCH", "BEGIN UNLOGGED"];
                    found.extend(
                        words.iter().filter(|word| text.contains(*word)).map(|word| format!("{entry:?}: {word}")),
                    );
                }
            }
        }
        let mut found = Vec::new();
        look(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
        assert_eq!(found, Vec::<String>::new());
    }

    #[test]
    fn a_cursor_before_the_lowest_price_does_not_widen_the_range() {
        let market = "us/wa/seattle".parse().unwrap();
        let money = |units| Money::from_units(units).unwrap();
        let after = Some((money(1), "f:1".parse().unwrap()));
        let values = market_range(&market, Transaction::Sale, money(2), money(3), after, 1);
        assert_eq!(values[2..4], [CqlValue::BigInt(200), CqlValue::Text(String::new())]);
        assert_eq!(values[4..], [CqlValue::BigInt(301), CqlValue::Text(String::new()), CqlValue::Int(1)]);
    }
}
