//! `roost ingest | enricher | scorer | api`: one service until it is told to stop.

use std::process::ExitCode;

use crate::config::Settings;
pub use crate::services::Role;
use crate::services::Services;

/// Runs one service.
pub fn run(role: Role, settings: Settings) -> anyhow::Result<ExitCode> {
    crate::telemetry::install_log(&settings.telemetry)?;
    let runtime = crate::services::runtime(&settings.process)?;
    runtime.block_on(async {
        let services = Services::start(&[role], &settings).await?;
        tracing::info!("{}", services.started_line());
        crate::services::until_told_to_stop(&services).await;
        Ok(services.stop(settings.process.grace).await)
    })
}
