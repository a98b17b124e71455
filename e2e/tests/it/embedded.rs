//! Everything in one process on the embedded log and tables: the same house, the same rows.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use e2e::harness::{Installation, free_port, patience, until};
use e2e::{checks, harness};

#[test]
fn one_process_keeps_the_same_tables() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let data = directory.path().join("data");
    let data = data.to_str().context("a path in UTF-8")?;
    let (api, push, admin) = (free_port()?, free_port()?, free_port()?);
    let mut command = harness::roost()?;
    command
        .args(["up", "--data-dir", data])
        .env("ROOST__API__LISTEN", format!("127.0.0.1:{api}"))
        .env("ROOST__INGEST__PUSH__LISTEN", format!("127.0.0.1:{push}"))
        .env("ROOST__ADMIN__LISTEN", format!("127.0.0.1:{admin}"));
    let mut up = Running(command.spawn()?);
    until("everything is ready", patience(60), || {
        Ok(Some(ureq::get(format!("http://127.0.0.1:{admin}/readyz")).call()?))
    })?;

    let file = directory.path().join("market.jsonl");
    let file = file.to_str().context("a path in UTF-8")?;
    let run = |arguments: &[&str]| -> Result<()> {
        let done = harness::roost()?.args(arguments).output()?;
        ensure!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
        Ok(())
    };
    run(&["synthetic", "--output", file, "--listings", "300", "--events", "1500"])?;
    let address = format!("http://127.0.0.1:{push}");
    run(&["publish", file, "--feed", "market", "--push", &address])?;
    for session in synthetic::sessions(&synthetic::Config::default(), 3).take(100) {
        let body = String::from_utf8(session.preferences.to_json())?;
        let url = format!("http://127.0.0.1:{api}/api/v1/preferences");
        ureq::post(url).content_type("application/json").send(body)?;
    }
    // A market's row and day are written once a second.
    let settled = Instant::now() + Duration::from_secs(4);
    until("the market has settled", patience(20), || Ok((Instant::now() >= settled).then_some(())))?;
    up.stop()?;

    let settings = format!(
        "[log]\nbackend = \"embedded\"\n[log.embedded]\ndirectory = \"{data}/log\"\n\
         [store]\nbackend = \"embedded\"\n[store.embedded]\ndirectory = \"{data}/tables\"\n"
    );
    let installation = Installation::with_settings(settings)?;
    let fates = checks::fates(&installation)?;
    let rows = checks::tables_equal_the_logs(&installation)?;
    eprintln!("{} taken, refused {:?}, {rows} rows equal", fates.canonical.len(), checks::codes(&fates));
    ensure!(fates.canonical.len() == 1_500 && rows > 500, "{} taken, {rows} rows", fates.canonical.len());
    Ok(())
}

/// Ends with its test.
struct Running(std::process::Child);

impl Running {
    fn stop(&mut self) -> Result<()> {
        let told = std::process::Command::new("kill").arg("-TERM").arg(self.0.id().to_string()).status()?;
        ensure!(told.success(), "kill -TERM");
        let status = until("it stops", patience(30), || Ok(self.0.try_wait()?))?;
        ensure!(status.success(), "it ended with {status}");
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Ended already, or ends now: both are fine.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
