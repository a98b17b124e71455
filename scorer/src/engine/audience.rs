//! The sessions with their shortlists: takes in what listings were and are, and remembers who may see something else at
//! the end of the batch.

use std::cmp::Reverse;

use rustc_hash::FxHashSet;
use schemas::id::{ListingId, SessionId};

use super::arena::Arena;
use super::buckets::{Buckets, Moved, Seen, Standing};
use super::indexed::Tuning;
use super::seats::Hit;
use super::shelves::Listings;
use super::shortlist::{Entry, Shortlist};
use super::{Emit, Key, SHOWN, TopThree};
use crate::facts::{ListingFacts, SessionFacts};

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Audience {
    pub(super) sessions: Arena<SessionId, Session>,
    buckets: Buckets,
    /// Sessions that the current steps may concern.
    hits: Vec<Hit>,
    /// Sessions whose seat changed.
    moved: Vec<Moved>,
    /// Sessions whose shortlist has to be made by a search at the end of the batch.
    closed: Vec<u32>,
    /// Listings of the batch of which something else is shown.
    shown_anew: FxHashSet<u32>,
    /// What sessions saw before the batch: every session that may see something else after it.
    touched: Vec<Touched>,
}

#[derive(Debug)]
pub(super) struct Session {
    pub(super) facts: SessionFacts,
    pub(super) shortlist: Shortlist,
    standing: Standing,
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

/// The entries that a session sees.
type View = [Option<Entry>; SHOWN];

fn view(shortlist: &Shortlist) -> View {
    let mut shown = shortlist.shown().iter();
    [(); SHOWN].map(|()| shown.next().copied())
}

/// One listing's step from what it was to what it is. Of one listing there is one step in a batch.
#[derive(Clone, Copy)]
pub(super) struct Step<'a> {
    pub(super) slot: u32,
    pub(super) id: &'a ListingId,
    pub(super) old: Option<&'a ListingFacts>,
    pub(super) new: Option<&'a ListingFacts>,
    /// What is shown of it is another.
    pub(super) shows_anew: bool,
}

impl Audience {
    /// Shows listings' steps to the sessions that they may concern. `listings` is as it was before the steps, but knows the ids.
    pub(super) fn watch(&mut self, steps: &[Step<'_>], listings: &Listings, tuning: Tuning) {
        let (mut changes, mut enters) = (Vec::new(), Vec::new());
        for (number, step) in (0..).zip(steps) {
            if step.shows_anew {
                self.shown_anew.insert(step.slot);
            }
            let seen = Seen { step: number, old: step.old, new: step.new };
            self.buckets.of(seen, &mut changes, &mut enters);
        }
        // A session may stand in one bucket of what a listing was and in another of what it is: it must see it leave before it
        // sees it enter.
        for mut seen in [changes, enters] {
            seen.sort_by_key(|(bucket, _)| *bucket);
            for of_bucket in seen.chunk_by(|a, b| a.0 == b.0) {
                let mut hits = std::mem::take(&mut self.hits);
                self.buckets.concerned(of_bucket[0].0, of_bucket, tuning, &mut hits);
                for (index, hit) in hits.iter().enumerate() {
                    if let Some(later) = hits.get(index + PREFETCHED) {
                        self.sessions.prefetch(later.slot);
                    }
                    let seen = &of_bucket[hit.listing as usize].1;
                    self.show(hit.slot, seen, &steps[seen.step as usize], listings);
                }
                hits.clear();
                self.hits = hits;
            }
        }
    }

    /// Shows a session a step, as far as its bucket sees it.
    fn show(&mut self, slot: u32, seen: &Seen<'_>, step: &Step<'_>, listings: &Listings) {
        let Some(session) = self.sessions.get_mut(slot) else { return };
        let entry = |session: &Session, facts: Option<&ListingFacts>| {
            session.shortlist.entry(&session.facts, step.slot, step.id, facts?, listings)
        };
        let (old, new) = (entry(session, seen.old), entry(session, seen.new));
        if old.is_none() && new.is_none() {
            return;
        }
        session.touch(slot, &mut self.touched);
        if old == new {
            return; // the same key: at most its content changed
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
        if session.shortlist.is_thin() {
            session.shortlist = Shortlist::CLOSED;
            self.buckets.set_bound(&session.standing, None);
            self.closed.push(slot);
        } else if session.shortlist.bound_score() != bound {
            self.buckets.set_bound(&session.standing, Some(session.shortlist.bound_score()));
        }
    }

    /// Takes in a session's statement, or its end.
    pub(super) fn state(&mut self, id: SessionId, facts: Option<SessionFacts>) {
        let Some(facts) = facts else {
            if let Some(slot) = self.sessions.slot(&id)
                && let Some(session) = self.sessions.set(slot, None)
            {
                self.buckets.unseat(&session.standing);
            }
            return;
        };
        let slot = self.sessions.slot_or_new(&id);
        match self.sessions.get_mut(slot) {
            Some(session) => {
                session.touch(slot, &mut self.touched).stated = true;
                if session.facts == facts {
                    return;
                }
                self.buckets.unseat(&session.standing);
                session.standing = self.buckets.seat(&facts, slot, &mut self.moved);
                session.facts = facts;
                session.shortlist = Shortlist::CLOSED;
            }
            None => {
                let standing = self.buckets.seat(&facts, slot, &mut self.moved);
                let mut session = Session { facts, shortlist: Shortlist::CLOSED, standing, touched: None };
                session.touch(slot, &mut self.touched).stated = true;
                self.sessions.set(slot, Some(session));
            }
        }
        self.closed.push(slot);
        self.follow_moves();
        let Self { sessions, buckets, moved, .. } = self;
        buckets.ladder_anew(|slot| Some(&sessions.get(slot)?.facts), moved);
        self.follow_moves();
    }

    fn follow_moves(&mut self) {
        for Moved { session, bucket, spot } in self.moved.drain(..) {
            if let Some(session) = self.sessions.get_mut(session) {
                session.standing.moved(bucket, spot);
            }
        }
    }

    /// Makes the closed shortlists anew: `search` offers every listing to the session's empty list.
    pub(super) fn refill(&mut self, search: impl Fn(&SessionFacts) -> Shortlist) {
        for slot in self.closed.drain(..) {
            // It may have been erased, or be here twice.
            if let Some(session) = self.sessions.get_mut(slot)
                && session.shortlist.is_closed()
            {
                session.shortlist = search(&session.facts);
                self.buckets.set_bound(&session.standing, Some(session.shortlist.bound_score()));
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
            let is_shown_anew = || session.shortlist.shown().iter().any(|entry| self.shown_anew.contains(&entry.slot));
            if touched.stated || touched.saw != view(&session.shortlist) || is_shown_anew() {
                let top = session.top_three(listings);
                emits.push(Emit { session: *self.sessions.key(touched.session), top });
            }
        }
        self.shown_anew.clear();
        self.sessions.sweep();
        self.buckets.sweep(&mut self.moved);
        self.follow_moves();
    }
}

/// How many sessions ahead are fetched while one is looked at: as many as a core can wait for at once.
const PREFETCHED: usize = 8;

impl Session {
    /// Remembers what it sees, the first time in a batch.
    fn touch<'a>(&mut self, slot: u32, touched: &'a mut Vec<Touched>) -> &'a mut Touched {
        let index = *self.touched.get_or_insert_with(|| {
            touched.push(Touched { session: slot, stated: false, saw: view(&self.shortlist) });
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
