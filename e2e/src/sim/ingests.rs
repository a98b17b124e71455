//! Ingest processes in the simulator: the shipped decision (`ingest::decide`) and the shipped `stream::OffsetTracker`, with
//! a producer whose records arrive late.

use std::collections::{BTreeMap, VecDeque};

use ingest::decide::decide;
use schemas::topic::Topic;
use stream::OffsetTracker;
use stream::tracker::Ticket;

use super::crew::{Crew, Group, Outside, Rest};
use super::lanes::Lanes;
use super::log::SimLog;
use super::tally::{Happening, Tally};
use super::{Guard, Guards};

/// Records under way at most: few, so that the bound is reached.
const WINDOW: usize = 8;

struct Process {
    rest: Rest,
    tracker: OffsetTracker,
    /// Partitions that it believes to own, each with its next offset to read.
    owned: BTreeMap<u32, u64>,
    sent: Lanes<Ticket>,
    acks: VecDeque<Ticket>,
}

impl Process {
    fn new() -> Self {
        Self {
            rest: Rest::default(),
            tracker: OffsetTracker::new(WINDOW),
            owned: BTreeMap::new(),
            sent: Lanes::default(),
            acks: VecDeque::new(),
        }
    }
}

/// All ingest processes.
pub struct Ingests {
    processes: Vec<Process>,
    group: Group,
    guards: Guards,
    tally: Tally,
}

impl Ingests {
    /// `count` processes that share the partitions.
    pub fn new(count: usize, partitions: u32, guards: Guards) -> Self {
        let processes = (0..count).map(|_| Process::new()).collect();
        let mut crew = Self { processes, group: Group::new(partitions), guards, tally: Tally::default() };
        (0..partitions).for_each(|partition| crew.hand_over(partition, partition as usize % count));
        crew
    }

    /// One process does one thing.
    pub fn step(&mut self, index: usize, outside: &mut Outside) {
        if !self.wake(index, outside.now) {
            return;
        }
        let most = 1 + outside.random.below(4) as usize;
        match outside.random.below(8) {
            0..=2 => self.read(index, &outside.log, most),
            3..=5 => self.deliver(index, outside, most),
            6 => self.acknowledge(index, most),
            _ => self.commit(index),
        }
    }

    /// One process does all there is to do.
    pub fn work_off(&mut self, index: usize, outside: &mut Outside) {
        if !self.wake(index, outside.now) {
            return;
        }
        self.read(index, &outside.log, usize::MAX);
        self.deliver(index, outside, usize::MAX);
        self.acknowledge(index, usize::MAX);
        self.commit(index);
    }

    /// Nothing is left to read or to commit.
    pub fn at_rest(&self, log: &SimLog) -> bool {
        (0..).zip(&self.group.committed).all(|(p, committed)| *committed >= log.next_offset(Topic::ListingsRaw, p))
    }

    fn read(&mut self, index: usize, log: &SimLog, most: usize) {
        let Process { tracker, owned, sent, .. } = &mut self.processes[index];
        for (&partition, position) in owned {
            for _ in 0..most {
                let Some(record) = log.read(Topic::ListingsRaw, partition, *position) else { break };
                let Ok(ticket) = tracker.begin(partition, record.offset) else { break };
                *position = record.offset + 1;
                for outcome in decide(record) {
                    tracker.effect(ticket);
                    sent.send(log, outcome.outgoing, ticket);
                }
                tracker.decided(ticket);
            }
        }
    }

    fn deliver(&mut self, index: usize, outside: &mut Outside, most: usize) {
        let Process { sent, acks, .. } = &mut self.processes[index];
        for _ in 0..most {
            let Some((_, ticket)) = sent.deliver(&mut outside.log, outside.now, &mut outside.random) else { break };
            self.tally.add(Happening::ZombieAppend, u64::from(!self.group.owns(index, ticket.partition())));
            acks.push_back(ticket);
        }
    }

    fn acknowledge(&mut self, index: usize, most: usize) {
        let Process { tracker, acks, .. } = &mut self.processes[index];
        acks.drain(..most.min(acks.len())).for_each(|ticket| tracker.acknowledge(ticket));
    }

    fn commit(&mut self, index: usize) {
        let Process { tracker, owned, .. } = &mut self.processes[index];
        let mut ready: Vec<_> = tracker.take_ready().collect();
        if self.guards.off(Guard::CommitAfterAck) {
            ready.extend(owned.iter().map(|(partition, position)| (*partition, *position)));
        }
        for (partition, next_offset) in ready {
            self.group.commit(index, partition, next_offset);
        }
    }
}

impl Crew for Ingests {
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
        self.processes[index].owned.keys().copied().collect()
    }
    fn has_unsent(&self, index: usize) -> bool {
        !self.processes[index].sent.is_empty()
    }
    /// It keeps no state that could be out of date.
    fn ends_after_long_pause(&self) -> bool {
        false
    }

    fn assign(&mut self, partition: u32, to: usize) {
        let committed = self.group.committed[partition as usize];
        let process = &mut self.processes[to];
        process.tracker.assign(partition);
        process.owned.insert(partition, committed);
    }

    fn revoke(&mut self, partition: u32, from: usize) {
        let process = &mut self.processes[from];
        process.tracker.revoke(partition);
        process.owned.remove(&partition);
    }

    fn break_off(&mut self, index: usize, outside: &mut Outside) {
        self.processes[index].sent.break_off(&mut outside.log, outside.now, &mut outside.random);
    }

    fn restart(&mut self, index: usize) {
        self.processes[index] = Process::new();
    }
}
