//! The feed client behind `roost publish`: files of listings, mapped to RESO, go to `listings.raw` or to a push port.
//!
//! Bounded memory whatever the files' size: rows stream, and a snapshot keeps the keys of its homes alone. Reads no
//! command line and draws no progress bar; `roost` does. Judges no listing: ingest does.

mod census;
mod csv_rows;
mod deliver;
mod http;
mod input;
mod json_rows;
mod keys;
mod line_rows;
mod listings;
mod log_sink;
mod pace;
mod push_sink;
mod quotes;
mod record;
mod summary;
mod walk;

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use schemas::id::FeedName;
use stream::Log;

pub use self::deliver::run;
pub use self::input::InputError;
pub use self::listings::{Reading, read_listings};
pub use self::summary::{Place, Progress, Refused, SnapshotSummary, Summary};
use crate::mapping::Mapping;

/// How long the log or the push port may be away before the client gives up: a restart fits into it.
const PATIENCE: Duration = Duration::from_secs(60);

/// The share of a feed's homes that a snapshot may remove, unless told otherwise (DESIGN §4).
pub const DEFAULT_MAX_VANISH: f64 = 0.2;

/// What to publish, and how.
#[derive(Debug)]
pub struct Options {
    /// JSON (`.json`), JSON lines (`.jsonl`, `.ndjson`), CSV (`.csv`, `.tsv`), each also with `.zst`; in this order.
    pub files: Vec<PathBuf>,
    /// The feed that the listings are of.
    pub feed: FeedName,
    /// What makes RESO of a row.
    pub mapping: Mapping,
    /// Most records per second; `None`: as fast as they are taken.
    pub rate: Option<NonZeroU32>,
    /// The files hold everything that is on offer.
    pub snapshot: Option<Snapshot>,
    /// The API key that the push port asks for, where it asks for one.
    pub key: Option<Key>,
}

/// An API key. Shown as `***`.
#[derive(Clone)]
pub struct Key(pub String);

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(***)")
    }
}

/// How snapshots are worked on.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// Where ingest listens (`http://127.0.0.1:8081`): it is asked for the homes that are on offer.
    pub keys_at: String,
    /// When the snapshot was taken, where the mapping does not say.
    pub at: Option<Timestamp>,
    /// The share of the homes on offer, 0 to 1, that may be absent from a snapshot.
    pub max_vanish: f64,
}

/// Called when the push port is away, once per outage, with a sentence: whoever watches should know why nothing moves.
pub type Waits = Arc<dyn Fn(&str) + Send + Sync>;

/// Where records go.
pub enum Sink {
    /// To `listings.raw`.
    Log(Log),
    /// To the push port at this address (`http://127.0.0.1:8081`).
    Push(String),
}

/// Why publishing stopped, by what the caller can do. Sending a record twice does no harm, so all can be run again.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// Mend the input, or what is said about it.
    #[error("{error}; {}", taken(*.sent))]
    Input {
        /// What is wrong with which file.
        error: InputError,
        /// How many records the other side has taken.
        sent: u64,
    },
    /// Look at the export: it looks broken. Nothing was sent.
    #[error("{0}; nothing was sent")]
    Snapshot(String),
    /// Run it again when the other side is back.
    #[error("{reason}; {}", taken(*.sent))]
    Unavailable {
        /// Who does not answer, for how long, and what it said last.
        reason: String,
        /// How many records the other side has taken.
        sent: u64,
    },
    /// The other side will not take it however often it is sent.
    #[error("{reason}; {}", taken(*.sent))]
    Refused {
        /// What it said.
        reason: String,
        /// How many records the other side has taken.
        sent: u64,
    },
}

fn taken(sent: u64) -> String {
    match sent {
        0 => "nothing was sent".to_owned(),
        sent => format!("{sent} records were taken before; run it again, sending a record twice does no harm"),
    }
}
