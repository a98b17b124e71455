//! What only a directory has: a second process, another format, a full disk.

use std::sync::Arc;

use schemas::id::SessionId;
use store::embedded::EmbeddedTables;
use store::{Backend, EmbeddedConfig, Row, Write, WriteTimestamp};

fn config(directory: &tempfile::TempDir) -> EmbeddedConfig {
    EmbeddedConfig { directory: directory.path().join("tables"), ..EmbeddedConfig::default() }
}

#[tokio::test]
async fn rows_survive_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let row = Row::Session(SessionId::from_bits(1));
    let timestamp = WriteTimestamp::new(1, 1).unwrap();
    {
        let tables = EmbeddedTables::open(&config(&directory)).unwrap();
        tables.write(Write { row: row.clone(), cell: Some(Arc::from("{}")), timestamp }).await.unwrap();
    }
    let tables = EmbeddedTables::open(&config(&directory)).unwrap();
    assert_eq!(tables.read(row).await.unwrap().unwrap().timestamp, timestamp);
}

#[test]
fn a_second_process_is_told_who_has_the_directory() {
    let directory = tempfile::tempdir().unwrap();
    let _first = EmbeddedTables::open(&config(&directory)).unwrap();
    let error = EmbeddedTables::open(&config(&directory)).err().unwrap().to_string();
    assert!(error.contains(&format!("another process ({}) has it open; stop it", std::process::id())), "{error}");
}

#[test]
fn another_format_is_refused_with_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    drop(EmbeddedTables::open(&config(&directory)).unwrap());
    std::fs::write(directory.path().join("tables/FORMAT"), "roost tables 0").unwrap();
    let error = EmbeddedTables::open(&config(&directory)).err().unwrap().to_string();
    assert!(error.contains("its format is \"roost tables 0\"") && error.contains("remove it"), "{error}");
}

#[test]
fn a_directory_with_other_things_in_it_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("thesis.txt"), "mine").unwrap();
    let config = EmbeddedConfig { directory: directory.path().to_owned(), ..EmbeddedConfig::default() };
    let error = EmbeddedTables::open(&config).err().unwrap().to_string();
    assert!(error.contains("is not empty and holds no tables"), "{error}");
}
