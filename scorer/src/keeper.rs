//! Keeps snapshots coming: when the judge's thread copies its engine, and the thread that brings the copy to the disk; and
//! the start from the newest one that is right.
//!
//! A snapshot that cannot be written or read is told and counted, and stops nothing: it is a cache. Does not know the format
//! (`snapshot.rs`).

use std::io;
use std::path::Path;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};
use stream::Fatal;

use crate::config::Config;
use crate::engine::indexed::Indexed;
use crate::engine::kernel::Kernel;
use crate::facts::ScoreEpoch;
use crate::judge::Judge;
use crate::metrics;
use crate::service::now_ms;
use crate::snapshot::{self, Directory, Refused};

/// Asks for snapshots and hands them to the thread that writes them.
pub(crate) struct Keeper {
    config: u64,
    every: Duration,
    asked_at: Instant,
    copies: Sender<Vec<u8>>,
}

impl Keeper {
    /// Starts the thread that writes; it ends when the keeper is gone and the last copy is on the disk.
    pub(crate) fn start(directory: Directory, config: &Config, fatal: &Fatal) -> io::Result<(Self, JoinHandle<()>)> {
        // One waits at most, and none is made while it does: a copy is as large as the engine.
        let (copies, to_write) = bounded(1);
        let thread = stream::spawn("scorer-snapshots", fatal, move || write(&directory, &to_write))?;
        let epoch = ScoreEpoch::new(config.score_epoch);
        let (config, every) = (snapshot::config(epoch), config.snapshot_every);
        Ok((Self { config, every, asked_at: Instant::now(), copies }, thread))
    }

    /// Copies the engine when it is time and the copy before is being written, between two batches.
    pub(crate) fn look(&mut self, judge: &Judge, now_ms: i64) {
        if self.asked_at.elapsed() >= self.every && self.copies.is_empty() {
            self.asked_at = Instant::now();
            if let Some(bytes) = self.copy(judge, now_ms) {
                // Nobody else fills the queue.
                let _ = self.copies.try_send(bytes);
            }
        }
    }

    /// The last one of a process that stops.
    pub(crate) fn finish(self, judge: &Judge, now_ms: i64) {
        if let Some(bytes) = self.copy(judge, now_ms) {
            // Waits for the one before.
            let _ = self.copies.send(bytes);
        }
    }

    fn copy(&self, judge: &Judge, now_ms: i64) -> Option<Vec<u8>> {
        let begun = Instant::now();
        let bytes = judge.save(self.config, now_ms)?;
        metrics::record_snapshot_copied(begun.elapsed());
        Some(bytes)
    }
}

fn write(directory: &Directory, copies: &Receiver<Vec<u8>>) {
    for copy in copies {
        let sealed = snapshot::seal(copy);
        match directory.write(&sealed) {
            Ok(path) => {
                tracing::debug!(bytes = sealed.len(), "{} is written", path.display());
                metrics::record_snapshot_written(sealed.len(), now_ms());
            }
            Err(error) => {
                tracing::warn!(
                    "a snapshot cannot be written, the next start may be from an older one or cold: {error}"
                );
                metrics::record_snapshot_failed();
            }
        }
    }
}

/// The engine of the newest snapshot that is right; `None`: the start is cold. Says which, and why.
pub(crate) fn load(directory: &Directory, epoch: ScoreEpoch, kernel: Kernel, now_ms: i64) -> Option<Indexed> {
    let begun = Instant::now();
    let mut why = "none";
    let refused = |path: &Path, reason: Refused| {
        tracing::warn!("{} is not loaded: {reason}", path.display());
        // Of the newest: the metric tells of that one.
        if why == "none" {
            why = reason.word();
        }
    };
    let load = |bytes: &[u8]| Indexed::load(bytes, Indexed::tuning(kernel));
    let Some((path, head, engine)) = directory.load(snapshot::config(epoch), now_ms, load, refused) else {
        match why {
            "none" => tracing::info!("the engine starts cold: there is no snapshot"),
            _ => tracing::info!("the engine starts cold: no snapshot is right"),
        }
        metrics::record_start("cold", why);
        return None;
    };
    let size = crate::engine::Engine::size(&engine);
    tracing::info!(
        "the engine starts warm from {}: {} listings and {} sessions, {} s old, up to offsets {:?} of listings.priced, loaded in {} ms",
        path.display(),
        size.listings,
        size.sessions,
        (now_ms - head.written_at_ms) / 1_000,
        head.offsets,
        begun.elapsed().as_millis()
    );
    metrics::record_start("warm", why);
    Some(engine)
}
