//! Everything in one process on the embedded log and tables: the same input ends in the same tables as on Kafka and CQL.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use e2e::harness::{self, Installation, Running, Servers, free_port, patience, real_data, until};
use e2e::http::{self, Client};
use e2e::{checks, compare, people};
use schemas::id::SessionToken;
use schemas::preferences::Preferences;

use crate::pipeline::{SEATTLE_RECORDS, come_to_rest, start_all};

/// Events of the synthetic market, which comes after the real one: its homes are valued, and some are let.
const EVENTS: usize = 1_500;
/// What a valuation knows of other homes' sales depends on the moment: both runs read none.
const SETTINGS: &str = "[enricher]\nmarket_context = \"off\"\n";

#[test]
fn one_process_on_embedded_backends_ends_in_the_tables_of_kafka_and_cql() -> Result<()> {
    let Some(servers) = Servers::from_environment() else { return Ok(()) };
    let directory = tempfile::tempdir()?;
    let feeds = Feeds::new(directory.path())?;
    let sessions = sessions();

    let mut apart = Installation::on_servers(&servers, "apart", SETTINGS)?;
    start_all(&mut apart)?;
    apart.ready("api")?;
    state(&apart.url("api", "API")?, &sessions)?;
    feeds.publish(&["--config", apart.config().to_str().context("a path in UTF-8")?], &[])?;
    let (fates, rows) = come_to_rest(&apart, 300)?;
    ensure!(
        fates.canonical.len() + fates.dead.len() == feeds.records,
        "{} of {} records",
        fates.canonical.len(),
        feeds.records
    );
    until("markets are observed", patience(30), || checks::days_tell_of_the_markets(&apart).map(Some))?;
    let on_servers = apart.rows()?;
    drop(apart);

    let together = up(directory.path(), &feeds, &sessions)?;
    let fates = checks::fates(&together)?;
    ensure!(
        fates.canonical.len() + fates.dead.len() == feeds.records,
        "{} of {} records",
        fates.canonical.len(),
        feeds.records
    );
    let rows_here = checks::tables_equal_the_logs(&together)?;
    let same = compare::same_rows(&on_servers, &together.rows()?)?;
    eprintln!("{rows} rows on servers, {rows_here} in one process, {same} compared and equal");
    Ok(())
}

#[test]
fn a_process_that_is_started_again_starts_from_its_snapshot_and_its_tables_equal_the_logs() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let together = up(directory.path(), &Feeds::synthetic(directory.path())?, &sessions())?;
    let rows = checks::tables_equal_the_logs(&together)?;
    ensure!(rows > 1_000, "{rows} rows");
    Ok(())
}

/// `roost up` on a directory.
pub struct Up {
    process: Running,
    api: u16,
    push: u16,
    admin: u16,
}

impl Up {
    /// Starts it and waits until everything is ready.
    pub fn start(directory: &Path, data: &str) -> Result<Self> {
        let settings = directory.join("up.toml");
        std::fs::write(&settings, SETTINGS)?;
        let (api, push, admin) = (free_port()?, free_port()?, free_port()?);
        let mut command = harness::roost()?;
        command
            .arg("--config")
            .arg(settings)
            .args(["up", "--data-dir", data])
            .env("ROOST__API__LISTEN", format!("127.0.0.1:{api}"))
            .env("ROOST__INGEST__PUSH__LISTEN", format!("127.0.0.1:{push}"))
            .env("ROOST__ADMIN__LISTEN", format!("127.0.0.1:{admin}"))
            .stdout(std::fs::File::create(directory.join("up.log"))?)
            .stderr(std::fs::File::create(directory.join("up.errors"))?);
        let up = Self { process: Running::spawn(&mut command)?, api, push, admin };
        until("everything is ready", patience(60), || up.ask("readyz").map(Some))?;
        Ok(up)
    }

    /// Where the API listens.
    pub fn api_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.api)
    }

    /// Where feeds are pushed to.
    pub fn push_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.push)
    }

    fn ask(&self, path: &str) -> Result<String> {
        http::get(&format!("http://127.0.0.1:{}/{path}", self.admin))
    }

    /// Starts of the engine from a snapshot.
    fn warm_starts(&self) -> Result<usize> {
        let metrics = self.ask("metrics")?;
        let is_warm = |line: &&str| line.starts_with("roost_scorer_starts_total") && line.contains("how=\"warm\"");
        Ok(metrics.lines().filter(is_warm).count())
    }
}

/// Runs `roost up` on a directory until all is taken in, stops it, starts and stops it again, and opens what it left.
fn up(directory: &Path, feeds: &Feeds, sessions: &[(SessionToken, Preferences)]) -> Result<Installation> {
    let data = directory.join("data");
    let data = data.to_str().context("a path in UTF-8")?;
    let up = Up::start(directory, data)?;
    ensure!(up.warm_starts()? == 0, "there is a snapshot before the first start");
    state(&up.api_url(), sessions)?;
    feeds.publish(&[], &["--push", &up.push_url()])?;
    taken_in(&up, feeds)?;
    up.process.stop("roost up")?;

    // What it wrote when it stopped is what it starts from, and every row is written again from that.
    let again = Up::start(directory, data)?;
    ensure!(again.warm_starts()? == 1, "the engine did not start from its snapshot: see up.log");
    come_to_rest_in(&again)?;
    again.process.stop("roost up")?;
    let settings = format!(
        "[log]\nbackend = \"embedded\"\n[log.embedded]\ndirectory = \"{data}/log\"\n\
         [store]\nbackend = \"embedded\"\n[store.embedded]\ndirectory = \"{data}/tables\"\n"
    );
    let config = directory.join("check.toml");
    std::fs::write(&config, &settings)?;
    let checked = harness::roost()?.arg("--config").arg(config).args(["check", "--state"]).output()?;
    let said = String::from_utf8_lossy(&checked.stdout).into_owned();
    ensure!(checked.status.success() && checks::told_as_recorded(&said) > 0, "{said}");
    ensure!(said.contains("[+] access: mode \"open\""), "{said}");
    Installation::with_settings(settings)
}

/// Waits until all that was published is valued and written.
pub fn taken_in(up: &Up, feeds: &Feeds) -> Result<()> {
    until("everything is taken in and written", patience(120), || {
        let metrics = up.ask("metrics")?;
        let sum = |metric| http::sum(&metrics, metric);
        let canonical = sum("roost_ingest_listings_total");
        ensure!(canonical + sum("roost_ingest_refused_total") == feeds.records as f64, "{canonical} taken in");
        ensure!(
            sum("roost_enricher_statements_total") == canonical,
            "{} valued",
            sum("roost_enricher_statements_total")
        );
        Ok(Some(()))
    })?;
    // The enricher's last facts are on the log and acknowledged; the judge sees them at once, and markets within a second.
    come_to_rest_in(up)
}

fn come_to_rest_in(up: &Up) -> Result<()> {
    let mut quiet_since = None;
    until("nothing more happens", patience(120), || {
        let metrics = up.ask("metrics")?;
        let events = http::sum(&metrics, "roost_scorer_events_total");
        let (seen, since) = quiet_since.get_or_insert((events, std::time::Instant::now()));
        if *seen != events {
            quiet_since = None;
            return Ok(None);
        }
        Ok((since.elapsed().as_secs() >= 3).then_some(()))
    })
}

/// The Seattle feed where there is one, and the synthetic market, as files.
pub struct Feeds {
    /// File, feed, mapping.
    files: Vec<(String, &'static str, &'static str)>,
    records: usize,
}

impl Feeds {
    fn new(directory: &Path) -> Result<Self> {
        let mut feeds = Self::synthetic(directory)?;
        if let Some(file) = real_data("seattle_redfin_events.csv.zst") {
            feeds.files.insert(0, (file.display().to_string(), "seattle", "redfin"));
            feeds.records += SEATTLE_RECORDS;
        }
        Ok(feeds)
    }

    /// The synthetic market alone.
    pub fn synthetic(directory: &Path) -> Result<Self> {
        let file = directory.join("market.jsonl").display().to_string();
        run(harness::roost()?.args([
            "synthetic",
            "--output",
            &file,
            "--listings",
            "300",
            "--events",
            &EVENTS.to_string(),
        ]))?;
        Ok(Self { files: vec![(file, "market", "reso")], records: EVENTS })
    }

    /// Publishes each file, with arguments before and after.
    pub fn publish(&self, before: &[&str], after: &[&str]) -> Result<()> {
        for (file, feed, map) in &self.files {
            run(harness::roost()?.args(before).args(["publish", file, "--feed", feed, "--map", map]).args(after))?;
        }
        Ok(())
    }
}

fn run(command: &mut std::process::Command) -> Result<()> {
    let done = command.output()?;
    ensure!(done.status.success(), "{command:?}: {}", String::from_utf8_lossy(&done.stderr));
    Ok(())
}

/// A thousand who look in and around Seattle, a hundred in the synthetic market.
fn sessions() -> Vec<(SessionToken, Preferences)> {
    let fictional = synthetic::sessions(&synthetic::Config::default(), 3).take(100);
    (0..1_000).map(|n| people::session(11, n)).chain(fictional.map(|s| (s.token, s.preferences))).collect()
}

fn state(api: &str, sessions: &[(SessionToken, Preferences)]) -> Result<()> {
    let client = Client::new(api.to_owned());
    for (token, preferences) in sessions {
        ensure!(client.state(*token, preferences)?.is_some(), "a statement was not acknowledged");
    }
    Ok(())
}
