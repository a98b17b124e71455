//! The process under attack: `roost up` on embedded storage, with a market, a session, and short time limits, so that slow
//! clients are waited for in seconds. Knows no case.

use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::harness::{self, Running, free_port, patience, until};
use e2e::http;
use serde_json::Value;

use super::answer::Reader;
use super::case::{Door, Step, perform};

/// Longest time for heads, bodies and unread answers in this house, in seconds; the admin port has its own, 10.
pub const LIMIT_S: u64 = 5;

/// The running process and what clients know of it.
pub struct House {
    process: Running,
    ports: [u16; 3],
    /// Of a session that was stated.
    pub token: String,
    /// A market with listings, `country/state/city`.
    pub market: String,
    /// A listing in it.
    pub listing: String,
    /// Of the first page of that market, one home a page.
    pub cursor: String,
    directory: tempfile::TempDir,
}

impl House {
    pub fn open() -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let settings = directory.path().join("up.toml");
        let limits = ["header_timeout", "body_timeout", "write_timeout"]
            .map(|name| format!("{name} = \"{LIMIT_S}s\"\n"))
            .concat();
        std::fs::write(&settings, format!("[api]\nstream_keep_alive = \"1s\"\n{limits}[ingest.push]\n{limits}"))?;
        let ports = [free_port()?, free_port()?, free_port()?];
        let data = directory.path().join("data");
        let mut command = harness::roost()?;
        command.arg("--config").arg(&settings).arg("up").arg("--data-dir").arg(data);
        for (variable, port) in ["API", "INGEST__PUSH", "ADMIN"].iter().zip(ports) {
            command.env(format!("ROOST__{variable}__LISTEN"), format!("127.0.0.1:{port}"));
        }
        command
            .stdout(std::fs::File::create(directory.path().join("up.log"))?)
            .stderr(std::fs::File::create(directory.path().join("up.errors"))?);
        let process = Running::spawn(&mut command)?;
        let empty = String::new;
        let mut house =
            Self { process, ports, token: empty(), market: empty(), listing: empty(), cursor: empty(), directory };
        until("everything is ready", patience(60), || {
            http::get(&format!("http://127.0.0.1:{}/readyz", ports[2])).map(Some)
        })?;
        house.furnish()?;
        Ok(house)
    }

    /// A market of some homes, and a session that looks there.
    fn furnish(&mut self) -> Result<()> {
        let file = self.directory.path().join("market.jsonl").display().to_string();
        let push = format!("http://127.0.0.1:{}", self.ports[1]);
        for arguments in [
            &["synthetic", "--output", &file, "--listings", "100", "--events", "200"][..],
            &["publish", &file, "--feed", "market", "--map", "reso", "--push", &push],
        ] {
            let done = harness::roost()?.args(arguments).output()?;
            ensure!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
        }
        let read = |path: &str| -> Result<Value> {
            Ok(serde_json::from_str(&http::get(&format!("http://127.0.0.1:{}/api/v1/{path}", self.ports[0]))?)?)
        };
        let page = until("there is a market of two homes", patience(60), || {
            let markets = read("markets")?;
            let names = markets["items"].as_array().context("no markets")?.iter().filter_map(|m| m["market"].as_str());
            for market in names {
                let page = read(&format!("properties?market={market}&limit=1"))?;
                if let (Some(cursor), Some(listing)) =
                    (page["next_cursor"].as_str(), page["items"][0]["listing_id"].as_str())
                {
                    return Ok(Some((market.to_owned(), cursor.to_owned(), listing.to_owned())));
                }
            }
            Ok(None)
        });
        (self.market, self.cursor, self.listing) = page?;
        let preferences = format!(r#"{{"budget":750000,"currency":"USD","place":{{"cities":["{}"]}}}}"#, self.market);
        let request = post("/api/v1/preferences", preferences);
        let stream = self.connect(Door::Api)?;
        perform(&stream, &[Step::Send(request)])?;
        let answer = Reader::new(&stream, patience(30)).answer(false)?.context("no answer")?;
        ensure!(answer.status == 202, "{answer:?}");
        let accepted: Value = serde_json::from_slice(&answer.body)?;
        self.token = accepted["token"].as_str().context("no token")?.to_owned();
        Ok(())
    }

    pub fn connect(&self, door: Door) -> Result<TcpStream> {
        let address = SocketAddr::from(([127, 0, 0, 1], self.ports[door as usize]));
        let stream = TcpStream::connect_timeout(&address, patience(30)).with_context(|| format!("{door:?}"))?;
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(Duration::from_secs(30)))?;
        Ok(stream)
    }

    /// A well-behaved request on a fresh connection is answered.
    pub fn lives(&self, door: Door) -> Result<()> {
        let (path, status) = match door {
            Door::Api => ("/problems", 200),
            Door::Push => ("/nowhere", 404),
            Door::Admin => ("/livez", 200),
        };
        let stream = self.connect(door)?;
        perform(&stream, &[Step::Send(get(path))])?;
        let answer =
            Reader::new(&stream, patience(20)).answer(false)?.with_context(|| format!("{door:?} says nothing"))?;
        ensure!(answer.status == status, "{door:?}: {answer:?}");
        Ok(())
    }

    /// Memory of the process in MiB: the most that it ever had, and what it has now.
    pub fn memory_mib(&self) -> Result<(u64, u64)> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let of = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok()).map(|kb| kb / 1024)
        };
        of("VmHWM:").zip(of("VmRSS:")).context("no VmHWM in /proc")
    }

    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// What it logged as faults of its own.
    pub fn faults(&self) -> Result<Vec<String>> {
        let mut faults = Vec::new();
        for name in ["up.log", "up.errors"] {
            let log = std::fs::read_to_string(self.directory.path().join(name))?;
            faults.extend(log.lines().filter(|l| l.contains("ERROR") || l.contains("panicked")).map(str::to_owned));
        }
        Ok(faults)
    }

    /// Stops it; it ends with success.
    pub fn close(self) -> Result<()> {
        self.process.stop("roost up")
    }
}

/// A plain request without a body.
pub fn get(path: &str) -> Vec<u8> {
    ask("GET", path, "")
}

/// A request without a body; `headers` are lines with their ends.
pub fn ask(method: &str, path: &str, headers: &str) -> Vec<u8> {
    format!("{method} {path} HTTP/1.1\r\nhost: x\r\n{headers}\r\n").into_bytes()
}

/// A request with a JSON body.
pub fn post(path: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    post_as(path, "content-type: application/json\r\n", body)
}

/// A request with a body; `headers` are lines with their ends.
pub fn post_as(path: &str, headers: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let head = format!("POST {path} HTTP/1.1\r\nhost: x\r\n{headers}content-length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}
