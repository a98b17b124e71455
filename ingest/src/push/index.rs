//! Which homes of each feed are on offer or pending: the fold of `listings.priced` that a snapshot is compared with. Pure.
//!
//! Knows of a listing its newest version and status, nothing else.

use rustc_hash::FxHashMap;
use schemas::id::{FeedName, ListingId};
use schemas::version::ListingVersion;
use schemas::vocabulary::StandardStatus;
use serde::Deserialize;
use stream::{Event, Record};

/// The part of a priced listing that is looked at.
#[derive(Deserialize)]
struct Glance {
    listing: Statement,
}

#[derive(Deserialize)]
struct Statement {
    version: ListingVersion,
    standard_status: StandardStatus,
}

/// What is known of one listing.
#[derive(Clone, Copy)]
struct Newest {
    version: ListingVersion,
    offset: u64,
    is_offered: bool,
}

/// The homes of every feed.
#[derive(Default)]
pub(super) struct Index {
    feeds: FxHashMap<FeedName, FxHashMap<Box<str>, Newest>>,
    /// Per partition, the next offset that is not yet folded in.
    next: FxHashMap<u32, u64>,
    /// Records that could not be read: none, unless somebody else writes to the topic.
    pub(super) unreadable: u64,
}

impl Index {
    /// Folds in what a reader saw.
    pub(super) fn take(&mut self, event: Event) {
        match event {
            Event::Record(record) => {
                self.fold(&record);
                self.reach(record.partition, record.offset + 1);
            }
            Event::End { partition, next_offset, .. } => self.reach(partition, next_offset),
            // It follows without a group.
            Event::Assigned(_) | Event::Revoked(_) => {}
        }
    }

    fn reach(&mut self, partition: u32, next_offset: u64) {
        let next = self.next.entry(partition).or_default();
        *next = next_offset.max(*next);
    }

    /// Equal versions: the later offset, as everywhere.
    fn fold(&mut self, record: &Record) {
        let id = record.key.as_deref().and_then(|key| std::str::from_utf8(key).ok()).and_then(|key| key.parse().ok());
        let Some(id): Option<ListingId> = id else {
            self.unreadable += 1;
            return;
        };
        let homes = self.feeds.entry(id.feed()).or_default();
        let Some(value) = &record.value else {
            homes.remove(id.listing_key());
            return;
        };
        let Ok(Glance { listing }) = serde_json::from_slice(value) else {
            self.unreadable += 1;
            return;
        };
        let newest = Newest {
            version: listing.version,
            offset: record.offset,
            is_offered: listing.standard_status.is_on_offer_or_pending(),
        };
        match homes.get_mut(id.listing_key()) {
            Some(known) if (known.version, known.offset) > (newest.version, newest.offset) => {}
            Some(known) => *known = newest,
            None => {
                homes.insert(id.listing_key().into(), newest);
            }
        }
    }

    /// Whether every partition is folded in up to these offsets.
    pub(super) fn has_reached(&self, ends: &[(u32, u64)]) -> bool {
        ends.iter().all(|(partition, end)| self.next.get(partition).copied().unwrap_or(0) >= *end)
    }

    /// The `ListingKey`s of a feed's homes that are on offer or pending, sorted.
    pub(super) fn keys(&self, feed: &FeedName) -> Vec<&str> {
        let homes = self.feeds.get(feed).into_iter().flatten();
        let mut keys: Vec<&str> = homes.filter(|(_, home)| home.is_offered).map(|(key, _)| &**key).collect();
        keys.sort_unstable();
        keys
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use schemas::topic::Topic;

    fn event(offset: u64, key: &str, value: Option<(i64, &str)>) -> Event {
        let value = value.map(|(timestamp_ms, status)| {
            format!(
                r#"{{"listing":{{"version":{{"timestamp_ms":{timestamp_ms},"raw_partition":0,"raw_offset":0,"batch_index":0}},
                "standard_status":"{status}","more":[1]}},"more":{{}}}}"#
            )
            .into_bytes()
        });
        Event::Record(Record {
            topic: Topic::ListingsPriced,
            partition: 0,
            offset,
            append_time_ms: 0,
            key: Some(key.as_bytes().to_vec()),
            value,
            headers: Vec::new(),
        })
    }

    fn keys(events: impl IntoIterator<Item = Event>) -> Vec<String> {
        let mut index = Index::default();
        events.into_iter().for_each(|event| index.take(event));
        index.keys(&"a".parse().unwrap()).into_iter().map(str::to_owned).collect()
    }

    #[test]
    fn homes_on_offer_or_pending_are_told_and_no_others() {
        let statuses =
            ["Active", "ComingSoon", "ActiveUnderContract", "Pending", "Closed", "Delete", "Withdrawn", "Hold"];
        let events =
            (0..).zip(statuses).map(|(offset, status)| event(offset, &format!("a:{offset}"), Some((1, status))));
        assert_eq!(keys(events), ["0", "1", "2", "3"]);
        assert_eq!(keys([event(0, "b:1", Some((1, "Active")))]), Vec::<String>::new());
    }

    #[test]
    fn the_newest_version_counts_whatever_came_last() {
        let (sold, on_offer) = (Some((2, "Closed")), Some((1, "Active")));
        assert!(keys([event(0, "a:1", sold), event(1, "a:1", on_offer)]).is_empty());
        assert!(keys([event(0, "a:1", on_offer), event(1, "a:1", sold)]).is_empty());
        assert_eq!(keys([event(0, "a:1", Some((2, "Closed"))), event(1, "a:1", Some((2, "Active")))]), ["1"]);
    }

    #[test]
    fn a_tombstone_forgets_the_home() {
        assert!(keys([event(0, "a:1", Some((1, "Active"))), event(1, "a:1", None)]).is_empty());
    }

    #[test]
    fn the_end_is_reached_also_where_compaction_took_the_last_records() {
        let mut index = Index::default();
        index.take(event(4, "a:1", Some((1, "Active"))));
        assert!(!index.has_reached(&[(0, 9)]));
        index.take(Event::End { topic: Topic::ListingsPriced, partition: 0, next_offset: 9 });
        assert!(index.has_reached(&[(0, 9)]) && !index.has_reached(&[(0, 9), (1, 1)]));
        assert!(index.has_reached(&[(0, 9), (1, 0)]));
    }

    #[test]
    fn what_cannot_be_read_is_counted() {
        let mut index = Index::default();
        index.take(event(0, "nonsense", Some((1, "Active"))));
        index.take(event(1, "a:1", Some((1, "Sold"))));
        assert_eq!(index.unreadable, 2);
    }
}
