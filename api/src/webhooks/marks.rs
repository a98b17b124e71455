//! Up to where each partition may be committed: before the first record that a webhook still waits for. Pure.
//!
//! Not `stream::OffsetTracker`: that one keeps every record behind an unfinished one, and here one receiver that is away for a
//! day would keep a day of everybody's records. This keeps the unfinished ones alone.

use std::collections::BTreeMap;

/// A record that something waits for, under the assignment of its partition at that time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Mark {
    partition: u32,
    generation: u64,
    offset: u64,
}

/// The unfinished records, by partition.
#[derive(Debug, Default)]
pub struct Marks {
    lanes: BTreeMap<u32, Lane>,
}

#[derive(Debug)]
struct Lane {
    generation: u64,
    /// How many deliveries each unfinished record waits for.
    open: BTreeMap<u64, usize>,
    /// The offset behind the last record that was read.
    next: Option<u64>,
    told: Option<u64>,
}

impl Marks {
    /// The partition is ours from now on, by this assignment; what is unfinished from an earlier one counts for nothing.
    pub fn assign(&mut self, partition: u32, generation: u64) {
        self.lanes.insert(partition, Lane { generation, open: BTreeMap::new(), next: None, told: None });
    }

    /// The partition is no longer ours.
    pub fn revoke(&mut self, partition: u32) {
        self.lanes.remove(&partition);
    }

    /// A record was read; offsets of a partition rise. `None`: the partition is not ours.
    pub fn read(&mut self, partition: u32, offset: u64) -> Option<Mark> {
        let lane = self.lanes.get_mut(&partition)?;
        lane.next = lane.next.max(Some(offset + 1));
        Some(Mark { partition, generation: lane.generation, offset })
    }

    /// One more delivery waits for the record.
    pub fn open(&mut self, mark: Mark) {
        if let Some(lane) = self.lane(mark) {
            *lane.open.entry(mark.offset).or_default() += 1;
        }
    }

    /// One of them is over.
    pub fn close(&mut self, mark: Mark) {
        let Some(lane) = self.lane(mark) else { return };
        if let Some(count) = lane.open.get_mut(&mark.offset) {
            *count -= 1;
            if *count == 0 {
                lane.open.remove(&mark.offset);
            }
        }
    }

    /// Partition, generation and next offset of what may be committed now and was not told before.
    pub fn take_ready(&mut self) -> Vec<(u32, u64, u64)> {
        let ready = |(partition, lane): (&u32, &mut Lane)| {
            let at = lane.open.keys().next().copied().or(lane.next)?;
            if lane.told.is_some_and(|told| told >= at) {
                return None;
            }
            lane.told = Some(at);
            Some((*partition, lane.generation, at))
        };
        self.lanes.iter_mut().filter_map(ready).collect()
    }

    fn lane(&mut self, mark: Mark) -> Option<&mut Lane> {
        self.lanes.get_mut(&mark.partition).filter(|lane| lane.generation == mark.generation)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn nothing_of_an_earlier_assignment_counts() {
        let mut marks = Marks::default();
        assert_eq!(marks.read(0, 5), None);
        marks.assign(0, 1);
        let old = marks.read(0, 5).unwrap();
        marks.open(old);
        marks.revoke(0);
        marks.assign(0, 2);
        assert_eq!(marks.take_ready(), []);
        let new = marks.read(0, 5).unwrap();
        marks.open(new);
        marks.close(old);
        assert_eq!(marks.take_ready(), [(0, 2, 5)], "nothing is past the unfinished one");
        marks.close(new);
        assert_eq!(marks.take_ready(), [(0, 2, 6)]);
        assert_eq!(marks.take_ready(), [], "told once");
    }

    proptest! {
        #[test]
        fn no_commit_passes_an_unfinished_record_and_in_the_end_all_are_passed(
            counts in prop::collection::vec(0_usize..3, 1..40),
            closes in prop::collection::vec(any::<prop::sample::Index>(), 0..80),
        ) {
            let mut marks = Marks::default();
            marks.assign(3, 1);
            let mut open = Vec::new();
            let mut committed = 0;
            for (offset, count) in counts.iter().enumerate() {
                let mark = marks.read(3, offset as u64).unwrap();
                for _ in 0..*count {
                    marks.open(mark);
                    open.push(mark);
                }
            }
            let mut closes = closes.into_iter();
            loop {
                for (_, _, at) in marks.take_ready() {
                    prop_assert!(at >= committed, "{at} is before {committed}");
                    committed = at;
                }
                let first = open.iter().map(|mark| mark.offset).min().unwrap_or(counts.len() as u64);
                prop_assert_eq!(committed, first);
                if open.is_empty() {
                    break;
                }
                let at = closes.next().map_or(0, |index| index.index(open.len()));
                marks.close(open.swap_remove(at));
            }
        }
    }
}
