//! Counts nodes of the store that came back. A node that crashed may have lost what it acknowledged last, so the scorer
//! writes its latest rows again (DESIGN §3).

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use ::scylla::client::session::Session;
use tokio::task::JoinHandle;

use crate::metrics;

/// How often the driver's view of the nodes is looked at: well below the second that a server takes to start.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Watches until it is dropped.
pub(super) struct Recoveries {
    seen: Arc<Seen>,
    watch: JoinHandle<()>,
}

#[derive(Default)]
struct Seen {
    count: AtomicU64,
    has_broken_connection: AtomicBool,
    has_lost_a_node: AtomicBool,
}

impl Recoveries {
    pub(super) fn watch(session: Arc<Session>) -> Self {
        let seen = Arc::new(Seen::default());
        let watch = tokio::spawn(watch(session, seen.clone()));
        Self { seen, watch }
    }

    pub(super) fn count(&self) -> u64 {
        self.seen.count.load(Ordering::Relaxed)
    }

    /// Whether every node was connected at the last look.
    pub(super) fn is_whole(&self) -> bool {
        !self.seen.has_lost_a_node.load(Ordering::Relaxed)
    }

    /// A request failed because its connection was gone.
    pub(super) fn note_broken_connection(&self) {
        self.seen.has_broken_connection.store(true, Ordering::Relaxed);
    }
}

async fn watch(session: Arc<Session>, seen: Arc<Seen>) {
    let mut nodes = Nodes::default();
    let mut tick = tokio::time::interval(LOOK_EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let has_broken_connection = seen.has_broken_connection.swap(false, Ordering::Relaxed);
        let cluster = session.get_cluster_state();
        let connected = cluster.get_nodes_info().iter().map(|node| (node.host_id, node.is_connected()));
        for change in nodes.observe(connected, has_broken_connection) {
            match change {
                Change::Lost(node) => {
                    tracing::warn!(%node, "lost the store's node {node}");
                    continue;
                }
                Change::Back(node) => tracing::info!(%node, "the store's node {node} is back"),
                Change::Blinked => tracing::info!("a connection to the store broke and stands again"),
            }
            metrics::record_recovery();
            seen.count.fetch_add(1, Ordering::Relaxed);
        }
        // After the count, so that whoever sees the store whole again sees that it has recovered.
        seen.has_lost_a_node.store(!nodes.all_connected, Ordering::Relaxed);
    }
}

impl Drop for Recoveries {
    fn drop(&mut self) {
        self.watch.abort();
    }
}

/// Which nodes are connected, as last seen. Pure.
struct Nodes<N> {
    connected: HashMap<N, bool>,
    /// Of the nodes that the cluster has now.
    all_connected: bool,
}

impl<N> Default for Nodes<N> {
    fn default() -> Self {
        Self { connected: HashMap::new(), all_connected: true }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Change<N> {
    Lost(N),
    Back(N),
    /// A connection broke, and all nodes are connected: one was away for less than the time between two looks.
    Blinked,
}

impl<N: Copy + Eq + Hash> Nodes<N> {
    fn observe(&mut self, seen: impl Iterator<Item = (N, bool)>, has_broken_connection: bool) -> Vec<Change<N>> {
        let mut changes = Vec::new();
        self.all_connected = true;
        for (node, is_connected) in seen {
            self.all_connected &= is_connected;
            match (self.connected.insert(node, is_connected), is_connected) {
                (Some(true), false) => changes.push(Change::Lost(node)),
                (Some(false), true) => changes.push(Change::Back(node)),
                (None, _) | (Some(true), true) | (Some(false), false) => {}
            }
        }
        if has_broken_connection && self.all_connected && changes.is_empty() {
            changes.push(Change::Blinked);
        }
        changes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_comes_back_only_after_it_was_lost() {
        let mut nodes = Nodes::default();
        let mut see = |a, b| nodes.observe([('a', a), ('b', b)].into_iter(), false);
        assert_eq!(see(true, true), []);
        assert_eq!(see(true, false), [Change::Lost('b')]);
        assert_eq!(see(true, false), []);
        assert_eq!(see(false, true), [Change::Lost('a'), Change::Back('b')]);
        assert_eq!(see(true, true), [Change::Back('a')]);
    }

    #[test]
    fn the_store_is_whole_when_every_node_that_it_has_is_connected() {
        let mut nodes = Nodes::default();
        nodes.observe([('a', true), ('b', false)].into_iter(), false);
        assert!(!nodes.all_connected);
        nodes.observe([('a', true)].into_iter(), false);
        assert!(nodes.all_connected, "b was taken out of the cluster");
    }

    #[test]
    fn a_broken_connection_counts_once_its_node_is_there() {
        let mut nodes = Nodes::default();
        let mut see = |connected, broken| nodes.observe([('a', connected)].into_iter(), broken);
        assert_eq!(see(true, false), []);
        assert_eq!(see(true, true), [Change::Blinked]);
        // A node that stays away is told by its return.
        assert_eq!(see(false, true), [Change::Lost('a')]);
        assert_eq!(see(false, true), []);
        assert_eq!(see(true, true), [Change::Back('a')]);
        assert_eq!(see(true, false), []);
    }
}
