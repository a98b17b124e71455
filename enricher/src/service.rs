//! The enricher as it runs: one thread that owns partitions, beside the appraiser's. Starts and stops it, nothing else.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use stream::{Fatal, Log};

use crate::appraiser::{Appraiser, StartError};
use crate::config::Config;
use crate::deal::Reliability;
use crate::owner::{Broken, Owner};
use crate::state::State;

/// How a stop went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drained {
    /// Everything that was read is on the log and committed.
    Clean,
    /// The grace time ran out with this many statements unfinished: the next owner reads them again.
    StatementsLeft(usize),
}

impl std::fmt::Display for Drained {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Clean => f.write_str("finished everything"),
            Self::StatementsLeft(left) => write!(f, "ran out of time: {left} statements are unfinished and read again"),
        }
    }
}

/// The running enricher.
pub struct Enricher {
    stop: Arc<Stop>,
    state: Arc<State>,
    thread: JoinHandle<usize>,
}

#[derive(Default)]
struct Stop {
    is_told: AtomicBool,
    deadline: OnceLock<Instant>,
}

impl Enricher {
    /// Joins the group; when it returns, it takes work as soon as it has read the facts of its partitions.
    pub fn start(config: &Config, log: &Log, appraiser: Appraiser, fatal: Fatal) -> Result<Self, StartError> {
        let reliability = Reliability::of_shares(&config.source_reliability).map_err(StartError::Config)?;
        if config.in_flight == 0 {
            return Err(StartError::Config("in_flight: 0 is not allowed (expected at least 1)".to_owned()));
        }
        let state = Arc::new(State::waiting("it has not read anything yet"));
        let stop = Arc::new(Stop::default());
        let mut owner = Owner::join(config, log, appraiser, reliability, Arc::clone(&state))?;
        let told = Arc::clone(&stop);
        let told_fatal = Fatal::clone(&fatal);
        let run = move || {
            work(&mut owner, &told).unwrap_or_else(|Broken(reason)| {
                told_fatal(reason);
                // At least one: what it held is read again.
                1
            })
        };
        let thread = stream::spawn("enricher", &fatal, run)?;
        Ok(Self { stop, state, thread })
    }

    /// `Err` says what is not there, and since when.
    pub fn ready(&self) -> Result<(), String> {
        if self.thread.is_finished() {
            return Err("its thread has ended".to_owned());
        }
        self.state.get()
    }

    /// Takes nothing new, finishes and commits what it holds while `grace` lasts. Blocks: not for a runtime's own threads.
    pub fn stop(self, grace: Duration) -> Drained {
        let deadline = Instant::now() + grace;
        let _ = self.stop.deadline.set(deadline);
        self.stop.is_told.store(true, Ordering::Release);
        while !self.thread.is_finished() && Instant::now() < deadline {
            std::thread::park_timeout(Duration::from_millis(5));
        }
        // One that is still busy or has panicked has at least a statement left.
        let left = if self.thread.is_finished() { self.thread.join().unwrap_or(1) } else { 1 };
        if left == 0 { Drained::Clean } else { Drained::StatementsLeft(left) }
    }
}

/// Turns until it is told to stop; returns how many statements are left then.
fn work(owner: &mut Owner, told: &Stop) -> Result<usize, Broken> {
    while !told.is_told.load(Ordering::Acquire) {
        owner.turn()?;
    }
    owner.finish(told.deadline.get().copied().unwrap_or_else(Instant::now))
}
