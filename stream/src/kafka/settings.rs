//! The client settings of librdkafka, each with its reason where it differs from librdkafka's default. Decides nothing
//! else; who uses them is in the other files of this directory.

use std::fs;

use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use schemas::topic::{MAX_RECORD_BYTES, Topic};

use crate::LogError;
use crate::config::KafkaConfig;
use crate::policy::RECORD_OVERHEAD_BYTES;

/// Longest time that a broker holds a request for records.
const FETCH_WAIT_MS: &str = "100";

/// What roost's guarantees stand on: an operator's `properties` may not change them.
const OURS: [&str; 12] = [
    "bootstrap.servers",
    "client.id",
    "group.id",
    "group.instance.id",
    "group.protocol",
    "enable.idempotence",
    "acks",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "auto.offset.reset",
    "enable.partition.eof",
    "isolation.level",
];

/// A property that may not be set, or a secret's file that cannot be read.
pub(super) fn base(config: &KafkaConfig) -> Result<ClientConfig, LogError> {
    let mut client = ClientConfig::new();
    client
        .set("bootstrap.servers", &config.bootstrap_servers)
        .set("client.id", &config.client_id)
        // A small request is not held back for the next one.
        .set("socket.nagle.disable", "true")
        .set("socket.keepalive.enable", "true")
        // A new leader, or a topic made by `roost init`, is seen soon.
        .set("topic.metadata.refresh.interval.ms", "30000")
        .set("reconnect.backoff.ms", "50")
        .set("reconnect.backoff.max.ms", "2000")
        // A topic is made by `roost init`, with its policy, or not at all.
        .set("allow.auto.create.topics", "false")
        .set_log_level(RDKafkaLogLevel::Notice);
    for name in config.properties.keys().chain(config.property_files.keys()) {
        if OURS.contains(&name.as_str()) {
            return Err(LogError::Fatal(format!(
                "log.kafka.properties: {name} is not to be set: nothing being lost depends on its value; remove it"
            )));
        }
    }
    for (name, value) in &config.properties {
        client.set(name, value);
    }
    for (name, path) in &config.property_files {
        let secret = fs::read_to_string(path).map_err(|error| {
            LogError::Fatal(format!("log.kafka.property_files: {name}: {} cannot be read: {error}", path.display()))
        })?;
        client.set(name, secret.trim_end());
    }
    Ok(client)
}

pub(super) fn producer(config: &KafkaConfig) -> Result<ClientConfig, LogError> {
    let mut client = base(config)?;
    client
        .set("enable.idempotence", "true")
        .set("acks", "all")
        // The most that idempotence allows: order per partition holds across retries.
        .set("max.in.flight.requests.per.connection", "5")
        // As Java's clients do; librdkafka's default is another hash.
        .set("partitioner", "murmur2_random")
        // A change is on its way at once; under load requests fill by themselves while five are in flight.
        .set("linger.ms", "0")
        .set("compression.type", "lz4")
        .set("batch.size", "262144")
        .set("message.max.bytes", (MAX_RECORD_BYTES + RECORD_OVERHEAD_BYTES).to_string())
        // Bounds of the local queue; `QueueFull` beyond them. A service's window is smaller.
        .set("queue.buffering.max.messages", "200000")
        .set("queue.buffering.max.kbytes", "262144")
        .set("message.timeout.ms", config.message_timeout.as_millis().to_string());
    Ok(client)
}

/// What group members and followers have in common.
pub(super) fn reader(config: &KafkaConfig) -> Result<ClientConfig, LogError> {
    let mut client = base(config)?;
    client
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        // After the loud check of `reader.rs`: what is left is read.
        .set("auto.offset.reset", "earliest")
        .set("isolation.level", "read_committed")
        .set("check.crcs", "true")
        .set("enable.partition.eof", "true")
        // The broker answers as soon as there is one byte. Without any it answers after this time, and only then is the end of
        // a partition known.
        .set("fetch.min.bytes", "1")
        .set("fetch.wait.max.ms", FETCH_WAIT_MS)
        // When the local queue was full, look again soon; the default of one second is a stall.
        .set("fetch.queue.backoff.ms", "5")
        // Per partition, since each has a queue of its own: at most about 4 MiB wait in each.
        .set("queued.max.messages.kbytes", "4096")
        .set("queued.min.messages", "20000")
        .set("max.poll.interval.ms", config.max_poll_interval.as_millis().to_string());
    Ok(client)
}

/// A follower belongs to no group; librdkafka wants a name nevertheless.
pub(super) fn follower(config: &KafkaConfig) -> Result<ClientConfig, LogError> {
    let mut client = reader(config)?;
    client.set("group.id", format!("{}roost-follow", config.topic_prefix));
    Ok(client)
}

/// A follower for whom the broker gathers records: at full speed a request every few thousand records instead of one for each.
pub(super) fn gathering_follower(config: &KafkaConfig) -> Result<ClientConfig, LogError> {
    let mut client = follower(config)?;
    client.set("fetch.min.bytes", "1048576");
    Ok(client)
}

/// An empty `instance` makes a dynamic member: it leaves the group when it closes.
pub(super) fn member(config: &KafkaConfig, group: &str, instance: &str) -> Result<ClientConfig, LogError> {
    let mut client = reader(config)?;
    client
        .set("group.id", group_id(config, group))
        // The newer protocol stalls with this librdkafka (its issue 5541).
        .set("group.protocol", "classic")
        // Same partition numbers of co-partitioned topics go to the same member.
        .set("partition.assignment.strategy", "range")
        .set("session.timeout.ms", config.session_timeout.as_millis().to_string())
        .set("heartbeat.interval.ms", (config.session_timeout.as_millis() / 4).max(1).to_string());
    if !instance.is_empty() {
        client.set("group.instance.id", instance);
    }
    Ok(client)
}

pub(super) fn group_id(config: &KafkaConfig, group: &str) -> String {
    format!("{}{group}", config.topic_prefix)
}

pub(super) fn topic_name(config: &KafkaConfig, topic: Topic) -> String {
    format!("{}{}", config.topic_prefix, topic.name())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_property_that_would_lose_records_is_refused() {
        let mut config = KafkaConfig::default();
        config.properties.insert("enable.auto.commit".to_owned(), "true".to_owned());
        let error = base(&config).unwrap_err().to_string();
        assert!(error.contains("enable.auto.commit"), "{error}");
    }

    #[test]
    fn a_secret_comes_from_a_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "hunter2\n").unwrap();
        let mut config = KafkaConfig::default();
        config.property_files.insert("sasl.password".to_owned(), file.path().to_owned());
        assert_eq!(base(&config).unwrap().get("sasl.password"), Some("hunter2"));
    }
}
