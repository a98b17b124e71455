//! Appends records to Kafka. One librdkafka producer with a polling thread of its own; an acknowledgement costs no
//! allocation, its token travels as the message's opaque word. Retries nothing by itself: librdkafka does, in order.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::{BaseRecord, Producer as _, ProducerContext, ThreadedProducer};
use schemas::topic::Topic;

use super::context::{error_line, log_line};
use super::topics::Topics;
use super::{headers, settings};
use crate::config::KafkaConfig;
use crate::metrics::Produced;
use crate::placement;
use crate::{AckSink, Delivered, DeliveryError, LogError, Outgoing, Producer};

/// What is still queued when a producer is dropped gets this long: enough for a healthy broker, short enough for a
/// shutdown. Services flush before; what is left then fails and is told to the sink.
const FLUSH_ON_DROP: Duration = Duration::from_secs(1);

pub(super) struct KafkaProducer {
    inner: ThreadedProducer<Acks>,
    topics: Arc<Topics>,
}

struct Acks {
    sink: Arc<dyn AckSink>,
    topics: Arc<Topics>,
    produced: Produced,
}

impl KafkaProducer {
    pub(super) fn new(config: &KafkaConfig, topics: Arc<Topics>, sink: Arc<dyn AckSink>) -> Result<Self, LogError> {
        let client = settings::producer(config)?;
        let acks = Acks { sink, topics: Arc::clone(&topics), produced: Produced::new() };
        let inner = ThreadedProducer::from_config_and_context(&client, acks)
            .map_err(|error| LogError::Fatal(format!("no Kafka producer could be made: {error}; look at log.kafka")))?;
        Ok(Self { inner, topics })
    }
}

impl Producer for KafkaProducer {
    fn send(&self, record: Outgoing, token: u64) -> Result<(), LogError> {
        let partition = placement::check(&record, self.topics.partitions(record.topic))?;
        // The workspace is built for 64-bit machines only: the token is the pointer-sized opaque word.
        let mut out = BaseRecord::<[u8], [u8], usize>::with_opaque_to(self.topics.name(record.topic), token as usize)
            .partition(partition as i32);
        out.key = record.key.as_deref();
        out.payload = record.value.as_deref();
        out.headers = headers::write(&record.headers);
        self.inner.send(out).map_err(|(error, _)| refusal(&error, &record))
    }

    fn flush(&self, timeout: Duration) -> Result<(), LogError> {
        self.inner.flush(timeout).map_err(|_| {
            LogError::Unavailable(format!(
                "{} records are not acknowledged after {timeout:?}",
                self.inner.in_flight_count()
            ))
        })
    }
}

impl Drop for KafkaProducer {
    fn drop(&mut self) {
        // Dropping librdkafka's producer throws away what is queued.
        if self.inner.in_flight_count() > 0 && self.flush(FLUSH_ON_DROP).is_err() {
            tracing::warn!(records = self.inner.in_flight_count(), "a producer ends with records not acknowledged");
        }
    }
}

/// Why librdkafka does not take the record.
fn refusal(error: &KafkaError, record: &Outgoing) -> LogError {
    match error.rdkafka_error_code() {
        Some(RDKafkaErrorCode::QueueFull) => LogError::QueueFull,
        Some(RDKafkaErrorCode::MessageSizeTooLarge) => placement::too_large(record),
        _ => LogError::Fatal(format!("{}: the Kafka producer takes no records any more: {error}", record.topic)),
    }
}

/// Why a record was not delivered, and what to do.
fn why(error: &KafkaError) -> String {
    match error.rdkafka_error_code() {
        Some(RDKafkaErrorCode::UnknownTopic | RDKafkaErrorCode::UnknownTopicOrPartition) => {
            format!("{error}; run `roost init`, or look at log.kafka.topic_prefix")
        }
        _ => format!("{error}; look at the brokers' health, the topic's min.insync.replicas and the disk"),
    }
}

impl ClientContext for Acks {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log_line(level, facility, message);
    }
    fn error(&self, error: KafkaError, reason: &str) {
        error_line(&error, reason);
    }
}

impl ProducerContext for Acks {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, token: usize) {
        let (outcome, message) = match result {
            Ok(message) => (Ok(()), message),
            Err((error, message)) => (Err(error), message),
        };
        let topic = self.topics.named(message.topic());
        let outcome = match outcome {
            Ok(()) => Ok(Delivered {
                partition: message.partition() as u32,
                offset: message.offset() as u64,
                append_time_ms: message.timestamp().to_millis().unwrap_or_default(),
            }),
            Err(error) => Err(DeliveryError { topic: topic.map_or("unknown topic", Topic::name), reason: why(error) }),
        };
        self.produced.record(topic, outcome.is_ok());
        self.sink.acked(token as u64, outcome);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_that_is_not_delivered_says_what_to_do() {
        let told = |code| why(&KafkaError::MessageProduction(code));
        assert!(told(RDKafkaErrorCode::UnknownTopicOrPartition).contains("run `roost init`"));
        assert!(told(RDKafkaErrorCode::MessageTimedOut).contains("look at the brokers' health"));
    }
}
