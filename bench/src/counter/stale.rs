//! How old the prices are that a session sees: the price of its best listing changes, the session asks ten times a second, and
//! the clock stops when the answer shows it.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::points::{ASKED, seen};
use super::town::Town;
use crate::http::Connection;
use crate::report::{Line, line};
use crate::spread::Spread;

/// Between two questions of a session.
const EVERY: Duration = Duration::from_millis(100);
/// Threads that ask, each for its share of the sessions.
const THREADS: usize = 4;
/// Sessions whose prices are watched.
const WATCHED: usize = 24;

/// A session that is watched.
pub struct Watched {
    /// Asks for its three best.
    pub ask: Vec<u8>,
    /// Its best listing.
    pub listing: String,
    /// The price that it will have.
    pub price: f64,
}

/// Sessions that have a best listing, each another one, and what they see.
pub fn watched(
    address: &str,
    town: &Town,
    ask: impl Fn(&synthetic::Session) -> Vec<u8>,
) -> Result<Vec<(Watched, Vec<u8>, String)>> {
    let (mut connection, mut body) = (Connection::open(address)?, Vec::new());
    let (mut found, mut listings) = (Vec::new(), Vec::new());
    for session in &town.sessions[..ASKED] {
        let ask = ask(session);
        ensure!(connection.ask(&ask, &mut body)? == 200, "{address}: {}", String::from_utf8_lossy(&body));
        let Some((listing, now)) = seen(&body)?.items.into_iter().next() else { continue };
        if found.len() < WATCHED && !listings.contains(&listing) {
            let (event, price) = town.cheaper(&listing, now)?;
            listings.push(listing.clone());
            found.push((Watched { ask, listing, price: price as f64 }, event.json(), event.feed().to_owned()));
        }
    }
    ensure!(found.len() == WATCHED, "only {} sessions have a best listing of their own", found.len());
    Ok(found)
}

/// Asks for every session until it has seen its change. Each begins at its own time within `spread`, so that caches are of every age
/// when `change` is called, at the end of it. Milliseconds from then on; who has not seen it within `patience` is counted as that.
pub fn measure(
    address: &str,
    watched: &[Watched],
    spread: Duration,
    patience: Duration,
    change: impl FnOnce() -> Result<()>,
) -> Result<(Spread, usize)> {
    ensure!(!watched.is_empty(), "nobody is watched");
    let begun = Instant::now();
    let changed: Mutex<Option<Instant>> = Mutex::new(None);
    // Nothing can panic while it is held.
    let when = || *changed.lock().unwrap_or_else(PoisonError::into_inner);
    let outcomes = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                let when = &when;
                let mine: Vec<(usize, &Watched)> = watched.iter().enumerate().skip(thread).step_by(THREADS).collect();
                scope.spawn(move || {
                    let starts = mine.iter().map(|(number, _)| spread.mul_f64(*number as f64 / watched.len() as f64));
                    let starts: Vec<Duration> = starts.collect();
                    let sessions: Vec<&Watched> = mine.iter().map(|(_, session)| *session).collect();
                    look(address, &sessions, &starts, begun, patience, when)
                })
            })
            .collect();
        while begun.elapsed() < spread {
            std::thread::park_timeout(spread.saturating_sub(begun.elapsed()));
        }
        // From before it is handed over, as with all other times here.
        *changed.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        change()?;
        let outcomes =
            threads.into_iter().map(|thread| thread.join().map_err(|_| anyhow::anyhow!("a session panicked"))?);
        outcomes.collect::<Result<Vec<_>>>()
    })?;
    let times: Vec<Option<f64>> = outcomes.into_iter().flatten().collect();
    let unseen = times.iter().filter(|time| time.is_none()).count();
    Ok((Spread::of(times.into_iter().flatten().collect()), unseen))
}

/// What came of it, as a line.
pub fn said(server: &str, (times, unseen): &(Spread, usize)) -> Line {
    let [median, p90, most] = [0.5, 0.9, 1.0].map(|share| times.at(share) / 1e3);
    line(
        format!(
            "{server}: the price of a session's best home changes, until a poll every 100 ms shows it, median / p90 / most"
        ),
        format!("{median:.2} / {p90:.2} / {most:.2} s ({} sessions, {unseen} never)", times.len() + unseen),
        "roost: never more than a second",
    )
}

fn look(
    address: &str,
    sessions: &[&Watched],
    starts: &[Duration],
    begun: Instant,
    patience: Duration,
    when: &dyn Fn() -> Option<Instant>,
) -> Result<Vec<Option<f64>>> {
    let (mut connection, mut body) = (Connection::open(address)?, Vec::new());
    let mut outcomes: Vec<Option<Option<f64>>> = vec![None; sessions.len()];
    while outcomes.iter().any(Option::is_none) {
        let round = Instant::now();
        for ((session, start), outcome) in sessions.iter().zip(starts).zip(&mut outcomes) {
            if outcome.is_some() || begun.elapsed() < *start {
                continue;
            }
            let status = connection.ask(&session.ask, &mut body)?;
            ensure!(status == 200, "{address}: {status}");
            let Some(changed) = when() else { continue };
            let found = seen(&body)?.items.into_iter().find(|(id, _)| *id == session.listing);
            if found.with_context(|| format!("{} is no longer among the three", session.listing))?.1 == session.price {
                *outcome = Some(Some(changed.elapsed().as_secs_f64() * 1e3));
            } else if changed.elapsed() > patience {
                *outcome = Some(None);
            }
        }
        std::thread::park_timeout(EVERY.saturating_sub(round.elapsed()));
    }
    Ok(outcomes.into_iter().flatten().collect())
}
