//! Servers of a test's own, to be paused and killed: `dev/servers` in a home that nobody else has.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::harness::{Servers, repository};

/// One Kafka and one Cassandra. Their data goes with them.
pub struct OwnServers {
    home: PathBuf,
    /// Where they answer.
    pub servers: Servers,
}

impl OwnServers {
    /// Starts both. `None`, and a line on standard error, where their jars have not been fetched.
    pub fn start() -> Result<Option<Self>> {
        let jars = repository().join(".dev/jars");
        if !["kafka", "cassandra"].iter().all(|name| jars.join(name).join(".complete").exists()) {
            eprintln!("skipped: no servers of one's own to kill (`dev/servers fetch` gets them)");
            return Ok(None);
        }
        // A name that `dev/servers run` clears away when this process was killed before it could.
        let home = repository().join(format!(".dev/run.{}", std::process::id()));
        std::fs::create_dir_all(&home)?;
        let servers = Servers { kafka: String::new(), cql: String::new() };
        let mut own = Self { home, servers };
        let said = own.run(&["start"])?;
        let address = |name: &str| {
            let line = said.lines().find_map(|line| line.strip_prefix(&format!("export {name}=")));
            line.map(str::to_owned).with_context(|| format!("dev/servers start says nothing of {name}: {said}"))
        };
        own.servers = Servers { kafka: address("ROOST_TEST_KAFKA")?, cql: address("ROOST_TEST_CQL")? };
        Ok(Some(own))
    }

    /// `dev/servers kill`, `pause`, `resume` or `restart` of `kafka` or `cassandra`.
    pub fn make(&self, what: &str, server: &str) -> Result<()> {
        self.run(&[what, server]).map(drop)
    }

    fn run(&self, arguments: &[&str]) -> Result<String> {
        let done = Command::new(repository().join("dev/servers"))
            .args(arguments)
            .env("ROOST_SERVERS_HOME", &self.home)
            .env("KAFKA_HEAP", "256m")
            .env("CASSANDRA_HEAP", "640m")
            // Those are everybody's.
            .env_remove("ROOST_TEST_KAFKA")
            .env_remove("ROOST_TEST_CQL")
            .output()?;
        let said = String::from_utf8_lossy(&done.stdout).into_owned();
        ensure!(done.status.success(), "dev/servers {arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
        Ok(said)
    }
}

impl Drop for OwnServers {
    fn drop(&mut self) {
        // What cannot be stopped now is cleared away by the next `dev/servers run`.
        let _ = self.run(&["stop"]);
        let _ = std::fs::remove_dir_all(&self.home);
    }
}
