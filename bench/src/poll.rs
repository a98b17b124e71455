//! Clients that ask again and again and have the answer already: 304 of the API, beside a handler that does nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use e2e::harness::Installation;

use crate::counter::bare::Bare;
use crate::http::{Connection, request};
use crate::machine;
use crate::report::{Line, Report};
use crate::services::{self, Service};
use crate::spread::Spread;
use crate::stock::Stock;

/// Connections that ask without a pause.
const CONNECTIONS: usize = 4;
/// Sessions that are asked for, in turn; every stock has them.
pub const SESSIONS: usize = 1_000;
/// How long.
const TIME: Duration = Duration::from_secs(6);

/// Asks the API of an installation with sessions.
pub fn run(installation: &mut Installation, stock: Stock, report: &mut Report) -> Result<()> {
    report.say("304 polls");
    services::stop(installation, "api")?;
    let api = Service::start(installation, "api", &[])?.holding(stock);
    api.until_ready(installation)?;
    let mut connection = Connection::open(&api.address)?;
    let config = synthetic::Config { listings: stock.each(), ..synthetic::Config::default() };
    let requests = synthetic::sessions(&config, 3).take(SESSIONS).map(|session| {
        let bearer = format!("Authorization: Bearer {}\r\n", session.token.reveal());
        let tag = connection.tag(&request(&api.address, "/api/v1/recommendations", &bearer))?;
        let headers = format!("{bearer}If-None-Match: {tag}\r\n");
        Ok(request(&api.address, "/api/v1/recommendations", &headers))
    });
    let requests = Arc::new(requests.collect::<Result<Vec<_>>>()?);
    let seen = ask(&api.address, &requests, api.pid(installation)?)?;

    let bare = Bare::start(0)?;
    let requests = Arc::new(vec![request(&bare.address, "/", "If-None-Match: \"0\"\r\n")]);
    let peer = ask(&bare.address, &requests, bare.pid())?;
    report.add(Line {
        what: format!("304 of `GET /recommendations` on CQL, {CONNECTIONS} connections"),
        seen: seen.to_string(),
        peer: format!(
            "a handler that only says 304: {peer}; {:.0} %, per CPU second {:.0} %",
            100.0 * seen.rate / peer.rate,
            100.0 * seen.per_core / peer.per_core
        ),
        goal: "≥ 60 % of the bare handler, p99 ≤ 5 ms".to_owned(),
    });
    Ok(())
}

struct Asked {
    rate: f64,
    per_core: f64,
    times: Spread,
}

impl std::fmt::Display for Asked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { rate, per_core, times } = self;
        write!(f, "{rate:.0}/s ({per_core:.0} per CPU second), {times}")
    }
}

fn ask(address: &str, requests: &Arc<Vec<Vec<u8>>>, pid: u32) -> Result<Asked> {
    let (is_over, begun, used) = (Arc::new(AtomicBool::new(false)), Instant::now(), machine::cpu_seconds(pid)?);
    let threads: Vec<_> = (0..CONNECTIONS)
        .map(|number| {
            let (address, requests, is_over) = (address.to_owned(), Arc::clone(requests), Arc::clone(&is_over));
            std::thread::spawn(move || -> Result<Vec<f64>> {
                let (mut connection, mut body, mut times) = (Connection::open(&address)?, Vec::new(), Vec::new());
                for request in requests.iter().cycle().skip(number * 7) {
                    if is_over.load(Ordering::Acquire) {
                        break;
                    }
                    let asked = Instant::now();
                    let status = connection.ask(request, &mut body)?;
                    times.push(asked.elapsed().as_secs_f64() * 1e3);
                    ensure!(status == 304, "{address} answers {status}");
                }
                Ok(times)
            })
        })
        .collect();
    while begun.elapsed() < TIME {
        std::thread::park_timeout(TIME.saturating_sub(begun.elapsed()));
    }
    is_over.store(true, Ordering::Release);
    let mut times = Vec::new();
    for thread in threads {
        times.extend(thread.join().map_err(|_| anyhow::anyhow!("a client panicked"))??);
    }
    let (count, seconds) = (times.len() as f64, begun.elapsed().as_secs_f64());
    let used = machine::cpu_seconds(pid)? - used;
    Ok(Asked { rate: count / seconds, per_core: count / used, times: Spread::of(times) })
}
