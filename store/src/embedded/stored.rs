//! A row as it is stored: what it says, its place in the order of writes, and since when. Tombstones are stored too. Pure.

use std::time::Duration;

use crate::{Cell, Row, WriteTimestamp};

/// A tombstone, and what has ended, still keeps older writes of its row out for this long: longer than any statement can
/// be on its way.
const KEPT_BEHIND: Duration = Duration::from_secs(7 * 86_400);

/// A row, or the tombstone of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stored {
    pub timestamp: WriteTimestamp,
    /// By the wall clock, for the time to live alone. It orders nothing.
    pub written_at_ms: u64,
    /// `None`: a tombstone.
    pub json: Option<String>,
}

impl Stored {
    pub fn encode(&self) -> Vec<u8> {
        let json = self.json.as_deref();
        let mut bytes = Vec::with_capacity(17 + json.map_or(0, str::len));
        bytes.extend(self.timestamp.raw().to_be_bytes());
        bytes.extend(self.written_at_ms.to_be_bytes());
        bytes.push(u8::from(json.is_some()));
        bytes.extend(json.unwrap_or_default().as_bytes());
        bytes
    }

    /// `None` for bytes that [`Stored::encode`] does not make.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (timestamp, rest) = bytes.split_first_chunk()?;
        let (written_at, rest) = rest.split_first_chunk()?;
        let json = match rest.split_first()? {
            (0, []) => None,
            (1, json) => Some(String::from_utf8(json.to_vec()).ok()?),
            _ => return None,
        };
        Some(Self {
            timestamp: WriteTimestamp::from_raw(i64::from_be_bytes(*timestamp)),
            written_at_ms: u64::from_be_bytes(*written_at),
            json,
        })
    }

    /// What a reader sees: nothing of a tombstone, nor of what outlived its time. Zero is a life without end.
    pub fn visible(self, ttl: Duration, now_ms: u64) -> Option<Cell> {
        let ended = !ttl.is_zero() && self.is_older_than(ttl, now_ms);
        self.json.filter(|_| !ended).map(|json| Cell { json, timestamp: self.timestamp })
    }

    /// Whether not even the order of writes needs it any more.
    pub fn is_forgotten(&self, ttl: Duration, now_ms: u64) -> bool {
        match &self.json {
            None => self.is_older_than(KEPT_BEHIND, now_ms),
            Some(_) => !ttl.is_zero() && self.is_older_than(ttl + KEPT_BEHIND, now_ms),
        }
    }

    const fn is_older_than(&self, age: Duration, now_ms: u64) -> bool {
        // A clock that was set back makes rows young, never old.
        now_ms.saturating_sub(self.written_at_ms) as u128 >= age.as_millis()
    }
}

/// The keys of all cells that a statement changes: deleting a recommendation takes its other cell with it.
pub(super) fn rows_of(row: Row, is_delete: bool) -> Vec<Row> {
    match row {
        Row::Recommendation(session) if is_delete => vec![row, Row::Counts(session)],
        _ => vec![row],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_MS: u64 = 86_400_000;

    fn stored(json: Option<&str>, written_at_ms: u64) -> Stored {
        Stored { timestamp: WriteTimestamp::new(3, 4).unwrap(), written_at_ms, json: json.map(str::to_owned) }
    }

    #[test]
    fn what_is_stored_reads_as_it_was_written() {
        for row in [stored(None, 5), stored(Some(""), 6), stored(Some("{\"city\":\"Zürich\"}"), u64::MAX)] {
            assert_eq!(Stored::decode(&row.encode()), Some(row));
        }
        let tombstone = stored(None, 5).encode();
        assert_eq!(Stored::decode(&tombstone[..16]), None);
        assert_eq!(Stored::decode(&[tombstone, vec![1]].concat()), None);
    }

    #[test]
    fn a_row_is_hidden_at_its_end_and_forgotten_a_week_later() {
        let row = stored(Some("{}"), 1_000);
        let ttl = Duration::from_secs(86_400);
        for (days, visible, forgotten) in [(0, true, false), (1, false, false), (7, false, false), (8, false, true)] {
            let now = 1_000 + days * DAY_MS;
            assert_eq!(row.clone().visible(ttl, now).is_some(), visible, "after {days} days");
            assert_eq!(row.is_forgotten(ttl, now), forgotten, "after {days} days");
        }
        assert!(row.clone().visible(Duration::ZERO, u64::MAX).is_some());
        assert!(!row.is_forgotten(Duration::ZERO, u64::MAX));
        assert!(row.visible(ttl, 0).is_some(), "the clock was set back");
    }

    #[test]
    fn a_tombstone_is_kept_for_a_week() {
        let row = stored(None, 0);
        assert_eq!(row.clone().visible(Duration::ZERO, 0), None);
        assert!(!row.is_forgotten(Duration::ZERO, 7 * DAY_MS - 1));
        assert!(row.is_forgotten(Duration::ZERO, 7 * DAY_MS));
    }
}
