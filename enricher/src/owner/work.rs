//! What the owner does with what it has read: decides, has it valued, appends.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rustc_hash::FxHashSet;
use schemas::priced::PricedListing;
use stream::{LogError, Outgoing, Record};

use super::{Broken, NO_ROOM, Owner, now_ms};
use crate::admission::{Admission, Decision, Draft};
use crate::appraiser::Desk;
use crate::metrics::{self, Outcome, Stage};
use crate::window::Statement;
use crate::wire;

/// Most statements valued together: beyond it a model gains nothing per row (measured flat from 256 on).
const BATCH: usize = 256;
/// Fewest rows worth a second thread: below, waking it costs more than it takes over.
const ROWS_PER_WORKER: usize = 32;
/// How often keys are looked for whose 400 days are over.
const FORGET_EVERY: Duration = Duration::from_secs(3_600);
/// Most keys forgotten at a time, so that a mass deletion a year ago does not hold up today's statements.
const MAX_FORGET: usize = 1_000;

/// A draft on its way through the appraiser.
struct Pending {
    draft: Draft,
    cause: Cause,
}

/// What a fact is appended for.
enum Cause {
    /// With the trace of its record.
    Statement(Statement, Option<Vec<u8>>),
    /// On this partition.
    Revaluation(u32),
}

impl Owner {
    /// Decides about a batch of statements and appends what follows. `false`: none is waiting.
    pub(super) fn serve(&mut self) -> Result<bool, Broken> {
        let started = Instant::now();
        let batch = self.take_batch();
        if batch.is_empty() {
            return Ok(false);
        }
        metrics::record_batch(batch.len());
        let (mut round, mut in_round) = (Vec::new(), FxHashSet::default());
        for record in batch {
            let Some(statement) = self.window.begin(record.partition, record.offset) else { continue };
            let trace = wire::trace(&record);
            let listing = match wire::statement(&record, self.log.partitions()) {
                Ok(listing) => listing,
                Err(poison) => {
                    tracing::warn!(partition = record.partition, offset = record.offset, "{}: {poison}", record.topic);
                    metrics::record_dead_letter(poison.code);
                    let token = self.window.effect_of(statement, None);
                    self.send(wire::dead_letter(&record, &poison), token)?;
                    self.window.decided(statement);
                    continue;
                }
            };
            let id = listing.listing_id.clone();
            if in_round.contains(&id) {
                // The next decision about a listing needs the fact of the one before.
                self.value(std::mem::take(&mut round))?;
                in_round.clear();
            }
            let Some(owned) = self.partitions.get(&record.partition) else { continue };
            if let Some(draft) = self.perform(owned.keeper.admit(listing), statement, trace.as_deref())? {
                in_round.insert(id);
                round.push(Pending { draft: *draft, cause: Cause::Statement(statement, trace) });
            }
        }
        metrics::record_stage(Stage::Decide, started.elapsed());
        self.value(round)?;
        Ok(true)
    }

    fn take_batch(&mut self) -> Vec<Record> {
        let mut batch = Vec::new();
        for owned in self.partitions.values_mut().filter(|owned| owned.is_restored) {
            let room = BATCH - batch.len();
            batch.extend(owned.waiting.drain(..room.min(owned.waiting.len())));
        }
        batch
    }

    /// Appends what needs no valuation; hands back the draft of what does.
    fn perform(
        &mut self,
        admission: Admission,
        statement: Statement,
        trace: Option<&[u8]>,
    ) -> Result<Option<Box<Draft>>, Broken> {
        if let Some(sale) = &admission.sale {
            metrics::record_sale(sale);
            let token = self.window.effect_of(statement, None);
            let record = wire::sale(sale, self.event(), trace);
            self.send(record, token)?;
        }
        let (outcome, fact) = match admission.decision {
            Decision::Appraise(draft) => {
                metrics::record_statement(Outcome::Merged);
                return Ok(Some(draft));
            }
            Decision::Confirm(fact) => (Outcome::Unchanged, Some(fact)),
            Decision::Late(fact) => (Outcome::Superseded, fact),
            Decision::Duplicate => (Outcome::Duplicate, None),
        };
        metrics::record_statement(outcome);
        if let Some(fact) = fact {
            self.append_for(statement, *fact, trace)?;
        }
        self.window.decided(statement);
        Ok(None)
    }

    /// Values drafts on the appraiser's threads and appends their facts.
    fn value(&mut self, round: Vec<Pending>) -> Result<(), Broken> {
        if round.is_empty() {
            return Ok(());
        }
        let share = round.len().div_ceil(self.appraiser.workers()).max(ROWS_PER_WORKER);
        let shares = round.len().div_ceil(share);
        let (sender, receiver) = crossbeam_channel::bounded(shares);
        let mut rest = round;
        while !rest.is_empty() {
            let later = rest.split_off(share.min(rest.len()));
            let (mine, sender, reliability) = (rest, sender.clone(), Arc::clone(&self.reliability));
            rest = later;
            let job = move |desk: &mut Desk<'_>| {
                let settled = desk.appraise(mine.iter().map(|pending| pending.draft.listing())).map(|appraisals| {
                    let settle = |(pending, appraisal): (Pending, _)| {
                        (pending.draft.settle(appraisal, &reliability), pending.cause)
                    };
                    mine.into_iter().zip(appraisals).map(settle).collect::<Vec<_>>()
                });
                // An owner that is gone needs no answer.
                let _ = sender.send(settled);
            };
            self.appraiser.submit(job).map_err(Broken)?;
        }
        drop(sender);
        for _ in 0..shares {
            let settled =
                receiver.recv().map_err(|_| Broken("enricher: a thread of the appraiser panicked".to_owned()))?;
            let settled = settled.map_err(|error| Broken(format!("enricher: {error}")))?;
            let started = Instant::now();
            for (fact, cause) in settled {
                match cause {
                    Cause::Statement(statement, trace) => {
                        self.append_for(statement, fact, trace.as_deref())?;
                        self.window.decided(statement);
                    }
                    Cause::Revaluation(partition) => {
                        let token = self.window.effect_on(partition, fact.listing.listing_id.clone());
                        self.append(partition, token, fact, None)?;
                    }
                }
            }
            metrics::record_stage(Stage::Append, started.elapsed());
        }
        Ok(())
    }

    fn append_for(&mut self, statement: Statement, fact: PricedListing, trace: Option<&[u8]>) -> Result<(), Broken> {
        let token = self.window.effect_of(statement, Some(fact.listing.listing_id.clone()));
        self.append(statement.partition(), token, fact, trace)
    }

    pub(super) fn append(
        &mut self,
        partition: u32,
        token: u64,
        fact: PricedListing,
        trace: Option<&[u8]>,
    ) -> Result<(), Broken> {
        let record = wire::fact(&fact, self.event(), trace);
        if let Some(owned) = self.partitions.get_mut(&partition) {
            owned.keeper.append(fact);
        }
        self.send(record, token)
    }

    fn send(&mut self, record: Outgoing, token: u64) -> Result<(), Broken> {
        loop {
            match self.producer.send(record.clone(), token) {
                Ok(()) => return Ok(()),
                Err(LogError::QueueFull | LogError::Unavailable(_)) => {
                    let acks = self.acks.wait(NO_ROOM);
                    self.take_acks(acks)?;
                }
                Err(error @ LogError::Fatal(_)) => return Err(error.into()),
            }
        }
    }

    /// The id of the next event: unique within the enricher.
    fn event(&mut self) -> String {
        self.sent += 1;
        format!("{}-{}", self.source, self.sent)
    }

    /// When another champion has taken over: values what is offered again, in turns with the statements.
    pub(super) fn revalue(&mut self) -> Result<(), Broken> {
        let epoch = self.appraiser.epoch();
        if epoch != self.epoch {
            self.epoch = epoch;
            for owned in self.partitions.values_mut().filter(|owned| owned.is_restored) {
                owned.outdated = owned.keeper.outdated(epoch).into();
            }
        }
        if self.window.effects() >= self.in_flight || self.appraiser.ready().is_err() {
            return Ok(());
        }
        let mut round = Vec::new();
        for (partition, owned) in &mut self.partitions {
            while round.len() < BATCH
                && let Some(id) = owned.outdated.pop_front()
            {
                let draft = owned.keeper.revalue(&id, epoch);
                round.extend(draft.map(|draft| Pending { draft, cause: Cause::Revaluation(*partition) }));
            }
        }
        metrics::record_revalued(round.len());
        self.value(round)
    }

    /// Tombstones the keys of listings that were deleted long ago.
    pub(super) fn forget(&mut self) -> Result<(), Broken> {
        if self.forgot_at.elapsed() < FORGET_EVERY {
            return Ok(());
        }
        self.forgot_at = Instant::now();
        let now = now_ms();
        let served = self.partitions.iter().filter(|(_, owned)| owned.is_restored);
        let over: Vec<_> = served
            .flat_map(|(partition, owned)| owned.keeper.expired(now).into_iter().map(|id| (*partition, id)))
            .take(MAX_FORGET)
            .collect();
        metrics::record_forgotten(over.len());
        for (partition, id) in over {
            let token = self.window.effect_on(partition, id.clone());
            let record = wire::tombstone(&id, self.event(), now);
            if let Some(owned) = self.partitions.get_mut(&partition) {
                owned.keeper.append_tombstone(&id);
            }
            self.send(record, token)?;
        }
        Ok(())
    }
}
