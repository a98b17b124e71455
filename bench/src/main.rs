//! What roost is measured by: each benchmark runs the real thing and, in the same run, a bare peer that does the same hops
//! without the work, and tells both with their ratio. Prints one Markdown table; never passes or fails, but for
//! `correctness`, which counts mistakes instead of time.
//!
//! Not a test: nothing here asserts a time. Not for a busy machine either: the load is printed with the numbers.

mod adversary;
mod appraise;
mod bare;
mod brute;
mod bulk;
mod comparables;
mod correctness;
mod counter;
mod embedded;
mod engine;
mod http;
mod latency;
mod listing_mark;
mod machine;
mod mark_files;
mod mark_run;
mod market;
mod poll;
mod probes;
mod raw;
mod relay;
mod report;
mod restart;
mod services;
mod spread;
mod stock;
mod throughput;
mod trees;

/// Histories of the scorer's tests, and how they tell them; here in greater number.
#[path = "../../scorer/tests/it/permutation.rs"]
mod permutation;
#[expect(dead_code, reason = "the tests use the rest")]
#[path = "../../scorer/tests/it/world.rs"]
mod world;

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use clap::{Parser, Subcommand, ValueEnum};
use e2e::harness::Servers;

use scorer::engine::indexed::Indexed;
use scorer::engine::kernel::Kernel;

use crate::adversary::Variant;
use crate::report::Report;
use crate::stock::Stock;

/// As in `roost`: the embedded house runs in this process, and a peer is owed the same.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The greatest stock, ten times that of the goals.
const MOST: i64 = 10_000_000;

/// Benchmarks; `make bench` runs all of them.
#[derive(Debug, Parser)]
#[command(args_conflicts_with_subcommands = true)]
struct Arguments {
    /// Which; without any, all.
    #[arg(value_enum)]
    which: Vec<Which>,
    /// Sizes of ListingMark for `engine`.
    #[arg(long, value_delimiter = ',', default_value = "S,M,HOT")]
    sizes: Vec<String>,
    /// Variants of ListingMark for `engine`; with others than `plain`, only how changes fare is measured.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "plain")]
    variants: Vec<Variant>,
    /// How many histories `correctness` tells in another way.
    #[arg(long, default_value_t = 10_000)]
    permutations: u64,
    /// How many top threes `correctness` compares with brute force.
    #[arg(long, default_value_t = 100_000_000)]
    checks: u64,
    /// What `correctness` makes its worlds of.
    #[arg(long, default_value_t = engine::SEED)]
    seed: u64,
    /// Listings, and as many sessions, of `volume`; listings, and a tenth as many sessions, of `api`.
    #[arg(long, default_value_t = stock::DEFAULT, value_parser = clap::value_parser!(u32).range(poll::SESSIONS as i64..=MOST))]
    stock: u32,
    /// Also put the table into bench/RESULTS.md, in the place of the one before.
    #[arg(long)]
    record: bool,
    /// Also measure the classic build of `bench/peers/classic` for `api`: needs PostgreSQL, Redis, and packages of Python.
    #[arg(long)]
    classic: bool,
    /// Serve as the bare HTTP handler that the API is compared with, with a body of so many bytes; used by `api` itself.
    #[arg(long, hide = true, value_name = "BYTES")]
    bare_handler: Option<usize>,
    #[command(subcommand)]
    files: Option<Files>,
}

/// What `bench/peers/run` asks of us, and what needs no servers and has a table of its own.
#[derive(Debug, Subcommand)]
enum Files {
    /// Write ListingMark as files that every engine reads.
    Mark {
        #[arg(long)]
        size: String,
        #[arg(long)]
        changes: usize,
        /// A directory.
        #[arg(long)]
        out: PathBuf,
    },
    /// Run our engine on these files; prints one line of JSON.
    MarkRun {
        directory: PathBuf,
        #[arg(long, value_enum, default_value = "scalar")]
        kernel: KernelName,
        /// Changes applied at once.
        #[arg(long, default_value = "1")]
        batch: NonZeroUsize,
        /// Where to write what each session sees at the end.
        #[arg(long)]
        top3: PathBuf,
        /// Where to write what each session sees before the changes.
        #[arg(long)]
        start: Option<PathBuf>,
    },
    /// The trees of a model: ONNX Runtime's operator, ours, and LightGBM's own predict.
    Trees {
        /// Its directory: `<registry>/<name>/<version>`.
        #[arg(default_value = "enricher/model/registry/synthetic-us/2")]
        directory: PathBuf,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum KernelName {
    Avx512,
    Scalar,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Which {
    /// Ingest and enricher, records per second of CPU; then start, recovery and memory of what they made.
    Volume,
    /// From a published change to the first read that shows it, on Kafka and CQL.
    Latency,
    /// The same in one process on the embedded log and tables.
    Embedded,
    /// The engine alone, on ListingMark.
    Engine,
    /// The counter: every kind of request, streams, and how soon it knows, on Kafka and CQL and embedded.
    Api,
    /// What comparable sales cost the enricher.
    Comparables,
    /// The enricher without the log: decode, value, encode.
    Appraise,
    /// The engine alone: histories told in other ways, and everybody's top three beside brute force's. Fails on a mistake.
    Correctness,
}

fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    if let Some(body) = arguments.bare_handler {
        counter::bare::serve(body)?;
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(files) = arguments.files {
        return files.run();
    }
    ensure!(
        arguments.stock == stock::DEFAULT || !arguments.record,
        "--record keeps the table of {}: leave out --record or --stock",
        Stock(stock::DEFAULT)
    );
    std::env::set_current_dir(e2e::harness::repository())?;
    if arguments.which.contains(&Which::Engine) {
        ensure!(
            arguments.which == [Which::Engine] && !arguments.record,
            "engine runs alone, and --record keeps the table of the others: leave them out"
        );
        return engines(&arguments.sizes, &arguments.variants);
    }
    let needs_servers = |which: &Which| !matches!(which, Which::Comparables | Which::Appraise);
    if !arguments.which.is_empty() && !arguments.which.iter().any(needs_servers) {
        let mut report = Report::begin();
        for which in arguments.which {
            if which == Which::Appraise { appraise::run(&mut report)? } else { comparables::run(&mut report)? }
        }
        println!("{}", report.end());
        return Ok(ExitCode::SUCCESS);
    }
    if arguments.which.contains(&Which::Correctness) {
        ensure!(
            arguments.which == [Which::Correctness] && !arguments.record,
            "correctness runs alone, and --record keeps the table of the others: leave them out"
        );
        return correctness::run(arguments.seed, arguments.permutations, arguments.checks);
    }
    let servers = Servers::from_environment()
        .context("no servers: run `make bench`, or name them in ROOST_TEST_KAFKA and ROOST_TEST_CQL")?;
    let chosen = |which| arguments.which.is_empty() || arguments.which.contains(&which);
    let mut report = Report::begin();
    // In this order: a JVM that has just been started is slow for a minute, and the first benchmark warms both servers.
    if chosen(Which::Volume) {
        volume(&servers, Stock(arguments.stock), &mut report)?;
    }
    if chosen(Which::Latency) {
        latency::on_servers(&servers, &mut report)?;
    }
    if chosen(Which::Embedded) {
        latency::embedded(&mut report)?;
    }
    let requests = if chosen(Which::Api) {
        Some(counter::run(&servers, Stock(arguments.stock).each(), arguments.classic, &mut report)?)
    } else {
        None
    };
    if chosen(Which::Comparables) {
        comparables::run(&mut report)?;
    }
    if chosen(Which::Appraise) {
        appraise::run(&mut report)?;
    }
    let mut text = report.end();
    if let Some(requests) = requests {
        text = format!("{text}\nRequests a second (per second of the server's CPU), p50 / p99:\n\n{requests}");
    }
    println!("{text}");
    if arguments.record {
        report::record(&text, arguments.which == [Which::Api])?;
    }
    Ok(ExitCode::SUCCESS)
}

impl Files {
    fn run(self) -> Result<ExitCode> {
        match self {
            Self::Mark { size, changes, out } => mark_files::write(size_of(&size)?, changes, &out)?,
            Self::MarkRun { directory, kernel, batch, top3, start } => {
                let kernel = match kernel {
                    KernelName::Avx512 => ("avx512", Kernel::avx512().context("this processor lacks AVX-512 VBMI")?),
                    KernelName::Scalar => ("scalar", Kernel::Portable),
                };
                mark_run::run(&directory, kernel, batch.get(), (start.as_deref(), &top3))?;
            }
            Self::Trees { directory } => return trees::run(&directory),
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn size_of(name: &str) -> Result<listing_mark::Size> {
    let known = listing_mark::SIZES.map(|size| size.name);
    listing_mark::SIZES
        .into_iter()
        .find(|size| size.name == name)
        .with_context(|| format!("{name} is no size of ListingMark (expected one of {})", known.join(", ")))
}

fn engines(sizes: &[String], variants: &[Variant]) -> Result<ExitCode> {
    let sizes: Vec<_> = sizes.iter().map(|name| size_of(name)).collect::<Result<_>>()?;
    let mut report = Report::begin();
    for size in sizes {
        let is_plain = variants.contains(&Variant::Plain);
        let peer = if is_plain { engine::brute_force(size, &mut report) } else { None };
        for (name, kernel) in [("avx512", Kernel::avx512()), ("scalar", Some(Kernel::Portable))] {
            let Some(kernel) = kernel else { continue };
            if is_plain {
                engine::run(size, name, kernel, peer, &mut report)?;
            }
            for variant in variants.iter().filter(|variant| **variant != Variant::Plain) {
                adversary::run(size, *variant, name, Box::new(Indexed::new(kernel)), &mut report)?;
            }
        }
    }
    println!("{}", report.end());
    Ok(ExitCode::SUCCESS)
}

/// One installation that fills, so that what is measured last has the whole stock.
fn volume(servers: &Servers, stock: Stock, report: &mut Report) -> Result<()> {
    let mut installation = services::installation(servers, "volume")?;
    throughput::run(servers, &mut installation, stock, report)?;
    restart::run(&mut installation, stock, report)?;
    poll::run(&mut installation, stock, report)
}
