//! The sessions with their shortlists: takes in a listing's step from what it was to what it is, and remembers who may
//! see something else at the end of the batch.

use std::cmp::Reverse;

use schemas::id::{ListingId, SessionId};

use super::arena::Arena;
use super::buckets::{self, BucketKey, Buckets, Seats};
use super::ceiling::Offer;
use super::shelves::Listings;
use super::shortlist::{Entry, Shortlist};
use super::{Emit, Key, SHOWN, TopThree};
use crate::facts::{ListingFacts, SessionFacts};

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Audience {
    pub(super) sessions: Arena<SessionId, Session>,
    buckets: Buckets,
    /// Sessions that the current step may concern.
    hits: Vec<u32>,
    /// Sessions whose shortlist was left thin by the current step.
    thin: Vec<u32>,
    /// Sessions whose shortlist has to be made by a search at the end of the batch.
    closed: Vec<u32>,
    /// What sessions saw before the batch: every session that may see something else after it.
    touched: Vec<Touched>,
}

#[derive(Debug)]
pub(super) struct Session {
    pub(super) facts: SessionFacts,
    pub(super) shortlist: Shortlist,
    seats: Seats,
    /// Index in `touched` during a batch.
    touched: Option<u32>,
}

#[derive(Debug)]
struct Touched {
    session: u32,
    /// Stated in this batch: to be emitted even if it sees the same.
    stated: bool,
    saw: View,
}

/// What a session sees: the entries shown, and their content.
type View = [Option<(Entry, u64)>; SHOWN];

fn view(shortlist: &Shortlist, listings: &Listings) -> View {
    let mut shown = shortlist.shown().iter();
    // A listing on a shortlist is on offer.
    [(); SHOWN].map(|()| shown.next().and_then(|entry| Some((*entry, listings.get(entry.slot)?.content))))
}

/// A listing at one time.
#[derive(Clone, Copy)]
pub(super) struct Version<'a> {
    pub(super) facts: &'a ListingFacts,
    pub(super) offer: Offer,
}

/// One listing's step from what it was to what it is.
#[derive(Clone, Copy)]
pub(super) struct Step<'a> {
    pub(super) slot: u32,
    pub(super) id: &'a ListingId,
    pub(super) old: Option<Version<'a>>,
    pub(super) new: Option<Version<'a>>,
}

impl Step<'_> {
    /// The buckets that are concerned, each with the part of the step that it sees. A session may stand in one bucket of
    /// what the listing was and in another of what it is: it must see it leave before it sees it enter.
    fn by_bucket(self) -> Vec<(BucketKey, Self)> {
        let before = self.old.map(|old| buckets::of_listing(old.facts));
        let after = self.new.map(|new| buckets::of_listing(new.facts));
        let (before, after) =
            (before.as_ref().map_or(&[][..], |it| &it[..]), after.as_ref().map_or(&[][..], |it| &it[..]));
        let leaves = |bucket| if after.contains(bucket) { self } else { Self { new: None, ..self } };
        let from = before.iter().map(|bucket| (bucket.clone(), leaves(bucket)));
        let to = after.iter().filter(|bucket| !before.contains(bucket));
        from.chain(to.map(|bucket| (bucket.clone(), Self { old: None, ..self }))).collect()
    }

    /// The listing's entry on the session's shortlist, if it reaches it.
    fn entry(&self, session: &Session, version: Option<Version<'_>>, listings: &Listings) -> Option<Entry> {
        session.shortlist.entry(&session.facts, self.slot, self.id, version?.facts, listings)
    }
}

impl Audience {
    /// Shows a listing's step to the sessions it may concern. `listings` is as it was before the step, but knows the id.
    pub(super) fn watch(&mut self, step: Step<'_>, listings: &Listings) {
        for (bucket, step) in step.by_bucket() {
            let offers = [step.old.as_ref(), step.new.as_ref()].map(|version| version.map(|version| &version.offer));
            self.buckets.takers(&bucket, offers, &mut self.hits);
            for slot in self.hits.drain(..) {
                let Some(session) = self.sessions.get_mut(slot) else { continue };
                let old = step.entry(session, step.old, listings);
                let new = step.entry(session, step.new, listings);
                if old.is_none() && new.is_none() {
                    continue;
                }
                session.touch(slot, listings, &mut self.touched);
                if old == new {
                    continue; // the same key: at most its content changed
                }
                let bound = session.shortlist.bound_score();
                if old.is_some() {
                    session.shortlist.withdraw(step.slot);
                }
                // The bound may have risen when the old key left.
                if let Some(new) = new
                    && session.shortlist.reaches(new, listings)
                {
                    session.shortlist.admit(new, listings);
                }
                if session.shortlist.bound_score() != bound {
                    self.buckets.set_bound(&session.seats, session.shortlist.bound_score());
                }
                if session.shortlist.is_thin() {
                    self.thin.push(slot);
                }
            }
        }
        for slot in self.thin.drain(..) {
            if let Some(session) = self.sessions.get_mut(slot)
                && session.shortlist.is_thin()
            {
                session.shortlist = Shortlist::CLOSED;
                self.buckets.set_bound(&session.seats, session.shortlist.bound_score());
                self.closed.push(slot);
            }
        }
    }

    /// Takes in a session's statement, or its end.
    pub(super) fn state(&mut self, id: SessionId, facts: Option<&SessionFacts>, listings: &Listings) {
        let Some(facts) = facts else {
            if let Some(slot) = self.sessions.slot(&id)
                && let Some(session) = self.sessions.set(slot, None)
            {
                self.buckets.unseat(&session.seats);
            }
            return;
        };
        let slot = self.sessions.slot_or_new(&id);
        match self.sessions.get_mut(slot) {
            Some(session) => {
                session.touch(slot, listings, &mut self.touched).stated = true;
                if session.facts == *facts {
                    return;
                }
                self.buckets.unseat(&session.seats);
                session.seats = self.buckets.seat(facts, slot);
                session.facts = facts.clone();
                session.shortlist = Shortlist::CLOSED;
            }
            None => {
                let mut session = Session {
                    facts: facts.clone(),
                    shortlist: Shortlist::CLOSED,
                    seats: self.buckets.seat(facts, slot),
                    touched: None,
                };
                session.touch(slot, listings, &mut self.touched).stated = true;
                self.sessions.set(slot, Some(session));
            }
        }
        self.closed.push(slot);
    }

    /// Makes the closed shortlists anew: `search` offers every listing to the session's empty list.
    pub(super) fn refill(&mut self, search: impl Fn(&SessionFacts) -> Shortlist) {
        for slot in self.closed.drain(..) {
            // It may have been erased, or be here twice.
            if let Some(session) = self.sessions.get_mut(slot)
                && session.shortlist.is_closed()
            {
                session.shortlist = search(&session.facts);
                self.buckets.set_bound(&session.seats, session.shortlist.bound_score());
            }
        }
    }

    /// Ends the batch: who sees something else.
    pub(super) fn emit(&mut self, listings: &Listings, emits: &mut Vec<Emit>) {
        for (index, touched) in (0..).zip(self.touched.drain(..)) {
            // It may have been erased, and may then have come anew.
            let Some(session) = self.sessions.get_mut(touched.session) else { continue };
            if session.touched.take_if(|it| *it == index).is_none() {
                continue;
            }
            if touched.stated || touched.saw != view(&session.shortlist, listings) {
                let top = session.top_three(listings);
                emits.push(Emit { session: *self.sessions.key(touched.session), top });
            }
        }
        self.sessions.sweep();
        self.buckets.sweep();
    }
}

impl Session {
    /// Remembers what it sees, the first time in a batch.
    fn touch<'a>(&mut self, slot: u32, listings: &Listings, touched: &'a mut Vec<Touched>) -> &'a mut Touched {
        let index = *self.touched.get_or_insert_with(|| {
            touched.push(Touched { session: slot, stated: false, saw: view(&self.shortlist, listings) });
            // At most as many as there are sessions.
            (touched.len() - 1) as u32
        });
        &mut touched[index as usize]
    }

    pub(super) fn top_three(&self, listings: &Listings) -> TopThree {
        let key = |entry: &Entry| Key { score: entry.score, listing: Reverse(listings.key(entry.slot).clone()) };
        TopThree::best_of(self.shortlist.shown().iter().map(key).collect())
    }
}
