//! The entity tags of sessions whose rows were read lately, kept current by topic `recommendations`: a client that has the newest
//! picks is answered 304 without a read, and another one with the row that `recent.rs` has, if that is the newest.
//!
//! A memory of hashes and nothing else. Whoever reads a row begins to watch its
//! session before, and what is announced from then on makes the tag unknown until a row as new was read. A write that was announced
//! before may still be under way: so a row is only remembered when its shard had written, before it was read, all of what was
//! there when the watch began. Thus a tag is never older than the log is far. Against announcements that never come a tag is only
//! believed for so long after its row was read; while the topic cannot be followed, none is.
//!
//! Pure but for its locks: the time is an argument.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant as Moment};

use schemas::id::SessionId;
use schemas::units::Instant;

use crate::generations::Generations;

/// Locks, so that requests seldom wait for one another: many times as many as there are threads.
const SHARDS: usize = 16;
/// Sessions remembered of each shard, in each of two generations: some 130 bytes each, 13 MB together at worst.
const CAPACITY: usize = 3_000;

/// How far the clock of a scorer may be ahead of this process's, in milliseconds.
const CLOCKS_APART_MS: i64 = 1_000;

/// The memory.
#[derive(Debug)]
pub struct Tags {
    shards: [Mutex<Generations<SessionId, Entry>>; SHARDS],
    /// Names watches.
    next: AtomicU64,
    /// Whether the topic is followed.
    is_followed: AtomicBool,
    believed_for: Duration,
}

#[derive(Clone, Debug)]
struct Entry {
    watch: Watch,
    /// The newest write that is known of.
    timestamp: i64,
    /// What that write wrote; `None` when its row was not read.
    tag: Option<Tag>,
    read: Moment,
}

/// A tag that is current, and the row that it is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Current {
    /// The tag.
    pub tag: Tag,
    /// Timestamp of the row's write.
    pub timestamp: i64,
    /// When the row was last read, or a moment before.
    pub read: Moment,
}

/// What a session's row says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag {
    /// Hash of the items.
    pub items_hash: String,
    /// The statement that they follow from.
    pub preference_version: u64,
}

/// That a session is watched since some moment. What is read of it after that moment may be remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watch {
    serial: u64,
    /// When it began, in milliseconds since 1970.
    began_ms: i64,
}

impl Tags {
    /// Remembers nothing yet. A tag is believed for so long after its row was read.
    pub fn new(believed_for: Duration) -> Self {
        let shards = std::array::from_fn(|_| Mutex::new(Generations::new(CAPACITY)));
        Self { shards, next: AtomicU64::new(0), is_followed: AtomicBool::new(false), believed_for }
    }

    /// What the session's row says now, if that is known.
    pub fn get(&self, session: SessionId, now: Moment) -> Option<Current> {
        if !self.is_followed.load(Ordering::Acquire) {
            return None;
        }
        let shard = self.shard(session);
        let entry = shard.get(&session)?;
        let Entry { timestamp, read, .. } = *entry;
        let is_believed = now.saturating_duration_since(read) < self.believed_for;
        let tag = entry.tag.clone().filter(|_| is_believed)?;
        Some(Current { tag, timestamp, read })
    }

    /// Watches a session from now on: to be called before its row is read. `now_ms` is the same as `now`, since 1970.
    pub fn watch(&self, session: SessionId, now: Moment, now_ms: i64) -> Watch {
        let mut shard = self.shard(session);
        if let Some(entry) = shard.touch(session) {
            return entry.watch;
        }
        let watch = Watch { serial: self.next.fetch_add(1, Ordering::Relaxed), began_ms: now_ms };
        shard.insert(session, Entry { watch, timestamp: i64::MIN, tag: None, read: now });
        watch
    }

    /// The row was read, since `watch` and not before `now`; up to `as_of` its shard had written everything by then.
    pub fn read(
        &self,
        session: SessionId,
        watch: Watch,
        as_of: Option<Instant>,
        timestamp: i64,
        tag: Tag,
        now: Moment,
    ) {
        if as_of.is_none_or(|at| at.ms() <= watch.began_ms + CLOCKS_APART_MS) {
            return;
        }
        let mut shard = self.shard(session);
        let entry = shard.get_mut(&session);
        // Another watch began after this row was read: what was announced in between is not known.
        if let Some(entry) = entry.filter(|entry| entry.watch == watch && timestamp >= entry.timestamp) {
            *entry = Entry { watch, timestamp, tag: Some(tag), read: now };
        }
    }

    /// A write of the session's row was announced.
    pub fn announced(&self, session: SessionId, timestamp: i64) {
        let mut shard = self.shard(session);
        let entry = shard.get_mut(&session);
        if let Some(entry) = entry.filter(|entry| timestamp > entry.timestamp) {
            (entry.timestamp, entry.tag) = (timestamp, None);
        }
    }

    /// Whether anything is remembered of the session: of others nothing needs to be announced.
    pub fn watches(&self, session: SessionId) -> bool {
        self.shard(session).get(&session).is_some()
    }

    /// Something happened to the session's row that is not understood, or it is gone.
    pub fn forget(&self, session: SessionId) {
        self.shard(session).remove(&session);
    }

    /// Whether the topic is followed. While it is not, and of what was read before it was again, nothing is known.
    pub fn set_followed(&self, is_followed: bool) {
        if self.is_followed.load(Ordering::Acquire) == is_followed {
            return;
        }
        // Nothing is believed before nothing is left of what was read in between.
        if !is_followed {
            self.is_followed.store(false, Ordering::Release);
        }
        for shard in &self.shards {
            lock(shard).clear();
        }
        self.is_followed.store(is_followed, Ordering::Release);
    }

    fn shard(&self, session: SessionId) -> MutexGuard<'_, Generations<SessionId, Entry>> {
        // The lowest bits of a hash.
        lock(&self.shards[session.bits() as usize % SHARDS])
    }
}

fn lock(shard: &Mutex<Generations<SessionId, Entry>>) -> MutexGuard<'_, Generations<SessionId, Entry>> {
    // Nothing can panic while it is held.
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// When the shard had written everything, long after every watch began.
    fn later() -> Option<Instant> {
        Instant::from_ms(60_000)
    }

    fn session(n: u128) -> SessionId {
        schemas::id::SessionToken::from_bits(n).session_id()
    }

    fn tag(hash: &str) -> Tag {
        Tag { items_hash: hash.to_owned(), preference_version: 7 }
    }

    fn tags() -> Tags {
        let tags = Tags::new(10 * SECOND);
        tags.set_followed(true);
        tags
    }

    fn known(tags: &Tags, session: SessionId, now: Moment) -> Option<Tag> {
        tags.get(session, now).map(|current| current.tag)
    }

    #[test]
    fn what_was_read_is_known_until_something_newer_is_announced() {
        let (tags, one, now) = (tags(), session(1), Moment::now());
        assert_eq!(known(&tags, one, now), None);
        let watch = tags.watch(one, now, 0);
        tags.read(one, watch, later(), 5, tag("a"), now);
        assert_eq!(known(&tags, one, now), Some(tag("a")));
        // The announcement of what was read, and of something before it.
        tags.announced(one, 5);
        tags.announced(one, 4);
        assert_eq!(known(&tags, one, now), Some(tag("a")));
        tags.announced(one, 6);
        assert_eq!(known(&tags, one, now), None);
        // The row does not show it yet.
        tags.read(one, tags.watch(one, now, 0), later(), 5, tag("a"), now);
        assert_eq!(known(&tags, one, now), None);
        tags.read(one, tags.watch(one, now, 0), later(), 6, tag("b"), now);
        assert_eq!(known(&tags, one, now), Some(tag("b")));
    }

    #[test]
    fn a_row_whose_shard_may_have_announced_more_before_the_watch_is_not_remembered() {
        let (tags, one, now) = (tags(), session(1), Moment::now());
        let watch = tags.watch(one, now, 5_000);
        for as_of in [None, Instant::from_ms(4_000), Instant::from_ms(6_000)] {
            tags.read(one, watch, as_of, 5, tag("a"), now);
            assert_eq!(known(&tags, one, now), None, "{as_of:?}");
        }
        tags.read(one, watch, Instant::from_ms(6_001), 5, tag("a"), now);
        assert_eq!(known(&tags, one, now), Some(tag("a")));
    }

    #[test]
    fn what_was_announced_between_watch_and_read_is_not_lost() {
        let (tags, one, now) = (tags(), session(1), Moment::now());
        let watch = tags.watch(one, now, 0);
        tags.announced(one, 6);
        tags.read(one, watch, later(), 5, tag("a"), now);
        assert_eq!(known(&tags, one, now), None);
    }

    #[test]
    fn a_row_read_before_its_session_was_watched_anew_is_not_remembered() {
        let (tags, one, now) = (tags(), session(1), Moment::now());
        let watch = tags.watch(one, now, 0);
        tags.forget(one);
        // Nobody notes this one.
        tags.announced(one, 6);
        let other = tags.watch(one, now, 0);
        tags.read(one, watch, later(), 5, tag("a"), now);
        assert_eq!(known(&tags, one, now), None);
        tags.read(one, other, later(), 6, tag("b"), now);
        assert_eq!(known(&tags, one, now), Some(tag("b")));
    }

    #[test]
    fn a_tag_is_believed_for_a_time_and_while_the_topic_is_followed() {
        let (tags, one, now) = (tags(), session(1), Moment::now());
        let watch = tags.watch(one, now, 0);
        tags.read(one, watch, later(), 5, tag("a"), now);
        assert_eq!(known(&tags, one, now + 9 * SECOND), Some(tag("a")));
        assert_eq!(known(&tags, one, now + 10 * SECOND), None);
        tags.set_followed(true);
        assert_eq!(known(&tags, one, now), Some(tag("a")));
        tags.set_followed(false);
        tags.set_followed(true);
        assert_eq!(known(&tags, one, now), None);
        // A read that was under way meanwhile.
        tags.read(one, watch, later(), 5, tag("a"), now);
        assert_eq!(known(&tags, one, now), None);
    }

    #[test]
    fn it_never_grows_beyond_its_bound_and_keeps_those_that_are_asked_for() {
        let (tags, now) = (tags(), Moment::now());
        let kept = session(0);
        let watch = tags.watch(kept, now, 0);
        tags.read(kept, watch, later(), 5, tag("a"), now);
        for n in 1..=4 * (SHARDS * CAPACITY) as u128 {
            tags.watch(session(n), now, 0);
            if n % 1_000 == 0 {
                tags.watch(kept, now, 0);
            }
        }
        let count: usize = tags.shards.iter().map(|shard| lock(shard).len()).sum();
        assert!(count <= 2 * SHARDS * CAPACITY, "{count}");
        assert_eq!(known(&tags, kept, now), Some(tag("a")));
    }
}
