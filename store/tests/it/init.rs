//! `roost init` on a CQL store: what it creates, and what it refuses.

use std::time::Duration;

use schemas::cql;
use store::{Row, StoreError};

use crate::house::{Cql, at, put, write};

fn fatal<T>(outcome: Result<T, StoreError>) -> String {
    match outcome {
        Err(StoreError::Fatal(said)) => said,
        Err(other) => panic!("not fatal: {other}"),
        Ok(_) => panic!("not refused"),
    }
}

#[tokio::test]
async fn init_creates_what_is_missing_and_then_nothing() {
    let Some(cql) = Cql::new().await else { return };
    let keyspace = cql.keyspace().clone();
    let said = fatal(store::open(&cql.config).await);
    assert!(said.starts_with(&format!("keyspace {keyspace} has no table recommendations, sessions")), "{said}");

    let changes = store::init(&cql.config).await.unwrap();
    assert_eq!(changes.len(), 1 + cql::TABLES.len(), "{changes:?}");
    assert_eq!(changes[0], format!("created keyspace {keyspace} with 1 copies in every data centre"));
    assert_eq!(store::init(&cql.config).await.unwrap(), Vec::<String>::new());

    cql.execute(&format!("DROP TABLE {keyspace}.markets")).await;
    assert!(fatal(store::open(&cql.config).await).contains("has no table markets: run `roost init`"));
    assert_eq!(store::init(&cql.config).await.unwrap(), [format!("created table {keyspace}.markets")]);
    store::open(&cql.config).await.unwrap();
    cql.close().await;
}

#[tokio::test]
async fn a_table_of_another_version_is_refused_and_left_alone() {
    let Some(cql) = Cql::new().await else { return };
    let keyspace = cql.keyspace().clone();
    store::init(&cql.config).await.unwrap();
    cql.execute(&format!("ALTER TABLE {keyspace}.sessions ADD revision bigint")).await;
    for said in [fatal(store::init(&cql.config).await), fatal(store::open(&cql.config).await)] {
        assert!(
            said.contains("revision bigint") && said.contains(&format!("`DROP TABLE {keyspace}.sessions`")),
            "{said}"
        );
    }
    cql.close().await;
}

#[tokio::test]
async fn more_copies_than_nodes_and_more_than_there_are_are_refused() {
    let Some(mut cql) = Cql::new().await else { return };
    cql.config.scylla.replication_factor = 9;
    let said = fatal(store::init(&cql.config).await);
    assert!(said.contains("9 copies cannot be kept on 1 node(s)"), "{said}");
    cql.config.scylla.replication_factor = 1;
    store::init(&cql.config).await.unwrap();
    cql.config.scylla.replication_factor = 3;
    let said = fatal(store::init(&cql.config).await);
    assert!(said.contains("keeps 1 copies of a row and store.scylla.replication_factor asks for 3"), "{said}");
    cql.close().await;
}

#[tokio::test]
async fn a_row_written_by_a_wall_clock_is_refused_at_start() {
    let Some(cql) = Cql::new().await else { return };
    let keyspace = cql.keyspace().clone();
    store::init(&cql.config).await.unwrap();
    let tables = store::open(&cql.config).await.unwrap();
    write(&tables, [put(Row::Shard(1), "{}", at(1, 1))]).await;
    cql.execute(&format!("INSERT INTO {keyspace}.shards (shard, state) VALUES (2, '{{}}')")).await;
    let said = fatal(store::open(&cql.config).await);
    assert!(said.contains("Shard(2)") && said.contains(&format!("`TRUNCATE {keyspace}.shards`")), "{said}");
    // The remedy that it names is one.
    cql.execute(&format!("TRUNCATE {keyspace}.shards")).await;
    let tables = store::open(&cql.config).await.unwrap();
    write(&tables, [put(Row::Shard(2), "{}", at(1, 2))]).await;
    assert!(tables.read(Row::Shard(2)).await.unwrap().is_some());
    cql.close().await;
}

#[tokio::test]
async fn a_store_that_is_away_is_given_up_in_time() {
    let Some(mut cql) = Cql::new().await else { return };
    cql.config.scylla.contact_points = vec!["127.0.0.1:1".to_owned()];
    cql.config.scylla.wait_at_start = Duration::from_millis(600);
    let began = std::time::Instant::now();
    for said in [fatal(store::open(&cql.config).await), fatal(store::init(&cql.config).await)] {
        assert!(said.contains("the store at 127.0.0.1:1 has not answered for"), "{said}");
    }
    assert!(began.elapsed() >= Duration::from_millis(1200));
    cql.close().await;
}
