//! What was observed of every market's day: the newest observation, whatever order the log has them in, and which ones the
//! log must be told again so that compaction keeps them (log read-repair, DESIGN §3).
//!
//! Pure. Does not know who observes a market, nor what its numbers are made of.

use std::collections::{BTreeMap, BTreeSet};

use schemas::id::Market;
use schemas::market_day::MarketDay;
use schemas::vocabulary::Transaction;
use stream::Record;

/// Most observations to append again at a time; the rest a second later.
const MAX_REPAIRS: usize = 1_000;

/// Which market's day.
pub type DayKey = (Market, Transaction, jiff::civil::Date);

/// All observations of `market.days`.
#[derive(Debug, Default)]
pub struct Days {
    known: BTreeMap<DayKey, MarketDay>,
    /// Days whose last record on the log is older than what is known, each with whether the newest was appended again and
    /// has not been read back.
    regressed: BTreeMap<DayKey, bool>,
    /// Partitions with nothing left to read.
    at_end: BTreeSet<u32>,
}

impl Days {
    /// Takes the next record of a partition. Returns the day that it is the newest observation of.
    pub fn take(&mut self, record: &Record) -> Option<DayKey> {
        self.at_end.remove(&record.partition);
        // A tombstone or foreign: the row stays as the last observation left it.
        let day: MarketDay = serde_json::from_slice(record.value.as_deref()?).ok()?;
        let key = (day.market.clone(), day.transaction, day.day);
        let known = self.known.get(&key).map(|known| known.version);
        if known > Some(day.version) {
            self.regressed.insert(key, false);
            return None;
        }
        self.regressed.remove(&key);
        if known == Some(day.version) {
            return None;
        }
        self.known.insert(key.clone(), day);
        Some(key)
    }

    /// A partition was read to its end.
    pub fn end(&mut self, partition: u32) {
        self.at_end.insert(partition);
    }

    /// The observations of our markets to append again, if all of the log's `partitions` are read to their end: before
    /// that, the newest may be still to come.
    pub fn repairs(&mut self, partitions: u32, is_ours: impl Fn(&Market) -> bool) -> Vec<MarketDay> {
        if self.regressed.is_empty() || self.at_end.len() < partitions as usize {
            return Vec::new();
        }
        let due = self.regressed.iter_mut().filter(|((market, _, _), is_sent)| !**is_sent && is_ours(market));
        due.take(MAX_REPAIRS)
            .filter_map(|(key, is_sent)| {
                *is_sent = true;
                self.known.get(key).cloned()
            })
            .collect()
    }

    /// The newest observation of a day.
    pub fn get(&self, key: &DayKey) -> Option<&MarketDay> {
        self.known.get(key)
    }

    /// Every day that was observed.
    pub fn keys(&self) -> impl Iterator<Item = &DayKey> {
        self.known.keys()
    }
}

#[cfg(test)]
mod tests {
    use schemas::topic::Topic;
    use schemas::units::Instant;

    use super::*;

    fn record(offset: u64, version: i64) -> Record {
        let day = MarketDay {
            market: "us/wa/seattle".parse().unwrap(),
            transaction: Transaction::Sale,
            day: jiff::civil::date(2026, 7, 1),
            version,
            observed_at: Instant::default(),
            numbers: None,
        };
        Record {
            topic: Topic::MarketDays,
            partition: 0,
            offset,
            append_time_ms: 0,
            key: Some(b"k".to_vec()),
            value: Some(serde_json::to_vec(&day).unwrap()),
            headers: Vec::new(),
        }
    }

    fn versions(days: &[MarketDay]) -> Vec<i64> {
        days.iter().map(|day| day.version).collect()
    }

    #[test]
    fn an_older_observation_that_comes_last_is_followed_by_the_newest_once_more() {
        let mut days = Days::default();
        assert!(days.take(&record(0, 7)).is_some());
        assert!(days.take(&record(1, 5)).is_none());
        assert!(days.repairs(1, |_| true).is_empty(), "the log goes on, perhaps with the newest");
        days.end(0);
        assert!(days.repairs(1, |_| false).is_empty(), "another's market");
        assert_eq!(versions(&days.repairs(1, |_| true)), [7]);
        assert!(days.repairs(1, |_| true).is_empty(), "it is on its way");
        assert!(days.take(&record(2, 7)).is_none());
        days.end(0);
        assert!(days.repairs(1, |_| true).is_empty(), "it is there");
    }

    #[test]
    fn a_newer_observation_needs_no_repair() {
        let mut days = Days::default();
        for (offset, version) in [(0, 7), (1, 5), (2, 9)] {
            days.take(&record(offset, version));
        }
        days.end(0);
        assert!(days.repairs(1, |_| true).is_empty());
    }
}
