//! The metrics of the API.

use std::time::Duration;

use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};

const REQUESTS: &str = "roost_http_requests_total";
const REQUEST_DURATION: &str = "roost_http_request_duration_seconds";
const STATEMENTS: &str = "roost_api_statements_total";
const ROW_READ_DURATION: &str = "roost_api_row_read_duration_seconds";
const STALE_READS: &str = "roost_api_stale_reads_total";
const KNOWN_TAGS: &str = "roost_api_known_tags_total";
const DISMISSALS: &str = "roost_api_dismissals_total";
const INTERACTIONS: &str = "roost_api_interactions_total";
const STREAMS: &str = "roost_api_streams";
const STREAM_EVENTS: &str = "roost_api_stream_events_total";
const STREAMS_BEHIND: &str = "roost_api_streams_behind";
const WEBHOOK_CHANGES: &str = "roost_webhook_changes_total";
const WEBHOOK_ATTEMPTS: &str = "roost_webhook_attempts_total";
const WEBHOOK_PENDING: &str = "roost_webhook_pending";
const WEBHOOK_OLDEST: &str = "roost_webhook_oldest_pending_seconds";
const WEBHOOK_DELAY: &str = "roost_webhook_delay_seconds";
const RATE_LIMITED: &str = "roost_api_rate_limited_total";
const STREAMS_REFUSED: &str = "roost_api_streams_refused_total";

/// Bounds of the histograms, seconds: from a row out of memory to a long poll that runs out.
pub const BUCKETS: &[(&str, &[f64])] = &[
    (REQUEST_DURATION, &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0]),
    (WEBHOOK_DELAY, &[0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 600.0, 3600.0, 86400.0]),
    (ROW_READ_DURATION, &[0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5]),
];

/// Units and help texts, once the recorder is installed.
pub fn describe() {
    describe_counter!(REQUESTS, "Requests answered, by method, route and status.");
    describe_histogram!(REQUEST_DURATION, Unit::Seconds, "From the request's headers to the answer's, waits included.");
    describe_counter!(
        STATEMENTS,
        "Statements and erasures by outcome: acked, not_recorded (refused or late) or unknown."
    );
    describe_histogram!(ROW_READ_DURATION, Unit::Seconds, "Time of one read of a row of the tables.");
    describe_counter!(
        KNOWN_TAGS,
        "Recommendations answered without a read of the row: its last announced write is the one that was read."
    );
    describe_counter!(STALE_READS, "Recommendations answered whose shard had not applied the logs lately.");
    describe_counter!(
        DISMISSALS,
        "Statements appended to dismiss a home; more than the requests where clients of a session did so at once."
    );
    describe_counter!(
        INTERACTIONS,
        "Interactions by outcome: recorded, bot (left out), not_recorded or unknown (whether it is)."
    );
    describe_gauge!(STREAMS, "Streams that are open, by kind: sse or websocket.");
    describe_counter!(STREAM_EVENTS, "What streams were told: recommendations, freshness or erased.");
    describe_counter!(
        STREAMS_REFUSED,
        "Streams refused because `api.max_streams`, or 32 of one session, were open, by kind."
    );
    describe_counter!(RATE_LIMITED, "Requests answered 429, by the limit that was used up.");
    describe_gauge!(STREAMS_BEHIND, "1 while topic `recommendations` cannot be followed: streams stand still.");
    describe_counter!(
        WEBHOOK_CHANGES,
        "Changes for webhooks by outcome: delivered, superseded (by a newer one), known (no news), dropped (the webhook is gone), \
         given_up (a dead letter, after `api.webhooks.give_up_after`) or crowded (a dead letter, for want of room)."
    );
    describe_counter!(
        WEBHOOK_ATTEMPTS,
        "Requests to webhooks by outcome: taken, refused (a status) or failed (no answer)."
    );
    describe_gauge!(WEBHOOK_PENDING, "Changes for webhooks that wait or are under way.");
    describe_gauge!(WEBHOOK_OLDEST, Unit::Seconds, "Age of the oldest of them that waits.");
    describe_histogram!(
        WEBHOOK_DELAY,
        Unit::Seconds,
        "From a change on the log to the receiver's answer that it has it."
    );
    for outcome in ["delivered", "given_up", "crowded"] {
        counter!(WEBHOOK_CHANGES, "outcome" => outcome).increment(0);
    }
    // Counters that alerts look at are there before they first count.
    counter!(STALE_READS).increment(0);
    counter!(KNOWN_TAGS).increment(0);
    for outcome in ["acked", "not_recorded", "unknown"] {
        counter!(STATEMENTS, "outcome" => outcome).increment(0);
    }
}

/// A request was answered. `route` is the pattern, never the path.
pub fn record_request(method: &'static str, route: &str, status: u16, took: Duration) {
    let labels = [("method", method.to_owned()), ("route", route.to_owned()), ("status", status.to_string())];
    counter!(REQUESTS, &labels).increment(1);
    histogram!(REQUEST_DURATION, &labels).record(took);
}

/// The outcome of a statement or an erasure.
pub fn record_statement(outcome: &'static str) {
    counter!(STATEMENTS, "outcome" => outcome).increment(1);
}

/// A statement was appended to dismiss a home.
pub fn record_dismissal() {
    counter!(DISMISSALS).increment(1);
}

/// What became of interactions.
pub fn record_interactions(outcome: &'static str, count: usize) {
    counter!(INTERACTIONS, "outcome" => outcome).increment(count as u64);
}

/// A row was read.
pub fn record_row_read(table: &'static str, took: Duration) {
    histogram!(ROW_READ_DURATION, "table" => table).record(took);
}

/// A stale recommendation was answered.
pub fn record_stale_read() {
    counter!(STALE_READS).increment(1);
}

/// What the row says was known without a read.
pub fn record_known_tag() {
    counter!(KNOWN_TAGS).increment(1);
}

/// How a client listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamKind {
    /// Server-sent events.
    Sse,
    /// A WebSocket.
    WebSocket,
}

impl StreamKind {
    const fn label(self) -> &'static str {
        match self {
            Self::Sse => "sse",
            Self::WebSocket => "websocket",
        }
    }
}

/// A stream that is open until this is dropped.
#[derive(Debug)]
pub struct OpenStream(StreamKind);

impl OpenStream {
    /// Counts one more.
    pub fn of(kind: StreamKind) -> Self {
        gauge!(STREAMS, "kind" => kind.label()).increment(1);
        Self(kind)
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        gauge!(STREAMS, "kind" => self.0.label()).decrement(1);
    }
}

/// A stream was told something.
pub fn record_stream_event(name: &'static str) {
    counter!(STREAM_EVENTS, "event" => name).increment(1);
}

/// Whether changes may be missed from now on.
pub fn record_changes_behind(is_behind: bool) {
    gauge!(STREAMS_BEHIND).set(if is_behind { 1.0 } else { 0.0 });
}

/// A stream was refused.
pub fn record_stream_refused(kind: StreamKind) {
    counter!(STREAMS_REFUSED, "kind" => kind.label()).increment(1);
}

/// What became of a change for a webhook.
pub fn record_webhook_change(outcome: &'static str) {
    counter!(WEBHOOK_CHANGES, "outcome" => outcome).increment(1);
}

/// A request to a webhook has ended.
pub fn record_webhook_attempt(outcome: &'static str) {
    counter!(WEBHOOK_ATTEMPTS, "outcome" => outcome).increment(1);
}

/// A receiver has a change, so long after it was on the log.
pub fn record_webhook_delay(took: Duration) {
    histogram!(WEBHOOK_DELAY).record(took);
}

/// How much waits for webhooks, and how long the oldest has.
pub fn record_webhooks_pending(pending: usize, oldest: Duration) {
    gauge!(WEBHOOK_PENDING).set(pending as f64);
    gauge!(WEBHOOK_OLDEST).set(oldest.as_secs_f64());
}

/// A request was answered 429.
pub fn record_rate_limited(limit: &'static str) {
    counter!(RATE_LIMITED, "limit" => limit).increment(1);
}
