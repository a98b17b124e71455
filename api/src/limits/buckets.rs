//! One token bucket per key, for a bounded number of keys. `governor` has the arithmetic; here is where the buckets are.
//!
//! A bucket is eight bytes beside its key. A full bucket is as good as none, so those are swept out when room is needed; while there is
//! none, further keys share one bucket per shard: an attacker with endless keys limits himself and other newcomers, not those who were
//! there before.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use governor::clock::{Clock as _, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::nanos::Nanos;
use governor::state::StateStore;
use governor::{Quota, RateLimiter};

use crate::config::Rate;

/// Independent parts, each with its lock: more than cores.
const SHARDS: usize = 16;
/// Most keys of one shard: 65,536 in all, about 2 MB per limit.
const MAX_KEYS: usize = 4_096;
/// Shortest time between two sweeps of one shard, which look at all of its keys: some 20 µs.
const SWEEP_EVERY: u64 = Duration::from_millis(100).as_nanos() as u64;
/// The key of all for whom there is no room.
const CROWD: u64 = 0;

/// The buckets of one limit.
struct Buckets {
    shards: [Mutex<Shard>; SHARDS],
    /// What one request costs, in nanoseconds of refilling.
    cost: u64,
}

#[derive(Default)]
struct Shard {
    /// When each bucket is full again, in nanoseconds since the start.
    full_at: HashMap<u64, u64>,
    /// No sweep before.
    next_sweep: u64,
}

impl Shard {
    /// Where the bucket of a new key goes.
    fn place(&mut self, key: u64, now: u64) -> u64 {
        if self.full_at.len() >= MAX_KEYS && now >= self.next_sweep {
            self.full_at.retain(|_, full_at| *full_at > now);
            self.next_sweep = now + SWEEP_EVERY;
        }
        if self.full_at.len() < MAX_KEYS { key } else { CROWD }
    }
}

impl StateStore for Buckets {
    type Key = u64;

    fn measure_and_replace<T, F, E>(&self, key: &u64, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        // Nothing can panic while it is held.
        let mut shard = self.shards[*key as usize % SHARDS].lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(full_at) = shard.full_at.get_mut(key) {
            let (told, next) = decide(Some(Nanos::from(*full_at)))?;
            *full_at = next.as_u64();
            return Ok(told);
        }
        let (told, next) = decide(None)?;
        let place = shard.place(*key, next.as_u64() - self.cost.min(next.as_u64()));
        // The bucket of the crowd may be there.
        let (told, next) = match shard.full_at.get(&place).copied() {
            Some(full_at) => decide(Some(Nanos::from(full_at)))?,
            None => (told, next),
        };
        shard.full_at.insert(place, next.as_u64());
        Ok(told)
    }
}

/// How a request stands with one limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It may go on; so many more may at once.
    Admitted(u32),
    /// It may not before so long.
    Refused(Duration),
}

/// One limit for many keys.
pub struct Limit {
    limiter: RateLimiter<u64, Buckets, DefaultClock, StateInformationMiddleware>,
}

impl Limit {
    /// `None` for a rate of zero, which means none.
    pub fn new(rate: Rate) -> Option<Self> {
        let quota = quota(rate)?;
        let cost = u64::try_from(quota.replenish_interval().as_nanos()).unwrap_or(u64::MAX);
        let buckets = Buckets { shards: Default::default(), cost };
        Some(Self { limiter: RateLimiter::new(quota, buckets, DefaultClock::default()) })
    }

    /// Takes one token of the key's bucket, if there is one. The key is a hash that no client can foresee.
    pub fn ask(&self, key: u64) -> Standing {
        match self.limiter.check_key(&key) {
            Ok(state) => Standing::Admitted(state.remaining_burst_capacity()),
            Err(not_until) => Standing::Refused(not_until.wait_time_from(DefaultClock::default().now())),
        }
    }
}

fn quota(Rate { per_second, burst }: Rate) -> Option<Quota> {
    let (per_second, burst) = (std::num::NonZeroU32::new(per_second)?, std::num::NonZeroU32::new(burst)?);
    Some(Quota::per_second(per_second).allow_burst(burst))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_admitted_and_then_what_the_rate_refills() {
        let limit = Limit::new(Rate { per_second: 1, burst: 3 }).unwrap();
        let standings: Vec<Standing> = (0..4).map(|_| limit.ask(7)).collect();
        assert_eq!(standings[..3], [Standing::Admitted(2), Standing::Admitted(1), Standing::Admitted(0)]);
        let Standing::Refused(wait) = standings[3] else { panic!("{standings:?}") };
        assert!(wait > Duration::from_millis(500) && wait <= Duration::from_secs(1), "{wait:?}");
        assert_eq!(limit.ask(8), Standing::Admitted(2), "another key");
    }

    #[test]
    fn a_rate_of_zero_is_no_limit() {
        assert!(Limit::new(Rate { per_second: 0, burst: 3 }).is_none());
    }

    #[test]
    fn endless_keys_need_bounded_room_and_leave_alone_who_was_there() {
        let limit = Limit::new(Rate { per_second: 1, burst: 2 }).unwrap();
        let early = u64::MAX;
        assert_eq!(limit.ask(early), Standing::Admitted(1));
        let refused = (1..200_000_u64).filter(|key| matches!(limit.ask(*key), Standing::Refused(_))).count();
        assert!(refused > 100_000, "{refused} of those without room share a bucket");
        assert_eq!(limit.ask(early), Standing::Admitted(0));
        let buckets = limit.limiter.into_state_store();
        let kept: usize = buckets.shards.iter().map(|shard| shard.lock().unwrap().full_at.len()).sum();
        assert!(kept <= SHARDS * (MAX_KEYS + 1), "{kept}");
    }

    #[test]
    fn full_buckets_are_swept_out_when_room_is_needed() {
        let full_at = (1..=MAX_KEYS as u64).map(|key| (key, 100 + key)).collect();
        let mut shard = Shard { full_at, ..Shard::default() };
        assert_eq!(shard.place(9_999_999, 50), CROWD, "none is full yet");
        assert_eq!(shard.place(9_999_999, 200), CROWD, "a sweep was just now");
        assert_eq!(shard.place(9_999_999, 50 + SWEEP_EVERY), 9_999_999);
        assert!(shard.full_at.is_empty());
    }
}
