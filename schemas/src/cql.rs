//! The tables as CQL text (DESIGN §8): what `roost init` creates, in words that ScyllaDB and Cassandra 5 both know.
//!
//! No compaction strategy, no tablets, no LWT, no views. Every table has its default time to live here, so that no
//! statement can forget it. Statements that read and write rows are the store's.

use std::fmt;
use std::str::FromStr;

use crate::field_error::{Fault, FieldError};

/// Twice a session's life: rows of a session that nobody wrote for so long are left behind (DESIGN §3, last resort).
pub const SESSION_TTL_S: u32 = 60 * DAY_S;
/// The enricher ends a listing 400 days after its `Delete` (DESIGN §3); the scrub writes every row once a day.
pub const LISTING_TTL_S: u32 = 400 * DAY_S;
/// Hints and current numbers: written again by the daily scrub, so two scrubs may fail (DESIGN §8).
pub const HINT_TTL_S: u32 = 3 * DAY_S;

const DAY_S: u32 = 86_400;

/// The name of a keyspace: 1 to 48 of `a-z 0-9 _`, starting with a letter.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Keyspace(String);

impl Keyspace {
    /// The name without quotes.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for Keyspace {
    fn default() -> Self {
        Self("roost".to_owned())
    }
}

impl FromStr for Keyspace {
    type Err = FieldError;
    fn from_str(text: &str) -> Result<Self, FieldError> {
        let wellformed = (1..=48).contains(&text.len())
            && text.as_bytes()[0].is_ascii_lowercase()
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        if wellformed {
            Ok(Self(text.to_owned()))
        } else {
            let expected = "1 to 48 of a-z, 0-9, '_', starting with a letter";
            Err(FieldError::new("keyspace", text, Fault::OutOfRange, expected))
        }
    }
}

impl fmt::Display for Keyspace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A column: its name as it stands in a statement, and its type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// Quoted where a later grammar reserves the word (`transaction`, by Cassandra's Accord). All are lower case, so that
    /// a person at a CQL shell may leave the quotes out.
    pub name: &'static str,
    /// The CQL type.
    pub cql_type: &'static str,
}

/// The order of rows within a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Smallest first.
    Asc,
    /// Greatest first.
    Desc,
}

/// A table: its key, and its cells, each of which is JSON text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Table {
    /// Its name.
    pub name: &'static str,
    /// Columns that say which node has the row.
    pub partition_key: &'static [Column],
    /// Columns that order the rows of a partition.
    pub clustering_key: &'static [(Column, Order)],
    /// Columns that are written, the main one first.
    pub cells: &'static [&'static str],
    /// How long a row lasts that a statement gives no time to live; `None`: for ever.
    pub default_ttl_s: Option<u32>,
}

const fn text(name: &'static str) -> Column {
    Column { name, cql_type: "text" }
}

/// Result of a session.
pub const RECOMMENDATIONS: Table = Table {
    name: "recommendations",
    partition_key: &[text("session_id")],
    clustering_key: &[],
    cells: &["items", "counts"],
    default_ttl_s: Some(SESSION_TTL_S),
};
/// Merged preferences of a session.
pub const SESSIONS: Table = Table {
    name: "sessions",
    partition_key: &[text("session_id")],
    clustering_key: &[],
    cells: &["preferences"],
    default_ttl_s: Some(SESSION_TTL_S),
};
/// Priced listings.
pub const LISTINGS: Table = Table {
    name: "listings",
    partition_key: &[text("listing_id")],
    clustering_key: &[],
    cells: &["listing"],
    default_ttl_s: Some(LISTING_TTL_S),
};
/// Hints: which listings of a market have which price, in cents. The cell is there for its `WRITETIME`.
pub const LISTINGS_BY_MARKET: Table = Table {
    name: "listings_by_market",
    partition_key: &[text("market"), text("\"transaction\"")],
    clustering_key: &[
        (Column { name: "list_price", cql_type: "bigint" }, Order::Asc),
        (text("listing_id"), Order::Asc),
    ],
    cells: &["hint"],
    default_ttl_s: Some(HINT_TTL_S),
};
/// Current numbers of the markets of a country.
pub const MARKETS: Table = Table {
    name: "markets",
    partition_key: &[text("country")],
    clustering_key: &[(text("market"), Order::Asc)],
    cells: &["numbers"],
    default_ttl_s: Some(HINT_TTL_S),
};
/// Numbers of a market by UTC day, newest first.
pub const MARKET_DAYS: Table = Table {
    name: "market_days",
    partition_key: &[text("market"), text("\"transaction\"")],
    clustering_key: &[(Column { name: "day", cql_type: "date" }, Order::Desc)],
    cells: &["numbers"],
    default_ttl_s: None,
};
/// Owner and freshness of a shard.
pub const SHARDS: Table = Table {
    name: "shards",
    partition_key: &[Column { name: "shard", cql_type: "int" }],
    clustering_key: &[],
    cells: &["state"],
    default_ttl_s: None,
};

/// Every table, in the order they are created.
pub const TABLES: [&Table; 7] =
    [&RECOMMENDATIONS, &SESSIONS, &LISTINGS, &LISTINGS_BY_MARKET, &MARKETS, &MARKET_DAYS, &SHARDS];

/// The names of the tables, in the order they are created.
pub fn table_names() -> impl Iterator<Item = &'static str> {
    TABLES.iter().map(|table| table.name)
}

/// Creates the keyspace, if it is not there: `replication_factor` copies in every data centre.
pub fn create_keyspace(keyspace: &Keyspace, replication_factor: u32) -> String {
    format!(
        "CREATE KEYSPACE IF NOT EXISTS \"{keyspace}\" WITH replication = \
         {{'class': 'NetworkTopologyStrategy', 'replication_factor': {replication_factor}}}"
    )
}

/// Creates the tables that are not there: each one's name, and its statement.
pub fn create_tables(keyspace: &Keyspace) -> Vec<(&'static str, String)> {
    TABLES.iter().map(|table| (table.name, table.create(keyspace))).collect()
}

impl Table {
    /// The columns of the key, in its order.
    pub fn key(&self) -> impl Iterator<Item = Column> + use<> {
        self.partition_key.iter().copied().chain(self.clustering_key.iter().map(|(column, _)| *column))
    }

    /// Every column, the key first.
    pub fn columns(&self) -> impl Iterator<Item = Column> + use<> {
        self.key().chain(self.cells.iter().map(|cell| text(cell)))
    }

    fn create(&self, keyspace: &Keyspace) -> String {
        let columns: Vec<String> = self.columns().map(|c| format!("{} {}", c.name, c.cql_type)).collect();
        let partition: Vec<&str> = self.partition_key.iter().map(|c| c.name).collect();
        let key: Vec<String> = std::iter::once(format!("({})", partition.join(", ")))
            .chain(self.clustering_key.iter().map(|(c, _)| c.name.to_owned()))
            .collect();
        let order: Vec<String> = self.clustering_key.iter().map(|(c, order)| format!("{} {order}", c.name)).collect();
        let order = (!order.is_empty()).then(|| format!("CLUSTERING ORDER BY ({})", order.join(", ")));
        let ttl = self.default_ttl_s.map(|seconds| format!("default_time_to_live = {seconds}"));
        let options: Vec<String> = order.into_iter().chain(ttl).collect();
        let with = if options.is_empty() { String::new() } else { format!(" WITH {}", options.join(" AND ")) };
        format!(
            "CREATE TABLE IF NOT EXISTS \"{keyspace}\".{} ({}, PRIMARY KEY ({})){with}",
            self.name,
            columns.join(", "),
            key.join(", ")
        )
    }
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Asc => "ASC",
            Self::Desc => "DESC",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_statements_are_in_the_common_grammar() {
        let keyspace: Keyspace = "roost_test".parse().unwrap();
        let mut text = vec![create_keyspace(&keyspace, 3)];
        text.extend(create_tables(&keyspace).into_iter().map(|(_, statement)| statement));
        insta::assert_snapshot!(text.join("\n"), @r#"
        CREATE KEYSPACE IF NOT EXISTS "roost_test" WITH replication = {'class': 'NetworkTopologyStrategy', 'replication_factor': 3}
        CREATE TABLE IF NOT EXISTS "roost_test".recommendations (session_id text, items text, counts text, PRIMARY KEY ((session_id))) WITH default_time_to_live = 5184000
        CREATE TABLE IF NOT EXISTS "roost_test".sessions (session_id text, preferences text, PRIMARY KEY ((session_id))) WITH default_time_to_live = 5184000
        CREATE TABLE IF NOT EXISTS "roost_test".listings (listing_id text, listing text, PRIMARY KEY ((listing_id))) WITH default_time_to_live = 34560000
        CREATE TABLE IF NOT EXISTS "roost_test".listings_by_market (market text, "transaction" text, list_price bigint, listing_id text, hint text, PRIMARY KEY ((market, "transaction"), list_price, listing_id)) WITH CLUSTERING ORDER BY (list_price ASC, listing_id ASC) AND default_time_to_live = 259200
        CREATE TABLE IF NOT EXISTS "roost_test".markets (country text, market text, numbers text, PRIMARY KEY ((country), market)) WITH CLUSTERING ORDER BY (market ASC) AND default_time_to_live = 259200
        CREATE TABLE IF NOT EXISTS "roost_test".market_days (market text, "transaction" text, day date, numbers text, PRIMARY KEY ((market, "transaction"), day)) WITH CLUSTERING ORDER BY (day DESC)
        CREATE TABLE IF NOT EXISTS "roost_test".shards (shard int, state text, PRIMARY KEY ((shard)))
        "#);
    }

    #[test]
    fn a_keyspace_name_cannot_end_a_statement() {
        for wrong in ["", "1a", "Roost", "a\"; DROP", "a.b", "_a", "a-b", &"a".repeat(49)] {
            let error = wrong.parse::<Keyspace>().unwrap_err();
            assert!(error.to_string().starts_with("keyspace: "), "{error}");
        }
        assert_eq!("a".repeat(48).parse::<Keyspace>().unwrap().as_str().len(), 48);
    }
}
