//! Where the producer's thread leaves its acknowledgements for the owner's. Holds at most what is in flight, so that the
//! producer's thread never waits.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use stream::{AckSink, Delivered, DeliveryError};

/// An acknowledgement or a failure.
pub(crate) type Ack = (u64, Result<Delivered, DeliveryError>);

/// The place.
#[derive(Debug, Default)]
pub(crate) struct Acks {
    left: Mutex<Vec<Ack>>,
    any: Condvar,
}

impl AckSink for Acks {
    fn acked(&self, token: u64, outcome: Result<Delivered, DeliveryError>) {
        self.left.lock().unwrap_or_else(PoisonError::into_inner).push((token, outcome));
        self.any.notify_one();
    }
}

impl Acks {
    /// Takes what is there.
    pub(crate) fn take(&self) -> Vec<Ack> {
        std::mem::take(&mut *self.left.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes what is there; waits up to `timeout` for the first.
    pub(crate) fn wait(&self, timeout: Duration) -> Vec<Ack> {
        let left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.any.wait_timeout_while(left, timeout, |left| left.is_empty());
        std::mem::take(&mut *waited.unwrap_or_else(PoisonError::into_inner).0)
    }
}
