//! Services killed and paused while the market moves: nothing is lost, nothing is different.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use e2e::harness::{Installation, Servers, free_port, patience, until};
use e2e::{checks, people};
use schemas::id::SessionToken;

use crate::pipeline::{come_to_rest, start_all, state};

fn start(installation: &mut Installation, name: &str, role: &str) -> Result<()> {
    let port = |name: &'static str| -> Result<(&str, String)> { Ok((name, format!("127.0.0.1:{}", free_port()?))) };
    let environment = [
        port("ROOST__ADMIN__LISTEN")?,
        port("ROOST__API__LISTEN")?,
        port("ROOST__INGEST__PUSH__LISTEN")?,
        ("ROOST__SCORER__INSTANCE", name.to_owned()),
        ("ROOST__ENRICHER__INSTANCE", name.to_owned()),
    ];
    installation.start(name, &[role], &environment)
}

#[test]
fn kills_at_random_moments_change_nothing() -> Result<()> {
    let Some(servers) = Servers::from_environment() else { return Ok(()) };
    let seed = SessionToken::random().session_id().bits() as u64;
    eprintln!("seed {seed}");
    let mut installation = Installation::on_servers(&servers, "kills", "")?;
    start_all(&mut installation)?;
    state(&installation, seed, 300)?;
    let config = installation.config();
    let feed = std::process::Command::new(e2e::harness::binary()?)
        .arg("--config")
        .arg(config)
        .args(["synthetic", "--publish", "--listings", "400", "--events", "8000", "--rate", "200"])
        .spawn()?;
    let mut feed = scopeguard(feed);
    let mut random = seed | 1;
    for kill in 0..8 {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let moment = Instant::now() + Duration::from_millis(1_000 + random % 2_500);
        until("the moment comes", patience(10), || Ok((Instant::now() >= moment).then_some(())))?;
        let role = ["ingest", "enricher", "scorer", "api"][kill % 4];
        installation.kill(role)?;
        installation.restart(role)?;
        state(&installation, seed + 1 + kill as u64, 20)?;
    }
    let done = until("the feed has sent everything", patience(120), || Ok(feed.0.try_wait()?))?;
    ensure!(done.success(), "the feed failed");
    let (fates, rows) = come_to_rest(&installation, 180)?;
    eprintln!("{} taken, refused {:?}, {rows} rows equal", fates.canonical.len(), checks::codes(&fates));
    // No acknowledged statement is lost: each session has its row.
    for n in 0..300 {
        let row = store::Row::Session(people::id(seed, n));
        ensure!(installation.cell(row)?.is_some(), "session {n} is lost");
    }
    Ok(())
}

/// Ends a child with its test.
struct Guarded(std::process::Child);
fn scopeguard(child: std::process::Child) -> Guarded {
    Guarded(child)
}
impl Drop for Guarded {
    fn drop(&mut self) {
        // Ended already, or ends now: both are fine.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_zombie_writes_in_vain() -> Result<()> {
    let Some(servers) = Servers::from_environment() else { return Ok(()) };
    let mut installation = Installation::on_servers(&servers, "zombie", "")?;
    for (name, role) in
        [("scorer-a", "scorer"), ("scorer-b", "scorer"), ("enricher-a", "enricher"), ("enricher-b", "enricher")]
    {
        start(&mut installation, name, role)?;
    }
    start(&mut installation, "ingest", "ingest")?;
    state(&installation, 5, 200)?;
    let config = installation.config();
    let feed = std::process::Command::new(e2e::harness::binary()?)
        .arg("--config")
        .arg(config)
        .args(["synthetic", "--publish", "--listings", "300", "--events", "8000", "--rate", "200"])
        .spawn()?;
    let mut feed = scopeguard(feed);
    until("both scorers own shards", patience(30), || {
        let owns = |name: &str| installation.output(name).contains("shards were handed to this process");
        Ok((owns("scorer-a") && owns("scorer-b")).then_some(()))
    })?;
    installation.signal("scorer-a", "STOP")?;
    installation.signal("enricher-a", "STOP")?;
    // Past the session time-out of the installation (6 s), so that the others take over.
    let until_then = Instant::now() + Duration::from_secs(14);
    until("the session has expired", patience(60), || Ok((Instant::now() >= until_then).then_some(())))?;
    installation.signal("scorer-a", "CONT")?;
    installation.signal("enricher-a", "CONT")?;
    let done = until("the feed has sent everything", patience(120), || Ok(feed.0.try_wait()?))?;
    ensure!(done.success(), "the feed failed");
    let (fates, rows) = come_to_rest(&installation, 180)?;
    eprintln!("{} taken, refused {:?}, {rows} rows equal", fates.canonical.len(), checks::codes(&fates));
    Ok(())
}
