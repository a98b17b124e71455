//! Looks at every row of every table again and again while services are killed and paused: write timestamps stay below
//! 2^50 and never decrease.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Result, anyhow, ensure};
use store::{Row, Table, WriteTimestamp};

use crate::harness::Installation;

/// Between two looks: the services get the machine's time as well.
const PAUSE: Duration = Duration::from_millis(500);

/// What was seen.
#[derive(Debug, Default)]
pub struct Seen {
    /// How often all tables were read.
    pub looks: usize,
    /// How often a row had a greater timestamp than at the look before.
    pub advances: usize,
    timestamps: BTreeMap<Row, WriteTimestamp>,
}

impl Seen {
    /// A row as it stands now.
    fn see(&mut self, row: Row, timestamp: WriteTimestamp) -> Result<()> {
        ensure!(timestamp.raw() < 1 << 50, "{row:?} was written at {}", timestamp.raw());
        if let Some(before) = self.timestamps.get(&row) {
            ensure!(*before <= timestamp, "{row:?} was written at {before:?}, and now at {timestamp:?}");
            self.advances += usize::from(*before < timestamp);
        }
        self.timestamps.insert(row, timestamp);
        Ok(())
    }
}

/// A thread that looks; it ends when told to, or at the first row that went back.
pub struct Watch {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<Seen>>,
}

impl Watch {
    /// Of the tables of an installation.
    pub fn start(installation: &Installation) -> Self {
        let (tables, runtime) = (installation.tables.clone(), installation.runtime());
        let stop = Arc::new(AtomicBool::new(false));
        let told_to = stop.clone();
        let thread = std::thread::spawn(move || {
            let mut seen = Seen::default();
            while !told_to.load(Ordering::Acquire) {
                for table in Table::ALL {
                    // A store that is too busy to answer is asked again at the next look.
                    let Ok(rows) = runtime.block_on(tables.scan(table)) else { continue };
                    for (row, cell) in rows {
                        seen.see(row, cell.timestamp)?;
                    }
                }
                seen.looks += 1;
                std::thread::park_timeout(PAUSE);
            }
            Ok(seen)
        });
        Self { stop, thread }
    }

    /// Ends it.
    pub fn stop(self) -> Result<Seen> {
        self.stop.store(true, Ordering::Release);
        self.thread.join().map_err(|_| anyhow!("the watch panicked"))?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_that_goes_back_is_told() {
        let at = |epoch, sequence| WriteTimestamp::new(epoch, sequence).unwrap();
        let mut seen = Seen::default();
        seen.see(Row::Shard(0), at(3, 7)).unwrap();
        seen.see(Row::Shard(0), at(3, 7)).unwrap();
        seen.see(Row::Shard(0), at(4, 1)).unwrap();
        assert_eq!(seen.advances, 1);
        let error = seen.see(Row::Shard(0), at(3, 8)).unwrap_err().to_string();
        assert!(error.contains("4:1") && error.contains("3:8"), "{error}");
    }
}
