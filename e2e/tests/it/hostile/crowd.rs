//! Clients in numbers: idle connections by the thousand, and floods from many at once.

use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use e2e::harness::patience;

use super::answer::Reader;
use super::case::{Case, Door, Step, perform};
use super::house::{House, LIMIT_S, get, post};

/// Idle connections at a time, where both processes may have so many files open.
const IDLE: usize = 10_000;
/// Files that a process needs besides.
const OTHER_FILES: usize = 600;

pub fn cases() -> Vec<Case> {
    let half = b"GET /problems HTTP/1.1\r\nhost: x\r\nx-slow: ".to_vec();
    vec![
        Case::free("ten thousand connections that say nothing keep nobody out, and are cut off", Door::Api, |house| {
            idle(house, IDLE, b"")
        }),
        Case::free(
            "ten thousand connections with half a head keep nobody out, and are cut off",
            Door::Api,
            move |house| idle(house, IDLE, &half),
        ),
        Case::free("a thousand bodies of a megabyte at once are refused", Door::Api, |house| {
            flood(house, 1_000, &post("/api/v1/preferences", vec![b' '; 1 << 20]), &[413, 503])
        }),
        Case::free("a thousand pushes of deep arrays at once are refused", Door::Push, |house| {
            flood_at(
                house,
                Door::Push,
                200,
                &post("/feeds/market/listings", "[".repeat(1 << 20)),
                &[400, 413, 422, 503],
            )
        }),
        Case::free("a thousand requests at once for the largest answer are answered", Door::Api, |house| {
            flood(house, 1_000, &get("/openapi.json"), &[200, 503])
        }),
    ]
}

/// Most files that this process may open, raised to what the system lets it have.
fn files(pid: &str) -> Result<usize> {
    let limits = || std::fs::read_to_string(format!("/proc/{pid}/limits"));
    let read = |text: &str, column: usize| {
        let line = text.lines().find_map(|line| line.strip_prefix("Max open files"))?;
        line.split_whitespace().nth(column)?.parse::<usize>().ok()
    };
    let hard = read(&limits()?, 1).context("no limit of open files")?;
    let pid = if pid == "self" { std::process::id().to_string() } else { pid.to_owned() };
    // Where the program is not there, the limit stays, and the crowd is smaller.
    let _ = Command::new("prlimit").args(["--pid", &pid, &format!("--nofile={hard}:{hard}")]).status();
    read(&limits()?, 0).context("no limit of open files")
}

fn idle(house: &House, wanted: usize, said: &[u8]) -> Result<()> {
    let room = files("self")?.min(files(&house.pid().to_string())?).saturating_sub(OTHER_FILES);
    let count = wanted.min(room);
    let begun = Instant::now();
    let mut streams = Vec::with_capacity(count);
    for n in 0..count {
        let stream = house.connect(Door::Api).with_context(|| format!("connection {n}"))?;
        perform(&stream, &[Step::Send(said.to_vec())])?;
        streams.push(stream);
    }
    let opened = begun.elapsed();
    let at_a_time = std::fs::read_dir(format!("/proc/{}/fd", house.pid()))?.count();
    let asked = Instant::now();
    house.lives(Door::Api)?;
    let answered = asked.elapsed();
    let (peak, now) = house.memory_mib()?;
    for (n, stream) in streams.iter().enumerate() {
        ended(stream).with_context(|| format!("connection {n} is not closed"))?;
    }
    eprintln!(
        "{count} idle connections (of {wanted}; {room} files) opened in {opened:.1?}, {at_a_time} files at a time; another one answered in {answered:.1?}; all \
         closed after {:.1?}; {now} MiB, {peak} at most",
        begun.elapsed()
    );
    ensure!(
        begun.elapsed() < Duration::from_secs(2 * LIMIT_S) + opened + patience(30),
        "closed after {:?}",
        begun.elapsed()
    );
    Ok(())
}

fn ended(stream: &TcpStream) -> Result<()> {
    Reader::new(stream, Duration::from_secs(2 * LIMIT_S) + patience(20)).read_to_end()
}

fn flood(house: &House, count: usize, request: &[u8], statuses: &[u16]) -> Result<()> {
    flood_at(house, Door::Api, count, request, statuses)
}

/// From many connections at a time; each is answered.
fn flood_at(house: &House, door: Door, count: usize, request: &[u8], statuses: &[u16]) -> Result<()> {
    const THREADS: usize = 50;
    let part = || -> Result<()> {
        for _ in 0..count / THREADS {
            let stream = house.connect(door)?;
            perform(&stream, &[Step::Send(request.to_vec())])?;
            let answer = Reader::new(&stream, patience(60)).answer(false)?.context("closed without an answer")?;
            ensure!(statuses.contains(&answer.status), "{answer:?}");
            answer.is_well_formed(false)?;
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let parts: Vec<_> = (0..THREADS).map(|_| scope.spawn(part)).collect();
        parts.into_iter().try_for_each(|part| part.join().unwrap_or_else(|_| anyhow::bail!("a client panicked")))
    })
}
