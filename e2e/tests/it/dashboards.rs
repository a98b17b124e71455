//! Whoever renames a metric hears of the panels and alerts that name it.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use e2e::harness::repository;

/// Files of Grafana and Prometheus, which each name some of the metrics.
const READERS: [&str; 3] = ["dashboards/roost/overview.json", "dashboards/roost/model.json", "prometheus/alerts.yml"];

/// Crates that record metrics, each in its `metrics.rs`.
const RECORDERS: [&str; 7] = ["access", "api", "enricher", "ingest", "scorer", "store", "stream"];

#[test]
fn every_metric_of_the_dashboards_and_alerts_is_recorded_somewhere() -> Result<()> {
    let read = |path: String| std::fs::read_to_string(repository().join(&path)).context(path);
    let recorded =
        RECORDERS.map(|name| read(format!("{name}/src/metrics.rs"))).into_iter().collect::<Result<String>>()?;
    for file in READERS {
        let text = read(format!("grafana/{file}"))?;
        let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        let named: BTreeSet<&str> =
            words.filter(|word| word.starts_with("roost_")).map(|word| word.trim_end_matches("_bucket")).collect();
        ensure!(named.len() > 8, "{file} names {} metrics", named.len());
        let absent: Vec<_> = named.iter().filter(|name| !recorded.contains(&format!("\"{name}\""))).collect();
        ensure!(absent.is_empty(), "{file} names {absent:?}, which nobody records");
    }
    Ok(())
}
