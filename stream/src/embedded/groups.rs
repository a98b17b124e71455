//! What groups have committed, and who reads for them. Positions are saved by the writer of the derived topics, behind
//! the effects that they stand for.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Condvar, Mutex};
use std::time::Duration;

use schemas::topic::Topic;

use crate::locked::{lock, wait};

/// Group, topic, partition.
pub(super) type Place = (String, Topic, u32);

#[derive(Default)]
pub(super) struct Groups {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    committed: BTreeMap<Place, u64>,
    unsaved: BTreeMap<Place, u64>,
    readers: BTreeSet<(String, Topic)>,
    /// Counts commits, and up to which of them is saved.
    commits: u64,
    saved: u64,
}

impl Groups {
    pub(super) fn new(committed: impl IntoIterator<Item = (Place, u64)>) -> Self {
        let state = State { committed: committed.into_iter().collect(), ..State::default() };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    /// `false`: somebody reads for the group already.
    pub(super) fn enter(&self, group: &str, topic: Topic) -> bool {
        lock(&self.state).readers.insert((group.to_owned(), topic))
    }

    pub(super) fn leave(&self, group: &str, topic: Topic) {
        lock(&self.state).readers.remove(&(group.to_owned(), topic));
    }

    pub(super) fn readers(&self) -> Vec<(String, Topic)> {
        lock(&self.state).readers.iter().cloned().collect()
    }

    pub(super) fn committed(&self, group: &str, topic: Topic, partition: u32) -> Option<u64> {
        lock(&self.state).committed.get(&(group.to_owned(), topic, partition)).copied()
    }

    pub(super) fn commit(&self, group: &str, topic: Topic, partition: u32, next_offset: u64) {
        let mut state = lock(&self.state);
        let place = (group.to_owned(), topic, partition);
        state.committed.insert(place.clone(), next_offset);
        state.unsaved.insert(place, next_offset);
        state.commits += 1;
    }

    /// What is to be saved now, and the count to hand to [`Groups::saved`].
    pub(super) fn unsaved(&self) -> (Vec<(Place, u64)>, u64) {
        let mut state = lock(&self.state);
        (std::mem::take(&mut state.unsaved).into_iter().collect(), state.commits)
    }

    pub(super) fn saved(&self, commits: u64) {
        lock(&self.state).saved = commits;
        self.changed.notify_all();
    }

    /// Waits until every commit so far is saved. `false`: it took too long.
    pub(super) fn wait(&self, timeout: Duration) -> bool {
        let commits = lock(&self.state).commits;
        wait(&self.state, &self.changed, timeout, |state| state.saved >= commits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_is_saved_once_and_waited_for() {
        let groups = Groups::default();
        groups.commit("g", Topic::Listings, 0, 4);
        groups.commit("g", Topic::Listings, 0, 5);
        assert!(!groups.wait(Duration::ZERO));
        let (unsaved, commits) = groups.unsaved();
        assert_eq!(unsaved, [(("g".to_owned(), Topic::Listings, 0), 5)]);
        groups.saved(commits);
        assert!(groups.wait(Duration::ZERO));
        assert_eq!(groups.unsaved().0, []);
        assert_eq!(groups.committed("g", Topic::Listings, 0), Some(5));
    }

    #[test]
    fn a_group_has_one_reader_per_topic() {
        let groups = Groups::default();
        assert!(groups.enter("g", Topic::Listings) && groups.enter("g", Topic::Sales));
        assert!(!groups.enter("g", Topic::Listings));
        groups.leave("g", Topic::Listings);
        assert!(groups.enter("g", Topic::Listings));
    }
}
