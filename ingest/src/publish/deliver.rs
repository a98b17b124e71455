//! One run: rows are read, made records of, and handed over; a snapshot is looked at as a whole before.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::Timestamp;
use rustc_hash::FxHashSet;
use schemas::dead_letter::Code;
use schemas::vocabulary::StandardStatus;

use super::census::{Census, Step};
use super::input::{Input, InputError, RawRow};
use super::log_sink::LogSink;
use super::pace::Pace;
use super::push_sink::PushSink;
use super::record::{Item, Records};
use super::summary::{Place, Progress, SnapshotSummary, Summary};
use super::walk::{Stop, Walk};
use super::{Options, PublishError, Sink, Snapshot, Waits, keys};
use crate::mapping::RowError;

/// Publishes. `progress` is called about ten times per second, from this thread.
pub fn run(
    options: &Options,
    sink: Sink,
    waits: &Waits,
    progress: &mut dyn FnMut(&Progress),
) -> Result<Summary, PublishError> {
    let mut walk = Walk::new(options, progress)?;
    walk.check_columns()?;
    let steps = match &options.snapshot {
        None => {
            walk.check_whole()?;
            None
        }
        Some(snapshot) => Some(plan(&mut walk, snapshot, waits)?),
    };
    let mut delivery = Delivery::new(options, sink, waits, walk.sent.clone())?;
    match steps {
        None => delivery.everything(&mut walk)?,
        Some(steps) => {
            walk.passes = 1 + steps.len() as u64;
            for step in steps {
                delivery.snapshot(&mut walk, step)?;
            }
        }
    }
    walk.tell();
    Ok(delivery.summary)
}

/// Reads every file once to learn what its snapshots hold.
fn plan(walk: &mut Walk<'_>, snapshot: &Snapshot, waits: &Waits) -> Result<Vec<Step>, PublishError> {
    let options = walk.options;
    if !options.mapping.tells_snapshot_time() && snapshot.at.is_none() {
        return Err(PublishError::Snapshot(
            "nothing says when the snapshot was taken (expected --at TIME, or a mapping with [snapshot])".to_owned(),
        ));
    }
    let mut census = Census::default();
    walk.passes = 2;
    walk.rows(&mut |input, raw, place| {
        let Some(row) = raw else {
            // A file that stops within its last row looks like one that is whole: a cell is cut, a row is missing.
            let reason = "the last line has no line end: the file is cut off (expected a whole one; fetch it again)";
            let error = InputError { file: place.file.clone(), line: Some(place.line), reason: reason.to_owned() };
            return Err(Stop::Input(error));
        };
        match about(options, snapshot, input, row) {
            Ok((time, key, is_offered)) => census.note(time, &key, is_offered),
            Err(reason) => census.note_hidden(place, &reason),
        }
        Ok(())
    })
    .map_err(|stop| stop.into_error(0))?;
    walk.passes = 1 + census.snapshots() as u64;
    let on_offer = keys::on_offer(&snapshot.keys_at, options, waits)?;
    census.plan(on_offer, snapshot.max_vanish, Timestamp::now()).map_err(PublishError::Snapshot)
}

/// Which snapshot a row is of, which home, and whether it says that the home is on offer or pending. A row that names its
/// home and cannot be mapped leaves the home as it was: present.
fn about(
    options: &Options,
    snapshot: &Snapshot,
    input: &Input,
    raw: &RawRow,
) -> Result<(Timestamp, String, bool), String> {
    let row = input.row(raw)?;
    let time = snapshot_time(options, snapshot, input, raw)?;
    match options.mapping.members(&row) {
        Ok(members) => {
            let key = members.text("ListingKey").ok_or("the row has no ListingKey")?;
            let status = members.text("StandardStatus").and_then(|status| status.parse::<StandardStatus>().ok());
            Ok((time, key, status.is_none_or(StandardStatus::is_on_offer_or_pending)))
        }
        Err(RowError { listing_key: Some(key), .. }) => Ok((time, key, true)),
        Err(error) => Err(error.to_string()),
    }
}

fn snapshot_time(options: &Options, snapshot: &Snapshot, input: &Input, raw: &RawRow) -> Result<Timestamp, String> {
    let row = input.row(raw)?;
    let own = options.mapping.snapshot_time(&row).map_err(|error| error.to_string())?;
    own.or(snapshot.at).ok_or_else(|| "the row does not say which snapshot it is of".to_owned())
}

/// Hands records over.
struct Delivery<'a> {
    options: &'a Options,
    records: Records<'a>,
    pace: Pace,
    outlet: Outlet,
    summary: Summary,
    /// For progress: how many records are taken.
    sent: Arc<AtomicU64>,
    /// Members of the mapping that no row has told yet.
    silent: FxHashSet<&'a str>,
}

enum Outlet {
    Log(LogSink),
    Push(PushSink),
}

impl<'a> Delivery<'a> {
    fn new(options: &'a Options, sink: Sink, waits: &Waits, sent: Arc<AtomicU64>) -> Result<Self, PublishError> {
        let outlet = match sink {
            Sink::Log(log) => Outlet::Log(LogSink::new(&log, waits)?),
            Sink::Push(base) => Outlet::Push(PushSink::new(&base, options, waits)),
        };
        Ok(Self {
            options,
            records: Records::new(&options.feed, &options.mapping),
            pace: Pace::new(options.rate),
            outlet,
            summary: Summary::default(),
            sent,
            silent: options.mapping.member_names().collect(),
        })
    }

    fn everything(&mut self, walk: &mut Walk<'_>) -> Result<(), PublishError> {
        let walked = walk.rows(&mut |input, raw, place| match raw {
            Some(raw) => self.row(input, raw, place, None).map_err(Stop::Error),
            None => Ok(()),
        });
        self.close(walk, walked)
    }

    /// The rows of one snapshot, then the deletion of what is absent from it.
    fn snapshot(&mut self, walk: &mut Walk<'_>, step: Step) -> Result<(), PublishError> {
        let Some(snapshot) = &self.options.snapshot else { return Ok(()) };
        let mut rows = 0;
        let walked = walk.rows(&mut |input, raw, place| match raw {
            Some(raw) if snapshot_time(self.options, snapshot, input, raw).is_ok_and(|time| time == step.time) => {
                rows += 1;
                self.row(input, raw, place, Some(step.time)).map_err(Stop::Error)
            }
            Some(_) | None => Ok(()),
        });
        let changed = walked.is_ok() && rows != step.rows;
        if walked.is_err() || changed {
            self.close(walk, walked)?;
            let reason = format!(
                "the snapshot of {} has changed while it was read: {rows} rows, {} before",
                step.time, step.rows
            );
            let error =
                InputError { file: self.options.files.first().cloned().unwrap_or_default(), line: None, reason };
            return Err(PublishError::Input { error, sent: self.outlet.sent() });
        }
        for key in &step.absent {
            let place = Place { file: format!("absent from the snapshot of {}", step.time).into(), line: 0 };
            let item = self.records.deletion(key, step.time, place);
            self.hand_over(item)?;
        }
        let deleted = step.absent.len() as u64;
        self.summary.deleted += deleted;
        self.summary.snapshots.push(SnapshotSummary { time: step.time, rows, deleted });
        self.close(walk, Ok(()))
    }

    fn row(
        &mut self,
        input: &Input,
        raw: &RawRow,
        place: &Place,
        stamp: Option<Timestamp>,
    ) -> Result<(), PublishError> {
        self.summary.rows += 1;
        match self.records.of(input, raw, place.clone(), stamp) {
            Ok((item, members)) => {
                if let Some(members) = members.filter(|_| !self.silent.is_empty()) {
                    for name in members.names() {
                        self.silent.remove(name);
                    }
                }
                self.hand_over(item)
            }
            Err((place, reason)) => {
                self.summary.refuse(&place, Code::TooLarge.as_str(), reason);
                Ok(())
            }
        }
    }

    fn hand_over(&mut self, item: Item) -> Result<(), PublishError> {
        if let Some(reason) = &item.unmapped {
            self.summary.unmapped += 1;
            self.summary.tell(&item.place, Code::MappingFailed.as_str(), reason.clone());
        }
        self.pace.wait();
        match &mut self.outlet {
            Outlet::Log(log) => log.put(item),
            Outlet::Push(push) => push.put(item, &mut self.summary),
        }?;
        self.sent.store(self.outlet.sent(), Ordering::Relaxed);
        Ok(())
    }

    /// Waits until everything that was handed over is taken, also when reading stopped before its end.
    fn close(&mut self, walk: &Walk<'_>, walked: Result<(), Stop>) -> Result<(), PublishError> {
        if let Err(Stop::Error(error)) = walked {
            return Err(error);
        }
        match &mut self.outlet {
            Outlet::Log(log) => log.finish(),
            Outlet::Push(push) => push.finish(&mut self.summary),
        }?;
        self.summary.sent = self.outlet.sent();
        self.sent.store(self.summary.sent, Ordering::Relaxed);
        self.summary.skipped = walk.skipped;
        let named = self.options.mapping.member_names();
        self.summary.silent_members = named.filter(|name| self.silent.contains(name)).map(str::to_owned).collect();
        walked.map_err(|stop| stop.into_error(self.outlet.sent()))
    }
}

impl Outlet {
    fn sent(&self) -> u64 {
        match self {
            Self::Log(log) => log.sent(),
            Self::Push(push) => push.sent(),
        }
    }
}
