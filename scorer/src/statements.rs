//! The statements of one shard: for each session the newest, whatever order the log has them in, and what the log must
//! be told so that compaction keeps the right one (log read-repair, DESIGN §3).
//!
//! Pure. Does not know scores or rows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rustc_hash::FxHashMap;
use schemas::dead_letter::Poison;
use schemas::header::Headers;
use schemas::id::SessionId;
use schemas::preferences::Preferences;
use schemas::statement::{self, Statement};
use schemas::topic::{Topic, session_key};
use stream::{Outgoing, Record};

/// What is known of one session: its newest statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stated {
    /// Its version: the offset it was first appended at.
    pub version: u64,
    /// When it was first appended, milliseconds since 1970.
    pub stated_at_ms: i64,
    /// `None`: erased. Remembered, so that an older statement that comes late does not bring it back.
    pub preferences: Option<Arc<Preferences>>,
}

impl Stated {
    /// A tombstone beats the statement of its own version: the sweeper's carries the version of the one it ends.
    fn rank(&self) -> (u64, bool) {
        (self.version, self.preferences.is_none())
    }
}

/// What a record did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It is the session's newest statement now.
    Newer(SessionId),
    /// A newer one is known already, or it repeats the newest.
    Superseded,
    /// It is no statement; to be dead-lettered.
    Poison(Poison),
}

/// A key whose last record is not what is known.
#[derive(Clone, Copy, Debug)]
struct Unrepaired {
    /// Offset of that last record.
    offset: u64,
    /// A repair was appended and has not been read back.
    sent: bool,
}

/// All statements of one partition of `preferences`.
#[derive(Debug)]
pub struct Statements {
    partition: u32,
    partitions: u32,
    life_ms: i64,
    erasures_kept_ms: i64,
    known: FxHashMap<SessionId, Stated>,
    unrepaired: BTreeMap<Vec<u8>, Unrepaired>,
    /// When sessions end (statements) or are forgotten (erased), soonest first.
    ends: BTreeSet<(i64, SessionId)>,
    /// Sessions whose tombstone the sweeper has appended and not read back.
    swept: BTreeSet<SessionId>,
}

impl Statements {
    /// Of `partition` out of `partitions`; a session lives `life_ms` after its last statement, an erasure
    /// is remembered for `erasures_kept_ms`.
    pub fn new(partition: u32, partitions: u32, life_ms: i64, erasures_kept_ms: i64) -> Self {
        Self {
            partition,
            partitions,
            life_ms,
            erasures_kept_ms,
            known: FxHashMap::default(),
            unrepaired: BTreeMap::new(),
            ends: BTreeSet::new(),
            swept: BTreeSet::new(),
        }
    }

    /// The newest statement of a session, or its erasure.
    pub fn get(&self, session: SessionId) -> Option<&Stated> {
        self.known.get(&session)
    }

    /// Every session, erased ones included.
    pub fn iter(&self) -> impl Iterator<Item = (SessionId, &Stated)> {
        self.known.iter().map(|(session, stated)| (*session, stated))
    }

    /// How many sessions stand.
    pub fn standing(&self) -> usize {
        self.known.values().filter(|stated| stated.preferences.is_some()).count()
    }

    /// Takes the next record of the partition.
    pub fn take(&mut self, record: &Record) -> Taken {
        let key = record.key.clone().unwrap_or_default();
        let decoded = statement::decode(
            record.key.as_deref(),
            record.value.as_deref(),
            &record.headers,
            self.partitions,
            record.partition,
            record.offset,
            record.append_time_ms,
        );
        match decoded {
            Ok(statement) => self.admit(key, record.offset, record.append_time_ms, statement),
            Err(_) if record.value.is_none() && !self.is_ours(&key) => {
                // Nobody's tombstone: our own repair of a record whose key names no session of this shard.
                self.unrepaired.remove(&key);
                Taken::Superseded
            }
            Err(poison) => {
                if !key.is_empty() {
                    self.unrepaired.insert(key, Unrepaired { offset: record.offset, sent: false });
                }
                Taken::Poison(poison)
            }
        }
    }

    fn is_ours(&self, key: &[u8]) -> bool {
        session_of(key).is_some() && schemas::topic::partition_of(key, self.partitions) == self.partition
    }

    fn admit(&mut self, key: Vec<u8>, offset: u64, append_time_ms: i64, statement: Statement) -> Taken {
        let session = statement.session;
        let stated = Stated {
            version: statement.version,
            // A tombstone is remembered from the moment the log has it, whatever statement it ends.
            stated_at_ms: if statement.preferences.is_some() { statement.append_time_ms } else { append_time_ms },
            preferences: statement.preferences.map(Arc::new),
        };
        let known_rank = self.known.get(&session).map(Stated::rank);
        let rank = stated.rank();
        if known_rank.is_some_and(|known| known > rank) {
            self.unrepaired.insert(key, Unrepaired { offset, sent: false });
            return Taken::Superseded;
        }
        self.unrepaired.remove(&key);
        if known_rank == Some(rank) {
            return Taken::Superseded;
        }
        self.swept.remove(&session);
        if let Some(old) = self.known.get(&session) {
            self.ends.remove(&(self.end_of(old), session));
        }
        self.ends.insert((self.end_of(&stated), session));
        self.known.insert(session, stated);
        Taken::Newer(session)
    }

    /// When a session ends, or its erasure may be forgotten.
    fn end_of(&self, stated: &Stated) -> i64 {
        stated.stated_at_ms + if stated.preferences.is_some() { self.life_ms } else { self.erasures_kept_ms }
    }

    /// The end of the log was reached: the records that make each key's last one what is known.
    pub fn repairs(&mut self) -> Vec<Outgoing> {
        let due: Vec<_> = self
            .unrepaired
            .iter_mut()
            .filter(|(_, u)| !u.sent)
            .map(|(key, u)| {
                u.sent = true;
                (key.clone(), u.offset)
            })
            .collect();
        due.into_iter().map(|(key, offset)| self.repair(key, offset)).collect()
    }

    fn repair(&self, key: Vec<u8>, last_offset: u64) -> Outgoing {
        let stated = session_of(&key).and_then(|session| self.known.get(&session));
        let (value, headers) = match stated {
            Some(stated) => (
                stated.preferences.as_deref().map(Preferences::to_json),
                statement::repair_headers(stated.version, stated.stated_at_ms),
            ),
            // Nothing valid was ever said under this key: a tombstone that loses to anything said since.
            None => (None, statement::repair_headers(last_offset, 0)),
        };
        self.outgoing(key, value, headers)
    }

    /// Tombstones for the sessions that have ended at `now`, at most `limit`; forgets erasures that no reader can miss.
    pub fn sweep(&mut self, now: i64, limit: usize) -> Vec<Outgoing> {
        let mut tombstones = Vec::new();
        let mut again = Vec::new();
        while tombstones.len() < limit && self.ends.first().is_some_and(|&(end, _)| end <= now) {
            let Some((end, session)) = self.ends.pop_first() else { break };
            let Some(stated) = self.known.get(&session) else { continue };
            if stated.preferences.is_none() {
                self.known.remove(&session);
                continue;
            }
            again.push((end, session));
            if self.swept.insert(session) {
                let headers = statement::repair_headers(stated.version, stated.stated_at_ms);
                tombstones.push(self.outgoing(session_key(session), None, headers));
            } else {
                break; // All that follow in this call were appended before and are not read back yet.
            }
        }
        self.ends.extend(again);
        tombstones
    }

    fn outgoing(&self, key: Vec<u8>, value: Option<Vec<u8>>, headers: Headers) -> Outgoing {
        Outgoing { topic: Topic::Preferences, partition: Some(self.partition), key: Some(key), value, headers }
    }
}

fn session_of(key: &[u8]) -> Option<SessionId> {
    std::str::from_utf8(key).ok()?.parse().ok()
}
