//! What the service tells `/readyz` about itself.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// The last word of the service's thread: well, or what it waits for and since when.
#[derive(Debug)]
pub(crate) struct State(Mutex<Option<Waiting>>);

#[derive(Debug)]
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
        if let Some(Waiting { reason, since }) = self.lock().take() {
            tracing::info!("enricher works; for {} s it had waited: {reason}", since.elapsed().as_secs());
        }
    }

    /// It waits; said in the log of the process when it begins.
    pub(crate) fn waits(&self, reason: &str) {
        match &mut *self.lock() {
            Some(waiting) => reason.clone_into(&mut waiting.reason),
            none => {
                tracing::warn!("enricher waits: {reason}");
                *none = Some(Waiting { reason: reason.to_owned(), since: Instant::now() });
            }
        }
    }

    /// `Err` says what is not there, and for how long.
    pub(crate) fn get(&self) -> Result<(), String> {
        match &*self.lock() {
            None => Ok(()),
            Some(Waiting { reason, since }) => Err(format!("{reason} (for {} s)", since.elapsed().as_secs())),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Waiting>> {
        // A panic while a text is replaced leaves a text.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
