//! Every CQL statement of roost, prepared once. What changes a row carries a timestamp, without exception: a single
//! statement with the server's clock would outrank all later writes of its row for good.

use scylla::client::session::Session;
use scylla::statement::prepared::PreparedStatement;

use super::unavailable;
use crate::{Row, StoreError, Table};

/// A table's four statements.
struct Statement {
    insert: PreparedStatement,
    delete: PreparedStatement,
    read: PreparedStatement,
    scan: PreparedStatement,
}

/// All of them.
pub struct Statements {
    recommendations: Statement,
    counts: Statement,
    sessions: Statement,
    listings: Statement,
    by_market_rows: Statement,
    market_rows: Statement,
    days: Statement,
    shards: Statement,
    pub recommendation: PreparedStatement,
    pub by_market: PreparedStatement,
    pub by_market_after: PreparedStatement,
    pub markets: PreparedStatement,
    pub countries: PreparedStatement,
    pub market_days: PreparedStatement,
}

/// Table, key columns, cell column.
struct Shape {
    table: &'static str,
    key: &'static [&'static str],
    cell: Option<&'static str>,
}

const MARKET_KEY: &[&str] = &["market", "\"transaction\"", "list_price", "listing_id"];
const DAY_KEY: &[&str] = &["market", "\"transaction\"", "day"];

impl Shape {
    fn insert(&self, keyspace: &str) -> String {
        let columns: Vec<&str> = self.key.iter().copied().chain(self.cell).collect();
        let marks = vec!["?"; columns.len()].join(", ");
        format!("INSERT INTO {keyspace}.{} ({}) VALUES ({marks}) USING TIMESTAMP ?", self.table, columns.join(", "))
    }

    fn matching(&self) -> String {
        self.key.iter().map(|column| format!("{column} = ?")).collect::<Vec<_>>().join(" AND ")
    }

    fn delete(&self, keyspace: &str) -> String {
        format!("DELETE FROM {keyspace}.{} USING TIMESTAMP ? WHERE {}", self.table, self.matching())
    }

    /// The cell and its write time; of a row without a cell the last key column.
    fn cell_columns(&self) -> String {
        match self.cell {
            Some(cell) => format!("{cell}, WRITETIME({cell})"),
            None => self.key.last().copied().unwrap_or_default().to_owned(),
        }
    }

    fn read(&self, keyspace: &str) -> String {
        format!("SELECT {} FROM {keyspace}.{} WHERE {}", self.cell_columns(), self.table, self.matching())
    }

    fn scan(&self, keyspace: &str) -> String {
        // A market names its country.
        let key: Vec<&str> = self.key.iter().copied().filter(|column| *column != "country").collect();
        let cell = self.cell.map_or_else(String::new, |_| format!(", {}", self.cell_columns()));
        format!("SELECT {}{cell} FROM {keyspace}.{}", key.join(", "), self.table)
    }
}

const RECOMMENDATIONS: Shape = Shape { table: "recommendations", key: &["session_id"], cell: Some("items") };
const COUNTS: Shape = Shape { table: "recommendations", key: &["session_id"], cell: Some("counts") };
const SESSIONS: Shape = Shape { table: "sessions", key: &["session_id"], cell: Some("preferences") };
const LISTINGS: Shape = Shape { table: "listings", key: &["listing_id"], cell: Some("listing") };
const BY_MARKET: Shape = Shape { table: "listings_by_market", key: MARKET_KEY, cell: None };
const MARKETS: Shape = Shape { table: "markets", key: &["country", "market"], cell: Some("numbers") };
const DAYS: Shape = Shape { table: "market_days", key: DAY_KEY, cell: Some("numbers") };
const SHARDS: Shape = Shape { table: "shards", key: &["shard"], cell: Some("state") };

impl Statements {
    /// Prepares them on every node.
    pub async fn prepare(session: &Session, keyspace: &str) -> Result<Self, StoreError> {
        let by = format!(
            "SELECT list_price, listing_id FROM {keyspace}.listings_by_market WHERE market = ? AND \"transaction\" = ?"
        );
        let mut counts = table(session, keyspace, &COUNTS).await?;
        // The row belongs to `items`: without counts it stays.
        counts.delete = one(
            session,
            format!("DELETE counts FROM {keyspace}.recommendations USING TIMESTAMP ? WHERE session_id = ?"),
        )
        .await?;
        Ok(Self {
            recommendations: table(session, keyspace, &RECOMMENDATIONS).await?,
            counts,
            sessions: table(session, keyspace, &SESSIONS).await?,
            listings: table(session, keyspace, &LISTINGS).await?,
            by_market_rows: table(session, keyspace, &BY_MARKET).await?,
            market_rows: table(session, keyspace, &MARKETS).await?,
            days: table(session, keyspace, &DAYS).await?,
            shards: table(session, keyspace, &SHARDS).await?,
            recommendation: one(session, format!(
                "SELECT items, WRITETIME(items), counts, WRITETIME(counts) FROM {keyspace}.recommendations WHERE session_id = ?"
            )).await?,
            by_market: one(session, format!("{by} AND list_price >= ? AND list_price <= ? LIMIT ?")).await?,
            by_market_after: one(session, format!("{by} AND (list_price, listing_id) > (?, ?) AND (list_price) <= (?) LIMIT ?")).await?,
            markets: one(session, format!(
                "SELECT market, numbers, WRITETIME(numbers) FROM {keyspace}.markets WHERE country = ?"
            )).await?,
            countries: one(session, format!("SELECT DISTINCT country FROM {keyspace}.markets")).await?,
            market_days: one(session, format!(
                "SELECT day, numbers, WRITETIME(numbers) FROM {keyspace}.market_days WHERE market = ? AND \"transaction\" = ? LIMIT ?"
            )).await?,
        })
    }

    fn table_of(&self, row: &Row) -> &Statement {
        match row {
            Row::Recommendation(_) => &self.recommendations,
            Row::Counts(_) => &self.counts,
            Row::Session(_) => &self.sessions,
            Row::Listing(_) => &self.listings,
            Row::ListingByMarket(_) => &self.by_market_rows,
            Row::Market(_) => &self.market_rows,
            Row::MarketDay(..) => &self.days,
            Row::Shard(_) => &self.shards,
        }
    }

    /// The statement that writes (`present`) or deletes a row.
    pub fn of(&self, row: &Row, present: bool) -> &PreparedStatement {
        let table = self.table_of(row);
        if present { &table.insert } else { &table.delete }
    }

    /// The statement that reads a row's cell.
    pub fn read(&self, row: &Row) -> &PreparedStatement {
        &self.table_of(row).read
    }

    /// The statement that reads a whole table.
    pub fn scan(&self, table: Table) -> &PreparedStatement {
        let statement = match table {
            Table::Recommendations => &self.recommendations,
            Table::Sessions => &self.sessions,
            Table::Listings => &self.listings,
            Table::ListingsByMarket => &self.by_market_rows,
            Table::Markets => &self.market_rows,
            Table::MarketDays => &self.days,
            Table::Shards => &self.shards,
        };
        &statement.scan
    }
}

async fn table(session: &Session, keyspace: &str, shape: &Shape) -> Result<Statement, StoreError> {
    Ok(Statement {
        insert: one(session, shape.insert(keyspace)).await?,
        delete: one(session, shape.delete(keyspace)).await?,
        read: one(session, shape.read(keyspace)).await?,
        scan: one(session, shape.scan(keyspace)).await?,
    })
}

async fn one(session: &Session, text: String) -> Result<PreparedStatement, StoreError> {
    let mut statement = session.prepare(text).await.map_err(unavailable)?;
    // Every statement says the same when it is sent twice: reads change nothing, writes carry their timestamp.
    statement.set_is_idempotent(true);
    Ok(statement)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_statement_that_changes_a_row_carries_its_timestamp() {
        let source = include_str!("statements.rs");
        let shapes = [RECOMMENDATIONS, COUNTS, SESSIONS, LISTINGS, BY_MARKET, MARKETS, DAYS, SHARDS];
        for shape in shapes {
            assert!(shape.insert("k").ends_with("USING TIMESTAMP ?"), "{}", shape.insert("k"));
            assert!(shape.delete("k").contains("USING TIMESTAMP ?"), "{}", shape.delete("k"));
        }
        let changes = ["INSERT INTO", "DELETE ", "UPDATE ", "TRUNCATE"];
        let quoted = source.lines().take_while(|line| !line.contains("mod tests")).filter(|line| line.contains('"'));
        for line in quoted.filter(|line| changes.iter().any(|change| line.contains(change))) {
            assert!(line.contains("USING TIMESTAMP ?"), "{line}");
        }
    }
}
