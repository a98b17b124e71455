//! The sign that the service takes no more work.

use tokio::sync::watch;

/// Seen by everything that waits.
#[derive(Clone, Debug)]
pub struct Stop(watch::Receiver<bool>);

impl Stop {
    /// The sign, and what gives it.
    pub fn new() -> (watch::Sender<bool>, Self) {
        let (give, sign) = watch::channel(false);
        (give, Self(sign))
    }

    /// The sign for who serves the port.
    pub fn receiver(&self) -> watch::Receiver<bool> {
        self.0.clone()
    }

    /// Whether it was given.
    pub fn is_given(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until it is given. A giver that is gone has given it.
    pub async fn given(&mut self) {
        let _ = self.0.wait_for(|stopped| *stopped).await;
    }
}
