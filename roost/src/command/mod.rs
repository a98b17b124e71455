//! The subcommands. Each is a file; this one only knows their arguments.

mod check;
mod features;
mod health;
mod init;
mod key;
mod model;
mod publish;
mod rows;
mod serve;
mod synthetic;
mod up;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Keeps the three best homes of every session current while the market moves.
#[derive(Debug, Parser)]
#[command(
    name = "roost",
    version,
    about,
    after_help = "Settings: --config FILE (repeatable), then variables such as ROOST__SCORER__WINDOW=512. \
    `roost config` prints every setting with its default."
)]
pub struct Arguments {
    /// Settings, TOML; a later file wins.
    #[arg(long, global = true, value_name = "FILE", env = "ROOST_CONFIG", value_delimiter = ',')]
    config: Vec<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run everything in one process, on the embedded log and tables.
    Up(up::Up),
    /// Run the front door: raw feeds become canonical listings.
    Ingest,
    /// Run the appraiser: canonical listings get history, valuation and deal.
    Enricher,
    /// Run the judge: keeps the top three of every session.
    Scorer,
    /// Run the counter: accepts preferences, reads recommendations.
    Api,
    /// Create topics and tables; idempotent. Prints what it changed, refuses what it cannot.
    Init,
    /// Publish files of listings as a feed.
    Publish(publish::Publish),
    /// Write or publish the synthetic market.
    Synthetic(synthetic::Synthetic),
    /// Write the feature matrix of priced or canonical listings, as training reads it.
    Features(features::Features),
    /// List, check and promote models; replay the past with one.
    Model(model::Models),
    /// Make the secret of tokens; make, list and revoke API keys.
    Key(key::Keys),
    /// Load config and model, connect, report each.
    Check(check::Check),
    /// Ask the admin port of this machine whether all is well; exit code 0 if so.
    Health,
    /// Print every setting with its default and a comment.
    Config,
}

/// Does what was asked for.
pub fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let load = || crate::config::load(&arguments.config);
    match arguments.command {
        Command::Up(up) => up::run(&up, load()?),
        Command::Ingest => serve::run(serve::Role::Ingest, load()?),
        Command::Enricher => serve::run(serve::Role::Enricher, load()?),
        Command::Scorer => serve::run(serve::Role::Scorer, load()?),
        Command::Api => serve::run(serve::Role::Api, load()?),
        Command::Init => init::run(&load()?),
        Command::Publish(publish) => publish::run(publish, load()?),
        Command::Synthetic(synthetic) => synthetic::run(synthetic, load()?),
        Command::Features(features) => features::run(&features),
        Command::Model(models) => model::run(&models, load()?),
        Command::Key(keys) => key::run(&keys, load()?),
        Command::Check(check) => check::run(&check, &load()?),
        Command::Health => health::run(&load()?),
        Command::Config => {
            print!("{}", crate::config::DEFAULTS);
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// A line for whoever reads the standard output; who reads no further needs no more.
fn say(line: impl std::fmt::Display) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// An error with its causes, each said once: some errors say their cause themselves.
pub fn told(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

/// A rate as a person writes it: most synthetic events a second.
fn per_second(text: &str) -> Result<f64, String> {
    let rate = text.parse().ok().filter(|rate: &f64| *rate > 0.0 && *rate <= MAX_PER_SECOND);
    rate.ok_or_else(|| {
        format!("{text} is no rate (expected more than 0 and at most {MAX_PER_SECOND}, in events a second)")
    })
}

/// Faster than any log of one machine takes them.
const MAX_PER_SECOND: f64 = 10_000_000.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_that_its_error_names_is_not_said_again() {
        let in_use = std::io::Error::from(std::io::ErrorKind::AddrInUse);
        let cause = in_use.to_string();
        let named = anyhow::Error::from(in_use).context(format!("port 1: {cause}; free it"));
        assert_eq!(told(&named.context("ingest")), format!("ingest: port 1: {cause}; free it"));
    }

    #[test]
    fn a_rate_that_nothing_could_be_paced_by_is_refused() {
        assert_eq!(per_second("0.5"), Ok(0.5));
        for text in ["0", "-1", "NaN", "inf", "fast"] {
            assert!(per_second(text).unwrap_err().contains("is no rate (expected more than 0"), "{text}");
        }
    }
}
