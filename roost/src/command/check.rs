//! `roost check`: config, model, log and store, each with a line; exit code 0 only if all are well.

use std::process::ExitCode;

use crate::config::Settings;

/// Checks everything, the later parts also when an earlier one is not well.
pub fn run(settings: &Settings) -> anyhow::Result<ExitCode> {
    println!("[+] config: every key is known and in range");
    let mut well = true;
    let mut report = |name: &str, outcome: anyhow::Result<String>| match outcome {
        Ok(text) => println!("[+] {name}: {text}"),
        Err(error) => {
            well = false;
            println!("[-] {name}: {}", super::told(&error));
        }
    };
    crate::telemetry::install_warnings();
    let log = stream::open(&settings.log).map_err(anyhow::Error::from);
    if let Ok(log) = &log {
        let fatal: stream::Fatal = std::sync::Arc::new(|line| eprintln!("{line}"));
        let model = enricher::Appraiser::start(&settings.enricher, log, &fatal);
        report(
            "model",
            model.map_err(Into::into).map(|model| {
                let manifest = model.manifest();
                format!("{}/{} loads, and its golden rows give what they gave", manifest.name, manifest.version)
            }),
        );
    }
    report(
        "log",
        log.and_then(|log| {
            log.health().map_err(anyhow::Error::msg)?;
            Ok(format!("answers; {} partitions", log.partitions()))
        }),
    );
    let runtime = crate::services::runtime(&settings.process)?;
    report(
        "store",
        runtime.block_on(async {
            let tables = store::open(&settings.store).await?;
            tables.health().await?;
            Ok("answers; its tables are of this version".to_owned())
        }),
    );
    Ok(if well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
