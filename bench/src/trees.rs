//! A model's trees on one thread: ONNX Runtime's operator, ours without and with the processor's best instructions, and
//! LightGBM's own `predict` of the same trees. All but the last through a whole session, as the enricher runs it.
//!
//! Rows a second of this thread's own CPU time, the best of several rounds: the machine is shared.

use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use enricher::onnx::{Predictor, Runtime};
use enricher::registry::{Package, Registry};
use enricher::{Config, TreeOperator};
use schemas::model_alias::ModelName;

use crate::machine;
use crate::spread::Spread;

/// Rows per call.
const BATCHES: [usize; 4] = [1, 32, 256, 4_096];
/// How often each way and batch is measured, and for how long.
const ROUNDS: usize = 5;
const TIME: Duration = Duration::from_millis(300);
/// Calls of one row that are timed.
const CALLS: usize = 50_000;
/// What runs LightGBM: `make test-model` makes the environment.
const PYTHON: &str = "enricher/model/.venv/bin/python";
/// There once the environment is whole.
const MADE: &str = "enricher/model/.venv/made-of";
const LIGHTGBM: &str = "enricher/model/bench_predict.py";

/// A way to evaluate the trees, and what came out.
struct Way {
    name: &'static str,
    predictor: Predictor,
    /// By batch, the best round.
    rows_per_second: [f64; BATCHES.len()],
    one_row: Spread,
}

/// Measures the model in a directory `<registry>/<name>/<version>` and prints a table.
pub fn run(directory: &Path) -> Result<ExitCode> {
    let package = package(directory)?;
    let runtime = Runtime::load(&Config::default().library())?;
    let way = |name, operator| -> Result<Way> {
        let predictor = Predictor::new(&runtime, &package, operator)?;
        ensure!(predictor.left_to_stock().is_none(), "{name}: {:?}", predictor.left_to_stock());
        Ok(Way { name, predictor, rows_per_second: Default::default(), one_row: Spread::default() })
    };
    let mut ways = [
        way("stock", TreeOperator::Stock)?,
        way("portable", TreeOperator::Portable)?,
        way("fast", TreeOperator::Fast)?,
    ];
    let (rows, began) = (rows(&package), machine::load());
    for _ in 0..ROUNDS {
        for way in &mut ways {
            way.round(&rows, package.features.len())?;
        }
    }
    for way in &mut ways {
        way.time_one_row(&rows, package.features.len())?;
    }
    println!("{}, load {began} before and {} after\n", machine::processors(), machine::load());
    print(&ways);
    lightgbm(directory)?;
    Ok(ExitCode::SUCCESS)
}

fn package(directory: &Path) -> Result<Package> {
    let mut parts = directory.components().rev().map(|part| part.as_os_str().to_string_lossy().into_owned());
    let (version, name) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let root = directory.ancestors().nth(2).context("expected a directory <registry>/<name>/<version>")?;
    Ok(Registry::new(root).read(&ModelName { name, version })?)
}

/// As many rows as the largest batch has: golden ones, each number moved by a share that follows from its place.
fn rows(package: &Package) -> Vec<f32> {
    let golden: Vec<_> = package.manifest.golden.iter().map(|row| row.inputs()).collect();
    let moved = |i: usize, column: usize, value: f32| {
        let share = (i * 7_919 + column * 104_729) % 2_001;
        if share < 40 { f32::NAN } else { value * (0.9 + share as f32 / 10_000.0) }
    };
    let row =
        |i: usize| golden[i % golden.len()].iter().enumerate().map(move |(column, value)| moved(i, column, *value));
    (0..BATCHES[BATCHES.len() - 1]).flat_map(row).collect()
}

impl Way {
    fn round(&mut self, rows: &[f32], columns: usize) -> Result<()> {
        for (batch, best) in BATCHES.into_iter().zip(&mut self.rows_per_second) {
            let (begun, cpu) = (Instant::now(), machine::thread_seconds());
            let mut done = 0;
            while begun.elapsed() < TIME {
                for batch in rows.chunks(batch * columns) {
                    done += self.predictor.predict(batch)?.len();
                }
            }
            *best = best.max(done as f64 / (machine::thread_seconds() - cpu));
        }
        Ok(())
    }

    fn time_one_row(&mut self, rows: &[f32], columns: usize) -> Result<()> {
        let mut times = Vec::with_capacity(CALLS);
        for row in rows.chunks(columns).cycle().take(CALLS) {
            let begun = Instant::now();
            let prices = self.predictor.predict(row)?;
            times.push(begun.elapsed().as_secs_f64() * 1e3);
            ensure!(prices.len() == 1, "one row is worth {prices:?}");
        }
        self.one_row = Spread::of(times);
        Ok(())
    }
}

fn print(ways: &[Way]) {
    println!(
        "| rows/s, one thread | {} | one row, p50 / p99 |",
        BATCHES.map(|batch| format!("batch {batch}")).join(" | ")
    );
    println!("|---|{}---|", "---|".repeat(BATCHES.len()));
    let stock = &ways[0].rows_per_second;
    for Way { name, rows_per_second, one_row, .. } in ways {
        let cells = rows_per_second.iter().zip(stock).map(|(rows, stock)| format!("{rows:.0} ({:.1}×)", rows / stock));
        let cells = cells.collect::<Vec<_>>().join(" | ");
        println!("| {name} | {cells} | {:.1} / {:.1} µs |", one_row.at(0.5) * 1e3, one_row.at(0.99) * 1e3);
    }
}

/// Adds LightGBM's line, or says why there is none.
fn lightgbm(directory: &Path) -> Result<()> {
    if !Path::new(MADE).exists() {
        println!("\nLightGBM's own predict: skipped, there is no {MADE} (`make test-model` makes it)");
        return Ok(());
    }
    let batches = BATCHES.map(|batch| batch.to_string());
    let status = Command::new(PYTHON).arg(LIGHTGBM).arg(directory).args(batches).status()?;
    ensure!(status.success(), "{LIGHTGBM} failed: {status}");
    Ok(())
}
