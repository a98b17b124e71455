//! Removes what is no longer needed, in the background and in small bites: records beyond their age, and on compacted
//! topics all but the last record of each key. Decides only; the writers remove.
//!
//! Never removes the newest record of a partition, from which the next offset is known after a restart.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError};
use rustc_hash::FxHashMap;
use schemas::topic::{Cleanup, DELETE_RETENTION_MS, MIN_COMPACTION_LAG_MS, Topic};

use super::writer::Command;
use super::{Shared, codec};
use crate::clock::now_ms;
use crate::config::EmbeddedConfig;
use crate::{LogError, metrics};

/// Keys that one pass remembers, at about 100 bytes: what is beyond waits for the next pass.
const MAX_KEYS: usize = 1_000_000;
/// Offsets in one removal.
const BITE: usize = 1_000;
/// How often the lag of groups is told, and whether to clean is asked.
const TICK: Duration = Duration::from_secs(1);
/// A queue that is full for so long is busy: what was not removed is found again.
const PATIENCE: Duration = Duration::from_secs(5);
/// A partition is compacted when half of it is new, but at least so often: tombstones and statements that were replaced
/// leave in time.
const AT_LEAST_EVERY: Duration = Duration::from_secs(3_600);

/// When a record may go, in milliseconds.
#[derive(Clone, Copy, Debug)]
struct Policy {
    /// By age.
    retention_ms: Option<i64>,
    /// By a newer record of its key, when that is so old.
    min_lag_ms: Option<i64>,
    /// A tombstone, when it is so old.
    tombstones_ms: i64,
}

impl Policy {
    fn of(topic: Topic, config: &EmbeddedConfig) -> Self {
        let ms = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        let lag = |shipped: i64| Some(config.min_compaction_lag.map_or(shipped, ms));
        let age = |shipped: i64| Some(config.retention.map_or(shipped, ms));
        let (retention_ms, min_lag_ms) = match topic.cleanup() {
            // Negative: for ever.
            Cleanup::Delete { retention_ms } if retention_ms < 0 => (None, None),
            Cleanup::Delete { retention_ms } => (age(retention_ms), None),
            Cleanup::Compact { min_lag_ms, .. } => (None, lag(min_lag_ms)),
            Cleanup::CompactDelete { retention_ms } => (age(retention_ms), lag(MIN_COMPACTION_LAG_MS)),
        };
        Self { retention_ms, min_lag_ms, tombstones_ms: config.delete_retention.map_or(DELETE_RETENTION_MS, ms) }
    }
}

/// One pass over a partition: first learns the newest offset of each key, then says which records may go.
struct Compaction {
    now_ms: i64,
    min_lag_ms: i64,
    tombstones_ms: i64,
    latest: FxHashMap<Vec<u8>, u64>,
}

impl Compaction {
    /// `false`: this record, and all after it, are not looked at in this pass.
    fn learn(&mut self, offset: u64, append_time_ms: i64, key: Option<&[u8]>) -> bool {
        if append_time_ms > self.now_ms - self.min_lag_ms {
            return false;
        }
        // Compacted topics have keys; a record without one is nobody's successor.
        let Some(key) = key else { return true };
        if let Some(latest) = self.latest.get_mut(key) {
            *latest = offset;
            return true;
        }
        self.latest.len() < MAX_KEYS && self.latest.insert(key.to_vec(), offset).is_none()
    }

    fn may_go(&self, offset: u64, append_time_ms: i64, key: Option<&[u8]>, is_tombstone: bool) -> bool {
        let is_replaced = key.and_then(|key| self.latest.get(key)).is_some_and(|latest| *latest > offset);
        is_replaced || (is_tombstone && append_time_ms <= self.now_ms - self.min_lag_ms.max(self.tombstones_ms))
    }
}

/// What a partition looked like after its last pass.
struct Cleaned {
    to: u64,
    kept: u64,
    at: Instant,
}

pub(super) struct Cleaner {
    shared: Arc<Shared>,
    every: Duration,
    policies: Vec<(Topic, Policy)>,
    cleaned: BTreeMap<(Topic, u32), Cleaned>,
    stop: Receiver<()>,
}

impl Cleaner {
    pub(super) fn new(config: &EmbeddedConfig, shared: Arc<Shared>, stop: Receiver<()>) -> Self {
        let policies = Topic::ALL.map(|topic| (topic, Policy::of(topic, config))).into();
        Self { shared, every: config.compact_every, policies, cleaned: BTreeMap::new(), stop }
    }

    /// Until the log closes.
    pub(super) fn run(mut self) {
        let mut looked_at = Instant::now();
        while self.stop.recv_timeout(TICK.min(self.every)) == Err(RecvTimeoutError::Timeout) {
            self.tell_lag();
            if looked_at.elapsed() < self.every {
                continue;
            }
            looked_at = Instant::now();
            for (topic, policy) in self.policies.clone() {
                for partition in 0..self.shared.heads.partitions(topic) {
                    if self.is_stopped() {
                        return;
                    }
                    if let Err(error) = self.clean(topic, partition, policy) {
                        tracing::warn!(%error, "{topic}/{partition}: old records were not removed; they are looked for again");
                    }
                }
            }
        }
    }

    fn is_stopped(&self) -> bool {
        !matches!(self.stop.try_recv(), Err(crossbeam_channel::TryRecvError::Empty))
    }

    fn tell_lag(&self) {
        for (group, topic) in self.shared.groups.readers() {
            for partition in 0..self.shared.heads.partitions(topic) {
                let (head, _) = self.shared.heads.get(topic, partition);
                let committed = self.shared.groups.committed(&group, topic, partition).unwrap_or(0);
                metrics::lag(&group, topic, partition).set(head.saturating_sub(committed) as f64);
            }
        }
    }

    fn clean(&mut self, topic: Topic, partition: u32, policy: Policy) -> Result<(), LogError> {
        // The newest record stays.
        let end = self.shared.heads.get(topic, partition).0.saturating_sub(1);
        let now_ms = now_ms();
        if let Some(retention_ms) = policy.retention_ms {
            let mut old = Bites::new(&self.shared, topic, partition);
            self.shared.volume(topic).scan(topic, partition, (0, end), |offset, bytes| {
                let is_old = codec::summary(bytes).is_some_and(|(time, _, _)| time < now_ms - retention_ms);
                Ok(is_old && old.remove(offset) && !self.is_stopped())
            })?;
            old.finish();
        }
        match policy.min_lag_ms {
            Some(min_lag_ms) => self.compact(topic, partition, end, min_lag_ms, policy.tombstones_ms, now_ms),
            None => Ok(()),
        }
    }

    fn compact(
        &mut self,
        topic: Topic,
        partition: u32,
        end: u64,
        min_lag_ms: i64,
        tombstones_ms: i64,
        now_ms: i64,
    ) -> Result<(), LogError> {
        let last = self.cleaned.get(&(topic, partition));
        let from = last.map_or(0, |last| last.to);
        let is_due = last.is_none_or(|last| {
            let new = end.saturating_sub(last.to);
            (new > 0 && new >= last.kept / 2) || last.at.elapsed() >= AT_LEAST_EVERY
        });
        if !is_due {
            return Ok(());
        }
        let mut compaction = Compaction { now_ms, min_lag_ms, tombstones_ms, latest: FxHashMap::default() };
        let volume = self.shared.volume(topic);
        let mut to = from;
        volume.scan(topic, partition, (from, end), |offset, bytes| {
            let learned = codec::summary(bytes).is_none_or(|(time, key, _)| compaction.learn(offset, time, key));
            if learned {
                to = offset + 1;
            }
            Ok(learned && !self.is_stopped())
        })?;
        let (mut old, mut kept) = (Bites::new(&self.shared, topic, partition), 0);
        let mut whole = true;
        volume.scan(topic, partition, (0, to), |offset, bytes| {
            let goes = codec::summary(bytes)
                .is_some_and(|(time, key, is_tombstone)| compaction.may_go(offset, time, key, is_tombstone));
            kept += u64::from(!goes);
            whole = (!goes || old.remove(offset)) && !self.is_stopped();
            Ok(whole)
        })?;
        if old.finish() && whole {
            self.cleaned.insert((topic, partition), Cleaned { to, kept, at: Instant::now() });
        }
        Ok(())
    }
}

/// Gathers offsets and hands them to the writer in bites.
struct Bites<'a> {
    shared: &'a Shared,
    topic: Topic,
    partition: u32,
    offsets: Vec<u64>,
}

impl<'a> Bites<'a> {
    fn new(shared: &'a Shared, topic: Topic, partition: u32) -> Self {
        Self { shared, topic, partition, offsets: Vec::new() }
    }

    /// `false`: the writer is too busy.
    fn remove(&mut self, offset: u64) -> bool {
        self.offsets.push(offset);
        self.offsets.len() < BITE || self.hand_over()
    }

    fn finish(mut self) -> bool {
        self.offsets.is_empty() || self.hand_over()
    }

    fn hand_over(&mut self) -> bool {
        let offsets = std::mem::take(&mut self.offsets);
        let count = offsets.len() as u64;
        let command = Command::Remove { topic: self.topic, partition: self.partition, offsets };
        let handed = self.shared.lane(self.topic).queue.send_timeout(command, PATIENCE).is_ok();
        if handed {
            metrics::record_compacted(self.topic, count);
        }
        handed
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    /// Key, tombstone, and milliseconds since the record before it.
    type Line = (u8, bool, i64);

    /// What one pass leaves of a partition; offset, time, key and tombstone.
    fn pass(log: &[(u64, i64, u8, bool)], now_ms: i64, lag: i64, tombstones: i64) -> Vec<(u64, i64, u8, bool)> {
        let mut compaction =
            Compaction { now_ms, min_lag_ms: lag, tombstones_ms: tombstones, latest: FxHashMap::default() };
        let end = log.last().map_or(0, |record| record.0);
        let mut to = 0;
        for (offset, time, key, _) in log.iter().filter(|record| record.0 < end) {
            if !compaction.learn(*offset, *time, Some(&[*key])) {
                break;
            }
            to = offset + 1;
        }
        let goes = |r: &(u64, i64, u8, bool)| r.0 < to && compaction.may_go(r.0, r.1, Some(&[r.2]), r.3);
        log.iter().copied().filter(|record| !goes(record)).collect()
    }

    proptest! {
        #[test]
        fn a_pass_keeps_what_the_fold_of_the_log_needs(
            lines in prop::collection::vec((0..6_u8, any::<bool>(), 0..50_i64), 1..80),
            (lag, tombstones, later) in (0..300_i64, 0..600_i64, 0..900_i64),
        ) {
            let mut time = 0;
            let log: Vec<(u64, i64, u8, bool)> = lines.iter().enumerate().map(|(offset, (key, tombstone, gap)): (usize, &Line)| {
                time += gap;
                (offset as u64, time, *key, *tombstone)
            }).collect();
            let now = time + later;
            let left = pass(&log, now, lag, tombstones);
            prop_assert_eq!(left.last(), log.last(), "the newest record stays");
            let young = |r: &&(u64, i64, u8, bool)| r.1 > now - lag;
            prop_assert!(log.iter().filter(young).all(|r| left.contains(r)), "what is younger than the lag stays");
            let fold = |log: &[(u64, i64, u8, bool)]| -> BTreeMap<u8, (u64, bool)> {
                log.iter().map(|r| (r.2, (r.0, r.3))).collect()
            };
            let (before, after) = (fold(&log), fold(&left));
            for (key, (offset, is_tombstone)) in before {
                match after.get(&key) {
                    Some(kept) => prop_assert_eq!(*kept, (offset, is_tombstone)),
                    None => {
                        let time = log[offset as usize].1;
                        prop_assert!(is_tombstone && time <= now - tombstones, "key {} is lost", key);
                    }
                }
            }
            // Once everything but the newest is old, one record per key is left.
            let settled = pass(&log, now + 10_000, lag, 1 << 40);
            let keys: BTreeSet<u8> = settled[..settled.len() - 1].iter().map(|r| r.2).collect();
            prop_assert_eq!(keys.len(), settled.len() - 1);
        }
    }

    #[test]
    fn policies_are_those_of_kafka_unless_told_otherwise() {
        let mut config = EmbeddedConfig::default();
        let policy = Policy::of(Topic::Preferences, &config);
        assert_eq!((policy.retention_ms, policy.min_lag_ms), (None, Some(86_400_000)));
        assert_eq!(Policy::of(Topic::ScorerClaims, &config).retention_ms, None);
        config.min_compaction_lag = Some(Duration::from_secs(1));
        assert_eq!(Policy::of(Topic::Preferences, &config).min_lag_ms, Some(1_000));
        assert_eq!(Policy::of(Topic::ListingsRaw, &config).min_lag_ms, None);
    }
}
