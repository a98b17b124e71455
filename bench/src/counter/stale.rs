//! How old the prices are that a session sees: the price of its best listing changes, the session asks ten times a second, and
//! the clock stops when the answer shows it.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::points::seen;
use crate::http::Connection;
use crate::spread::Spread;

/// Between two questions of a session.
const EVERY: Duration = Duration::from_millis(100);
/// Threads that ask, each for its share of the sessions.
const THREADS: usize = 4;

/// A session that is watched.
pub struct Watched {
    /// Asks for its three best.
    pub ask: Vec<u8>,
    /// Its best listing.
    pub listing: String,
    /// The price that it will have.
    pub price: f64,
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
