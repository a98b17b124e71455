//! Scorer processes in the simulator: the shipped `Judge`, with a log and tables that are slow, lossy and out of order.

use std::collections::{BTreeMap, BTreeSet};

use schemas::cells::ShardCell;
use schemas::topic::Topic;
use scorer::engine::{oracle::Oracle, scalar::Scalar};
use scorer::judge::{Effect, Judge, Rules, Then};
use store::{Row, Write};
use stream::{Assignment, Outgoing};

use super::log::SimLog;
use super::random::Random;
use super::tables::SimTables;
use super::{Guard, Guards};

/// A statement or answer on its way.
#[derive(Clone, Debug)]
pub enum Packet {
    /// To the store.
    Write {
        /// Which process sent it.
        from: (usize, u64),
        /// The statement.
        write: Write,
    },
    /// The store's acknowledgement; a lost one is a time-out.
    Written {
        /// Which process it goes to.
        to: (usize, u64),
        /// What was written.
        write: Write,
        /// Acknowledged, or timed out.
        acknowledged: bool,
    },
}

/// One process.
pub struct Process {
    judge: Judge,
    /// Counts restarts: packets for an earlier life are dropped.
    pub life: u64,
    positions: BTreeMap<(Topic, u32), u64>,
    /// Partitions of `preferences` that it believes to own.
    pub owned: BTreeSet<u32>,
    /// Until then it does nothing (paused).
    pub asleep_until: i64,
    appends: Vec<(Outgoing, Pending)>,
    at_end: BTreeSet<(Topic, u32)>,
}

#[derive(Clone, Debug)]
enum Pending {
    Claim(u32),
    Then(Then),
    DeadLetter(u32, u64),
}

/// All scorers and who owns which shard, as the group sees it.
pub struct Scorers {
    /// The processes.
    pub processes: Vec<Process>,
    /// Owner of each shard.
    pub owners: Vec<usize>,
    committed: Vec<u64>,
    rules: Rules,
    guards: Guards,
    /// The greatest offset that was ever claimed, per shard: claims must rise.
    pub counters: Counters,
}

/// What happened.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counters {
    /// Processes killed.
    pub crashes: u64,
    /// Processes paused past their session.
    pub zombies: u64,
    /// Shards handed over.
    pub rebalances: u64,
    /// Statements sent.
    pub writes: u64,
    /// Records appended as repairs.
    pub repairs: u64,
    /// Acknowledgements under an old epoch that a process saw.
    pub stale_writes: u64,
}

impl Scorers {
    /// `count` processes; shards are handed out in turn.
    pub fn new(count: usize, rules: Rules, guards: Guards, random: &mut Random) -> Self {
        let partitions = rules.partitions;
        let processes = (0..count).map(|_| process(&rules, 0, random)).collect();
        let mut scorers = Self {
            processes,
            owners: vec![0; partitions as usize],
            committed: vec![0; partitions as usize],
            rules,
            guards,
            counters: Counters::default(),
        };
        for shard in 0..partitions {
            scorers.hand_over(shard, shard as usize % count);
        }
        scorers
    }

    /// The group gives a shard to a process; the old owner is told only if it is awake (`tell`).
    pub fn hand_over(&mut self, shard: u32, to: usize) {
        self.owners[shard as usize] = to;
        let process = &mut self.processes[to];
        process.owned.insert(shard);
        process.positions.insert((Topic::Preferences, shard), 0);
        process.at_end.remove(&(Topic::Preferences, shard));
        process.judge.assigned(&[Assignment { partition: shard, committed: Some(self.committed[shard as usize]) }]);
    }

    /// The group tells a process that it lost a shard.
    pub fn revoke(&mut self, shard: u32, from: usize) {
        let process = &mut self.processes[from];
        if process.owned.remove(&shard) {
            process.judge.revoked(&[shard]);
        }
    }

    /// A process dies and starts again with nothing but the logs.
    pub fn crash(&mut self, index: usize, random: &mut Random) {
        self.counters.crashes += 1;
        self.counters.stale_writes += self.processes[index].judge.summary().stale_writes;
        let life = self.processes[index].life + 1;
        self.processes[index] = process(&self.rules, life, random);
        for shard in 0..self.rules.partitions {
            if self.owners[shard as usize] == index {
                self.hand_over(shard, index);
            }
        }
    }

    /// One process does one thing.
    pub fn step(&mut self, index: usize, log: &mut SimLog, net: &mut Vec<Packet>, tables: &SimTables, now: i64, random: &mut Random) {
        if self.processes[index].asleep_until > now {
            return;
        }
        self.forget_lost_shards(index);
        match random.below(10) {
            0..=6 => self.read(index, log, random),
            7 => self.processes[index].judge.tick(now),
            _ => self.append(index, log, now, random),
        }
        let process = &mut self.processes[index];
        for effect in process.judge.settle(now) {
            let life = process.life;
            match effect {
                Effect::Claim { shard } => {
                    let record = Outgoing {
                        topic: Topic::ScorerClaims,
                        partition: Some(shard),
                        key: None,
                        value: Some(Vec::new()),
                        headers: Vec::new(),
                    };
                    process.appends.push((record, Pending::Claim(shard)));
                }
                Effect::Append { record, then } => {
                    if record.topic == Topic::Preferences {
                        self.counters.repairs += 1;
                        if self.guards.off(Guard::StatementRepair) {
                            continue;
                        }
                    }
                    process.appends.push((record, Pending::Then(then)));
                }
                Effect::DeadLetter { record, poison } => {
                    let (partition, offset) = (record.partition, record.offset);
                    let letter = stream::dead_letter::of(&record, &poison, "scorer", 0, None);
                    process.appends.push((letter, Pending::DeadLetter(partition, offset)));
                }
                Effect::Write(write) => {
                    self.counters.writes += 1;
                    net.push(Packet::Write { from: (index, life), write });
                }
                Effect::ReadShard { shard } => {
                    let row = tables.get(&Row::Shard(shard)).and_then(|cell| serde_json::from_str::<ShardCell>(cell).ok());
                    process.judge.checked(shard, row, now);
                }
                Effect::Scan { shard, .. } => {
                    let rows = tables.rows().map(|(row, _)| row.clone()).collect();
                    process.judge.scanned(shard, rows, now);
                }
                Effect::Commit { partition, next_offset } => {
                    if self.owners[partition as usize] == index {
                        let committed = &mut self.committed[partition as usize];
                        *committed = next_offset.max(*committed);
                    }
                }
                Effect::Warn(_) => {}
            }
        }
    }

    /// A paused process that wakes up is told by the group, sooner or later, what it lost.
    fn forget_lost_shards(&mut self, index: usize) {
        let lost: Vec<u32> = self.processes[index].owned.iter().copied().filter(|s| self.owners[*s as usize] != index).collect();
        for shard in lost {
            self.revoke(shard, index);
        }
    }

    fn read(&mut self, index: usize, log: &SimLog, random: &mut Random) {
        let partitions = u64::from(self.rules.partitions);
        let topic = match random.below(10) {
            0..=4 => Topic::ListingsPriced,
            5..=7 => Topic::Preferences,
            8 => Topic::MarketDays,
            _ => Topic::ScorerClaims,
        };
        let partition = random.below(partitions) as u32;
        let process = &mut self.processes[index];
        if topic == Topic::Preferences && !process.owned.contains(&partition) {
            return;
        }
        let position = process.positions.entry((topic, partition)).or_insert(0);
        for _ in 0..1 + random.below(8) {
            let Some(record) = log.read(topic, partition, *position) else { break };
            *position = record.offset + 1;
            process.at_end.remove(&(topic, partition));
            process.judge.record(record.clone());
        }
        let next_offset = log.next_offset(topic, partition);
        // As a real reader does: once after every catch-up.
        if log.read(topic, partition, *position).is_none() && process.at_end.insert((topic, partition)) {
            process.judge.end(topic, partition, next_offset);
        }
    }

    /// Appends arrive in order, late, and always: what does not arrive is a crash.
    fn append(&mut self, index: usize, log: &mut SimLog, now: i64, random: &mut Random) {
        let process = &mut self.processes[index];
        let count = (1 + random.below(4) as usize).min(process.appends.len());
        for (record, pending) in process.appends.drain(..count) {
            let delivered = log.append(record, now);
            match pending {
                Pending::Claim(shard) => process.judge.claimed(shard, delivered.offset),
                Pending::Then(Then::Announced(row, timestamp)) => process.judge.announced(&row, timestamp),
                Pending::Then(Then::Nothing) => {}
                Pending::DeadLetter(partition, offset) => process.judge.dead_lettered(partition, offset),
            }
        }
    }

    /// An answer of the store reaches its process, if that still lives.
    pub fn written(&mut self, to: (usize, u64), write: &Write, acknowledged: bool, now: i64) {
        let process = &mut self.processes[to.0];
        if process.life == to.1 {
            process.judge.written(&write.row, write.timestamp, acknowledged, now);
        }
    }

    /// The driver of every living process sees that a node of the store came back.
    pub fn store_recovered(&mut self, now: i64) {
        if !self.guards.off(Guard::Resync) {
            self.processes.iter_mut().for_each(|process| process.judge.store_recovered(now));
        }
    }

    /// Nothing left to read, append or write.
    pub fn at_rest(&mut self, log: &SimLog) -> bool {
        let partitions = self.rules.partitions;
        let owners = self.owners.clone();
        self.processes.iter_mut().enumerate().all(|(index, process)| {
            let read = |topic, p| process.positions.get(&(topic, p)).copied().unwrap_or(0) >= log.next_offset(topic, p);
            let followed = [Topic::ListingsPriced, Topic::MarketDays, Topic::ScorerClaims];
            let facts = (0..partitions).all(|p| followed.iter().all(|topic| read(*topic, p)));
            let statements = process.owned.iter().all(|p| read(Topic::Preferences, *p));
            let right = process.owned.iter().all(|p| owners[*p as usize] == index);
            let summary = process.judge.summary();
            let written = summary.unwritten() == 0 && summary.ready().is_ok();
            facts && statements && right && written && process.appends.is_empty()
        })
    }
}

fn process(rules: &Rules, life: u64, random: &mut Random) -> Process {
    let engine: Box<dyn scorer::engine::Engine> =
        if random.percent(50) { Box::new(Scalar::default()) } else { Box::new(Oracle::default()) };
    Process {
        judge: Judge::new(rules.clone(), engine),
        life,
        positions: BTreeMap::new(),
        owned: BTreeSet::new(),
        asleep_until: 0,
        appends: Vec::new(),
        at_end: BTreeSet::new(),
    }
}
