//! The sessions with their shortlists: takes in what listings were and are, and remembers who may see something else at
//! the end of the batch.

use std::cmp::Reverse;

use rustc_hash::FxHashSet;
use schemas::id::{ListingId, SessionId};

use super::arena::Arena;
use super::asks::{Asks, Book};
use super::buckets::{AT_ONCE, Buckets, Moved, Seen, Standing};
use super::indexed::Tuning;
use super::kernel;
use super::seats::Hit;
use super::shelves::Listings;
use super::shortlist::{Bound, Entries, Entry, NO_ENTRIES, Reaches, Shortlist};
use super::{Emit, Key, SHOWN, TopThree, Work};
use crate::facts::{Asked, ListingFacts, SessionFacts};
use crate::score::{passes, score};

mod saved;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Audience {
    pub(super) sessions: Arena<SessionId, Session>,
    /// What is needed of a session only when something happens to it, by slot.
    details: Vec<Details>,
    pub(super) book: Book,
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
    work: Work,
}

/// What is needed of every session that a listing may concern: one line of the cache.
#[derive(Debug)]
#[repr(C, align(64))]
pub(super) struct Session {
    asks: Asks,
    bound: Bound,
    standing: Standing,
}

const _: () = assert!(size_of::<Option<Session>>() == 64);

#[derive(Clone, Debug)]
struct Details {
    entries: Entries,
    /// Index in `touched` during a batch, or [`UNTOUCHED`].
    touched: u32,
}

const UNTOUCHED: u32 = u32::MAX;

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
    let shown = shortlist.shown();
    std::array::from_fn(|place| shown.get(place).copied())
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
        self.work.changes += steps.len() as u64;
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
            // A few at a time: where every listing concerns everybody, as in a new market, the first ones raise the bounds
            // that keep out the others, and no more is held than a few candidates for each session.
            let of_each = seen.chunk_by(|a, b| a.0 == b.0).flat_map(|of_bucket| of_bucket.chunks(AT_ONCE));
            for few in of_each {
                let mut hits = std::mem::take(&mut self.hits);
                self.work.looks += self.buckets.concerned(few[0].0, few, tuning, &mut hits);
                self.work.candidates += hits.len() as u64;
                for (index, hit) in hits.iter().enumerate() {
                    if let Some(later) = hits.get(index + PREFETCHED) {
                        self.sessions.prefetch(later.slot);
                    }
                    let seen = &few[hit.listing as usize].1;
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
        let asked = self.book.asked(slot, &session.asks);
        // The bound first: nearly all that comes through the sieve fails there, at a fraction of what the filters cost.
        let entry = |facts: Option<&ListingFacts>| {
            let facts = facts?;
            let entry = Entry { score: score(asked, facts), slot: step.slot };
            let reaches = match session.bound.reached_by(entry.score) {
                Reaches::No => false,
                Reaches::Yes => true,
                Reaches::IfBefore => {
                    Shortlist::of(session.bound, &self.details[slot as usize].entries).reaches(entry, listings)
                }
            };
            (reaches && passes(asked, step.id, facts)).then_some(entry)
        };
        let (old, new) = (entry(seen.old), entry(seen.new));
        if old.is_none() && new.is_none() {
            return;
        }
        let details = &mut self.details[slot as usize];
        let mut shortlist = Shortlist::of(session.bound, &details.entries);
        details.touch(slot, &shortlist, &mut self.touched);
        if old == new {
            return; // the same key: at most its content changed
        }
        let bound = shortlist.bound_score();
        if old.is_some() {
            shortlist.withdraw(step.slot);
        }
        // The bound may have risen when the old key left.
        if let Some(new) = new
            && shortlist.reaches(new, listings)
        {
            shortlist.admit(new, listings);
        }
        if shortlist.is_thin() {
            shortlist = Shortlist::CLOSED;
            self.work.refills += 1;
            self.buckets.set_bound(slot, &session.standing, &asked, None);
            self.closed.push(slot);
        } else if shortlist.bound_score() != bound {
            self.buckets.set_bound(slot, &session.standing, &asked, Some(shortlist.bound_score()));
        }
        (session.bound, details.entries) = shortlist.kept();
    }

    /// Takes in a session's statement, or its end.
    pub(super) fn state(&mut self, id: SessionId, facts: Option<&SessionFacts>) {
        let Some(facts) = facts else {
            if let Some(slot) = self.sessions.slot(&id)
                && let Some(session) = self.sessions.set(slot, None)
            {
                self.buckets.unseat(slot, &session.standing, session.asks.profile());
                self.book.forget(slot);
            }
            return;
        };
        let slot = self.sessions.slot_or_new(&id);
        if self.details.len() <= slot as usize {
            self.details.resize(slot as usize + 1, Details { entries: NO_ENTRIES, touched: UNTOUCHED });
        }
        let details = &mut self.details[slot as usize];
        match self.sessions.get(slot) {
            Some(session) => {
                let shortlist = Shortlist::of(session.bound, &details.entries);
                details.touch(slot, &shortlist, &mut self.touched).stated = true;
                if self.book.is(slot, &session.asks, facts) {
                    return;
                }
                self.buckets.unseat(slot, &session.standing, session.asks.profile());
            }
            None => details.touch(slot, &Shortlist::CLOSED, &mut self.touched).stated = true,
        }
        self.work.searches += 1;
        let asks = self.book.pack(slot, facts);
        let standing = self.buckets.seat(&facts.into(), slot, &mut self.moved);
        self.sessions.set(slot, Some(Session { asks, bound: Bound::CLOSED, standing }));
        self.closed.push(slot);
        self.follow_moves();
        let Self { sessions, buckets, moved, book, .. } = self;
        buckets.ladder_anew(|slot| Some(book.asked(slot, &sessions.get(slot)?.asks)), moved);
        self.follow_moves();
    }

    fn follow_moves(&mut self) {
        for Moved { session, bucket, spot } in self.moved.drain(..) {
            if let Some(of) = self.sessions.get_mut(session) {
                self.buckets.moved(session, &mut of.standing, bucket, spot);
            }
        }
    }

    /// Makes the closed shortlists anew: `search` offers every listing to the session's empty list.
    pub(super) fn refill(&mut self, search: impl Fn(&Asked<'_>) -> Shortlist) {
        // Who looks for the like looks at the same listings: while they are in the cache.
        let Self { sessions, closed, .. } = self;
        closed.sort_by_cached_key(|slot| sessions.get(*slot).map(|session| session.likeness()));
        for slot in self.closed.drain(..) {
            // It may have been erased, or be here twice.
            if let Some(session) = self.sessions.get_mut(slot)
                && session.bound == Bound::CLOSED
            {
                let asked = self.book.asked(slot, &session.asks);
                let shortlist = search(&asked);
                self.buckets.set_bound(slot, &session.standing, &asked, Some(shortlist.bound_score()));
                (session.bound, self.details[slot as usize].entries) = shortlist.kept();
            }
        }
    }

    /// Ends the batch: who sees something else.
    pub(super) fn emit(&mut self, listings: &Listings, emits: &mut Vec<Emit>) {
        for index in 0..self.touched.len() {
            self.fetch_ahead(index, listings);
            let touched = &self.touched[index];
            let slot = touched.session;
            let details = &mut self.details[slot as usize];
            // It may have been erased, and may then have come anew.
            if details.touched != index as u32 {
                continue;
            }
            details.touched = UNTOUCHED;
            let Some(session) = self.sessions.get(slot) else { continue };
            let shortlist = Shortlist::of(session.bound, &details.entries);
            let is_shown_anew = || shortlist.shown().iter().any(|entry| self.shown_anew.contains(&entry.slot));
            if touched.stated || touched.saw != view(&shortlist) || is_shown_anew() {
                emits.push(Emit { session: *self.sessions.key(slot), top: top_three(&shortlist, listings) });
            }
        }
        self.touched.clear();
        self.shown_anew.clear();
        self.sessions.sweep();
        self.buckets.sweep(&mut self.moved);
        self.follow_moves();
    }

    /// What a later session's emit needs is on its way before it is its turn.
    fn fetch_ahead(&self, index: usize, listings: &Listings) {
        if let Some(later) = self.touched.get(index + 2 * PREFETCHED) {
            self.sessions.prefetch(later.session);
            self.sessions.prefetch_key(later.session);
            if let Some(details) = self.details.get(later.session as usize) {
                kernel::prefetch(details);
            }
        }
        if let Some(later) = self.touched.get(index + PREFETCHED)
            && let Some(details) = self.details.get(later.session as usize)
        {
            details.entries[..SHOWN].iter().for_each(|entry| listings.prefetch_key(entry.slot));
        }
    }

    pub(super) fn work(&self) -> Work {
        let (ladders, many) = self.buckets.slow();
        Work { ladders, many, whole: self.book.whole(), ..self.work }
    }

    /// What the session of a slot is kept with.
    pub(super) fn shortlist(&self, slot: u32) -> Option<Shortlist> {
        Some(Shortlist::of(self.sessions.get(slot)?.bound, &self.details[slot as usize].entries))
    }

    /// The session of a slot, what it asks and what it is kept with.
    pub(super) fn whole(&self, slot: u32) -> Option<(&SessionId, Asked<'_>, Shortlist)> {
        let asked = self.book.asked(slot, &self.sessions.get(slot)?.asks);
        Some((self.sessions.key(slot), asked, self.shortlist(slot)?))
    }

    /// Whether a change of the listing would find the session.
    pub(super) fn finds(&self, slot: u32, listing: &ListingFacts, tuning: Tuning) -> bool {
        self.sessions
            .get(slot)
            .is_some_and(|session| self.buckets.finds(slot, &session.standing, session.asks.profile(), listing, tuning))
    }
}

/// How many sessions ahead are fetched while one is looked at: as many as a core can wait for at once.
const PREFETCHED: usize = 8;

impl Session {
    /// Greater or less as nothing that matters is; near for sessions that look for the like.
    const fn likeness(&self) -> (u32, u8, i64) {
        (self.standing.bucket(), self.asks.profile() as u8, self.asks.budget().cents())
    }
}

impl Details {
    /// Remembers what the session sees, the first time in a batch.
    fn touch<'a>(&mut self, slot: u32, shortlist: &Shortlist, touched: &'a mut Vec<Touched>) -> &'a mut Touched {
        let known = touched.get(self.touched as usize).is_some_and(|it| it.session == slot);
        if !known {
            // At most as many as there are sessions.
            self.touched = touched.len() as u32;
            touched.push(Touched { session: slot, stated: false, saw: view(shortlist) });
        }
        &mut touched[self.touched as usize]
    }
}

/// What a session with this shortlist sees.
pub(super) fn top_three(shortlist: &Shortlist, listings: &Listings) -> TopThree {
    let key = |entry: &Entry| Key { score: entry.score, listing: Reverse(listings.key(entry.slot).clone()) };
    // The best first already.
    shortlist.shown().iter().map(key).collect()
}
