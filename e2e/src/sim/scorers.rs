//! Scorer processes in the simulator: the shipped `Judge`, with a log and tables that are slow, lossy and out of order.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use schemas::cells::ShardCell;
use schemas::state_hash::ShardState;
use schemas::topic::{Topic, partition_of};
use scorer::engine::indexed::Indexed;
use scorer::engine::kernel::Kernel;
use scorer::engine::{Engine, oracle::Oracle};
use scorer::judge::{Effect, Judge, Rules, Then};
use store::{Row, Write};
use stream::{Assignment, Outgoing};

use super::crew::{Crew, Group, Outside, Rest};
use super::lanes::Lanes;
use super::log::SimLog;
use super::random::Random;
use super::tables::SimTables;
use super::tally::{Happening, Tally};
use super::weaken::{Weakened, weaken};
use super::{Guard, Guards};

/// Longest time until a driver sees that a node of the store came back, milliseconds.
const NOTICED_WITHIN_MS: u64 = 5_000;

/// Which process, and in which of its lives: what comes for an earlier life is dropped.
pub type Sender = (usize, u64);

/// A statement or answer on its way.
#[derive(Clone, Debug)]
pub enum Packet {
    /// To the store; `from` is `None` for a copy that nobody waits for any more.
    Write {
        /// Which process waits for the answer.
        from: Option<Sender>,
        /// The statement.
        write: Write,
        /// When it was sent.
        sent_ms: i64,
    },
    /// The store's answer.
    Written {
        /// Which process it goes to.
        to: Sender,
        /// What was to be written.
        write: Write,
        /// Acknowledged; else it timed out.
        acknowledged: bool,
        /// When the statement was sent.
        sent_ms: i64,
    },
}

enum Pending {
    Claim(u32),
    Then(Then),
    DeadLetter(u32, u64),
}

/// What is read from the store, again and again until it answers.
#[derive(Clone, Copy, Debug)]
enum Question {
    Shard(u32),
    Rows(u32, store::Table),
}

/// Why the judge was called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    Record,
    Tick,
    Answer,
}

/// One process.
struct Process {
    judge: Judge,
    life: u64,
    rest: Rest,
    positions: BTreeMap<(Topic, u32), u64>,
    owned: BTreeSet<u32>,
    sent: Lanes<Pending>,
    at_end: BTreeSet<(Topic, u32)>,
    questions: VecDeque<Question>,
    /// When it will see that a node of the store came back.
    sees_recovery_at: Option<i64>,
    /// What guards that are switched off need to remember.
    weakened: Weakened,
}

/// All scorers.
pub struct Scorers {
    processes: Vec<Process>,
    group: Group,
    rules: Rules,
    guards: Guards,
    engines: Random,
    tally: Tally,
    /// Observations that were appended, so that a repair is told from a new one.
    observed: BTreeSet<Vec<u8>>,
    /// Statements under way that nobody has performed yet.
    pub outbox: Vec<Packet>,
}

impl Scorers {
    /// `count` processes; shards are handed out in turn.
    pub fn new(count: usize, rules: Rules, guards: Guards, engines: Random) -> Self {
        let partitions = rules.partitions;
        let mut crew = Self {
            processes: Vec::new(),
            group: Group::new(partitions),
            rules,
            guards,
            engines,
            tally: Tally::default(),
            observed: BTreeSet::new(),
            outbox: Vec::new(),
        };
        for _ in 0..count {
            let process = crew.process(0);
            crew.processes.push(process);
        }
        (0..partitions).for_each(|shard| crew.hand_over(shard, shard as usize % count));
        crew
    }

    fn process(&mut self, life: u64) -> Process {
        let engine: Box<dyn Engine> =
            if self.engines.percent(50) { Box::new(Indexed::new(Kernel::best())) } else { Box::new(Oracle::default()) };
        Process {
            judge: Judge::new(self.rules.clone(), engine),
            life,
            rest: Rest::default(),
            positions: BTreeMap::new(),
            owned: BTreeSet::new(),
            sent: Lanes::default(),
            at_end: BTreeSet::new(),
            questions: VecDeque::new(),
            sees_recovery_at: None,
            weakened: Weakened::default(),
        }
    }

    /// One process does one thing.
    pub fn step(&mut self, index: usize, outside: &mut Outside, tables: Option<&SimTables>) {
        if !self.wake(index, outside.now) {
            return;
        }
        self.notice_recovery(index, outside.now);
        let mut cause = Cause::Record;
        match outside.random.below(10) {
            0..=4 => {
                let topic = followed(outside.random.below(10));
                let partition = outside.random.below(u64::from(self.rules.partitions)) as u32;
                self.read(index, topic, partition, &outside.log, 1 + outside.random.below(8) as usize);
            }
            5 => {
                cause = Cause::Tick;
                self.processes[index].judge.tick(outside.now, true);
            }
            6 => {
                cause = Cause::Answer;
                self.ask(index, outside.now, tables);
            }
            _ => {
                let most = 1 + outside.random.below(4) as usize;
                self.deliver(index, outside, most);
            }
        }
        self.settle(index, outside, cause);
    }

    /// One process does all there is to do.
    pub fn work_off(&mut self, index: usize, outside: &mut Outside, tables: &SimTables) {
        if !self.wake(index, outside.now) {
            return;
        }
        self.notice_recovery(index, outside.now);
        for topic in FOLLOWED {
            for partition in 0..self.rules.partitions {
                self.read(index, topic, partition, &outside.log, usize::MAX);
            }
        }
        self.settle(index, outside, Cause::Record);
        self.processes[index].judge.tick(outside.now, true);
        self.settle(index, outside, Cause::Tick);
        self.deliver(index, outside, usize::MAX);
        self.ask(index, outside.now, Some(tables));
        self.settle(index, outside, Cause::Answer);
    }

    fn notice_recovery(&mut self, index: usize, now: i64) {
        let process = &mut self.processes[index];
        if process.sees_recovery_at.take_if(|at| *at <= now).is_some() && !self.guards.off(Guard::Resync) {
            self.tally.count(Happening::Resync);
            process.judge.store_recovered(now);
        }
    }

    /// The end of a batch: performs what the judge has decided.
    fn settle(&mut self, index: usize, outside: &Outside, cause: Cause) {
        let now = outside.now;
        for effect in self.processes[index].judge.settle(now) {
            let process = &mut self.processes[index];
            match effect {
                Effect::Claim { shard } => {
                    self.tally.add(Happening::ClaimedAgain, u64::from(cause != Cause::Record));
                    process.sent.send(&outside.log, claim(shard), Pending::Claim(shard));
                }
                Effect::Append { record, then } => {
                    if let Some(record) = self.append(record, cause) {
                        self.processes[index].sent.send(&outside.log, record, Pending::Then(then));
                    }
                }
                Effect::DeadLetter { record, poison } => {
                    let pending = Pending::DeadLetter(record.partition, record.offset);
                    process.sent.send(
                        &outside.log,
                        stream::dead_letter::of(&record, &poison, "scorer", 0, None),
                        pending,
                    );
                }
                Effect::Write(mut write) => {
                    if matches!(write.row, Row::Shard(_)) && self.guards.off(Guard::ShardRowFirst) {
                        process.judge.written(&write.row, write.timestamp, true, now);
                    }
                    if self.guards.off(Guard::SameTimestamp) {
                        process.weakened.stamp_anew(&mut write);
                    }
                    self.outbox.push(Packet::Write { from: Some((index, process.life)), write, sent_ms: now });
                }
                Effect::ReadShard { shard } => process.questions.push_back(Question::Shard(shard)),
                Effect::Scan { shard, table } => {
                    if !self.guards.off(Guard::Scan) {
                        process.questions.push_back(Question::Rows(shard, table));
                    }
                }
                Effect::Commit { partition, next_offset } => self.group.commit(index, partition, next_offset),
                Effect::Warn(_) => {}
            }
        }
    }

    /// A record that is about to be sent, as guards that are switched off would have it.
    fn append(&mut self, mut record: Outgoing, cause: Cause) -> Option<Outgoing> {
        let (happening, guard) = match record.topic {
            Topic::Preferences if cause == Cause::Tick => {
                if self.guards.off(Guard::SweeperVersion) {
                    record.headers.clear();
                }
                self.tally.count(Happening::SessionEnd);
                return Some(record);
            }
            Topic::Preferences => (Happening::StatementRepair, Guard::StatementRepair),
            Topic::MarketDays if self.observed.insert(record.value.clone().unwrap_or_default()) => return Some(record),
            Topic::MarketDays => (Happening::DayRepair, Guard::DayRepair),
            _ => return Some(record),
        };
        self.tally.count(happening);
        (!self.guards.off(guard)).then_some(record)
    }

    fn ask(&mut self, index: usize, now: i64, tables: Option<&SimTables>) {
        let Some(tables) = tables else { return };
        let process = &mut self.processes[index];
        for question in process.questions.drain(..) {
            match question {
                Question::Shard(shard) => {
                    let row = tables.get(&Row::Shard(shard)).and_then(|cell| serde_json::from_str(cell).ok());
                    let forget = |row: ShardCell| ShardCell { epoch: 0, ..row };
                    let row = if self.guards.off(Guard::GreatestEpoch) { row.map(forget) } else { row };
                    process.judge.checked(shard, row, now);
                }
                Question::Rows(shard, table) => {
                    self.tally.count(Happening::Scan);
                    let rows = tables.rows().map(|(row, _)| row).filter(|row| table_of(row) == table);
                    process.judge.scanned(shard, rows.cloned().collect(), now);
                }
            }
        }
    }

    fn read(&mut self, index: usize, topic: Topic, partition: u32, log: &SimLog, most: usize) {
        let process = &mut self.processes[index];
        if topic == Topic::Preferences && !process.owned.contains(&partition) {
            return;
        }
        let position = process.positions.entry((topic, partition)).or_insert(0);
        for _ in 0..most {
            let Some(record) = log.read(topic, partition, *position) else { break };
            *position = record.offset + 1;
            process.at_end.remove(&(topic, partition));
            let record = weaken(record.clone(), &self.guards, &mut process.weakened, self.rules.partitions);
            if let Some(record) = record {
                process.judge.record(record);
            }
        }
        // As a real reader does: once after every catch-up.
        if log.read(topic, partition, *position).is_none() && process.at_end.insert((topic, partition)) {
            *position = log.next_offset(topic, partition);
            process.judge.end(topic, partition, *position);
        }
    }

    /// Appends arrive late, and always: what does not arrive is a crash.
    fn deliver(&mut self, index: usize, outside: &mut Outside, most: usize) {
        for _ in 0..most {
            let process = &mut self.processes[index];
            let Some((delivered, pending)) = process.sent.deliver(&mut outside.log, outside.now, &mut outside.random)
            else {
                break;
            };
            match pending {
                Pending::Claim(shard) => {
                    self.tally.add(Happening::ZombieAppend, u64::from(!self.group.owns(index, shard)));
                    process.judge.claimed(shard, delivered.offset);
                }
                Pending::Then(Then::Announced(row, timestamp)) => process.judge.announced(&row, timestamp),
                Pending::Then(Then::Nothing) => {}
                Pending::DeadLetter(partition, offset) => process.judge.dead_lettered(partition, offset),
            }
        }
    }

    /// Whether an answer of the store can be taken, now or never.
    pub fn hears(&mut self, to: Sender, now: i64) -> bool {
        self.processes[to.0].life != to.1 || self.is_awake(to.0, now)
    }

    /// An answer of the store reaches its process, if that still lives.
    pub fn written(&mut self, to: Sender, write: &Write, acknowledged: bool, log: &SimLog, now: i64) {
        let Some(process) = self.processes.get_mut(to.0).filter(|process| process.life == to.1) else { return };
        let newest = shard_of(write, self.rules.partitions).map(|shard| log.next_offset(Topic::ScorerClaims, shard));
        let is_stale = newest.is_some_and(|next| write.timestamp.epoch() + 1 < next);
        self.tally.add(Happening::ZombieWrite, u64::from(acknowledged && is_stale));
        // Without the guard a time-out counts as done.
        let is_done = acknowledged || self.guards.off(Guard::Retry);
        let timestamp = process.weakened.first_stamp(write);
        process.judge.written(&write.row, timestamp, is_done, now);
    }

    /// The driver of every living process will see that a node of the store came back.
    pub fn store_recovered(&mut self, now: i64, random: &mut Random) {
        for process in &mut self.processes {
            process.sees_recovery_at = Some(now + random.below(NOTICED_WITHIN_MS) as i64);
        }
    }

    /// What its owner says that the sessions of a shard see.
    pub fn state(&self, shard: u32) -> Option<ShardState> {
        let owner = self.processes.get(*self.group.owners.get(shard as usize)?)?;
        owner.judge.states().find_map(|(number, state)| (number == shard).then_some(state))
    }

    /// Nothing is left to read, append or write. `Err` says what is.
    pub fn at_rest(&mut self, log: &SimLog, now: i64) -> Result<(), String> {
        let owners = self.group.owners.clone();
        for (index, process) in self.processes.iter_mut().enumerate() {
            if process.rest.asleep_until > now {
                continue;
            }
            let read = |topic, p| {
                let position = process.positions.get(&(topic, p)).copied().unwrap_or(0);
                log.read(topic, p, position).is_none()
            };
            for partition in 0..self.rules.partitions {
                let unread = FOLLOWED.into_iter().find(|topic| {
                    (*topic != Topic::Preferences || process.owned.contains(&partition)) && !read(*topic, partition)
                });
                if let Some(topic) = unread {
                    return Err(format!("scorer {index} has not read {topic} [{partition}]"));
                }
            }
            if process.owned.iter().any(|p| owners[*p as usize] != index) {
                return Err(format!("scorer {index} believes to own {:?}", process.owned));
            }
            let summary = process.judge.summary();
            let is_busy = summary.unwritten() > 0 || summary.ready().is_err() || !process.sent.is_empty();
            if is_busy || process.sees_recovery_at.is_some() {
                return Err(format!("scorer {index} has work left: {summary:?}"));
            }
        }
        Ok(())
    }
}

const FOLLOWED: [Topic; 4] = [Topic::ListingsPriced, Topic::Preferences, Topic::MarketDays, Topic::ScorerClaims];

fn followed(of_ten: u64) -> Topic {
    match of_ten {
        0..=3 => Topic::ListingsPriced,
        4..=6 => Topic::Preferences,
        7 => Topic::MarketDays,
        _ => Topic::ScorerClaims,
    }
}

fn claim(shard: u32) -> Outgoing {
    let (topic, partition) = (Topic::ScorerClaims, Some(shard));
    Outgoing { topic, partition, key: None, value: Some(Vec::new()), headers: Vec::new() }
}

/// The shard of a row whose key alone tells it.
fn shard_of(write: &Write, partitions: u32) -> Option<u32> {
    match &write.row {
        Row::Shard(shard) => Some(*shard),
        Row::Listing(id) => Some(partition_of(id.as_str().as_bytes(), partitions)),
        _ => None,
    }
}

fn table_of(row: &Row) -> store::Table {
    use store::Table;
    match row {
        Row::Recommendation(_) | Row::Counts(_) => Table::Recommendations,
        Row::Session(_) => Table::Sessions,
        Row::Listing(_) => Table::Listings,
        Row::ListingByMarket(_) => Table::ListingsByMarket,
        Row::Market(_) => Table::Markets,
        Row::MarketDay(..) => Table::MarketDays,
        Row::Shard(_) => Table::Shards,
    }
}

impl Crew for Scorers {
    fn size(&self) -> usize {
        self.processes.len()
    }
    fn group(&mut self) -> &mut Group {
        &mut self.group
    }
    fn tally(&mut self) -> &mut Tally {
        &mut self.tally
    }
    fn rest(&mut self, index: usize) -> &mut Rest {
        &mut self.processes[index].rest
    }
    fn owned(&self, index: usize) -> Vec<u32> {
        self.processes[index].owned.iter().copied().collect()
    }
    fn has_unsent(&self, index: usize) -> bool {
        !self.processes[index].sent.is_empty()
    }
    fn ends_after_long_pause(&self) -> bool {
        !self.guards.off(Guard::EndAfterLongPause)
    }

    fn assign(&mut self, shard: u32, to: usize) {
        let committed = Some(self.group.committed[shard as usize]);
        let process = &mut self.processes[to];
        process.owned.insert(shard);
        process.positions.insert((Topic::Preferences, shard), 0);
        process.at_end.remove(&(Topic::Preferences, shard));
        process.judge.assigned(&[Assignment { partition: shard, committed }]);
    }

    fn revoke(&mut self, shard: u32, from: usize) {
        let process = &mut self.processes[from];
        process.owned.remove(&shard);
        process.judge.revoked(&[shard]);
    }

    fn break_off(&mut self, index: usize, outside: &mut Outside) {
        self.processes[index].sent.break_off(&mut outside.log, outside.now, &mut outside.random);
    }

    fn restart(&mut self, index: usize) {
        let life = self.processes[index].life + 1;
        self.processes[index] = self.process(life);
    }
}
