//! What this process knows of the newest statements: which sessions were stated or erased so recently that the tables may
//! not show it yet. Pure; `follow.rs` feeds it from the log, and so every process of the API knows the same within moments.
//!
//! It is a memory of the log's tail, not of all sessions: the tables answer for everything older.

use schemas::id::SessionId;
use schemas::preferences::Preferences;
use schemas::statement::decode;
use stream::Record;

use crate::generations::Generations;

/// Most statements remembered, and most erasures, each in two generations: about 40 bytes each, 16 MB together at
/// worst. At 2,000 statements per second the scorer may lag 50 s before a session it has not scored yet looks unknown.
pub const CAPACITY: usize = 100_000;

/// What a read of a session has to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The row that was read.
    Serve,
    /// The session is there but not scored yet.
    Pending,
    /// The session was erased.
    Erased,
    /// Nothing is known of the session.
    Unknown,
}

/// One record of `preferences`, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Note {
    /// Whose.
    pub session: SessionId,
    /// The statement's version; of an erasure: the greatest version that it erases.
    pub version: u64,
    /// Whether it erases.
    pub erases: bool,
}

impl Note {
    /// `None` for a record that is no statement: whoever reads it judges so by the same rules.
    #[cfg(test)]
    pub fn of(record: &Record, partitions: u32) -> Option<Self> {
        Self::read(record, partitions).map(|(note, _)| note)
    }

    /// The same with what is stated; `None` of an erasure.
    pub fn read(record: &Record, partitions: u32) -> Option<(Self, Option<Preferences>)> {
        let Record { partition, offset, append_time_ms, key, value, headers, .. } = record;
        let statement =
            decode(key.as_deref(), value.as_deref(), headers, partitions, *partition, *offset, *append_time_ms).ok()?;
        let erases = statement.preferences.is_none();
        let note = Self { session: statement.session, version: statement.version, erases };
        Some((note, statement.preferences))
    }
}

/// The memory.
#[derive(Debug, Default)]
pub struct Tail {
    stated: Newest,
    erased: Newest,
}

impl Tail {
    /// Takes in one statement or erasure, in any order.
    pub fn note(&mut self, note: Note) {
        let memory = if note.erases { &mut self.erased } else { &mut self.stated };
        memory.raise(note.session, note.version);
    }

    /// The newest statement of a session that is known here.
    pub fn stated(&self, session: SessionId) -> Option<u64> {
        self.stated.get(session)
    }

    /// What to answer when the table has the row of `row_version`, or none.
    pub fn verdict(&self, session: SessionId, row_version: Option<u64>) -> Verdict {
        let erased = self.erased.get(session);
        let lives = |version: u64| erased.is_none_or(|erased| version > erased);
        if row_version.is_some_and(lives) {
            Verdict::Serve
        } else if self.stated.get(session).is_some_and(lives) {
            Verdict::Pending
        } else if erased.is_some() {
            Verdict::Erased
        } else {
            Verdict::Unknown
        }
    }
}

/// The greatest version per session, of the last [`CAPACITY`] sessions at least.
#[derive(Debug)]
struct Newest(Generations<SessionId, u64>);

impl Newest {
    fn raise(&mut self, session: SessionId, version: u64) {
        let version = self.get(session).map_or(version, |known| known.max(version));
        self.0.insert(session, version);
    }

    fn get(&self, session: SessionId) -> Option<u64> {
        self.0.get(&session).copied()
    }
}

impl Default for Newest {
    fn default() -> Self {
        Self(Generations::new(CAPACITY))
    }
}

#[cfg(test)]
mod tests {
    use schemas::header::Headers;
    use schemas::statement::{deadline_header, repair_headers};
    use schemas::topic::{Topic, partition_of, session_key};

    use super::*;

    fn session(n: u128) -> SessionId {
        SessionId::from_bits(n)
    }
    fn note(version: u64, erases: bool) -> Note {
        Note { session: session(1), version, erases }
    }
    fn record(offset: u64, value: Option<&str>, headers: Headers) -> Record {
        let key = session_key(session(1));
        Record {
            topic: Topic::Preferences,
            partition: partition_of(&key, 4),
            offset,
            append_time_ms: 1_000,
            key: Some(key),
            value: value.map(|v| v.as_bytes().to_vec()),
            headers,
        }
    }

    #[test]
    fn a_row_is_served_until_its_session_is_erased_and_again_when_it_is_stated_anew() {
        let mut tail = Tail::default();
        assert_eq!(tail.verdict(session(1), Some(5)), Verdict::Serve);
        assert_eq!(tail.verdict(session(1), None), Verdict::Unknown);
        tail.note(note(9, true));
        assert_eq!(tail.verdict(session(1), Some(5)), Verdict::Erased);
        assert_eq!(tail.verdict(session(1), None), Verdict::Erased);
        tail.note(note(11, false));
        assert_eq!(
            tail.verdict(session(1), Some(5)),
            Verdict::Pending,
            "the old row is not shown for the new statement"
        );
        assert_eq!(tail.verdict(session(1), Some(11)), Verdict::Serve);
    }

    #[test]
    fn the_order_in_which_notes_arrive_does_not_matter() {
        let mut tail = Tail::default();
        tail.note(note(11, false));
        tail.note(note(9, true));
        tail.note(note(3, false));
        assert_eq!(tail.verdict(session(1), None), Verdict::Pending);
    }

    #[test]
    fn the_end_of_an_old_statement_does_not_hide_a_newer_one() {
        let sweep = Note::of(&record(20, None, repair_headers(5, 900)), 4).unwrap();
        assert_eq!(sweep, note(5, true));
        let mut tail = Tail::default();
        tail.note(sweep);
        assert_eq!(tail.verdict(session(1), Some(6)), Verdict::Serve);
        assert_eq!(tail.verdict(session(1), Some(5)), Verdict::Erased);
    }

    #[test]
    fn records_that_are_no_statements_are_not_noted() {
        let value = Some(r#"{"budget":700000,"place":{"country":"us"}}"#);
        assert_eq!(Note::of(&record(7, value, vec![deadline_header(1_000)]), 4), Some(note(7, false)));
        assert_eq!(Note::of(&record(7, None, vec![deadline_header(1_000)]), 4), Some(note(7, true)));
        assert_eq!(Note::of(&record(7, None, vec![deadline_header(999)]), 4), None, "came too late");
        assert_eq!(Note::of(&record(7, Some("{}"), Vec::new()), 4), None, "states nothing");
    }

    #[test]
    fn the_memory_is_bounded_and_keeps_the_newest() {
        let mut newest = Newest::default();
        for n in 0..3 * CAPACITY as u128 {
            newest.raise(session(n), 1);
        }
        assert!(newest.0.len() <= 2 * CAPACITY);
        assert_eq!(newest.get(session(0)), None);
        for n in 2 * CAPACITY as u128..3 * CAPACITY as u128 {
            assert_eq!(newest.get(session(n)), Some(1), "session {n}");
        }
    }
}
