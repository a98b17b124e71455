//! What librdkafka calls back, for readers: log lines, errors, rebalances. Only queues and counts; what follows from a
//! rebalance is done by `reader.rs`, outside the callback. (Results of commits are not called back by rdkafka.)

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rdkafka::bindings::rd_kafka_resp_err_t as Code;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{ClientContext, TopicPartitionList};

use crate::locked::lock;

/// What the group decided, in order.
pub(super) enum Rebalance {
    Assign(Vec<u32>),
    Revoke,
}

#[derive(Default)]
pub(super) struct ReaderContext {
    /// Counts everything that was handled: `poll` cannot tell an empty queue from a handled event.
    handled: AtomicU64,
    rebalances: Mutex<VecDeque<Rebalance>>,
    closing: AtomicBool,
}

impl ReaderContext {
    pub(super) fn handled(&self) -> u64 {
        self.handled.load(Ordering::Relaxed)
    }

    pub(super) fn next_rebalance(&self) -> Option<Rebalance> {
        lock(&self.rebalances).pop_front()
    }

    /// From now on a revocation is answered in the callback: nobody polls for its result any more.
    pub(super) fn close(&self) {
        self.closing.store(true, Ordering::SeqCst);
    }
}

impl ClientContext for ReaderContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.handled.fetch_add(1, Ordering::Relaxed);
        log_line(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.handled.fetch_add(1, Ordering::Relaxed);
        error_line(&error, reason);
    }
}

impl ConsumerContext for ReaderContext {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, code: Code, partitions: &mut TopicPartitionList) {
        self.handled.fetch_add(1, Ordering::Relaxed);
        let event = match code {
            Code::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => {
                let mut ours: Vec<u32> =
                    partitions.elements().iter().filter_map(|p| u32::try_from(p.partition()).ok()).collect();
                ours.sort_unstable();
                Rebalance::Assign(ours)
            }
            _ => Rebalance::Revoke,
        };
        if self.closing.load(Ordering::SeqCst) {
            // Closing goes on only when the revocation is answered; this does not wait for the network.
            if let Err(error) = consumer.unassign() {
                tracing::debug!(%error, "partitions could not be given back while closing");
            }
        } else {
            lock(&self.rebalances).push_back(event);
        }
    }
}

/// The context of producers' and administrators' log lines, and of the probe's.
pub(super) fn log_line(level: RDKafkaLogLevel, facility: &str, message: &str) {
    match level {
        RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical | RDKafkaLogLevel::Error => {
            tracing::error!(target: "librdkafka", facility, "{message}");
        }
        RDKafkaLogLevel::Warning => tracing::warn!(target: "librdkafka", facility, "{message}"),
        RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info => tracing::info!(target: "librdkafka", facility, "{message}"),
        RDKafkaLogLevel::Debug => tracing::debug!(target: "librdkafka", facility, "{message}"),
    }
}

pub(super) fn error_line(error: &KafkaError, reason: &str) {
    match error.rdkafka_error_code() {
        // An event, not an error.
        Some(RDKafkaErrorCode::PartitionEOF) => {}
        // Come with every lost connection, also an idle one, and from a queue, so long after the brokers are back: `health`
        // says when they are really away.
        Some(RDKafkaErrorCode::BrokerTransportFailure | RDKafkaErrorCode::AllBrokersDown) => {
            tracing::debug!(target: "librdkafka", "{error}: {reason}")
        }
        _ => tracing::warn!(target: "librdkafka", "{error}: {reason}"),
    }
}

/// For clients whose callbacks are only logged.
pub(super) struct LogOnly;

impl ClientContext for LogOnly {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log_line(level, facility, message);
    }
    fn error(&self, error: KafkaError, reason: &str) {
        error_line(&error, reason);
    }
}

impl ConsumerContext for LogOnly {}
