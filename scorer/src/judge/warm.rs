//! The start from a snapshot: what its engine knows is held against the logs once they are read, and a search is made for
//! those sessions alone of which something else holds now.
//!
//! The engine's state is a function of the newest facts, so nothing has to be known of where in the logs the snapshot was
//! taken: everything is stated again, what is equal costs a comparison, and what only the snapshot knows is taken out.

use std::collections::BTreeMap;

use schemas::id::{ListingId, SessionId};
use schemas::topic::{partition_of, session_key};

use super::{Judge, Rules};
use crate::catalogue::Catalogue;
use crate::engine::indexed::Indexed;
use crate::engine::{Change, Engine, UNSEEN};
use crate::facts::ListingFacts;
use crate::shard::Shard;
use crate::snapshot::Head;

/// Listings that are stated again at a time.
const AT_ONCE: usize = 4_096;

/// What the engine knows from a snapshot and no log has confirmed.
#[derive(Debug, Default)]
pub(super) struct Unconfirmed {
    /// Until `listings.priced` is read: told from its beginning, it would take the engine through versions that are long
    /// gone.
    listings: Option<Vec<ListingId>>,
    /// By shard. Those of shards that this process is not given stay until it has one, for they may yet be its own.
    sessions: BTreeMap<u32, Vec<SessionId>>,
}

impl Unconfirmed {
    /// Whether listings are not yet handed to the engine.
    pub(super) const fn awaits_listings(&self) -> bool {
        self.listings.is_some()
    }

    /// States every listing of the catalogue and takes out those that are not there. Nobody has been told anything yet, so
    /// that what sessions see for it need not be told either: it is, with every row, when their shards are taken over.
    pub(super) fn confirm_listings(&mut self, catalogue: &Catalogue, engine: &mut dyn Engine, rules: &Rules) {
        let Some(loaded) = self.listings.take() else { return };
        let gone = loaded.into_iter().filter(|id| catalogue.get(id).is_none());
        let gone = gone.map(|id| Change::Listing { id, facts: None, content: UNSEEN });
        let known = (0..rules.partitions).flat_map(|partition| catalogue.of_partition(partition));
        let known = known.map(|(id, fact)| Change::Listing {
            id: id.clone(),
            facts: Some(ListingFacts::of(fact, rules.score_epoch)),
            // What is as it was is no change; what comes later has a number of its own.
            content: UNSEEN,
        });
        let mut all = gone.chain(known);
        let mut emits = Vec::new();
        loop {
            let batch: Vec<Change> = all.by_ref().take(AT_ONCE).collect();
            if batch.is_empty() {
                return;
            }
            engine.apply(&batch, &mut emits);
            emits.clear();
        }
    }

    /// The sessions of a shard that its statements do not know: they ended since.
    pub(super) fn ended(&mut self, shard: &Shard, changes: &mut Vec<Change>) {
        let stands = |session: SessionId| shard.statements.get(session).is_some_and(|it| it.preferences.is_some());
        let loaded = self.sessions.remove(&shard.number).unwrap_or_default();
        changes.extend(loaded.into_iter().filter(|id| !stands(*id)).map(ended));
    }

    /// The sessions of the shards that another process has.
    pub(super) fn of_others(&mut self, shards: &BTreeMap<u32, Shard>, changes: &mut Vec<Change>) {
        let others = self.sessions.extract_if(.., |number, _| !shards.contains_key(number));
        changes.extend(others.flat_map(|(_, sessions)| sessions).map(ended));
    }
}

fn ended(id: SessionId) -> Change {
    Change::Session { id, facts: None }
}

impl Judge {
    /// Knows what a snapshot knows; says nothing of it before the logs are read.
    pub fn warm(rules: Rules, engine: Indexed) -> Self {
        let mut sessions = BTreeMap::<u32, Vec<SessionId>>::new();
        for id in engine.session_ids() {
            sessions.entry(partition_of(&session_key(id), rules.partitions)).or_default().push(id);
        }
        let unconfirmed = Unconfirmed { listings: Some(engine.listing_ids().cloned().collect()), sessions };
        Self { unconfirmed, ..Self::new(rules, Box::new(engine)) }
    }

    /// A snapshot to be [sealed](crate::snapshot::seal), between two batches; `None` while what the logs say is not all in
    /// the engine, from a process that has no shard, and from an engine that writes none. Takes as long as it takes to copy
    /// the engine.
    pub fn save(&self, config: u64, now: i64) -> Option<Vec<u8>> {
        let is_whole = super::everything_read(&self.ends_seen, self.rules.partitions)
            && !self.unconfirmed.awaits_listings()
            && self.changes.is_empty()
            && self.shards.values().all(|shard| shard.in_engine);
        if !is_whole || self.shards.is_empty() {
            return None;
        }
        let head = Head { config, written_at_ms: now, offsets: self.listings_offsets.clone() };
        self.engine.save(head.to_bytes())
    }
}
