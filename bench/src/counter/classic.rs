//! Starts, fills and stops the classic build of `bench/peers/classic`: FastAPI, PostgreSQL and a cache in Redis.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::harness::{Running, free_port, repository, until};
use e2e::http;

use super::town::Town;
use crate::machine;

/// How long its workers may take to start.
const START: Duration = Duration::from_secs(60);

/// PostgreSQL and Redis, with the town in them; stopped when dropped.
pub struct Databases {
    here: PathBuf,
    directory: PathBuf,
    variables: BTreeMap<String, String>,
}

impl Databases {
    /// Starts both and fills them; `directory` takes their data. Returns what the seed says of itself, too.
    pub fn start(directory: &Path, town: &Town) -> Result<(Self, String)> {
        let here = repository().join("bench/peers/classic");
        succeed(
            Command::new(repository().join("dev/python-env"))
                .arg(here.join(".venv"))
                .arg(here.join("requirements.txt")),
        )?;
        let directory = std::path::absolute(directory)?;
        let mut this = Self { here, directory, variables: BTreeMap::new() };
        let said = succeed(Command::new(this.here.join("cluster")).arg("start").arg(&this.directory))?;
        let exports = said.lines().filter_map(|line| line.strip_prefix("export ")?.split_once('='));
        this.variables = exports.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let files = this.directory.join("files");
        town.write(&files)?;
        let said = succeed(
            Command::new(this.here.join(".venv/bin/python"))
                .arg(this.here.join("seed.py"))
                .arg(files)
                .envs(&this.variables),
        )?;
        Ok((this, said.trim().to_owned()))
    }

    /// Serves with a cache of so many seconds; 0 is none.
    pub fn serve(&self, cache_seconds: u32) -> Result<Classic> {
        let port = free_port()?;
        let mut command = Command::new(self.here.join("serve"));
        command.arg(port.to_string()).envs(&self.variables).env("CACHE_SECONDS", cache_seconds.to_string());
        let running = Running::spawn(command.stdin(Stdio::null()).stdout(Stdio::null()))?;
        let address = format!("127.0.0.1:{port}");
        // The parent, two workers, and what Python starts beside them.
        until("the classic build answers", START, || {
            let answers = http::get(&format!("http://{address}/api/health")).is_ok();
            Ok((answers && machine::family(running.id()).len() >= 3).then_some(()))
        })?;
        let cluster = self.processes()?;
        let mut pids = machine::family(running.id());
        pids.extend(cluster);
        Ok(Classic { address, pids, running: Some(running) })
    }

    fn processes(&self) -> Result<Vec<u32>> {
        let mut pids = Vec::new();
        for name in ["db/postmaster.pid", "redis.pid"] {
            let path = self.directory.join(name);
            let text = std::fs::read_to_string(&path).with_context(|| format!("{}", path.display()))?;
            let pid = text.lines().next().unwrap_or_default().trim().parse()?;
            pids.extend(machine::family(pid));
        }
        Ok(pids)
    }
}

impl Drop for Databases {
    fn drop(&mut self) {
        // What does not stop is told by the script itself.
        let _ = Command::new(self.here.join("cluster")).arg("stop").arg(&self.directory).stdout(Stdio::null()).status();
    }
}

/// The API, two workers.
pub struct Classic {
    /// `host:port`.
    pub address: String,
    pids: Vec<u32>,
    running: Option<Running>,
}

impl Classic {
    /// All of it that works for an answer: workers, PostgreSQL with its connections as they are now, Redis.
    pub fn pids(&self) -> Vec<u32> {
        let mut pids: Vec<u32> = self.pids.iter().flat_map(|pid| machine::family(*pid)).collect();
        pids.sort_unstable();
        pids.dedup();
        pids
    }
}

impl Drop for Classic {
    fn drop(&mut self) {
        // Killed, its parent would leave the workers behind.
        if let Some(Err(error)) = self.running.take().map(|running| running.stop("the classic build")) {
            eprintln!("{error:#}");
        }
    }
}

/// Runs it to its end; standard output.
fn succeed(command: &mut Command) -> Result<String> {
    let done = command.stderr(Stdio::inherit()).output().with_context(|| format!("{command:?} cannot be started"))?;
    ensure!(done.status.success(), "{command:?}: {}", done.status);
    Ok(String::from_utf8_lossy(&done.stdout).into_owned())
}
