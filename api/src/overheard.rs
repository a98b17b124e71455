//! What is dismissed by the statements of sessions that somebody dismisses homes for just now, as they stand on the log. Who
//! appends a statement made of an older one sees here what it has overwritten.
//!
//! Pure but for its lock; `follow.rs` feeds it. Nothing is kept of other sessions.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use schemas::id::{ListingId, SessionId};

/// Most statements kept of a session, the newest: four times as many as one request appends at most.
const MOST: usize = 64;

/// The sessions that somebody listens for.
#[derive(Debug, Default)]
pub struct Overheard(Mutex<HashMap<SessionId, Heard>>);

#[derive(Debug, Default)]
struct Heard {
    listeners: usize,
    /// Version and dismissed homes of each statement, in the order of the log.
    statements: Vec<(u64, Vec<ListingId>)>,
}

impl Overheard {
    /// Keeps a session's statements from now on, until the hearing is dropped.
    pub fn hear(self: &Arc<Self>, session: SessionId) -> Hearing {
        self.map().entry(session).or_default().listeners += 1;
        Hearing { overheard: Arc::clone(self), session }
    }

    /// Takes in a statement as it stands on the log.
    pub fn note(&self, session: SessionId, version: u64, dismissed: impl FnOnce() -> Vec<ListingId>) {
        if let Some(heard) = self.map().get_mut(&session) {
            if heard.statements.len() == MOST {
                heard.statements.remove(0);
            }
            heard.statements.push((version, dismissed()));
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
}

impl Hearing {
    /// Whether the statement of this version was read from the log, and so everything before it.
    pub fn has(&self, version: u64) -> bool {
        self.overheard.map().get(&self.session).is_some_and(|heard| heard.statements.iter().any(|(v, _)| *v == version))
    }

    /// What the statements between these two dismiss: a statement of version `to` that was made of `from` lacks it.
    pub fn between(&self, from: u64, to: u64) -> Vec<ListingId> {
        let map = self.overheard.map();
        let statements = map.get(&self.session).map(|heard| heard.statements.as_slice()).unwrap_or_default();
        let between = statements.iter().filter(|(version, _)| (from + 1..to).contains(version));
        between.flat_map(|(_, dismissed)| dismissed.iter().cloned()).collect()
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
    use super::*;

    #[test]
    fn what_a_statement_has_overwritten_is_known_to_who_made_it() {
        let overheard = Arc::new(Overheard::default());
        let session = SessionId::from_bits(1);
        let ids = |keys: &[&str]| -> Vec<ListingId> { keys.iter().map(|key| key.parse().unwrap()).collect() };
        overheard.note(session, 4, || ids(&["f:0"]));
        let hearing = overheard.hear(session);
        for (version, keys) in [(5, &["f:1"][..]), (6, &["f:1", "f:2"]), (9, &["f:1", "f:3"])] {
            overheard.note(session, version, || ids(keys));
        }
        assert!(hearing.has(9) && !hearing.has(4));
        assert_eq!(hearing.between(5, 9), ids(&["f:1", "f:2"]));
        assert_eq!(hearing.between(6, 9), []);
        let second = overheard.hear(session);
        drop(hearing);
        assert!(second.has(9));
        drop(second);
        assert!(overheard.map().is_empty());
    }
}
