//! Ingest as it runs: workers on threads of their own, the push port on the runtime. Starts and stops them, nothing else.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use stream::{Fatal, Log, LogError};

use crate::config::Config;
use crate::push::{Push, PushError};
use crate::state::State;
use crate::worker::{Stop, Worker};

/// Why ingest could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A setting.
    #[error("ingest.workers: {0} is not allowed (expected 1 to {MAX_WORKERS})")]
    Workers(usize),
    /// The log.
    #[error("ingest: {0}")]
    Log(#[from] LogError),
    /// The push port.
    #[error("ingest: {0}")]
    Push(#[from] PushError),
    /// The system has no thread left.
    #[error("ingest: cannot start a thread: {0}")]
    Thread(#[from] std::io::Error),
}

/// Most workers of one process: more than machines have cores for, fewer than would starve it.
const MAX_WORKERS: usize = 64;

/// How a stop went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drained {
    /// Everything taken in is on the log and committed.
    Clean,
    /// The grace time ran out with this many raw records unfinished: they are read again at the next start.
    RecordsLeft(usize),
}

impl std::fmt::Display for Drained {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Clean => f.write_str("finished everything"),
            Self::RecordsLeft(left) => write!(f, "ran out of time: {left} raw records are unfinished and read again"),
        }
    }
}

/// Running ingest.
pub struct Ingest {
    stop: Arc<Stop>,
    workers: Vec<(Arc<State>, JoinHandle<usize>)>,
    push: Option<Push>,
}

impl Ingest {
    /// Joins the group and listens; when it returns, it takes work. Must be called on a runtime, on which pushes are
    /// served.
    pub async fn start(config: Config, log: Log, fatal: Fatal) -> Result<Self, StartError> {
        if !(1..=MAX_WORKERS).contains(&config.workers) {
            return Err(StartError::Workers(config.workers));
        }
        let push = match config.push.enabled {
            true => Some(Push::start(config.push.clone(), &config.auth, &log, &fatal).await?),
            false => None,
        };
        let stop = Arc::new(Stop::default());
        let instance = if config.instance.is_empty() { instance_name() } else { config.instance.clone() };
        let mut workers = Vec::new();
        for number in 0..config.workers {
            let worker = Worker::join(number, &instance, &config, &log, stop.clone(), fatal.clone())?;
            let state = worker.state();
            let thread = stream::spawn(&format!("ingest-{number}"), &fatal, move || worker.run())?;
            workers.push((state, thread));
        }
        Ok(Self { stop, workers, push })
    }

    /// Where pushes are taken.
    pub fn push_address(&self) -> Option<SocketAddr> {
        self.push.as_ref().map(Push::address)
    }

    /// `Err` says what is not there, and since when.
    pub fn ready(&self) -> Result<(), String> {
        for (state, thread) in &self.workers {
            state.get()?;
            if thread.is_finished() {
                return Err("a worker has ended".to_owned());
            }
        }
        self.push.as_ref().map_or(Ok(()), Push::ready)
    }

    /// Takes nothing new, finishes and commits what it holds while `grace` lasts. Blocks: not for a runtime's own threads.
    pub fn stop(self, grace: Duration) -> Drained {
        let deadline = Instant::now() + grace;
        // Pushes first: what they append is then still read, here or by whoever has the partition next.
        if let Some(push) = self.push {
            push.stop(deadline);
        }
        self.stop.tell(deadline);
        let mut left = 0;
        for (_, worker) in self.workers {
            while !worker.is_finished() && Instant::now() < deadline {
                std::thread::park_timeout(Duration::from_millis(5));
            }
            // One that is still busy or has panicked has at least a record left.
            left += if worker.is_finished() { worker.join().unwrap_or(1) } else { 1 };
        }
        if left == 0 { Drained::Clean } else { Drained::RecordsLeft(left) }
    }
}

fn instance_name() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("{}-{}", if host.trim().is_empty() { "ingest" } else { host.trim() }, std::process::id())
}
