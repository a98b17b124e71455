//! People who keep changing their minds over HTTP, whatever happens to the API, and remember what it acknowledged.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use schemas::id::SessionId;
use schemas::preferences::Preferences;
use schemas::topic::Topic;

use crate::harness::Installation;
use crate::http::Client;
use crate::{oracle, people};

/// The newest statement of each session that was answered with 202: its version, and what it said.
pub type Promises = BTreeMap<SessionId, (u64, Preferences)>;

/// What a load did.
#[derive(Debug, Default)]
pub struct Told {
    /// What the API promised.
    pub promises: Promises,
    /// Statements answered with 202.
    pub acknowledged: usize,
    /// Statements whose outcome nobody knows.
    pub unknown: usize,
}

impl Told {
    /// States what session `n` of a seed wants, in the words of session `words` of the seed.
    pub fn state(&mut self, client: &Client, seed: u64, n: u64, words: u64) -> Result<()> {
        let ((token, _), (_, preferences)) = (people::session(seed, n), people::session(seed, words));
        match client.state(token, &preferences)? {
            None => self.unknown += 1,
            Some(version) => {
                self.acknowledged += 1;
                let known = self.promises.get(&token.session_id());
                ensure!(known.is_none_or(|(known, _)| *known < version), "version {version} was given twice");
                self.promises.insert(token.session_id(), (version, preferences));
            }
        }
        Ok(())
    }

    /// No acknowledged statement is lost: each session's newest one is on the log, or a later one that nobody answered.
    pub fn are_kept(&self, installation: &Installation) -> Result<()> {
        let partitions = installation.log.partitions();
        let found = oracle::statements(&installation.records(Topic::Preferences)?, partitions);
        for (session, (version, preferences)) in &self.promises {
            let (known, says) = found.get(session).with_context(|| format!("session {session} is lost"))?;
            ensure!(known >= version, "session {session}: {version} was acknowledged, {known} is the newest");
            ensure!(known > version || says == preferences, "session {session}: version {version} says something else");
        }
        Ok(())
    }
}

/// A thread that states; it ends when told to.
pub struct Load {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<Told>>,
}

impl Load {
    /// States sessions `0..sessions` of a seed again and again, with `pause` between two statements.
    pub fn start(api: String, seed: u64, sessions: u64, pause: Duration, mut told: Told) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let told_to = stop.clone();
        let thread = std::thread::spawn(move || {
            let client = Client::new(api);
            // Each session in turn, and other words in every round.
            for turn in 0.. {
                if told_to.load(Ordering::Acquire) {
                    break;
                }
                told.state(&client, seed, turn % sessions, turn + sessions)?;
                std::thread::park_timeout(pause);
            }
            Ok(told)
        });
        Self { stop, thread }
    }

    /// Ends it.
    pub fn stop(self) -> Result<Told> {
        self.stop.store(true, Ordering::Release);
        self.thread.join().map_err(|_| anyhow!("the load panicked"))?
    }
}
