//! The definition: every session against every listing, after every batch. As simple as possible, for tests and small
//! installations; what every other must equal.

use std::collections::{BTreeMap, BTreeSet};

use schemas::id::{ListingId, SessionId};

use super::{Change, Emit, Engine, Size, TopThree};
use crate::facts::{ListingFacts, SessionFacts};
use crate::score::matches;

/// See the module.
#[derive(Debug, Default)]
pub struct Oracle {
    listings: BTreeMap<ListingId, (ListingFacts, u64)>,
    sessions: BTreeMap<SessionId, SessionFacts>,
    /// What each session saw after the last batch, and the content it saw.
    seen: BTreeMap<SessionId, (TopThree, Vec<u64>)>,
}

impl Oracle {
    fn sees(&self, session: &SessionFacts) -> (TopThree, Vec<u64>) {
        let keys = self.listings.iter().filter_map(|(id, (facts, _))| matches(session, id, facts)).collect();
        let top = TopThree::best_of(keys);
        let contents = top.keys().iter().map(|key| self.listings[&key.listing.0].1).collect();
        (top, contents)
    }
}

impl Engine for Oracle {
    fn apply(&mut self, batch: &[Change], emits: &mut Vec<Emit>) {
        let mut stated = BTreeSet::new();
        for change in batch {
            match change.clone() {
                Change::Listing { id, facts: Some(facts), content } => {
                    self.listings.insert(id, (facts, content));
                }
                Change::Listing { id, facts: None, .. } => {
                    self.listings.remove(&id);
                }
                Change::Session { id, facts: Some(facts) } => {
                    self.sessions.insert(id, facts);
                    stated.insert(id);
                }
                Change::Session { id, facts: None } => {
                    self.sessions.remove(&id);
                }
            }
        }
        let before = std::mem::take(&mut self.seen);
        for (&id, session) in &self.sessions {
            let sees = self.sees(session);
            if stated.contains(&id) || before.get(&id) != Some(&sees) {
                emits.push(Emit { session: id, top: sees.0.clone() });
            }
            self.seen.insert(id, sees);
        }
    }

    fn top_three(&self, session: SessionId) -> Option<TopThree> {
        self.seen.get(&session).map(|(top, _)| top.clone())
    }

    fn each_in_place(
        &self,
        _: &SessionFacts,
        from: usize,
        most: usize,
        visit: &mut dyn FnMut(&ListingId, &ListingFacts),
    ) -> Option<usize> {
        let mut rest = self.listings.iter().filter(|(_, (facts, _))| facts.is_offered()).skip(from);
        rest.by_ref().take(most).for_each(|(id, (facts, _))| visit(id, facts));
        rest.next().map(|_| from + most)
    }

    fn size(&self) -> Size {
        let listings = self.listings.values().filter(|(facts, _)| facts.is_offered()).count();
        Size { listings, sessions: self.sessions.len() }
    }
}
