//! The thread beside the tables: syncs, opens the directory again after a failure, forgets what has ended.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::database::Database;
use super::now_ms;
use crate::StoreError;
use crate::config::TtlConfig;

/// How often the directory is swept, and tried again after a failure.
const TICK: Duration = Duration::from_secs(1);
/// Rows looked at per tick: a million rows in a quarter of an hour, and never a pause that a reader sees.
const SWEEP_ROWS: usize = 1_000;

/// Runs until it is dropped, and syncs a last time then.
pub(super) struct Upkeep {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Upkeep {
    pub fn start(database: Arc<Database>, ttl: TtlConfig, sync_every: Duration) -> Result<Self, StoreError> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = std::thread::Builder::new()
            .name("store-upkeep".to_owned())
            .spawn(move || run(&database, &ttl, sync_every, &stopped))
            .map_err(|error| StoreError::Fatal(format!("a thread cannot be started: {error}; look at `ulimit -u`")))?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Upkeep {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // A panic there has been reported, and there is nothing left to keep up.
            let _ = thread.join();
        }
    }
}

fn run(database: &Database, ttl: &TtlConfig, sync_every: Duration, stop: &AtomicBool) {
    let mut cursor = None;
    let mut ticked = Instant::now();
    // What fails is logged where it is found and is told to every writer: nothing to say here.
    while !stop.load(Ordering::Acquire) {
        std::thread::park_timeout(sync_every);
        let _ = database.sync();
        if ticked.elapsed() >= TICK {
            ticked = Instant::now();
            let _ = database.recover();
            let now = now_ms();
            let next =
                database.sweep(cursor.take(), SWEEP_ROWS, |row, stored| stored.is_forgotten(ttl.of(row.table()), now));
            cursor = next.unwrap_or_default();
        }
    }
    let _ = database.sync();
}
