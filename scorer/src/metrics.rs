//! Every metric of the scorer.

use std::collections::BTreeSet;
use std::time::Duration;

use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use schemas::dead_letter::Code;
use schemas::topic::Topic;
use store::Row;

use crate::judge::Summary;

/// Buckets of the histograms, seconds.
pub const BUCKETS: &[(&str, &[f64])] = &[
    (
        "roost_scorer_settle_duration_seconds",
        &[0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.1, 1.0, 10.0],
    ),
    ("roost_scorer_snapshot_copy_duration_seconds", &[0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5]),
    ("roost_freshness_seconds", &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 600.0]),
];

/// Names, units and help texts.
pub fn describe() {
    describe_counter!("roost_scorer_events_total", "Events taken from the logs");
    describe_counter!("roost_scorer_writes_total", "Statements acknowledged or failed, by table and outcome");
    describe_counter!("roost_scorer_claims_total", "Shard take-overs begun");
    describe_counter!(
        "roost_scorer_stale_writes_total",
        "Writes acknowledged under an epoch older than the newest claim"
    );
    describe_counter!("roost_scorer_dead_letters_total", "Records of preferences that are no statement, by code");
    describe_gauge!("roost_listings_known", "Listings in memory");
    describe_gauge!("roost_listings_active", "Listings that some session may be shown");
    describe_gauge!("roost_sessions_active", "Sessions of the shards that this process owns");
    describe_counter!("roost_scorer_engine_changes_total", "Changes of listings that the engine took, without repeats");
    describe_counter!(
        "roost_scorer_engine_looks_total",
        "Times the engine looked at 64 sessions together for a changed listing"
    );
    describe_counter!(
        "roost_scorer_engine_candidates_total",
        "Pairs of session and changed listing that the engine scored one by one"
    );
    describe_counter!(
        "roost_scorer_engine_searches_total",
        "Searches for a session's listings, by cause: stated, refill (too few were left)"
    );
    describe_counter!("roost_scorer_engine_ladders_total", "Buckets of sessions whose budgets were laid out anew");
    describe_gauge!(
        "roost_scorer_engine_slow_sessions",
        "Sessions that take a slower path, by kind: whole (not one city alone, dismissed listings, unusual numbers), many (several buckets)"
    );
    describe_gauge!("roost_scorer_shards_owned", "Shards that this process writes");
    describe_gauge!("roost_scorer_rows_dirty", "Rows that wait to be written");
    describe_gauge!("roost_scorer_rows_outstanding", "Statements under way");
    describe_gauge!(
        "roost_scorer_state_hash",
        "What the sessions of a shard see: the low 48 bits of the hash in its row of `shards`, as many as a float holds exactly; equal for equal sight. NaN when the shard is no longer of this process"
    );
    describe_gauge!(
        "roost_scorer_applied_offset",
        "The next offset that the state hashes do not know of, by topic and partition. NaN when the partition is no longer of this process"
    );
    describe_histogram!(
        "roost_scorer_settle_duration_seconds",
        Unit::Seconds,
        "Time to bring a batch into the engine and decide its writes"
    );
    describe_counter!(
        "roost_scorer_starts_total",
        "Starts of the engine: warm from a snapshot or cold, and why the newest snapshot was not loaded (none: it was, or there is none)"
    );
    describe_gauge!("roost_scorer_snapshot_timestamp_seconds", Unit::Seconds, "When the last snapshot was on the disk");
    describe_gauge!("roost_scorer_snapshot_bytes", Unit::Bytes, "Size of the last snapshot");
    describe_counter!("roost_scorer_snapshot_failures_total", "Snapshots that could not be written");
    describe_histogram!(
        "roost_scorer_snapshot_copy_duration_seconds",
        Unit::Seconds,
        "How long the engine stands still while it is copied for a snapshot"
    );
    describe_histogram!(
        "roost_freshness_seconds",
        Unit::Seconds,
        "From the append of a priced listing to its row in the store"
    );
}

/// A batch was settled.
pub(crate) fn record_settle(took: Duration) {
    histogram!("roost_scorer_settle_duration_seconds").record(took.as_secs_f64());
}

/// Events were taken.
pub(crate) fn record_events(count: usize) {
    counter!("roost_scorer_events_total").increment(count as u64);
}

/// A claim was appended.
pub(crate) fn record_claim() {
    counter!("roost_scorer_claims_total").increment(1);
}

/// A record of `preferences` was dead-lettered.
pub(crate) fn record_dead_letter(code: Code) {
    counter!("roost_scorer_dead_letters_total", "code" => code.as_str()).increment(1);
}

/// A statement was answered.
pub(crate) fn record_write(row: &Row, acknowledged: bool) {
    let table = match row {
        Row::Recommendation(_) | Row::Counts(_) => "recommendations",
        Row::Session(_) => "sessions",
        Row::Listing(_) => "listings",
        Row::ListingByMarket(_) => "listings_by_market",
        Row::Market(_) => "markets",
        Row::MarketDay(..) => "market_days",
        Row::Shard(_) => "shards",
    };
    let outcome = if acknowledged { "acknowledged" } else { "failed" };
    counter!("roost_scorer_writes_total", "table" => table, "outcome" => outcome).increment(1);
}

/// The engine was made, `how`: warm or cold; `why` the newest snapshot was not taken.
pub(crate) fn record_start(how: &'static str, why: &'static str) {
    counter!("roost_scorer_starts_total", "how" => how, "refused" => why).increment(1);
}

/// The engine was copied for a snapshot.
pub(crate) fn record_snapshot_copied(took: Duration) {
    histogram!("roost_scorer_snapshot_copy_duration_seconds").record(took.as_secs_f64());
}

/// A snapshot is on the disk.
pub(crate) fn record_snapshot_written(bytes: usize, at_ms: i64) {
    gauge!("roost_scorer_snapshot_timestamp_seconds").set(at_ms as f64 / 1_000.0);
    gauge!("roost_scorer_snapshot_bytes").set(bytes as f64);
}

/// A snapshot could not be written.
pub(crate) fn record_snapshot_failed() {
    counter!("roost_scorer_snapshot_failures_total").increment(1);
}

/// The judge's numbers; `told` are the shards whose states were told before.
pub(crate) fn record_summary(summary: &Summary, told: &mut BTreeSet<u32>) {
    gauge!("roost_listings_known").set(summary.listings as f64);
    gauge!("roost_listings_active").set(summary.offered as f64);
    gauge!("roost_sessions_active").set(summary.sessions as f64);
    let work = &summary.work;
    counter!("roost_scorer_engine_changes_total").absolute(work.changes);
    counter!("roost_scorer_engine_looks_total").absolute(work.looks);
    counter!("roost_scorer_engine_candidates_total").absolute(work.candidates);
    counter!("roost_scorer_engine_searches_total", "cause" => "stated").absolute(work.searches);
    counter!("roost_scorer_engine_searches_total", "cause" => "refill").absolute(work.refills);
    counter!("roost_scorer_engine_ladders_total").absolute(work.ladders);
    gauge!("roost_scorer_engine_slow_sessions", "kind" => "whole").set(work.whole as f64);
    gauge!("roost_scorer_engine_slow_sessions", "kind" => "many").set(work.many as f64);
    gauge!("roost_scorer_shards_owned").set(summary.owned as f64);
    gauge!("roost_scorer_rows_dirty").set(summary.dirty as f64);
    gauge!("roost_scorer_rows_outstanding").set(summary.outstanding as f64);
    counter!("roost_scorer_stale_writes_total").absolute(summary.stale_writes);
    record_states(summary, told);
    for seconds in &summary.freshness {
        histogram!("roost_freshness_seconds").record(*seconds);
    }
}

/// Bits of a state hash that a gauge, which is a float, holds exactly: up to 53, of which 48 are twelve hex digits.
const HASH_BITS: u64 = (1 << 48) - 1;

fn record_states(summary: &Summary, told: &mut BTreeSet<u32>) {
    let hash = |shard: u32| gauge!("roost_scorer_state_hash", "shard" => shard.to_string());
    let offset = |topic: Topic, partition: u32| gauge!("roost_scorer_applied_offset", "topic" => topic.name(), "partition" => partition.to_string());
    let now: BTreeSet<u32> = summary.states.iter().map(|(shard, _)| *shard).collect();
    for gone in told.difference(&now) {
        hash(*gone).set(f64::NAN);
        offset(Topic::Preferences, *gone).set(f64::NAN);
    }
    for (shard, state) in &summary.states {
        hash(*shard).set((state.hash.bits() & HASH_BITS) as f64);
        offset(Topic::Preferences, *shard).set(state.preferences_offset as f64);
    }
    // The same for all shards of a process.
    let listings = summary.states.first().map(|(_, state)| state.listings_offsets.as_slice());
    for (partition, next_offset) in (0..).zip(listings.unwrap_or_default()) {
        offset(Topic::ListingsPriced, partition).set(*next_offset as f64);
    }
    *told = now;
}
