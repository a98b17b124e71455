//! The newest rows of recommendations that this process has seen: what it answers while the store is away, marked as stale, and
//! where `tags.rs` knows that nothing newer was written.
//!
//! A cache of whoever asked lately, never the truth: who reads it asks `follow.rs` first whether the session is still there, and an
//! erasure drops the row at once.

use std::sync::{Mutex, MutexGuard, PoisonError};

use schemas::id::SessionId;
use schemas::units::Instant;
use store::{Cell, RecommendationRow};

use crate::generations::Generations;

/// Most rows of one of the two generations: 10,000 in all. A row of three items has some 4 kB, so that all of them take 40 MB.
const MAX_ROWS: usize = 5_000;
/// Largest row that is kept, in bytes: many times as large as any with three items.
const MAX_ROW_BYTES: usize = 64 * 1024;

/// A row, and up to when it was known to be true.
#[derive(Clone, Debug, PartialEq)]
pub struct Known {
    /// As it was read.
    pub row: RecommendationRow,
    /// Up to when its shard had applied the logs at that time.
    pub as_of: Option<Instant>,
}

/// The rows of the sessions that were last seen.
#[derive(Debug)]
pub struct Recent(Mutex<Generations<SessionId, Known>>);

impl Recent {
    /// Takes in a row as it was just seen. Older than what is there: nothing.
    pub fn keep(&self, session: SessionId, row: &RecommendationRow, as_of: Option<Instant>) {
        let mut all = self.lock();
        match all.touch(session) {
            // As a rule: a client that polls gets what it has.
            Some(known) if known.row.items.timestamp == row.items.timestamp => {
                known.as_of = known.as_of.max(as_of);
                // Two reads may end in the other order.
                let written = |counts: &Option<Cell>| counts.as_ref().map(|cell| cell.timestamp);
                if written(&row.counts) > written(&known.row.counts) {
                    known.row.counts.clone_from(&row.counts);
                }
                return;
            }
            Some(known) if known.row.items.timestamp > row.items.timestamp => return,
            Some(_) | None => {}
        }
        let counts = row.counts.as_ref().map_or(0, |cell| cell.json.len());
        if row.items.json.len() + counts > MAX_ROW_BYTES {
            all.remove(&session);
            return;
        }
        all.insert(session, Known { row: row.clone(), as_of });
    }

    /// The row of a session, if it is there.
    pub fn get(&self, session: SessionId) -> Option<Known> {
        self.lock().touch(session).cloned()
    }

    /// Drops the row of a session that is erased.
    pub fn forget(&self, session: SessionId) {
        self.lock().remove(&session);
    }

    fn lock(&self) -> MutexGuard<'_, Generations<SessionId, Known>> {
        // Nothing can panic while it is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Recent {
    fn default() -> Self {
        Self(Mutex::new(Generations::new(MAX_ROWS)))
    }
}

#[cfg(test)]
mod tests {
    use store::WriteTimestamp;

    use super::*;

    fn row(seq: u64) -> RecommendationRow {
        let timestamp = WriteTimestamp::new(1, seq).unwrap();
        RecommendationRow { items: Cell { json: format!("{{\"n\":{seq}}}"), timestamp }, counts: None }
    }
    fn session(n: usize) -> SessionId {
        SessionId::from_bits(n as u128)
    }

    #[test]
    fn the_newest_row_stays_with_the_latest_time_at_which_it_was_true() {
        let recent = Recent::default();
        let at = Instant::from_ms;
        recent.keep(session(1), &row(5), at(10));
        recent.keep(session(1), &row(4), at(20));
        assert_eq!(recent.get(session(1)).unwrap(), Known { row: row(5), as_of: at(10) });
        recent.keep(session(1), &row(5), at(30));
        assert_eq!(recent.get(session(1)).unwrap().as_of, at(30));
        recent.keep(session(1), &row(6), at(40));
        assert_eq!(recent.get(session(1)).unwrap(), Known { row: row(6), as_of: at(40) });
    }

    #[test]
    fn the_newest_counts_stay_whichever_read_ended_last() {
        let recent = Recent::default();
        let counted = |seq| RecommendationRow { counts: Some(row(seq).items), ..row(5) };
        for (read, kept) in [(row(5), row(5)), (counted(7), counted(7)), (counted(6), counted(7)), (row(5), counted(7))]
        {
            recent.keep(session(1), &read, None);
            assert_eq!(recent.get(session(1)).unwrap().row, kept);
        }
    }

    #[test]
    fn what_is_forgotten_is_in_neither_generation() {
        let recent = Recent::default();
        for n in 0..=MAX_ROWS {
            recent.keep(session(n), &row(1), None);
        }
        recent.forget(session(0));
        recent.forget(session(MAX_ROWS));
        assert_eq!((recent.get(session(0)), recent.get(session(MAX_ROWS))), (None, None));
    }

    #[test]
    fn the_number_of_rows_is_bounded_and_those_asked_for_stay() {
        let recent = Recent::default();
        recent.keep(session(0), &row(1), None);
        for n in 1..=10 * MAX_ROWS {
            recent.keep(session(n), &row(1), None);
            if n % MAX_ROWS == 0 {
                assert!(recent.get(session(0)).is_some(), "{n}");
            }
            assert!(recent.lock().len() <= 2 * MAX_ROWS);
        }
        assert_eq!(recent.get(session(1)), None);
    }

    #[test]
    fn a_huge_row_is_not_kept() {
        let recent = Recent::default();
        recent.keep(session(1), &row(1), None);
        let mut huge = row(2);
        huge.items.json = " ".repeat(MAX_ROW_BYTES + 1);
        recent.keep(session(1), &huge, None);
        assert_eq!(recent.get(session(1)), None);
    }
}
