//! Reads followed partitions and hands what it reads to the judge's thread, in order. Decides nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, SendTimeoutError, Sender};
use schemas::topic::Topic;
use stream::{Fatal, LogError, PauseWatch, Reader};

use super::Input;

/// How long a reader waits for a first record; bounds the delay of commits and of stopping.
const POLL: Duration = Duration::from_millis(50);

/// Reads and hands on, in order.
pub(super) struct Follower {
    /// What is out of sight when its reader says so.
    pub(super) topic: Topic,
    pub(super) reader: Box<dyn Reader>,
    pub(super) inputs: Sender<Input>,
    pub(super) commits: Option<Receiver<(u32, u64)>>,
    pub(super) stop: Arc<AtomicBool>,
    pub(super) fatal: Fatal,
    pub(super) pause: PauseWatch,
}

impl Follower {
    /// Until it is told to stop, or the process has to end.
    pub(super) fn run(mut self) {
        while !self.stop.load(Ordering::Acquire) {
            if let Err(pause) = self.pause.look() {
                let seconds = pause.as_secs();
                return (self.fatal)(format!(
                    "scorer: this process stood still for {seconds} s, longer than scorer.max_pause: what it knows may be compacted away; look at what stops it (suspend, a debugger, a starved machine)"
                ));
            }
            self.commit();
            let mut events = Vec::new();
            match self.reader.poll(POLL, &mut events) {
                Ok(()) if events.is_empty() => {}
                Ok(()) => {
                    if !self.hand_on(Input::Events(events)) {
                        return;
                    }
                }
                Err(LogError::Unavailable(reason)) => {
                    if !self.hand_on(Input::LostSight(self.topic, reason)) {
                        return;
                    }
                }
                Err(error) => return (self.fatal)(format!("scorer: {error}")),
            }
        }
        self.commit();
        let _ = self.reader.commit_sync(Duration::from_secs(2));
    }

    fn commit(&mut self) {
        let Some(commits) = &self.commits else { return };
        for (partition, next_offset) in commits.try_iter() {
            if let Err(error) = self.reader.commit(partition, next_offset) {
                tracing::warn!(partition, next_offset, "an offset is not committed, later ones will be: {error}");
            }
        }
    }

    /// Waits for the judge while the group still sees this member alive.
    fn hand_on(&mut self, mut input: Input) -> bool {
        loop {
            match self.inputs.send_timeout(input, POLL) {
                Ok(()) => return true,
                Err(SendTimeoutError::Disconnected(_)) => return false,
                Err(SendTimeoutError::Timeout(back)) => {
                    input = back;
                    if self.stop.load(Ordering::Acquire) {
                        return false;
                    }
                    if let Input::Events(events) = &mut input
                        && let Err(error) = self.reader.poll_control(Duration::ZERO, events)
                    {
                        tracing::warn!("the log does not answer: {error}");
                    }
                }
            }
        }
    }
}
