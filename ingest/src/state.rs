//! What a worker tells `/readyz` about itself.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// The last word of a worker: well, or what it waits for and since when.
pub(crate) struct State(Mutex<Option<Waiting>>);

struct Waiting {
    reason: String,
    since: Instant,
}

impl State {
    /// Waits from the start.
    pub(crate) fn waiting(reason: &str) -> Self {
        Self(Mutex::new(Some(Waiting { reason: reason.to_owned(), since: Instant::now() })))
    }

    /// It works.
    pub(crate) fn well(&self) {
        let was = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Waiting { reason, since }) = was {
            tracing::info!("ingest works; for {} s it had waited: {reason}", since.elapsed().as_secs());
        }
    }

    /// It waits for the log; said once in the log of the process.
    pub(crate) fn waiting_for(&self, reason: &str) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *state {
            Some(waiting) => reason.clone_into(&mut waiting.reason),
            None => {
                tracing::warn!("ingest waits for the log: {reason}");
                *state = Some(Waiting { reason: reason.to_owned(), since: Instant::now() });
            }
        }
    }

    /// It has ended.
    pub(crate) fn broken(&self, reason: &str) {
        let waiting = Waiting { reason: reason.to_owned(), since: Instant::now() };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(waiting);
    }

    /// `Err` says what is not there, and for how long.
    pub(crate) fn get(&self) -> Result<(), String> {
        match &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            None => Ok(()),
            Some(Waiting { reason, since }) => Err(format!("{reason} (for {} s)", since.elapsed().as_secs())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_says_what_it_waits_for_until_all_is_well() {
        let state = State::waiting("it has not joined its group");
        assert_eq!(state.get(), Err("it has not joined its group (for 0 s)".to_owned()));
        state.well();
        assert_eq!(state.get(), Ok(()));
        state.waiting_for("brokers down");
        state.waiting_for("brokers still down");
        assert_eq!(state.get(), Err("brokers still down (for 0 s)".to_owned()));
    }
}
