//! What only a directory has: restarts, a second process, another format, a full disk.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use store::{Row, StoreError, Table, Tables, TtlConfig, Write};

use crate::house::{at, embedded, json, listing, put, session, write};

async fn open(directory: &Path) -> Result<Tables, String> {
    store::open(&embedded(directory, TtlConfig::default())).await.map_err(|error| error.to_string())
}

/// Runs one test of this binary as a process of its own, through `wrapper`.
fn child(wrapper: &[&str], test: &str, directory: &Path) -> Command {
    let this = std::env::current_exe().unwrap();
    let mut words: Vec<&str> = wrapper.to_vec();
    words.extend([this.to_str().unwrap(), "--exact", test, "--nocapture"]);
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).env("ROOST_TEST_CHILD", directory);
    command
}

/// The directory that the parent chose, in a child; `None` in a run of all tests.
fn of_parent() -> Option<PathBuf> {
    std::env::var_os("ROOST_TEST_CHILD").map(PathBuf::from)
}

#[tokio::test]
async fn a_second_process_is_told_who_has_the_directory() {
    let directory = tempfile::tempdir().unwrap();
    let first = open(directory.path()).await.unwrap();
    let said = open(directory.path()).await.err().unwrap();
    assert!(said.contains(&format!("another process ({}) has it open; stop it", std::process::id())), "{said}");
    drop(first);
    open(directory.path()).await.unwrap();
}

#[tokio::test]
async fn another_format_is_refused_with_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    drop(open(directory.path()).await.unwrap());
    std::fs::write(directory.path().join("tables/FORMAT"), "roost tables 0").unwrap();
    let said = open(directory.path()).await.err().unwrap();
    assert!(said.contains("its format is \"roost tables 0\"") && said.contains("remove the directory"), "{said}");
}

#[tokio::test]
async fn a_directory_with_other_things_in_it_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let tables = directory.path().join("tables");
    std::fs::create_dir(&tables).unwrap();
    std::fs::write(tables.join("thesis.txt"), "mine").unwrap();
    let said = open(directory.path()).await.err().unwrap();
    assert!(said.contains("is not empty and holds no tables"), "{said}");
    assert_eq!(std::fs::read_dir(&tables).unwrap().count(), 1);
}

#[tokio::test]
async fn a_directory_that_cannot_be_made_is_named() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("tables"), "a file").unwrap();
    let said = open(directory.path()).await.err().unwrap();
    assert!(said.contains("tables: ") && said.contains("store.embedded.directory"), "{said}");
}

#[tokio::test]
async fn a_new_directory_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = tempfile::tempdir().unwrap();
    let _tables = open(directory.path()).await.unwrap();
    let mode = std::fs::metadata(directory.path().join("tables")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}

/// Plays the process that is killed; does nothing in a run of all tests.
#[tokio::test]
async fn child_writes_until_it_is_killed() {
    let Some(directory) = of_parent() else { return };
    let tables = open(&directory).await.unwrap();
    for number in 0.. {
        write(&tables, [put(Row::Listing(listing(number)), &format!("{number}"), at(1, number.into()))]).await;
        println!("acknowledged {number}");
    }
}

#[tokio::test]
async fn what_was_acknowledged_survives_kill_9() {
    let directory = tempfile::tempdir().unwrap();
    let mut process = child(&[], "embedded::child_writes_until_it_is_killed", directory.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut acknowledged = 0;
    for line in BufReader::new(process.stdout.take().unwrap()).lines() {
        if let Some(number) = line.unwrap().strip_prefix("acknowledged ") {
            acknowledged = number.parse::<u32>().unwrap();
            if acknowledged == 3_000 {
                process.kill().unwrap();
            }
        }
    }
    process.wait().unwrap();
    assert!(acknowledged >= 3_000);
    let tables = open(directory.path()).await.unwrap();
    for number in 0..=acknowledged {
        assert_eq!(json(&tables, &Row::Listing(listing(number))).await, Some(number.to_string()), "of {acknowledged}");
    }
    // A tombstone is as durable as a row.
    write(&tables, [Write { row: Row::Listing(listing(0)), cell: None, timestamp: at(2, 0) }]).await;
    drop(tables);
    let tables = open(directory.path()).await.unwrap();
    write(&tables, [put(Row::Listing(listing(0)), "late", at(1, 9_999_999))]).await;
    assert_eq!(json(&tables, &Row::Listing(listing(0))).await, None);
}

/// Runs on a file system of 48 MB; does nothing in a run of all tests.
#[tokio::test]
async fn child_on_a_small_disk() {
    let Some(directory) = of_parent() else { return };
    let tables = open(&directory).await.unwrap();
    let cell: Arc<str> = Arc::from("x".repeat(100_000));
    let row = |number: u128| Row::Session(session(number));
    let one = |number: u64| Write { row: row(number.into()), cell: Some(cell.clone()), timestamp: at(1, number) };
    // Something else fills the disk while rows are written.
    let ballast = directory.join("ballast");
    std::fs::write(&ballast, vec![0_u8; 24 << 20]).unwrap();
    let mut acknowledged = 0;
    let refused = loop {
        match tables.write(one(acknowledged)).await {
            Ok(()) => acknowledged += 1,
            Err(error) => break error,
        }
        assert!(acknowledged < 2_000, "the disk never got full");
    };
    println!("after {acknowledged} rows: {refused}");
    assert!(matches!(&refused, StoreError::Unavailable(said) if said.contains("room")), "{refused}");
    // It stays refused, reads go on, and health says why.
    assert!(matches!(tables.write(one(acknowledged)).await, Err(StoreError::Unavailable(_))));
    assert_eq!(json(&tables, &row(0)).await.as_deref(), Some(&*cell));
    assert!(tables.health().await.unwrap_err().to_string().contains("room"));
    assert_eq!(tables.recoveries(), 0);

    std::fs::remove_file(&ballast).unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    while let Err(error) = tables.write(one(acknowledged)).await {
        assert!(Instant::now() < deadline, "there is room, and still: {error}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    tables.health().await.unwrap();
    assert_eq!(tables.recoveries(), 1, "what was written last may have been lost: it is told");
    for number in 0..=acknowledged {
        assert!(json(&tables, &row(number.into())).await.is_some(), "row {number} of {acknowledged}");
    }
    drop(tables);
    let tables = open(&directory).await.unwrap();
    assert_eq!(tables.scan(Table::Sessions).await.unwrap().len() as u64, acknowledged + 1);
    println!("went on");
}

#[test]
fn a_full_disk_is_said_and_work_goes_on_when_there_is_room() {
    let directory = tempfile::tempdir().unwrap();
    let mount = format!(
        "mount -t tmpfs -o size=48m none '{}' || {{ echo cannot mount; exit 0; }}; exec \"$@\"",
        directory.path().display()
    );
    let wrapper = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", &mount, "sh"];
    let output = child(&wrapper, "embedded::child_on_a_small_disk", directory.path()).output();
    let said = match &output {
        Ok(output) => [&output.stdout[..], &output.stderr].map(String::from_utf8_lossy).concat(),
        Err(error) => error.to_string(),
    };
    if said.contains("went on") {
        return;
    }
    let cannot = output.is_err() || said.contains("cannot mount") || said.starts_with("unshare:");
    assert!(cannot, "{said}");
    println!("skipped: this machine lets no test mount a small file system: {said}");
}
