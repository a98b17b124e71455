//! Every metric of the tables, on either backend. No other file calls a metrics macro.

use std::time::Duration;

use metrics::{Unit, counter, describe_counter, describe_histogram, histogram};

const WRITES: &str = "roost_store_writes_total";
const READS: &str = "roost_store_reads_total";
const ERRORS: &str = "roost_store_errors_total";
const DURATION: &str = "roost_store_request_duration_seconds";
const RECOVERIES: &str = "roost_store_recoveries_total";

/// Buckets of the histograms: from a read of the embedded tables to the longest request time-out.
pub const BUCKETS: &[(&str, &[f64])] = &[(
    DURATION,
    &[
        0.000_005, 0.000_02, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0,
        2.5, 10.0, 60.0,
    ],
)];

/// Tells the recorder names, units and help texts.
pub fn describe() {
    describe_counter!(WRITES, "Statements that the store acknowledged, by table");
    describe_counter!(READS, "Reads that the store answered, by operation");
    describe_counter!(ERRORS, "Requests that the store did not answer or refused, by operation and kind");
    describe_histogram!(
        DURATION,
        Unit::Seconds,
        "Time of one request to the store, failed ones included, by operation"
    );
    describe_counter!(RECOVERIES, "Times that a node of the store came back");
}

/// A statement was acknowledged.
pub(crate) fn record_write(table: &'static str) {
    counter!(WRITES, "table" => table).increment(1);
}

/// A read was answered.
pub(crate) fn record_read(operation: &'static str) {
    counter!(READS, "operation" => operation).increment(1);
}

/// A request failed.
pub(crate) fn record_error(operation: &'static str, kind: &'static str) {
    counter!(ERRORS, "operation" => operation, "kind" => kind).increment(1);
}

/// A request took this long.
pub(crate) fn record_duration(operation: &'static str, took: Duration) {
    histogram!(DURATION, "operation" => operation).record(took.as_secs_f64());
}

/// A node came back.
pub(crate) fn record_recovery() {
    counter!(RECOVERIES).increment(1);
}
