//! The engine: who sees what, kept current while listings and sessions change. Pure: no clock, no I/O; its state is a
//! function of the newest facts alone, whatever order and batches they came in.
//!
//! Does not know how a score is computed (`score.rs`), which of two statements is newer (the caller's merge), or what is
//! written of the result (`present.rs`, the shard). One interface, implementations held equal by property tests:
//! [`oracle`] is the definition, [`indexed`] is for use, with either of two kernels.

mod arena;
mod asks;
mod audience;
mod buckets;
pub mod bytes;
mod ceiling;
mod clusters;
mod codes;
pub mod indexed;
mod inspect;
pub mod kernel;
mod lookup;
pub mod oracle;
#[cfg(test)]
mod samples;
mod seats;
mod shelves;
mod shortlist;

use schemas::id::{ListingId, SessionId};
use schemas::preferences::Profile;
use smallvec::SmallVec;

use crate::facts::{ListingFacts, SessionFacts};
pub use crate::score::Key;

/// How many listings a session sees.
pub const SHOWN: usize = 3;

/// The profiles: whatever has a place for each has them in this order.
const PROFILES: [Profile; 4] = [Profile::Balanced, Profile::Value, Profile::Family, Profile::Commuter];

/// The place of a profile in [`PROFILES`].
const fn place_of(profile: Profile) -> usize {
    match profile {
        Profile::Balanced => 0,
        Profile::Value => 1,
        Profile::Family => 2,
        Profile::Commuter => 3,
    }
}

/// The content of a listing from a snapshot, which does not hold what is shown: whoever counts contents begins above it.
pub const UNSEEN: u64 = 0;

/// What became known of one listing or session: its newest facts whole, never a delta.
#[derive(Clone, Debug)]
pub enum Change {
    /// A listing.
    Listing {
        /// Which.
        id: ListingId,
        /// `None`: gone.
        facts: Option<ListingFacts>,
        /// Changes whenever anything that is shown of the listing does.
        content: u64,
    },
    /// A session.
    Session {
        /// Which.
        id: SessionId,
        /// `None`: ended or erased.
        facts: Option<SessionFacts>,
    },
}

/// What a session sees: at most [`SHOWN`] listings, the best first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct TopThree(SmallVec<[Key; SHOWN]>);

impl TopThree {
    /// The best of `keys`, in any order.
    pub fn best_of(mut keys: Vec<Key>) -> Self {
        keys.sort_unstable_by(|a, b| b.cmp(a));
        keys.into_iter().take(SHOWN).collect()
    }

    /// The best first.
    pub fn keys(&self) -> &[Key] {
        &self.0
    }
}

impl FromIterator<Key> for TopThree {
    /// The keys are in order, and at most [`SHOWN`].
    fn from_iter<I: IntoIterator<Item = Key>>(keys: I) -> Self {
        Self(keys.into_iter().collect())
    }
}

/// A session whose cell has to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Emit {
    /// Whose.
    pub session: SessionId,
    /// What it sees now.
    pub top: TopThree,
}

/// Keeps the top three of every session.
pub trait Engine: Send {
    /// Applies `batch` in order; of several changes of one thing the last counts. Appends to `emits`, once per session and
    /// in no particular order, every session of the batch that is still there, and every other one for which a listing
    /// id, its place, its score or its content differs between before and after the batch. An erased session is not among
    /// them.
    fn apply(&mut self, batch: &[Change], emits: &mut Vec<Emit>);

    /// What a session sees; `None` for one that is not known.
    fn top_three(&self, session: SessionId) -> Option<TopThree>;

    /// Hands out at least every offered listing that passes the session's transaction, currency and place, `most` of them from
    /// the `from`-th on: what a count or a preview has to look at. Returns where to go on, `None` at the end. As long as nothing is
    /// applied in between, each is handed out once. Off the hot path.
    fn each_in_place(
        &self,
        session: &SessionFacts,
        from: usize,
        most: usize,
        visit: &mut dyn FnMut(&ListingId, &ListingFacts),
    ) -> Option<usize>;

    /// How many listings are on offer, and how many sessions are known.
    fn size(&self) -> Size;

    /// What it did, and how much of what it holds takes a slower path.
    fn work(&self) -> Work {
        Work::default()
    }

    /// All that it knows, written behind `head`; `None` from one that has nothing worth keeping.
    fn save(&self, head: Vec<u8>) -> Option<Vec<u8>> {
        drop(head);
        None
    }
}

/// What an engine did since it began, and what of it is slower than the rest. Never part of a result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Changes of listings that were no repeats.
    pub changes: u64,
    /// Times 64 sessions were looked at together for a changed listing.
    pub looks: u64,
    /// Pairs of session and changed listing that came through the sieve and were looked at one by one.
    pub candidates: u64,
    /// Searches for sessions whose shortlist had run short.
    pub refills: u64,
    /// Searches for sessions that stated something.
    pub searches: u64,
    /// Buckets whose sessions were seated anew, because their budgets did not suit its ladder.
    pub ladders: u64,
    /// Sessions, now, that are kept whole: not in one city alone, with dismissed listings, or with an unusual number.
    pub whole: usize,
    /// Sessions, now, that sit in several buckets.
    pub many: usize,
}

/// What an engine holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    /// Listings that some session may be shown.
    pub listings: usize,
    /// Sessions.
    pub sessions: usize,
}
