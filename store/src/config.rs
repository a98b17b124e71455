//! The settings of the tables. The shipped `roost.toml` holds each with its default and a comment.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Deserializer};

/// Which backend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BackendKind {
    /// ScyllaDB or Cassandra 5.
    #[default]
    Scylla,
    /// A directory of this machine, for one process.
    Embedded,
}

/// `[store]`: both sections may be present; `backend` chooses.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StoreConfig {
    /// `scylla` or `embedded`.
    pub backend: BackendKind,
    /// Used when `backend = "scylla"`.
    pub scylla: ScyllaConfig,
    /// Used when `backend = "embedded"`.
    pub embedded: EmbeddedConfig,
}

/// How to reach ScyllaDB or Cassandra.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ScyllaConfig {
    /// `host:port` of some nodes; a list, or text with commas.
    #[serde(deserialize_with = "list_or_text")]
    pub contact_points: Vec<String>,
    /// Where the tables are.
    pub keyspace: String,
    /// Copies of each row that `roost init` asks for when it creates the keyspace.
    pub replication_factor: u32,
    /// The data centre whose nodes are asked; empty: any.
    pub local_datacenter: String,
    /// How long one request may take; the scorer tries again for ever.
    #[serde(with = "humantime_serde")]
    pub request_timeout: Duration,
    /// How long to wait for the store at start before giving up.
    #[serde(with = "humantime_serde")]
    pub wait_at_start: Duration,
    /// The role; empty: none.
    pub user: String,
    /// A file with the role's password.
    pub password_file: Option<PathBuf>,
}

impl Default for ScyllaConfig {
    fn default() -> Self {
        Self {
            contact_points: vec!["127.0.0.1:9042".into()],
            keyspace: "roost".into(),
            replication_factor: 3,
            local_datacenter: String::new(),
            request_timeout: Duration::from_secs(2),
            wait_at_start: Duration::from_secs(120),
            user: String::new(),
            password_file: None,
        }
    }
}

impl fmt::Debug for ScyllaConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ScyllaConfig({:?}, keyspace {})", self.contact_points, self.keyspace)
    }
}

/// Where the embedded tables are.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EmbeddedConfig {
    /// Made when it is not there.
    pub directory: PathBuf,
    /// How often what was written is synced to the disk: after a power loss the scorer writes the rest again.
    #[serde(with = "humantime_serde")]
    pub sync_every: Duration,
}

impl Default for EmbeddedConfig {
    fn default() -> Self {
        Self { directory: ".roost/tables".into(), sync_every: Duration::from_millis(100) }
    }
}

fn list_or_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        List(Vec<String>),
        Text(String),
    }
    let list = match Either::deserialize(deserializer)? {
        Either::List(list) => list,
        Either::Text(text) => text.split(',').map(|part| part.trim().to_owned()).collect(),
    };
    if list.is_empty() || list.iter().any(String::is_empty) {
        return Err(serde::de::Error::custom("expected at least one 'host:port'"));
    }
    Ok(list)
}
