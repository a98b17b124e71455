//! What is the same of all three services: several processes that share partitions through a group, and what befalls
//! them. A process that is paused, or that the group has given up, goes on with what it believes to own until it hears
//! otherwise: a zombie.

use super::log::SimLog;
use super::random::Random;
use super::tally::{Happening, Tally};

/// Longest pause after which a process goes on, milliseconds; in proportion to the compaction lag as an hour is to two in
/// production.
pub const LONGEST_PAUSE_MS: i64 = 600_000;
/// Steps that a process is paused or deaf at most: time enough for another to take its partitions over and get to work.
const PAUSED_STEPS: u64 = 400;

/// What the processes work with.
pub struct Outside {
    /// The log.
    pub log: SimLog,
    /// The time.
    pub now: i64,
    /// Longest time between two steps, milliseconds.
    pub pace_ms: u64,
    /// Chance.
    pub random: Random,
}

impl Outside {
    /// One of `0..size`; size > 0.
    pub const fn one_of(&mut self, size: usize) -> usize {
        self.random.below(size as u64) as usize
    }
}

/// Who owns each partition, and what was committed for it, as the group sees it.
#[derive(Clone, Debug)]
pub struct Group {
    /// Owner of each partition.
    pub owners: Vec<usize>,
    /// The next offset to work on, per partition.
    pub committed: Vec<u64>,
}

impl Group {
    /// Partitions are handed out by the crew, which knows what follows from it.
    pub fn new(partitions: u32) -> Self {
        Self { owners: vec![usize::MAX; partitions as usize], committed: vec![0; partitions as usize] }
    }

    /// A member commits: only the owner's word counts, and an offset never goes back.
    pub fn commit(&mut self, member: usize, partition: u32, next_offset: u64) {
        if self.owns(member, partition) {
            let committed = &mut self.committed[partition as usize];
            *committed = next_offset.max(*committed);
        }
    }

    /// The partitions of a member.
    pub fn partitions_of(&self, member: usize) -> Vec<u32> {
        (0..).zip(&self.owners).filter(|(_, owner)| **owner == member).map(|(partition, _)| partition).collect()
    }

    /// Whether a member owns a partition.
    pub fn owns(&self, member: usize, partition: u32) -> bool {
        self.owners[partition as usize] == member
    }
}

/// What keeps a process from working, or from hearing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rest {
    /// Since then it does nothing (paused).
    pub asleep_since: i64,
    /// Until then.
    pub asleep_until: i64,
    /// Until then it does not hear what the group has decided.
    pub deaf_until: i64,
}

impl Rest {
    /// Until somebody says otherwise.
    const PAST_THE_NIGHT: i64 = i64::MAX;

    /// It has not been awake since it was paused.
    const fn is_paused(self) -> bool {
        self.asleep_until > 0
    }

    const fn is_past_the_night(self) -> bool {
        self.asleep_until == Self::PAST_THE_NIGHT
    }
}

/// The processes of one service.
pub trait Crew {
    /// How many.
    fn size(&self) -> usize;
    /// Their group.
    fn group(&mut self) -> &mut Group;
    /// What befell them.
    fn tally(&mut self) -> &mut Tally;
    /// What keeps one from working.
    fn rest(&mut self, index: usize) -> &mut Rest;
    /// The partitions that a process believes to own.
    fn owned(&self, index: usize) -> Vec<u32>;
    /// A process is given a partition.
    fn assign(&mut self, partition: u32, to: usize);
    /// A process is told that it has a partition no more.
    fn revoke(&mut self, partition: u32, from: usize);
    /// What a process had sent when it died may still arrive.
    fn break_off(&mut self, index: usize, outside: &mut Outside);
    /// Whether something that it has sent has not arrived.
    fn has_unsent(&self, index: usize) -> bool;
    /// A process starts with nothing but the logs.
    fn restart(&mut self, index: usize);
    /// Whether a process that was paused for too long ends itself.
    fn ends_after_long_pause(&self) -> bool;

    /// The group gives a partition to a process. The one before it is told when it next hears.
    fn hand_over(&mut self, partition: u32, to: usize) {
        if self.owned(to).contains(&partition) {
            self.revoke(partition, to);
        }
        self.group().owners[partition as usize] = to;
        self.assign(partition, to);
    }

    /// Whether a process is awake.
    fn is_awake(&mut self, index: usize, now: i64) -> bool {
        self.rest(index).asleep_until <= now
    }

    /// A process hears, unless it is deaf, what it has lost. Returns whether it is awake.
    fn wake(&mut self, index: usize, now: i64) -> bool {
        if !self.is_awake(index, now) {
            return false;
        }
        let rest = *self.rest(index);
        *self.rest(index) = Rest { deaf_until: rest.deaf_until, ..Rest::default() };
        if rest.asleep_until - rest.asleep_since > LONGEST_PAUSE_MS {
            // What it had not sent has timed out, and that ends it too.
            if self.ends_after_long_pause() || self.has_unsent(index) {
                self.restart(index);
                for partition in self.group().partitions_of(index) {
                    self.hand_over(partition, index);
                }
            }
        }
        if rest.deaf_until <= now {
            for partition in self.owned(index) {
                if !self.group().owns(index, partition) {
                    self.revoke(partition, index);
                }
            }
        }
        true
    }

    /// A process dies; its partitions are its own again, or another's.
    fn crash(&mut self, index: usize, outside: &mut Outside) {
        let rest = *self.rest(index);
        // What one that was paused for long had not sent has timed out.
        if !rest.is_paused() || outside.now - rest.asleep_since <= LONGEST_PAUSE_MS {
            self.break_off(index, outside);
        }
        self.restart(index);
        *self.rest(index) = Rest::default();
        for partition in self.group().partitions_of(index) {
            let to = if outside.random.percent(50) { index } else { self.another(index, &mut outside.random) };
            self.hand_over(partition, to);
        }
    }

    /// A process other than this one that the group sees alive, if there is one.
    fn another(&mut self, index: usize, random: &mut Random) -> usize {
        let is_there = |crew: &mut Self, other: &usize| *other != index && !crew.rest(*other).is_past_the_night();
        let others: Vec<usize> = (0..self.size()).filter(|other| is_there(self, other)).collect();
        random.index(others.len()).map_or(index, |at| others[at])
    }

    /// Something befalls one process: it dies, it is paused, or it loses a partition.
    fn suffer(&mut self, outside: &mut Outside) {
        let mut index = outside.one_of(self.size());
        if outside.random.percent(80) {
            // At the worst moment.
            index = (0..self.size()).find(|index| self.has_unsent(*index)).unwrap_or(index);
        }
        match outside.random.below(10) {
            0..=2 => {
                self.tally().count(Happening::Crash);
                self.crash(index, outside);
            }
            3..=4 => self.pause(index, outside),
            5..=6 => self.pause_past_the_night(outside.one_of(self.size()), outside),
            _ => {
                self.tally().count(Happening::Rebalance);
                let partition = outside.random.below(self.group().owners.len() as u64) as u32;
                let from = self.group().owners[partition as usize];
                if outside.random.percent(60) {
                    self.rest(from).deaf_until = outside.now + short(outside);
                }
                let to = self.another(from, &mut outside.random);
                self.hand_over(partition, to);
            }
        }
    }

    /// A process stands still for a while. The group may give it up meanwhile.
    fn pause(&mut self, index: usize, outside: &mut Outside) {
        if self.rest(index).is_paused() {
            return;
        }
        self.tally().count(Happening::Pause);
        let asleep_until = outside.now + short(outside);
        let deaf_until = asleep_until + short(outside);
        *self.rest(index) = Rest { asleep_since: outside.now, asleep_until, deaf_until };
        if outside.random.percent(90) {
            self.give_up(index, &mut outside.random);
        }
    }

    /// A process stands still until after a night, or two. The group gives it up.
    fn pause_past_the_night(&mut self, index: usize, outside: &mut Outside) {
        if self.rest(index).is_paused() || self.another(index, &mut outside.random) == index {
            return;
        }
        self.tally().count(Happening::LongPause);
        *self.rest(index) =
            Rest { asleep_since: outside.now, asleep_until: Rest::PAST_THE_NIGHT, deaf_until: outside.now };
        self.give_up(index, &mut outside.random);
    }

    /// The group gives the partitions of a process to others.
    fn give_up(&mut self, index: usize, random: &mut Random) {
        for partition in self.owned(index) {
            if self.group().owns(index, partition) {
                let to = self.another(index, random);
                self.hand_over(partition, to);
            }
        }
    }

    /// The night is over; so many of a hundred that slept through it wake up.
    fn dawn(&mut self, of_hundred: u64, outside: &mut Outside) {
        for index in 0..self.size() {
            if self.rest(index).is_past_the_night() && outside.random.percent(of_hundred) {
                self.rest(index).asleep_until = outside.now;
            }
        }
    }
}

/// How long a process is paused or deaf, so that both together stay below what ends it.
fn short(outside: &mut Outside) -> i64 {
    let longest = (outside.pace_ms * PAUSED_STEPS).min(LONGEST_PAUSE_MS as u64 / 2);
    outside.random.below(longest) as i64
}
