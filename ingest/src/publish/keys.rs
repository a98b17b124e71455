//! The homes of a feed that ingest knows to be on offer or pending: what a snapshot is compared with.

use rustc_hash::FxHashSet;
use serde::Deserialize;

use super::http::{Away, Port};
use super::{Options, PublishError, Waits};

/// Asks ingest.
pub(super) fn on_offer(base: &str, options: &Options, waits: &Waits) -> Result<FxHashSet<Box<str>>, PublishError> {
    #[derive(Deserialize)]
    struct Keys {
        keys: FxHashSet<Box<str>>,
    }
    let answer =
        Port::new(base, options, waits).keys().map_err(|Away(reason)| PublishError::Unavailable { reason, sent: 0 })?;
    let refused = |reason: String| PublishError::Refused { reason, sent: 0 };
    if answer.status != 200 {
        return Err(refused(format!("{base} does not tell what is on offer: {}", answer.said())));
    }
    let keys: Keys = serde_json::from_slice(&answer.body).map_err(|error| {
        refused(format!("{base} does not tell what is on offer: {error} (is it ingest's push port?)"))
    })?;
    Ok(keys.keys)
}
