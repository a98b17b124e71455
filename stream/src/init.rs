//! Makes what the log needs before it can be used, and says what it did: topics on Kafka, a directory for the embedded
//! log. Refuses what it cannot change.

use std::fmt;

use crate::config::{BackendKind, LogConfig};
use crate::{LogError, embedded, kafka};

/// One thing that `init` did or could not do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Made.
    Created(String),
    /// Was there with other settings, and has the right ones now.
    Repaired(String),
    /// Is there with other settings, and an operator must change them.
    NotRepaired(String),
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Created(what) => write!(f, "created: {what}"),
            Self::Repaired(what) => write!(f, "repaired: {what}"),
            Self::NotRepaired(what) => write!(f, "to be done by hand: {what}"),
        }
    }
}

/// Makes topics or the directory; idempotent. Another partition count is an error that says what to do.
pub fn init(config: &LogConfig) -> Result<Vec<Change>, LogError> {
    match config.backend {
        BackendKind::Kafka => kafka::init(&config.kafka),
        BackendKind::Embedded => embedded::init(&config.embedded),
    }
}
