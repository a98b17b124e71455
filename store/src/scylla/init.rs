//! Creates keyspace and tables, and compares those that are there with what this version knows. Changes nothing that
//! exists: the tables are derived from the log, and a scorer writes them again where somebody drops them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use ::scylla::client::session::Session;
use ::scylla::statement::Statement;
use schemas::cql::{self, Keyspace, Order};

use super::{connect, fault};
use crate::StoreError;
use crate::config::ScyllaConfig;

/// Statements that change the schema wait until all nodes agree.
const SCHEMA_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(30);

/// Creates what is missing and returns a line for each change.
pub async fn init(config: &ScyllaConfig) -> Result<Vec<String>, StoreError> {
    connect::until_it_answers(config, || attempt(config)).await
}

async fn attempt(config: &ScyllaConfig) -> Result<Vec<String>, StoreError> {
    let session = connect::session(config).await?;
    let mut changes = Vec::new();
    changes.extend(init_keyspace(&session, config).await?);
    let existing = columns(&session, &config.keyspace).await?;
    refuse(&config.keyspace, differences(&existing).filter(|difference| !difference.is_missing()))?;
    for (table, statement) in cql::create_tables(&config.keyspace) {
        if !existing.contains_key(table) {
            change_schema(&session, statement).await?;
            changes.push(format!("created table {}.{table}", config.keyspace));
        }
    }
    Ok(changes)
}

/// Refuses to go on unless every table is there and as this version knows it.
pub(super) async fn check(session: &Session, keyspace: &Keyspace) -> Result<(), StoreError> {
    refuse(keyspace, differences(&columns(session, keyspace).await?))
}

async fn init_keyspace(session: &Session, config: &ScyllaConfig) -> Result<Option<String>, StoreError> {
    let ScyllaConfig { keyspace, replication_factor: copies, .. } = config;
    match replication(session, keyspace).await? {
        Some(replication) => {
            let fewest =
                replication.iter().filter(|(name, _)| *name != "class").filter_map(|(_, n)| n.parse::<u32>().ok());
            match fewest.min() {
                Some(there) if there < *copies => Err(StoreError::Fatal(format!(
                    "keyspace {keyspace} keeps {there} copies of a row and store.scylla.replication_factor asks for \
                     {copies}: `ALTER KEYSPACE {keyspace} WITH replication = …` and repair every node, or set \
                     replication_factor = {there}"
                ))),
                _ => Ok(None),
            }
        }
        None => {
            let nodes = session.get_cluster_state().get_nodes_info().len();
            if (nodes as u64) < u64::from(*copies) {
                return Err(StoreError::Fatal(format!(
                    "store.scylla.replication_factor: {copies} copies cannot be kept on {nodes} node(s): start the other \
                     nodes, or set replication_factor = {nodes}"
                )));
            }
            change_schema(session, cql::create_keyspace(keyspace, *copies)).await?;
            Ok(Some(format!("created keyspace {keyspace} with {copies} copies in every data centre")))
        }
    }
}

async fn change_schema(session: &Session, statement: String) -> Result<(), StoreError> {
    let mut statement = Statement::new(statement);
    statement.set_request_timeout(Some(SCHEMA_TIMEOUT));
    // `IF NOT EXISTS`: a second time it changes nothing.
    statement.set_is_idempotent(true);
    session.query_unpaged(statement, ()).await.map_err(|error| fault::of_execution(&error))?;
    Ok(())
}

async fn replication(session: &Session, keyspace: &Keyspace) -> Result<Option<HashMap<String, String>>, StoreError> {
    let statement = "SELECT replication FROM system_schema.keyspaces WHERE keyspace_name = ?";
    let answer =
        session.query_unpaged(statement, (keyspace.as_str(),)).await.map_err(|error| fault::of_execution(&error))?;
    let rows = answer.into_rows_result().map_err(|error| fault::unreadable(&error))?;
    let row = rows.maybe_first_row::<(HashMap<String, String>,)>().map_err(|error| fault::unreadable(&error))?;
    Ok(row.map(|(replication,)| replication))
}

/// A column as `system_schema.columns` describes it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct SchemaColumn {
    name: String,
    kind: String,
    position: i32,
    order: String,
    cql_type: String,
}

type Columns = BTreeMap<String, BTreeSet<SchemaColumn>>;

/// The columns of all tables of the keyspace, by table.
async fn columns(session: &Session, keyspace: &Keyspace) -> Result<Columns, StoreError> {
    let statement = "SELECT table_name, column_name, kind, position, clustering_order, type \
                     FROM system_schema.columns WHERE keyspace_name = ?";
    let answer =
        session.query_unpaged(statement, (keyspace.as_str(),)).await.map_err(|error| fault::of_execution(&error))?;
    let rows = answer.into_rows_result().map_err(|error| fault::unreadable(&error))?;
    let rows = rows.rows::<(String, String, String, i32, String, String)>();
    let mut tables = Columns::new();
    for row in rows.map_err(|error| fault::unreadable(&error))? {
        let (table, name, kind, position, order, cql_type) = row.map_err(|error| fault::unreadable(&error))?;
        tables.entry(table).or_default().insert(SchemaColumn { name, kind, position, order, cql_type });
    }
    Ok(tables)
}

/// The same for a table that this version knows.
fn expected(table: &cql::Table) -> BTreeSet<SchemaColumn> {
    let column = |column: &cql::Column, kind: &str, position: usize, order: &str| SchemaColumn {
        name: column.name.trim_matches('"').to_owned(),
        kind: kind.to_owned(),
        position: position as i32,
        order: order.to_owned(),
        cql_type: column.cql_type.to_owned(),
    };
    let partition = table.partition_key.iter().enumerate().map(|(i, c)| column(c, "partition_key", i, "none"));
    let clustering = table.clustering_key.iter().enumerate().map(|(i, (c, order))| {
        column(
            c,
            "clustering",
            i,
            match order {
                Order::Asc => "asc",
                Order::Desc => "desc",
            },
        )
    });
    let cells = table.cells.iter().map(|cell| SchemaColumn {
        name: (*cell).to_owned(),
        kind: "regular".to_owned(),
        position: -1,
        order: "none".to_owned(),
        cql_type: "text".to_owned(),
    });
    partition.chain(clustering).chain(cells).collect()
}

/// What keeps this version from working with a table.
#[derive(Debug, PartialEq, Eq)]
enum Difference {
    Missing(&'static str),
    OtherColumns { table: &'static str, lacks: Vec<String>, has: Vec<String> },
}

impl Difference {
    const fn is_missing(&self) -> bool {
        matches!(self, Self::Missing(_))
    }
}

fn differences(existing: &Columns) -> impl Iterator<Item = Difference> {
    cql::TABLES.into_iter().filter_map(|table| {
        let Some(there) = existing.get(table.name) else { return Some(Difference::Missing(table.name)) };
        let expected = expected(table);
        let names =
            |columns: Vec<&SchemaColumn>| columns.iter().map(|c| format!("{} {}", c.name, c.cql_type)).collect();
        (expected != *there).then(|| Difference::OtherColumns {
            table: table.name,
            lacks: names(expected.difference(there).collect()),
            has: names(there.difference(&expected).collect()),
        })
    })
}

fn refuse(keyspace: &Keyspace, differences: impl Iterator<Item = Difference>) -> Result<(), StoreError> {
    let mut missing = Vec::new();
    for difference in differences {
        match difference {
            Difference::Missing(table) => missing.push(table),
            Difference::OtherColumns { table, lacks, has } => {
                return Err(StoreError::Fatal(format!(
                    "table {keyspace}.{table} is of another version of roost: it has {has:?} where this version needs \
                     {lacks:?}. Stop the other version, `DROP TABLE {keyspace}.{table}`, run `roost init` and restart the \
                     scorers, which write every row again from the log; or set another store.scylla.keyspace"
                )));
            }
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    Err(StoreError::Fatal(format!("keyspace {keyspace} has no table {}: run `roost init`", missing.join(", "))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn as_created() -> Columns {
        cql::TABLES.iter().map(|table| (table.name.to_owned(), expected(table))).collect()
    }

    fn said(existing: &Columns) -> String {
        refuse(&Keyspace::default(), differences(existing)).unwrap_err().to_string()
    }

    #[test]
    fn tables_of_this_version_are_accepted() {
        assert_eq!(refuse(&Keyspace::default(), differences(&as_created())), Ok(()));
    }

    #[test]
    fn a_missing_table_asks_for_init() {
        let mut tables = as_created();
        tables.remove("markets");
        assert_eq!(said(&tables), "keyspace roost has no table markets: run `roost init`");
        assert_eq!(differences(&tables).filter(|difference| !difference.is_missing()).count(), 0);
    }

    #[test]
    fn a_column_of_another_type_or_order_is_named() {
        let mut tables = as_created();
        let days = tables.get_mut("market_days").unwrap();
        let mut day = days.iter().find(|column| column.name == "day").unwrap().clone();
        days.remove(&day);
        day.cql_type = "text".to_owned();
        days.insert(day);
        let text = said(&tables);
        assert!(
            text.contains("market_days") && text.contains("\"day text\"") && text.contains("\"day date\""),
            "{text}"
        );
        assert!(text.contains("`DROP TABLE roost.market_days`"), "{text}");
    }
}
