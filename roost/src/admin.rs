//! The admin port: `/livez` (the process), `/readyz` (what it needs), `/metrics`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use metrics_exporter_prometheus::PrometheusHandle;
use serde::Deserialize;

/// `[admin]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where to listen.
    pub listen: SocketAddr,
}

/// Some ten thousand values a second for so long are below a megabyte.
const UPKEEP_EVERY: Duration = Duration::from_secs(5);

impl Default for Config {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 9464)) }
    }
}

/// One thing that must be well: its name and how it is.
pub type Check = Arc<dyn Fn() -> Vec<(&'static str, Result<(), String>)> + Send + Sync>;

/// Binds the port and serves it until the process ends. Returns the address.
pub async fn serve(config: &Config, metrics: PrometheusHandle, check: Check) -> anyhow::Result<SocketAddr> {
    let listener = tokio::net::TcpListener::bind(config.listen).await.map_err(|error| {
        anyhow::anyhow!(
            "admin.listen: {} cannot be bound: {error}; choose another port or stop what holds it",
            config.listen
        )
    })?;
    let address = listener.local_addr()?;
    let upkeep = metrics.clone();
    let router =
        Router::new().route("/livez", get(async || "ok\n")).route("/readyz", get(async move || ready(&check))).route(
            "/metrics",
            get(async move || {
                metrics.run_upkeep();
                ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], metrics.render())
            }),
        );
    tokio::spawn(keep_small(upkeep));
    tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::error!("the admin port is closed: {error}");
        }
    });
    Ok(address)
}

/// Histograms keep every value until they are looked at: where nobody scrapes, somebody must.
async fn keep_small(metrics: PrometheusHandle) {
    let mut ticks = tokio::time::interval(UPKEEP_EVERY);
    loop {
        ticks.tick().await;
        metrics.run_upkeep();
    }
}

fn ready(check: &Check) -> impl IntoResponse + use<> {
    let checks = check();
    let well = checks.iter().all(|(_, state)| state.is_ok());
    let lines: String = checks
        .iter()
        .map(|(name, state)| match state {
            Ok(()) => format!("[+] {name} ok\n"),
            Err(reason) => format!("[-] {name}: {reason}\n"),
        })
        .collect();
    (if well { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, lines)
}
