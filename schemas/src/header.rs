//! Record headers: CloudEvents 1.0 binary mode, and roost's own. All are optional on raw topics.

/// The feed of a raw record.
pub const FEED: &str = "roost-feed";
/// Why the feed client's mapping could not read a row: file, line, column and value. The record's value is the row as it
/// is, and ingest makes a dead letter of it.
pub const MAPPING_ERROR: &str = "roost-mapping-error";
/// When the API no longer waits for the acknowledgement of a statement; milliseconds since 1970. A statement whose
/// append time is later is none, for any reader (DESIGN §3).
pub const DEADLINE_MS: &str = "roost-deadline-ms";
/// The version (offset) of the statement that a repair carries.
pub const STATEMENT_VERSION: &str = "roost-statement-version";
/// The append time of the statement that a repair carries; milliseconds since 1970.
pub const STATEMENT_TIME_MS: &str = "roost-statement-time-ms";

/// CloudEvents `specversion`, always `1.0`.
pub const CE_SPECVERSION: &str = "ce_specversion";
/// CloudEvents `id`.
pub const CE_ID: &str = "ce_id";
/// CloudEvents `source`.
pub const CE_SOURCE: &str = "ce_source";
/// CloudEvents `type`.
pub const CE_TYPE: &str = "ce_type";
/// CloudEvents `time`, RFC 3339.
pub const CE_TIME: &str = "ce_time";
/// W3C trace context.
pub const TRACEPARENT: &str = "traceparent";

/// Dead letters: topic of the original record.
pub const DEAD_TOPIC: &str = "roost-source-topic";
/// Dead letters: partition of the original record, decimal.
pub const DEAD_PARTITION: &str = "roost-source-partition";
/// Dead letters: offset of the original record, decimal.
pub const DEAD_OFFSET: &str = "roost-source-offset";
/// Dead letters: index within the original record's batch, decimal.
pub const DEAD_INDEX: &str = "roost-source-index";
/// Dead letters: feed of the original record.
pub const DEAD_FEED: &str = "roost-source-feed";
/// Dead letters: the code, see [`crate::dead_letter::Code`].
pub const DEAD_CODE: &str = "roost-error-code";
/// Dead letters: a sentence that names the field, the value and what was expected.
pub const DEAD_MESSAGE: &str = "roost-error-message";
/// Dead letters: the service that refused the record.
pub const DEAD_SERVICE: &str = "roost-service";

/// Dead letters: hash of the whole original value, where only its beginning is kept.
pub const DEAD_SHA256: &str = "roost-source-sha256";

/// Every header that roost reads or writes.
pub const ALL: [&str; 20] = [
    FEED,
    MAPPING_ERROR,
    DEADLINE_MS,
    STATEMENT_VERSION,
    STATEMENT_TIME_MS,
    CE_SPECVERSION,
    CE_ID,
    CE_SOURCE,
    CE_TYPE,
    CE_TIME,
    TRACEPARENT,
    DEAD_TOPIC,
    DEAD_PARTITION,
    DEAD_OFFSET,
    DEAD_INDEX,
    DEAD_FEED,
    DEAD_CODE,
    DEAD_MESSAGE,
    DEAD_SERVICE,
    DEAD_SHA256,
];

/// Headers as they travel: name and value, in order, names may repeat.
pub type Headers = Vec<(String, Vec<u8>)>;

/// The last header of that name, if it is UTF-8.
pub fn text<'a>(headers: &'a [(String, Vec<u8>)], name: &str) -> Option<&'a str> {
    headers.iter().rev().find(|(n, _)| n == name).and_then(|(_, v)| std::str::from_utf8(v).ok())
}

/// The last header of that name as a decimal integer.
pub fn integer(headers: &[(String, Vec<u8>)], name: &str) -> Option<i64> {
    text(headers, name)?.parse().ok()
}

/// The five required CloudEvents attributes. `id` must be unique per `source`.
pub fn cloud_event(kind: &str, source: &str, id: String, time_ms: i64) -> Headers {
    let time = jiff::Timestamp::from_millisecond(time_ms).unwrap_or_default().to_string();
    [
        (CE_SPECVERSION, "1.0".to_owned()),
        (CE_ID, id),
        (CE_SOURCE, source.to_owned()),
        (CE_TYPE, kind.to_owned()),
        (CE_TIME, time),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value.into_bytes()))
    .collect()
}
