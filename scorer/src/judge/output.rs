//! The end of a batch and the passing of time: what the judge has decided becomes effects.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use schemas::cells::{SessionCell, ShardCell};
use schemas::header;
use schemas::id::SessionId;
use schemas::market_day::MarketDay;
use schemas::recommendation::items_hash;
use schemas::topic::{DELETE_RETENTION_MS, MIN_COMPACTION_LAG_MS, Topic, market_day_key, session_key};
use schemas::units::Instant;
use schemas::vocabulary::Transaction;
use store::{Row, Table};
use stream::Outgoing;

use super::counting::{self, Counting};
use super::{Effect, Judge, Scrub, Then, state_of};
use crate::catalogue::{Catalogue, index_entry, shard_of_market};
use crate::days::Days;
use crate::engine::{Change, Engine};
use crate::facts::{ListingFacts, ScoreEpoch, SessionFacts};
use crate::ledger::{Due, Ledger, SequenceExhausted, Wanted, is_announced};
use crate::markets::Markets;
use crate::present;
use crate::score;
use crate::shard::{Phase, Shard, Step};
use crate::state::Sight;
use crate::statements::Statements;

/// Sessions that are ended in one second at most, so that a sweep after a long absence does not crowd out changes.
const SWEEP_PER_TICK: usize = 1_000;

/// Tables whose rows do not end by themselves when nobody deletes them.
const SCANNED: [Table; 3] = [Table::Recommendations, Table::Sessions, Table::Listings];

impl Judge {
    /// Ends a batch: brings the engine up to date, decides what to write, and hands over all effects since the last call.
    pub fn settle(&mut self, now: i64) -> Vec<Effect> {
        self.complete_take_overs(now);
        self.engine.apply(&self.changes, &mut self.emits);
        self.changes.clear();
        // Which change an emit is for is not told: none is newer than the oldest.
        let since = std::mem::replace(&mut self.changed_since, i64::MAX).min(now);
        for emit in std::mem::take(&mut self.emits) {
            let row = Row::Recommendation(emit.session);
            let number = self.shard_of(&row);
            if let Some(Shard { statements, sight, .. }) = self.shards.get_mut(&number)
                && let Some(stated) = statements.get(emit.session)
            {
                sight.sees(emit.session, stated.version, &emit.top);
            }
            self.mark(number, row, false, since);
        }
        self.write_due(now);
        std::mem::take(&mut self.effects)
    }

    /// A shard whose logs are read hands its sessions to the engine; once its epoch is recorded too, every row is owed.
    fn complete_take_overs(&mut self, now: i64) {
        if !super::everything_read(&self.ends_seen, self.rules.partitions) {
            return;
        }
        let mut to_scan = Vec::new();
        let Self { shards, changes, effects, catalogue, markets, days, rules, unconfirmed, engine, .. } = self;
        unconfirmed.confirm_listings(catalogue, engine.as_mut(), rules);
        if shards.values().any(|shard| shard.statements_read && !shard.in_engine) {
            unconfirmed.of_others(shards, changes);
        }
        for shard in shards.values_mut().filter(|shard| shard.statements_read && !shard.live) {
            if !shard.in_engine {
                shard.in_engine = true;
                unconfirmed.ended(shard, changes);
                changes.extend(shard.statements.iter().filter_map(|(id, stated)| {
                    let facts = Some(SessionFacts::of(stated.preferences.as_deref()?));
                    Some(Change::Session { id, facts })
                }));
            }
            if shard.owns() {
                shard.live = true;
                catalogue.forget_gone(now - rules.safeguards.gone_kept_ms);
                markets.touch_all();
                markets.touch(days.keys().map(|(market, _, _)| market));
                let rows = rows_of(shard.number, &shard.statements, catalogue, markets, days, rules.partitions);
                if let Some(ledger) = shard.ledger.as_mut().filter(|_| rules.safeguards.rewrites_at_take_over) {
                    rows.into_iter().for_each(|row| ledger.mark(row, true, now));
                }
                let away_ms = shard.predecessor_caught_up_ms.filter(|at| *at > 0).map_or(0, |at| now - at);
                if away_ms > MIN_COMPACTION_LAG_MS {
                    let hours = away_ms / 3_600_000;
                    effects.push(Effect::Warn(format!(
                        "shard {} had no owner for {hours} h, longer than the compaction lag",
                        shard.number
                    )));
                }
                if away_ms > DELETE_RETENTION_MS {
                    shard.owes_scans(SCANNED.len());
                    to_scan.push(shard.number);
                }
            }
        }
        for shard in to_scan {
            for table in SCANNED {
                self.effects.push(Effect::Scan { shard, table });
            }
        }
    }

    /// Fills every shard's window with statements.
    fn write_due(&mut self, now: i64) {
        let caught_up = self.caught_up(now);
        let Self { shards, progress, listings_offsets, catalogue, engine, markets, days, effects, rules, .. } = self;
        let counting = &mut self.counting;
        let cells = Cells { catalogue, engine: engine.as_ref(), markets, days, epoch: rules.score_epoch };
        for shard in shards.values_mut() {
            if !matches!(shard.phase, Phase::Recording | Phase::Owning) {
                continue;
            }
            // Told once a second: not worth looking through what is under way at every turn.
            let mut own_cell = shard.owes_its_row().then(|| {
                let preferences_offset = progress.get(&shard.number).map_or(0, |progress| progress.next_offset);
                ShardCell {
                    epoch: shard.ledger.as_ref().map_or(0, Ledger::epoch),
                    caught_up_at: shard_caught_up(shard, caught_up, now),
                    state: state_of(shard, listings_offsets, preferences_offset),
                }
            });
            let Shard { ledger, statements, sight, number, .. } = shard;
            let Some(ledger) = ledger else { continue };
            loop {
                let wanted = |row: &Row, forced: bool| match row {
                    Row::Shard(_) => own_cell.take().map_or(Wanted::Unchanged, |cell| cell_of(&cell)),
                    Row::Recommendation(session) => unless_sent(sight, *session, forced, cells.of(row, statements)),
                    Row::Counts(session) => counted(counting, *number, *session, statements),
                    row => cells.of(row, statements),
                };
                match ledger.next(now, wanted) {
                    Ok(None) => break,
                    Ok(Some(due)) => {
                        effects.extend(announcement(&due, now));
                        effects.push(Effect::Write(due.write));
                    }
                    Err(SequenceExhausted) => {
                        shard.claim_again();
                        effects.push(Effect::Claim { shard: shard.number });
                        break;
                    }
                }
            }
        }
    }

    /// Time passes; call about every 100 ms. What is due once a second is done once a second. `is_whole`: every node of the
    /// store is there.
    pub fn tick(&mut self, now: i64, is_whole: bool) {
        if now / 1_000 == self.last_tick_s {
            return;
        }
        self.last_tick_s = now / 1_000;
        for shard in self.shards.values_mut() {
            if shard.second_passes(self.rules.safeguards.claims_again_after_s) == Step::Claim {
                self.effects.push(Effect::Warn(format!(
                    "shard {}: the group still counts on this process, so it is claimed again",
                    shard.number
                )));
                self.effects.push(Effect::Claim { shard: shard.number });
            }
        }
        for shard in self.shards.values_mut().filter(|shard| shard.live) {
            let tombstones = shard.statements.sweep(now, SWEEP_PER_TICK);
            self.effects.extend(tombstones.into_iter().map(|record| Effect::Append { record, then: Then::Nothing }));
            if let Some(ledger) = shard.ledger.as_mut() {
                ledger.second_passes(is_whole);
                ledger.mark(Row::Shard(shard.number), true, now);
            }
        }
        // Also when the clock was put back.
        if (now - self.last_market_ms).abs() >= self.rules.market_every_ms {
            self.last_market_ms = now;
            self.observe_markets(now);
        }
        self.repair_days(now);
        self.scrub(now);
        self.count_when_idle(now);
        self.commit();
    }

    /// The partitions of a topic are out of sight since `since`: until their ends are told again, nobody can say that they are
    /// applied to them. Returns whether that is news.
    pub fn lost_sight(&mut self, topic: Topic, since: i64) -> bool {
        let marks: Vec<&mut (i64, bool)> = match topic {
            Topic::ListingsPriced => self.listings_until.iter_mut().collect(),
            Topic::Preferences => self.shards.values_mut().map(|shard| &mut shard.read_until).collect(),
            // No time is told by the others.
            _ => Vec::new(),
        };
        let mut is_news = false;
        for (at, at_end) in marks {
            if std::mem::take(at_end) {
                *at = since.max(*at);
                is_news = true;
            }
        }
        is_news
    }

    /// The time up to which all of `listings.priced` is applied.
    fn caught_up(&self, now: i64) -> i64 {
        self.listings_until.iter().map(|&(at, at_end)| if at_end { now } else { at }).min().unwrap_or(now)
    }

    /// Rows of the markets that changed, and an observation of their day on `market.days` where it differs from the last.
    fn observe_markets(&mut self, now: i64) {
        let Some(at) = Instant::from_ms(now) else { return };
        if self.last_day.replace(at.day()) != Some(at.day()) {
            self.markets.touch_all();
            self.catalogue.forget_gone(now - self.rules.safeguards.gone_kept_ms);
        }
        for market in self.markets.take_changed() {
            let number = shard_of_market(&market, self.rules.partitions);
            self.mark(number, Row::Market(market.clone()), false, now);
            let Some(ledger) = self.shards.get_mut(&number).filter(|s| s.live).and_then(|s| s.ledger.as_mut()) else {
                continue;
            };
            for transaction in [Transaction::Sale, Transaction::Lease] {
                let numbers = self.markets.numbers(&market, transaction, at.day());
                let key = (market.clone(), transaction, at.day());
                let known = self.days.get(&key).map(|day| &day.numbers);
                // A day on which nothing was ever on offer is no observation.
                if known == Some(&numbers) || (known.is_none() && numbers.is_none()) {
                    continue;
                }
                let Ok(stamp) = ledger.stamp() else { continue };
                let day = MarketDay {
                    market: market.clone(),
                    transaction,
                    day: at.day(),
                    version: stamp.raw(),
                    observed_at: at,
                    numbers,
                };
                self.effects.push(Effect::Append { record: observation(&day, now), then: Then::Nothing });
            }
        }
    }

    /// Appends observations again that compaction would lose.
    fn repair_days(&mut self, now: i64) {
        let Self { shards, days, rules, .. } = self;
        let is_ours = |market: &_| shards.get(&shard_of_market(market, rules.partitions)).is_some_and(|s| s.live);
        let repairs = days.repairs(rules.partitions, is_ours);
        let append = |day| Effect::Append { record: observation(&day, now), then: Then::Nothing };
        self.effects.extend(repairs.into_iter().map(append));
    }

    /// Writes every row again, a little each second, so that one round takes `scrub_every_ms`.
    fn scrub(&mut self, now: i64) {
        let period = self.rules.scrub_every_ms;
        if period <= 0 {
            return;
        }
        let Self { shards, scrubs, catalogue, markets, days, rules, .. } = self;
        for shard in shards.values_mut().filter(|shard| shard.live) {
            let Shard { ledger: Some(ledger), statements, number, .. } = shard else { continue };
            // The take-over has just written everything: the first round has nothing to do.
            let scrub = scrubs.entry(*number).or_insert(Scrub { started_ms: now, rows: Vec::new(), total: 0 });
            // A clock that was put back begins the round again.
            scrub.started_ms = scrub.started_ms.min(now);
            if now - scrub.started_ms >= period {
                scrub.rows.drain(..).for_each(|row| ledger.mark(row, true, now));
                let rows = rows_of(*number, statements, catalogue, markets, days, rules.partitions);
                *scrub = Scrub { started_ms: now, total: rows.len(), rows };
            }
            let elapsed = (now - scrub.started_ms).min(period) as u128;
            let left = scrub.total - (scrub.total as u128 * elapsed / period as u128) as usize;
            while scrub.rows.len() > left {
                if let Some(row) = scrub.rows.pop() {
                    ledger.mark(row, true, now);
                }
            }
        }
    }

    /// Counts what new preferences match, when no change waits to be written.
    fn count_when_idle(&mut self, now: i64) {
        if self.shards.values().filter_map(|s| s.ledger.as_ref()).any(|l| l.dirty() > counting::PER_TICK) {
            return;
        }
        let Some(now_is) = Instant::from_ms(now) else { return };
        let Self { shards, engine, counting, .. } = self;
        let facts = |number: u32, session: SessionId| {
            let shard = shards.get(&number).filter(|shard| shard.live)?;
            Some(SessionFacts::of(shard.statements.get(session)?.preferences.as_deref()?))
        };
        for (number, session) in counting.go_on(engine.as_ref(), facts, now_is) {
            self.mark(number, Row::Counts(session), false, now);
        }
    }

    fn commit(&mut self) {
        for (&partition, progress) in &mut self.progress {
            let next_offset = progress.pending.first().copied().unwrap_or(progress.next_offset);
            if next_offset > progress.committed {
                progress.committed = next_offset;
                self.effects.push(Effect::Commit { partition, next_offset });
            }
        }
    }

    /// Whether no record of the logs explains the row, so that it has to go.
    pub(super) fn is_unexplained(&self, row: &Row) -> bool {
        let Self { shards, catalogue, engine, markets, days, rules, .. } = self;
        let cells = Cells { catalogue, engine: engine.as_ref(), markets, days, epoch: rules.score_epoch };
        let shard = shards.get(&self.shard_of(row));
        shard.is_some_and(|shard| matches!(cells.of(row, &shard.statements), Wanted::Absent))
    }
}

/// What the rows are made of.
struct Cells<'a> {
    catalogue: &'a Catalogue,
    engine: &'a dyn Engine,
    markets: &'a Markets,
    days: &'a Days,
    epoch: ScoreEpoch,
}

impl Cells<'_> {
    /// The row as it should be.
    fn of(&self, row: &Row, statements: &Statements) -> Wanted {
        let cell = match row {
            Row::Recommendation(session) => return self.recommendation(*session, statements),
            Row::Session(session) => statements.get(*session).and_then(|stated| {
                let preferences = stated.preferences.as_deref()?.clone();
                Some(text_of(&SessionCell { version: stated.version, preferences }))
            }),
            Row::Listing(id) => self.catalogue.get(id).map(|fact| present::listing_cell(fact).into()),
            Row::ListingByMarket(entry) => {
                let current = self.catalogue.get(&entry.listing_id).and_then(index_entry);
                (current.as_ref() == Some(entry)).then(|| "{}".into())
            }
            Row::Market(market) => self.markets.cell(market).as_ref().map(text_of),
            Row::MarketDay(market, transaction, day) => {
                self.days.get(&(market.clone(), *transaction, *day)).map(text_of)
            }
            // Made by the shard itself, which knows its epoch; and by who counted.
            Row::Shard(_) | Row::Counts(_) => return Wanted::Unchanged,
        };
        cell.map_or(Wanted::Absent, Wanted::Cell)
    }

    fn recommendation(&self, session: SessionId, statements: &Statements) -> Wanted {
        let Some(stated) = statements.get(session) else { return Wanted::Absent };
        let Some(preferences) = stated.preferences.as_deref() else { return Wanted::Absent };
        // A session that the engine does not have yet is emitted when it gets it.
        let Some(top) = self.engine.top_three(session) else { return Wanted::Unchanged };
        let wanted = SessionFacts::of(preferences);
        let best: Vec<present::Scored<'_>> = top
            .keys()
            .iter()
            .filter_map(|key| self.catalogue.get(&key.listing.0))
            .map(|fact| (fact, score::components(&wanted, &ListingFacts::of(fact, self.epoch))))
            .collect();
        let recommendation = present::recommendation(preferences, stated.version, &best);
        Wanted::Cell(present::items_cell(&recommendation).into())
    }
}

/// What was counted; from whom it is asked again (a node of the store came back), it is counted again.
fn counted(counting: &mut Counting, shard: u32, session: SessionId, statements: &Statements) -> Wanted {
    if statements.get(session).is_none_or(|stated| stated.preferences.is_none()) {
        return Wanted::Absent;
    }
    let Some(counts) = counting.take(shard, session) else {
        counting.want(shard, session);
        return Wanted::Unchanged;
    };
    Wanted::Cell(text_of(&counts))
}

/// Every row that the owner of a shard writes, its own row apart.
fn rows_of(
    shard: u32,
    statements: &Statements,
    catalogue: &Catalogue,
    markets: &Markets,
    days: &Days,
    partitions: u32,
) -> Vec<Row> {
    let mut rows = Vec::new();
    for (session, _) in statements.iter() {
        rows.extend([Row::Session(session), Row::Recommendation(session)]);
    }
    for (id, fact) in catalogue.of_partition(shard) {
        rows.push(Row::Listing(id.clone()));
        rows.extend(index_entry(fact).map(Row::ListingByMarket));
    }
    rows.extend(catalogue.gone_of_partition(shard).cloned().map(Row::Listing));
    let ours = |market: &schemas::id::Market| shard_of_market(market, partitions) == shard;
    rows.extend(markets.all().filter(|market| ours(market)).cloned().map(Row::Market));
    let days = days.keys().filter(|(market, _, _)| ours(market));
    rows.extend(days.map(|(market, transaction, day)| Row::MarketDay(market.clone(), *transaction, *day)));
    rows
}

/// A cell that was sent before is not sent again, unless it must be.
fn unless_sent(sight: &mut Sight, session: SessionId, forced: bool, wanted: Wanted) -> Wanted {
    match wanted {
        Wanted::Cell(cell) => {
            let mut hasher = rustc_hash::FxHasher::default();
            cell.hash(&mut hasher);
            let is_new = sight.sends(session, hasher.finish());
            if forced || is_new { Wanted::Cell(cell) } else { Wanted::Unchanged }
        }
        // What is erased is forgotten when its statement is read.
        Wanted::Absent => Wanted::Absent,
        Wanted::Unchanged => Wanted::Unchanged,
    }
}

/// An observation of a market's day as a record.
fn observation(day: &MarketDay, now: i64) -> Outgoing {
    let MarketDay { market, transaction, day: date, version, .. } = day;
    let id = format!("{market}|{}|{date}|{version}", transaction.as_str());
    Outgoing {
        topic: Topic::MarketDays,
        partition: None,
        key: Some(market_day_key(market, *transaction, *date)),
        value: Some(json_of(day)),
        headers: header::cloud_event("roost.market.observed.v1", "roost/scorer", id, now),
    }
}

/// The event of a row, for streams and webhooks.
fn announcement(due: &Due, now: i64) -> Option<Effect> {
    if !due.is_new || !is_announced(&due.write.row) {
        return None;
    }
    let Row::Recommendation(session) = due.write.row else { return None };
    let timestamp = due.write.timestamp;
    let hash = due.write.cell.as_deref().map_or_else(|| "erased".to_owned(), items_hash);
    // The cell is JSON text already; `RecommendationEvent` reads what is put together here.
    let value = due.write.cell.as_deref().map(|cell| {
        let raw = timestamp.raw();
        format!(r#"{{"session_id":"{session}","write_timestamp":{raw},"items_hash":"{hash}","recommendation":{cell}}}"#)
    });
    let id = format!("{}-{hash}", timestamp.raw());
    let record = Outgoing {
        topic: Topic::Recommendations,
        partition: None,
        key: Some(session_key(session)),
        value: value.map(String::into_bytes),
        headers: header::cloud_event("roost.recommendation.changed.v1", "roost/scorer", id, now),
    };
    Some(Effect::Append { record, then: Then::Announced(due.write.row.clone(), timestamp) })
}

/// The time up to which a shard has applied the logs and written what followed.
fn shard_caught_up(shard: &Shard, listings: i64, now: i64) -> Instant {
    let statements = if shard.read_until.1 { now } else { shard.read_until.0 };
    let at = if shard.has_settled() {
        let unwritten = shard.ledger.as_ref().and_then(Ledger::oldest_unwritten).unwrap_or(now);
        listings.min(statements).min(unwritten)
    } else {
        shard.predecessor_caught_up_ms.unwrap_or(0)
    };
    Instant::from_ms(at).unwrap_or_default()
}

fn cell_of(value: &impl serde::Serialize) -> Wanted {
    Wanted::Cell(text_of(value))
}

fn text_of(value: &impl serde::Serialize) -> Arc<str> {
    String::from_utf8(json_of(value)).unwrap_or_default().into()
}

fn json_of(value: &impl serde::Serialize) -> Vec<u8> {
    // Our own types: no map with keys that are not text, no failing serialiser.
    serde_json::to_vec(value).expect("our events are JSON")
}
