//! `roost model`: which models there are, which values, and how good one would have been.

use std::fs::File;
use std::io::BufWriter;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Subcommand};
use enricher::hindsight;
use enricher::onnx::Runtime;
use enricher::registry::Registry;
use enricher::replay::{Replay, Replayed};
use schemas::model_alias::ModelName;

use self::champion::Promotion;
use super::rows::{self, Rows};
use crate::config::Settings;

mod champion;

/// Arguments of `roost model`.
#[derive(Debug, Args)]
pub struct Models {
    /// The directory of `roost up`, while it is stopped; the log of the settings when absent.
    #[arg(long, value_name = "DIR", global = true)]
    data_dir: Option<PathBuf>,
    #[command(subcommand)]
    what: Model,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Model {
    /// List the models of the registry, and say who values.
    List,
    /// Load a model and run its golden rows, as a process that values would; exit code 0 if it can be used.
    Check(Named),
    /// Check models, then have them value: every enricher and API loads them, and what is on offer is valued again. The first
    /// that covers a home and sees what it requires of it has the word.
    Promote(Order),
    /// Have those value again whom the present ones replaced.
    Rollback,
    /// Check a model, then have it value in shadow: the same homes as the champion, for metrics, `valuations.shadow` and
    /// `roost model compare`, never for users.
    Candidate(Candidate),
    /// Have the candidate value a part of the listings for users, chosen by a hash of their ids; 0 ends the trial.
    Trial(Trial),
    /// Compare the candidate with the champion by the sales that closed since, and say what follows.
    Compare,
    /// Value past sales as if each were on offer on the day it closed, with what was known then.
    Replay(ReplayArguments),
}

/// A model.
#[derive(Debug, Args)]
pub struct Named {
    /// `<name>/<version>`, as they lie in the registry.
    #[arg(value_name = "NAME/VERSION", value_parser = model_name)]
    model: ModelName,
}

/// Models.
#[derive(Debug, Args)]
pub struct Order {
    /// `<name>/<version>`, in the order in which they are asked.
    #[arg(value_name = "NAME/VERSION", value_parser = model_name, required = true)]
    models: Vec<ModelName>,
}

/// Arguments of `roost model candidate`.
#[derive(Debug, Args)]
pub struct Candidate {
    /// `<name>/<version>`, as it lies in the registry.
    #[arg(value_name = "NAME/VERSION", value_parser = model_name, required_unless_present = "withdraw")]
    model: Option<ModelName>,
    /// Have none.
    #[arg(long, conflicts_with = "model")]
    withdraw: bool,
}

/// Arguments of `roost model trial`.
#[derive(Debug, Args)]
pub struct Trial {
    /// Share of the listings, in per cent.
    #[arg(value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(0..=99))]
    percent: u8,
}

/// Arguments of `roost model replay`.
#[derive(Debug, Args)]
pub struct ReplayArguments {
    /// A feed's file of closed sales, as `roost publish` reads it.
    file: PathBuf,
    /// What makes RESO of a row: `reso`, `redfin`, or a mapping file (docs/mapping.md).
    #[arg(long, value_name = "MAP")]
    map: String,
    /// The directory of models; `enricher.registry` when absent.
    #[arg(long, value_name = "DIR")]
    registry: Option<PathBuf>,
    /// The model.
    #[arg(long, value_name = "NAME/VERSION", value_parser = model_name)]
    model: ModelName,
    /// A sale is known to days that are more than so many after its closing.
    #[arg(long, value_name = "DAYS", value_parser = rows::days, default_value = "0d")]
    known_after: u16,
    /// Sales before this day are only learnt from.
    #[arg(long, value_name = "DATE")]
    from: Option<jiff::civil::Date>,
    /// Where to write the CSV; standard output when absent.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Does it.
pub fn run(models: &Models, mut settings: Settings) -> anyhow::Result<ExitCode> {
    if let Some(directory) = &models.data_dir {
        settings.in_one_process(directory);
    }
    let settings = &settings;
    match &models.what {
        Model::List => champion::list(settings),
        Model::Check(Named { model }) => champion::check(model, settings).map(|()| ExitCode::SUCCESS),
        Model::Promote(Order { models }) => Promotion::open(settings)?.promote(models),
        Model::Rollback => Promotion::open(settings)?.rollback(),
        Model::Candidate(Candidate { model: Some(model), .. }) => Promotion::open(settings)?.nominate(model),
        Model::Candidate(Candidate { model: None, .. }) => Promotion::open(settings)?.withdraw(),
        Model::Trial(Trial { percent }) => Promotion::open(settings)?.trial(*percent),
        Model::Compare => Promotion::open(settings)?.compare(),
        Model::Replay(arguments) => replay(arguments, settings),
    }
}

/// The columns of a replay. Prices are as served but for the last, which the level of the market has not corrected.
const COLUMNS: [&str; 8] = ["listing_id", "close_date", "close_price", "p10", "p50", "p90", "p50_uncorrected", "level"];

/// Exit code 1 when a row was refused.
fn replay(arguments: &ReplayArguments, settings: &Settings) -> anyhow::Result<ExitCode> {
    let registry = Registry::new(arguments.registry.as_ref().unwrap_or(&settings.enricher.registry));
    let runtime = Runtime::load(&settings.enricher.library())?;
    let mut replay = Replay::open(&registry, &runtime, &arguments.model)?;
    let Rows { listings, refused } = rows::read(&arguments.file, &arguments.map)?;
    let output: Box<dyn std::io::Write> = match &arguments.output {
        Some(path) => Box::new(BufWriter::new(
            File::create(path).with_context(|| format!("{} cannot be written", path.display()))?,
        )),
        None => Box::new(std::io::stdout().lock()),
    };
    let mut csv = csv::Writer::from_writer(output);
    csv.write_record(COLUMNS)?;
    let (mut valued, mut unvalued) = (0_u64, 0_u64);
    let listings = hindsight::in_order(listings);
    replay.run(&listings, arguments.known_after, arguments.from, |row| {
        *if row.valuation.is_ok() { &mut valued } else { &mut unvalued } += 1;
        csv.write_record(cells(&row)).map_err(anyhow::Error::from)
    })?;
    csv.flush()?;
    eprintln!("{valued} sales valued, {unvalued} not, {refused} rows refused");
    Ok(if refused == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A sale without valuation has empty cells.
fn cells(row: &Replayed<'_>) -> [String; COLUMNS.len()] {
    let valuation = row.valuation.as_ref().ok();
    let said = |text: Option<String>| text.unwrap_or_default();
    [
        row.sold.listing_id.to_string(),
        said(row.sold.close_date.map(|day| day.to_string())),
        row.close_price.to_string(),
        said(valuation.map(|valuation| valuation.p10.to_string())),
        said(valuation.map(|valuation| valuation.p50.to_string())),
        said(valuation.map(|valuation| valuation.p90.to_string())),
        said(row.uncorrected.as_ref().map(|alone| alone.p50.to_string())),
        said(valuation.map(|valuation| format!("{:.6}", f64::from(valuation.level_ppm) / 1e6))),
    ]
}

fn model_name(text: &str) -> Result<ModelName, String> {
    ModelName::parse(text).ok_or_else(|| format!("{text} is not `<name>/<version>`, such as `synthetic-us/1`"))
}
