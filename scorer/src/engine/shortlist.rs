//! The best listings of one session: the three it sees, and a few more so that a withdrawn one has a successor without a
//! search.
//!
//! Two invariants carry the engine (Yi et al., ICDE 2003, with a bound instead of a list of who holds what):
//! * *complete*: every listing that the session may be shown and whose key is at or above the bound is an entry;
//! * *sound*: every entry is such a listing, with its current key.
//!
//! So a changed listing was an entry exactly when its old key was at or above the bound, and nobody has to remember which
//! sessions hold a listing. The bound names a listing only while that listing is an entry, so slots can be used again.

use std::cmp::Ordering;

use schemas::id::ListingId;

use super::SHOWN;
use crate::facts::{Asked, ListingFacts};
use crate::score::{MAX_SCORE, passes, score};

/// k′: twice what is shown. Measured: refills per change 4.5, 0.8, 0.012, 0.0001 for 3, 4, 6 and 8, while work per change
/// grows with it.
pub(super) const KEPT: usize = 6;

/// A key with the listing's slot for its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) score: u32,
    pub(super) slot: u32,
}

/// In a bound: no listing in particular, so every listing of that score is above it.
const NO_SLOT: u32 = u32::MAX;
/// Nothing is left out.
const LOWEST: Entry = Entry { score: 0, slot: NO_SLOT };
/// Above every key.
const HIGHEST: Entry = Entry { score: u32::MAX, slot: NO_SLOT };

/// Compares the ids of two slots.
pub(super) trait Ids {
    fn compare(&self, a: u32, b: u32) -> Ordering;
}

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Shortlist {
    entries: [Entry; KEPT],
    len: u8,
    bound: Entry,
}

impl Shortlist {
    /// Before the first listing is offered: complete, for nothing was left out.
    pub(super) const EMPTY: Self = Self { entries: [LOWEST; KEPT], len: 0, bound: LOWEST };
    /// Waits for a refill: takes no notice of any listing.
    pub(super) const CLOSED: Self = Self { entries: [LOWEST; KEPT], len: 0, bound: HIGHEST };

    /// The best first.
    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries[..usize::from(self.len)]
    }

    /// What the session sees.
    pub(super) fn shown(&self) -> &[Entry] {
        &self.entries[..SHOWN.min(usize::from(self.len))]
    }

    /// No key of a smaller score reaches the bound.
    pub(super) const fn bound_score(&self) -> u32 {
        self.bound.score
    }

    /// Whether it waits for a refill.
    pub(super) fn is_closed(&self) -> bool {
        self.bound == HIGHEST
    }

    /// Whether listings that the session may be shown were left out, and too few are kept to know what it sees.
    pub(super) fn is_thin(&self) -> bool {
        usize::from(self.len) < SHOWN && self.bound != LOWEST
    }

    /// Whether the key is at or above the bound: then, and only then, its listing is an entry or has to become one.
    pub(super) fn reaches(&self, key: Entry, ids: &impl Ids) -> bool {
        key.score > self.bound.score
            || key.score == self.bound.score
                && (self.bound.slot == NO_SLOT || ids.compare(key.slot, self.bound.slot) != Ordering::Greater)
    }

    /// The listing's entry if the session may be shown it and it reaches the bound. The bound first: nearly all that
    /// comes through the sieve fails there, at a fraction of what the filters cost.
    pub(super) fn entry(
        &self,
        session: &Asked<'_>,
        slot: u32,
        id: &ListingId,
        listing: &ListingFacts,
        ids: &impl Ids,
    ) -> Option<Entry> {
        let entry = Entry { score: score(session, listing), slot };
        (self.reaches(entry, ids) && passes(session, id, listing)).then_some(entry)
    }

    /// Takes in a listing that is no entry and reaches the bound.
    pub(super) fn admit(&mut self, key: Entry, ids: &impl Ids) {
        let before = |entry: &Entry| {
            entry.score > key.score || entry.score == key.score && ids.compare(entry.slot, key.slot) == Ordering::Less
        };
        let at = self.entries().iter().take_while(|entry| before(entry)).count();
        let overflows = usize::from(self.len) == KEPT;
        if at < KEPT {
            self.entries[at..].rotate_right(1); // the last one, or an empty place, comes to `at` …
            self.entries[at] = key; // … and is overwritten
        }
        if overflows {
            self.bound = self.entries[KEPT - 1];
        } else {
            self.len += 1;
        }
    }

    /// Takes out a listing that is an entry.
    pub(super) fn withdraw(&mut self, slot: u32) {
        let Some(at) = self.entries().iter().position(|entry| entry.slot == slot) else { return };
        self.entries[at..usize::from(self.len)].rotate_left(1);
        self.len -= 1;
        if self.bound.slot == slot {
            // The bound was this listing's key, the last entry. The least bound that does without its id: the entry
            // before it if that has the same score, else every key of a greater score.
            let score = self.bound.score;
            self.bound = match self.entries().last() {
                Some(last) if last.score == score => *last,
                _ => Entry { score: score + 1, slot: NO_SLOT },
            };
        }
    }
}

/// A shortlist's bound and length in four bytes: all that nearly every look at a session needs of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bound(u32);

// 21 bits of score, whether the bound names the last entry, 3 bits of length, closed.
const SCORE_BITS: u32 = 21;
const NAMES_LAST: u32 = 1 << SCORE_BITS;
const LEN_AT: u32 = SCORE_BITS + 1;
const CLOSED: u32 = 1 << 31;
const _: () = assert!(MAX_SCORE + 1 < 1 << SCORE_BITS && KEPT < 8);

/// Whether a score reaches a bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reaches {
    No,
    Yes,
    /// Equal to the last entry's: the ids decide.
    IfBefore,
}

impl Bound {
    /// Of a closed shortlist.
    pub(super) const CLOSED: Self = Self(CLOSED);

    /// Whether a listing of this score reaches it.
    pub(super) fn reached_by(self, score: u32) -> Reaches {
        if self.0 & CLOSED != 0 {
            return Reaches::No;
        }
        match score.cmp(&(self.0 & (NAMES_LAST - 1))) {
            Ordering::Less => Reaches::No,
            Ordering::Equal if self.0 & NAMES_LAST != 0 => Reaches::IfBefore,
            Ordering::Equal | Ordering::Greater => Reaches::Yes,
        }
    }

    pub(super) const fn len(self) -> usize {
        (self.0 >> LEN_AT & 7) as usize
    }

    pub(super) const fn bits(self) -> u32 {
        self.0
    }

    /// Of bits that [`Self::bits`] gave; `None` for those of no open shortlist.
    pub(super) const fn from_bits(bits: u32) -> Option<Self> {
        let bound = Self(bits);
        let names_nobody = bits & NAMES_LAST != 0 && bound.len() == 0;
        let is_beyond = bits & CLOSED != 0 || bits & (NAMES_LAST - 1) > MAX_SCORE + 1 || bound.len() > KEPT;
        if names_nobody || is_beyond { None } else { Some(bound) }
    }
}

/// The entries of a shortlist, apart from its bound.
pub(super) type Entries = [Entry; KEPT];
/// Of a shortlist without any.
pub(super) const NO_ENTRIES: Entries = [LOWEST; KEPT];

impl Shortlist {
    /// As it is kept.
    pub(super) fn kept(&self) -> (Bound, Entries) {
        if self.is_closed() {
            return (Bound::CLOSED, self.entries);
        }
        let Entry { score, slot } = self.bound;
        // A listing that a bound names is the last entry: every other one is above it.
        debug_assert!(slot == NO_SLOT || self.entries().last() == Some(&self.bound), "{self:?}");
        let names_last = if slot == NO_SLOT { 0 } else { NAMES_LAST };
        (Bound(score | names_last | u32::from(self.len) << LEN_AT), self.entries)
    }

    /// Whether scores are scores, the best first, and none is below the bound; of equal ones nothing is said.
    pub(super) fn is_in_order(&self) -> bool {
        let scores = || self.entries().iter().map(|entry| entry.score);
        let reach_bound = match self.entries().last() {
            Some(last) if self.bound.slot != NO_SLOT => *last == self.bound,
            last => last.is_none_or(|last| last.score >= self.bound.score),
        };
        scores().all(|score| score <= MAX_SCORE) && scores().is_sorted_by(|a, b| a >= b) && reach_bound
    }

    /// From what is kept of it.
    pub(super) fn of(bound: Bound, entries: &Entries) -> Self {
        if bound == Bound::CLOSED {
            return Self::CLOSED;
        }
        // Below 8.
        let len = bound.len() as u8;
        let slot = match bound.0 & NAMES_LAST {
            0 => NO_SLOT,
            _ => entries[bound.len() - 1].slot,
        };
        Self { entries: *entries, len, bound: Entry { score: bound.0 & (NAMES_LAST - 1), slot } }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Slots are their own ids.
    struct Numbers;
    impl Ids for Numbers {
        fn compare(&self, a: u32, b: u32) -> Ordering {
            a.cmp(&b)
        }
    }

    fn filled(scores: &[u32]) -> Shortlist {
        let mut shortlist = Shortlist::EMPTY;
        for (slot, &score) in (0..).zip(scores) {
            let key = Entry { score, slot };
            if shortlist.reaches(key, &Numbers) {
                shortlist.admit(key, &Numbers);
            }
        }
        shortlist
    }

    fn slots(shortlist: &Shortlist) -> Vec<u32> {
        shortlist.entries().iter().map(|entry| entry.slot).collect()
    }

    #[test]
    fn a_withdrawn_listing_is_replaced_by_the_fourth_best() {
        let mut shortlist = filled(&[10, 40, 20, 30]);
        shortlist.withdraw(1);
        assert_eq!(shortlist.shown().iter().map(|entry| entry.score).collect::<Vec<_>>(), [30, 20, 10]);
    }

    #[test]
    fn of_equal_scores_the_smaller_id_stays() {
        let shortlist = filled(&[5; 9]);
        assert_eq!(slots(&shortlist), [0, 1, 2, 3, 4, 5]);
        assert!(shortlist.reaches(Entry { score: 5, slot: 5 }, &Numbers));
        assert!(!shortlist.reaches(Entry { score: 5, slot: 6 }, &Numbers));
    }

    #[test]
    fn a_bound_forgets_a_listing_that_leaves() {
        let mut shortlist = filled(&[9, 8, 7, 6, 5, 5, 5]);
        shortlist.withdraw(5);
        assert!(!shortlist.reaches(Entry { score: 5, slot: 5 }, &Numbers), "a tie above it took over");
        shortlist.withdraw(4);
        assert!(!shortlist.reaches(Entry { score: 5, slot: 0 }, &Numbers));
        assert!(shortlist.reaches(Entry { score: 6, slot: 99 }, &Numbers));
        assert!(!shortlist.is_thin());
        shortlist.withdraw(0);
        shortlist.withdraw(1);
        assert!(shortlist.is_thin());
    }

    #[test]
    fn a_session_with_few_listings_is_complete_not_thin() {
        let mut shortlist = filled(&[3, 2]);
        assert!(!shortlist.is_thin());
        shortlist.withdraw(0);
        shortlist.withdraw(1);
        assert!(!shortlist.is_thin() && shortlist.reaches(Entry { score: 0, slot: 7 }, &Numbers));
    }

    #[test]
    fn a_closed_one_takes_no_notice() {
        assert!(!Shortlist::CLOSED.reaches(Entry { score: MAX_SCORE, slot: 0 }, &Numbers));
        assert!(Shortlist::CLOSED.is_thin());
    }

    proptest! {
        /// Against the definition: all listings with their scores, whatever happens to them.
        #[test]
        fn entries_are_exactly_what_reaches_the_bound(steps in prop::collection::vec((0_u32..12, prop::option::of(0_u32..5)), 0..200)) {
            let mut shortlist = Shortlist::EMPTY;
            let mut listings = std::collections::BTreeMap::<u32, u32>::new();
            for (slot, score) in steps {
                let old = listings.get(&slot).map(|&score| Entry { score, slot });
                if old.is_some_and(|old| shortlist.reaches(old, &Numbers)) {
                    shortlist.withdraw(slot);
                }
                match score {
                    Some(score) => {
                        listings.insert(slot, score);
                        let new = Entry { score, slot };
                        if shortlist.reaches(new, &Numbers) {
                            shortlist.admit(new, &Numbers);
                        }
                    }
                    None => {
                        listings.remove(&slot);
                    }
                }
                let mut keys: Vec<_> = listings.iter().map(|(&slot, &score)| Entry { score, slot }).collect();
                keys.sort_by(|a, b| b.score.cmp(&a.score).then(a.slot.cmp(&b.slot)));
                let above: Vec<_> = keys.iter().copied().filter(|key| shortlist.reaches(*key, &Numbers)).collect();
                prop_assert_eq!(shortlist.entries(), &above[..]);
                let (bound, entries) = shortlist.kept();
                let kept = Shortlist::of(bound, &entries);
                prop_assert_eq!((kept.entries(), kept.bound), (shortlist.entries(), shortlist.bound));
                for &Entry { score, slot } in &keys {
                    let reaches = match bound.reached_by(score) {
                        Reaches::No => false,
                        Reaches::Yes => true,
                        Reaches::IfBefore => kept.entries().last().is_some_and(|last| slot <= last.slot),
                    };
                    prop_assert_eq!(reaches, shortlist.reaches(Entry { score, slot }, &Numbers));
                }
                if shortlist.is_thin() {
                    shortlist = filled(&[]);
                    for key in keys {
                        if shortlist.reaches(key, &Numbers) {
                            shortlist.admit(key, &Numbers);
                        }
                    }
                } else {
                    prop_assert_eq!(shortlist.shown(), &keys[..keys.len().min(SHOWN)]);
                }
            }
        }
    }
}
