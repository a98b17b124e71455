//! Every metric of ingest.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use schemas::dead_letter::Code;
use schemas::id::FeedName;
use schemas::reso::LeftOut;

const CANONICAL: &str = "roost_ingest_listings_total";
const REFUSED: &str = "roost_ingest_refused_total";
const LEFT_OUT: &str = "roost_ingest_left_out_total";
const LAST_EVENT: &str = "roost_feed_last_event_timestamp_seconds";
const BATCH_DURATION: &str = "roost_ingest_batch_duration_seconds";
const IN_FLIGHT: &str = "roost_ingest_in_flight_records";
const PUSH_REQUESTS: &str = "roost_ingest_push_requests_total";
const PUSH_DURATION: &str = "roost_ingest_push_duration_seconds";

/// Bounds of the histograms, seconds.
pub const BUCKETS: &[(&str, &[f64])] = &[
    (BATCH_DURATION, &[0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.1, 1.0]),
    (PUSH_DURATION, &[0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0]),
];

/// Most feeds with a label of their own. Anybody who can write to `listings.raw` can invent feeds; the others are
/// counted together as `other`.
const MAX_FEEDS: usize = 100;
/// The label of the feeds beyond that.
const OTHER: &str = "other";

/// Units and help texts.
pub fn describe() {
    describe_counter!(CANONICAL, Unit::Count, "Records that became canonical listings, by feed");
    describe_counter!(
        REFUSED,
        Unit::Count,
        "Records refused, by feed, code and the way in (log: dead-lettered; push: answered)"
    );
    describe_counter!(
        LEFT_OUT,
        Unit::Count,
        "Parts of accepted records that the listing does not hold, by feed and kind"
    );
    describe_gauge!(LAST_EVENT, Unit::Seconds, "Time of the newest statement of a feed, seconds since 1970");
    describe_histogram!(
        BATCH_DURATION,
        Unit::Seconds,
        "Time to decide on one batch of raw records and hand it to the producer"
    );
    describe_gauge!(IN_FLIGHT, Unit::Count, "Raw records read whose results the log has not acknowledged, by worker");
    describe_counter!(PUSH_REQUESTS, Unit::Count, "Requests answered on the push port, by route and status");
    describe_histogram!(PUSH_DURATION, Unit::Seconds, "From a request on the push port to its answer, by route");
}

/// What became of some records, counted per feed before the recorder is asked: it is slower than the records.
#[derive(Debug, Default)]
pub struct Tally {
    canonical: BTreeMap<FeedName, Taken>,
    refused: BTreeMap<(FeedName, Code), u64>,
}

/// What became canonical of one feed.
#[derive(Debug, Default)]
struct Taken {
    records: u64,
    newest_ms: i64,
    left_out: [u64; LEFT_OUT_KINDS.len()],
}

/// The kinds of parts that a listing may not hold, in the order of [`parts`].
const LEFT_OUT_KINDS: [&str; 5] = ["coordinates", "links", "attributes", "tags", "remarks"];

fn parts(left_out: LeftOut) -> [u64; LEFT_OUT_KINDS.len()] {
    [
        u64::from(left_out.coordinates),
        u64::from(left_out.links),
        u64::from(left_out.attributes),
        u64::from(left_out.tags),
        u64::from(left_out.remarks),
    ]
}

impl Tally {
    /// A record became a canonical listing.
    pub fn canonical(&mut self, feed: &FeedName, timestamp_ms: i64, left_out: LeftOut) {
        let taken = match self.canonical.get_mut(feed) {
            Some(taken) => taken,
            None => self.canonical.entry(feed.clone()).or_default(),
        };
        taken.records += 1;
        taken.newest_ms = taken.newest_ms.max(timestamp_ms);
        for (sum, part) in taken.left_out.iter_mut().zip(parts(left_out)) {
            *sum += part;
        }
    }

    /// A record was refused.
    pub fn refused(&mut self, feed: &FeedName, code: Code) {
        *self.refused.entry((feed.clone(), code)).or_default() += 1;
    }
}

/// Counts records that came in through the log: refused ones are dead letters.
pub fn record_consumed(tally: &mut Tally) {
    record(tally, "log");
}

/// Counts records that came in through HTTP: refused ones were answered. Those that were taken are counted when they come
/// out of the log.
pub fn record_pushed(tally: &mut Tally) {
    record(tally, "push");
}

fn record(tally: &mut Tally, way_in: &'static str) {
    for (feed, taken) in std::mem::take(&mut tally.canonical) {
        let (feed, newest_ms) = FEEDS.label(feed.as_str(), taken.newest_ms);
        counter!(CANONICAL, "feed" => feed.clone()).increment(taken.records);
        // Milliseconds of this century are far below 2^53.
        gauge!(LAST_EVENT, "feed" => feed.clone()).set(newest_ms as f64 / 1_000.0);
        for (kind, count) in LEFT_OUT_KINDS.into_iter().zip(taken.left_out).filter(|(_, count)| *count > 0) {
            counter!(LEFT_OUT, "feed" => feed.clone(), "kind" => kind).increment(count);
        }
    }
    for ((feed, code), count) in std::mem::take(&mut tally.refused) {
        let (feed, _) = FEEDS.label(feed.as_str(), 0);
        counter!(REFUSED, "feed" => feed, "code" => code.as_str(), "way_in" => way_in).increment(count);
    }
}

/// A batch was decided on and handed over.
pub fn record_batch(took: Duration) {
    histogram!(BATCH_DURATION).record(took.as_secs_f64());
}

/// How full a worker's window is.
pub fn record_in_flight(worker: usize, records: usize) {
    gauge!(IN_FLIGHT, "worker" => worker.to_string()).set(records as f64);
}

/// A request on the push port was answered. `route` is the pattern, never the path.
pub fn record_push(route: &'static str, status: u16, took: Duration) {
    counter!(PUSH_REQUESTS, "route" => route, "status" => status.to_string()).increment(1);
    histogram!(PUSH_DURATION, "route" => route).record(took.as_secs_f64());
}

static FEEDS: Feeds = Feeds(Mutex::new(BTreeMap::new()));

/// The feeds that have labels of their own, with the time of their newest statement.
struct Feeds(Mutex<BTreeMap<String, i64>>);

impl Feeds {
    /// The label of a feed, and the time of its newest statement now that there is one of `at_ms`.
    fn label(&self, feed: &str, at_ms: i64) -> (String, i64) {
        let mut feeds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let label = if feeds.contains_key(feed) || feeds.len() < MAX_FEEDS { feed } else { OTHER };
        let newest = feeds.entry(label.to_owned()).or_default();
        *newest = at_ms.max(*newest);
        (label.to_owned(), *newest)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn labels_are_bounded_and_a_known_feed_keeps_its_own() {
        let feeds = Feeds(Mutex::new(BTreeMap::new()));
        let labels: BTreeSet<String> = (0..1_000).map(|i| feeds.label(&format!("feed-{i}"), 0).0).collect();
        assert_eq!(labels.len(), MAX_FEEDS + 1);
        assert_eq!((feeds.label("feed-0", 0).0, feeds.label("feed-999", 0).0), ("feed-0".to_owned(), OTHER.to_owned()));
    }

    #[test]
    fn a_late_statement_does_not_make_a_feed_look_older() {
        let feeds = Feeds(Mutex::new(BTreeMap::new()));
        assert_eq!((feeds.label("a", 5).1, feeds.label("a", 3).1, feeds.label("a", 8).1), (5, 5, 8));
    }
}
