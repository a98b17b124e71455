//! roost's services as the processes that they are: started with ports of their own, watched through `/readyz` and
//! `/metrics`, and asked for their CPU time and memory.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use e2e::harness::{Installation, Servers, free_port, until};
use e2e::http;

use crate::stock::{self, Stock};

/// Seconds that a service has to become ready, and for whatever else is waited for, with the default stock or less.
const LIMIT_SECONDS: u32 = 120;
/// Between two looks at `/readyz` and `/metrics` where their time is what is measured.
const LOOK: Duration = Duration::from_millis(20);

/// A fresh installation; static group members, so that a service that is killed has its partitions again at once.
pub fn installation(servers: &Servers, name: &str) -> Result<Installation> {
    let more = "[ingest]\ninstance = \"bench\"\n[scorer]\ninstance = \"bench\"\n[telemetry]\nfilter = \"warn\"\n";
    Installation::on_servers(servers, &format!("bench_{name}"), more)
}

/// The runtime that clients need which are asynchronous.
pub fn runtime() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?)
}

/// A service that runs.
pub struct Service {
    name: &'static str,
    admin: String,
    /// Where the API answers, or ingest takes pushes.
    pub address: String,
    started: Instant,
    limit: Duration,
}

impl Service {
    /// Starts it; with settings as variables.
    pub fn start(installation: &mut Installation, name: &'static str, more: &[(&str, &str)]) -> Result<Self> {
        let ports = [free_port()?, free_port()?].map(|port| format!("127.0.0.1:{port}"));
        let [admin, address] = ports;
        let mut environment = vec![
            ("ROOST__ADMIN__LISTEN", admin.clone()),
            ("ROOST__API__LISTEN", address.clone()),
            ("ROOST__INGEST__PUSH__LISTEN", address.clone()),
        ];
        environment.extend(more.iter().map(|(key, value)| (*key, (*value).to_owned())));
        installation.start(name, &[name], &environment)?;
        Ok(Self { name, admin, address, started: Instant::now(), limit: Stock(stock::DEFAULT).limit(LIMIT_SECONDS) })
    }

    /// With the time that it needs to read such a stock.
    pub fn holding(self, stock: Stock) -> Self {
        Self { limit: stock.limit(LIMIT_SECONDS), ..self }
    }

    /// Where it says whether it is ready.
    pub fn ready_url(&self) -> String {
        format!("http://{}/readyz", self.admin)
    }

    /// Since its start.
    pub fn age(&self) -> Duration {
        self.started.elapsed()
    }

    /// Waits until it says that it is ready.
    pub fn until_ready(&self, installation: &mut Installation) -> Result<()> {
        self.wait("ready", installation, |service| {
            // Not ready is an error to this client, and so is not listening.
            Ok(http::get(&service.ready_url()).is_ok())
        })
    }

    /// Waits until a condition on it holds, and fails when it ends before.
    pub fn wait(
        &self,
        what: &str,
        installation: &mut Installation,
        mut holds: impl FnMut(&Self) -> Result<bool>,
    ) -> Result<()> {
        let begun = Instant::now();
        while !holds(self)? {
            if let Some(code) = installation.exit_code(self.name)? {
                anyhow::bail!("{} ended with {code}:\n{}", self.name, installation.output(self.name));
            }
            ensure!(begun.elapsed() < self.limit, "{}: {what} not within {} s", self.name, self.limit.as_secs());
            std::thread::park_timeout(LOOK);
        }
        Ok(())
    }

    /// The sum of a metric over its labels, or one of its series when it is named with all of them; 0 while it is not served.
    pub fn metric(&self, name: &str) -> Result<f64> {
        Ok(http::sum(&http::get(&format!("http://{}/metrics", self.admin))?, name))
    }

    /// Its process.
    pub fn pid(&self, installation: &Installation) -> Result<u32> {
        installation.pid(self.name).with_context(|| format!("{} does not run", self.name))
    }
}

/// Stops a service in order.
pub fn stop(installation: &mut Installation, name: &str) -> Result<()> {
    let code = installation.stop(name)?;
    ensure!(code == 0, "{name} ended with {code}:\n{}", installation.output(name));
    Ok(())
}

/// All four, ready.
pub fn start_all(installation: &mut Installation) -> Result<Vec<Service>> {
    let mut services = Vec::new();
    for name in ["scorer", "enricher", "ingest", "api"] {
        services.push(Service::start(installation, name, &[])?);
    }
    for service in &services {
        service.until_ready(installation)?;
    }
    Ok(services)
}

/// How many records stand on a topic.
pub fn count(installation: &Installation, topic: schemas::topic::Topic) -> Result<u64> {
    let ranges = (0..installation.log.partitions()).map(|partition| installation.log.range(topic, partition));
    ranges.map(|range| range.map(|(low, high)| high - low).map_err(Into::into)).sum()
}

/// Waits until so many stand there.
pub fn until_count(
    installation: &Installation,
    topic: schemas::topic::Topic,
    wanted: u64,
    limit: Duration,
) -> Result<()> {
    until(&format!("{wanted} records on {topic}"), limit, || Ok((count(installation, topic)? >= wanted).then_some(())))
}
