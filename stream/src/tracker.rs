//! Up to where each partition may be committed: the contiguous low-watermark of records all of whose effects are
//! acknowledged, and how much is under way. Pure: no clock, no I/O; a simulator drives it as a service does.
//!
//! Does not know what an effect is, nor send or commit anything.
//!
//! A service calls, for each record it reads, [`OffsetTracker::begin`]; then, for each record it sends because of it,
//! [`OffsetTracker::effect`]; then [`OffsetTracker::decided`]. Acknowledgements come with [`OffsetTracker::acknowledge`],
//! in any order, also before `decided`.

use std::collections::{BTreeMap, VecDeque};

/// A record that was read, under the assignment of its partition at that time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ticket {
    partition: u32,
    generation: u64,
    serial: u64,
}

impl Ticket {
    /// The partition that the record stands on.
    pub const fn partition(self) -> u32 {
        self.partition
    }
}

/// Why a record cannot be taken now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Its partition is not ours: drop it.
    NotOurs,
    /// The window is full: let acknowledgements come in first.
    Full,
}

/// The records under way, by partition.
#[derive(Debug)]
pub struct OffsetTracker {
    lanes: BTreeMap<u32, Lane>,
    /// Counts assignments, so that what belongs to an earlier one is known.
    generations: u64,
    /// Records read and not done, on all partitions.
    records: usize,
    most_records: usize,
    /// Effects sent and not acknowledged, also those of partitions that are no longer ours.
    effects: usize,
}

#[derive(Debug)]
struct Lane {
    generation: u64,
    /// In the order of the log.
    entries: VecDeque<Entry>,
    /// Serial of the first of them.
    first: u64,
    /// The next offset to commit, since it was last taken.
    ready: Option<u64>,
}

#[derive(Debug)]
struct Entry {
    offset: u64,
    /// Effects that are not acknowledged.
    effects: u32,
    is_decided: bool,
}

impl OffsetTracker {
    /// Takes at most `most_records` records that are not done, on all partitions together.
    pub const fn new(most_records: usize) -> Self {
        Self { lanes: BTreeMap::new(), generations: 0, records: 0, most_records, effects: 0 }
    }

    /// The partition is ours from now on; what is under way from an earlier assignment counts for nothing.
    pub fn assign(&mut self, partition: u32) {
        self.revoke(partition);
        self.generations += 1;
        let lane = Lane { generation: self.generations, entries: VecDeque::new(), first: 0, ready: None };
        self.lanes.insert(partition, lane);
    }

    /// The partition is no longer ours: nothing is committed for it, and late acknowledgements mean nothing.
    pub fn revoke(&mut self, partition: u32) {
        if let Some(lane) = self.lanes.remove(&partition) {
            self.records -= lane.entries.len();
        }
    }

    /// Whether the partition is ours.
    pub fn is_ours(&self, partition: u32) -> bool {
        self.lanes.contains_key(&partition)
    }

    /// A record was read; offsets of a partition rise, with holes where the log has some.
    pub fn begin(&mut self, partition: u32, offset: u64) -> Result<Ticket, Refused> {
        let lane = self.lanes.get_mut(&partition).ok_or(Refused::NotOurs)?;
        if self.records >= self.most_records {
            return Err(Refused::Full);
        }
        let serial = lane.first + lane.entries.len() as u64;
        lane.entries.push_back(Entry { offset, effects: 0, is_decided: false });
        self.records += 1;
        Ok(Ticket { partition, generation: lane.generation, serial })
    }

    /// One more record is sent because of this one.
    pub fn effect(&mut self, ticket: Ticket) {
        self.effects += 1;
        if let Some(entry) = self.entry(ticket) {
            entry.effects += 1;
        }
    }

    /// An effect is on the log.
    pub fn acknowledge(&mut self, ticket: Ticket) {
        self.effects = self.effects.saturating_sub(1);
        if let Some(entry) = self.entry(ticket) {
            entry.effects = entry.effects.saturating_sub(1);
            self.settle(ticket.partition);
        }
    }

    /// All effects of the record have been sent.
    pub fn decided(&mut self, ticket: Ticket) {
        if let Some(entry) = self.entry(ticket) {
            entry.is_decided = true;
            self.settle(ticket.partition);
        }
    }

    /// The next offsets to commit, by partition; each is told once.
    pub fn take_ready(&mut self) -> impl Iterator<Item = (u32, u64)> {
        self.lanes.iter_mut().filter_map(|(partition, lane)| Some((*partition, lane.ready.take()?)))
    }

    /// Records read and not done.
    pub const fn records(&self) -> usize {
        self.records
    }

    /// Whether the next record is refused: take no more from the log.
    pub const fn is_full(&self) -> bool {
        self.records >= self.most_records
    }

    /// Effects sent and not acknowledged.
    pub const fn effects(&self) -> usize {
        self.effects
    }

    /// `None`: done, or of an assignment that is over.
    fn entry(&mut self, ticket: Ticket) -> Option<&mut Entry> {
        let lane = self.lanes.get_mut(&ticket.partition).filter(|lane| lane.generation == ticket.generation)?;
        let index = usize::try_from(ticket.serial.checked_sub(lane.first)?).ok()?;
        lane.entries.get_mut(index)
    }

    /// Lets go of what is done at the front of the partition.
    fn settle(&mut self, partition: u32) {
        let Some(lane) = self.lanes.get_mut(&partition) else { return };
        while let Some(entry) = lane.entries.front() {
            if !entry.is_decided || entry.effects > 0 {
                break;
            }
            lane.ready = Some(entry.offset + 1);
            lane.entries.pop_front();
            lane.first += 1;
            self.records -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ready(tracker: &mut OffsetTracker) -> Vec<(u32, u64)> {
        tracker.take_ready().collect()
    }

    fn read(tracker: &mut OffsetTracker, partition: u32, offset: u64, effects: u32) -> Ticket {
        let ticket = tracker.begin(partition, offset).unwrap();
        (0..effects).for_each(|_| tracker.effect(ticket));
        tracker.decided(ticket);
        ticket
    }

    #[test]
    fn an_offset_is_ready_when_all_before_it_is_acknowledged() {
        let mut tracker = OffsetTracker::new(100);
        tracker.assign(0);
        let (a, b) = (read(&mut tracker, 0, 10, 2), read(&mut tracker, 0, 17, 1));
        tracker.acknowledge(b);
        tracker.acknowledge(a);
        assert_eq!((ready(&mut tracker), tracker.records(), tracker.effects()), (vec![], 2, 1));
        tracker.acknowledge(a);
        assert_eq!((ready(&mut tracker), tracker.records(), tracker.effects()), (vec![(0, 18)], 0, 0));
        assert_eq!(ready(&mut tracker), [], "told once");
    }

    #[test]
    fn a_record_without_effects_is_done_when_it_is_decided() {
        let mut tracker = OffsetTracker::new(100);
        tracker.assign(0);
        read(&mut tracker, 0, 0, 0);
        assert_eq!(ready(&mut tracker), [(0, 1)]);
    }

    #[test]
    fn an_acknowledgement_may_come_before_the_decision_is_over() {
        let mut tracker = OffsetTracker::new(100);
        tracker.assign(0);
        let ticket = tracker.begin(0, 4).unwrap();
        tracker.effect(ticket);
        tracker.acknowledge(ticket);
        assert_eq!(ready(&mut tracker), [], "another effect may follow");
        tracker.decided(ticket);
        assert_eq!(ready(&mut tracker), [(0, 5)]);
    }

    #[test]
    fn late_acknowledgements_of_a_revoked_partition_mean_nothing_also_when_it_came_back() {
        let mut tracker = OffsetTracker::new(100);
        tracker.assign(0);
        let old = read(&mut tracker, 0, 50, 1);
        tracker.revoke(0);
        assert_eq!((tracker.begin(0, 51), tracker.records(), tracker.effects()), (Err(Refused::NotOurs), 0, 1));
        tracker.assign(0);
        let new = read(&mut tracker, 0, 10, 1);
        tracker.acknowledge(old);
        assert_eq!(ready(&mut tracker), []);
        tracker.acknowledge(new);
        assert_eq!(ready(&mut tracker), [(0, 11)]);
        assert_eq!(tracker.effects(), 0);
    }

    #[test]
    fn a_full_window_takes_no_record_until_one_is_done() {
        let mut tracker = OffsetTracker::new(2);
        tracker.assign(0);
        let first = read(&mut tracker, 0, 0, 1);
        read(&mut tracker, 0, 1, 1);
        assert_eq!((tracker.begin(0, 2), tracker.is_full()), (Err(Refused::Full), true));
        tracker.acknowledge(first);
        assert!(tracker.begin(0, 2).is_ok());
    }

    #[derive(Clone, Debug)]
    enum Step {
        Read(u32, u32),
        Acknowledge(prop::sample::Index),
        Reassign(u32),
        Revoke(u32),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            6 => (0..3_u32, 0..4_u32).prop_map(|(partition, effects)| Step::Read(partition, effects)),
            9 => any::<prop::sample::Index>().prop_map(Step::Acknowledge),
            1 => (0..3_u32).prop_map(Step::Reassign),
            1 => (0..3_u32).prop_map(Step::Revoke),
        ]
    }

    /// What must hold, written down naively: every record of the present assignments, with what it waits for.
    #[derive(Default)]
    struct Model {
        /// Partition, offset, and effects left, in the order read.
        records: Vec<(u32, u64, u32)>,
        /// Tickets to be acknowledged, and the index of the record while it counts.
        pending: Vec<(Ticket, Option<usize>)>,
        next: BTreeMap<u32, u64>,
    }

    impl Model {
        fn forget(&mut self, partition: u32) {
            for (_, record) in &mut self.pending {
                *record = record.filter(|index| self.records[*index].0 != partition);
            }
            for record in &mut self.records {
                if record.0 == partition {
                    // No longer looked at.
                    record.0 = u32::MAX;
                }
            }
        }

        fn watermark(&self, partition: u32) -> Option<u64> {
            let of = self.records.iter().filter(|record| record.0 == partition);
            of.take_while(|record| record.2 == 0).last().map(|record| record.1 + 1)
        }
    }

    proptest! {
        #[test]
        fn what_is_committed_is_the_contiguous_prefix(steps in prop::collection::vec(step(), 1..200)) {
            let mut tracker = OffsetTracker::new(usize::MAX);
            let mut model = Model::default();
            let mut committed: BTreeMap<u32, u64> = BTreeMap::new();
            (0..3).for_each(|partition| tracker.assign(partition));
            for step in steps {
                match step {
                    Step::Read(partition, effects) => {
                        let offset = *model.next.entry(partition).and_modify(|next| *next += 1).or_default();
                        if let Ok(ticket) = tracker.begin(partition, offset) {
                            model.records.push((partition, offset, effects));
                            let index = model.records.len() - 1;
                            for _ in 0..effects {
                                tracker.effect(ticket);
                                model.pending.push((ticket, Some(index)));
                            }
                            tracker.decided(ticket);
                        }
                    }
                    Step::Acknowledge(at) if !model.pending.is_empty() => {
                        let (ticket, record) = model.pending.swap_remove(at.index(model.pending.len()));
                        tracker.acknowledge(ticket);
                        if let Some(index) = record {
                            model.records[index].2 -= 1;
                        }
                    }
                    Step::Acknowledge(_) => {}
                    Step::Reassign(partition) => {
                        tracker.assign(partition);
                        model.forget(partition);
                        committed.remove(&partition);
                    }
                    Step::Revoke(partition) => {
                        tracker.revoke(partition);
                        model.forget(partition);
                        committed.remove(&partition);
                    }
                }
                committed.extend(tracker.take_ready());
                for partition in 0..3 {
                    prop_assert_eq!(committed.get(&partition).copied(), model.watermark(partition));
                }
                prop_assert_eq!(tracker.effects(), model.pending.len());
                let left: usize = (0..3_u32).map(|partition| {
                    let of = model.records.iter().filter(|record| record.0 == partition);
                    of.skip_while(|record| record.2 == 0).count()
                }).sum();
                prop_assert_eq!(tracker.records(), left);
            }
        }
    }
}
