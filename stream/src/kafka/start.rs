//! Waits for brokers that are not there yet: says every few seconds which address and for how long, then gives up.

use std::time::{Duration, Instant};

use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::metadata::Metadata;

use super::context::LogOnly;
use super::settings;
use crate::LogError;
use crate::config::KafkaConfig;

/// How often a line says that Kafka is still away.
const SAY_EVERY: Duration = Duration::from_secs(5);

/// A client for questions only: it reads nothing and is in no group.
pub(super) fn probe(config: &KafkaConfig) -> Result<BaseConsumer<LogOnly>, LogError> {
    BaseConsumer::from_config_and_context(&settings::base(config)?, LogOnly).map_err(|error| no_client(&error))
}

/// No client could be made of the settings. An ordinary build of librdkafka speaks no TLS, and says so in its own words.
pub(super) fn no_client(error: &KafkaError) -> LogError {
    let message = error.to_string();
    let remedy = if message.contains("not available at build time") {
        "this roost was built without it: build with `--features tls`, or change log.kafka.properties"
    } else {
        "look at log.kafka"
    };
    LogError::Fatal(format!("no Kafka client could be made: {message}; {remedy}"))
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

#[cfg(test)]
mod tests {
    use super::*;

    // What a release image is built with is able to do it.
    #[cfg(not(feature = "tls"))]
    #[test]
    fn a_build_without_tls_says_how_to_get_one() {
        let mut config = KafkaConfig::default();
        config.properties.insert("security.protocol".to_owned(), "sasl_ssl".to_owned());
        let error = probe(&config).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains("security.protocol") && error.contains("--features tls"), "{error}");
    }
}
