//! How many listings suit a session, and which of its filters keeps most away: the cell `counts`. Counted off the hot
//! path, over everything in the session's place, and dated.
//!
//! Not part of a result: two counts of one session differ when listings came or went between them.

use schemas::recommendation::{Counts, TightestFilter};
use schemas::units::Instant;

use crate::engine::Engine;
use crate::facts::SessionFacts;
use crate::score::filters;

/// What a session does not loosen to see more: it says what is looked for, and where.
const FIXED: [&str; 4] = ["offered", "transaction", "currency", "place"];

/// A count under way: listings are looked at some at a time. One that comes or goes in between may be missed, or make another
/// be counted twice.
#[derive(Debug)]
pub struct Count {
    session: SessionFacts,
    /// How many listings were looked at; `None` when it is done.
    next: Option<usize>,
    matched_total: u64,
    removed_alone: Vec<(&'static str, u64)>,
}

impl Count {
    /// Of what a session asks; nothing was looked at.
    pub const fn of(session: SessionFacts) -> Self {
        Self { session, next: Some(0), matched_total: 0, removed_alone: Vec::new() }
    }

    /// Looks at so many more listings at most; returns at how many.
    pub fn go_on(&mut self, engine: &dyn Engine, most: usize) -> usize {
        let Self { session, next, matched_total, removed_alone } = self;
        let Some(from) = *next else { return 0 };
        let mut looked = 0;
        *next = engine.each_in_place(session, from, most, &mut |id, facts| {
            looked += 1;
            let mut failed =
                filters(&*session, id, facts).into_iter().filter(|(_, passes)| !passes).map(|(name, _)| name);
            match (failed.next(), failed.next()) {
                (None, _) => *matched_total += 1,
                (Some(only), None) if !FIXED.contains(&only) => {
                    match removed_alone.iter_mut().find(|(name, _)| *name == only) {
                        Some((_, count)) => *count += 1,
                        None => removed_alone.push((only, 1)),
                    }
                }
                (Some(_), _) => {}
            }
        });
        looked
    }

    /// Whether every listing was looked at.
    pub const fn is_done(&self) -> bool {
        self.next.is_none()
    }

    /// What was counted.
    pub fn counts(self, counted_at: Instant) -> Counts {
        // Of equal ones the first by name, whatever order the listings came in.
        let tightest = self.removed_alone.into_iter().max_by(|(a, n), (b, m)| n.cmp(m).then(b.cmp(a)));
        Counts {
            matched_total: self.matched_total,
            counted_at,
            tightest_filter: tightest.map(|(filter, removes)| TightestFilter { filter: filter.to_owned(), removes }),
        }
    }
}
