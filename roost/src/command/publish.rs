//! `roost publish`: a feed client. Files become raw records, to the log or to a push port, with a progress bar.

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use ingest::mapping::Mapping;
use ingest::publish::{DEFAULT_MAX_VANISH, Key, Options, Sink, Snapshot, Summary, Waits};
use schemas::id::FeedName;

use crate::config::Settings;

/// Arguments of `roost publish`.
#[derive(Debug, Args)]
pub struct Publish {
    /// JSON (.json), JSON lines (.jsonl, .ndjson) or CSV (.csv, .tsv), each also with .zst; read in this order.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// The feed that the listings are of.
    #[arg(long, value_name = "NAME")]
    feed: FeedName,
    /// What makes RESO of a row: `reso`, `redfin`, or a mapping file (docs/mapping.md).
    #[arg(long, value_name = "MAP", default_value = "reso")]
    map: String,
    /// Most records a second; as fast as they are taken when absent.
    #[arg(long, value_name = "N", value_parser = rate)]
    rate: Option<NonZeroU32>,
    /// The files hold everything that is on offer: what is absent is deleted.
    #[arg(long)]
    snapshot: bool,
    /// When the snapshot was taken (RFC 3339), where the mapping does not say.
    #[arg(long, value_name = "TIME", requires = "snapshot")]
    at: Option<jiff::Timestamp>,
    /// The share of the homes on offer, 0 to 1, that may be absent from a snapshot.
    #[arg(long, value_name = "SHARE", requires = "snapshot", default_value_t = DEFAULT_MAX_VANISH, value_parser = share)]
    max_vanish: f64,
    /// Push over HTTP to this address instead of writing to the log; also who is asked for the keys of a snapshot.
    #[arg(long, value_name = "URL")]
    push: Option<String>,
    /// The file of the API key that the push port asks for; else the variable ROOST_API_KEY has it.
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
}

/// Publishes; exit code 1 when a row was refused, or there is none.
pub fn run(arguments: Publish, settings: Settings) -> anyhow::Result<ExitCode> {
    let keys_at = arguments.push.clone().unwrap_or_else(|| format!("http://{}", settings.ingest.push.listen));
    let max_vanish = arguments.max_vanish;
    let snapshot = arguments.snapshot.then_some(Snapshot { keys_at, at: arguments.at, max_vanish });
    crate::telemetry::install_warnings();
    // A mistake of the person is told before the log is waited for.
    let to_port = arguments.push.is_some();
    let mapping = Mapping::named_or_load(&arguments.map)?;
    let key = key(arguments.key_file.as_deref())?;
    let sink = match &arguments.push {
        Some(address) => Sink::Push(address.clone()),
        None => Sink::Log(stream::open(&settings.log)?),
    };
    let Publish { files, feed, rate, .. } = arguments;
    let options = Options { files, feed, mapping, rate, snapshot, key };
    // A constant that is a template.
    let style = ProgressStyle::with_template("{bar:30} {percent}% {msg}").expect("a template");
    let bar = ProgressBar::new(0).with_style(style);
    let told = bar.clone();
    let waits: Waits = Arc::new(move |reason| told.suspend(|| eprintln!("roost: {reason}")));
    let summary = ingest::publish::run(&options, sink, &waits, &mut |progress| {
        bar.set_length(progress.total_bytes);
        bar.set_position(progress.read_bytes);
        bar.set_message(match progress.sent {
            0 => format!("{} rows looked at", progress.rows),
            sent => format!("{sent} records sent"),
        });
    })?;
    bar.finish_and_clear();
    tell(&summary, to_port);
    Ok(if summary.refused.is_empty() && summary.rows > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The API key, of a file or of the environment: on the command line everybody on the machine could read it.
fn key(file: Option<&Path>) -> anyhow::Result<Option<Key>> {
    let text = match file {
        Some(path) => {
            Some(std::fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?)
        }
        None => std::env::var("ROOST_API_KEY").ok(),
    };
    let Some(text) = text.map(|text| text.trim().to_owned()).filter(|text| file.is_some() || !text.is_empty()) else {
        return Ok(None);
    };
    let place = file.map_or_else(|| "ROOST_API_KEY".to_owned(), |path| path.display().to_string());
    match access::key::parse(&text) {
        Some(_) => Ok(Some(Key(text))),
        None => anyhow::bail!("{place} holds no API key (expected roost_<id>_<secret>; `roost key create` makes one)"),
    }
}

/// A share as a person writes it; `20` for 20 % would switch the guard off.
fn share(text: &str) -> Result<f64, String> {
    let share = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| format!("{text} is no share (expected 0 to 1: 0.3 is 30 %)"))
}

fn rate(text: &str) -> Result<NonZeroU32, String> {
    text.parse().map_err(|_| format!("{text} is no rate (expected 1 to {}, in records a second)", u32::MAX))
}

fn tell(summary: &Summary, to_port: bool) {
    let Summary { rows, skipped, sent, deleted, unmapped, .. } = summary;
    println!("{rows} rows read, {skipped} lines skipped; {sent} records sent, {deleted} of them deletions");
    if *rows == 0 {
        println!("  the files hold no row: is the export finished?");
    }
    for snapshot in &summary.snapshots {
        println!("  snapshot of {}: {} rows, {} homes gone", snapshot.time, snapshot.rows, snapshot.deleted);
    }
    // To a push port they are not sent, and told with the refused ones.
    if *unmapped > 0 && !to_port {
        println!("  {unmapped} rows could not be mapped and were sent as they are: ingest dead-letters them");
    }
    for (code, count) in &summary.refused {
        println!("  {count} rows are not on the log: {code}");
    }
    // Where no row could be mapped, that is told, and this follows.
    if !summary.silent_members.is_empty() && *unmapped < *rows {
        let members = summary.silent_members.join(", ");
        println!("  no row said anything for {members} (in a JSON file, look at how the mapping spells their columns)");
    }
    for row in &summary.told {
        println!("  {row}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_records_a_second_is_no_rate() {
        assert_eq!(rate("7").map(NonZeroU32::get), Ok(7));
        assert!(rate("0").unwrap_err().starts_with("0 is no rate (expected 1 to"));
    }

    #[test]
    fn per_cents_are_no_share() {
        assert_eq!(share("0.3"), Ok(0.3));
        for text in ["20", "-0.1", "NaN", "a fifth"] {
            assert!(share(text).is_err(), "{text}");
        }
    }
}
