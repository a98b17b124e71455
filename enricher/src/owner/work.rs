//! What the owner does with what it has read: decides, has it valued, appends.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rustc_hash::FxHashSet;
use schemas::id::ListingId;
use schemas::listing::Listing;
use schemas::priced::PricedListing;
use schemas::sale::Sale;
use schemas::shadow::Shadow;
use schemas::vocabulary::StandardStatus;
use stream::{LogError, Outgoing, Record};

use super::{Broken, NO_ROOM, Owner, now_ms};
use crate::admission::{Admission, Appraisal, Decision, Draft};
use crate::desk::Desk;
use crate::held::Waiting;
use crate::metrics::{self, Outcome, Stage};
use crate::onnx::MOST_ROWS;
use crate::window::Statement;
use crate::wire;

/// Most statements valued together: beyond it a model gains nothing per row (measured flat from 256 on).
const BATCH: usize = MOST_ROWS;
/// Fewest rows worth a second thread: below, waking it costs more than it takes over.
const ROWS_PER_WORKER: usize = 32;
/// How often keys are looked for whose 400 days are over.
const FORGET_EVERY: Duration = Duration::from_secs(3_600);
/// Most keys forgotten at a time, so that a mass deletion a year ago does not hold up today's statements.
const MAX_FORGET: usize = 1_000;

/// What is valued and appended together: no two facts of one listing.
#[derive(Default)]
struct Round {
    listings: FxHashSet<ListingId>,
    drafts: Vec<Pending>,
    facts: Vec<(PricedListing, Cause)>,
    sales: Vec<Sold>,
}

/// A sale on its way through the appraiser.
struct Sold {
    sale: Sale,
    /// The statement that reports it.
    home: Listing,
    trace: Option<Vec<u8>>,
    token: u64,
}

/// A draft on its way through the appraiser.
struct Pending {
    draft: Draft,
    cause: Cause,
}

/// A draft that came back from the appraiser.
struct Settled {
    fact: PricedListing,
    cause: Cause,
    /// What champion and candidate say of it.
    shadow: Option<Shadow>,
}

/// What a fact is appended for.
enum Cause {
    /// With the trace of its record, and the token of the sale that it reports.
    Statement(Statement, Option<Vec<u8>>, Option<u64>),
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
        let mut round = Round::default();
        for record in batch {
            let Some(statement) = self.window.begin(record.partition, record.offset) else { continue };
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
            if round.listings.contains(&listing.listing_id) {
                // The next decision about a listing needs the fact of the one before.
                self.finish_round(std::mem::take(&mut round))?;
            }
            let Some(owned) = self.partitions.get(&record.partition) else { continue };
            let closed = (listing.standard_status == StandardStatus::Closed).then(|| listing.clone());
            let admission = owned.keeper.admit(listing);
            self.perform(admission, closed, statement, wire::trace(&record), &mut round);
        }
        metrics::record_stage(Stage::Decide, started.elapsed());
        self.finish_round(round)?;
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

    /// Puts into the round what is to be valued or appended. `closed` is the statement, if it is of a closing.
    fn perform(
        &mut self,
        admission: Admission,
        closed: Option<Listing>,
        statement: Statement,
        trace: Option<Vec<u8>>,
        round: &mut Round,
    ) {
        let sold = admission.sale.zip(closed).map(|(sale, home)| {
            metrics::record_sale(&sale);
            let token = self.window.effect_of(statement, None);
            self.sales.insert(token);
            round.sales.push(Sold { sale, home, trace: trace.clone(), token });
            token
        });
        let (outcome, fact) = match admission.decision {
            Decision::Appraise(draft) => {
                metrics::record_statement(Outcome::Merged);
                round.listings.insert(draft.listing().listing_id.clone());
                round.drafts.push(Pending { draft: *draft, cause: Cause::Statement(statement, trace, sold) });
                return;
            }
            Decision::Confirm(fact) => (Outcome::Unchanged, Some(fact)),
            Decision::Late(fact) => (Outcome::Superseded, fact),
            Decision::Duplicate => (Outcome::Duplicate, None),
        };
        metrics::record_statement(outcome);
        match fact {
            Some(fact) => {
                round.listings.insert(fact.listing.listing_id.clone());
                round.facts.push((*fact, Cause::Statement(statement, trace, sold)));
            }
            None => self.window.decided(statement),
        }
    }

    /// Has the round's sales and drafts valued, appends them; facts that report a sale when the sale is on the log.
    fn finish_round(&mut self, round: Round) -> Result<(), Broken> {
        let Round { drafts, facts, sales, .. } = round;
        for Sold { sale, trace, token, .. } in self.value_sales(sales)? {
            let record = wire::sale(&sale, self.event(), trace.as_deref());
            self.send(record, token)?;
        }
        let mut settled: Vec<_> =
            facts.into_iter().map(|(fact, cause)| Settled { fact, cause, shadow: None }).collect();
        settled.extend(self.value(drafts)?);
        let started = Instant::now();
        for Settled { fact, cause, shadow } in settled {
            let id = fact.listing.listing_id.clone();
            match cause {
                Cause::Statement(statement, trace, sold) => {
                    let token = self.window.effect_of(statement, Some(id));
                    self.append(statement.partition(), token, fact, (trace.as_deref(), sold))?;
                    if let Some(shadow) = shadow {
                        let token = self.window.effect_of(statement, None);
                        let record = wire::shadow(&shadow, self.event(), trace.as_deref());
                        self.send(record, token)?;
                    }
                    self.window.decided(statement);
                }
                Cause::Revaluation(partition) => {
                    let token = self.window.effect_on(partition, Some(id));
                    self.append(partition, token, fact, (None, None))?;
                    if let Some(shadow) = shadow {
                        let token = self.window.effect_on(partition, None);
                        let record = wire::shadow(&shadow, self.event(), None);
                        self.send(record, token)?;
                    }
                }
            }
        }
        metrics::record_stage(Stage::Append, started.elapsed());
        Ok(())
    }

    /// Has every model say what it thinks of homes that were sold, as far as it does not know their prices yet. Sales are
    /// few: one thread does.
    fn value_sales(&self, mut sales: Vec<Sold>) -> Result<Vec<Sold>, Broken> {
        if sales.is_empty() {
            return Ok(sales);
        }
        let (sender, receiver) = crossbeam_channel::bounded(1);
        let job = move |desk: &mut Desk<'_>| {
            let homes: Vec<_> = sales.iter().map(|sold| &sold.home).collect();
            let appraisals = desk.appraise_sold(&homes);
            for (sold, appraisal) in sales.iter_mut().zip(appraisals) {
                sold.sale.appraisals.extend(appraisal);
            }
            // An owner that is gone needs no answer.
            let _ = sender.send(sales);
        };
        self.appraiser.submit(job).map_err(Broken)?;
        receiver.recv().map_err(|_| Broken("enricher: a thread of the appraiser panicked".to_owned()))
    }

    /// Values drafts on the appraiser's threads.
    fn value(&self, drafts: Vec<Pending>) -> Result<Vec<Settled>, Broken> {
        let mut all = Vec::with_capacity(drafts.len());
        if drafts.is_empty() {
            return Ok(all);
        }
        let share = drafts.len().div_ceil(self.appraiser.workers()).max(ROWS_PER_WORKER);
        let shares = drafts.len().div_ceil(share);
        let (sender, receiver) = crossbeam_channel::bounded(shares);
        let mut rest = drafts;
        while !rest.is_empty() {
            let later = rest.split_off(share.min(rest.len()));
            let (mine, sender, reliability) = (rest, sender.clone(), Arc::clone(&self.reliability));
            rest = later;
            let job = move |desk: &mut Desk<'_>| {
                let listings: Vec<_> = mine.iter().map(|pending| pending.draft.listing()).collect();
                let appraisals = desk.appraise(&listings);
                let settle = |(pending, (appraisal, shadow)): (Pending, (Appraisal, _))| Settled {
                    fact: pending.draft.settle(appraisal, &reliability),
                    cause: pending.cause,
                    shadow,
                };
                let settled: Vec<_> = mine.into_iter().zip(appraisals).map(settle).collect();
                // An owner that is gone needs no answer.
                let _ = sender.send(settled);
            };
            self.appraiser.submit(job).map_err(Broken)?;
        }
        drop(sender);
        for _ in 0..shares {
            let settled =
                receiver.recv().map_err(|_| Broken("enricher: a thread of the appraiser panicked".to_owned()))?;
            all.extend(settled);
        }
        Ok(all)
    }

    /// Appends a fact. It is known from now on; while the sale that it reports is on its way it is held back, and so is
    /// what follows about the same listing.
    pub(super) fn append(
        &mut self,
        partition: u32,
        token: u64,
        fact: PricedListing,
        (trace, sold): (Option<&[u8]>, Option<u64>),
    ) -> Result<(), Broken> {
        let record = wire::fact(&fact, self.event(), trace);
        let id = fact.listing.listing_id.clone();
        if let Some(owned) = self.partitions.get_mut(&partition) {
            owned.keeper.append(fact);
        }
        let sold = sold.filter(|sale| self.sales.contains(sale));
        match self.held.admit(Waiting { partition, id, sold, record, token }) {
            Some(waiting) => self.send(waiting.record, waiting.token),
            None => Ok(()),
        }
    }

    /// Sends the facts whose sales have come to be on the log.
    pub(super) fn release(&mut self) -> Result<(), Broken> {
        if self.held.is_empty() {
            return Ok(());
        }
        for Waiting { record, token, .. } in self.held.take_free(|sale| self.sales.contains(&sale)) {
            self.send(record, token)?;
        }
        Ok(())
    }

    pub(super) fn send(&mut self, record: Outgoing, token: u64) -> Result<(), Broken> {
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
    pub(super) fn event(&mut self) -> String {
        self.sent += 1;
        format!("{}-{}", self.source, self.sent)
    }

    /// Values again what a champion before the present one valued last, in turns with the statements.
    pub(super) fn revalue(&mut self) -> Result<(), Broken> {
        let epoch = self.appraiser.epoch();
        if epoch != self.epoch {
            self.epoch = epoch;
            self.partitions.values_mut().for_each(|owned| owned.keeper.champion(epoch));
        }
        if self.window.effects() >= self.in_flight || self.appraiser.ready().is_err() {
            return Ok(());
        }
        let mut round = Round::default();
        for (partition, owned) in self.partitions.iter_mut().filter(|(_, owned)| owned.is_restored) {
            while round.drafts.len() < BATCH
                && let Some(draft) = owned.keeper.next_outdated()
            {
                round.drafts.push(Pending { draft, cause: Cause::Revaluation(*partition) });
            }
        }
        metrics::record_revalued(round.drafts.len());
        self.finish_round(round)
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
            let token = self.window.effect_on(partition, Some(id.clone()));
            let record = wire::tombstone(&id, self.event(), now);
            if let Some(owned) = self.partitions.get_mut(&partition) {
                owned.keeper.append_tombstone(&id);
            }
            self.send(record, token)?;
        }
        Ok(())
    }
}
