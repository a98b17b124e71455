//! The scorer's settings. The shipped `roost.toml` holds each with its default and a comment.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

/// Which implementation keeps the top three.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EngineKind {
    /// Brute force: the definition. For checks.
    Oracle,
    /// Buckets and buffers, with the fastest instructions that the processor has.
    #[default]
    Auto,
    /// The same with those that every processor has.
    Scalar,
    /// The same with AVX-512 VBMI.
    Avx512,
}

/// `[scorer]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The group that shares the shards.
    pub group: String,
    /// This process's name in the group, the same after a restart; empty: host name and process id.
    pub instance: String,
    /// Which engine.
    pub engine: EngineKind,
    /// How long a session lives after its last statement.
    #[serde(with = "humantime_serde")]
    pub session_life: Duration,
    /// Statements under way per shard: enough to hide the store's latency, few enough to bound memory in an outage.
    pub window: usize,
    /// How often a market's row is written and its day observed, at most.
    #[serde(with = "humantime_serde")]
    pub market_every: Duration,
    /// In what time every row is written again once.
    #[serde(with = "humantime_serde")]
    pub scrub_every: Duration,
    /// The day from which on-market dates count (DESIGN §6). All scorers must agree; moving it re-scores everything.
    pub score_epoch: jiff::civil::Date,
    /// A process that stood still longer than this ends itself (DESIGN §3).
    #[serde(with = "humantime_serde")]
    pub max_pause: Duration,
    /// Where snapshots of the engine are kept, of this process alone; empty: there are none.
    pub snapshot_directory: PathBuf,
    /// How often one is written.
    #[serde(with = "humantime_serde")]
    pub snapshot_every: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            group: "scorer".into(),
            instance: String::new(),
            engine: EngineKind::Auto,
            session_life: Duration::from_secs(30 * 86_400),
            window: 256,
            market_every: Duration::from_secs(1),
            scrub_every: Duration::from_secs(86_400),
            score_epoch: jiff::civil::date(2026, 7, 1),
            max_pause: Duration::from_secs(3_600),
            snapshot_directory: PathBuf::new(),
            snapshot_every: Duration::from_mins(5),
        }
    }
}
