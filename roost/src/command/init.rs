//! `roost init`: topics and tables. Idempotent; prints what it changed.

use std::process::ExitCode;

use crate::config::Settings;

/// Creates what is missing.
pub fn run(settings: &Settings) -> anyhow::Result<ExitCode> {
    crate::telemetry::install_log(&settings.telemetry)?;
    let changes = crate::services::runtime(&settings.process)?.block_on(crate::services::initialise(settings))?;
    if changes.is_empty() {
        println!("nothing to do: every topic and table is as it should be");
    }
    for change in changes {
        println!("{change}");
    }
    Ok(ExitCode::SUCCESS)
}
