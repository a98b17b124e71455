//! Compares what the `shards` rows say with what the logs say. Reads both logs from their beginning to the offsets that the
//! rows name, and no further: it may be asked while everything runs.
//!
//! What is computed of the records is `rebuilt.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::{Duration, Instant as Moment};

use schemas::cells::ShardCell;
use schemas::state_hash::{ShardState, StateHash};
use schemas::topic::Topic;
use schemas::units::Instant;
use store::{Row, Tables};
use stream::{Event, Log, LogError, Record, Start};

use super::rebuilt::{self, Disagreement};
use crate::catalogue::Catalogue;
use crate::facts::ScoreEpoch;
use crate::statements::Statements;

/// How long the log may say nothing.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long one look at the log waits.
const POLL: Duration = Duration::from_millis(100);
/// Longer than any session lives, so that nothing here ends by the clock: what ends a session stands on the log.
const FOR_EVER_MS: i64 = i64::MAX / 4;

/// What came of one shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The logs say the same.
    AsRecorded(ShardState),
    /// They say something else.
    Differs {
        /// What the row says.
        recorded: ShardState,
        /// The hash that the logs give.
        hash: StateHash,
        /// The sessions that the logs give.
        sessions: u64,
    },
    /// The row belongs to another log than this one, or this one lost its end.
    OtherLog(String),
    /// Nobody has written the row.
    NoRow,
    /// The row tells no state.
    NoState,
    /// The row is so old, and the logs went on since, that compaction may have taken records of its time.
    GoneOn(Instant),
}

impl Verdict {
    /// Whether asking again in a moment may tell more.
    pub const fn may_change(&self) -> bool {
        matches!(self, Self::NoRow | Self::NoState | Self::GoneOn(_))
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AsRecorded(state) => {
                write!(f, "{} sessions, state {}, as recorded {}", state.sessions, state.hash, At(state))
            }
            Self::Differs { recorded, hash, sessions } => write!(
                f,
                "{} sessions, state {} are recorded {}, but the logs up to there give {sessions} sessions, state {hash}",
                recorded.sessions,
                recorded.hash,
                At(recorded)
            ),
            Self::OtherLog(why) => f.write_str(why),
            Self::NoRow => f.write_str("no scorer has written its row yet"),
            Self::NoState => f.write_str(
                "its row tells no state: its scorer is still reading the logs, or is of an earlier version; ask again",
            ),
            Self::GoneOn(at) => write!(
                f,
                "its row is of {at} and the logs went on since, so that compaction may have taken what it was made of; \
                 ask again when a scorer owns the shard"
            ),
        }
    }
}

/// Where on the logs a state was so.
struct At<'a>(&'a ShardState);

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ShardState { listings_offsets, preferences_offset, .. } = self.0;
        write!(f, "at listings.priced {listings_offsets:?}, preferences {preferences_offset}")
    }
}

/// Why nothing can be said.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The log.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The store.
    #[error(transparent)]
    Store(#[from] store::StoreError),
    /// A row that this version cannot read.
    #[error("table shards, row {shard}: {error}; was it written by a later version?")]
    Row {
        /// Which row.
        shard: u32,
        /// What is wrong with it.
        error: serde_json::Error,
    },
    /// The engine.
    #[error(transparent)]
    Engine(#[from] Disagreement),
}

/// The rows of these shards.
pub async fn recorded(
    tables: &Tables,
    shards: impl IntoIterator<Item = u32>,
) -> Result<BTreeMap<u32, Option<ShardCell>>, VerifyError> {
    let mut rows = BTreeMap::new();
    for shard in shards {
        let cell = tables.read(Row::Shard(shard)).await?;
        let cell = cell.map(|cell| serde_json::from_str(&cell.json)).transpose();
        rows.insert(shard, cell.map_err(|error| VerifyError::Row { shard, error })?);
    }
    Ok(rows)
}

/// Compares rows with the logs; `min_lag` is how long the log keeps every record. Blocks while it reads.
pub fn verify(
    log: &Log,
    rows: BTreeMap<u32, Option<ShardCell>>,
    epoch: ScoreEpoch,
    min_lag: Duration,
    now: Instant,
) -> Result<BTreeMap<u32, Verdict>, VerifyError> {
    verify_within(log, rows, epoch, min_lag, now, rebuilt::MAX_PAIRS)
}

/// The same with another bound on the pairs that the definition engine looks at.
pub fn verify_within(
    log: &Log,
    rows: BTreeMap<u32, Option<ShardCell>>,
    epoch: ScoreEpoch,
    min_lag: Duration,
    now: Instant,
    max_pairs: usize,
) -> Result<BTreeMap<u32, Verdict>, VerifyError> {
    let ends = Ends::of(log, rows.keys().copied())?;
    let (mut verdicts, mut states) = (BTreeMap::new(), BTreeMap::new());
    for (shard, row) in rows {
        match ends.comparable(shard, row, min_lag, now) {
            Ok(state) => drop(states.insert(shard, state)),
            Err(verdict) => drop(verdicts.insert(shard, verdict)),
        }
    }
    let statements = statements(log, &states)?;
    verdicts.extend(compare(log, states, statements, epoch, max_pairs)?);
    Ok(verdicts)
}

/// Where the logs end.
struct Ends {
    listings: Vec<u64>,
    preferences: BTreeMap<u32, u64>,
}

impl Ends {
    fn of(log: &Log, shards: impl Iterator<Item = u32>) -> Result<Self, LogError> {
        let end = |topic, partition| log.range(topic, partition).map(|(_, end)| end);
        let listings = (0..log.partitions()).map(|partition| end(Topic::ListingsPriced, partition));
        let preferences = shards.map(|shard| Ok::<_, LogError>((shard, end(Topic::Preferences, shard)?)));
        Ok(Self { listings: listings.collect::<Result<_, _>>()?, preferences: preferences.collect::<Result<_, _>>()? })
    }

    /// The state of a row that the logs can be asked about, or why not.
    fn comparable(
        &self,
        shard: u32,
        row: Option<ShardCell>,
        min_lag: Duration,
        now: Instant,
    ) -> Result<ShardState, Verdict> {
        let Some(row) = row else { return Err(Verdict::NoRow) };
        let Some(state) = row.state else { return Err(Verdict::NoState) };
        if state.listings_offsets.len() != self.listings.len() {
            return Err(Verdict::OtherLog(format!(
                "its row knows {} partitions, the log has {}: they belong to different installations",
                state.listings_offsets.len(),
                self.listings.len()
            )));
        }
        let listings = (0_u32..).zip(state.listings_offsets.iter().zip(&self.listings));
        let listings = listings.map(|(partition, (at, end))| (Topic::ListingsPriced, partition, *at, *end));
        let end = self.preferences.get(&shard).copied().unwrap_or(0);
        let all = listings.chain([(Topic::Preferences, shard, state.preferences_offset, end)]);
        let mut goes_on = false;
        for (topic, partition, at, end) in all {
            if at > end {
                return Err(Verdict::OtherLog(format!(
                    "its row was written at {topic} [{partition}] {at}, but the log ends at {end}: it is another log, \
                     or lost records"
                )));
            }
            goes_on |= at < end;
        }
        // Whatever was appended behind the offsets was appended after the row's time, and takes nothing away before it is as
        // old as the lag. Half of it, for the clocks are of different machines.
        let age_ms = now.ms().saturating_sub(row.caught_up_at.ms());
        let is_fresh = u128::try_from(age_ms).unwrap_or(0) < min_lag.as_millis() / 2;
        if goes_on && !is_fresh {
            return Err(Verdict::GoneOn(row.caught_up_at));
        }
        Ok(state)
    }
}

fn statements(log: &Log, states: &BTreeMap<u32, ShardState>) -> Result<BTreeMap<u32, Statements>, LogError> {
    let partitions = log.partitions();
    let new = |shard: &u32| (*shard, Statements::new(*shard, partitions, FOR_EVER_MS, FOR_EVER_MS));
    let mut statements: BTreeMap<u32, Statements> = states.keys().map(new).collect();
    let up_to = states.iter().map(|(shard, state)| (*shard, state.preferences_offset)).collect();
    read(log, Topic::Preferences, &up_to, |record| {
        if let Some(statements) = statements.get_mut(&record.partition) {
            statements.take(&record);
        }
    })?;
    Ok(statements)
}

/// Shards that were written at the same offsets are compared together: those of one scorer are, mostly.
fn compare(
    log: &Log,
    states: BTreeMap<u32, ShardState>,
    mut statements: BTreeMap<u32, Statements>,
    epoch: ScoreEpoch,
    max_pairs: usize,
) -> Result<BTreeMap<u32, Verdict>, VerifyError> {
    let mut groups: BTreeMap<Vec<u64>, Vec<(u32, ShardState)>> = BTreeMap::new();
    for (shard, state) in states {
        groups.entry(state.listings_offsets.clone()).or_default().push((shard, state));
    }
    let of_all = |choose: fn(u64, u64) -> u64| -> BTreeMap<u32, u64> {
        let offsets = groups.keys().cloned().reduce(|a, b| a.into_iter().zip(b).map(|(a, b)| choose(a, b)).collect());
        (0..).zip(offsets.unwrap_or_default()).collect()
    };
    let (common, most) = (of_all(u64::min), of_all(u64::max));
    // What all have applied is read into one catalogue, what only some have is kept aside: a second or two of the log.
    let (mut catalogue, mut later) = (Catalogue::new(log.partitions()), Vec::new());
    read(log, Topic::ListingsPriced, &most, |record| {
        if common.get(&record.partition).is_some_and(|common| record.offset < *common) {
            // What is no fact is passed over, as the judge does.
            let _ = catalogue.take(record);
        } else {
            later.push(record);
        }
    })?;
    let mut verdicts = BTreeMap::new();
    for (offsets, shards) in groups {
        let mut catalogue = catalogue.clone();
        for record in later.iter().filter(|record| record.offset < offsets[record.partition as usize]) {
            let _ = catalogue.take(record.clone());
        }
        let statements = shards.iter().filter_map(|(shard, _)| statements.remove_entry(shard)).collect();
        let sights = rebuilt::sights(&catalogue, &statements, epoch, max_pairs)?;
        for (shard, recorded) in shards {
            let (hash, sessions) = sights.get(&shard).copied().unwrap_or((StateHash::from_bits(0), 0));
            let is_equal = (recorded.hash, recorded.sessions) == (hash, sessions);
            let verdict = match is_equal {
                true => Verdict::AsRecorded(recorded),
                false => Verdict::Differs { recorded, hash, sessions },
            };
            verdicts.insert(shard, verdict);
        }
    }
    Ok(verdicts)
}

/// Hands out every record of each partition below its offset.
fn read(log: &Log, topic: Topic, up_to: &BTreeMap<u32, u64>, mut visit: impl FnMut(Record)) -> Result<(), LogError> {
    let mut unread: BTreeSet<u32> = up_to.iter().filter(|(_, to)| **to > 0).map(|(partition, _)| *partition).collect();
    if unread.is_empty() {
        return Ok(());
    }
    let starts: Vec<_> = unread.iter().map(|partition| (topic, *partition, Start::Earliest)).collect();
    let mut reader = log.follow(&starts)?;
    let (mut events, mut heard) = (Vec::new(), Moment::now());
    while !unread.is_empty() {
        match reader.poll(POLL, &mut events) {
            Err(error @ LogError::Unavailable(_)) if heard.elapsed() > PATIENCE => return Err(error),
            Ok(()) if events.is_empty() && heard.elapsed() > PATIENCE => {
                let seconds = PATIENCE.as_secs();
                return Err(LogError::Unavailable(format!("{topic}: nothing came for {seconds} s")));
            }
            Ok(()) | Err(LogError::Unavailable(_)) => {}
            Err(error) => return Err(error),
        }
        if !events.is_empty() {
            heard = Moment::now();
        }
        for event in events.drain(..) {
            match event {
                Event::Record(record) => {
                    let to = up_to.get(&record.partition).copied().unwrap_or(0);
                    if record.offset + 1 >= to {
                        unread.remove(&record.partition);
                    }
                    if record.offset < to {
                        visit(record);
                    }
                }
                Event::End { partition, next_offset, .. } => {
                    if up_to.get(&partition).is_none_or(|to| next_offset >= *to) {
                        unread.remove(&partition);
                    }
                }
                Event::Assigned(_) | Event::Revoked(_) => {}
            }
        }
    }
    Ok(())
}
