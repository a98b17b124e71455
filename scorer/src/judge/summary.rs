//! The judge's numbers, for `/readyz` and `/metrics`.

use schemas::state_hash::ShardState;

use super::Judge;
use crate::engine::Work;
use crate::ledger::Ledger;

/// What the judge holds and still has to do.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary {
    /// Listings known.
    pub listings: usize,
    /// Listings that some session may be shown.
    pub offered: usize,
    /// Sessions in the engine.
    pub sessions: usize,
    /// What the engine did.
    pub work: Work,
    /// Shards handed to this process.
    pub assigned: usize,
    /// Shards whose rows this process writes.
    pub owned: usize,
    /// Rows that wait.
    pub dirty: usize,
    /// Statements under way.
    pub outstanding: usize,
    /// Writes acknowledged under an epoch older than the newest claim.
    pub stale_writes: u64,
    /// Seconds from a listing's append to its row, since the last summary.
    pub freshness: Vec<f64>,
    /// What the sessions of each shard see.
    pub states: Vec<(u32, ShardState)>,
}

impl Summary {
    /// Rows not yet acknowledged.
    pub const fn unwritten(&self) -> usize {
        self.dirty + self.outstanding
    }

    /// `Err` says what is missing. A process without shards is ready: it stands by.
    pub fn ready(&self) -> Result<(), String> {
        if self.owned == self.assigned {
            Ok(())
        } else {
            Err(format!("{} of {} shards are taken over", self.owned, self.assigned))
        }
    }
}

impl Judge {
    /// The numbers now.
    pub fn summary(&mut self) -> Summary {
        let ledgers = || self.shards.values().filter_map(|shard| shard.ledger.as_ref());
        let size = self.engine.size();
        Summary {
            work: self.engine.work(),
            listings: self.catalogue.len(),
            offered: size.listings,
            sessions: size.sessions,
            assigned: self.shards.len(),
            owned: self.shards.values().filter(|shard| shard.live).count(),
            dirty: ledgers().map(Ledger::dirty).sum(),
            outstanding: ledgers().map(Ledger::outstanding).sum(),
            stale_writes: self.stale_writes,
            states: self.states().collect(),
            freshness: std::mem::take(&mut self.freshness),
        }
    }
}
