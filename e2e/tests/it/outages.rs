//! The store and the brokers stand still, end and come back while a market moves and people change their minds: every
//! service waits, says so, and loses nothing.

use std::time::Duration;

use anyhow::{Result, ensure};
use e2e::harness::{Installation, Running, Servers, patience, roost, until};
use e2e::http::{self, Client};
use e2e::load::{Load, Told};
use e2e::people;
use e2e::servers::OwnServers;

use crate::pipeline::{come_to_rest, start_all};

const ROLES: [&str; 4] = ["ingest", "enricher", "scorer", "api"];
const SESSIONS: u64 = 200;

#[test]
fn servers_that_go_away_are_waited_for_and_nothing_is_lost() -> Result<()> {
    if Servers::from_environment().is_none() {
        return Ok(());
    }
    let Some(own) = OwnServers::start()? else { return Ok(()) };
    let mut installation = Installation::on_servers(&own.servers, "outages", "")?;
    start_all(&mut installation)?;
    all_ready(&installation)?;
    let api = installation.url("api", "API")?;
    let (client, mut told) = (Client::new(api.clone()), Told::default());
    for n in 0..SESSIONS {
        told.state(&client, 31, n, n)?;
    }
    ensure!(told.promises.len() == SESSIONS as usize, "{} sessions were taken", told.promises.len());
    // Without end: it is there during every outage, however long this machine takes.
    let mut feed = roost()?;
    feed.arg("--config").arg(installation.config());
    feed.args(["synthetic", "--publish", "--listings", "300", "--events", "10000000", "--rate", "150"]);
    let feed = Running::spawn(&mut feed)?;
    let load = Load::start(api, 31, SESSIONS, Duration::from_millis(20), told);

    let store_is_away = || -> Result<()> {
        says(&installation, "scorer", "store")?;
        says(&installation, "api", "store")
    };
    own.make("pause", "cassandra")?;
    store_is_away()?;
    own.make("resume", "cassandra")?;
    all_ready(&installation)?;
    own.make("kill", "cassandra")?;
    store_is_away()?;
    own.make("restart", "cassandra")?;
    all_ready(&installation)?;
    stale_is(&client, false)?;
    own.make("kill", "kafka")?;
    // Also of a session that nobody changes, for nobody knows what is on the log.
    stale_is(&client, true)?;
    for role in ROLES {
        says(&installation, role, &format!("Kafka at {} does not answer for", own.servers.kafka))?;
    }
    own.make("restart", "kafka")?;
    all_ready(&installation)?;
    stale_is(&client, false)?;

    // What it has not sent was never said.
    drop(feed);
    let told = load.stop()?;
    let (fates, rows) = come_to_rest(&installation, 120)?;
    told.are_kept(&installation)?;
    for role in ROLES {
        let ended = installation.exit_code(role)?;
        ensure!(ended.is_none(), "{role}: {ended:?}\n{}", installation.output(role));
    }
    ensure!(fates.canonical.len() >= 2_000, "{} listings were taken", fates.canonical.len());
    eprintln!(
        "{} taken, {rows} rows equal; {} statements acknowledged, {} unknown",
        fates.canonical.len(),
        told.acknowledged,
        told.unknown
    );
    Ok(())
}

/// A recommendation comes to say so: within ten seconds of the outage, and as long again for a busy machine.
fn stale_is(client: &Client, wanted: bool) -> Result<()> {
    let (token, _) = people::session(31, 0);
    until(&format!("stale is {wanted}"), patience(20), || {
        let told = client.recommendations(token)?;
        Ok((told["stale"] == wanted).then_some(()))
    })
}

fn all_ready(installation: &Installation) -> Result<()> {
    ROLES.iter().try_for_each(|role| installation.ready(role))
}

/// `/readyz` of a service says that it is not ready, and why.
fn says(installation: &Installation, role: &str, why: &str) -> Result<()> {
    let url = format!("{}/readyz", installation.url(role, "ADMIN")?);
    until(&format!("{role} says {why:?}"), patience(60), || {
        let (status, said) = http::ask(&url)?;
        ensure!(status == 503 && said.contains(why), "{status}: {said}");
        Ok(Some(()))
    })
}
