//! Every metric of access: names, units, help text. No other file calls a metrics macro.

use metrics::{Unit, counter, describe_counter, describe_gauge, gauge};

const KNOWN: &str = "roost_access_known";
const BEHIND: &str = "roost_access_behind";
const REPAIRS: &str = "roost_access_repairs_total";
const REFUSED: &str = "roost_access_refused_total";

/// Says what each metric is.
pub fn describe() {
    describe_gauge!(KNOWN, Unit::Count, "API keys, token families, revocations and webhooks that are known, by kind");
    describe_gauge!(BEHIND, Unit::Count, "1 while topic access cannot be followed");
    describe_counter!(
        REPAIRS,
        Unit::Count,
        "Records appended because the last one of their key was not the whole truth"
    );
    describe_counter!(REFUSED, Unit::Count, "Keys and tokens refused, by reason");
}

pub(crate) fn record_counts(counts: [usize; 4]) {
    for (kind, count) in ["key", "family", "session", "webhook"].into_iter().zip(counts) {
        gauge!(KNOWN, "kind" => kind).set(count as f64);
    }
}

pub(crate) fn record_behind(is_behind: bool) {
    gauge!(BEHIND).set(f64::from(u8::from(is_behind)));
}

pub(crate) fn record_repairs(count: usize) {
    counter!(REPAIRS).increment(count as u64);
}

/// A key or token was refused; `reason` is one of a few words.
pub(crate) fn record_refused(reason: &'static str) {
    counter!(REFUSED, "reason" => reason).increment(1);
}
