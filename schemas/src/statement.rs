//! What a record on `preferences` states about its session (DESIGN §3), and the headers of the records that repair the
//! log. The same rules for every reader: who reads a record alone knows what it is worth.
//!
//! Pure. Does not know which statement of a session is the newest, nor when a session ends: that is the shard's owner.

use crate::dead_letter::{Code, Poison};
use crate::field_error::FieldError;
use crate::header::{self, Headers};
use crate::id::SessionId;
use crate::preferences::Preferences;
use crate::topic::partition_of;

/// One session's statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// Whose.
    pub session: SessionId,
    /// The offset that it was first appended at; the greatest is the newest. A tombstone that carries the version of the
    /// statement it ends beats that one, and no other.
    pub version: u64,
    /// When it was first appended, milliseconds since 1970.
    pub append_time_ms: i64,
    /// What the session wants; `None`: a tombstone.
    pub preferences: Option<Preferences>,
}

/// Reads one record of `preferences`, which has `partitions` partitions.
///
/// An empty value is no tombstone, since it is none to the log's compaction: it is not JSON.
pub fn decode(
    key: Option<&[u8]>,
    value: Option<&[u8]>,
    headers: &[(String, Vec<u8>)],
    partitions: u32,
    partition: u32,
    offset: u64,
    append_time_ms: i64,
) -> Result<Statement, Poison> {
    let session = session(key, partitions, partition)?;
    let (version, append_time_ms) = match carried(headers)? {
        None => (offset, append_time_ms),
        Some((version, _)) if version >= offset => {
            return Err(poison(
                Code::WrongVersion,
                format!(
                    "{}: {version} is not allowed (expected less than the record's own offset {offset})",
                    header::STATEMENT_VERSION
                ),
            ));
        }
        // Nothing is older than its own repair, whatever two brokers' clocks say.
        Some((version, time_ms)) => (version, time_ms.min(append_time_ms)),
    };
    if let Some(deadline_ms) = count(headers, header::DEADLINE_MS)?
        && append_time_ms > deadline_ms
    {
        return Err(poison(
            Code::TooLate,
            format!(
                "appended at {append_time_ms}, after its deadline {deadline_ms}; whoever sent it was told to repeat"
            ),
        ));
    }
    let preferences = value.map(Preferences::parse).transpose().map_err(|faults| {
        // A dead letter outlives the session: it does not repeat what the session said (DESIGN §9).
        let faults: Vec<FieldError> = faults.into_iter().map(FieldError::without_value).collect();
        Poison::of_faults(&faults)
    })?;
    Ok(Statement { session, version, append_time_ms, preferences })
}

/// Headers of a record that stands for a statement first appended at `version`, at `append_time_ms`: a repair with that
/// statement as its value, or, as a tombstone, the end of that statement and of nothing newer.
pub fn repair_headers(version: u64, append_time_ms: i64) -> Headers {
    vec![
        (header::STATEMENT_VERSION.to_owned(), version.to_string().into_bytes()),
        (header::STATEMENT_TIME_MS.to_owned(), append_time_ms.to_string().into_bytes()),
    ]
}

/// The header of a statement that its sender waits for until `deadline_ms`, milliseconds since 1970.
pub fn deadline_header(deadline_ms: i64) -> (String, Vec<u8>) {
    (header::DEADLINE_MS.to_owned(), deadline_ms.to_string().into_bytes())
}

fn session(key: Option<&[u8]>, partitions: u32, partition: u32) -> Result<SessionId, Poison> {
    let wrong = |message: String| poison(Code::WrongKey, message);
    let key = key.unwrap_or_default();
    let text = String::from_utf8_lossy(key);
    let session: SessionId = text.parse().map_err(|error: FieldError| wrong(error.named("key").to_string()))?;
    let home = partition_of(key, partitions);
    if home == partition {
        Ok(session)
    } else {
        Err(wrong(format!(
            "key: {session} lies on partition {partition} (expected {home}: murmur2 of the key modulo {partitions})"
        )))
    }
}

/// Version and append time of the statement that a repair carries.
fn carried(headers: &[(String, Vec<u8>)]) -> Result<Option<(u64, i64)>, Poison> {
    let version = count(headers, header::STATEMENT_VERSION)?;
    let time_ms = count(headers, header::STATEMENT_TIME_MS)?;
    match (version, time_ms) {
        (None, None) => Ok(None),
        (Some(version), Some(time_ms)) => Ok(Some((version.unsigned_abs(), time_ms))),
        (Some(_), None) => Err(one_of_two(header::STATEMENT_TIME_MS, header::STATEMENT_VERSION)),
        (None, Some(_)) => Err(one_of_two(header::STATEMENT_VERSION, header::STATEMENT_TIME_MS)),
    }
}

/// A header that is a decimal integer from 0, if it is there.
fn count(headers: &[(String, Vec<u8>)], name: &str) -> Result<Option<i64>, Poison> {
    if !headers.iter().any(|(own, _)| own == name) {
        return Ok(None);
    }
    match header::integer(headers, name).filter(|value| *value >= 0) {
        Some(value) => Ok(Some(value)),
        None => Err(poison(Code::WrongHeader, format!("{name}: is not readable (expected a decimal integer from 0)"))),
    }
}

fn one_of_two(absent: &str, present: &str) -> Poison {
    poison(Code::WrongHeader, format!("{absent}: is missing (expected both it and {present}, or neither)"))
}

const fn poison(code: Code, message: String) -> Poison {
    Poison { code, message }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARTITIONS: u32 = 4;
    const VALUE: &[u8] = br#"{"budget":700000,"place":{"country":"us"}}"#;

    fn session() -> SessionId {
        SessionId::from_bits(7)
    }
    fn home() -> u32 {
        partition_of(session().to_string().as_bytes(), PARTITIONS)
    }
    /// Decodes a record of [`session`] at offset 100, appended at 1,000.
    fn decoded(value: Option<&[u8]>, headers: &[(&str, &str)]) -> Result<Statement, Poison> {
        let headers: Headers = headers.iter().map(|(n, v)| ((*n).to_owned(), v.as_bytes().to_vec())).collect();
        decode(Some(session().to_string().as_bytes()), value, &headers, PARTITIONS, home(), 100, 1_000)
    }
    fn code(result: Result<Statement, Poison>) -> Code {
        result.unwrap_err().code
    }

    #[test]
    fn a_statement_is_as_new_as_its_offset() {
        let statement = decoded(Some(VALUE), &[]).unwrap();
        assert_eq!((statement.session, statement.version, statement.append_time_ms), (session(), 100, 1_000));
        assert!(statement.preferences.is_some());
        assert_eq!(decoded(None, &[]).unwrap().preferences, None);
    }

    #[test]
    fn a_repair_carries_what_it_repairs() {
        let headers = repair_headers(42, 500);
        let record = |offset| {
            let key = session().to_string();
            decode(Some(key.as_bytes()), Some(VALUE), &headers, PARTITIONS, home(), offset, 1_000)
        };
        let statement = record(100).unwrap();
        assert_eq!((statement.version, statement.append_time_ms), (42, 500));
        assert_eq!(record(43).unwrap().version, 42);
        assert_eq!(code(record(42)), Code::WrongVersion);
        assert_eq!(code(record(41)), Code::WrongVersion);
    }

    #[test]
    fn a_repair_is_not_younger_than_itself() {
        let headers = [(header::STATEMENT_VERSION, "1"), (header::STATEMENT_TIME_MS, "9000000000000")];
        assert_eq!(decoded(None, &headers).unwrap().append_time_ms, 1_000);
    }

    #[test]
    fn a_statement_after_its_deadline_is_none() {
        assert!(decoded(Some(VALUE), &[(header::DEADLINE_MS, "1000")]).is_ok());
        assert_eq!(code(decoded(Some(VALUE), &[(header::DEADLINE_MS, "999")])), Code::TooLate);
        assert_eq!(code(decoded(None, &[(header::DEADLINE_MS, "999")])), Code::TooLate);
        let (name, value) = deadline_header(1_000);
        assert_eq!(header::integer(&[(name, value)], header::DEADLINE_MS), Some(1_000));
    }

    #[test]
    fn a_key_is_a_session_id_on_its_own_partition() {
        let key = session().to_string();
        let at = |key: Option<&[u8]>, partition| decode(key, Some(VALUE), &[], PARTITIONS, partition, 1, 1);
        for partition in 0..PARTITIONS {
            assert_eq!(at(Some(key.as_bytes()), partition).is_ok(), partition == home());
        }
        for wrong in [None, Some(&b""[..]), Some(b"abc"), Some(b"\xff"), Some(b"0000000000000000000000000000000A")] {
            assert_eq!(code(at(wrong, home())), Code::WrongKey, "{wrong:?}");
        }
    }

    #[test]
    fn headers_that_cannot_be_read_are_no_guess() {
        for headers in [
            vec![(header::STATEMENT_VERSION, "1")],
            vec![(header::STATEMENT_TIME_MS, "1")],
            vec![(header::STATEMENT_VERSION, "-1"), (header::STATEMENT_TIME_MS, "1")],
            vec![(header::STATEMENT_VERSION, "one"), (header::STATEMENT_TIME_MS, "1")],
            vec![(header::DEADLINE_MS, "soon")],
            vec![(header::DEADLINE_MS, "")],
        ] {
            assert_eq!(code(decoded(Some(VALUE), &headers)), Code::WrongHeader, "{headers:?}");
        }
    }

    #[test]
    fn a_value_that_is_no_statement_says_all_that_is_wrong() {
        let poison = decoded(Some(br#"{"budget":0,"plaice":{}}"#), &[]).unwrap_err();
        assert_eq!(poison.code, Code::UnknownMember);
        insta::assert_snapshot!(poison.message, @r#"plaice: is not a member here (expected a known member; did you mean 'place'?); budget: the value is not allowed (expected 0.01 to 999999999999.99 with at most two decimals); place: is missing (expected an object with at least one of cities, postal_codes, within, country)"#);
        assert_eq!(code(decoded(Some(b""), &[])), Code::NotJson);
        assert_eq!(code(decoded(Some(b"\xff"), &[])), Code::WrongEncoding);
        assert_eq!(code(decoded(Some(b"[]"), &[])), Code::WrongShape);
        assert_eq!(code(decoded(Some(&b"[".repeat(100)), &[])), Code::TooDeep);
        assert_eq!(code(decoded(Some(&vec![b' '; 300 * 1024]), &[])), Code::TooLarge);
    }
}
