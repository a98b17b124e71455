//! Who listens for which session's picks, and the newest that is known for them. Nothing is kept of a session that nobody
//! listens for, and one place per session: a slow listener finds the newest, never a backlog.
//!
//! Knows neither the log (`changes.rs` brings the picks) nor what a listener does with them (`feed.rs`).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use schemas::id::SessionId;
use schemas::recommendation::Recommendation;
use tokio::sync::watch;

/// The picks of a session, as one write of its row has them.
#[derive(Clone, Debug, PartialEq)]
pub struct Picks {
    /// The row's write timestamp: of two picks the greater is the newer.
    pub write_timestamp: i64,
    /// Hash of the cell: equal picks are the same.
    pub items_hash: String,
    /// The cell.
    pub recommendation: Recommendation,
}

/// What a session's listeners are told.
#[derive(Clone, Debug, Default)]
pub struct Signal {
    /// The newest picks that came since somebody listens.
    pub newest: Option<Arc<Picks>>,
    /// Grows whenever something may have been missed: the row is to be read again.
    pub looks: u64,
}

/// The map of sessions that somebody listens for.
#[derive(Debug, Default)]
pub struct Listeners(Mutex<HashMap<SessionId, watch::Sender<Signal>>>);

impl Listeners {
    /// Listens for a session from now on, until the listener is dropped.
    pub fn listen(self: &Arc<Self>, session: SessionId) -> Listener {
        let signal = self.map().entry(session).or_default().subscribe();
        Listener { listeners: Arc::clone(self), session, signal: Some(signal) }
    }

    /// Whether anybody listens for it.
    pub fn listens(&self, session: SessionId) -> bool {
        self.map().contains_key(&session)
    }

    /// Tells a session's listeners of picks, unless they know newer ones.
    pub fn tell(&self, session: SessionId, picks: Picks) {
        self.modify(session, |signal| {
            let is_newer = signal.newest.as_ref().is_none_or(|newest| picks.write_timestamp > newest.write_timestamp);
            if is_newer {
                signal.newest = Some(Arc::new(picks));
            }
            is_newer
        });
    }

    /// Has a session's listeners read its row again.
    pub fn look_again(&self, session: SessionId) {
        self.modify(session, |signal| {
            signal.looks += 1;
            true
        });
    }

    /// Has every listener read its session's row again.
    pub fn all_look_again(&self) {
        self.map().values().for_each(|signal| signal.send_modify(|signal| signal.looks += 1));
    }

    /// Has a session's listeners ask what is known of the session: it may have been erased.
    pub fn wake(&self, session: SessionId) {
        self.modify(session, |_| true);
    }

    /// Wakes all whose session is one of these.
    pub fn wake_where(&self, is_one: impl Fn(SessionId) -> bool) {
        let map = self.map();
        map.iter().filter(|(session, _)| is_one(**session)).for_each(|(_, signal)| signal.send_modify(|_| {}));
    }

    fn modify(&self, session: SessionId, change: impl FnOnce(&mut Signal) -> bool) {
        if let Some(signal) = self.map().get(&session) {
            signal.send_if_modified(change);
        }
    }

    fn map(&self) -> MutexGuard<'_, HashMap<SessionId, watch::Sender<Signal>>> {
        // Nothing can panic while it is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One who listens for a session.
#[derive(Debug)]
pub struct Listener {
    listeners: Arc<Listeners>,
    session: SessionId,
    /// Always there but while it is dropped.
    signal: Option<watch::Receiver<Signal>>,
}

impl Listener {
    /// How many others listen for the session.
    pub fn others(&self) -> usize {
        let map = self.listeners.map();
        map.get(&self.session).map_or(0, |signal| signal.receiver_count().saturating_sub(1))
    }

    /// What is known now; [`Listener::changed`] waits for what comes after.
    pub fn signal(&mut self) -> Signal {
        self.signal.as_mut().map(|signal| signal.borrow_and_update().clone()).unwrap_or_default()
    }

    /// Waits until there is something that [`Listener::signal`] has not shown. May be dropped and called again.
    pub async fn changed(&mut self) {
        if let Some(signal) = &mut self.signal {
            // The sender is kept as long as there is a receiver.
            let _ = signal.changed().await;
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let mut map = self.listeners.map();
        self.signal = None;
        // Under the lock: nobody can begin to listen in between.
        if map.get(&self.session).is_some_and(watch::Sender::is_closed) {
            map.remove(&self.session);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picks(write_timestamp: i64) -> Picks {
        let recommendation = Recommendation { preference_version: 1, items: Vec::new() };
        Picks { write_timestamp, items_hash: format!("{write_timestamp:016x}"), recommendation }
    }
    fn newest(listener: &mut Listener) -> Option<i64> {
        listener.signal().newest.map(|picks| picks.write_timestamp)
    }

    #[test]
    fn a_listener_finds_the_newest_whatever_order_things_come_in() {
        let listeners = Arc::new(Listeners::default());
        let session = SessionId::from_bits(1);
        let mut listener = listeners.listen(session);
        for timestamp in [3, 9, 4] {
            listeners.tell(session, picks(timestamp));
            listeners.tell(SessionId::from_bits(2), picks(100));
        }
        assert_eq!(newest(&mut listener), Some(9));
    }

    #[test]
    fn nothing_is_kept_of_sessions_that_nobody_listens_for() {
        let listeners = Arc::new(Listeners::default());
        let session = SessionId::from_bits(1);
        listeners.tell(session, picks(1));
        assert!(!listeners.listens(session));
        let (first, mut second) = (listeners.listen(session), listeners.listen(session));
        drop(first);
        listeners.tell(session, picks(2));
        assert_eq!(newest(&mut second), Some(2));
        drop(second);
        assert!(listeners.map().is_empty());
    }

    #[test]
    fn who_may_have_missed_something_is_told_to_look_again() {
        let listeners = Arc::new(Listeners::default());
        let (mut one, mut other) =
            (listeners.listen(SessionId::from_bits(1)), listeners.listen(SessionId::from_bits(2)));
        listeners.look_again(SessionId::from_bits(1));
        assert_eq!((one.signal().looks, other.signal().looks), (1, 0));
        listeners.all_look_again();
        assert_eq!((one.signal().looks, other.signal().looks), (2, 1));
    }
}
