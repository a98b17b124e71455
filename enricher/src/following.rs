//! The two topics that every process that values follows whole, without a group: `models` and `sales`.
//!
//! Threads and I/O; what a sale does to a market is `market.rs`, who values is `roster.rs`.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use schemas::model_alias::{CANDIDATE, CHAMPION, Champion, ModelName, epoch_of};
use schemas::sale::Sale;
use schemas::topic::Topic;
use stream::{Event, Fatal, Log, LogError, Reader, Record, Start};

use crate::appraiser::{Shared, StartError};
use crate::level::Levels;
use crate::metrics;
use crate::roster::Roll;

/// How long to wait for the next record before looking whether to end.
const POLL: Duration = Duration::from_millis(500);

/// How often a model that could not be loaded is tried again.
const TRY_AGAIN_EVERY: Duration = Duration::from_secs(10);

/// How often it is told how good valuations were: 50,000 sales are sorted in some 10 ms.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// The topic `models`, read to its end and followed from there.
pub(crate) struct Models {
    reader: Box<dyn Reader>,
    roll: Roll,
}

impl Models {
    /// Reads the topic to its end, within `within`.
    pub(crate) fn read(log: &Log, within: Duration) -> Result<Self, StartError> {
        let mut roll = Roll::default();
        let reader = read_to_end(log, &[(Topic::Models, 0, Start::Earliest)], within, |record| roll.take(record))?;
        Ok(Self { reader, roll })
    }

    /// What it says.
    pub(crate) const fn roll(&self) -> &Roll {
        &self.roll
    }
}

/// Hands all records of some partitions to `take`; the reader goes on behind them.
fn read_to_end(
    log: &Log,
    starts: &[(Topic, u32, Start)],
    within: Duration,
    mut take: impl FnMut(&Record),
) -> Result<Box<dyn Reader>, StartError> {
    let deadline = Instant::now() + within;
    let mut reader = log.follow_gathered(starts)?;
    let (mut events, mut open) = (Vec::new(), starts.len());
    let mut is_open = vec![true; starts.len()];
    while open > 0 {
        match reader.poll(POLL, &mut events) {
            Ok(()) => {}
            Err(LogError::Unavailable(_) | LogError::QueueFull) if Instant::now() < deadline => continue,
            Err(error) => return Err(error.into()),
        }
        for event in events.drain(..) {
            match event {
                Event::Record(record) => take(&record),
                Event::End { partition, .. } => {
                    let at = starts.iter().position(|(_, known, _)| *known == partition);
                    open -= usize::from(at.is_some_and(|at| std::mem::take(&mut is_open[at])));
                }
                Event::Assigned(_) | Event::Revoked(_) => {}
            }
        }
        if open > 0 && Instant::now() >= deadline {
            let topic = starts.first().map_or(Topic::Models, |(topic, ..)| *topic);
            let reason = format!("topic {topic} could not be read to its end within {within:?}");
            return Err(LogError::Unavailable(reason).into());
        }
    }
    Ok(reader)
}

/// What the topic `models` says: read to its end within `within`.
pub fn roll(log: &Log, within: Duration) -> Result<Roll, StartError> {
    Ok(Models::read(log, within)?.roll)
}

impl Roll {
    /// Takes in a record of `models`. One that is wrong changes nothing.
    fn take(&mut self, record: &Record) {
        let value = record.value.as_deref();
        let outcome = match (record.key.as_deref().map(String::from_utf8_lossy).as_deref(), value) {
            (Some(CHAMPION), Some(value)) => read_champion(value).map(|champion| {
                self.champion = Some((champion, epoch_of(record.offset)));
                self.broken = None;
            }),
            (Some(CANDIDATE), Some(value)) => {
                serde_json::from_slice(value).map_err(|error| error.to_string()).map(|candidate: ModelName| {
                    self.candidate = Some(candidate);
                })
            }
            (Some(CANDIDATE), None) => {
                self.candidate = None;
                Ok(())
            }
            // What users see is not taken back by saying nothing.
            (Some(CHAMPION), None) => Err("the champion's record is empty".to_owned()),
            _ => Ok(()),
        };
        if let Err(error) = outcome {
            let key = record.key.as_deref().map(String::from_utf8_lossy).unwrap_or_default();
            if key == CHAMPION {
                self.broken = Some(format!("offset {}: {error}", record.offset));
            }
            let (topic, offset) = (record.topic, record.offset);
            tracing::error!(offset, "{topic}: the record of {key} cannot be used: {error}; those who value stay");
            metrics::record_reload_failure();
        }
    }
}

fn read_champion(value: &[u8]) -> Result<Champion, String> {
    let champion: Champion = serde_json::from_slice(value).map_err(|error| error.to_string())?;
    champion.fault().map_or(Ok(champion), Err)
}

/// Follows `models`: others are loaded beside those who value, and take over when they have been checked. Who could not be loaded is
/// tried again, for the files may be mended or arrive.
pub(crate) fn spawn_models(
    mut models: Models,
    is_whole: bool,
    shared: Arc<Shared>,
    fatal: Fatal,
) -> std::io::Result<()> {
    let of_thread = Fatal::clone(&fatal);
    let follow = move || {
        let mut events = Vec::new();
        let mut failed_at = (!is_whole).then(Instant::now);
        while !shared.stopped.load(Ordering::Relaxed) {
            if !poll(models.reader.as_mut(), &mut events, &of_thread) {
                return;
            }
            let before = models.roll.clone();
            for event in events.drain(..) {
                if let Event::Record(record) = event {
                    models.roll.take(&record);
                }
            }
            if models.roll != before || failed_at.is_some_and(|at| at.elapsed() >= TRY_AGAIN_EVERY) {
                failed_at = (!shared.install(&models.roll)).then(Instant::now);
            }
        }
    };
    stream::spawn("appraiser-models", &fatal, follow).map(drop)
}

/// The closings of the last 90 days, as `sales` tells them: read to its end within `within`.
pub fn closings(log: &Log, within: Duration) -> Result<Levels, StartError> {
    let starts: Vec<_> = (0..log.partitions()).map(|partition| (Topic::Sales, partition, Start::Earliest)).collect();
    let mut levels = Levels::default();
    read_to_end(log, &starts, within, |record| {
        if let Some(sale) = record.value.as_deref().and_then(|value| serde_json::from_slice::<Sale>(value).ok()) {
            levels.take(&sale);
        }
    })?;
    Ok(levels)
}

/// Follows all of `sales`.
pub(crate) fn spawn_sales(shared: Arc<Shared>, log: Log, fatal: Fatal) -> Result<(), StartError> {
    let starts: Vec<_> = (0..log.partitions()).map(|partition| (Topic::Sales, partition, Start::Earliest)).collect();
    let mut reader = log.follow_gathered(&starts)?;
    let of_thread = Fatal::clone(&fatal);
    let follow = move || {
        let mut events = Vec::new();
        let mut behind = vec![true; starts.len()];
        let mut told_at = Instant::now();
        while !shared.stopped.load(Ordering::Relaxed) {
            if !poll(reader.as_mut(), &mut events, &of_thread) {
                return;
            }
            for event in events.drain(..) {
                match event {
                    Event::Record(record) => take_sale(&shared, &record),
                    Event::End { partition, next_offset, .. } => {
                        shared.surroundings.take_record(partition, next_offset, None);
                        if std::mem::take(&mut behind[partition as usize]) {
                            shared.sales_behind.fetch_sub(1, Ordering::Release);
                        }
                    }
                    Event::Assigned(_) | Event::Revoked(_) => {}
                }
            }
            if told_at.elapsed() >= TELL_EVERY && shared.sales_behind.load(Ordering::Relaxed) == 0 {
                shared.accuracy().iter().for_each(metrics::record_accuracy);
                if let Some(contest) = shared.contest() {
                    metrics::record_contest(&contest);
                }
                told_at = Instant::now();
            }
        }
    };
    stream::spawn("appraiser-sales", &fatal, follow)?;
    Ok(())
}

fn take_sale(shared: &Shared, record: &Record) {
    // A tombstone takes nothing back: what was sold was sold, until it is no longer recent.
    let sale = record.value.as_deref().map(serde_json::from_slice::<Sale>).transpose().unwrap_or_else(|error| {
        tracing::warn!(
            partition = record.partition,
            offset = record.offset,
            "{}: a record is no sale and is left out: {error}",
            record.topic
        );
        None
    });
    shared.surroundings.take_record(record.partition, record.offset + 1, sale.as_ref());
    if let Some(sale) = &sale {
        // A panic while taking a sale leaves whole sales.
        shared.accuracy.lock().unwrap_or_else(PoisonError::into_inner).take(sale);
    }
}

/// Whether to go on following.
fn poll(reader: &mut dyn Reader, events: &mut Vec<Event>, fatal: &Fatal) -> bool {
    match reader.poll(POLL, events) {
        // Away for now: the next poll waits again.
        Ok(()) | Err(LogError::Unavailable(_) | LogError::QueueFull) => true,
        Err(LogError::Fatal(reason)) => {
            fatal(reason);
            false
        }
    }
}
