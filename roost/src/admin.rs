//! The admin port: `/livez` (the process), `/readyz` (what it needs), `/metrics`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::middleware::from_fn;
use axum::response::{IntoResponse, Response};
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

/// Whoever asks here is a scraper, a probe or an operator: few, near, and quick.
const LIMITS: serve::Limits = serve::Limits {
    max_connections: 64,
    header_timeout: Duration::from_secs(10),
    write_timeout: Duration::from_secs(10),
};

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
    let listener = serve::listen(config.listen).map_err(|error| {
        anyhow::anyhow!(
            "admin.listen: {} cannot be bound: {error}; choose another port or stop what holds it",
            config.listen
        )
    })?;
    let address = listener.local_addr()?;
    tokio::spawn(keep_small(metrics.clone()));
    let router = router(metrics, check);
    tokio::spawn(async move {
        // Until the process ends: whoever asks is answered during a stop too.
        let (_running, stop) = tokio::sync::watch::channel(false);
        serve::serve(listener, router, LIMITS, stop).await;
    });
    Ok(address)
}

fn router(metrics: PrometheusHandle, check: Check) -> Router {
    let metrics = async move || {
        metrics.run_upkeep();
        ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], metrics.render())
    };
    Router::new()
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(async move || readiness(check).await))
        .route("/metrics", get(metrics))
        .layer(from_fn(|request, next| {
            serve::guarded(request, next, || {
                (StatusCode::INTERNAL_SERVER_ERROR, "a fault of roost; its log says more\n").into_response()
            })
        }))
}

/// May ask the log and wait for it: not on the threads that serve requests.
async fn readiness(check: Check) -> Response {
    match tokio::task::spawn_blocking(move || ready(&check).into_response()).await {
        Ok(answer) => answer,
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("[-] the check itself: {error}\n")).into_response(),
    }
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

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpStream;

    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::*;

    #[test]
    fn a_check_that_panics_is_answered_and_the_port_serves_on() {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let config = Config { listen: "127.0.0.1:0".parse().unwrap() };
        let metrics = PrometheusBuilder::new().build_recorder().handle();
        let address = runtime.block_on(serve(&config, metrics, Arc::new(|| panic!("a check")))).unwrap();
        let status = |path: &str| {
            let mut stream = TcpStream::connect(address).unwrap();
            write!(stream, "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            answer.split(' ').nth(1).unwrap_or_default().to_owned()
        };
        assert_eq!((status("/readyz").as_str(), status("/livez").as_str()), ("500", "200"));
    }
}
