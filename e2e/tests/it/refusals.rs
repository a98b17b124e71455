//! What the binary refuses, and how it says so: settings, servers that never come, directories that are another's.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use e2e::harness::{Running, Servers, free_port, patience, roost, until};
use e2e::http;

/// A process that is to end by itself: its exit code, what it said, and how long it took.
fn outcome(command: &mut Command) -> Result<(Option<i32>, String, Duration)> {
    let begun = Instant::now();
    let directory = tempfile::tempdir()?;
    let said = std::fs::File::create(directory.path().join("said"))?;
    let mut child = command.stdin(Stdio::null()).stdout(said.try_clone()?).stderr(said).spawn()?;
    let status = until("it ends", patience(60), || Ok(child.try_wait()?));
    if status.is_err() {
        // Ended already, or ends now: both are fine.
        let _ = child.kill();
        let _ = child.wait();
    }
    let said = std::fs::read_to_string(directory.path().join("said"))?;
    Ok((status.with_context(|| said.clone())?.code(), said, begun.elapsed()))
}

#[test]
fn a_wrong_setting_is_told_with_its_line_and_nothing_is_started() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let (settings, admin) = (directory.path().join("roost.toml"), free_port()?);
    for (wrong, told) in [
        ("window = \"many\"", "scorer.window"),
        ("window = 0", "scorer.window: 0 is not allowed"),
        ("windwo = 3", "scorer.windwo"),
        ("window = = 3", "roost.toml:4"),
    ] {
        std::fs::write(&settings, format!("[admin]\nlisten = \"127.0.0.1:{admin}\"\n[scorer]\n{wrong}\n"))?;
        for command in [&["scorer"][..], &["init"], &["up", "--data-dir"]] {
            let mut started = roost()?;
            started.arg("--config").arg(&settings).args(command);
            if command[0] == "up" {
                started.arg(directory.path().join("data"));
            }
            let (code, said, _) = outcome(&mut started)?;
            ensure!(code == Some(2), "{command:?} with {wrong}: {code:?}\n{said}");
            ensure!(said.contains(told) && said.contains("roost.toml:4"), "{command:?} with {wrong} says\n{said}");
        }
    }
    let (code, said, _) = outcome(roost()?.arg("scorer").env("ROOST__SCORER__WINDOW", "many"))?;
    ensure!(code == Some(2) && said.contains("ROOST__SCORER__WINDOW"), "{code:?}: {said}");
    ensure!(!directory.path().join("data").exists(), "a directory was made");
    Ok(())
}

/// Each service, while what it needs first is away: a line every few seconds with the address, then the end.
#[test]
fn a_server_that_never_comes_is_told_by_its_address_and_given_up() -> Result<()> {
    let Some(servers) = Servers::from_environment() else { return Ok(()) };
    let nobody = format!("127.0.0.1:{}", free_port()?);
    let started = |role: &str, kafka: &str, cql: &str| -> Result<(Option<i32>, String, Duration)> {
        outcome(
            roost()?
                .arg(role)
                .env("ROOST__ADMIN__LISTEN", format!("127.0.0.1:{}", free_port()?))
                .env("ROOST__LOG__KAFKA__BOOTSTRAP_SERVERS", kafka)
                .env("ROOST__LOG__KAFKA__WAIT_AT_START", "7s")
                .env("ROOST__LOG__KAFKA__REPLICATION_FACTOR", "1")
                .env("ROOST__STORE__SCYLLA__CONTACT_POINTS", cql)
                .env("ROOST__STORE__SCYLLA__WAIT_AT_START", "7s"),
        )
    };
    for (what, (code, said, took)) in [
        ("ingest without Kafka", started("ingest", &nobody, &servers.cql)?),
        ("init without a store", {
            let prefix = format!("away_{:08x}.", e2e::harness::random() as u32);
            outcome(
                roost()?
                    .arg("init")
                    .env("ROOST__LOG__KAFKA__BOOTSTRAP_SERVERS", &servers.kafka)
                    .env("ROOST__LOG__KAFKA__REPLICATION_FACTOR", "1")
                    .env("ROOST__LOG__KAFKA__PARTITIONS", "1")
                    .env("ROOST__LOG__KAFKA__TOPIC_PREFIX", prefix)
                    .env("ROOST__STORE__SCYLLA__CONTACT_POINTS", &nobody)
                    .env("ROOST__STORE__SCYLLA__WAIT_AT_START", "7s"),
            )?
        }),
    ] {
        ensure!(code == Some(1), "{what}: {code:?}\n{said}");
        ensure!(took >= Duration::from_secs(6), "{what} gave up after {took:?}");
        let lines = said.lines().filter(|line| line.contains(&nobody)).count();
        ensure!((2..=10).contains(&lines), "{what} named the address {lines} times:\n{said}");
    }
    Ok(())
}

#[test]
fn a_data_directory_is_for_one_process_of_one_format_with_one_partition_count() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let data = directory.path().join("data");
    let up = |more: &[(&str, &str)]| -> Result<(Command, u16)> {
        let (mut command, admin) = (roost()?, free_port()?);
        command.args(["up", "--data-dir"]).arg(&data).envs(more.iter().copied());
        for (listener, port) in [("ADMIN", admin), ("API", free_port()?), ("INGEST__PUSH", free_port()?)] {
            command.env(format!("ROOST__{listener}__LISTEN"), format!("127.0.0.1:{port}"));
        }
        Ok((command, admin))
    };
    let refused = |more: &[(&str, &str)], told: &[&str]| -> Result<()> {
        let (code, said, _) = outcome(&mut up(more)?.0)?;
        ensure!(code == Some(1) && told.iter().all(|told| said.contains(told)), "{code:?}, not {told:?}:\n{said}");
        Ok(())
    };
    let (mut command, admin) = up(&[])?;
    let first = Running::spawn(command.stdout(Stdio::null()).stderr(Stdio::null()))?;
    let ready = || http::get(&format!("http://127.0.0.1:{admin}/readyz")).map(Some);
    until("the first is ready", patience(60), ready)?;
    let pid = first.id().to_string();
    refused(&[], &["data", &pid])?;
    until("the first is still well", patience(5), ready)?;
    first.stop("the first")?;

    refused(&[("ROOST__LOG__EMBEDDED__PARTITIONS", "8")], &["partitions", "4", "8"])?;
    let format = data.join("log/format");
    let text = std::fs::read_to_string(&format)?;
    std::fs::write(&format, text.replace("format 1", "format 0"))?;
    refused(&[], &["data format 0", "use the version of roost"])
}
