//! A deterministic simulator: the state machines that ship, on a log and tables in memory, in bad weather. One seed is one
//! run, and always the same one.
//!
//! The world is two partitions, five listings and four sessions; two processes each of ingest (`decide`, `OffsetTracker`) and
//! of the enricher (`keeper`, `admission`, `window`, `held`, `sold`), two or three of the scorer (`Judge`). Processes crash, are
//! paused, lose partitions without knowing, and are started anew; clients and feeds repeat themselves, come late and talk
//! nonsense; the log compacts, and delivers in order within a partition only; the store loses, delays, doubles and reorders
//! statements, dies with what it had not synced, and forgets its claims; models change; nights pass, and now and then a year.
//!
//! A run is one to three days with nights between, and ends several times, each time with `check.rs`:
//! (A) everything falls quiet, within a bound, and the tables are what the logs say;
//! (B) the logs are compacted to the last record of each key, every process starts anew, and the same comes out;
//! (C) the tables are lost, and the same comes out;
//! (D) in some runs, rows are lost and nobody is told; two days later the same comes out.
//!
//! Simulates one node of the store, whole rows, one clock, and no network between log and process beyond delay. Threads
//! and I/O of the services are not here: `e2e/tests/it/faults.rs` kills and pauses the real ones.

use std::collections::BTreeMap;

use schemas::topic::{DELETE_RETENTION_MS, Topic};
use scorer::facts::ScoreEpoch;
use scorer::judge::{Rules, Safeguards};

mod check;
mod crew;
mod enrichers;
mod guard;
mod ingests;
mod input;
mod lanes;
mod log;
mod quiet;
mod random;
mod scorers;
mod tables;
mod tally;
mod weaken;

use crew::{Crew, Outside};
pub use guard::{Guard, Guards};
use log::SimLog;
use random::Random;
use scorers::{Packet, Scorers};
use tables::SimTables;
pub use tally::{Happening, Tally};

/// Milliseconds from a session's last statement to its end.
const SESSION_LIFE_MS: i64 = 3 * DAY_MS;
/// The compaction lag while things happen, in proportion to the pauses; at night the real one passes.
const LAG_MS: i64 = 20 * 60_000;
/// The store loses what it acknowledged within this time before a crash: Cassandra and ScyllaDB sync every 10 s.
const UNSYNCED_MS: i64 = 10_000;
/// Longer than that.
const CALM_MS: i64 = 3 * UNSYNCED_MS;
/// An answer of the store that is longer under way has timed out.
const TIME_OUT_MS: i64 = 10_000;
/// Milliseconds between two observations of the markets.
const MARKET_EVERY_MS: i64 = 1_000;
const PARTITIONS: u32 = 2;
const DAY_MS: i64 = 86_400_000;
const MORNING_MS: i64 = 1_795_608_000_000;

/// What kind of day it is; drawn once per seed, so that some seeds are calm, some are storms, some are slow.
#[derive(Clone, Copy, Debug)]
struct Weather {
    /// Things that happen in a day.
    steps: u64,
    /// Of a hundred chances of a fault.
    faults: u64,
    /// Of a hundred chances of input.
    input: u64,
    /// Longest time between two steps, milliseconds.
    longest_step_ms: u64,
    /// Of a hundred packets.
    lost: u64,
    /// Of a hundred chances to compact.
    compaction: u64,
    /// Of a hundred chances of another champion.
    models: u64,
}

/// Everything.
struct World {
    outside: Outside,
    weather: Weather,
    guards: Guards,
    tables: SimTables,
    store_down_until: Option<i64>,
    /// Recorded epochs that a crash of the store took, by shard.
    lost_epochs: BTreeMap<u32, Option<u64>>,
    last_claims_loss: i64,
    /// Statements and answers under way.
    net: Vec<Packet>,
    /// Statements that nobody waits for any more, to arrive when nobody expects them.
    late: Vec<Packet>,
    input: input::Input,
    ingests: ingests::Ingests,
    enrichers: enrichers::Enrichers,
    scorers: Scorers,
    tally: Tally,
    /// Whether a night was so long that deleted listings were forgotten.
    forgets: bool,
}

/// One run. `Err` says what did not hold, and where.
pub fn run(seed: u64, guards: &Guards) -> Result<Tally, String> {
    let mut world = World::new(seed, guards.clone());
    let days = 1 + world.outside.random.below(3);
    for day in 0..days {
        for _ in 0..world.weather.steps {
            world.step();
        }
        if day + 1 < days {
            world.fall_quiet().map_err(|error| format!("day {day}: {error}"))?;
            world.night();
        }
    }
    world.dawn(100);
    world.fall_quiet().and_then(|()| world.check()).map_err(|error| format!("A: {error}"))?;
    world.compact_all();
    world.check_compacted().map_err(|error| format!("compaction: {error}"))?;
    world.start_anew();
    world.fall_quiet().and_then(|()| world.check()).map_err(|error| format!("B: {error}"))?;
    world.lose_tables();
    world.start_anew();
    world.fall_quiet().and_then(|()| world.check()).map_err(|error| format!("C: {error}"))?;
    if world.outside.random.percent(20) {
        world.rot();
        world.fall_quiet().and_then(|()| world.check()).map_err(|error| format!("D: {error}"))?;
    }
    Ok(world.tally())
}

impl World {
    fn new(seed: u64, guards: Guards) -> Self {
        let mut random = Random::of(seed);
        let mut of = |choices: &[u64]| choices[random.below(choices.len() as u64) as usize];
        let weather = Weather {
            steps: of(&[100, 400, 800, 1_600]),
            faults: of(&[3, 15, 40, 80]),
            input: of(&[15, 40, 90]),
            longest_step_ms: of(&[50, 500, 3_000]),
            lost: of(&[0, 5, 20]),
            compaction: of(&[20, 100]),
            models: of(&[0, 10, 60]),
        };
        let rules = Rules {
            partitions: PARTITIONS,
            session_life_ms: SESSION_LIFE_MS,
            window: of(&[1, 4, 64]) as usize,
            market_every_ms: MARKET_EVERY_MS,
            scrub_every_ms: if guards.off(Guard::Scrub) { 0 } else { DAY_MS },
            score_epoch: ScoreEpoch::default(),
            safeguards: safeguards(&guards, of(&[200, Safeguards::default().statements_per_epoch])),
        };
        let (scorers, engines) = (2 + of(&[0, 1]) as usize, Random::of(random.bits()));
        Self {
            weather,
            tables: SimTables::default(),
            store_down_until: None,
            lost_epochs: BTreeMap::new(),
            last_claims_loss: 0,
            net: Vec::new(),
            late: Vec::new(),
            input: input::Input::default(),
            ingests: ingests::Ingests::new(2, PARTITIONS, guards.clone()),
            enrichers: enrichers::Enrichers::new(2, PARTITIONS, guards.clone()),
            scorers: Scorers::new(scorers, rules, guards.clone(), engines),
            tally: Tally::default(),
            forgets: false,
            guards,
            outside: Outside {
                log: SimLog::new(PARTITIONS),
                now: MORNING_MS,
                pace_ms: weather.longest_step_ms,
                random,
            },
        }
    }

    /// What befell.
    fn tally(&mut self) -> Tally {
        let mut all = self.tally.clone();
        for other in [self.ingests.tally(), self.enrichers.tally(), self.scorers.tally(), &mut self.input.tally] {
            all.absorb(other);
        }
        all.add(Happening::DeadLetter, self.outside.log.records(Topic::DeadLetters).count() as u64);
        all
    }

    /// One thing happens.
    fn step(&mut self) {
        self.outside.now += self.outside.random.below(self.weather.longest_step_ms) as i64;
        self.store_comes_back();
        let Self { outside, weather, .. } = self;
        match outside.random.below(100) {
            0..=7 if outside.random.percent(weather.input) => self.input.feed(outside),
            8..=11 if outside.random.percent(weather.input) => self.input.call(outside),
            12..=15 => self.input.arrive(outside),
            16..=27 => self.ingests.step(outside.one_of(self.ingests.size()), outside),
            28..=49 => self.enrichers.step(outside.one_of(self.enrichers.size()), outside),
            50..=76 => {
                let tables = self.store_down_until.is_none().then_some(&self.tables);
                self.scorers.step(outside.one_of(self.scorers.size()), outside, tables);
                self.net.append(&mut self.scorers.outbox);
            }
            77..=94 => self.deliver(),
            95..=97 if outside.random.percent(weather.faults) => self.fault(),
            98 if outside.random.percent(weather.compaction) => self.compact(),
            99 if outside.random.percent(weather.models) => self.enrichers.promote(),
            _ => {}
        }
    }

    /// Something under way arrives, is lost, is doubled, or comes late.
    fn deliver(&mut self) {
        if self.outside.random.percent(3)
            && let Some(at) = self.outside.random.index(self.late.len())
        {
            self.tally.count(Happening::WriteLate);
            self.net.push(self.late.swap_remove(at));
        }
        for _ in 0..1 + self.outside.random.below(4) {
            let Some(at) = self.outside.random.index(self.net.len()) else { return };
            match self.net.swap_remove(at) {
                Packet::Write { from, write, sent_ms } => {
                    let (is_lost, is_late, is_doubled) = (self.lossy(), self.lossy(), self.lossy());
                    if is_late || is_doubled {
                        self.late.push(Packet::Write { from: None, write: write.clone(), sent_ms });
                    }
                    self.tally.add(Happening::WriteLost, u64::from(is_lost));
                    let is_applied = !is_lost && !is_late && self.apply(&write);
                    if let Some(to) = from {
                        let acknowledged = is_applied && !self.lossy();
                        self.tally.add(Happening::AnswerLost, u64::from(is_applied && !acknowledged));
                        self.net.push(Packet::Written { to, write, acknowledged, sent_ms });
                    }
                }
                Packet::Written { to, write, acknowledged, sent_ms } => {
                    if self.scorers.hears(to, self.outside.now) {
                        // Of a process that was paused, the answer may have come in time.
                        let in_time = self.outside.now - sent_ms <= TIME_OUT_MS || self.outside.random.percent(10);
                        self.scorers.written(to, &write, acknowledged && in_time, &self.outside.log, self.outside.now);
                    } else {
                        self.net.push(Packet::Written { to, write, acknowledged, sent_ms });
                    }
                }
            }
        }
    }

    fn lossy(&mut self) -> bool {
        self.outside.random.percent(self.weather.lost)
    }

    /// Whether the store is there to apply it.
    fn apply(&mut self, write: &store::Write) -> bool {
        if self.store_down_until.is_some() {
            return false;
        }
        let mut write = write.clone();
        if self.guards.off(Guard::Epoch) {
            let sequence = write.timestamp.raw() as u64 & ((1 << store::SEQUENCE_BITS) - 1);
            // A sequence is always in range.
            write.timestamp = store::WriteTimestamp::new(0, sequence).unwrap_or(write.timestamp);
        }
        self.tables.apply(write, self.outside.now);
        true
    }

    fn fault(&mut self) {
        let is_up = self.store_down_until.is_none();
        match self.outside.random.below(20) {
            0..=3 => self.ingests.suffer(&mut self.outside),
            4..=8 => self.enrichers.suffer(&mut self.outside),
            9..=15 => self.scorers.suffer(&mut self.outside),
            // Never both at once, for the crash may have taken the epoch that new claims must be greater than.
            16..=17 if is_up && self.outside.now - self.last_claims_loss > CALM_MS => self.store_crashes(),
            18..=19 if is_up && self.epochs_are_recorded() => self.claims_are_lost(),
            _ => {}
        }
    }

    /// A node dies before its commit log is synced: what it acknowledged lately is gone.
    fn store_crashes(&mut self) {
        self.tally.count(Happening::StoreCrash);
        let recorded: Vec<_> = (0..PARTITIONS).map(|shard| (shard, self.tables.epoch(shard))).collect();
        let lost = self.tables.lose_since(self.outside.now - UNSYNCED_MS);
        self.tally.add(Happening::AcknowledgedWriteLost, lost);
        for (shard, epoch) in recorded {
            let known = self.lost_epochs.entry(shard).or_default();
            *known = epoch.max(*known);
        }
        self.store_down_until = Some(self.outside.now + self.outside.random.below(90_000) as i64);
    }

    fn epochs_are_recorded(&self) -> bool {
        self.lost_epochs.iter().all(|(shard, epoch)| self.tables.epoch(*shard) >= *epoch)
    }

    fn store_comes_back(&mut self) {
        if self.store_down_until.is_some_and(|until| until <= self.outside.now) {
            self.store_down_until = None;
            self.scorers.store_recovered(self.outside.now, &mut self.outside.random);
        }
    }

    /// An operator makes the topic of claims anew, with every scorer stopped, as it must be done.
    fn claims_are_lost(&mut self) {
        self.tally.count(Happening::ClaimsLost);
        self.last_claims_loss = self.outside.now;
        self.outside.log.lose(Topic::ScorerClaims);
        (0..self.scorers.size()).for_each(|index| self.scorers.crash(index, &mut self.outside));
    }

    fn compact(&mut self) {
        let lag_ms = if self.guards.off(Guard::CompactionLag) { 0 } else { LAG_MS };
        self.outside.log.compact(self.outside.now, lag_ms, DELETE_RETENTION_MS, &mut self.tally);
    }
}

/// The safeguards, less what is switched off. An epoch has few timestamps in some runs, so that it runs out of them.
fn safeguards(guards: &Guards, statements_per_epoch: u64) -> Safeguards {
    let mut safeguards = Safeguards { statements_per_epoch, ..Safeguards::default() };
    if guards.off(Guard::ErasedRemembered) {
        safeguards.erasures_kept_ms = 0;
    }
    if guards.off(Guard::GoneRemembered) {
        safeguards.gone_kept_ms = 0;
    }
    if guards.off(Guard::ClaimAgain) {
        safeguards.claims_again_after_s = u32::MAX;
    }
    safeguards.rewrites_at_take_over = !guards.off(Guard::RewriteAtTakeOver);
    safeguards
}
