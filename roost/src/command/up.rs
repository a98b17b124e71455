//! `roost up`: every service in one process, on the embedded log and tables; with `--demo` a market that moves.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;

use crate::config::Settings;
use crate::demo::Demo;
use crate::services::{Role, Services};

/// Arguments of `roost up`.
#[derive(Debug, Args)]
pub struct Up {
    /// Also run the synthetic market, and a session that watches it.
    #[arg(long)]
    demo: bool,
    /// Where the log, the tables and snapshots of the engine are kept.
    #[arg(long, value_name = "DIR", default_value = ".roost")]
    data_dir: PathBuf,
    /// Changes of the synthetic market a second.
    #[arg(long, value_name = "N", default_value_t = 20.0, value_parser = super::per_second)]
    rate: f64,
}

/// Runs everything until told to stop.
pub fn run(arguments: &Up, mut settings: Settings) -> anyhow::Result<ExitCode> {
    crate::telemetry::install_log(&settings.telemetry)?;
    settings.in_one_process(&arguments.data_dir);
    if settings.scorer.snapshot_directory.as_os_str().is_empty() {
        settings.scorer.snapshot_directory = arguments.data_dir.join("snapshots");
    }
    if settings.auth.secret_file.as_os_str().is_empty() {
        settings.auth.secret_file = secret_of(&arguments.data_dir)?;
    }
    let runtime = crate::services::runtime(&settings.process)?;
    runtime.block_on(async {
        crate::services::initialise(&settings).await?;
        let services = Services::start(&Role::ALL, &settings).await?;
        tracing::info!("{}", services.started_line());
        let demo = if arguments.demo { Some(Demo::start(&services, arguments.rate).await?) } else { None };
        if let Some(demo) = &demo {
            println!("{}", demo.greeting());
        }
        crate::services::until_told_to_stop(&services).await;
        drop(demo);
        Ok(services.stop(settings.process.grace).await)
    })
}

/// The secret of this directory, made at the first start: whoever has its log and tables may have it.
fn secret_of(directory: &Path) -> anyhow::Result<PathBuf> {
    let path = directory.join("access.secret");
    if !path.exists() {
        std::fs::create_dir_all(directory).with_context(|| format!("{} cannot be made", directory.display()))?;
        access::secret::Secret::create(&path)?;
    }
    Ok(path)
}
