//! The settings of the log: which backend, and each backend's own. Says nothing about topics: those are in
//! `schemas::topic`.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use schemas::topic::Topic;
use serde::{Deserialize, Serialize, Serializer};

use crate::LogError;

/// Which log, and how to reach it. Both sections may be present; `backend` chooses.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogConfig {
    /// `kafka` or `embedded`.
    pub backend: BackendKind,
    /// Used when `backend = "kafka"`.
    pub kafka: KafkaConfig,
    /// Used when `backend = "embedded"`.
    pub embedded: EmbeddedConfig,
}

/// The two kinds of log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BackendKind {
    /// An Apache Kafka cluster.
    #[default]
    Kafka,
    /// A directory of this machine, for one process.
    Embedded,
}

/// How to reach Kafka.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KafkaConfig {
    /// `host:port,host:port`.
    pub bootstrap_servers: String,
    /// P, the partition count of every keyed topic; fixed for the life of the installation.
    pub partitions: u32,
    /// Copies of each partition that `roost init` asks for: 3 in production, 1 on a single broker. From two on,
    /// `min.insync.replicas` is one less.
    pub replication_factor: u16,
    /// Stands before every topic and group name, for several installations on one cluster.
    pub topic_prefix: String,
    /// The name that brokers log and set quotas by.
    pub client_id: String,
    /// Passed to librdkafka as they are: `security.protocol`, `sasl.*`, `ssl.*`. They win over roost's own settings, but
    /// for those that its guarantees stand on (`enable.idempotence`, `acks`, `enable.auto.commit`, …), which are refused.
    #[serde(serialize_with = "without_secrets")]
    pub properties: BTreeMap<String, String>,
    /// Like `properties`, the value being the content of a file: for secrets, so that they stand in no configuration.
    pub property_files: BTreeMap<String, PathBuf>,
    /// Topic settings that `roost init` uses instead of its own, by topic name: `min.compaction.lag.ms`, `segment.ms`, …
    pub topic_settings: BTreeMap<String, BTreeMap<String, String>>,
    /// How long a record may wait for its acknowledgement. When it is over the service ends, restarts and reads again;
    /// nothing is skipped.
    #[serde(with = "humantime_serde")]
    pub message_timeout: Duration,
    /// How long a group member may be silent before the others take its partitions; a member that restarts within this
    /// time keeps them.
    #[serde(with = "humantime_serde")]
    pub session_timeout: Duration,
    /// How long a member may go without polling before it loses its partitions.
    #[serde(with = "humantime_serde")]
    pub max_poll_interval: Duration,
    /// How long to wait for the brokers at start before giving up.
    #[serde(with = "humantime_serde")]
    pub wait_at_start: Duration,
}

impl Default for KafkaConfig {
    fn default() -> Self {
        Self {
            bootstrap_servers: "127.0.0.1:9092".to_owned(),
            partitions: 16,
            replication_factor: 3,
            topic_prefix: String::new(),
            client_id: "roost".to_owned(),
            properties: BTreeMap::new(),
            property_files: BTreeMap::new(),
            topic_settings: BTreeMap::new(),
            message_timeout: Duration::from_secs(120),
            session_timeout: Duration::from_secs(10),
            max_poll_interval: Duration::from_secs(60),
            wait_at_start: Duration::from_secs(120),
        }
    }
}

impl fmt::Debug for KafkaConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaConfig")
            .field("bootstrap_servers", &self.bootstrap_servers)
            .field("partitions", &self.partitions)
            .field("replication_factor", &self.replication_factor)
            .field("topic_prefix", &self.topic_prefix)
            .field("client_id", &self.client_id)
            .field("properties", &shown(&self.properties))
            .field("property_files", &self.property_files)
            .field("topic_settings", &self.topic_settings)
            .field("message_timeout", &self.message_timeout)
            .field("session_timeout", &self.session_timeout)
            .field("max_poll_interval", &self.max_poll_interval)
            .field("wait_at_start", &self.wait_at_start)
            .finish()
    }
}

/// Where the embedded log lives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EmbeddedConfig {
    /// Its directory; made when it is not there.
    pub directory: PathBuf,
    /// P, the partition count of every keyed topic; fixed for the life of the directory.
    pub partitions: u32,
    /// No record younger than this is compacted away; `None`: as long as on Kafka (`schemas::topic`).
    #[serde(with = "humantime_serde")]
    pub min_compaction_lag: Option<Duration>,
    /// How long a tombstone stays readable; `None`: as long as on Kafka.
    #[serde(with = "humantime_serde")]
    pub delete_retention: Option<Duration>,
    /// How long records that age are kept; `None`: as long as on Kafka. Claims are kept for ever.
    #[serde(with = "humantime_serde")]
    pub retention: Option<Duration>,
    /// How often old records are looked for.
    #[serde(with = "humantime_serde")]
    pub compact_every: Duration,
    /// How often what is derived is brought to the disk. What comes from outside is on the disk before it is acknowledged.
    #[serde(with = "humantime_serde")]
    pub sync_every: Duration,
}

impl Default for EmbeddedConfig {
    fn default() -> Self {
        Self {
            directory: PathBuf::from("roost-data/log"),
            partitions: 4,
            min_compaction_lag: None,
            delete_retention: None,
            retention: None,
            compact_every: Duration::from_secs(60),
            sync_every: Duration::from_millis(100),
        }
    }
}

impl KafkaConfig {
    /// Refuses what cannot work, by name.
    pub(crate) fn check(&self) -> Result<(), LogError> {
        if self.partitions == 0 || self.partitions > MAX_PARTITIONS {
            return Err(no_partition_count("log.kafka.partitions", self.partitions));
        }
        match self.topic_settings.keys().find(|name| Topic::named(name).is_none()) {
            Some(name) => Err(LogError::Fatal(format!("log.kafka.topic_settings: there is no topic {name}"))),
            None => Ok(()),
        }
    }
}

impl EmbeddedConfig {
    /// Refuses what cannot work, by name.
    pub(crate) fn check(&self) -> Result<(), LogError> {
        if self.partitions == 0 || self.partitions > MAX_PARTITIONS {
            return Err(no_partition_count("log.embedded.partitions", self.partitions));
        }
        for (name, every) in [("sync_every", self.sync_every), ("compact_every", self.compact_every)] {
            if every < Duration::from_millis(1) {
                return Err(LogError::Fatal(format!(
                    "log.embedded.{name}: {every:?} is too often (expected 1ms or more)"
                )));
            }
        }
        Ok(())
    }
}

/// A shard per partition: more than any installation of this size needs, and few enough to list.
const MAX_PARTITIONS: u32 = 1_024;

fn no_partition_count(name: &str, partitions: u32) -> LogError {
    LogError::Fatal(format!("{name}: {partitions} is no partition count (expected 1..={MAX_PARTITIONS})"))
}

/// What is written out somewhere must not tell a secret.
fn without_secrets<S: Serializer>(properties: &BTreeMap<String, String>, serializer: S) -> Result<S::Ok, S::Error> {
    shown(properties).serialize(serializer)
}

fn shown(properties: &BTreeMap<String, String>) -> BTreeMap<&str, &str> {
    let show = |name: &str, value| if is_secret(name) { "***" } else { value };
    properties.iter().map(|(name, value)| (name.as_str(), show(name, value.as_str()))).collect()
}

fn is_secret(property: &str) -> bool {
    ["password", "secret", "jaas", "pem", "token"].iter().any(|word| property.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_printed() {
        let mut config = KafkaConfig::default();
        config.properties.insert("sasl.password".to_owned(), "hunter2".to_owned());
        config.properties.insert("sasl.username".to_owned(), "roost".to_owned());
        let printed = format!("{config:?}");
        assert!(!printed.contains("hunter2") && printed.contains("roost"), "{printed}");
        let written = toml::to_string(&config).unwrap();
        assert!(!written.contains("hunter2") && written.contains("***"), "{written}");
    }

    #[test]
    fn both_sections_may_be_written_and_one_is_used() {
        let text = r#"
            backend = "embedded"
            [kafka]
            bootstrap_servers = "kafka:9092"
            message_timeout = "90s"
            topic_settings."listings.priced" = { "segment.ms" = "1000" }
            [embedded]
            directory = "/var/lib/roost/log"
            min_compaction_lag = "5s"
        "#;
        let config: LogConfig = toml::from_str(text).unwrap();
        assert_eq!((config.backend, config.kafka.message_timeout), (BackendKind::Embedded, Duration::from_secs(90)));
        assert_eq!(config.embedded.min_compaction_lag, Some(Duration::from_secs(5)));
        let error = toml::from_str::<LogConfig>("[kafka]\nbootstrap_server = 'x'").unwrap_err().to_string();
        assert!(error.contains("bootstrap_server") && error.contains("line 2"), "{error}");
    }

    #[test]
    fn what_is_shipped_is_read_back() {
        let config = LogConfig::default();
        assert_eq!(toml::from_str::<LogConfig>(&toml::to_string(&config).unwrap()).unwrap(), config);
    }

    #[test]
    fn what_cannot_work_is_refused_by_name() {
        let none = KafkaConfig { partitions: 0, ..KafkaConfig::default() };
        assert!(none.check().unwrap_err().to_string().contains("log.kafka.partitions: 0"));
        let spinning = EmbeddedConfig { sync_every: Duration::ZERO, ..EmbeddedConfig::default() };
        assert!(spinning.check().unwrap_err().to_string().contains("log.embedded.sync_every"));
        assert!(KafkaConfig::default().check().is_ok() && EmbeddedConfig::default().check().is_ok());
    }
}
