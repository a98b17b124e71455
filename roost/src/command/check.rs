//! `roost check`: config, model, log, store and access, each with a line, and if asked what the shards hold; exit code 0 only if all
//! are well.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use anyhow::Context;
use clap::Args;
use schemas::topic::MIN_COMPACTION_LAG_MS;
use schemas::units::Instant;
use scorer::facts::ScoreEpoch;
use scorer::state::verify::{self, Verdict};
use store::Tables;
use stream::{BackendKind, Log};
use tokio::task::block_in_place;

use crate::config::Settings;

/// How often, a second apart, a shard is asked for that tells nothing yet: a take-over is under way, or its owner is about to
/// write its row.
const TRIES: u32 = 15;

/// Arguments of `roost check`.
#[derive(Debug, Args)]
pub struct Check {
    /// Also compute from the logs what the sessions of every shard see, and compare it with what the shards' rows say.
    /// Reads `listings.priced` and `preferences` from their beginning; services may run meanwhile.
    #[arg(long)]
    state: bool,
}

/// Checks everything, the later parts also when an earlier one is not well.
pub fn run(arguments: &Check, settings: &Settings) -> anyhow::Result<ExitCode> {
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
                let models = model.models();
                let names: Vec<_> =
                    models.order.iter().chain(&models.candidate).map(|m| m.model_name().to_string()).collect();
                let (names, many) = (names.join(", "), names.len() > 1);
                let (load, its) = if many { ("load", "their") } else { ("loads", "its") };
                format!("{names} {load}, and {its} golden rows give what they gave")
            }),
        );
    }
    let log = log.and_then(|log| {
        log.health().map_err(anyhow::Error::msg)?;
        Ok(log)
    });
    let opened = log.as_ref().ok().cloned();
    report("log", log.map(|log| format!("answers; {} partitions", log.partitions())));
    let runtime = crate::services::runtime(&settings.process)?;
    let tables = runtime.block_on(async {
        let tables = store::open(&settings.store).await?;
        tables.health().await?;
        anyhow::Ok(tables)
    });
    report("access", access::check(&settings.auth).map_err(anyhow::Error::msg));
    let opened = opened.zip(tables.as_ref().ok().cloned());
    report("store", tables.map(|_| "answers; its tables are of this version".to_owned()));
    if let Some((log, tables)) = opened.filter(|_| arguments.state) {
        match runtime.block_on(states(settings, &log, &tables)) {
            Ok(verdicts) => verdicts.into_iter().for_each(|(shard, verdict)| {
                let told = verdict.to_string();
                let outcome = match verdict {
                    Verdict::AsRecorded(_) => Ok(told),
                    _ => Err(anyhow::Error::msg(told)),
                };
                report(&format!("shard {shard}"), outcome);
            }),
            Err(error) => report("state", Err(error)),
        }
    }
    Ok(if well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What came of each shard; those of which nothing can be told yet are asked again.
async fn states(settings: &Settings, log: &Log, tables: &Tables) -> anyhow::Result<BTreeMap<u32, Verdict>> {
    let epoch = ScoreEpoch::new(settings.scorer.score_epoch);
    let min_lag = match settings.log.backend {
        BackendKind::Embedded => settings.log.embedded.min_compaction_lag,
        BackendKind::Kafka => None,
    };
    let min_lag = min_lag.unwrap_or(Duration::from_millis(MIN_COMPACTION_LAG_MS.unsigned_abs()));
    let mut verdicts = BTreeMap::new();
    let mut open: Vec<u32> = (0..log.partitions()).collect();
    let mut again = tokio::time::interval(Duration::from_secs(1));
    for _ in 0..TRIES {
        again.tick().await;
        let rows = verify::recorded(tables, open).await?;
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).ok();
        let now = now.and_then(|now| Instant::from_ms(i64::try_from(now.as_millis()).ok()?));
        let now = now.context("this machine's clock is before 1970 or after 9999: set it")?;
        verdicts.extend(block_in_place(|| verify::verify(log, rows, epoch, min_lag, now))?);
        open = verdicts.iter().filter(|(_, verdict)| verdict.may_change()).map(|(shard, _)| *shard).collect();
        if open.is_empty() {
            break;
        }
    }
    Ok(verdicts)
}
