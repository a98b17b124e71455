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

/// A table: its name, its columns and key, what follows them.
struct Table {
    name: &'static str,
    columns: &'static str,
    order: Option<&'static str>,
    ttl_s: Option<u32>,
}

/// Column names are quoted where a later grammar reserves the word (`transaction`, by Cassandra's Accord); all are lower
/// case, so that a person at a CQL shell may leave the quotes out.
const TABLES: [Table; 7] = [
    Table {
        name: "recommendations",
        columns: "session_id text PRIMARY KEY, items text, counts text",
        order: None,
        ttl_s: Some(SESSION_TTL_S),
    },
    Table {
        name: "sessions",
        columns: "session_id text PRIMARY KEY, preferences text",
        order: None,
        ttl_s: Some(SESSION_TTL_S),
    },
    Table {
        name: "listings",
        columns: "listing_id text PRIMARY KEY, listing text",
        order: None,
        ttl_s: Some(LISTING_TTL_S),
    },
    Table {
        // `list_price` in cents.
        name: "listings_by_market",
        columns: "market text, \"transaction\" text, list_price bigint, listing_id text, \
                  PRIMARY KEY ((market, \"transaction\"), list_price, listing_id)",
        order: Some("list_price ASC, listing_id ASC"),
        ttl_s: Some(HINT_TTL_S),
    },
    Table {
        name: "markets",
        columns: "country text, market text, numbers text, PRIMARY KEY ((country), market)",
        order: Some("market ASC"),
        ttl_s: Some(HINT_TTL_S),
    },
    Table {
        name: "market_days",
        columns: "market text, \"transaction\" text, day date, numbers text, \
                  PRIMARY KEY ((market, \"transaction\"), day)",
        order: Some("day DESC"),
        ttl_s: None,
    },
    Table { name: "shards", columns: "shard int PRIMARY KEY, state text", order: None, ttl_s: None },
];

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
    fn create(&self, keyspace: &Keyspace) -> String {
        let Self { name, columns, order, ttl_s } = self;
        let order = order.map(|order| format!("CLUSTERING ORDER BY ({order})"));
        let ttl = ttl_s.map(|seconds| format!("default_time_to_live = {seconds}"));
        let options: Vec<String> = order.into_iter().chain(ttl).collect();
        let with = if options.is_empty() { String::new() } else { format!(" WITH {}", options.join(" AND ")) };
        format!("CREATE TABLE IF NOT EXISTS \"{keyspace}\".{name} ({columns}){with}")
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
        CREATE TABLE IF NOT EXISTS "roost_test".recommendations (session_id text PRIMARY KEY, items text, counts text) WITH default_time_to_live = 5184000
        CREATE TABLE IF NOT EXISTS "roost_test".sessions (session_id text PRIMARY KEY, preferences text) WITH default_time_to_live = 5184000
        CREATE TABLE IF NOT EXISTS "roost_test".listings (listing_id text PRIMARY KEY, listing text) WITH default_time_to_live = 34560000
        CREATE TABLE IF NOT EXISTS "roost_test".listings_by_market (market text, "transaction" text, list_price bigint, listing_id text, PRIMARY KEY ((market, "transaction"), list_price, listing_id)) WITH CLUSTERING ORDER BY (list_price ASC, listing_id ASC) AND default_time_to_live = 259200
        CREATE TABLE IF NOT EXISTS "roost_test".markets (country text, market text, numbers text, PRIMARY KEY ((country), market)) WITH CLUSTERING ORDER BY (market ASC) AND default_time_to_live = 259200
        CREATE TABLE IF NOT EXISTS "roost_test".market_days (market text, "transaction" text, day date, numbers text, PRIMARY KEY ((market, "transaction"), day)) WITH CLUSTERING ORDER BY (day DESC)
        CREATE TABLE IF NOT EXISTS "roost_test".shards (shard int PRIMARY KEY, state text)
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
