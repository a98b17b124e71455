//! Raw records whose effects the log has not acknowledged, and up to where each partition may be committed. Pure.
//!
//! One queue over all partitions: a partition's offset is committed when everything read before it, of any partition, is
//! acknowledged. That holds a fast partition back behind a slow one, which costs some replay after a crash and no more,
//! since results of every raw partition go to every partition of `listings` anyway.

use std::collections::VecDeque;

use rustc_hash::FxHashMap;

/// A raw record under way.
struct Entry {
    partition: u32,
    offset: u64,
    /// The assignment of the partition under which it was read.
    assignment: u64,
    /// Effects that are not acknowledged.
    left: u32,
}

/// The raw records under way, in the order they were read.
#[derive(Default)]
pub(crate) struct Window {
    entries: VecDeque<Entry>,
    /// Token of the first entry.
    first: u64,
    /// Effects of all entries that are not acknowledged.
    effects: usize,
    /// The partitions that are ours, each with the number of its assignment.
    ours: FxHashMap<u32, u64>,
    assignments: u64,
    /// Next offsets to commit, since they were last taken.
    ready: FxHashMap<u32, u64>,
}

impl Window {
    /// A partition is ours from now on.
    pub(crate) fn assign(&mut self, partition: u32) {
        self.assignments += 1;
        self.ours.insert(partition, self.assignments);
        self.ready.remove(&partition);
    }

    /// A partition is no longer ours: nothing is committed for what is under way.
    pub(crate) fn revoke(&mut self, partition: u32) {
        self.ours.remove(&partition);
        self.ready.remove(&partition);
    }

    /// A record with this many effects was read: the token of its effects, or `None` if its partition is not ours.
    pub(crate) fn begin(&mut self, partition: u32, offset: u64, effects: u32) -> Option<u64> {
        let assignment = *self.ours.get(&partition)?;
        self.entries.push_back(Entry { partition, offset, assignment, left: effects });
        self.effects += effects as usize;
        let token = self.first + self.entries.len() as u64 - 1;
        self.settle();
        Some(token)
    }

    /// One effect of a record is on the log.
    pub(crate) fn acknowledge(&mut self, token: u64) {
        let index = usize::try_from(token.wrapping_sub(self.first)).unwrap_or(usize::MAX);
        // Every effect is acknowledged once, while its entry is there.
        let Some(entry) = self.entries.get_mut(index) else { return };
        entry.left = entry.left.saturating_sub(1);
        self.effects = self.effects.saturating_sub(1);
        self.settle();
    }

    /// Lets go of what is done at the front.
    fn settle(&mut self) {
        while self.entries.front().is_some_and(|entry| entry.left == 0) {
            let Some(entry) = self.entries.pop_front() else { return };
            self.first += 1;
            if self.ours.get(&entry.partition) == Some(&entry.assignment) {
                self.ready.insert(entry.partition, entry.offset + 1);
            }
        }
    }

    /// The next offsets to commit, by partition; each is told once.
    pub(crate) fn take_ready(&mut self) -> impl Iterator<Item = (u32, u64)> {
        std::mem::take(&mut self.ready).into_iter()
    }

    /// Raw records under way.
    pub(crate) fn records(&self) -> usize {
        self.entries.len()
    }

    /// Effects under way.
    pub(crate) const fn effects(&self) -> usize {
        self.effects
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn ready(window: &mut Window) -> Vec<(u32, u64)> {
        let mut ready: Vec<_> = window.take_ready().collect();
        ready.sort_unstable();
        ready
    }

    #[test]
    fn an_offset_is_ready_when_everything_before_it_is_acknowledged() {
        let mut window = Window::default();
        window.assign(0);
        let (a, b) = (window.begin(0, 10, 2).unwrap(), window.begin(0, 11, 1).unwrap());
        window.acknowledge(b);
        window.acknowledge(a);
        assert_eq!((ready(&mut window), window.records(), window.effects()), (vec![], 2, 1));
        window.acknowledge(a);
        assert_eq!((ready(&mut window), window.records(), window.effects()), (vec![(0, 12)], 0, 0));
        assert_eq!(ready(&mut window), []);
    }

    #[test]
    fn nothing_is_ready_for_a_partition_that_was_taken_away_even_if_it_came_back() {
        let mut window = Window::default();
        window.assign(0);
        let old = window.begin(0, 50, 1).unwrap();
        window.revoke(0);
        assert_eq!(window.begin(0, 51, 1), None);
        window.assign(0);
        let new = window.begin(0, 10, 1).unwrap();
        window.acknowledge(old);
        assert_eq!(ready(&mut window), []);
        window.acknowledge(new);
        assert_eq!(ready(&mut window), [(0, 11)]);
    }

    proptest! {
        /// Whatever is acknowledged in whatever order: never past the first record that is not done, and up to it in the end.
        #[test]
        fn what_is_ready_is_the_contiguous_prefix(
            reads in prop::collection::vec((0..3_u32, 1..4_u32), 1..40),
            order in prop::collection::vec(any::<prop::sample::Index>(), 0..160),
        ) {
            let mut window = Window::default();
            (0..3).for_each(|partition| window.assign(partition));
            let mut next = BTreeMap::new();
            let mut pending: Vec<u64> = Vec::new();
            let mut under_way: Vec<(u32, u64, u64)> = Vec::new();
            for (partition, effects) in reads {
                let offset = next.entry(partition).or_insert(0_u64);
                let token = window.begin(partition, *offset, effects).unwrap();
                under_way.push((partition, *offset, token));
                pending.extend(std::iter::repeat_n(token, effects as usize));
                *offset += 1;
            }
            let mut committed: BTreeMap<u32, u64> = BTreeMap::new();
            for index in order {
                if pending.is_empty() {
                    break;
                }
                window.acknowledge(pending.swap_remove(index.index(pending.len())));
                committed.extend(window.take_ready());
                for (partition, offset, token) in &under_way {
                    if pending.contains(token) {
                        prop_assert!(committed.get(partition).copied().unwrap_or(0) <= *offset);
                    }
                }
                prop_assert_eq!(window.effects(), pending.len());
            }
            pending.drain(..).for_each(|token| window.acknowledge(token));
            committed.extend(window.take_ready());
            prop_assert_eq!(committed, next);
        }
    }
}
