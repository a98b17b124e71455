//! How many listings suit a session, and which of its filters keeps most away: the cell `counts`. Counted off the hot
//! path, over everything in the session's place, and dated.
//!
//! Not part of a result: two counts of one session differ when listings came or went between them.

use schemas::id::ListingId;
use schemas::recommendation::{Counts, TightestFilter};
use schemas::units::Instant;

use crate::engine::Engine;
use crate::facts::{Asked, ListingFacts, SessionFacts};
use crate::score::filters;

/// What a session does not loosen to see more: it says what is looked for, and where.
const FIXED: [&str; 4] = ["offered", "transaction", "currency", "place"];

/// What was counted of one session's listings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    matched_total: u64,
    removed_alone: Vec<(&'static str, u64)>,
}

impl Tally {
    /// Counts one more listing.
    pub fn look<'a>(&mut self, session: impl Into<Asked<'a>>, id: &ListingId, facts: &ListingFacts) {
        let mut failed = filters(session, id, facts).into_iter().filter(|(_, passes)| !passes).map(|(name, _)| name);
        match (failed.next(), failed.next()) {
            (None, _) => self.matched_total += 1,
            (Some(only), None) if !FIXED.contains(&only) => {
                match self.removed_alone.iter_mut().find(|(name, _)| *name == only) {
                    Some((_, count)) => *count += 1,
                    None => self.removed_alone.push((only, 1)),
                }
            }
            (Some(_), _) => {}
        }
    }

    /// Listings that pass every filter.
    pub const fn matched_total(&self) -> u64 {
        self.matched_total
    }

    /// How many each filter alone keeps away, most first; of equal ones the first by name, whatever order the listings came in.
    pub fn removed_alone(mut self) -> Vec<TightestFilter> {
        self.removed_alone.sort_by(|(a, n), (b, m)| m.cmp(n).then(a.cmp(b)));
        let told = |(filter, removes): (&str, u64)| TightestFilter { filter: filter.to_owned(), removes };
        self.removed_alone.into_iter().map(told).collect()
    }
}

/// A count under way: listings are looked at some at a time. One that comes or goes in between may be missed, or make another
/// be counted twice.
#[derive(Debug)]
pub struct Count {
    session: SessionFacts,
    /// How many listings were looked at; `None` when it is done.
    next: Option<usize>,
    tally: Tally,
}

impl Count {
    /// Of what a session asks; nothing was looked at.
    pub const fn of(session: SessionFacts) -> Self {
        Self { session, next: Some(0), tally: Tally { matched_total: 0, removed_alone: Vec::new() } }
    }

    /// Looks at so many more listings at most; returns at how many.
    pub fn go_on(&mut self, engine: &dyn Engine, most: usize) -> usize {
        let Self { session, next, tally } = self;
        let Some(from) = *next else { return 0 };
        let mut looked = 0;
        *next = engine.each_in_place(session, from, most, &mut |id, facts| {
            looked += 1;
            tally.look(&*session, id, facts);
        });
        looked
    }

    /// Whether every listing was looked at.
    pub const fn is_done(&self) -> bool {
        self.next.is_none()
    }

    /// What was counted.
    pub fn counts(self, counted_at: Instant) -> Counts {
        let matched_total = self.tally.matched_total();
        Counts { matched_total, counted_at, tightest_filter: self.tally.removed_alone().into_iter().next() }
    }
}
