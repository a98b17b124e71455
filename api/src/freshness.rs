//! Up to when each shard has applied the logs: the `as_of` of every recommendation, and whether the store answers.
//!
//! Read in the background once a second, so that a read of a recommendation is one row.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant as Moment};

use schemas::cells::ShardCell;
use schemas::units::Instant;
use store::{Row, StoreError, Tables};

/// How often the rows of `shards` are read (DESIGN §8: cached for 1 s).
pub const EVERY: Duration = Duration::from_secs(1);

/// What was last read of `shards`.
#[derive(Debug)]
pub struct Freshness {
    seen: Mutex<Seen>,
}

#[derive(Debug)]
struct Seen {
    caught_up_at: Vec<Option<Instant>>,
    /// Since when, and why, the store does not answer.
    away: Option<(Moment, String)>,
}

impl Freshness {
    /// Nothing is known yet of `shards` shards.
    pub fn new(shards: u32) -> Self {
        let away = Some((Moment::now(), "the store was not asked yet".to_owned()));
        Self { seen: Mutex::new(Seen { caught_up_at: vec![None; shards as usize], away }) }
    }

    /// Up to when the shard has applied the logs; `None` when nobody has said so yet.
    pub fn as_of(&self, shard: u32) -> Option<Instant> {
        self.seen().caught_up_at.get(shard as usize).copied().flatten()
    }

    /// `Err` while the store does not answer, with the reason and since when.
    pub fn ready(&self) -> Result<(), String> {
        match &self.seen().away {
            None => Ok(()),
            Some((since, reason)) => Err(format!("{reason}, for {} s", since.elapsed().as_secs())),
        }
    }

    /// Reads `shards` once.
    pub async fn refresh(&self, tables: &Tables) {
        let shards = self.seen().caught_up_at.len() as u32;
        let reads = (0..shards).map(|shard| tables.read(Row::Shard(shard)));
        let cells = futures::future::try_join_all(reads).await;
        self.take(cells.map(|cells| {
            cells.into_iter().map(|cell| serde_json::from_str::<ShardCell>(&cell?.json).ok().map(|c| c.caught_up_at))
        }));
    }

    fn take(&self, outcome: Result<impl Iterator<Item = Option<Instant>>, StoreError>) {
        let mut seen = self.seen();
        match outcome {
            Ok(times) => {
                if let Some((since, _)) = seen.away.take() {
                    tracing::info!("the store answers, after {} ms", since.elapsed().as_millis());
                }
                seen.caught_up_at = times.collect();
            }
            // The old times stay: they grow stale by themselves.
            Err(error) => match &mut seen.away {
                Some((_, reason)) => *reason = error.to_string(),
                None => {
                    tracing::warn!("the store does not answer, reads get 503 until it does: {error}");
                    seen.away = Some((Moment::now(), error.to_string()));
                }
            },
        }
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        // Nothing can panic while it is held.
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether something that was true at `as_of` is stale at `now_ms`.
pub fn is_stale(as_of: Option<Instant>, now_ms: i64, stale_after: Duration) -> bool {
    let limit = i64::try_from(stale_after.as_millis()).unwrap_or(i64::MAX);
    as_of.is_none_or(|as_of| now_ms.saturating_sub(as_of.ms()) > limit)
}

/// Keeps `freshness` fresh, for ever.
pub async fn keep(freshness: std::sync::Arc<Freshness>, tables: Tables) {
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        freshness.refresh(&tables).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_is_stale_after_ten_seconds_or_when_nobody_said_when_it_was_true() {
        let at = Instant::from_ms(1_000_000);
        let ten = Duration::from_secs(10);
        assert!(!is_stale(at, 1_010_000, ten));
        assert!(is_stale(at, 1_010_001, ten));
        assert!(!is_stale(at, 0, ten), "a clock behind the scorer's is no reason");
        assert!(is_stale(None, 0, ten));
    }

    #[test]
    fn a_store_that_goes_away_keeps_its_old_times_and_is_not_ready() {
        let freshness = Freshness::new(1);
        assert!(freshness.ready().is_err());
        let at = Instant::from_ms(5);
        freshness.take(Ok([at].into_iter()));
        assert_eq!((freshness.as_of(0), freshness.ready()), (at, Ok(())));
        freshness.take(Err::<std::iter::Empty<_>, _>(StoreError::Unavailable("no node at 127.0.0.1:9042".into())));
        assert_eq!(freshness.as_of(0), at);
        assert_eq!(freshness.ready().unwrap_err(), "the store does not answer: no node at 127.0.0.1:9042, for 0 s");
        assert_eq!(freshness.as_of(7), None);
    }
}
