//! How long services take to be useful again with a stock of listings and sessions on the log, and how much memory each
//! needs.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::harness::Installation;
use schemas::topic::Topic;

use crate::machine;
use crate::report::{Report, line};
use crate::services::{self, Service};
use crate::stock::{Stock, thousands};

/// How often the scorer that is killed has written a snapshot: often enough that one is there when its rows are written.
const SNAPSHOT_EVERY: &str = "60s";
/// Lets the scorer say how long a snapshot took to load; the rest as in [`services::installation`].
const TELLS_OF_SNAPSHOTS: (&str, &str) = ("ROOST__TELEMETRY__FILTER", "warn,scorer::keeper=info");

/// Measures on an installation that has them; leaves all four services running.
pub fn run(installation: &mut Installation, stock: Stock, report: &mut Report) -> Result<()> {
    let [priced, stated] =
        [Topic::ListingsPriced, Topic::Preferences].map(|topic| services::count(installation, topic));
    let (priced, stated) = (thousands(priced?), thousands(stated?));
    report.say(&format!("start and recovery from {priced} records of listings.priced and {stated} of preferences"));
    let directory = installation.path("snapshots").display().to_string();
    let kept = ("ROOST__SCORER__SNAPSHOT_DIRECTORY", directory.as_str());
    let often = ("ROOST__SCORER__SNAPSHOT_EVERY", SNAPSHOT_EVERY);

    scorer(installation, stock, "cold start, empty tables", &[], report)?;
    installation.kill("scorer")?;
    let killed = scorer(installation, stock, "after kill -9", &[kept, often], report)?;
    killed.wait("a snapshot written", installation, |service| {
        Ok(service.metric("roost_scorer_snapshot_timestamp_seconds").unwrap_or_default() > 0.0)
    })?;
    installation.kill("scorer")?;
    let what = "after kill -9, engine from its snapshot";
    let warm = scorer(installation, stock, what, &[kept, TELLS_OF_SNAPSHOTS], report)?;
    ensure!(
        warm.metric(r#"roost_scorer_starts_total{how="warm",refused="none"}"#)? > 0.0,
        "the scorer did not start from its snapshot:\n{}",
        installation.output("scorer")
    );
    let loaded =
        loaded_ms(&installation.output("scorer")).context("the scorer does not say how it loaded its snapshot")?;
    report.add(line(
        format!("scorer, {stock}: engine loaded from its snapshot"),
        format!("{:.2} s", loaded as f64 / 1e3),
        "with 1M + 1M: ≤ 1 s",
    ));
    for name in ["enricher", "ingest", "api"] {
        other(installation, stock, name, report)?;
    }
    Ok(())
}

/// Starts a scorer that has everything before it, until it owes no row.
fn scorer(
    installation: &mut Installation,
    stock: Stock,
    what: &str,
    more: &[(&str, &str)],
    report: &mut Report,
) -> Result<Service> {
    let scorer = Service::start(installation, "scorer", more)?.holding(stock);
    let shards = f64::from(installation.log.partitions());
    scorer.wait("every shard taken over", installation, |service| {
        Ok(service.metric("roost_scorer_shards_owned").unwrap_or_default() >= shards)
    })?;
    let exact = scorer.age();
    let rows = scorer.metric("roost_scorer_rows_dirty")? + scorer.metric("roost_scorer_rows_outstanding")?;
    report.say(&format!("{what}: exact after {:.1} s, {rows:.0} rows to write", exact.as_secs_f64()));
    let mut recommendations: Option<Duration> = None;
    scorer.wait("every row written", installation, |service| {
        if recommendations.is_none() && recommended(service).unwrap_or_default() {
            recommendations = Some(service.age());
        }
        let [dirty, outstanding] = ["roost_scorer_rows_dirty", "roost_scorer_rows_outstanding"]
            .map(|name| service.metric(name).unwrap_or(f64::MAX));
        Ok(dirty + outstanding == 0.0)
    })?;
    let written = scorer.age();
    let [exact, recommendations, written] =
        [exact, recommendations.unwrap_or(written), written].map(|time| time.as_secs_f64());
    report.add(line(
        format!("scorer, {stock}, {what}: exact in memory / every row of `recommendations` written / every row"),
        format!("{exact:.1} s / {recommendations:.1} s / {written:.1} s (some {rows:.0} rows)"),
        "with 1M + 1M: ≤ 20 s / ≤ 3 min / ≤ 15 min",
    ));
    memory(installation, stock, &scorer, "scorer", report)?;
    Ok(scorer)
}

/// Whether every session's row was acknowledged. Each is written once while no listing changes, and what each session's
/// statement matches, the same table, is counted when hardly a row is left.
fn recommended(scorer: &Service) -> Result<bool> {
    let sessions = scorer.metric("roost_sessions_active")?;
    let name = r#"roost_scorer_writes_total{table="recommendations",outcome="acknowledged"}"#;
    Ok(sessions > 0.0 && scorer.metric(name)? >= sessions)
}

/// From the scorer's own words, "…, loaded in 12 ms".
fn loaded_ms(output: &str) -> Option<u64> {
    let (_, last) = output.rsplit_once("loaded in ")?;
    last.split_once(" ms")?.0.parse().ok()
}

fn other(installation: &mut Installation, stock: Stock, name: &'static str, report: &mut Report) -> Result<()> {
    let service = Service::start(installation, name, &[])?.holding(stock);
    match name {
        // Ready is also who has no partition yet.
        "enricher" => service.wait("every partition restored", installation, |service| {
            Ok(service.metric("roost_enricher_listings").unwrap_or_default() > 0.0
                && ureq::get(service.ready_url()).call().is_ok())
        })?,
        _ => service.until_ready(installation)?,
    }
    let seconds = service.age().as_secs_f64();
    report.add(line(format!("{name}, {stock}, start to ready"), format!("{seconds:.1} s"), "–"));
    memory(installation, stock, &service, name, report)
}

fn memory(installation: &Installation, stock: Stock, service: &Service, name: &str, report: &mut Report) -> Result<()> {
    let resident = machine::resident_mb(service.pid(installation)?)?;
    let goal = if name == "scorer" { "engine ≤ 128 B a session, whole process ≤ 600 B a listing" } else { "–" };
    report.add(line(format!("{name}, {stock}: memory (RSS)"), format!("{resident:.0} MB"), goal));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_the_last_start_from_a_snapshot_counts() {
        let output = "… from a: 1 listings, loaded in 3 ms\n… from b: 1 listings, loaded in 1750 ms\n";
        assert_eq!(loaded_ms(output), Some(1_750));
        assert_eq!(loaded_ms("the engine starts cold: there is no snapshot"), None);
    }
}
