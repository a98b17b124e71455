//! Thousands that listen: every client holds a stream of server-sent events of a session of its own, and every session's only home
//! changes its price once a second. How many changes are told, how late, and whether everybody knows the last one at the end.
//!
//! A change counts from the moment before its feed pushes it. Who is told late gets the newest state and not those between: what
//! was overtaken is counted, and is no loss.

use std::sync::Arc;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use e2e::harness::until;
use schemas::id::SessionToken;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::house::Roost;
use crate::http::{bearer, request, with_body};
use crate::machine;
use crate::market::now_ms;
use crate::probes::{self, LISTINGS};
use crate::spread::Spread;

/// Changes before it counts.
const WARM: Duration = Duration::from_secs(5);
/// What counts.
const TIME: Duration = Duration::from_secs(15);
/// Between two pushes of the feed.
const TICK: Duration = Duration::from_millis(50);
/// How long the first row, or the last change, may take to reach everybody.
const PATIENCE: Duration = Duration::from_secs(120);
/// Nobody was told anything for so long: nothing more will come.
const STILL: Duration = Duration::from_secs(5);

/// What the listeners saw.
pub struct Heard {
    /// Clients.
    pub clients: usize,
    /// Changes a second that were due to be told, over all clients.
    pub due: f64,
    /// Events a second that were told.
    pub told: f64,
    /// Milliseconds from push to client.
    pub late: Spread,
    /// Clients whose last state is not the last one of their home.
    pub missed: usize,
    /// Kilobytes of memory of the API's process for each client.
    pub kilobytes: f64,
    /// Share of one core that the API's process took.
    pub cores: f64,
}

/// When each change was pushed, and what each client was told.
struct Scene {
    begun: Instant,
    /// Nanoseconds from `begun`, by change.
    pushed: Vec<OnceLock<u64>>,
}

impl Scene {
    fn now(&self) -> u64 {
        // A run of 500 years is not planned.
        self.begun.elapsed().as_nanos() as u64
    }
}

/// What one client was told: changes and when.
type Told = Vec<(usize, u64)>;

/// Listens with so many clients.
pub fn measure(roost: &Roost, clients: usize) -> Result<Heard> {
    // Of every home once, so that it is there; then each once a second.
    let steps = ((WARM + TIME).as_secs_f64() / TICK.as_secs_f64()) as usize;
    let at_once = (LISTINGS as f64 * TICK.as_secs_f64()).round() as usize;
    let changes = LISTINGS + steps * at_once;
    let scene = Arc::new(Scene { begun: Instant::now(), pushed: (0..changes).map(|_| OnceLock::new()).collect() });
    let mut feed = roost.publisher("bench")?;
    let mut push = |from: usize, to: usize| -> Result<()> {
        let now = scene.now();
        for change in from..to {
            // Each is pushed once.
            let _ = scene.pushed[change].set(now);
        }
        feed.push((from..to).map(|change| probes::record(change, now_ms()).value.unwrap_or_default()))
    };
    push(0, LISTINGS)?;
    let (listings, sessions) = (roost.metric("roost_listings_known")?, roost.metric("roost_sessions_active")?);
    let statement = |client| {
        with_body(
            "POST",
            &roost.api,
            "/api/v1/preferences",
            &bearer(token(client)),
            probes::wish(client % LISTINGS).as_bytes(),
        )
    };
    roost.post((0..clients).map(statement).collect())?;
    roost.settle("roost_listings_known", (listings as usize).max(LISTINGS))?;
    roost.settle("roost_sessions_active", sessions as usize)?;

    let before = machine::resident_mb(roost.pid)?;
    let runtime = crate::services::runtime()?;
    let listeners: Vec<_> = (0..clients)
        .map(|client| {
            let ask = request(
                &roost.api,
                "/api/v1/recommendations/stream",
                &format!("{}Accept: text/event-stream\r\n", bearer(token(client))),
            );
            let told = Arc::new(std::sync::Mutex::new(Told::new()));
            let task = runtime.spawn(listen(roost.api.clone(), ask, Arc::clone(&scene), Arc::clone(&told)));
            (task, told)
        })
        .collect();
    let have = |least: usize| {
        let knows =
            |told: &Arc<std::sync::Mutex<Told>>| locked(told).last().is_some_and(|(change, _)| *change >= least);
        listeners.iter().filter(|(_, told)| knows(told)).count()
    };
    until(&format!("{clients} clients were told what is there"), PATIENCE, || {
        if let Some((task, _)) = listeners.iter().find(|(task, _)| task.is_finished()) {
            anyhow::bail!("a stream ended early: {:?}", task.is_finished());
        }
        Ok((have(0) == clients).then_some(()))
    })?;
    let kilobytes = (machine::resident_mb(roost.pid)? - before) * 1_024.0 / clients as f64;

    let warm = (WARM.as_secs_f64() / TICK.as_secs_f64()) as usize;
    let (begun, mut counted_from, mut used) = (Instant::now(), 0, 0.0);
    for step in 0..steps {
        if step == warm {
            (counted_from, used) = (scene.now(), machine::cpu_seconds(roost.pid)?);
        }
        let due = TICK * step as u32;
        while begun.elapsed() < due {
            std::thread::park_timeout(due.saturating_sub(begun.elapsed()));
        }
        let from = LISTINGS + step * at_once;
        push(from, from + at_once)?;
    }
    let counted_to = scene.now();
    let seconds = (counted_to - counted_from) as f64 / 1e9;
    let cores = (machine::cpu_seconds(roost.pid)? - used) / seconds;
    // The last LISTINGS changes are one of each home.
    let mut count = (0, Instant::now());
    until("the last change is told", PATIENCE, || {
        let know = have(changes - LISTINGS);
        if know != count.0 {
            count = (know, Instant::now());
        }
        Ok((know == clients || count.1.elapsed() > STILL).then_some(()))
    })?;
    let told: Vec<Told> = listeners.iter().map(|(_, told)| locked(told).clone()).collect();
    for (task, _) in listeners {
        task.abort();
    }
    heard(&scene, &told, counted_from..counted_to, (WARM, changes), kilobytes, cores)
}

fn heard(
    scene: &Scene,
    told: &[Told],
    counted: std::ops::Range<u64>,
    (warm, changes): (Duration, usize),
    kilobytes: f64,
    cores: f64,
) -> Result<Heard> {
    let first = LISTINGS + (LISTINGS as f64 * warm.as_secs_f64()).round() as usize;
    let (mut late, mut events) = (Vec::new(), 0);
    for (change, at) in told.iter().flatten() {
        let pushed = *scene.pushed.get(*change).and_then(OnceLock::get).context("a change that nobody pushed")?;
        events += usize::from(counted.contains(at));
        if *change >= first {
            late.push(at.saturating_sub(pushed) as f64 / 1e6);
        }
    }
    let missed = told.iter().enumerate().filter(|(client, told)| {
        // Its home's last change.
        let last = changes - LISTINGS + (client + LISTINGS - changes % LISTINGS) % LISTINGS;
        told.last().is_none_or(|(change, _)| *change != last)
    });
    let seconds = (counted.end - counted.start) as f64 / 1e9;
    ensure!(seconds > 0.0, "no time has passed");
    Ok(Heard {
        clients: told.len(),
        due: told.len() as f64,
        told: events as f64 / seconds,
        missed: missed.count(),
        late: Spread::of(late),
        kilobytes,
        cores,
    })
}

fn token(client: usize) -> SessionToken {
    SessionToken::from_bits(0x5E55_0000_0000 + client as u128)
}

fn locked(told: &std::sync::Mutex<Told>) -> std::sync::MutexGuard<'_, Told> {
    // Nothing can panic while it is held.
    told.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// One client; ends with its stream, and then says why.
async fn listen(address: String, ask: Vec<u8>, scene: Arc<Scene>, told: Arc<std::sync::Mutex<Told>>) -> Result<()> {
    let mut stream = TcpStream::connect(&address).await?;
    stream.write_all(&ask).await?;
    let mut text = Vec::with_capacity(8 * 1_024);
    loop {
        if stream.read_buf(&mut text).await? == 0 {
            anyhow::bail!("the stream ended: {}", String::from_utf8_lossy(&text));
        }
        let at = scene.now();
        // Events end with an empty line; what frames the chunks stands between them.
        while let Some(end) = text.windows(2).position(|window| window == b"\n\n") {
            if let Some(change) = probes::shown(&text[..end]) {
                locked(&told).push((change, at));
            }
            text.drain(..end + 2);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_does_not_know_the_last_change_of_its_home_has_missed_it() {
        let changes = LISTINGS * 3;
        let scene = Scene { begun: Instant::now(), pushed: (0..changes).map(|_| OnceLock::new()).collect() };
        for pushed in &scene.pushed {
            pushed.set(1_000_000).unwrap();
        }
        // Clients 0 and 1 watch homes 0 and 1: the first knows the last change, the second the one before.
        let told = [vec![(0, 2_000_000), (LISTINGS * 2, 4_000_000)], vec![(LISTINGS + 1, 4_000_000)]];
        let heard = heard(&scene, &told, 3_000_000..1_003_000_000, (Duration::ZERO, changes), 1.0, 0.5).unwrap();
        assert_eq!((heard.missed, heard.clients), (1, 2));
        assert!((heard.told - 2.0).abs() < 0.01, "{}", heard.told);
        assert_eq!(heard.late.at(1.0), 3.0);
    }
}
