//! The engine for use: portable and safe. Never holds a pair of session and listing: a change of a listing sieves the
//! sessions of its buckets (`buckets.rs`), a new session the listings of its shelves (`shelves.rs`), by their filters
//! (`codes.rs`) and by the most they can score (`ceiling.rs`); what comes through is scored exactly against the session's
//! shortlist (`shortlist.rs`).
//!
//! The changes of a batch are applied one by one; searches for sessions that need one, and emits, wait for the end of the
//! batch, once per session.

use schemas::id::{ListingId, SessionId};

use super::audience::{Audience, Step, Version};
use super::ceiling::{Offer, OfferBlock, Seeker};
use super::shelves::{Listings, Offered, Shelves};
use super::shortlist::{Entry, Shortlist};
use super::{Change, Emit, Engine, Size, TopThree};
use crate::facts::{ListingFacts, SessionFacts};
use crate::score::{passes, score};

/// See the module.
#[derive(Debug, Default)]
pub struct Scalar {
    listings: Listings,
    shelves: Shelves,
    audience: Audience,
}

impl Scalar {
    fn put_listing(&mut self, id: &ListingId, new: Option<&ListingFacts>, content: u64) {
        // What nobody may be shown is not kept.
        let new = new.filter(|facts| facts.is_offered());
        let known = if new.is_some() { Some(self.listings.slot_or_new(id)) } else { self.listings.slot(id) };
        let Some(slot) = known else { return };
        let old = self.listings.get(slot);
        if old.map(|old| (&old.facts, old.content)) == new.map(|new| (new, content)) {
            return; // a repeat
        }
        let new = new.map(|facts| Version { facts, offer: Offer::of(facts) });
        let old = old.map(|old| Version { facts: &old.facts, offer: Offer::of(&old.facts) });
        self.audience.watch(Step { slot, id, old, new }, &self.listings);

        if let Some(old) = self.listings.set(slot, None) {
            self.shelves.take(&old.facts, old.standing);
        }
        if let Some(Version { facts, offer }) = new {
            let (standing, market) = self.shelves.put(facts, &offer, slot);
            // The market's name is shared, so that comparing it stays in the cache.
            let facts = ListingFacts { market, ..facts.clone() };
            self.listings.set(slot, Some(Offered { facts, content, standing }));
        }
    }

    /// Offers the session every listing of its place.
    fn search(&self, session: &SessionFacts) -> Shortlist {
        let seeker = Seeker::of(session);
        let mut shortlist = Shortlist::EMPTY;
        for block in self.shelves.blocks(session) {
            for slot in block.offers(&seeker, seeker.floor(shortlist.bound_score())) {
                let Some(offered) = self.listings.get(slot) else { continue };
                let id = self.listings.key(slot);
                if let Some(entry) = shortlist.entry(session, slot, id, &offered.facts, &self.listings) {
                    shortlist.admit(entry, &self.listings);
                }
            }
        }
        shortlist
    }

    /// Checks every shortlist against a search: that it holds exactly the listings that reach its bound, with their
    /// current scores. For tests and drills; costs a search per session.
    pub fn audit(&self) -> Result<(), String> {
        for (_, id, session) in self.audience.sessions.iter() {
            let mut reaching = 0;
            for (slot, listing, offered) in self.listings.iter() {
                if !passes(&session.facts, listing, &offered.facts) {
                    continue;
                }
                let entry = Entry { score: score(&session.facts, &offered.facts), slot };
                let kept = session.shortlist.entries().contains(&entry);
                reaching += usize::from(kept);
                if kept != session.shortlist.reaches(entry, &self.listings) {
                    return Err(format!("{id}: {listing} has {entry:?}, but {:?}", session.shortlist));
                }
            }
            if reaching != session.shortlist.entries().len() || session.shortlist.is_thin() {
                return Err(format!("{id}: {reaching} listings reach {:?}", session.shortlist));
            }
        }
        Ok(())
    }
}

impl Engine for Scalar {
    fn apply(&mut self, batch: &[Change], emits: &mut Vec<Emit>) {
        for change in batch {
            match change {
                Change::Listing { id, facts, content } => self.put_listing(id, facts.as_ref(), *content),
                Change::Session { id, facts } => self.audience.state(*id, facts.as_ref(), &self.listings),
            }
        }
        // Apart, because the search reads what the audience does not hold.
        let mut audience = std::mem::take(&mut self.audience);
        audience.refill(|session| self.search(session));
        audience.emit(&self.listings, emits);
        self.audience = audience;
        self.listings.sweep();
        self.shelves.sweep();
    }

    fn top_three(&self, session: SessionId) -> Option<TopThree> {
        Some(self.audience.sessions.find(&session)?.top_three(&self.listings))
    }

    fn each_in_place(&self, session: &SessionFacts, visit: &mut dyn FnMut(&ListingId, &ListingFacts)) {
        for slot in self.shelves.blocks(session).flat_map(OfferBlock::slots) {
            if let Some(offered) = self.listings.get(slot) {
                visit(self.listings.key(slot), &offered.facts);
            }
        }
    }

    fn size(&self) -> Size {
        Size { listings: self.listings.len(), sessions: self.audience.sessions.len() }
    }
}
