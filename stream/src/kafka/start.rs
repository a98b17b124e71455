//! Waits for brokers that are not there yet: says every few seconds which address and for how long, then gives up.

use std::time::{Duration, Instant};

use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::metadata::Metadata;

use super::context::LogOnly;
use super::settings;
use crate::LogError;
use crate::config::KafkaConfig;

/// How often a line says that Kafka is still away.
const SAY_EVERY: Duration = Duration::from_secs(5);

/// A client for questions only: it reads nothing and is in no group.
pub(super) fn probe(config: &KafkaConfig) -> Result<BaseConsumer<LogOnly>, LogError> {
    BaseConsumer::from_config_and_context(&settings::base(config)?, LogOnly)
        .map_err(|error| LogError::Fatal(format!("no Kafka client could be made: {error}; look at log.kafka")))
}

/// What the cluster says about its topics, once it answers.
pub(super) fn wait(config: &KafkaConfig, probe: &BaseConsumer<LogOnly>) -> Result<Metadata, LogError> {
    let start = Instant::now();
    loop {
        let left = config.wait_at_start.saturating_sub(start.elapsed());
        let error = match probe.fetch_metadata(None, left.clamp(Duration::from_millis(1), SAY_EVERY)) {
            Ok(metadata) => return Ok(metadata),
            Err(error) => error,
        };
        let (servers, waited) = (&config.bootstrap_servers, start.elapsed());
        if waited >= config.wait_at_start {
            return Err(LogError::Fatal(format!(
                "Kafka at {servers} did not answer within {} s ({error}): start it, or set log.kafka.bootstrap_servers",
                waited.as_secs()
            )));
        }
        tracing::warn!(
            servers = servers.as_str(),
            waited_s = waited.as_secs(),
            "waiting for Kafka at {servers} for {} s ({error})",
            waited.as_secs()
        );
        // Serves the probe's own log lines.
        let _ = probe.poll(Duration::ZERO);
    }
}
