//! What the owner of one partition remembers of its listings, and when it must write again what it knows.
//!
//! A pure state machine: records of `listings.priced[p]` and statements of `listings[p]` in, facts to append out. No
//! clock, no I/O; a simulator drives the very code that ships. What a statement does to a fact is `admission.rs`; who
//! owns a partition, and what is appended when, is `service.rs`.
//!
//! The rule that its caller keeps: a fact that is about to be appended is first handed to [`Keeper::append`], before the
//! next statement of the same listing is admitted.

use std::collections::BTreeSet;

use rustc_hash::FxHashMap;
use schemas::id::ListingId;
use schemas::listing::Listing;
use schemas::merge::Known;
use schemas::priced::PricedListing;
use schemas::vocabulary::StandardStatus;

use crate::admission::{self, Admission, Draft};

/// How long the floor of a deleted listing is remembered (DESIGN §3), counted from the append of its last record.
pub const FORGET_AFTER_MS: i64 = 400 * 86_400_000;
/// Most repairs at a time; the rest follows when these are on the log.
const MAX_REPAIRS: usize = 1_000;

/// The listings of one partition.
#[derive(Debug, Default)]
pub struct Keeper {
    entries: FxHashMap<ListingId, Entry>,
    /// Listings whose last record on the log says less than what is known: compaction would keep that record.
    regressed: BTreeSet<ListingId>,
    /// Listings with own appends that have not come back from the log yet: whether their last record says less is not
    /// known before.
    in_flight: FxHashMap<ListingId, InFlight>,
    /// Offsets of own appends that are acknowledged and have not come back.
    own: BTreeSet<u64>,
    /// The offset behind the last record that was followed.
    next_offset: u64,
    /// Nothing is known to follow it.
    is_at_end: bool,
    /// Of the champion that values.
    epoch: u64,
    /// Listings that a model of an earlier epoch valued last, and some that have been valued since.
    outdated: BTreeSet<ListingId>,
}

#[derive(Debug)]
struct Entry {
    known: Known,
    /// Append time of the newest record followed; 0 until the first one came back.
    appended_ms: i64,
}

#[derive(Debug, Default)]
struct InFlight {
    unacknowledged: u32,
    newest_acknowledged: Option<u64>,
    /// Somebody else's record came between: what is known may be more than what was appended.
    is_disturbed: bool,
}

impl Keeper {
    /// Knows nothing yet; values with the champion of this epoch.
    pub fn of_epoch(epoch: u64) -> Self {
        Self { epoch, ..Self::default() }
    }

    /// How many listings it knows.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether it knows none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// What is known of a listing.
    pub fn known(&self, id: &ListingId) -> Option<&Known> {
        self.entries.get(id).map(|entry| &entry.known)
    }

    /// Takes in a record that is one of its own appends, without its being read: what it says is known. `false`: it is
    /// none, or more has become known since, and it must be read like any other.
    pub fn on_own(&mut self, offset: u64, appended_ms: i64, id: &ListingId) -> bool {
        if !self.own.remove(&offset) || self.in_flight.get(id).is_none_or(|own| own.is_disturbed) {
            return false;
        }
        self.next_offset = offset + 1;
        self.is_at_end = false;
        if let Some(entry) = self.entries.get_mut(id) {
            entry.appended_ms = appended_ms;
        }
        self.settle_in_flight(id);
        // The newest of them says what is known; those before it say less, and it is on its way.
        if !self.in_flight.contains_key(id) {
            self.regressed.remove(id);
            if let Some(entry) = self.entries.get_mut(id) {
                entry.known.head_offset = offset;
            }
        }
        true
    }

    /// Takes in a record of `listings.priced`: another owner's, an older life's, or one of its own that comes back.
    pub fn on_fact(&mut self, offset: u64, appended_ms: i64, id: &ListingId, fact: Option<PricedListing>) {
        self.follow_to(offset, id);
        match fact {
            Some(fact) => self.join(offset, appended_ms, id, fact),
            None => self.on_tombstone(id),
        }
        self.settle_in_flight(id);
    }

    fn follow_to(&mut self, offset: u64, id: &ListingId) {
        self.next_offset = offset + 1;
        self.is_at_end = false;
        self.own.remove(&offset);
        if let Some(own) = self.in_flight.get_mut(id) {
            own.is_disturbed = true;
        }
    }

    fn join(&mut self, offset: u64, appended_ms: i64, id: &ListingId, fact: PricedListing) {
        let (is_outdated, says_less) = match self.entries.get_mut(id) {
            Some(entry) => {
                entry.appended_ms = appended_ms;
                let says_less = entry.known.join(fact, offset);
                (admission::is_outdated(&entry.known.fact, self.epoch), says_less)
            }
            None => {
                let is_outdated = admission::is_outdated(&fact, self.epoch);
                self.entries.insert(id.clone(), Entry { known: Known::first(fact, offset), appended_ms });
                (is_outdated, false)
            }
        };
        if is_outdated {
            self.outdated.insert(id.clone());
        }
        if says_less {
            self.regressed.insert(id.clone());
        } else {
            self.regressed.remove(id);
        }
    }

    /// A tombstone ends the memory of a deleted listing and of no other: one that an owner wrote who had not seen that
    /// the listing lives again is undone by a repair.
    fn on_tombstone(&mut self, id: &ListingId) {
        match self.entries.get(id) {
            Some(entry) if is_deleted(&entry.known.fact) => {
                self.entries.remove(id);
                self.regressed.remove(id);
            }
            Some(_) => {
                self.regressed.insert(id.clone());
            }
            None => {}
        }
    }

    /// A record of a listing's key that is no fact of it: what is known must be appended again, or compaction would keep
    /// that record alone.
    pub fn on_unreadable(&mut self, offset: u64, id: &ListingId) {
        self.follow_to(offset, id);
        if self.entries.contains_key(id) {
            self.regressed.insert(id.clone());
        }
        self.settle_in_flight(id);
    }

    /// The offset behind the last record that was followed: where to go on.
    pub const fn next_offset(&self) -> u64 {
        self.next_offset
    }

    /// Everything on the log has been followed.
    pub fn on_end(&mut self, next_offset: u64) {
        self.next_offset = self.next_offset.max(next_offset);
        self.is_at_end = true;
        let next_offset = self.next_offset;
        self.in_flight.retain(|_, own| !own.came_back(next_offset));
    }

    /// The facts to append because the last record of their listing says less than what is known. Before the end of the log
    /// none, since a later record may say it; nor of a listing with own appends on their way: ask again when they are
    /// acknowledged, which may be after the end was reached.
    pub fn repairs(&self) -> Vec<PricedListing> {
        if !self.is_at_end {
            return Vec::new();
        }
        self.regressed
            .iter()
            .filter(|id| !self.in_flight.contains_key(*id))
            .filter_map(|id| self.known(id))
            .map(|known| known.fact.clone())
            .take(MAX_REPAIRS)
            .collect()
    }

    /// Decides about a statement of `listings`.
    pub fn admit(&self, statement: Listing) -> Admission {
        admission::admit(self.known(&statement.listing_id), statement)
    }

    /// Another champion values from now on: what is offered is to be valued again.
    pub fn champion(&mut self, epoch: u64) {
        self.epoch = epoch;
        let outdated = |entry: &&Entry| admission::is_outdated(&entry.known.fact, epoch);
        self.outdated =
            self.entries.values().filter(outdated).map(|entry| entry.known.fact.listing.listing_id.clone()).collect();
    }

    /// The next listing that a model of an earlier epoch valued last, to be valued again: since another champion took over,
    /// or since an owner who had not noticed it appended that fact.
    pub fn next_outdated(&mut self) -> Option<Draft> {
        while let Some(id) = self.outdated.pop_first() {
            let draft = self.known(&id).and_then(|known| admission::revalue(&known.fact, self.epoch));
            if draft.is_some() {
                return draft;
            }
        }
        None
    }

    /// Whether nothing is left to be valued again.
    pub fn is_up_to_date(&self) -> bool {
        self.outdated.is_empty()
    }

    /// The deleted listings whose time is over, to be appended as tombstones.
    pub fn expired(&self, now_ms: i64) -> Vec<ListingId> {
        let is_over = |entry: &&Entry| {
            let fact = &entry.known.fact;
            is_deleted(fact)
                && entry.appended_ms > 0
                && now_ms.saturating_sub(entry.appended_ms) > FORGET_AFTER_MS
                && !self.in_flight.contains_key(&fact.listing.listing_id)
        };
        let mut ids: Vec<_> =
            self.entries.values().filter(is_over).map(|entry| entry.known.fact.listing.listing_id.clone()).collect();
        ids.sort_unstable();
        ids
    }

    /// A fact is about to be appended: from now on it is known.
    pub fn append(&mut self, fact: PricedListing) {
        let id = fact.listing.listing_id.clone();
        self.in_flight.entry(id.clone()).or_default().unacknowledged += 1;
        match self.entries.get_mut(&id) {
            Some(entry) => {
                let offset = entry.known.head_offset;
                // Says all that is known, by how it was made; whether the log agrees shows when it comes back.
                entry.known.join(fact, offset);
            }
            None => {
                self.entries.insert(id, Entry { known: Known::first(fact, 0), appended_ms: 0 });
            }
        }
    }

    /// A tombstone is about to be appended: the listing is forgotten.
    pub fn append_tombstone(&mut self, id: &ListingId) {
        self.in_flight.entry(id.clone()).or_default().unacknowledged += 1;
        self.entries.remove(id);
        self.regressed.remove(id);
    }

    /// One of its own appends stands on the log at this offset.
    pub fn acknowledged(&mut self, id: &ListingId, offset: u64) {
        if let Some(own) = self.in_flight.get_mut(id) {
            own.unacknowledged = own.unacknowledged.saturating_sub(1);
            own.newest_acknowledged = own.newest_acknowledged.max(Some(offset));
        }
        if offset >= self.next_offset {
            self.own.insert(offset);
        }
        self.settle_in_flight(id);
    }

    fn settle_in_flight(&mut self, id: &ListingId) {
        if self.in_flight.get(id).is_some_and(|own| own.came_back(self.next_offset)) {
            self.in_flight.remove(id);
        }
    }
}

impl InFlight {
    /// Whether all of them are on the log and were followed there.
    fn came_back(&self, next_offset: u64) -> bool {
        self.unacknowledged == 0 && self.newest_acknowledged.is_none_or(|offset| offset < next_offset)
    }
}

fn is_deleted(fact: &PricedListing) -> bool {
    fact.listing.standard_status == StandardStatus::Delete
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::admission::Decision;
    use crate::testing::{appraisal_of, fact, listing, reliability, version};

    /// A log of one partition, and what stands on it.
    #[derive(Default)]
    struct Log(Vec<(ListingId, Option<PricedListing>)>);

    /// An owner, or somebody who still believes to be one.
    #[derive(Default)]
    struct Owner {
        keeper: Keeper,
        followed: usize,
        unacknowledged: Vec<(ListingId, u64)>,
    }

    impl Owner {
        fn append(&mut self, log: &mut Log, fact: PricedListing) {
            let id = fact.listing.listing_id.clone();
            self.keeper.append(fact.clone());
            self.unacknowledged.push((id.clone(), log.0.len() as u64));
            log.0.push((id, Some(fact)));
        }

        fn append_tombstone(&mut self, log: &mut Log, id: &ListingId) {
            self.keeper.append_tombstone(id);
            self.unacknowledged.push((id.clone(), log.0.len() as u64));
            log.0.push((id.clone(), None));
        }

        fn hear(&mut self, log: &mut Log, statement: Listing) {
            match self.keeper.admit(statement).decision {
                Decision::Appraise(draft) => {
                    let appraisal = appraisal_of(draft.listing(), 1_000);
                    let fact = draft.settle(appraisal, &reliability());
                    self.append(log, fact);
                }
                Decision::Confirm(fact) | Decision::Late(Some(fact)) => self.append(log, *fact),
                Decision::Late(None) | Decision::Duplicate => {}
            }
        }

        /// Values again what is outdated; which listings.
        fn revalue(&mut self, log: &mut Log, model_epoch: u64) -> Vec<String> {
            let mut revalued = Vec::new();
            while let Some(draft) = self.keeper.next_outdated() {
                revalued.push(draft.listing().listing_id.to_string());
                let appraisal = crate::admission::Appraisal { model_epoch, ..crate::testing::appraisal(5) };
                let fact = draft.settle(appraisal, &reliability());
                self.append(log, fact);
            }
            revalued
        }

        fn acknowledge(&mut self, count: usize) {
            for (id, offset) in self.unacknowledged.drain(..count.min(self.unacknowledged.len())) {
                self.keeper.acknowledged(&id, offset);
            }
        }

        fn follow(&mut self, log: &Log, count: usize) {
            for (offset, (id, fact)) in log.0.iter().enumerate().skip(self.followed).take(count) {
                if !self.keeper.on_own(offset as u64, 1, id) {
                    self.keeper.on_fact(offset as u64, 1, id, fact.clone());
                }
                self.followed += 1;
            }
        }

        /// At the end of the log: repairs, and whether there were any.
        fn end(&mut self, log: &mut Log) -> bool {
            self.keeper.on_end(log.0.len() as u64);
            let repairs = self.keeper.repairs();
            let any = !repairs.is_empty();
            repairs.into_iter().for_each(|fact| self.append(log, fact));
            any
        }

        fn facts(&self) -> BTreeMap<ListingId, PricedListing> {
            self.keeper.entries.iter().map(|(id, entry)| (id.clone(), entry.known.fact.clone())).collect()
        }
    }

    #[derive(Clone, Debug)]
    enum Step {
        /// An owner (0) or a zombie (1) hears statement `version` of listing `key`.
        Hear {
            owner: usize,
            key: i64,
            version: i64,
        },
        Follow {
            owner: usize,
            count: usize,
        },
        Acknowledge {
            owner: usize,
            count: usize,
        },
        End,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            6 => (0_usize..2, 0_i64..3, 1_i64..30).prop_map(|(owner, key, version)| Step::Hear { owner, key, version }),
            3 => (0_usize..2, 1_usize..6).prop_map(|(owner, count)| Step::Follow { owner, count }),
            2 => (0_usize..2, 1_usize..6).prop_map(|(owner, count)| Step::Acknowledge { owner, count }),
            1 => Just(Step::End),
        ];
        prop::collection::vec(step, 1..120)
    }

    fn statement(key: i64, n: i64) -> Listing {
        let status = if n % 9 == 0 { "Delete" } else { "Active" };
        Listing { listing_id: format!("f:{key}").parse().unwrap(), ..listing(n, status, 100 + n % 4) }
    }

    proptest! {
        /// Whatever a zombie appends in between: in the end the last record of every listing says all that the log ever
        /// said, so that a compacted log restores the same.
        #[test]
        fn the_last_records_of_the_log_say_all_that_is_known(steps in steps()) {
            let mut log = Log::default();
            let mut owners = [Owner::default(), Owner::default()];
            for step in steps {
                match step {
                    Step::Hear { owner, key, version } => owners[owner].hear(&mut log, statement(key, version)),
                    Step::Follow { owner, count } => owners[owner].follow(&log, count),
                    Step::Acknowledge { owner, count } => owners[owner].acknowledge(count),
                    Step::End if owners[0].followed == log.0.len() => {
                        owners[0].end(&mut log);
                    }
                    Step::End => {}
                }
            }
            let [owner, _] = &mut owners;
            owner.acknowledge(usize::MAX);
            owner.follow(&log, usize::MAX);
            let repaired = owner.end(&mut log);
            owner.acknowledge(usize::MAX);
            owner.follow(&log, usize::MAX);
            prop_assert!(!owner.end(&mut log), "a repair must not need a repair");
            prop_assert!(repaired || owner.keeper.regressed.is_empty());
            prop_assert!(owner.keeper.in_flight.is_empty() && owner.keeper.own.is_empty());

            let mut compacted = Owner::default();
            let last: BTreeMap<_, _> = log.0.iter().enumerate().map(|(at, (id, fact))| (id.clone(), (at, fact.clone()))).collect();
            for (id, (at, fact)) in &last {
                compacted.keeper.on_fact(*at as u64, 1, id, fact.clone());
            }
            let mut whole = Owner::default();
            whole.follow(&log, usize::MAX);
            prop_assert_eq!(compacted.facts(), whole.facts());
            prop_assert_eq!(owner.facts(), whole.facts());
        }
    }

    #[test]
    fn an_older_record_behind_a_newer_one_is_repaired_once_at_the_end() {
        let mut keeper = Keeper::default();
        let id = fact(1, "Active", 100).listing.listing_id;
        keeper.on_fact(0, 1, &id, Some(fact(2, "Active", 90)));
        keeper.on_fact(1, 1, &id, Some(fact(1, "Active", 100)));
        assert!(keeper.repairs().is_empty(), "more may follow");
        keeper.on_end(2);
        let repairs = keeper.repairs();
        assert_eq!(repairs.len(), 1);
        assert_eq!(repairs[0].history.len(), 2);
        keeper.append(repairs[0].clone());
        assert!(keeper.repairs().is_empty(), "it is on its way");
        keeper.acknowledged(&id, 2);
        assert!(keeper.repairs().is_empty(), "it has not come back");
        keeper.on_fact(2, 1, &id, Some(repairs[0].clone()));
        keeper.on_end(3);
        assert!(keeper.repairs().is_empty() && keeper.regressed.is_empty() && keeper.in_flight.is_empty());
    }

    #[test]
    fn a_repair_is_not_forgotten_when_the_end_of_the_log_comes_before_an_acknowledgement() {
        let (mut log, mut owner, mut zombie) = (Log::default(), Owner::default(), Owner::default());
        owner.hear(&mut log, statement(1, 1));
        zombie.follow(&log, usize::MAX);
        owner.hear(&mut log, statement(1, 3));
        zombie.hear(&mut log, statement(1, 2));
        owner.follow(&log, usize::MAX);
        assert!(!owner.end(&mut log), "the log has not acknowledged what may be its last record");
        owner.acknowledge(usize::MAX);
        assert_eq!(owner.keeper.repairs().len(), 1);
    }

    #[test]
    fn a_deleted_listing_is_forgotten_after_400_days_and_a_living_one_never() {
        let (mut log, mut owner) = (Log::default(), Owner::default());
        owner.hear(&mut log, statement(1, 9));
        owner.hear(&mut log, statement(2, 9));
        owner.hear(&mut log, statement(3, 1));
        let day_400 = FORGET_AFTER_MS + 1;
        assert!(owner.keeper.expired(day_400 + 1).is_empty(), "the log's own time counts, and it is not known yet");
        owner.acknowledge(usize::MAX);
        owner.follow(&log, usize::MAX);
        assert!(owner.keeper.expired(day_400).is_empty());
        let expired = owner.keeper.expired(day_400 + 1);
        assert_eq!(expired.iter().map(ListingId::as_str).collect::<Vec<_>>(), ["f:1", "f:2"]);

        owner.append_tombstone(&mut log, &expired[0]);
        owner.hear(&mut log, statement(1, 10)); // offered again while the tombstone is on its way
        owner.append_tombstone(&mut log, &expired[1]);
        owner.acknowledge(usize::MAX);
        owner.follow(&log, usize::MAX);
        assert!(!owner.end(&mut log));
        assert_eq!(owner.facts().keys().map(ListingId::as_str).collect::<Vec<_>>(), ["f:1", "f:3"]);
    }

    #[test]
    fn an_unreadable_record_is_covered_by_a_repair() {
        let (mut log, mut owner) = (Log::default(), Owner::default());
        owner.hear(&mut log, statement(1, 1));
        owner.acknowledge(usize::MAX);
        owner.follow(&log, usize::MAX);
        let id = log.0[0].0.clone();
        owner.keeper.on_unreadable(1, &id);
        owner.keeper.on_unreadable(2, &"f:9".parse().unwrap());
        owner.keeper.on_end(3);
        assert_eq!(owner.keeper.repairs(), [log.0[0].1.clone().unwrap()]);
    }

    #[test]
    fn a_tombstone_behind_a_living_listing_is_undone() {
        let (mut log, mut owner, mut zombie) = (Log::default(), Owner::default(), Owner::default());
        owner.hear(&mut log, statement(1, 9));
        zombie.follow(&log, usize::MAX);
        owner.hear(&mut log, statement(1, 10));
        let id = log.0[0].0.clone();
        zombie.append_tombstone(&mut log, &id);
        owner.acknowledge(usize::MAX);
        owner.follow(&log, usize::MAX);
        assert!(owner.end(&mut log));
        assert_eq!(log.0.last().unwrap().1.as_ref().unwrap().listing.version, version(10));
    }

    #[test]
    fn a_model_roll_out_finds_each_offered_listing_once() {
        let (mut log, mut owner) = (Log::default(), Owner::default());
        (1..=3).for_each(|key| owner.hear(&mut log, statement(key, 1)));
        owner.hear(&mut log, statement(3, 9));
        owner.keeper.champion(4);
        assert_eq!(owner.revalue(&mut log, 4), ["f:1", "f:2"]);
        assert!(owner.keeper.is_up_to_date());
        owner.keeper.champion(4);
        assert!(owner.keeper.is_up_to_date());
    }

    #[test]
    fn what_an_owner_before_the_roll_out_still_appends_is_valued_again_and_not_taken_for_a_repetition() {
        let (mut log, mut owner, mut zombie) = (Log::default(), Owner::default(), Owner::default());
        owner.hear(&mut log, statement(1, 1));
        owner.acknowledge(usize::MAX);
        owner.follow(&log, usize::MAX);
        owner.keeper.champion(4);
        owner.revalue(&mut log, 4);
        owner.acknowledge(usize::MAX);
        zombie.follow(&log, 1);
        zombie.hear(&mut log, statement(1, 2));
        owner.follow(&log, usize::MAX);
        let decision = owner.keeper.admit(statement(1, 2)).decision;
        assert!(matches!(decision, Decision::Duplicate), "the statement itself brings no valuation: {decision:?}");
        assert_eq!(owner.revalue(&mut log, 4), ["f:1"]);
        assert_eq!(log.0.last().unwrap().1.as_ref().unwrap().listing.version.model_epoch, 4);
    }
}
