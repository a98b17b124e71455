//! `roost features FILE`: the matrix that training reads, from the one implementation of the features. With `--meanings`, what
//! the features are.

use std::fs::File;
use std::io::{BufReader, BufWriter, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use enricher::features::{FORMS, Feature, FeatureList};
use enricher::hindsight::{self, Known};
use enricher::matrix::{read_lines, write_matrix};
use enricher::schools::SchoolRatings;
use enricher::surroundings::Surroundings;
use serde::Serialize;

use super::rows::{self, Rows};

/// Arguments of `roost features`.
#[derive(Debug, Args)]
pub struct Features {
    /// Canonical listings or facts, one JSON object a line; with --map a feed's own file, as `roost publish` reads it.
    #[arg(required_unless_present = "meanings")]
    file: Option<PathBuf>,
    /// Instead of a matrix, JSON: of each of the names its unit and meaning; without --names of every built-in feature and of
    /// every form that other features have.
    #[arg(long, conflicts_with_all = ["file", "map", "known_after"])]
    meanings: bool,
    /// Where to write it; standard output when absent.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// The features, in order; all built-in ones when absent.
    #[arg(long, value_name = "NAMES")]
    names: Option<String>,
    /// What makes RESO of a row: `reso`, `redfin`, or a mapping file (docs/mapping.md). The rows are put in the order of
    /// their days.
    #[arg(long, value_name = "MAP")]
    map: Option<String>,
    /// A row knows the sales that closed more than so long before its own day. When absent, those of the rows above it.
    #[arg(long, value_name = "DAYS", value_parser = rows::days)]
    known_after: Option<u16>,
}

/// What a feature is, as `--meanings` prints it.
#[derive(Serialize)]
struct Meaning {
    /// A name, or the form of names.
    feature: String,
    unit: &'static str,
    meaning: &'static str,
}

/// Writes the matrix; exit code 1 when a row was refused.
pub fn run(arguments: &Features) -> anyhow::Result<ExitCode> {
    let Some(file) = &arguments.file else {
        let mut output = output(arguments)?;
        serde_json::to_writer_pretty(&mut output, &meanings(arguments.names.as_deref())?)?;
        writeln!(output)?;
        output.flush()?;
        return Ok(ExitCode::SUCCESS);
    };
    let features = match &arguments.names {
        None => FeatureList::built_in(),
        Some(names) => FeatureList::named(&split(names))?,
    };
    let name = file.display();
    let known = arguments.known_after.map_or(Known::Below, Known::After);
    let (listings, refused) = match &arguments.map {
        Some(map) => {
            let Rows { listings, refused } = rows::read(file, map)?;
            (Some(listings), refused)
        }
        None if known == Known::Below => (None, 0),
        None => (Some(read_lines(open(file)?).collect::<Result<_, _>>().with_context(|| format!("{name}"))?), 0),
    };
    let mut output = output(arguments)?;
    let surroundings = Surroundings::new(SchoolRatings::default(), true);
    let written = match listings {
        Some(listings) => {
            let in_order = hindsight::in_order(listings).into_iter().map(Ok);
            write_matrix(in_order, known, &features, &surroundings, &mut output)
        }
        None => write_matrix(read_lines(open(file)?), known, &features, &surroundings, &mut output),
    };
    let rows = written.with_context(|| format!("{name}"))?;
    eprintln!("{rows} rows of {} features, {refused} rows refused", features.len());
    Ok(if refused == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn meanings(names: Option<&str>) -> anyhow::Result<Vec<Meaning>> {
    let meaning = |feature: String, (unit, meaning)| Meaning { feature, unit, meaning };
    let of = |feature: &Feature| meaning(feature.to_string(), feature.unit_and_meaning());
    Ok(match names {
        Some(names) => FeatureList::named(&split(names))?.iter().map(of).collect(),
        None => {
            let forms = FORMS.iter().map(|form| meaning(form.name.to_owned(), (form.unit, form.meaning)));
            FeatureList::built_in().iter().map(of).chain(forms).collect()
        }
    })
}

fn output(arguments: &Features) -> anyhow::Result<Box<dyn Write>> {
    Ok(match &arguments.output {
        Some(path) => Box::new(BufWriter::new(
            File::create(path).with_context(|| format!("{} cannot be written", path.display()))?,
        )),
        None => Box::new(std::io::stdout().lock()),
    })
}

fn open(file: &PathBuf) -> anyhow::Result<BufReader<File>> {
    Ok(BufReader::new(File::open(file).with_context(|| format!("{} cannot be read", file.display()))?))
}

/// Names between commas; the comma of `distance_km.47.6,-122.3` parts no two: no name begins with a digit or a sign.
fn split(names: &str) -> Vec<String> {
    let mut split: Vec<String> = Vec::new();
    for part in names.split(',') {
        match split.last_mut() {
            Some(last) if part.starts_with(|c: char| c.is_ascii_digit() || c == '-' || c == '+') => {
                last.push(',');
                last.push_str(part);
            }
            _ => split.push(part.to_owned()),
        }
    }
    split
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn meanings_are_of_the_names_in_their_order_or_of_all_there_are() {
        let named = meanings(Some("month,distance_km.47.6,-122.3")).unwrap();
        let said = serde_json::to_value(&named).unwrap();
        assert_eq!(
            said,
            serde_json::json!([
                {"feature": "month", "unit": "1 to 12", "meaning": "month of the statement"},
                {"feature": "distance_km.47.6,-122.3", "unit": "km", "meaning": "distance to this place"},
            ])
        );
        let all = meanings(None).unwrap();
        assert_eq!(all.len(), FeatureList::built_in().len() + FORMS.len());
        assert!(meanings(Some("list_price")).is_err());
    }

    #[test]
    fn the_comma_within_a_place_parts_no_names() {
        let names = "month,distance_km.47.6,-122.3,ratio.distance_km.1,2/month,year_built";
        assert_eq!(split(names), ["month", "distance_km.47.6,-122.3", "ratio.distance_km.1,2/month", "year_built"]);
    }
}
