//! Counts nodes of the store that came back. A node that crashed may have lost what it acknowledged last, so the scorer
//! writes its latest rows again (DESIGN §3).

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ::scylla::client::session::Session;
use tokio::task::JoinHandle;

use crate::metrics;

/// How often the driver's view of the nodes is looked at: well below the second that a server takes to start.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Watches until it is dropped.
pub(super) struct Recoveries {
    count: Arc<AtomicU64>,
    watch: JoinHandle<()>,
}

impl Recoveries {
    pub(super) fn watch(session: Arc<Session>) -> Self {
        let count = Arc::new(AtomicU64::new(0));
        let counted = count.clone();
        let watch = tokio::spawn(async move {
            let mut nodes = Nodes::default();
            let mut tick = tokio::time::interval(LOOK_EVERY);
            tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                tick.tick().await;
                let cluster = session.get_cluster_state();
                let seen = cluster.get_nodes_info().iter().map(|node| (node.host_id, node.is_connected()));
                for change in nodes.observe(seen) {
                    match change {
                        Change::Lost(node) => tracing::warn!(%node, "lost the store's node {node}"),
                        Change::Back(node) => {
                            tracing::info!(%node, "the store's node {node} is back");
                            metrics::record_recovery();
                            counted.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                }
            }
        });
        Self { count, watch }
    }

    pub(super) fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }
}

impl Drop for Recoveries {
    fn drop(&mut self) {
        self.watch.abort();
    }
}

/// Which nodes are connected, as last seen. Pure.
struct Nodes<N>(HashMap<N, bool>);

impl<N> Default for Nodes<N> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Change<N> {
    Lost(N),
    Back(N),
}

impl<N: Copy + Eq + Hash> Nodes<N> {
    fn observe(&mut self, seen: impl Iterator<Item = (N, bool)>) -> Vec<Change<N>> {
        seen.filter_map(|(node, connected)| match (self.0.insert(node, connected), connected) {
            (Some(true), false) => Some(Change::Lost(node)),
            (Some(false), true) => Some(Change::Back(node)),
            _ => None,
        })
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_comes_back_only_after_it_was_lost() {
        let mut nodes = Nodes::default();
        let mut see = |a, b| nodes.observe([('a', a), ('b', b)].into_iter());
        assert_eq!(see(true, true), []);
        assert_eq!(see(true, false), [Change::Lost('b')]);
        assert_eq!(see(true, false), []);
        assert_eq!(see(false, true), [Change::Lost('a'), Change::Back('b')]);
        assert_eq!(see(true, true), [Change::Back('a')]);
    }
}
