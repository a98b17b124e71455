//! `roost synthetic`: writes the synthetic market to a file, or publishes it to `listings.raw`.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Args;
use stream::{AckSink, Delivered, DeliveryError, LogError};

use crate::config::Settings;
use crate::demo::{now_ms, raw_record};

/// Arguments of `roost synthetic`.
#[derive(Debug, Args)]
pub struct Synthetic {
    /// Everything follows from it.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many markets, 1 to 10.
    #[arg(long, default_value_t = 10)]
    markets: usize,
    /// How many listings are on offer at any time.
    #[arg(long, default_value_t = 10_000)]
    listings: usize,
    /// How many events.
    #[arg(long, default_value_t = 100_000)]
    events: u64,
    /// Write to this file (`-`: standard output), one RESO object a line.
    #[arg(long, short, value_name = "FILE", conflicts_with = "publish", required_unless_present = "publish")]
    output: Option<PathBuf>,
    /// Publish to `listings.raw` instead.
    #[arg(long)]
    publish: bool,
    /// Write the closed sales that the shipped model is trained on, as canonical listings.
    #[arg(long, conflicts_with_all = ["publish", "seed", "markets", "listings", "events"])]
    training: bool,
    /// Events a second when publishing; as fast as possible when absent.
    #[arg(long, requires = "publish", value_name = "N", value_parser = super::per_second)]
    rate: Option<f64>,
}

/// Writes or publishes.
pub fn run(arguments: Synthetic, settings: Settings) -> anyhow::Result<ExitCode> {
    let config = synthetic::Config {
        seed: arguments.seed,
        markets: arguments.markets,
        listings: arguments.listings,
        ..synthetic::Config::default()
    };
    if let Some(path) = &arguments.output {
        let mut output: Box<dyn Write> = match path.as_os_str() == "-" {
            true => Box::new(std::io::stdout().lock()),
            false => Box::new(File::create(path).with_context(|| format!("{} cannot be written", path.display()))?),
        };
        let mut output = BufWriter::new(&mut output);
        match arguments.training {
            true => synthetic::write_sales(synthetic::Config::training(), synthetic::TRAINING_SALES, &mut output)?,
            false => synthetic::write_jsonl(config, arguments.events, &mut output)?,
        }
        return Ok(ExitCode::SUCCESS);
    }
    publish(config, &arguments, &settings)
}

#[derive(Default)]
struct Acks {
    failed: AtomicU64,
}

impl AckSink for Acks {
    fn acked(&self, _: u64, outcome: Result<Delivered, DeliveryError>) {
        if outcome.is_err() {
            self.failed.fetch_add(1, Ordering::AcqRel);
        }
    }
}

fn publish(config: synthetic::Config, arguments: &Synthetic, settings: &Settings) -> anyhow::Result<ExitCode> {
    crate::telemetry::install_warnings();
    let log = stream::open(&settings.log)?;
    let acks = Arc::new(Acks::default());
    let producer = log.producer(acks.clone())?;
    let mut world = synthetic::World::new(config)?;
    let begun = Instant::now();
    for n in 0..arguments.events {
        if let Some(rate) = arguments.rate {
            let due = Duration::from_secs_f64(n as f64 / rate);
            while begun.elapsed() < due {
                std::thread::park_timeout(due.saturating_sub(begun.elapsed()));
            }
        }
        let record = raw_record(&world.next_event_at(now_ms()));
        loop {
            match producer.send(record.clone(), n) {
                Err(LogError::QueueFull) => std::thread::park_timeout(Duration::from_millis(1)),
                outcome => break outcome?,
            }
        }
    }
    producer.flush(Duration::from_secs(60))?;
    let failed = acks.failed.load(Ordering::Acquire);
    eprintln!(
        "{} events published in {:.1} s, {failed} not acknowledged",
        arguments.events,
        begun.elapsed().as_secs_f64()
    );
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
