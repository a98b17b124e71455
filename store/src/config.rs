//! The settings of the tables. The shipped `roost.toml` holds each of them with its default and a comment.

use std::path::PathBuf;
use std::time::Duration;

use schemas::cql::{HINT_TTL_S, Keyspace, LISTING_TTL_S, SESSION_TTL_S};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// `[store]`: every section may be present; `backend` chooses.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StoreConfig {
    /// `scylla` or `embedded`.
    pub backend: BackendKind,
    /// How long rows last that nobody writes again.
    pub ttl: TtlConfig,
    /// Used when `backend = "scylla"`.
    pub scylla: ScyllaConfig,
    /// Used when `backend = "embedded"`.
    pub embedded: EmbeddedConfig,
}

/// Which backend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BackendKind {
    /// ScyllaDB, or Cassandra 5.
    #[default]
    Scylla,
    /// A directory of this machine, for one process.
    Embedded,
}

/// `[store.ttl]`: how long rows last that nobody writes again: whole seconds, `0s` for ever, at most 20 years (the
/// longest that CQL takes).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TtlConfig {
    /// `recommendations` and `sessions`: twice a session's life.
    #[serde(serialize_with = "humantime_serde::serialize", deserialize_with = "time_to_live")]
    pub sessions: Duration,
    /// `listings`.
    #[serde(serialize_with = "humantime_serde::serialize", deserialize_with = "time_to_live")]
    pub listings: Duration,
    /// `listings_by_market` and `markets`: three daily scrubs.
    #[serde(serialize_with = "humantime_serde::serialize", deserialize_with = "time_to_live")]
    pub hints: Duration,
}

impl Default for TtlConfig {
    fn default() -> Self {
        let seconds = |seconds: u32| Duration::from_secs(seconds.into());
        Self { sessions: seconds(SESSION_TTL_S), listings: seconds(LISTING_TTL_S), hints: seconds(HINT_TTL_S) }
    }
}

impl TtlConfig {
    /// Of a table's rows; zero: for ever (`market_days` are history, `shards` are few).
    pub const fn of(&self, table: crate::Table) -> Duration {
        match table {
            crate::Table::Recommendations | crate::Table::Sessions => self.sessions,
            crate::Table::Listings => self.listings,
            crate::Table::ListingsByMarket | crate::Table::Markets => self.hints,
            crate::Table::MarketDays | crate::Table::Shards => Duration::ZERO,
        }
    }
}

/// `[store.scylla]`: how to reach ScyllaDB or Cassandra.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ScyllaConfig {
    /// `host:port` of some nodes, as a list or as text with commas; the others are found through them.
    #[serde(deserialize_with = "list_or_text")]
    pub contact_points: Vec<String>,
    /// Where the tables are.
    #[serde(serialize_with = "keyspace_text", deserialize_with = "keyspace")]
    pub keyspace: Keyspace,
    /// Copies of each row, in every data centre, that `roost init` asks for when it creates the keyspace. 1 on one node.
    #[serde(deserialize_with = "copies")]
    pub replication_factor: u32,
    /// The data centre whose nodes alone are asked; empty: all of them.
    pub local_datacenter: String,
    /// How many copies must answer before a write counts and a read is believed.
    pub consistency: Consistency,
    /// How long one request may take, another node's attempt included.
    #[serde(serialize_with = "humantime_serde::serialize", deserialize_with = "request_timeout")]
    pub request_timeout: Duration,
    /// How long to wait for the store at start before giving up.
    #[serde(with = "humantime_serde")]
    pub wait_at_start: Duration,
    /// The role to log in as; empty: the store asks for none.
    pub user: String,
    /// A file that holds the role's password and nothing else; empty: none.
    pub password_file: PathBuf,
}

impl Default for ScyllaConfig {
    fn default() -> Self {
        Self {
            contact_points: vec!["127.0.0.1:9042".to_owned()],
            keyspace: Keyspace::default(),
            replication_factor: 3,
            local_datacenter: String::new(),
            consistency: Consistency::LocalQuorum,
            request_timeout: Duration::from_secs(2),
            wait_at_start: Duration::from_secs(120),
            user: String::new(),
            password_file: PathBuf::new(),
        }
    }
}

/// `[store.embedded]`: where the tables of one machine are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EmbeddedConfig {
    /// Made when it is not there; one process at a time.
    pub directory: PathBuf,
    /// How often what was written is synced: after a power loss the scorer writes the rest again from the log.
    #[serde(serialize_with = "humantime_serde::serialize", deserialize_with = "sync_every")]
    pub sync_every: Duration,
}

impl Default for EmbeddedConfig {
    fn default() -> Self {
        Self { directory: ".roost/tables".into(), sync_every: Duration::from_millis(100) }
    }
}

/// How many copies must answer. Less than a quorum gives up the fencing of DESIGN §3 while a node is away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Consistency {
    /// More than half of the copies in the local data centre.
    #[default]
    LocalQuorum,
    /// More than half of the copies in all data centres.
    Quorum,
    /// One copy.
    One,
}

fn list_or_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Given {
        List(Vec<String>),
        Text(String),
    }
    let points: Vec<String> = match Given::deserialize(deserializer)? {
        Given::List(list) => list,
        Given::Text(text) => text.split(',').map(|point| point.trim().to_owned()).collect(),
    };
    let is_point = |point: &String| {
        point.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
    };
    if !points.is_empty() && points.iter().all(is_point) {
        Ok(points)
    } else {
        Err(D::Error::custom(format!("{points:?} is not a list of 'host:port'")))
    }
}

fn keyspace<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Keyspace, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
}

fn keyspace_text<S: Serializer>(keyspace: &Keyspace, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(keyspace)
}

fn copies<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let copies = u32::deserialize(deserializer)?;
    if (1..=9).contains(&copies) { Ok(copies) } else { Err(D::Error::custom(format!("{copies} is not 1 to 9 copies"))) }
}

fn request_timeout<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let timeout: Duration = humantime_serde::deserialize(deserializer)?;
    // Below, a busy server's pauses fail requests; above, a fault is noticed too late to be waited out by a poll.
    if (Duration::from_millis(50)..=Duration::from_secs(60)).contains(&timeout) {
        Ok(timeout)
    } else {
        Err(D::Error::custom(format!("{timeout:?} is not 50ms to 60s")))
    }
}

fn sync_every<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let every: Duration = humantime_serde::deserialize(deserializer)?;
    // Below, the disk does nothing else; above, the scorer's "write the last 30 s again" would not cover it.
    if (Duration::from_millis(10)..=Duration::from_secs(10)).contains(&every) {
        Ok(every)
    } else {
        Err(D::Error::custom(format!("{every:?} is not 10ms to 10s")))
    }
}

/// The longest time to live that CQL takes.
const MAX_TTL: Duration = Duration::from_secs(20 * 365 * 86_400);

fn time_to_live<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let ttl: Duration = humantime_serde::deserialize(deserializer)?;
    if ttl <= MAX_TTL && ttl.subsec_nanos() == 0 {
        Ok(ttl)
    } else {
        Err(D::Error::custom(format!("{ttl:?} is not whole seconds up to 20 years")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<StoreConfig, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    #[test]
    fn the_default_reads_as_it_is_written() {
        let text = serde_json::to_string(&StoreConfig::default()).unwrap();
        assert_eq!(read(&text).unwrap(), StoreConfig::default());
        assert_eq!(read("{}").unwrap(), StoreConfig::default());
    }

    #[test]
    fn contact_points_are_a_list_or_text() {
        let points = |text: &str| read(&format!(r#"{{"scylla":{{"contact_points":{text}}}}}"#));
        for text in [r#"["a:1","b:2"]"#, r#""a:1, b:2""#] {
            assert_eq!(points(text).unwrap().scylla.contact_points, ["a:1", "b:2"], "{text}");
        }
        for text in [r#""""#, "[]", r#""a""#, r#""a:b""#, r#""a:1,""#, r#"":1""#] {
            let error = points(text).unwrap_err();
            assert!(error.contains("is not a list of 'host:port'"), "{text}: {error}");
        }
    }

    #[test]
    fn what_cannot_work_is_refused_with_its_value() {
        for (json, said) in [
            (r#"{"backend":"redis"}"#, "redis"),
            (r#"{"scylla":{"keyspace":"a b"}}"#, "keyspace: a b is not allowed"),
            (r#"{"scylla":{"replication_factor":0}}"#, "0 is not 1 to 9 copies"),
            (r#"{"scylla":{"request_timeout":"1ms"}}"#, "1ms is not 50ms to 60s"),
            (r#"{"scylla":{"consistency":"all"}}"#, "all"),
            (r#"{"scylla":{"pasword":"x"}}"#, "pasword"),
            (r#"{"embedded":{"sync_every":"0s"}}"#, "0ns is not 10ms to 10s"),
            (r#"{"ttl":{"hints":"1500ms"}}"#, "1.5s is not whole seconds"),
            (r#"{"ttl":{"sessions":"21years"}}"#, "is not whole seconds up to 20 years"),
        ] {
            let error = read(json).unwrap_err();
            assert!(error.contains(said), "{json}: {error}");
        }
    }
}
