//! What one client that listens is told, and when: its session's picks, whether they are stale, and that it was erased.
//! The same for server-sent events and WebSockets (`routes/stream.rs`, `routes/socket.rs`), which only write it down.
//!
//! It listens before it reads the row once, so nothing is lost in between; what is older or equal to what was told is not
//! told. It keeps no queue: whoever asks for the next thing late gets the newest.

use std::sync::Arc;
use std::time::Duration;

use schemas::id::SessionId;
use schemas::recommendation::{Counts, Recommendation, items_hash};
use schemas::topic::{partition_of, session_key};
use schemas::units::Instant;
use serde::Serialize;
use store::RecommendationRow;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant as Moment;

use crate::app::App;
use crate::freshness::{Freshness, is_stale};
use crate::listeners::{Listener, Listeners, Picks};
use crate::metrics::{self, StreamKind};
use crate::problem::{Kind, Problem};
use crate::routes::recommendations::{Away, Recommendations, look_now, read_now};
use crate::statements::now_ms;
use crate::stop::Stop;
use crate::tail::Verdict;

/// Most rows read at a time when all streams have to look again: 10,000 streams are through in a second or two, and other
/// reads of the store are not crowded out.
pub const LOOKS_AT_ONCE: usize = 64;
/// No row was ever written with so great a timestamp (DESIGN §3): who names one has it from nobody.
const MAX_TIMESTAMP: i64 = 1 << 50;
/// Most streams of one session: a person's tabs and devices, not a crowd.
const MAX_OF_SESSION: usize = 32;
/// How long a stream waits before it tries again to read its row.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Which picks a client has: the id of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventId {
    write_timestamp: i64,
    items_hash: String,
}

impl EventId {
    /// `<write timestamp>-<hash of the items>`; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let (timestamp, hash) = text.split_once('-')?;
        let is_hash = hash.len() == 16 && hash.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        let is_number = timestamp.bytes().all(|byte| byte.is_ascii_digit());
        let write_timestamp = timestamp.parse().ok().filter(|timestamp| is_number && *timestamp < MAX_TIMESTAMP)?;
        is_hash.then(|| Self { write_timestamp, items_hash: hash.to_owned() })
    }

    /// Of the row that has these picks.
    pub const fn write_timestamp(&self) -> i64 {
        self.write_timestamp
    }

    fn text(&self) -> String {
        format!("{}-{}", self.write_timestamp, self.items_hash)
    }

    /// Whether these picks are news to a client that has `self`.
    fn is_followed_by(&self, picks: &Picks) -> bool {
        picks.write_timestamp > self.write_timestamp && picks.items_hash != self.items_hash
    }
}

/// One thing that a client is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// `recommendations`, `freshness` or `erased`.
    pub name: &'static str,
    /// Which picks the client has now; only of `recommendations`.
    pub id: Option<String>,
    /// A JSON text.
    pub data: String,
}

/// Whether the picks are stale has changed, and they have not.
#[derive(Serialize)]
struct Fresh {
    session_id: SessionId,
    as_of: Option<Instant>,
    stale: bool,
}

/// What one client is told, one thing after the other.
pub struct Feed {
    app: Arc<App>,
    session: SessionId,
    listener: Listener,
    /// What the client has.
    seen: Option<EventId>,
    /// A row that was read and not told yet.
    row: Option<Arc<Picks>>,
    /// The statement that the newest row follows from.
    version: Option<u64>,
    /// The counts of the row that was read, and of which statement they are.
    counts: Option<(u64, Counts)>,
    /// The looks that were done, and when the next one is tried.
    looked: u64,
    next_look: Moment,
    said_stale: bool,
    is_erased: bool,
    stop: Stop,
    _open: metrics::OpenStream,
    _permit: OwnedSemaphorePermit,
}

impl Feed {
    /// Begins to listen for a session, then reads its row. `seen` is what the client says that it has.
    pub async fn open(
        app: &Arc<App>,
        session: SessionId,
        seen: Option<EventId>,
        kind: StreamKind,
    ) -> Result<Self, Problem> {
        let Ok(permit) = Arc::clone(&app.streams).try_acquire_owned() else {
            metrics::record_stream_refused(kind);
            return Err(Problem::new(Kind::Overloaded, format!("{} streams are open already", app.config.max_streams)));
        };
        let mut listener = app.listeners.listen(session);
        if listener.others() >= MAX_OF_SESSION {
            metrics::record_stream_refused(kind);
            return Err(Problem::new(
                Kind::Overloaded,
                format!("{MAX_OF_SESSION} streams of the session are open already"),
            ));
        }
        let looked = listener.signal().looks;
        let row = read_now(app, session, Away::Refuse).await?.map(|shown| shown.row);
        let mut feed = Self {
            app: Arc::clone(app),
            session,
            listener,
            seen,
            row: None,
            version: None,
            counts: None,
            looked,
            next_look: Moment::now(),
            said_stale: false,
            is_erased: false,
            stop: app.stop.clone(),
            _open: metrics::OpenStream::of(kind),
            _permit: permit,
        };
        if let Some(row) = row {
            feed.take(&row)?;
        }
        Ok(feed)
    }

    /// Waits for the next thing to tell; `None` when there is nothing more: the session was erased, or the service ends.
    /// May be dropped and called again: nothing is lost by it.
    pub async fn next(&mut self) -> Option<Told> {
        loop {
            if self.is_erased || self.stop.is_given() {
                return None;
            }
            let signal = self.listener.signal();
            if self.has_been_erased() {
                self.is_erased = true;
                return Some(self.told("erased", None, &serde_json::json!({"session_id": self.session})));
            }
            let must_look = signal.looks != self.looked;
            if must_look && self.next_look <= Moment::now() {
                self.look_again(signal.looks).await;
            }
            let newest = [self.row.take(), signal.newest].into_iter().flatten();
            if let Some(picks) = newest.max_by_key(|picks| picks.write_timestamp)
                && let Some(told) = self.tell_picks(&picks)
            {
                return Some(told);
            }
            let (as_of, stale) = self.app.as_of(self.session);
            if stale != self.said_stale {
                self.said_stale = stale;
                let fresh = Fresh { session_id: self.session, as_of, stale };
                return Some(self.told("freshness", None, &fresh));
            }
            let retry = self.next_look;
            tokio::select! {
                () = self.listener.changed() => {}
                () = self.stop.given() => {}
                () = tokio::time::sleep_until(retry), if signal.looks != self.looked => {}
            }
        }
    }

    /// Whether the last thing told was that the session is erased.
    pub const fn is_erased(&self) -> bool {
        self.is_erased
    }

    fn has_been_erased(&self) -> bool {
        matches!(self.app.verdict(self.session, self.version), Ok(Verdict::Erased))
    }

    /// Reads the row again: something may have been missed. `looks` is what this settles.
    async fn look_again(&mut self, looks: u64) {
        let read = async {
            // Cannot fail: the semaphore is never closed.
            let _permit = self.app.looks.acquire().await;
            look_now(&self.app, self.session).await
        };
        match read.await.and_then(|row| row.map_or(Ok(()), |row| self.take(&row))) {
            Err(problem) if problem.kind == Kind::StoreUnavailable => self.next_look = Moment::now() + LOOK_AGAIN,
            // A row that cannot be read was logged where it was read: the next change brings another one.
            Ok(()) | Err(_) => self.looked = looks,
        }
    }

    /// Takes in a row, to be told if it is news.
    fn take(&mut self, row: &RecommendationRow) -> Result<(), Problem> {
        let recommendation: Recommendation = serde_json::from_str(&row.items.json)
            .map_err(|error| Problem::internal(&format!("recommendations of {}: cell items: {error}", self.session)))?;
        let version = recommendation.preference_version;
        self.version = self.version.max(Some(version));
        self.counts = row.counts.as_ref().and_then(|cell| Some((version, serde_json::from_str(&cell.json).ok()?)));
        let items_hash = items_hash(&row.items.json);
        self.row = Some(Arc::new(Picks { write_timestamp: row.items.timestamp.raw(), items_hash, recommendation }));
        Ok(())
    }

    /// What to tell of these picks, if they are news and of a session that is there.
    fn tell_picks(&mut self, picks: &Picks) -> Option<Told> {
        if let Some(seen) = &mut self.seen
            && !seen.is_followed_by(picks)
        {
            // Equal picks that were written again: older ones are no news from now on.
            if picks.items_hash == seen.items_hash {
                seen.write_timestamp = seen.write_timestamp.max(picks.write_timestamp);
            }
            return None;
        }
        let Picks { write_timestamp, items_hash, recommendation } = picks;
        let write_timestamp = *write_timestamp;
        let version = recommendation.preference_version;
        if !matches!(self.app.verdict(self.session, Some(version)), Ok(Verdict::Serve)) {
            return None;
        }
        let counts = self.counts.as_ref().filter(|(of, _)| *of == version).map(|(_, counts)| counts.clone());
        let (as_of, stale) = self.app.as_of(self.session);
        let body = Recommendations {
            session_id: self.session,
            preference_version: version,
            version: write_timestamp,
            as_of,
            stale,
            counts,
            items: recommendation.items.clone(),
        };
        let id = EventId { write_timestamp, items_hash: items_hash.clone() };
        let told = self.told("recommendations", Some(id.text()), &body);
        (self.seen, self.said_stale) = (Some(id), stale);
        self.version = self.version.max(Some(version));
        Some(told)
    }

    fn told(&self, name: &'static str, id: Option<String>, data: &impl Serialize) -> Told {
        metrics::record_stream_event(name);
        // Cannot fail: our own types have texts as names and no number that JSON lacks.
        Told { name, id, data: serde_json::to_string(data).unwrap_or_default() }
    }
}

/// Wakes the listeners of every shard that has become stale, or fresh again, for ever: nothing else would tell them.
pub async fn tell_staleness(freshness: Arc<Freshness>, listeners: Arc<Listeners>, shards: u32, stale_after: Duration) {
    let mut ticks = tokio::time::interval(crate::freshness::EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut was: Vec<(Option<Instant>, bool)> = vec![(None, false); shards as usize];
    loop {
        ticks.tick().await;
        let now_ms = now_ms();
        let stale_at = |as_of| is_stale(as_of, now_ms, stale_after);
        let is: Vec<_> =
            (0..shards).map(|shard| freshness.as_of(shard)).map(|as_of| (as_of, stale_at(as_of))).collect();
        let may_have_changed = |shard: usize| {
            let ((was_as_of, was_stale), (as_of, stale)) = (was[shard], is[shard]);
            // A listener looks by itself, too: it may have said what was so between two ticks, and is no more.
            stale != was_stale || as_of != was_as_of && (stale || stale_at(was_as_of))
        };
        if (0..shards as usize).any(may_have_changed) {
            listeners.wake_where(|session| may_have_changed(partition_of(&session_key(session), shards) as usize));
        }
        was = is;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picks(write_timestamp: i64, hash: u64) -> Picks {
        let recommendation = Recommendation { preference_version: 1, items: Vec::new() };
        Picks { write_timestamp, items_hash: format!("{hash:016x}"), recommendation }
    }

    #[test]
    fn only_later_and_other_picks_are_news() {
        let seen = EventId::parse("7-00000000000000aa").unwrap();
        assert_eq!(seen.text(), "7-00000000000000aa");
        assert!(seen.is_followed_by(&picks(8, 0xbb)));
        assert!(!seen.is_followed_by(&picks(8, 0xaa)), "the same picks, written again");
        assert!(!seen.is_followed_by(&picks(6, 0xbb)), "an older write");
    }

    #[test]
    fn an_event_id_is_a_timestamp_and_a_hash() {
        for text in
            ["", "7", "7-", "-00000000000000aa", "x-00000000000000aa", "7-00000000000000AA", "7-0000000000000aa"]
        {
            assert_eq!(EventId::parse(text), None, "{text}");
        }
        for text in ["-1-00000000000000aa", "+1-00000000000000aa", "9223372036854775807-00000000000000aa"] {
            assert_eq!(EventId::parse(text), None, "{text}");
        }
    }
}
