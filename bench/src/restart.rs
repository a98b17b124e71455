//! How long services take to be useful again with 100,000 listings and sessions on the log, and how much memory each needs.

use anyhow::Result;
use e2e::harness::Installation;

use crate::machine;
use crate::report::{Report, line};
use crate::services::Service;

const SIZE: &str = "100,000 listings, 100,000 sessions";

/// Measures on an installation that has them; leaves all four services running.
pub fn run(installation: &mut Installation, report: &mut Report) -> Result<()> {
    report.say("start and recovery");
    for what in ["cold start, empty tables", "after kill -9"] {
        let scorer = Service::start(installation, "scorer", &[])?;
        let shards = f64::from(installation.log.partitions());
        scorer.wait("every shard taken over", installation, |service| {
            Ok(service.metric("roost_scorer_shards_owned").unwrap_or_default() >= shards)
        })?;
        let exact = scorer.age().as_secs_f64();
        let rows = scorer.metric("roost_scorer_rows_dirty")? + scorer.metric("roost_scorer_rows_outstanding")?;
        scorer.wait("every row written", installation, |service| {
            let [dirty, outstanding] = ["roost_scorer_rows_dirty", "roost_scorer_rows_outstanding"]
                .map(|name| service.metric(name).unwrap_or(f64::MAX));
            Ok(dirty + outstanding == 0.0)
        })?;
        let written = scorer.age().as_secs_f64();
        report.add(line(
            format!("scorer, {SIZE}, {what}: exact in memory / every row written"),
            format!("{exact:.1} s / {written:.1} s (some {rows:.0} rows)"),
            "with 1M + 1M: ≤ 20 s / `recommendations` ≤ 3 min, all ≤ 15 min",
        ));
        memory(installation, &scorer, "scorer", report)?;
        if what != "after kill -9" {
            installation.kill("scorer")?;
        }
    }
    for name in ["enricher", "ingest", "api"] {
        let service = Service::start(installation, name, &[])?;
        match name {
            // Ready is also who has no partition yet.
            "enricher" => service.wait("every partition restored", installation, |service| {
                Ok(service.metric("roost_enricher_listings").unwrap_or_default() > 0.0
                    && ureq::get(service.ready_url()).call().is_ok())
            })?,
            _ => service.until_ready(installation)?,
        }
        let seconds = service.age().as_secs_f64();
        report.add(line(format!("{name}, {SIZE}, start to ready"), format!("{seconds:.1} s"), "–"));
        memory(installation, &service, name, report)?;
    }
    Ok(())
}

fn memory(installation: &Installation, service: &Service, name: &str, report: &mut Report) -> Result<()> {
    let resident = machine::resident_mb(service.pid(installation)?)?;
    let goal = if name == "scorer" { "engine ≤ 128 B a session, whole process ≤ 600 B a listing" } else { "–" };
    report.add(line(format!("{name}, {SIZE}: memory (RSS)"), format!("{resident:.0} MB"), goal));
    Ok(())
}
