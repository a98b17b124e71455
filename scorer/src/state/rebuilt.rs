//! What the sessions of a shard must see, from the facts and statements alone: one pass, nothing kept current. Where there
//! are few enough of both, by the definition engine; else by the other one, with every kernel of this machine, which must agree.
//!
//! Pure. Shares with the judge the formula, the merges and the engines, and nothing of when they are called.

use std::collections::BTreeMap;

use schemas::state_hash::StateHash;
use schemas::topic::{partition_of, session_key};

use super::Sight;
use crate::catalogue::Catalogue;
use crate::engine::indexed::Indexed;
use crate::engine::kernel::Kernel;
use crate::engine::{Change, Engine, oracle::Oracle};
use crate::facts::{ListingFacts, ScoreEpoch, SessionFacts};
use crate::statements::Statements;

/// Pairs of session and listing that are looked at one by one: a few seconds.
pub const MAX_PAIRS: usize = 20_000_000;
/// Listings or sessions handed to the engine at once: bounds what is held beside it.
const CHUNK: usize = 100_000;

/// Of each shard: the hash of what its sessions see, and how many there are.
pub type Sights = BTreeMap<u32, (StateHash, u64)>;

/// Two kernels see different things: a fault of roost, or of this machine.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the engine's kernels disagree on this machine: {0:?} sees {1:?}, {2:?} sees {3:?}")]
pub struct Disagreement(pub Kernel, pub Sights, pub Kernel, pub Sights);

/// What the sessions of these shards must see, of the listings of all partitions; by the definition engine up to
/// `max_pairs`.
pub fn sights(
    catalogue: &Catalogue,
    statements: &BTreeMap<u32, Statements>,
    epoch: ScoreEpoch,
    max_pairs: usize,
) -> Result<Sights, Disagreement> {
    let sessions: usize = statements.values().map(Statements::standing).sum();
    if sessions.saturating_mul(catalogue.len()) <= max_pairs {
        return Ok(sights_by(&mut Oracle::default(), catalogue, statements, epoch));
    }
    agreed(Kernel::avx512(), |kernel| sights_by(&mut Indexed::new(kernel), catalogue, statements, epoch))
}

/// What the portable kernel sees, if the other one of this machine sees the same.
fn agreed(other: Option<Kernel>, mut by: impl FnMut(Kernel) -> Sights) -> Result<Sights, Disagreement> {
    let portable = by(Kernel::Portable);
    if let Some(kernel) = other {
        let other = by(kernel);
        if other != portable {
            return Err(Disagreement(Kernel::Portable, portable, kernel, other));
        }
    }
    Ok(portable)
}

/// The same by an engine that knows nothing yet.
pub fn sights_by(
    engine: &mut dyn Engine,
    catalogue: &Catalogue,
    statements: &BTreeMap<u32, Statements>,
    epoch: ScoreEpoch,
) -> Sights {
    let listings = catalogue.iter().map(|(id, fact)| Change::Listing {
        id: id.clone(),
        facts: Some(ListingFacts::of(fact, epoch)),
        content: 0,
    });
    in_chunks(listings, |batch| engine.apply(batch, &mut Vec::new()));

    let mut sights: BTreeMap<u32, Sight> = statements.keys().map(|shard| (*shard, Sight::default())).collect();
    let standing = statements.values().flat_map(Statements::iter).filter_map(|(id, stated)| {
        let facts = Some(SessionFacts::of(stated.preferences.as_deref()?));
        Some(Change::Session { id, facts })
    });
    in_chunks(standing, |batch| {
        let mut emits = Vec::new();
        engine.apply(batch, &mut emits);
        for emit in emits {
            let shard = partition_of(&session_key(emit.session), catalogue.partitions());
            let stated = statements.get(&shard).and_then(|statements| statements.get(emit.session));
            if let Some((sight, stated)) = sights.get_mut(&shard).zip(stated) {
                sight.sees(emit.session, stated.version, &emit.top);
            }
        }
    });
    sights.into_iter().map(|(shard, sight)| (shard, (sight.hash(), sight.sessions()))).collect()
}

fn in_chunks(changes: impl Iterator<Item = Change>, mut apply: impl FnMut(&[Change])) {
    let mut changes = changes.peekable();
    while changes.peek().is_some() {
        apply(&changes.by_ref().take(CHUNK).collect::<Vec<_>>());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_that_see_different_things_are_told_of() {
        let sights = |hash| Sights::from([(0, (StateHash::from_bits(hash), 1))]);
        assert_eq!(agreed(Some(Kernel::Portable), |_| sights(1)), Ok(sights(1)));
        let mut hash = 0;
        let differing = agreed(Some(Kernel::Portable), |_| {
            hash += 1;
            sights(hash)
        });
        assert_eq!(differing, Err(Disagreement(Kernel::Portable, sights(1), Kernel::Portable, sights(2))));
    }
}
