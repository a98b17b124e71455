//! Which rows of one shard still have to be written: dirty rows, statements under way, retries, and what was
//! acknowledged so recently that a crash of the store could have lost it.
//!
//! Pure: no clock, no I/O. Does not know what a row holds: its cell is asked for when it is written, so a row that
//! changes ten times while the store is slow is computed and written once.

use std::collections::{BTreeMap, VecDeque, btree_map, hash_map};
use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};
use store::{Row, Write, WriteTimestamp};

/// Delay before the first retry of a failed write, milliseconds; doubles up to [`MAX_RETRY_MS`] (research: 50 ms to 5 s).
pub const MIN_RETRY_MS: i64 = 50;
/// Longest delay between two tries of a write, milliseconds.
pub const MAX_RETRY_MS: i64 = 5_000;
/// Writes acknowledged this recently are written again when a node of the store comes back: a node acknowledges before
/// its commit log is synced, every 10 s by default. The rest is for an acknowledgement that was long under way, and for
/// the time until it is noticed that the node came back.
///
/// Only seconds count in which this process is awake, every node is there, and the store acknowledges something: what a
/// node lost grows no older while it is down, nor while this process is paused.
pub const RESYNC_SECONDS: usize = 30;

/// One statement on its way.
#[derive(Debug)]
struct Outstanding {
    timestamp: WriteTimestamp,
    cell: Option<Arc<str>>,
    attempts: u32,
    /// When to try again; `None` while a try is under way or acknowledged.
    retry_at: Option<i64>,
    row_acked: bool,
    event_acked: bool,
    /// When the row became dirty.
    since: i64,
}

/// What to do for one row, from [`Ledger::next`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// The statement.
    pub write: Write,
    /// Whether it is a new statement (announce it) or another try of one.
    pub is_new: bool,
}

/// The ledger of one shard under one epoch.
#[derive(Debug)]
pub struct Ledger {
    epoch: u64,
    sequence: u64,
    /// The last sequence number that may be used.
    last_sequence: u64,
    window: usize,
    /// Rows in the order they became dirty, each with whether it must be written even if its cell is as before.
    dirty: FxHashMap<Row, Mark>,
    queue: VecDeque<Row>,
    outstanding: FxHashMap<Row, Outstanding>,
    waiting: Waiting,
    retries: BTreeMap<(i64, WriteTimestamp), Row>,
    /// Rows acknowledged lately, second by second, the present one last.
    recent: VecDeque<FxHashSet<Row>>,
}

#[derive(Clone, Copy, Debug)]
struct Mark {
    since: i64,
    forced: bool,
}

/// How many rows, dirty or under way, wait since when. After a take-over there are millions, and how long the oldest waits
/// is asked for every second. The `shards` row, which tells that time, does not count.
#[derive(Debug, Default)]
struct Waiting(BTreeMap<i64, usize>);

impl Waiting {
    fn add(&mut self, row: &Row, since: i64) {
        if !matches!(row, Row::Shard(_)) {
            *self.0.entry(since).or_default() += 1;
        }
    }

    fn remove(&mut self, row: &Row, since: i64) {
        if !matches!(row, Row::Shard(_))
            && let btree_map::Entry::Occupied(mut rows) = self.0.entry(since)
        {
            *rows.get_mut() -= 1;
            if *rows.get() == 0 {
                rows.remove();
            }
        }
    }
}

/// The row as it should be, asked for when it is written.
pub enum Wanted {
    /// This cell.
    Cell(Arc<str>),
    /// No such row.
    Absent,
    /// As it was written before: nothing to do.
    Unchanged,
}

impl Ledger {
    /// An empty ledger; at most `window` rows are under way at a time.
    pub fn new(epoch: u64, window: usize) -> Self {
        Self {
            epoch,
            sequence: 0,
            last_sequence: u64::MAX,
            window,
            dirty: FxHashMap::default(),
            queue: VecDeque::new(),
            outstanding: FxHashMap::default(),
            waiting: Waiting::default(),
            retries: BTreeMap::new(),
            recent: VecDeque::from([FxHashSet::default()]),
        }
    }

    /// With timestamps for so many statements; at most as many as an epoch has.
    #[must_use]
    pub fn limited_to(self, statements: u64) -> Self {
        Self { last_sequence: statements, ..self }
    }

    /// The epoch of its timestamps.
    pub const fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The row may have changed, because of something of the time `since`. `forced`: write it even if its cell is as before
    /// (take-over, resync, scrub).
    pub fn mark(&mut self, row: Row, forced: bool, since: i64) {
        match self.dirty.entry(row) {
            hash_map::Entry::Vacant(dirty) => {
                self.queue.push_back(dirty.key().clone());
                self.waiting.add(dirty.key(), since);
                dirty.insert(Mark { since, forced });
            }
            hash_map::Entry::Occupied(mut dirty) => {
                let mark = *dirty.get();
                let since = mark.since.min(since);
                self.waiting.remove(dirty.key(), mark.since);
                self.waiting.add(dirty.key(), since);
                dirty.insert(Mark { since, forced: mark.forced || forced });
            }
        }
    }

    /// The next statement to send: retries that are due first, then dirty rows in order, while the window has room.
    /// `None`: nothing to send now. `wanted` is asked for the cell of a dirty row and whether it is forced.
    /// [`SequenceExhausted`]: the shard must be claimed again before it can write on.
    pub fn next(
        &mut self,
        now: i64,
        mut wanted: impl FnMut(&Row, bool) -> Wanted,
    ) -> Result<Option<Due>, SequenceExhausted> {
        if let Some(due) = self.next_retry(now) {
            return Ok(Some(due));
        }
        while let Some(row) = self.queue.front() {
            // A newer statement for a row under way replaces it and takes no further room.
            if self.outstanding.len() >= self.window && !self.outstanding.contains_key(row) {
                return Ok(None);
            }
            let timestamp = self.stamp()?;
            let Some(row) = self.queue.pop_front() else { return Ok(None) };
            let Some(mark) = self.dirty.remove(&row) else { continue };
            self.waiting.remove(&row, mark.since);
            let cell = match wanted(&row, mark.forced) {
                Wanted::Unchanged => continue,
                Wanted::Cell(cell) => Some(cell),
                Wanted::Absent => None,
            };
            let since = self.outstanding.get(&row).map_or(mark.since, |o| o.since.min(mark.since));
            let entry = Outstanding {
                timestamp,
                cell: cell.clone(),
                attempts: 1,
                retry_at: None,
                row_acked: false,
                event_acked: !is_announced(&row),
                since,
            };
            self.waiting.add(&row, since);
            if let Some(replaced) = self.outstanding.insert(row.clone(), entry) {
                self.waiting.remove(&row, replaced.since);
                self.forget_retry(&replaced);
            }
            return Ok(Some(Due { write: Write { row, cell, timestamp }, is_new: true }));
        }
        Ok(None)
    }

    fn next_retry(&mut self, now: i64) -> Option<Due> {
        let (&(at, timestamp), _) = self.retries.first_key_value()?;
        // Further off than any delay: the clock was put back.
        if at > now && at - now <= MAX_RETRY_MS {
            return None;
        }
        let row = self.retries.remove(&(at, timestamp))?;
        let entry = self.outstanding.get_mut(&row)?;
        entry.retry_at = None;
        entry.attempts += 1;
        Some(Due { write: Write { row, cell: entry.cell.clone(), timestamp }, is_new: false })
    }

    fn forget_retry(&mut self, entry: &Outstanding) {
        if let Some(at) = entry.retry_at {
            self.retries.remove(&(at, entry.timestamp));
        }
    }

    /// The store acknowledged the statement. Returns since when the row was dirty, if it is its newest one.
    pub fn written(&mut self, row: &Row, timestamp: WriteTimestamp) -> Option<i64> {
        let mut since = None;
        if let Some(entry) = self.outstanding.get_mut(row).filter(|o| o.timestamp == timestamp) {
            entry.row_acked = true;
            since = Some(entry.since);
            if let Some(at) = entry.retry_at.take() {
                self.retries.remove(&(at, timestamp));
            }
        }
        // Also of a statement that has been replaced: the newest may have been the one that was lost.
        if let Some(present) = self.recent.back_mut() {
            present.insert(row.clone());
        }
        self.settle(row, timestamp);
        since
    }

    /// The statement failed or its outcome is unknown: the same one again, for ever, until a newer one replaces it.
    pub fn failed(&mut self, row: &Row, timestamp: WriteTimestamp, now: i64) {
        let Some(entry) = self.outstanding.get_mut(row).filter(|o| o.timestamp == timestamp && !o.row_acked) else {
            return;
        };
        let delay = (MIN_RETRY_MS << (entry.attempts - 1).min(7)).min(MAX_RETRY_MS);
        entry.retry_at = Some(now + delay);
        self.retries.insert((now + delay, timestamp), row.clone());
    }

    /// The log acknowledged the row's event.
    pub fn announced(&mut self, row: &Row, timestamp: WriteTimestamp) {
        if let Some(entry) = self.outstanding.get_mut(row).filter(|o| o.timestamp == timestamp) {
            entry.event_acked = true;
        }
        self.settle(row, timestamp);
    }

    fn settle(&mut self, row: &Row, timestamp: WriteTimestamp) {
        if self.outstanding.get(row).is_some_and(|o| o.timestamp == timestamp && o.row_acked && o.event_acked)
            && let Some(done) = self.outstanding.remove(row)
        {
            self.waiting.remove(row, done.since);
        }
    }

    /// A second passes; `is_whole`: every node of the store is there. Forgets acknowledgements older than
    /// [`RESYNC_SECONDS`].
    pub fn second_passes(&mut self, is_whole: bool) {
        if is_whole && self.recent.back().is_some_and(|present| !present.is_empty()) {
            self.recent.push_back(FxHashSet::default());
            self.recent.drain(..self.recent.len().saturating_sub(RESYNC_SECONDS + 1));
        }
    }

    /// A node of the store came back: everything acknowledged in the last [`RESYNC_SECONDS`] is dirty again. So is all that
    /// is under way: its acknowledgement may have been given before the node went down, and arrive after this. Returns
    /// how many rows.
    pub fn resync(&mut self, now: i64) -> usize {
        let acknowledged = std::mem::replace(&mut self.recent, VecDeque::from([FxHashSet::default()]));
        let rows: FxHashSet<Row> = acknowledged.into_iter().flatten().chain(self.outstanding.keys().cloned()).collect();
        let count = rows.len();
        for row in rows {
            self.mark(row, true, now);
        }
        count
    }

    /// The time of the oldest change that is not yet acknowledged; `None` when every row is clean. The `shards` row,
    /// which tells that time, does not count. Partitions are read side by side, so rows do not become dirty in the order of
    /// their changes.
    pub fn oldest_unwritten(&self) -> Option<i64> {
        self.waiting.0.first_key_value().map(|(since, _)| *since)
    }

    /// A timestamp that no statement has: the version of an observation.
    pub fn stamp(&mut self) -> Result<WriteTimestamp, SequenceExhausted> {
        if self.sequence >= self.last_sequence {
            return Err(SequenceExhausted);
        }
        let timestamp = WriteTimestamp::new(self.epoch, self.sequence + 1).ok_or(SequenceExhausted)?;
        self.sequence += 1;
        Ok(timestamp)
    }

    /// Whether the row waits to be written.
    pub fn is_dirty(&self, row: &Row) -> bool {
        self.dirty.contains_key(row)
    }

    /// How many rows are dirty, not counting those under way.
    pub fn dirty(&self) -> usize {
        self.dirty.len()
    }

    /// How many statements are not yet acknowledged.
    pub fn outstanding(&self) -> usize {
        self.outstanding.len()
    }

    /// When the next retry is due.
    pub fn next_retry_at(&self) -> Option<i64> {
        self.retries.first_key_value().map(|(&(at, _), _)| at)
    }
}

/// All timestamps of the epoch are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SequenceExhausted;

/// Whether a change of the row is also an event on `recommendations`.
pub const fn is_announced(row: &Row) -> bool {
    matches!(row, Row::Recommendation(_))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use schemas::id::SessionId;

    use super::*;

    fn row(n: u128) -> Row {
        Row::Session(SessionId::from_bits(n))
    }
    fn cell(text: &str) -> impl FnMut(&Row, bool) -> Wanted {
        move |_, _| Wanted::Cell(text.into())
    }

    #[test]
    fn a_row_that_changes_often_is_written_once_with_its_last_cell() {
        let mut ledger = Ledger::new(1, 10);
        ledger.mark(row(1), false, 0);
        ledger.mark(row(1), false, 5);
        let due = ledger.next(5, cell("b")).unwrap().unwrap();
        assert_eq!((due.write.cell.as_deref(), due.is_new), (Some("b"), true));
        assert_eq!(ledger.next(5, cell("b")).unwrap(), None);
        assert_eq!(ledger.oldest_unwritten(), Some(0));
        ledger.written(&row(1), due.write.timestamp);
        assert_eq!((ledger.oldest_unwritten(), ledger.outstanding()), (None, 0));
    }

    #[test]
    fn a_failed_write_is_tried_again_with_its_timestamp_until_a_newer_one_replaces_it() {
        let mut ledger = Ledger::new(1, 10);
        ledger.mark(row(1), false, 0);
        let first = ledger.next(0, cell("a")).unwrap().unwrap();
        ledger.failed(&row(1), first.write.timestamp, 0);
        assert_eq!(ledger.next(MIN_RETRY_MS - 1, cell("x")).unwrap(), None);
        let again = ledger.next(MIN_RETRY_MS, cell("x")).unwrap().unwrap();
        assert_eq!((&again.write, again.is_new), (&first.write, false));
        ledger.failed(&row(1), first.write.timestamp, 60);
        ledger.mark(row(1), false, 61);
        let newer = ledger.next(61, cell("b")).unwrap().unwrap();
        assert!(newer.write.timestamp > first.write.timestamp);
        assert_eq!(ledger.next(1_000_000, cell("x")).unwrap(), None, "the replaced statement is not tried again");
        ledger.written(&row(1), first.write.timestamp);
        assert_eq!(ledger.outstanding(), 1, "an old acknowledgement does not settle the newer statement");
    }

    #[test]
    fn the_oldest_change_counts_in_whatever_order_rows_became_dirty() {
        let mut ledger = Ledger::new(1, 10);
        ledger.mark(row(1), false, 30);
        ledger.mark(row(2), false, 20);
        assert_eq!(ledger.oldest_unwritten(), Some(20));
        ledger.mark(row(1), false, 10);
        assert_eq!(ledger.oldest_unwritten(), Some(10));
    }

    proptest! {
        #[test]
        fn the_oldest_change_is_that_of_the_rows_that_wait(steps in prop::collection::vec((0..6, 0..4_u32, 0..9_i64), 0..80)) {
            let mut ledger = Ledger::new(1, 2);
            let mut sent = Vec::new();
            for (step, number, time) in steps {
                let row = if number == 0 { Row::Shard(number) } else { row(number.into()) };
                match step {
                    0 | 1 => ledger.mark(row, step == 0, time),
                    2 => sent.extend(ledger.next(time, |_, forced| if forced { Wanted::Absent } else { Wanted::Unchanged }).unwrap()),
                    3 => sent.extend(ledger.next(time, cell("a")).unwrap()),
                    4 => sent.iter().filter(|due| due.write.row == row).for_each(|due| {
                        ledger.written(&row, due.write.timestamp);
                    }),
                    _ => sent.iter().filter(|due| due.write.row == row).for_each(|due| {
                        ledger.failed(&row, due.write.timestamp, time);
                    }),
                }
                let dirty = ledger.dirty.iter().map(|(row, mark)| (row, mark.since));
                let all = dirty.chain(ledger.outstanding.iter().map(|(row, entry)| (row, entry.since)));
                let oldest = all.filter(|(row, _)| !matches!(row, Row::Shard(_))).map(|(_, since)| since).min();
                prop_assert_eq!(ledger.oldest_unwritten(), oldest);
            }
        }
    }

    #[test]
    fn a_retry_does_not_wait_for_a_clock_that_was_put_back() {
        let mut ledger = Ledger::new(1, 10);
        ledger.mark(row(1), false, 0);
        let due = ledger.next(7_200_000, cell("a")).unwrap().unwrap();
        ledger.failed(&row(1), due.write.timestamp, 7_200_000);
        assert_eq!(ledger.next(3_600_000, cell("a")).unwrap().map(|again| again.write), Some(due.write));
    }

    #[test]
    fn the_window_bounds_what_is_under_way_but_lets_newer_statements_through() {
        let mut ledger = Ledger::new(1, 1);
        ledger.mark(row(1), false, 0);
        assert!(ledger.next(0, cell("a")).unwrap().is_some());
        ledger.mark(row(1), false, 0);
        ledger.mark(row(2), false, 0);
        assert_eq!(ledger.next(0, cell("b")).unwrap().unwrap().write.row, row(1));
        assert_eq!(ledger.next(0, cell("b")).unwrap(), None);
    }

    #[test]
    fn a_recommendation_is_clean_only_when_its_event_is_on_the_log() {
        let mut ledger = Ledger::new(1, 10);
        let row = Row::Recommendation(SessionId::from_bits(1));
        ledger.mark(row.clone(), false, 0);
        let due = ledger.next(0, cell("a")).unwrap().unwrap();
        ledger.written(&row, due.write.timestamp);
        assert_eq!(ledger.outstanding(), 1);
        ledger.announced(&row, due.write.timestamp);
        assert_eq!(ledger.outstanding(), 0);
    }

    /// Writes a row and has it acknowledged.
    fn wrote(ledger: &mut Ledger, row: &Row) {
        ledger.mark(row.clone(), false, 0);
        let due = ledger.next(0, cell("a")).unwrap().unwrap();
        ledger.written(row, due.write.timestamp);
    }

    /// The rows that are written next, if they are forced.
    fn due_again(ledger: &mut Ledger) -> Vec<Row> {
        let wanted = |_: &Row, forced| if forced { Wanted::Absent } else { Wanted::Unchanged };
        std::iter::from_fn(|| ledger.next(0, wanted).unwrap()).map(|due| due.write.row).collect()
    }

    #[test]
    fn what_was_acknowledged_lately_is_written_again_when_a_node_comes_back() {
        let mut ledger = Ledger::new(1, 10);
        wrote(&mut ledger, &row(1));
        for _ in 0..=RESYNC_SECONDS {
            wrote(&mut ledger, &row(2));
            ledger.second_passes(true);
        }
        assert_eq!(ledger.resync(0), 1);
        assert_eq!(due_again(&mut ledger), [row(2)]);
    }

    #[test]
    fn what_was_acknowledged_before_a_long_outage_is_written_again_after_it() {
        let mut ledger = Ledger::new(1, 10);
        wrote(&mut ledger, &row(1));
        (0..10 * RESYNC_SECONDS).for_each(|_| ledger.second_passes(true));
        assert_eq!(ledger.resync(0), 1);
        assert_eq!(due_again(&mut ledger), [row(1)]);
    }

    #[test]
    fn what_was_acknowledged_before_one_node_of_several_went_down_is_written_again_when_it_comes_back() {
        let mut ledger = Ledger::new(1, 10);
        wrote(&mut ledger, &row(1));
        for _ in 0..10 * RESYNC_SECONDS {
            ledger.second_passes(false);
            wrote(&mut ledger, &row(2));
        }
        assert_eq!(ledger.resync(0), 2);
    }

    #[test]
    fn an_acknowledgement_that_comes_after_its_store_lost_the_row_does_not_make_it_clean() {
        let mut ledger = Ledger::new(1, 10);
        ledger.mark(row(1), false, 0);
        let due = ledger.next(0, cell("a")).unwrap().unwrap();
        assert_eq!(ledger.resync(0), 1);
        ledger.written(&row(1), due.write.timestamp);
        assert_eq!(due_again(&mut ledger), [row(1)]);
    }
}
