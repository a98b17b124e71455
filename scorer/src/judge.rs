//! The judge: takes what the logs say and decides what is written, announced, repaired and committed.
//!
//! Pure: records, acknowledgements and `now` in, [`Effect`]s out. `service.rs` performs them; a simulator drives the same
//! code. Each call may leave effects behind; [`Judge::settle`] ends a batch and hands them over.

use std::collections::{BTreeMap, BTreeSet};

use schemas::cells::ShardCell;
use schemas::dead_letter::Poison;
use schemas::state_hash::ShardState;
use schemas::topic::{DELETE_RETENTION_MS, Topic, partition_of, session_key};
use store::{Row, SEQUENCE_BITS, Table, Write, WriteTimestamp};
use stream::{Assignment, Outgoing, Record};

mod counting;
mod output;
mod summary;
mod warm;

pub use summary::Summary;
use warm::Unconfirmed;

use self::counting::Counting;
use crate::catalogue::{Catalogue, index_entry, shard_of_market};
use crate::days::Days;
use crate::engine::{Change, Emit, Engine, UNSEEN};
use crate::facts::{ListingFacts, ScoreEpoch, SessionFacts};
use crate::ledger::Ledger;
use crate::markets::Markets;
use crate::shard::{Phase, Shard, Step};
use crate::statements::{Statements, Taken};

/// What the decisions depend on.
#[derive(Clone, Debug)]
pub struct Rules {
    /// P.
    pub partitions: u32,
    /// Milliseconds from a session's last statement to its end.
    pub session_life_ms: i64,
    /// Statements under way per shard.
    pub window: usize,
    /// Milliseconds between two writes of a market's row, and between two observations of its day.
    pub market_every_ms: i64,
    /// Milliseconds in which every row is written again once; 0: never.
    pub scrub_every_ms: i64,
    /// From which day on-market dates count.
    pub score_epoch: ScoreEpoch,
    /// What keeps the protocol right.
    pub safeguards: Safeguards,
}

/// What keeps the protocol right and could be otherwise. A service takes the default; only a simulator takes less, to show
/// what each is for.
#[derive(Clone, Debug)]
pub struct Safeguards {
    /// Milliseconds for which the erasure of a session is remembered: as long as the log keeps its tombstone.
    pub erasures_kept_ms: i64,
    /// Milliseconds for which it is remembered that a listing went: as long.
    pub gone_kept_ms: i64,
    /// Whether a new owner writes every row.
    pub rewrites_at_take_over: bool,
    /// Seconds after which a fenced owner that the group has not told to let go claims again. Two claims may stand on the
    /// log in the wrong order, or a process that was late to hear of its loss may have claimed last; the group has only
    /// one owner in mind, and that one must win in the end. Longer than a member that is awake takes to hear what it
    /// has lost.
    pub claims_again_after_s: u32,
    /// Statements that one epoch has timestamps for.
    pub statements_per_epoch: u64,
}

impl Default for Safeguards {
    fn default() -> Self {
        Self {
            erasures_kept_ms: DELETE_RETENTION_MS,
            gone_kept_ms: DELETE_RETENTION_MS,
            rewrites_at_take_over: true,
            claims_again_after_s: 10,
            statements_per_epoch: (1 << SEQUENCE_BITS) - 1,
        }
    }
}

/// What has to be done outside.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Append a record to `scorer.claims`, partition `shard`; answer with [`Judge::claimed`].
    Claim {
        /// Which shard.
        shard: u32,
    },
    /// Read the row of a shard; answer with [`Judge::checked`].
    ReadShard {
        /// Which shard.
        shard: u32,
    },
    /// Read the keys of a table; answer with [`Judge::scanned`].
    Scan {
        /// For which shard.
        shard: u32,
        /// Which table.
        table: Table,
    },
    /// Perform a statement; answer with [`Judge::written`].
    Write(Write),
    /// Append a record; answer as `then` says. A delivery error ends the process.
    Append {
        /// The record.
        record: Outgoing,
        /// What its acknowledgement means.
        then: Then,
    },
    /// Commit the group's offset.
    Commit {
        /// Partition of `preferences`.
        partition: u32,
        /// The next offset whose effects are not all done.
        next_offset: u64,
    },
    /// Dead-letter a record of `preferences`; answer with [`Judge::dead_lettered`].
    DeadLetter {
        /// The record.
        record: Record,
        /// Why.
        poison: Poison,
    },
    /// Tell the operator.
    Warn(String),
}

/// What an acknowledgement means.
#[derive(Clone, Debug, PartialEq)]
pub enum Then {
    /// The event of this row and timestamp is on the log: [`Judge::announced`].
    Announced(Row, WriteTimestamp),
    /// Nothing: it is read back from the log.
    Nothing,
}

/// A group's reading of one partition of `preferences`: which dead letters are not yet acknowledged.
#[derive(Debug, Default)]
struct Progress {
    /// Below this, dead letters were acknowledged in an earlier life.
    done_before: u64,
    next_offset: u64,
    pending: BTreeSet<u64>,
    committed: u64,
}

/// One round in which every row of a shard is written again.
#[derive(Debug)]
struct Scrub {
    started_ms: i64,
    rows: Vec<Row>,
    total: usize,
}

/// See the module.
pub struct Judge {
    rules: Rules,
    catalogue: Catalogue,
    engine: Box<dyn Engine>,
    markets: Markets,
    days: Days,
    shards: BTreeMap<u32, Shard>,
    progress: BTreeMap<u32, Progress>,
    /// Partitions of `listings.priced` and `market.days` that were read to their end once.
    ends_seen: BTreeSet<(Topic, u32)>,
    /// Per partition of `listings.priced`: append time of the last record, and whether the end came after it.
    listings_until: Vec<(i64, bool)>,
    /// Next offset of each partition of `listings.priced`.
    listings_offsets: Vec<u64>,
    newest_claim: BTreeMap<u32, u64>,
    stale_writes: u64,
    /// Seconds from a listing's append to its row, since the last summary.
    freshness: Vec<f64>,
    changes: Vec<Change>,
    /// Append time of the oldest of the changes.
    changed_since: i64,
    emits: Vec<Emit>,
    effects: Vec<Effect>,
    last_tick_s: i64,
    last_market_ms: i64,
    /// The UTC day of the last observation of markets.
    last_day: Option<jiff::civil::Date>,
    scrubs: BTreeMap<u32, Scrub>,
    counting: Counting,
    /// Counts the steps of listings: every visible change has a number of its own.
    content: u64,
    unconfirmed: Unconfirmed,
}

impl Judge {
    /// Knows nothing yet.
    pub fn new(rules: Rules, engine: Box<dyn Engine>) -> Self {
        let partitions = rules.partitions;
        Self {
            catalogue: Catalogue::new(partitions),
            engine,
            markets: Markets::default(),
            days: Days::default(),
            shards: BTreeMap::new(),
            progress: BTreeMap::new(),
            ends_seen: BTreeSet::new(),
            listings_until: vec![(0, false); partitions as usize],
            listings_offsets: vec![0; partitions as usize],
            newest_claim: BTreeMap::new(),
            stale_writes: 0,
            freshness: Vec::new(),
            changes: Vec::new(),
            changed_since: i64::MAX,
            emits: Vec::new(),
            effects: Vec::new(),
            last_tick_s: 0,
            last_market_ms: 0,
            last_day: None,
            scrubs: BTreeMap::new(),
            counting: Counting::default(),
            content: UNSEEN,
            unconfirmed: Unconfirmed::default(),
            rules,
        }
    }

    /// The group handed these partitions of `preferences` over; they are read from their oldest record.
    pub fn assigned(&mut self, assignments: &[Assignment]) {
        for &Assignment { partition, committed } in assignments {
            let Rules { partitions, session_life_ms, .. } = self.rules;
            let erasures_kept_ms = self.rules.safeguards.erasures_kept_ms;
            let statements = Statements::new(partition, partitions, session_life_ms, erasures_kept_ms);
            self.drop_shard(partition);
            let newest_claim = self.newest_claim.get(&partition).copied();
            self.shards.insert(partition, Shard::taken_over(partition, statements, newest_claim));
            let done_before = committed.unwrap_or(0);
            self.progress.insert(partition, Progress { done_before, committed: done_before, ..Progress::default() });
            self.effects.push(Effect::Claim { shard: partition });
        }
    }

    /// These partitions are another's now.
    pub fn revoked(&mut self, partitions: &[u32]) {
        for partition in partitions {
            self.drop_shard(*partition);
        }
    }

    fn drop_shard(&mut self, number: u32) {
        let Some(shard) = self.shards.remove(&number) else { return };
        self.progress.remove(&number);
        self.counting.drop_shard(number);
        self.scrubs.remove(&number);
        for (session, stated) in shard.statements.iter() {
            if shard.in_engine && stated.preferences.is_some() {
                self.changes.push(Change::Session { id: session, facts: None });
            }
        }
    }

    /// The next record of a followed partition. What it changes is dirty since its append time.
    pub fn record(&mut self, record: Record) {
        match record.topic {
            Topic::ListingsPriced => self.listing(record),
            Topic::Preferences => self.statement(record),
            Topic::ScorerClaims => self.claim_seen(record.partition, record.offset),
            Topic::MarketDays => self.market_day(&record),
            topic => self.effects.push(Effect::Warn(format!("{topic} is not followed by the scorer"))),
        }
    }

    fn listing(&mut self, record: Record) {
        if let Some(until) = self.listings_until.get_mut(record.partition as usize) {
            *until = (record.append_time_ms, false);
        }
        self.applied(record.partition, record.offset + 1);
        let (partition, offset, since) = (record.partition, record.offset, record.append_time_ms);
        let step = match self.catalogue.take(record) {
            Ok(Some(step)) => step,
            Ok(None) => return,
            Err(poison) => {
                // The enricher owner of the partition appends what it knows of the key again.
                let message = format!("listings.priced [{partition}] @ {offset} is ignored: {}", poison.message);
                self.effects.push(Effect::Warn(message));
                return;
            }
        };
        let after = self.catalogue.get(&step.id);
        self.markets.replace(step.before.as_ref(), after);
        let facts = after.map(|fact| ListingFacts::of(fact, self.rules.score_epoch));
        self.content += 1;
        let content = self.content;
        let entries = [step.before.as_ref().and_then(index_entry), after.and_then(index_entry)];
        self.mark(partition, Row::Listing(step.id.clone()), false, since);
        for entry in entries.into_iter().flatten() {
            self.mark(partition, Row::ListingByMarket(entry), false, since);
        }
        // An engine from a snapshot gets what it lacks when everything is read.
        if !self.unconfirmed.awaits_listings() {
            self.changed_since = self.changed_since.min(since);
            self.changes.push(Change::Listing { id: step.id, facts, content });
        }
    }

    fn applied(&mut self, partition: u32, next_offset: u64) {
        if let Some(offset) = self.listings_offsets.get_mut(partition as usize) {
            *offset = next_offset.max(*offset);
        }
    }

    fn statement(&mut self, record: Record) {
        let Some(shard) = self.shards.get_mut(&record.partition) else { return };
        let Some(progress) = self.progress.get_mut(&record.partition) else { return };
        let since = record.append_time_ms;
        shard.read_until = (since, false);
        progress.next_offset = record.offset + 1;
        match shard.statements.take(&record) {
            Taken::Superseded => {}
            Taken::Newer(session) => {
                let facts = shard.statements.get(session).and_then(|stated| stated.preferences.as_deref());
                let facts = facts.map(SessionFacts::of);
                if facts.is_some() {
                    self.counting.want(record.partition, session);
                } else {
                    shard.sight.forget(session);
                }
                // Until everything is read once, sessions wait: then all are handed to the engine at once.
                if shard.in_engine {
                    self.changed_since = self.changed_since.min(since);
                    self.changes.push(Change::Session { id: session, facts });
                }
                self.mark(record.partition, Row::Session(session), false, since);
                self.mark(record.partition, Row::Recommendation(session), false, since);
            }
            Taken::Poison(poison) => {
                if record.offset >= progress.done_before {
                    progress.pending.insert(record.offset);
                    self.effects.push(Effect::DeadLetter { record, poison });
                }
            }
        }
    }

    fn market_day(&mut self, record: &Record) {
        let Some((market, transaction, day)) = self.days.take(record) else { return };
        let shard = shard_of_market(&market, self.rules.partitions);
        // Meanwhile the market may be again what it was before this observation, and was then not observed.
        if self.last_day == Some(day) {
            self.markets.touch(std::iter::once(&market));
        }
        self.mark(shard, Row::MarketDay(market, transaction, day), false, record.append_time_ms);
    }

    fn claim_seen(&mut self, shard: u32, offset: u64) {
        let newest = self.newest_claim.entry(shard).or_insert(offset);
        *newest = offset.max(*newest);
        if let Some(shard) = self.shards.get_mut(&shard) {
            let owned = shard.owns();
            shard.saw_claim(offset);
            if owned && shard.phase == Phase::Fenced {
                let message = format!(
                    "shard {}: another process claimed it at {offset}; it is no longer written here",
                    shard.number
                );
                self.effects.push(Effect::Warn(message));
            }
        }
    }

    /// A followed partition was read to its end.
    pub fn end(&mut self, topic: Topic, partition: u32, next_offset: u64) {
        self.ends_seen.insert((topic, partition));
        match topic {
            Topic::ListingsPriced => {
                if let Some(until) = self.listings_until.get_mut(partition as usize) {
                    until.1 = true;
                }
                self.applied(partition, next_offset);
            }
            Topic::Preferences => {
                let Some(shard) = self.shards.get_mut(&partition) else { return };
                shard.statements_read = true;
                shard.read_until.1 = true;
                for record in shard.statements.repairs() {
                    self.effects.push(Effect::Append { record, then: Then::Nothing });
                }
                if let Some(progress) = self.progress.get_mut(&partition) {
                    progress.next_offset = progress.next_offset.max(next_offset);
                }
            }
            Topic::MarketDays => self.days.end(partition),
            _ => {}
        }
    }

    /// The claim of [`Effect::Claim`] stands at `offset`.
    pub fn claimed(&mut self, shard: u32, offset: u64) {
        let ledger = Ledger::new(offset, self.rules.window).limited_to(self.rules.safeguards.statements_per_epoch);
        let step = self.shards.get_mut(&shard).map(|s| s.claimed(ledger));
        self.follow_up(shard, step);
    }

    /// The row of [`Effect::ReadShard`]: `None` when there is none.
    pub fn checked(&mut self, shard: u32, row: Option<ShardCell>, now: i64) {
        let recorded = row.map(|cell| (cell.epoch, Some(cell.caught_up_at.ms())));
        let step = self.shards.get_mut(&shard).map(|s| s.checked(recorded, now));
        self.follow_up(shard, step);
    }

    fn follow_up(&mut self, shard: u32, step: Option<Step>) {
        match step {
            Some(Step::Claim) => self.effects.push(Effect::Claim { shard }),
            Some(Step::ReadRow) => self.effects.push(Effect::ReadShard { shard }),
            Some(Step::Wait) | None => {}
        }
    }

    /// The outcome of [`Effect::Write`].
    pub fn written(&mut self, row: &Row, timestamp: WriteTimestamp, acknowledged: bool, now: i64) {
        let number = self.shard_of(row);
        if acknowledged && self.newest_claim.get(&number).is_some_and(|newest| timestamp.epoch() < *newest) {
            // Harmless: the owner's timestamp is greater. Seen, so that operators know a zombie wrote.
            self.stale_writes += 1;
        }
        let Some(shard) = self.shards.get_mut(&number) else { return };
        let Some(ledger) = shard.ledger.as_mut().filter(|ledger| ledger.epoch() == timestamp.epoch()) else { return };
        if acknowledged {
            let since = ledger.written(row, timestamp);
            if let (Row::Listing(_), Some(since)) = (row, since) {
                self.freshness.push((now - since) as f64 / 1_000.0);
            }
            shard.written(row);
            if matches!(row, Row::Shard(_)) {
                shard.recorded();
            }
        } else {
            ledger.failed(row, timestamp, now);
        }
    }

    /// The event of a row is on the log.
    pub fn announced(&mut self, row: &Row, timestamp: WriteTimestamp) {
        let number = self.shard_of(row);
        let ledger = self.shards.get_mut(&number).and_then(|shard| shard.ledger.as_mut());
        if let Some(ledger) = ledger.filter(|ledger| ledger.epoch() == timestamp.epoch()) {
            ledger.announced(row, timestamp);
        }
    }

    /// The dead letter of a record of `preferences` is on the log.
    pub fn dead_lettered(&mut self, partition: u32, offset: u64) {
        if let Some(progress) = self.progress.get_mut(&partition) {
            progress.pending.remove(&offset);
        }
    }

    /// The keys of [`Effect::Scan`]: what no record of the log explains is deleted.
    pub fn scanned(&mut self, shard: u32, rows: Vec<Row>, now: i64) {
        let is_over = |row: &Row| self.shard_of(row) == shard && self.is_unexplained(row);
        let unexplained: Vec<Row> = rows.into_iter().filter(is_over).collect();
        for row in &unexplained {
            self.mark(shard, row.clone(), true, now);
        }
        if let Some(shard) = self.shards.get_mut(&shard).filter(|shard| shard.live) {
            shard.scanned(unexplained);
        }
    }

    /// A node of the store came back: what was acknowledged lately is written again.
    pub fn store_recovered(&mut self, now: i64) {
        let rows: usize = self.shards.values_mut().filter_map(|s| s.ledger.as_mut()).map(|l| l.resync(now)).sum();
        self.effects.push(Effect::Warn(format!(
            "a node of the store came back: {rows} rows of the last 30 s are written again"
        )));
    }

    /// What the sessions of each shard see, as of the last [`Judge::settle`]; of those whose logs were read to their ends.
    pub fn states(&self) -> impl Iterator<Item = (u32, ShardState)> {
        let offset = |shard: &Shard| self.progress.get(&shard.number).map_or(0, |progress| progress.next_offset);
        self.shards
            .values()
            .filter_map(move |shard| Some((shard.number, state_of(shard, &self.listings_offsets, offset(shard))?)))
    }

    fn shard_of(&self, row: &Row) -> u32 {
        let partitions = self.rules.partitions;
        match row {
            Row::Recommendation(session) | Row::Counts(session) | Row::Session(session) => {
                partition_of(&session_key(*session), partitions)
            }
            Row::Listing(id) => partition_of(id.as_str().as_bytes(), partitions),
            Row::ListingByMarket(entry) => partition_of(entry.listing_id.as_str().as_bytes(), partitions),
            Row::Market(market) | Row::MarketDay(market, _, _) => shard_of_market(market, partitions),
            Row::Shard(number) => *number,
        }
    }

    /// Marks a row of a live shard; of another one nothing is owed: all its rows are marked at its take-over.
    fn mark(&mut self, shard: u32, row: Row, forced: bool, since: i64) {
        if let Some(ledger) = self.shards.get_mut(&shard).filter(|s| s.live).and_then(|s| s.ledger.as_mut()) {
            ledger.mark(row, forced, since);
        }
    }
}

/// What the sessions of a shard see; `None` before all are in the engine.
fn state_of(shard: &Shard, listings_offsets: &[u64], preferences_offset: u64) -> Option<ShardState> {
    shard.in_engine.then(|| ShardState {
        hash: shard.sight.hash(),
        sessions: shard.sight.sessions(),
        listings_offsets: listings_offsets.to_vec(),
        preferences_offset,
    })
}

fn everything_read(ends_seen: &BTreeSet<(Topic, u32)>, partitions: u32) -> bool {
    (0..partitions)
        .all(|p| ends_seen.contains(&(Topic::ListingsPriced, p)) && ends_seen.contains(&(Topic::MarketDays, p)))
}
