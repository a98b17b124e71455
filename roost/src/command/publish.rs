//! `roost publish`: a feed client. Files become raw records, to the log or to a push port, with a progress bar.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use ingest::mapping::Mapping;
use ingest::publish::{DEFAULT_MAX_VANISH, Options, Sink, Snapshot, Summary};
use schemas::id::FeedName;

use crate::config::Settings;

/// Arguments of `roost publish`.
#[derive(Debug, Args)]
pub struct Publish {
    /// JSON, JSON lines or CSV, each also compressed (.zst); read in this order.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// The feed that the listings are of.
    #[arg(long, value_name = "NAME")]
    feed: FeedName,
    /// What makes RESO of a row: `reso`, `redfin`, or a mapping file (docs/mapping.md).
    #[arg(long, value_name = "MAP", default_value = "reso")]
    map: String,
    /// Most records a second; as fast as they are taken when absent.
    #[arg(long, value_name = "N")]
    rate: Option<NonZeroU32>,
    /// The files hold everything that is on offer: what is absent is deleted.
    #[arg(long)]
    snapshot: bool,
    /// When the snapshot was taken (RFC 3339), where the mapping does not say.
    #[arg(long, value_name = "TIME", requires = "snapshot")]
    snapshot_time: Option<jiff::Timestamp>,
    /// The share of the homes on offer that may be absent from a snapshot.
    #[arg(long, value_name = "SHARE", requires = "snapshot", default_value_t = DEFAULT_MAX_VANISH)]
    max_vanish: f64,
    /// Push over HTTP to this address instead of writing to the log; also who is asked for the keys of a snapshot.
    #[arg(long, value_name = "URL")]
    push: Option<String>,
}

/// Publishes; exit code 1 when a row was refused.
pub fn run(arguments: Publish, settings: Settings) -> anyhow::Result<ExitCode> {
    let keys_at = arguments.push.clone().unwrap_or_else(|| format!("http://{}", settings.ingest.push.listen));
    let max_vanish = arguments.max_vanish;
    let snapshot = arguments.snapshot.then_some(Snapshot { keys_at, at: arguments.snapshot_time, max_vanish });
    let sink = match &arguments.push {
        Some(address) => Sink::Push(address.clone()),
        None => Sink::Log(stream::open(&settings.log)?),
    };
    let mapping = Mapping::named_or_load(&arguments.map)?;
    let options = Options { files: arguments.files, feed: arguments.feed, mapping, rate: arguments.rate, snapshot };
    // A constant that is a template.
    let style = ProgressStyle::with_template("{bar:30} {percent}% {msg}").expect("a template");
    let bar = ProgressBar::new(0).with_style(style);
    let summary = ingest::publish::run(&options, sink, &mut |progress| {
        bar.set_length(progress.total_bytes);
        bar.set_position(progress.read_bytes);
        bar.set_message(format!("{} rows, {} sent", progress.rows, progress.sent));
    })?;
    bar.finish_and_clear();
    tell(&summary);
    Ok(if summary.refused.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn tell(summary: &Summary) {
    let Summary { rows, skipped, sent, deleted, unmapped, .. } = summary;
    println!("{rows} rows read, {skipped} lines skipped; {sent} records sent, {deleted} of them deletions");
    for snapshot in &summary.snapshots {
        println!("  snapshot of {}: {} rows, {} homes gone", snapshot.time, snapshot.rows, snapshot.deleted);
    }
    if *unmapped > 0 {
        println!("  {unmapped} rows could not be mapped and were sent as they are: ingest dead-letters them");
    }
    for (code, count) in &summary.refused {
        println!("  {count} rows are not on the log: {code}");
    }
    for member in &summary.silent_members {
        println!("  no row said anything for {member}: is its column spelt right in the mapping?");
    }
    for row in &summary.told {
        println!("  {row}");
    }
}
