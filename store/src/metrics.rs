//! Every metric of the tables' clients.

use std::time::Duration;

use metrics::{Unit, counter, describe_counter, describe_histogram, histogram};

/// Buckets of the histograms, seconds.
pub const BUCKETS: &[(&str, &[f64])] = &[(
    "roost_store_request_duration_seconds",
    &[0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 2.5],
)];

/// Names, units and help texts.
pub fn describe() {
    describe_histogram!(
        "roost_store_request_duration_seconds",
        Unit::Seconds,
        "Time of one request to the store, by kind"
    );
    describe_counter!("roost_store_request_failures_total", "Requests to the store that failed or timed out, by kind");
    describe_counter!("roost_store_recoveries_total", "Times that a node of the store came back");
}

/// A request was answered.
pub(crate) fn record_request(kind: &'static str, took: Duration, ok: bool) {
    histogram!("roost_store_request_duration_seconds", "kind" => kind).record(took.as_secs_f64());
    if !ok {
        counter!("roost_store_request_failures_total", "kind" => kind).increment(1);
    }
}

/// A node came back.
pub(crate) fn record_recovery() {
    counter!("roost_store_recoveries_total").increment(1);
}
