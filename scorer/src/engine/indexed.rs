//! The engine for use. Never holds a pair of session and listing: a change of a listing looks up the sessions of its
//! buckets (`buckets.rs`) in tables made for it (`lookup.rs`, 64 sessions at once: `kernel.rs`), a new session the listings
//! of its shelves (`shelves.rs`) by their filters (`codes.rs`) and by the most they can score (`ceiling.rs`); what comes
//! through is scored exactly against the session's shortlist (`shortlist.rs`).
//!
//! Of the changes of a batch the last of each thing counts. Searches for sessions that need one, and emits, wait for the end
//! of the batch, once per session.

use rustc_hash::FxHashSet;
use schemas::id::{ListingId, SessionId};
use smallvec::SmallVec;

use super::audience::{Audience, Step, top_three};
use super::ceiling::{Ceilings, OfferBlock, Seeker};
use super::clusters::{LANES, Spot, lanes};
use super::kernel::Kernel;
use super::shelves::{Listings, Offered, Shelves};
use super::shortlist::{KEPT, Shortlist};
use super::{Change, Emit, Engine, Size, TopThree, Work};
use crate::facts::{Asked, ListingFacts, SessionFacts};

mod saved;

/// See the module.
#[derive(Debug)]
pub struct Indexed {
    pub(super) tuning: Tuning,
    pub(super) listings: Listings,
    pub(super) shelves: Shelves,
    pub(super) audience: Audience,
    /// Batches since the beginning.
    #[cfg(debug_assertions)]
    pub(super) batches: usize,
}

/// Sessions of a bucket that are asked one by one: making tables takes longer.
const FEW: usize = 24;

/// What changes the work and never the result.
#[derive(Clone, Copy, Debug)]
pub struct Tuning {
    /// How sessions are looked up.
    pub kernel: Kernel,
    /// Sessions of a bucket that are asked one by one.
    pub few: usize,
}

/// A listing's newest facts in a batch.
struct Fresh<'a> {
    slot: u32,
    id: &'a ListingId,
    facts: Option<&'a ListingFacts>,
    content: u64,
}

impl Fresh<'_> {
    fn step<'a>(&'a self, listings: &'a Listings) -> Step<'a> {
        let old = listings.get(self.slot);
        let shows_anew = old.is_some_and(|old| old.content != self.content);
        Step { slot: self.slot, id: self.id, old: old.map(|old| &old.facts), new: self.facts, shows_anew }
    }
}

impl Indexed {
    /// Without listings or sessions.
    pub fn new(kernel: Kernel) -> Self {
        Self::tuned(Self::tuning(kernel))
    }

    /// With the numbers that it ships with.
    pub const fn tuning(kernel: Kernel) -> Tuning {
        Tuning { kernel, few: FEW }
    }

    /// The same with numbers of one's own.
    pub fn tuned(tuning: Tuning) -> Self {
        let (listings, shelves, audience) = Default::default();
        Self {
            tuning,
            listings,
            shelves,
            audience,
            #[cfg(debug_assertions)]
            batches: 0,
        }
    }

    /// The last change of each listing of the batch that is no repeat.
    fn fresh<'a>(&mut self, batch: &'a [Change]) -> Vec<Fresh<'a>> {
        let mut seen = FxHashSet::default();
        let mut fresh = Vec::with_capacity(batch.len());
        for change in batch.iter().rev() {
            let Change::Listing { id, facts, content } = change else { continue };
            if batch.len() > 1 && !seen.insert(id) {
                continue;
            }
            // What nobody may be shown is not kept.
            let facts = facts.as_ref().filter(|facts| facts.is_offered());
            let known = if facts.is_some() { Some(self.listings.slot_or_new(id)) } else { self.listings.slot(id) };
            let Some(slot) = known else { continue };
            let old = self.listings.get(slot).map(|old| (&old.facts, old.content));
            if old != facts.map(|facts| (facts, *content)) {
                fresh.push(Fresh { slot, id, facts, content: *content });
            }
        }
        fresh
    }

    fn keep(&mut self, fresh: &[Fresh<'_>]) {
        let mut moved = Vec::new();
        for Fresh { slot, facts, content, .. } in fresh {
            if let Some(old) = self.listings.set(*slot, None) {
                self.shelves.take(&old.facts, old.standing);
            }
            if let Some(facts) = facts {
                let standing = self.shelves.put(facts, *slot, &mut moved);
                let facts = ListingFacts { market: self.audience.book.shared(&facts.market), ..(*facts).clone() };
                self.listings.set(*slot, Some(Offered { facts, content: *content, standing }));
            }
            // Before anything else moves.
            self.follow(&mut moved);
        }
    }

    fn follow(&mut self, moved: &mut Vec<(u32, Spot)>) {
        for (slot, spot) in moved.drain(..) {
            if let Some(offered) = self.listings.get_mut(slot) {
                offered.standing.moved(spot);
            }
        }
    }

    /// Offers the session the listings of its place, the most promising first.
    fn search(&self, session: &Asked<'_>) -> Shortlist {
        let seeker = Seeker::of(session);
        let mut shortlist = Shortlist::EMPTY;
        let kernel = self.tuning.kernel;
        let floor = seeker.floor(shortlist.bound_score());
        self.shelves.best_first(session, &seeker, kernel, floor, |block| {
            let mut floor = seeker.floor(shortlist.bound_score());
            let Ceilings { mask, most } = kernel.offers(block, &seeker, floor);
            let mut offers: SmallVec<[usize; LANES]> = lanes(mask).collect();
            offers.sort_unstable_by(|a, b| most[*b].total_cmp(&most[*a]));
            offers.iter().take(KEPT).for_each(|lane| self.listings.prefetch(block.slot(*lane)));
            for lane in offers {
                if most[lane] < floor {
                    break;
                }
                let slot = block.slot(lane);
                let Some(offered) = self.listings.get(slot) else { continue };
                let id = self.listings.key(slot);
                if let Some(entry) = shortlist.entry(session, slot, id, &offered.facts, &self.listings) {
                    shortlist.admit(entry, &self.listings);
                    floor = seeker.floor(shortlist.bound_score());
                }
            }
            floor
        });
        shortlist
    }
}

impl Engine for Indexed {
    fn apply(&mut self, batch: &[Change], emits: &mut Vec<Emit>) {
        let fresh = self.fresh(batch);
        for change in batch {
            if let Change::Session { id, facts } = change {
                self.audience.state(*id, facts.as_ref());
            }
        }
        let steps: Vec<Step<'_>> = fresh.iter().map(|it| it.step(&self.listings)).collect();
        self.audience.watch(&steps, &self.listings, self.tuning);
        self.keep(&fresh);
        // Apart, because the search reads what the audience does not hold.
        let mut audience = std::mem::take(&mut self.audience);
        audience.refill(|session| self.search(session));
        audience.emit(&self.listings, emits);
        self.audience = audience;
        self.listings.sweep();
        let mut moved = Vec::new();
        self.shelves.sweep(&mut moved);
        self.follow(&mut moved);
        #[cfg(debug_assertions)]
        self.inspect_now_and_then();
    }

    fn top_three(&self, session: SessionId) -> Option<TopThree> {
        let slot = self.audience.sessions.slot(&session)?;
        Some(top_three(&self.audience.shortlist(slot)?, &self.listings))
    }

    fn each_in_place(
        &self,
        session: &SessionFacts,
        from: usize,
        most: usize,
        visit: &mut dyn FnMut(&ListingId, &ListingFacts),
    ) -> Option<usize> {
        let asked = session.into();
        let mut rest = self.shelves.blocks(&asked).flat_map(OfferBlock::slots).skip(from);
        for slot in rest.by_ref().take(most) {
            if let Some(offered) = self.listings.get(slot) {
                visit(self.listings.key(slot), &offered.facts);
            }
        }
        rest.next().map(|_| from + most)
    }

    fn work(&self) -> Work {
        self.audience.work()
    }

    fn size(&self) -> Size {
        Size { listings: self.listings.len(), sessions: self.audience.sessions.len() }
    }

    fn save(&self, head: Vec<u8>) -> Option<Vec<u8>> {
        Some(self.written(head))
    }
}
