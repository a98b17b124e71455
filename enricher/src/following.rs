//! The two topics that every process that values follows whole, without a group: `models` and `sales`.
//!
//! Threads and I/O; what a sale does to a market is `market.rs`, what a champion is `appraiser.rs`.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use schemas::model_alias::{Alias, CHAMPION, ModelName, epoch_of};
use schemas::sale::Sale;
use schemas::topic::Topic;
use stream::{Event, Fatal, Log, LogError, Reader, Record, Start};

use crate::appraiser::{Shared, StartError};
use crate::metrics;

/// How long to wait for the next record before looking whether to end.
const POLL: Duration = Duration::from_millis(500);

/// How often it is told how good valuations were: 50,000 sales are sorted in some 10 ms.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// The topic `models`, read to its end and followed from there.
pub(crate) struct Models {
    reader: Box<dyn Reader>,
    champion: Option<(Alias, u64)>,
}

impl Models {
    /// Reads the topic to its end, within `within`.
    pub(crate) fn read(log: &Log, within: Duration) -> Result<Self, StartError> {
        let deadline = Instant::now() + within;
        let mut models = Self { reader: log.follow_gathered(&[(Topic::Models, 0, Start::Earliest)])?, champion: None };
        let mut events = Vec::new();
        loop {
            events.clear();
            match models.reader.poll(POLL, &mut events) {
                Ok(()) => {}
                Err(LogError::Unavailable(_) | LogError::QueueFull) if Instant::now() < deadline => continue,
                Err(error) => return Err(error.into()),
            }
            for event in &events {
                match event {
                    Event::Record(record) => models.champion = champion_of(record).or(models.champion.take()),
                    Event::End { .. } => return Ok(models),
                    Event::Assigned(_) | Event::Revoked(_) => {}
                }
            }
            if Instant::now() >= deadline {
                let reason = format!("topic {} could not be read to its end within {within:?}", Topic::Models);
                return Err(LogError::Unavailable(reason).into());
            }
        }
    }

    /// The champion that the topic names, and its epoch.
    pub(crate) fn champion(&self) -> Option<(ModelName, u64)> {
        self.champion.as_ref().map(|(alias, epoch)| (alias.model(), *epoch))
    }
}

/// What the topic `models` says of the champion, and its epoch: read to its end within `within`.
pub fn champion(log: &Log, within: Duration) -> Result<Option<(Alias, u64)>, StartError> {
    Ok(Models::read(log, within)?.champion)
}

/// The champion that a record names, and the epoch that begins with it.
fn champion_of(record: &Record) -> Option<(Alias, u64)> {
    if record.key.as_deref() != Some(CHAMPION.as_bytes()) {
        return None;
    }
    let value = record.value.as_deref()?;
    match serde_json::from_slice::<Alias>(value) {
        Ok(alias) => Some((alias, epoch_of(record.offset))),
        Err(error) => {
            tracing::error!(
                offset = record.offset,
                "{}: the champion's record is not a model's name: {error}; the champion stays",
                record.topic
            );
            metrics::record_reload_failure();
            None
        }
    }
}

/// Follows `models`: another champion is loaded beside the old one, and takes over when it has been checked.
pub(crate) fn spawn_models(mut models: Models, shared: Arc<Shared>, fatal: Fatal) -> std::io::Result<()> {
    let of_thread = Fatal::clone(&fatal);
    let follow = move || {
        let mut events = Vec::new();
        while !shared.stopped.load(Ordering::Relaxed) {
            if !poll(models.reader.as_mut(), &mut events, &of_thread) {
                return;
            }
            let mut newest = events.drain(..).filter_map(|event| match event {
                Event::Record(record) => champion_of(&record),
                Event::End { .. } | Event::Assigned(_) | Event::Revoked(_) => None,
            });
            if let Some((name, epoch)) = newest.next_back().map(|(alias, epoch)| (alias.model(), epoch))
                && let Err(error) = shared.promote(&name, epoch)
            {
                tracing::error!(model = %name, epoch, "{error}; the champion before it stays");
                metrics::record_reload_failure();
            }
        }
    };
    stream::spawn("appraiser-models", &fatal, follow).map(drop)
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
