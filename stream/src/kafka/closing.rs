//! What waits for the group's coordinator, done on a thread of its own: librdkafka waits without bound when the
//! coordinator is away, and a service that stops must not.

use std::sync::Arc;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};

use super::context::ReaderContext;
use crate::LogError;

/// A healthy coordinator answers within milliseconds.
const PATIENCE: Duration = Duration::from_secs(2);

/// Waits for the close, but not longer than two seconds; then it goes on in its own thread.
pub(super) fn close_within(consumer: Arc<BaseConsumer<ReaderContext>>) {
    let (done, closed) = mpsc::sync_channel(1);
    let spawned = thread::Builder::new().name("log-close".to_owned()).spawn(move || {
        drop(consumer);
        // Nobody may be waiting any more.
        let _ = done.send(());
    });
    if spawned.is_err() {
        // The closure was dropped, and the consumer with it, on this thread.
        return;
    }
    if closed.recv_timeout(PATIENCE).is_err() {
        tracing::warn!("a Kafka consumer is still closing after {PATIENCE:?}; it is left to itself");
    }
}

/// Commits and waits for the answer, but not longer than `timeout`.
pub(super) fn commit_within(
    consumer: Arc<BaseConsumer<ReaderContext>>,
    offsets: TopicPartitionList,
    timeout: Duration,
) -> Result<(), LogError> {
    let (done, committed) = mpsc::sync_channel(1);
    thread::Builder::new()
        .name("log-commit".to_owned())
        .spawn(move || {
            // Nobody may be waiting any more.
            let _ = done.send(consumer.commit(&offsets, CommitMode::Sync));
        })
        .map_err(|error| LogError::Unavailable(format!("offsets were not committed: no thread: {error}")))?;
    match committed.recv_timeout(timeout) {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(LogError::Unavailable(format!("offsets were not committed: {error}"))),
        Err(_) => Err(LogError::Unavailable(format!("offsets were not committed within {timeout:?}"))),
    }
}
