//! `roost init` for the tables: creates what is missing, refuses what differs; and the check that a start makes.

use std::collections::{BTreeMap, BTreeSet};

use schemas::cql::{self, Keyspace};
use scylla::client::session::Session;

use super::{connect, foreign, unavailable};
use crate::StoreError;
use crate::config::ScyllaConfig;

/// Timestamps from 2^50 on are not ours: someone wrote with a clock, and those rows cannot be written any more.
const FIRST_FOREIGN_TIMESTAMP: i64 = 1 << 50;

/// Creates keyspace and tables; returns a line per change.
pub async fn init(config: &ScyllaConfig) -> Result<Vec<String>, StoreError> {
    let keyspace = keyspace(config)?;
    let session = connect(config).await?;
    let mut changes = Vec::new();
    if session.get_cluster_state().get_keyspace(keyspace.as_str()).is_none() {
        session
            .query_unpaged(cql::create_keyspace(&keyspace, config.replication_factor), ())
            .await
            .map_err(unavailable)?;
        changes.push(format!("keyspace {keyspace}: created, {} copies of each row", config.replication_factor));
    }
    let there = columns(&session, &keyspace).await?;
    for (table, statement) in cql::create_tables(&keyspace) {
        if !there.contains_key(table) {
            session.query_unpaged(statement, ()).await.map_err(unavailable)?;
            changes.push(format!("table {keyspace}.{table}: created"));
        }
    }
    session.await_schema_agreement().await.map_err(unavailable)?;
    check(&session, config).await?;
    Ok(changes)
}

/// Refuses tables that are missing, of another version, or written by somebody's clock.
pub async fn check(session: &Session, config: &ScyllaConfig) -> Result<(), StoreError> {
    let keyspace = keyspace(config)?;
    let there = columns(session, &keyspace).await?;
    for (table, statement) in cql::create_tables(&keyspace) {
        let Some(has) = there.get(table) else {
            return Err(StoreError::Fatal(format!("table {keyspace}.{table} is missing; run `roost init`")));
        };
        let wanted = columns_of(&statement);
        if *has != wanted {
            return Err(StoreError::Fatal(format!(
                "table {keyspace}.{table} has columns {has:?}, this version needs {wanted:?}; \
                 use another keyspace (store.scylla.keyspace): the scorer fills it from the logs"
            )));
        }
    }
    let newest = format!("SELECT WRITETIME(state) FROM \"{keyspace}\".shards");
    let rows = session.query_unpaged(newest, ()).await.map_err(unavailable)?.into_rows_result().map_err(foreign)?;
    for row in rows.rows::<(Option<i64>,)>().map_err(foreign)? {
        let (at,) = row.map_err(foreign)?;
        if at.is_some_and(|at| at >= FIRST_FOREIGN_TIMESTAMP) {
            return Err(StoreError::Fatal(format!(
                "table {keyspace}.shards was written with a clock's timestamp ({}): those rows outrank every later write; \
                 use another keyspace, and keep other writers out",
                at.unwrap_or_default()
            )));
        }
    }
    Ok(())
}

fn keyspace(config: &ScyllaConfig) -> Result<Keyspace, StoreError> {
    config.keyspace.parse().map_err(|error| StoreError::Fatal(format!("store.scylla.{error}")))
}

type Columns = BTreeMap<String, BTreeSet<String>>;

async fn columns(session: &Session, keyspace: &Keyspace) -> Result<Columns, StoreError> {
    let text = "SELECT table_name, column_name FROM system_schema.columns WHERE keyspace_name = ?";
    let found = session.query_unpaged(text, (keyspace.as_str(),)).await.map_err(unavailable)?;
    let rows = found.into_rows_result().map_err(foreign)?;
    let mut columns = Columns::new();
    for row in rows.rows::<(String, String)>().map_err(foreign)? {
        let (table, column) = row.map_err(foreign)?;
        columns.entry(table).or_default().insert(column);
    }
    Ok(columns)
}

/// The column names of a `CREATE TABLE`: what stands before a type at the first level of its parentheses.
fn columns_of(statement: &str) -> BTreeSet<String> {
    let body = statement.split_once('(').map_or("", |(_, body)| body);
    let columns = body.split(',').map(str::trim).take_while(|part| !part.starts_with("PRIMARY KEY"));
    columns.filter_map(|part| part.split_whitespace().next()).map(|name| name.trim_matches('"').to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_columns_of_every_table_are_read_from_its_text() {
        let keyspace: Keyspace = "roost".parse().unwrap();
        let tables: BTreeMap<_, _> = cql::create_tables(&keyspace).into_iter().collect();
        let names = |table: &str| columns_of(&tables[table]).into_iter().collect::<Vec<_>>();
        assert_eq!(names("recommendations"), ["counts", "items", "session_id"]);
        assert_eq!(names("listings_by_market"), ["list_price", "listing_id", "market", "transaction"]);
    }
}
