//! What sessions that somebody dismisses homes for just now have stated, as it stands on the log. Who appends a statement made of
//! an older one sees here what it has overwritten.
//!
//! Pure but for its lock; `follow.rs` feeds it. Nothing is kept of other sessions.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use schemas::id::{ListingId, SessionId};
use schemas::preferences::Preferences;
use tokio::sync::watch;

/// Most statements kept of a session, the newest: many times as many as one process appends while one of its requests, which come
/// in turns, waits.
const MOST: usize = 256;

/// The sessions that somebody listens for.
#[derive(Debug, Default)]
pub struct Overheard(Mutex<HashMap<SessionId, Heard>>);

#[derive(Debug, Default)]
struct Heard {
    listeners: usize,
    /// Version and content of each statement, in the order of the log; `None` of an erasure.
    statements: Vec<(u64, Option<Preferences>)>,
    /// The greatest version.
    newest: watch::Sender<Option<u64>>,
    /// Who changes the statement next.
    turn: Arc<tokio::sync::Mutex<()>>,
}

/// What a statement has overwritten that was made of an older one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Overwritten {
    /// The newest of them; an erasure is `Some(None)`.
    pub newest: Option<Option<Preferences>>,
    /// What they dismiss, since the last erasure.
    pub dismissed: Vec<ListingId>,
}

impl Overheard {
    /// Keeps a session's statements from now on, until the hearing is dropped.
    pub fn hear(self: &Arc<Self>, session: SessionId) -> Hearing {
        let mut map = self.map();
        let heard = map.entry(session).or_default();
        heard.listeners += 1;
        let (newest, turn) = (heard.newest.subscribe(), Arc::clone(&heard.turn));
        drop(map);
        Hearing { overheard: Arc::clone(self), session, newest, turn }
    }

    /// Takes in a statement as it stands on the log.
    pub fn note(&self, session: SessionId, version: u64, stated: impl FnOnce() -> Option<Preferences>) {
        if let Some(heard) = self.map().get_mut(&session) {
            if heard.statements.len() == MOST {
                heard.statements.remove(0);
            }
            heard.statements.push((version, stated()));
            heard.newest.send_modify(|newest| *newest = (*newest).max(Some(version)));
        }
    }

    fn map(&self) -> MutexGuard<'_, HashMap<SessionId, Heard>> {
        // Nothing can panic while it is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One who listens.
#[derive(Debug)]
pub struct Hearing {
    overheard: Arc<Overheard>,
    session: SessionId,
    newest: watch::Receiver<Option<u64>>,
    /// Held by the one of this process who changes the session's statement: all at once would overwrite each other without end.
    pub turn: Arc<tokio::sync::Mutex<()>>,
}

impl Hearing {
    /// Whether the log was read up to the statement of this version: it has the statements of a session in their order.
    pub fn has(&self, version: u64) -> bool {
        *self.newest.borrow() >= Some(version)
    }

    /// Waits until it was.
    pub async fn until(&self, version: u64) {
        // Cannot fail: who sends is there as long as somebody listens.
        let _ = self.newest.clone().wait_for(|newest| *newest >= Some(version)).await;
    }

    /// What stands between these two: a statement of version `to` that was made of `from` lacks it.
    pub fn between(&self, from: u64, to: u64) -> Overwritten {
        let map = self.overheard.map();
        let statements = map.get(&self.session).map(|heard| heard.statements.as_slice()).unwrap_or_default();
        let mut overwritten = Overwritten::default();
        for (_, stated) in statements.iter().filter(|(version, _)| (from + 1..to).contains(version)) {
            match stated {
                Some(preferences) => overwritten.dismissed.extend(preferences.dismissed.iter().cloned()),
                None => overwritten.dismissed.clear(),
            }
            overwritten.newest = Some(stated.clone());
        }
        overwritten
    }
}

impl Drop for Hearing {
    fn drop(&mut self) {
        let mut map = self.overheard.map();
        if let Some(heard) = map.get_mut(&self.session) {
            heard.listeners -= 1;
            if heard.listeners == 0 {
                map.remove(&self.session);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    fn ids(keys: &[&str]) -> Vec<ListingId> {
        keys.iter().map(|key| key.parse().unwrap()).collect()
    }

    fn stated(budget: u32, keys: &[&str]) -> Option<Preferences> {
        let text = format!(r#"{{"budget":{budget},"place":{{"country":"us"}}}}"#);
        let preferences = Preferences::parse(text.as_bytes()).unwrap();
        Some(Preferences { dismissed: ids(keys), ..preferences })
    }

    #[test]
    fn what_a_statement_has_overwritten_is_known_to_who_made_it() {
        let overheard = Arc::new(Overheard::default());
        let session = SessionId::from_bits(1);
        overheard.note(session, 4, || stated(1, &["f:0"]));
        let hearing = overheard.hear(session);
        for (version, keys) in [(5, &["f:1"][..]), (6, &["f:1", "f:2"]), (9, &["f:1", "f:3"])] {
            overheard.note(session, version, || stated(version as u32, keys));
        }
        assert!(hearing.has(9) && hearing.has(4) && !hearing.has(10));
        let overwritten = hearing.between(4, 9);
        assert_eq!(
            (overwritten.newest, overwritten.dismissed),
            (Some(stated(6, &["f:1", "f:2"])), ids(&["f:1", "f:1", "f:2"]))
        );
        assert_eq!(hearing.between(6, 9), Overwritten::default());
        let second = overheard.hear(session);
        drop(hearing);
        assert!(second.has(9));
        drop(second);
        assert!(overheard.map().is_empty());
    }

    #[test]
    fn who_waits_for_a_version_is_told_once_the_log_was_read_so_far() {
        let overheard = Arc::new(Overheard::default());
        let session = SessionId::from_bits(1);
        let hearing = overheard.hear(session);
        for (version, is_told) in [(4, false), (5, true), (6, true)] {
            overheard.note(session, version, || None);
            assert_eq!(hearing.until(5).now_or_never().is_some(), is_told, "{version}");
        }
    }

    #[test]
    fn an_erasure_in_between_is_the_newest_until_something_is_stated_anew() {
        let overheard = Arc::new(Overheard::default());
        let session = SessionId::from_bits(1);
        let hearing = overheard.hear(session);
        overheard.note(session, 5, || stated(5, &["f:1"]));
        overheard.note(session, 6, || None);
        overheard.note(session, 9, || stated(9, &["f:2"]));
        assert_eq!(hearing.between(4, 9), Overwritten { newest: Some(None), dismissed: Vec::new() });
        overheard.note(session, 12, || stated(12, &[]));
        assert_eq!(hearing.between(4, 12), Overwritten { newest: Some(stated(9, &["f:2"])), dismissed: ids(&["f:2"]) });
    }
}
