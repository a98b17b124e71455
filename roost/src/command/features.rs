//! `roost features FILE`: the matrix that training reads, from the one implementation of the features.

use std::fs::File;
use std::io::{BufReader, BufWriter, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;

/// Arguments of `roost features`.
#[derive(Debug, Args)]
pub struct Features {
    /// Listings or sales, one JSON object a line.
    file: PathBuf,
    /// Where to write the CSV; standard output when absent.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// The features, in order; all built-in ones when absent.
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    names: Vec<String>,
}

/// Writes the matrix.
pub fn run(arguments: &Features) -> anyhow::Result<ExitCode> {
    let name = arguments.file.display();
    let input = BufReader::new(File::open(&arguments.file).with_context(|| format!("{name} cannot be read"))?);
    let mut output: Box<dyn Write> = match &arguments.output {
        Some(path) => Box::new(BufWriter::new(
            File::create(path).with_context(|| format!("{} cannot be written", path.display()))?,
        )),
        None => Box::new(std::io::stdout().lock()),
    };
    let features = if arguments.names.is_empty() {
        enricher::features::FeatureList::built_in()
    } else {
        enricher::features::FeatureList::named(&arguments.names)?
    };
    let surroundings = enricher::surroundings::Surroundings::new(enricher::schools::SchoolRatings::default(), true);
    let rows = enricher::matrix::write_matrix(input, &features, &surroundings, &mut output)
        .with_context(|| format!("{name}"))?;
    eprintln!("{rows} rows of {} features", features.len());
    Ok(ExitCode::SUCCESS)
}
