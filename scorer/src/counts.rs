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

/// Counts for one session.
pub fn count(engine: &dyn Engine, session: &SessionFacts, counted_at: Instant) -> Counts {
    let mut matched_total = 0;
    let mut removed_alone: Vec<(&'static str, u64)> = Vec::new();
    engine.each_in_place(session, &mut |id, facts| {
        let mut failed = filters(session, id, facts).into_iter().filter(|(_, passes)| !passes).map(|(name, _)| name);
        match (failed.next(), failed.next()) {
            (None, _) => matched_total += 1,
            (Some(only), None) if !FIXED.contains(&only) => {
                match removed_alone.iter_mut().find(|(name, _)| *name == only) {
                    Some((_, count)) => *count += 1,
                    None => removed_alone.push((only, 1)),
                }
            }
            (Some(_), _) => {}
        }
    });
    // Of equal ones the first by name, whatever order the listings came in.
    let tightest = removed_alone.into_iter().max_by(|(a, n), (b, m)| n.cmp(m).then(b.cmp(a)));
    Counts {
        matched_total,
        counted_at,
        tightest_filter: tightest.map(|(filter, removes)| TightestFilter { filter: filter.to_owned(), removes }),
    }
}
