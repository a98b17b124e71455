//! One shard and the right to write its rows: claim, epoch, fence (DESIGN §3).
//!
//! Pure: events in, effects out. The rows themselves are in `ledger.rs`, the statements in `statements.rs`.

use rustc_hash::FxHashSet;
use store::{MAX_EPOCH, Row};

use crate::ledger::Ledger;
use crate::state::Sight;
use crate::statements::Statements;

/// How far the shard's owner has come. Each step waits for the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// A claim was appended to `scorer.claims`; its offset will be the epoch.
    Claiming,
    /// The offset is known; the epoch recorded in `shards` is being read.
    Checking,
    /// The `shards` row of the epoch is being written: no other row before it is acknowledged.
    Recording,
    /// Rows may be written.
    Owning,
    /// A newer claim was seen: nothing more is written. Safety does not need this, the timestamps see to it.
    Fenced,
}

/// One owned shard.
#[derive(Debug)]
pub struct Shard {
    /// Its number: a partition of `preferences` and of `listings.priced`.
    pub number: u32,
    /// How far its owner has come.
    pub phase: Phase,
    /// What its sessions said.
    pub statements: Statements,
    /// Whether `preferences[p]` was read to its end once.
    pub statements_read: bool,
    /// Whether its sessions were handed to the engine.
    pub in_engine: bool,
    /// Whether all rows were marked after the take-over: from then on changes mark rows.
    pub live: bool,
    /// What to write; made when the claim's offset is known.
    pub ledger: Option<Ledger>,
    /// What its sessions see, and what was sent of it.
    pub sight: Sight,
    /// Append time of the last statement read, and whether the end of the log was reached after it.
    pub read_until: (i64, bool),
    /// The time up to which an earlier owner had applied the logs, from the `shards` row.
    pub predecessor_caught_up_ms: Option<i64>,
    /// Tables whose rows are still to be compared with the logs, after a long absence.
    scans_owed: usize,
    /// Rows that no record of the logs explains, and whose end is not acknowledged.
    unexplained: FxHashSet<Row>,
    /// The newest claim of this shard that is known to stand on the log, whosever.
    newest_claim: Option<u64>,
    /// Seconds since a newer claim was seen.
    fenced_for_s: u32,
}

/// What the shard needs done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Append a claim.
    Claim,
    /// Read the `shards` row.
    ReadRow,
    /// Nothing.
    Wait,
}

impl Shard {
    /// A shard just handed to this process; `newest_claim` is the newest one that it has read. The first step is to claim
    /// it.
    pub fn taken_over(number: u32, statements: Statements, newest_claim: Option<u64>) -> Self {
        Self {
            number,
            phase: Phase::Claiming,
            statements,
            statements_read: false,
            in_engine: false,
            live: false,
            ledger: None,
            sight: Sight::default(),
            read_until: (0, false),
            predecessor_caught_up_ms: None,
            scans_owed: 0,
            unexplained: FxHashSet::default(),
            newest_claim,
            fenced_for_s: 0,
        }
    }

    /// A claim of this process is on the log; `ledger` is empty and has its offset as epoch. Of several claims under way, one
    /// for each time that the group handed the shard over, the newest counts.
    pub fn claimed(&mut self, ledger: Ledger) -> Step {
        if self.newest_claim > Some(ledger.epoch()) {
            if self.phase == Phase::Claiming {
                self.fence();
            }
            return Step::Wait;
        }
        self.newest_claim = Some(ledger.epoch());
        self.let_go(Phase::Checking);
        self.ledger = Some(ledger);
        Step::ReadRow
    }

    /// The `shards` row says `recorded` (epoch, caught-up time), or there is none.
    pub fn checked(&mut self, recorded: Option<(u64, Option<i64>)>, now: i64) -> Step {
        let Some(ledger) = self.ledger.as_mut().filter(|_| self.phase == Phase::Checking) else { return Step::Wait };
        self.predecessor_caught_up_ms = recorded.and_then(|(_, caught_up)| caught_up);
        if ledger.epoch() >= MAX_EPOCH || recorded.is_some_and(|(epoch, _)| ledger.epoch() <= epoch) {
            // The claims topic was made anew, or two claims crossed: only a greater epoch may write.
            return self.claim_again();
        }
        self.phase = Phase::Recording;
        ledger.mark(Row::Shard(self.number), true, now);
        Step::Wait
    }

    /// Starts over: the epoch is used up, or not the greatest.
    pub fn claim_again(&mut self) -> Step {
        self.let_go(Phase::Claiming);
        Step::Claim
    }

    /// Nothing of the epoch before holds any more.
    fn let_go(&mut self, phase: Phase) {
        self.phase = phase;
        self.ledger = None;
        self.live = false;
        self.scans_owed = 0;
        self.unexplained.clear();
    }

    /// The `shards` row of the epoch is acknowledged.
    pub fn recorded(&mut self) {
        if self.phase == Phase::Recording {
            self.phase = Phase::Owning;
        }
    }

    /// A claim of this shard stands at `offset`: if it is newer than ours, another process owns the shard.
    pub fn saw_claim(&mut self, offset: u64) {
        self.newest_claim = self.newest_claim.max(Some(offset));
        if self.ledger.as_ref().is_some_and(|ledger| ledger.epoch() < offset) {
            self.fence();
        }
    }

    /// Whether its own row waits to be written.
    pub fn owes_its_row(&self) -> bool {
        self.ledger.as_ref().is_some_and(|ledger| ledger.is_dirty(&Row::Shard(self.number)))
    }

    fn fence(&mut self) {
        self.let_go(Phase::Fenced);
        self.fenced_for_s = 0;
    }

    /// The shard was without an owner for so long that this many tables are to be compared with the logs.
    pub const fn owes_scans(&mut self, tables: usize) {
        self.scans_owed = tables;
    }

    /// One of them was read, and these rows have to go.
    pub fn scanned(&mut self, unexplained: impl IntoIterator<Item = Row>) {
        self.scans_owed = self.scans_owed.saturating_sub(1);
        self.unexplained.extend(unexplained);
    }

    /// The store acknowledged a statement for the row.
    pub fn written(&mut self, row: &Row) {
        self.unexplained.remove(row);
    }

    /// Whether what came of a long absence is made good. Before that its `shards` row still tells of the absence, so that
    /// whoever takes over in the middle compares once more.
    pub fn has_settled(&self) -> bool {
        self.live && self.scans_owed == 0 && self.unexplained.is_empty()
    }

    /// A second passes. Fenced for `claims_again_after_s` and still counted on by the group, the shard is claimed again.
    pub fn second_passes(&mut self, claims_again_after_s: u32) -> Step {
        if self.phase != Phase::Fenced {
            return Step::Wait;
        }
        self.fenced_for_s += 1;
        if self.fenced_for_s < claims_again_after_s { Step::Wait } else { self.claim_again() }
    }

    /// Whether its rows may be written now.
    pub const fn owns(&self) -> bool {
        matches!(self.phase, Phase::Owning)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shard() -> Shard {
        Shard::taken_over(0, Statements::new(0, 4, 1, 1), None)
    }

    #[test]
    fn no_row_is_written_before_the_epoch_is_recorded() {
        let mut shard = shard();
        assert_eq!(shard.claimed(Ledger::new(7, 10)), Step::ReadRow);
        assert_eq!(shard.checked(Some((6, None)), 0), Step::Wait);
        assert!(!shard.owns());
        shard.recorded();
        assert!(shard.owns());
    }

    #[test]
    fn an_epoch_that_is_not_the_greatest_is_claimed_again() {
        let mut shard = shard();
        shard.claimed(Ledger::new(7, 10));
        assert_eq!(shard.checked(Some((7, None)), 0), Step::Claim);
        shard.recorded();
        assert!(!shard.owns());
        assert_eq!(shard.claimed(Ledger::new(8, 10)), Step::ReadRow);
    }

    #[test]
    fn a_newer_claim_fences_and_an_older_does_not() {
        let mut shard = shard();
        shard.claimed(Ledger::new(7, 10));
        shard.checked(None, 0);
        shard.recorded();
        shard.saw_claim(7);
        assert!(shard.owns());
        shard.saw_claim(8);
        assert_eq!(shard.phase, Phase::Fenced);
    }
    #[test]
    fn of_two_own_claims_under_way_the_newest_counts_also_when_it_is_read_before_it_is_acknowledged() {
        let mut shard = shard();
        shard.claimed(Ledger::new(7, 10));
        shard.checked(None, 0);
        assert_eq!(shard.claimed(Ledger::new(8, 10)), Step::ReadRow);
        shard.saw_claim(9);
        assert_eq!(shard.phase, Phase::Fenced);
        assert_eq!(shard.claimed(Ledger::new(9, 10)), Step::ReadRow);
        shard.saw_claim(7);
        assert_eq!(shard.ledger.as_ref().map(Ledger::epoch), Some(9));
    }

    #[test]
    fn an_owner_whose_claim_lost_against_a_late_one_claims_again() {
        let mut shard = shard();
        shard.saw_claim(7);
        assert_eq!(shard.claimed(Ledger::new(6, 10)), Step::Wait);
        let steps: Vec<Step> = (0..3).map(|_| shard.second_passes(3)).collect();
        assert_eq!(steps.iter().filter(|step| **step == Step::Claim).count(), 1);
        assert_eq!(steps.last(), Some(&Step::Claim));
        assert_eq!(shard.claimed(Ledger::new(8, 10)), Step::ReadRow);
    }
}
