//! One feed, a thousand sessions, four services: what comes out is what the logs say, row by row.

use anyhow::{Context, Result, ensure};
use e2e::harness::{Installation, Servers, patience, real_data, until};
use e2e::{canonical, checks, http, people};
use schemas::cells::ShardCell;
use schemas::state_hash::StateHash;
use schemas::topic::{Topic, session_key};
use store::{Row, Write, WriteTimestamp};
use stream::{Delivered, DeliveryError, Outgoing};

/// Rows of `seattle_redfin_events.csv.zst`.
pub const SEATTLE_RECORDS: usize = 17_384;

pub struct Ignore;
impl stream::AckSink for Ignore {
    fn acked(&self, _: u64, outcome: Result<Delivered, DeliveryError>) {
        // A statement that is lost shows in what comes out.
        assert!(outcome.is_ok(), "{outcome:?}");
    }
}

/// Appends the statements of sessions `0..count` of a seed.
pub fn state(installation: &Installation, seed: u64, count: u64) -> Result<()> {
    let producer = installation.log.producer(std::sync::Arc::new(Ignore))?;
    for n in 0..count {
        let (token, preferences) = people::session(seed, n);
        let key = session_key(token.session_id());
        let value = Some(preferences.to_json());
        producer.send(
            Outgoing { topic: Topic::Preferences, partition: None, key: Some(key), value, headers: Vec::new() },
            n,
        )?;
    }
    producer.flush(patience(30))?;
    Ok(())
}

/// Starts the four services, each with ports of its own.
pub fn start_all(installation: &mut Installation) -> Result<()> {
    for role in ["scorer", "enricher", "ingest", "api"] {
        installation.start_role(role, role)?;
    }
    Ok(())
}

/// Waits until every raw listing has its fate and every row is what the logs say; how many of each.
pub fn come_to_rest(installation: &Installation, seconds: u64) -> Result<(checks::Fates, usize)> {
    let fates = until("every raw record has a fate", patience(seconds), || checks::fates(installation).map(Some))?;
    until("the facts follow the listings", patience(seconds), || {
        checks::facts_follow_the_listings(installation, &fates).map(Some)
    })?;
    let rows = until("the tables equal the logs", patience(seconds), || {
        checks::tables_equal_the_logs(installation).map(Some)
    })?;
    until("the last event of each session is its row", patience(30), || {
        checks::events_equal_the_rows(installation).map(Some)
    })?;
    Ok((fates, rows))
}

#[test]
fn a_synthetic_market_comes_out_as_the_logs_say() -> Result<()> {
    let Some(servers) = Servers::from_environment() else { return Ok(()) };
    // Some panels are about snapshots.
    let snapshots = tempfile::tempdir()?;
    let settings = format!("[scorer]\nsnapshot_directory = {:?}\nsnapshot_every = \"1s\"", snapshots.path());
    let mut installation = Installation::on_servers(&servers, "market", &settings)?;
    start_all(&mut installation)?;
    let (said, code) = installation.run(&["synthetic", "--publish", "--listings", "400", "--events", "3000"])?;
    ensure!(code == 0, "{said}");
    state(&installation, 7, 200)?;
    let (fates, rows) = come_to_rest(&installation, 120)?;
    eprintln!("{} listings taken, {:?} refused, {rows} rows equal", fates.canonical.len(), checks::codes(&fates));
    ensure!(fates.canonical.len() == 3000, "{:?}", checks::codes(&fates));
    every_metric_of_the_dashboard_is_there(&installation)?;
    checks::states_are_as_recorded(&installation)?;
    until("the gauges are what the rows say", patience(15), || the_states_are_in_the_metrics(&installation).map(Some))?;
    for role in ["api", "ingest", "enricher", "scorer"] {
        ensure!(installation.stop(role)? == 0, "{role} does not stop cleanly:\n{}", installation.output(role));
    }
    checks::states_are_as_recorded(&installation)?;
    a_state_that_is_not_what_the_logs_say_is_found(&installation)
}

/// What a shard's row says.
fn shard(installation: &Installation, number: u32) -> Result<(store::Cell, ShardCell)> {
    let cell = installation.cell(Row::Shard(number))?.context("a shard has a row")?;
    let shard = serde_json::from_str(&cell.json)?;
    Ok((cell, shard))
}

/// The gauges of a scorer at rest are its rows.
fn the_states_are_in_the_metrics(installation: &Installation) -> Result<()> {
    let metrics = http::get(&format!("{}/metrics", installation.url("scorer", "ADMIN")?))?;
    let mut applied = 0;
    for number in 0..installation.log.partitions() {
        let (_, shard) = shard(installation, number)?;
        let state = shard.state.context("a shard at rest tells its state")?;
        let line = format!("roost_scorer_state_hash{{shard=\"{number}\"}} {}", state.hash.bits() & 0xffff_ffff_ffff);
        ensure!(metrics.lines().any(|served| served == line), "{line} is not served");
        applied = state.preferences_offset + applied + state.listings_offsets[number as usize];
    }
    let served = http::sum(&metrics, "roost_scorer_applied_offset");
    ensure!(served == applied as f64, "{served} offsets are served, {applied} are recorded");
    Ok(())
}

/// One shard's row, written as if another owner had seen something else.
fn a_state_that_is_not_what_the_logs_say_is_found(installation: &Installation) -> Result<()> {
    let (cell, mut shard) = shard(installation, 1)?;
    let state = shard.state.as_mut().context("a shard at rest tells its state")?;
    state.hash = StateHash::from_bits(state.hash.bits().wrapping_add(1));
    let write = Write {
        row: Row::Shard(1),
        cell: Some(serde_json::to_string(&shard)?.into()),
        timestamp: WriteTimestamp::from_raw(cell.timestamp.raw() + 1),
    };
    installation.runtime().block_on(installation.tables.write(write))?;
    let (said, code) = installation.run(&["check", "--state"])?;
    let told = said.lines().find(|line| line.starts_with("[-] shard 1: ")).unwrap_or_default();
    ensure!(code == 1 && told.contains("but the logs up to there give "), "exit code {code}: {said}");
    ensure!(checks::told_as_recorded(&said) == installation.log.partitions() as usize - 1, "{said}");
    Ok(())
}

/// Asks the services' admin ports, after one request to the API, for every metric that a panel names.
fn every_metric_of_the_dashboard_is_there(installation: &Installation) -> Result<()> {
    let dashboard = std::fs::read_to_string(e2e::harness::repository().join("grafana/dashboards/roost/overview.json"))?;
    http::get(&format!("{}/api/v1/markets", installation.url("api", "API")?))?;
    let words = dashboard.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    let named: std::collections::BTreeSet<&str> =
        words.filter(|word| ["roost_", "kafka_"].iter().any(|prefix| word.starts_with(prefix))).collect();
    ensure!(named.len() > 10, "the dashboard names {} metrics", named.len());
    // Some are told once a second.
    until("every metric is served", patience(15), || {
        let mut served = String::new();
        for role in ["ingest", "enricher", "scorer", "api"] {
            served += &http::get(&format!("{}/metrics", installation.url(role, "ADMIN")?))?;
        }
        let absent: Vec<_> = named.iter().filter(|name| !served.contains(&format!("\n{name}"))).collect();
        ensure!(absent.is_empty(), "no service serves {absent:?}");
        Ok(Some(()))
    })
}

#[test]
fn seattle_comes_out_as_the_logs_say() -> Result<()> {
    let (Some(servers), Some(file)) = (Servers::from_environment(), real_data("seattle_redfin_events.csv.zst")) else {
        return Ok(());
    };
    let mut installation = Installation::on_servers(&servers, "seattle", "")?;
    start_all(&mut installation)?;
    state(&installation, 11, 1_000)?;
    let file = file.to_str().context("a path in UTF-8")?;
    let (said, code) = installation.run(&["publish", file, "--feed", "seattle", "--map", "redfin"])?;
    ensure!(code == 0, "{said}");
    let (fates, rows) = come_to_rest(&installation, 300)?;
    checks::states_are_as_recorded(&installation)?;
    let listings = canonical::listings_equal_what_was_said(&installation, &fates, "seattle")?;
    eprintln!(
        "{} taken, refused {:?}, {listings} listings, {rows} rows equal",
        fates.canonical.len(),
        checks::codes(&fates)
    );
    ensure!(checks::all_sources(&fates).len() == SEATTLE_RECORDS, "{} sources", checks::all_sources(&fates).len());
    Ok(())
}
