//! How a day ends: everything falls quiet, a night passes, processes start anew, tables are lost.

use schemas::topic::{DELETE_RETENTION_MS, MIN_COMPACTION_LAG_MS};
use store::Row;

use super::crew::{Crew, LONGEST_PAUSE_MS};
use super::scorers::Packet;
use super::tally::Happening;
use super::{DAY_MS, MARKET_EVERY_MS, World};

/// Rounds of a second in which everything must fall quiet.
const MAX_ROUNDS: usize = 200;
/// Rounds without work after which nothing comes any more: markets are observed every few seconds.
const QUIET_ROUNDS: usize = MARKET_EVERY_MS as usize / 1_000 + 1;
const HOUR_MS: i64 = 3_600_000;

impl World {
    /// No more input, no more faults: within [`MAX_ROUNDS`] seconds nothing is left to do, for those that are awake.
    pub(super) fn fall_quiet(&mut self) -> Result<(), String> {
        self.store_down_until = self.store_down_until.map(|_| self.outside.now);
        self.outside.now += LONGEST_PAUSE_MS;
        self.store_comes_back();
        self.net.append(&mut self.late);
        self.input.all_arrive(&mut self.outside);
        let (mut quiet, mut why) = (0, String::new());
        for _ in 0..MAX_ROUNDS {
            self.outside.now += 1_000;
            self.work_off();
            match self.at_rest() {
                Ok(()) => quiet += 1,
                Err(reason) => (quiet, why) = (0, reason),
            }
            if quiet > QUIET_ROUNDS {
                return Ok(());
            }
        }
        Err(format!("no quiescence within {MAX_ROUNDS} s: {why}"))
    }

    fn work_off(&mut self) {
        (0..self.ingests.size()).for_each(|index| self.ingests.work_off(index, &mut self.outside));
        (0..self.enrichers.size()).for_each(|index| self.enrichers.work_off(index, &mut self.outside));
        for index in 0..self.scorers.size() {
            self.scorers.work_off(index, &mut self.outside, &self.tables);
            self.net.append(&mut self.scorers.outbox);
        }
        let mut unheard = Vec::new();
        while let Some(at) = self.outside.random.index(self.net.len()) {
            match self.net.swap_remove(at) {
                Packet::Write { from, write, sent_ms } => {
                    self.apply(&write);
                    if let Some(to) = from {
                        self.net.push(Packet::Written { to, write, acknowledged: true, sent_ms });
                    }
                }
                Packet::Written { to, write, acknowledged, sent_ms } => {
                    if self.scorers.hears(to, self.outside.now) {
                        self.scorers.written(to, &write, acknowledged, &self.outside.log, self.outside.now);
                    } else {
                        unheard.push(Packet::Written { to, write, acknowledged, sent_ms });
                    }
                }
            }
        }
        self.net = unheard;
    }

    fn at_rest(&mut self) -> Result<(), String> {
        if !self.ingests.at_rest(&self.outside.log) {
            return Err("ingest has work left".to_owned());
        }
        self.enrichers.at_rest(&self.outside.log, self.outside.now)?;
        self.scorers.at_rest(&self.outside.log, self.outside.now)
    }

    /// Time passes in which nothing happens: sessions end, tombstones go, and now and then a year.
    pub(super) fn night(&mut self) {
        let scorers_stay_away = self.outside.random.percent(25);
        if scorers_stay_away {
            self.evening();
        }
        // What is forgotten after a year, or while the scorers are away, is purged in the week after it.
        let is_a_week = self.forgets || (scorers_stay_away && self.outside.random.percent(50));
        let hours = match self.outside.random.below(20) {
            _ if is_a_week => 8 * 24,
            0..=5 => 3,
            6..=9 => 26,
            10..=12 => 80,
            13..=14 => 8 * 24,
            _ => 401 * 24,
        };
        self.forgets |= hours > 400 * 24;
        self.input.sleep();
        // The first half is long enough for the lag of `preferences`, unless the night is short.
        let first = 6.min(hours / 2);
        for hours in [first, hours - first] {
            self.outside.now += hours * HOUR_MS;
            if is_a_week || self.outside.random.percent(70) {
                self.compact();
            }
        }
        if scorers_stay_away || self.outside.random.percent(30) {
            self.start_anew();
        }
        // Whoever sleeps through a year sleeps on through the week after it.
        self.dawn(if hours > 400 * 24 { 0 } else { 50 });
        // Sessions speak again while the sweeper ends them.
        for _ in 0..self.outside.random.below(3) {
            self.input.call(&mut self.outside);
        }
    }

    /// The scorers have gone; the others still take what comes.
    fn evening(&mut self) {
        for _ in 0..self.outside.random.below(6) {
            self.input.feed(&mut self.outside);
            self.input.speak(&mut self.outside);
        }
        (0..self.ingests.size()).for_each(|index| self.ingests.work_off(index, &mut self.outside));
        (0..self.enrichers.size()).for_each(|index| self.enrichers.work_off(index, &mut self.outside));
    }

    /// So many of a hundred that slept through the night wake up.
    pub(super) fn dawn(&mut self, of_hundred: u64) {
        self.ingests.dawn(of_hundred, &mut self.outside);
        self.enrichers.dawn(of_hundred, &mut self.outside);
        self.scorers.dawn(of_hundred, &mut self.outside);
    }

    /// Compaction goes as far as it ever will.
    pub(super) fn compact_all(&mut self) {
        self.outside.now += MIN_COMPACTION_LAG_MS;
        self.outside.log.compact(self.outside.now, 0, DELETE_RETENTION_MS, &mut self.tally);
    }

    /// Every process that is awake starts with nothing but the logs.
    pub(super) fn start_anew(&mut self) {
        let Self { outside, ingests, enrichers, scorers, .. } = self;
        let crews: [&mut dyn Crew; 3] = [ingests, enrichers, scorers];
        for crew in crews {
            for index in 0..crew.size() {
                if crew.is_awake(index, outside.now) {
                    crew.crash(index, outside);
                }
            }
        }
    }

    /// All tables are lost.
    pub(super) fn lose_tables(&mut self) {
        self.tally.count(Happening::TablesLost);
        self.tables.lose_all();
    }

    /// Some rows are lost and nobody is told; two days pass, as long as two rounds of the scrubber.
    pub(super) fn rot(&mut self) {
        let rows: Vec<Row> = self.tables.rows().map(|(row, _)| row.clone()).collect();
        for row in rows.iter().filter(|_| self.outside.random.percent(30)) {
            self.tally.count(Happening::RowRotted);
            self.tables.rot(row);
        }
        for _ in 0..2 * DAY_MS / HOUR_MS + 1 {
            self.outside.now += HOUR_MS;
            self.work_off();
        }
    }
}
