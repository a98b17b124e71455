//! What a process has sent and the log does not have yet, as a producer keeps it: in order within a partition, in any order
//! between partitions. What does not arrive is a crash of the process.

use std::collections::{BTreeMap, VecDeque};

use schemas::topic::Topic;
use stream::{Delivered, Outgoing};

use super::log::SimLog;
use super::random::Random;

/// Records under way, each with what its acknowledgement is told with.
pub struct Lanes<T> {
    lanes: BTreeMap<(Topic, u32), VecDeque<(Outgoing, T)>>,
}

impl<T> Default for Lanes<T> {
    fn default() -> Self {
        Self { lanes: BTreeMap::new() }
    }
}

impl<T> Lanes<T> {
    /// Sends a record.
    pub fn send(&mut self, log: &SimLog, record: Outgoing, token: T) {
        let lane = (record.topic, log.partition_of(&record));
        self.lanes.entry(lane).or_default().push_back((record, token));
    }

    /// Whether everything has arrived.
    pub fn is_empty(&self) -> bool {
        self.lanes.is_empty()
    }

    /// The next record of some partition arrives.
    pub fn deliver(&mut self, log: &mut SimLog, now: i64, random: &mut Random) -> Option<(Delivered, T)> {
        let lane = *self.lanes.keys().nth(random.index(self.lanes.len())?)?;
        let waiting = self.lanes.get_mut(&lane)?;
        let (record, token) = waiting.pop_front()?;
        if waiting.is_empty() {
            self.lanes.remove(&lane);
        }
        Some((log.append(record, now), token))
    }

    /// The process dies: of each partition some records still arrive, and nobody is told.
    pub fn break_off(&mut self, log: &mut SimLog, now: i64, random: &mut Random) {
        for (_, waiting) in std::mem::take(&mut self.lanes) {
            let some = random.below(waiting.len() as u64 + 1) as usize;
            for (record, _) in waiting.into_iter().take(some) {
                log.append(record, now);
            }
        }
    }
}
