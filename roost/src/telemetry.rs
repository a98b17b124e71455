//! Logs and metrics of the process: installed once, before anything else starts.

use std::io::IsTerminal;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use serde::Deserialize;
use tracing_subscriber::EnvFilter;

/// How a log line looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For eyes.
    #[default]
    Human,
    /// One JSON object a line.
    Json,
}

/// `[telemetry]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How a log line looks.
    pub format: LogFormat,
    /// What is logged: `info`, or directives such as `warn,scorer=debug`.
    pub filter: String,
}

impl Default for Config {
    fn default() -> Self {
        // While the store is away the driver says so several times a second; `store` says it every few seconds.
        Self { format: LogFormat::Human, filter: "info,fjall=warn,lsm_tree=warn,scylla=off".into() }
    }
}

/// Installs the log. `ROOST_LOG` overrides the filter.
pub fn install_log(config: &Config) -> anyhow::Result<()> {
    let filter = std::env::var("ROOST_LOG").unwrap_or_else(|_| config.filter.clone());
    let filter = EnvFilter::try_new(&filter).map_err(|error| {
        anyhow::anyhow!(
            "telemetry.filter: {filter:?}: {error} (expected for example \"info\" or \"warn,scorer=debug\")"
        )
    })?;
    let colours = std::io::stderr().is_terminal();
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colours);
    match config.format {
        LogFormat::Human => lines.with_target(false).compact().init(),
        LogFormat::Json => lines.json().flatten_event(true).init(),
    }
    Ok(())
}

/// Warnings only, without times: for commands that a person waits for, on a terminal. `ROOST_LOG` overrides what is said.
pub fn install_warnings() {
    let filter = std::env::var("ROOST_LOG").unwrap_or_else(|_| "warn,scylla=off".to_owned());
    let lines = tracing_subscriber::fmt().with_env_filter(EnvFilter::new(filter)).with_writer(std::io::stderr);
    lines.with_ansi(std::io::stderr().is_terminal()).without_time().with_target(false).compact().init();
}

/// Installs the metrics recorder and names every metric of every service.
pub fn install_metrics() -> anyhow::Result<PrometheusHandle> {
    let buckets = [
        scorer::metrics::BUCKETS,
        ingest::metrics::BUCKETS,
        enricher::metrics::BUCKETS,
        api::metrics::BUCKETS,
        store::metrics::BUCKETS,
    ];
    let mut builder = PrometheusBuilder::new();
    for (name, edges) in buckets.into_iter().flatten() {
        // Without buckets a histogram is rendered as a summary, which cannot be added up over replicas.
        builder = builder.set_buckets_for_metric(Matcher::Full((*name).to_owned()), edges)?;
    }
    let handle = builder.install_recorder()?;
    scorer::metrics::describe();
    ingest::metrics::describe();
    enricher::metrics::describe();
    api::metrics::describe();
    store::metrics::describe();
    stream::metrics::describe();
    metrics::describe_gauge!("roost_build_info", "1, with the version as a label");
    metrics::gauge!("roost_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    Ok(handle)
}
