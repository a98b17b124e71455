//! Enricher processes in the simulator: the shipped keeper, admission, window, sold and held, with an appraiser that says something
//! else each time it is asked, as models and comparables on two machines do.
//!
//! What `enricher/src/owner.rs` performs between them is done here step by step, so that anything may come in between.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use enricher::admission::{Appraisal, Decision, Draft};
use enricher::deal::Reliability;
use enricher::held::{Held, Waiting};
use enricher::keeper::Keeper;
use enricher::sold::SoldLately;
use enricher::window::{Statement, Window};
use enricher::wire::{self, Followed};
use schemas::listing::Listing;
use schemas::money::Money;
use schemas::priced::{NoValuation, PricedListing, UNCHANGED_PPM, Valuation};
use schemas::topic::Topic;
use schemas::version::ListingVersion;
use stream::Record;

use super::crew::{Crew, Group, Outside, Rest};
use super::lanes::Lanes;
use super::log::SimLog;
use super::random::Random;
use super::tally::{Happening, Tally};
use super::{Guard, Guards};

/// A partition that a process believes to own.
#[derive(Default)]
struct Owned {
    keeper: Keeper,
    is_restored: bool,
    at_end: bool,
    waiting: VecDeque<Record>,
    /// Next offset to read of `listings`, and of `listings.priced`.
    statements: u64,
    facts: u64,
    sold: SoldLately,
    sold_at_end: bool,
}

#[derive(Default)]
struct Process {
    rest: Rest,
    window: Window,
    owned: BTreeMap<u32, Owned>,
    sent: Lanes<u64>,
    acks: VecDeque<(u64, u64)>,
    /// Tokens of the sales that are on their way, and the facts that wait for them.
    sales: BTreeSet<u64>,
    held: Held,
    /// The champion's epoch, as far as it has noticed.
    epoch: u64,
    events: u64,
}

/// All enricher processes.
pub struct Enrichers {
    processes: Vec<Process>,
    group: Group,
    guards: Guards,
    reliability: Reliability,
    tally: Tally,
    /// The newest champion's epoch.
    pub epoch: u64,
}

impl Enrichers {
    /// `count` processes that share the partitions.
    pub fn new(count: usize, partitions: u32, guards: Guards) -> Self {
        let processes = (0..count).map(|_| Process::default()).collect();
        // No share is given, so none is wrong.
        let reliability = Reliability::of_shares(&BTreeMap::new()).expect("an empty table of shares is valid");
        let (group, tally) = (Group::new(partitions), Tally::default());
        let mut crew = Self { processes, group, guards, reliability, tally, epoch: 0 };
        (0..partitions).for_each(|partition| crew.hand_over(partition, partition as usize % count));
        crew
    }

    /// Another model becomes the champion; each process notices by itself.
    pub fn promote(&mut self) {
        self.tally.count(Happening::ModelEpoch);
        self.epoch += 1;
    }

    /// One process does one thing.
    pub fn step(&mut self, index: usize, outside: &mut Outside) {
        if !self.wake(index, outside.now) {
            return;
        }
        let most = 1 + outside.random.below(4) as usize;
        match outside.random.below(12) {
            0..=2 => self.deliver(index, outside, most),
            3 => self.acknowledge(index, most),
            4 => self.release(index, &outside.log),
            5 => self.read(index, &outside.log, most),
            6..=7 => self.follow(index, &outside.log, most),
            8..=9 => self.serve(index, outside, most),
            10 => {
                self.notice_epoch(index);
                self.revalue(index, outside, most);
            }
            _ => {
                self.forget(index, outside);
                self.commit(index);
            }
        }
    }

    /// One process does all there is to do.
    pub fn work_off(&mut self, index: usize, outside: &mut Outside) {
        const ALL: usize = usize::MAX;
        if !self.wake(index, outside.now) {
            return;
        }
        self.follow(index, &outside.log, ALL);
        self.read(index, &outside.log, ALL);
        self.serve(index, outside, ALL);
        self.notice_epoch(index);
        self.revalue(index, outside, ALL);
        self.forget(index, outside);
        // Sales first, then the facts that waited for them.
        for _ in 0..2 {
            self.deliver(index, outside, ALL);
            self.acknowledge(index, ALL);
            self.release(index, &outside.log);
        }
        self.follow(index, &outside.log, ALL);
        self.commit(index);
    }

    /// Nothing is left to read, to append or to commit. `Err` says what is.
    pub fn at_rest(&self, log: &SimLog, now: i64) -> Result<(), String> {
        for (partition, committed) in (0..).zip(&self.group.committed) {
            if *committed < log.next_offset(Topic::Listings, partition) {
                return Err(format!("the enrichers have not committed listings [{partition}] to its end"));
            }
        }
        for (index, process) in self.processes.iter().enumerate().filter(|(_, p)| p.rest.asleep_until <= now) {
            if !process.sent.is_empty() || !process.acks.is_empty() || !process.held.is_empty() {
                return Err(format!("enricher {index} has records under way"));
            }
            if process.window.effects() > 0 {
                let effects = process.window.effects();
                return Err(format!("enricher {index} waits for {effects} acknowledgements that will never come"));
            }
            for (partition, owned) in &process.owned {
                if log.read(Topic::ListingsPriced, *partition, owned.facts).is_some() || !owned.at_end {
                    return Err(format!("enricher {index} has not read listings.priced [{partition}]"));
                }
                if log.read(Topic::Sales, *partition, owned.sold.next_offset()).is_some() || !owned.sold_at_end {
                    return Err(format!("enricher {index} has not read sales [{partition}]"));
                }
                if !owned.keeper.is_up_to_date() {
                    return Err(format!("enricher {index} has listings of [{partition}] to value again"));
                }
            }
        }
        Ok(())
    }

    fn read(&mut self, index: usize, log: &SimLog, most: usize) {
        let Process { owned, .. } = &mut self.processes[index];
        if owned.values().any(|owned| !owned.is_restored) {
            return;
        }
        for (partition, owned) in owned {
            for _ in 0..most {
                let Some(record) = log.read(Topic::Listings, *partition, owned.statements) else { break };
                owned.statements = record.offset + 1;
                owned.waiting.push_back(record.clone());
            }
        }
    }

    fn follow(&mut self, index: usize, log: &SimLog, most: usize) {
        for partition in self.owned(index) {
            let Some(owned) = self.processes[index].owned.get_mut(&partition) else { continue };
            for _ in 0..most {
                let Some(record) = log.read(Topic::ListingsPriced, partition, owned.facts) else { break };
                owned.facts = record.offset + 1;
                owned.at_end = false;
                take_fact(&mut owned.keeper, record);
            }
            if log.read(Topic::ListingsPriced, partition, owned.facts).is_none() && !owned.at_end {
                owned.at_end = true;
                owned.is_restored = true;
                owned.facts = log.next_offset(Topic::ListingsPriced, partition);
                owned.keeper.on_end(owned.facts);
            }
            self.repair(index, partition, log);
        }
        self.follow_sales(index, log, most);
    }

    fn follow_sales(&mut self, index: usize, log: &SimLog, most: usize) {
        let Process { owned, window, sent, events, .. } = &mut self.processes[index];
        for (&partition, owned) in owned {
            for _ in 0..most {
                let Some(record) = log.read(Topic::Sales, partition, owned.sold.next_offset()) else { break };
                owned.sold_at_end = false;
                owned.sold.take(record.offset, record.append_time_ms, wire::sold(record));
            }
            if log.read(Topic::Sales, partition, owned.sold.next_offset()).is_none() && !owned.sold_at_end {
                owned.sold_at_end = true;
                owned.sold.end();
            }
            if !owned.is_restored || self.guards.off(Guard::SaleRepair) {
                continue;
            }
            for sale in owned.sold.repairs() {
                self.tally.count(Happening::SaleRepair);
                *events += 1;
                sent.send(log, wire::sale(&sale, events.to_string(), None), window.effect_on(partition, None));
            }
        }
    }

    fn repair(&mut self, index: usize, partition: u32, log: &SimLog) {
        let process = &mut self.processes[index];
        let Some(owned) = process.owned.get(&partition).filter(|owned| owned.is_restored) else { return };
        if self.guards.off(Guard::ListingRepair) {
            return;
        }
        for fact in owned.keeper.repairs() {
            self.tally.count(Happening::ListingRepair);
            let token = self.processes[index].window.effect_on(partition, Some(fact.listing.listing_id.clone()));
            self.append(index, partition, (token, None), fact, log);
        }
    }

    fn serve(&mut self, index: usize, outside: &mut Outside, most: usize) {
        for partition in self.owned(index) {
            for _ in 0..most {
                let process = &mut self.processes[index];
                let Some(owned) = process.owned.get_mut(&partition).filter(|owned| owned.is_restored) else { break };
                let Some(record) = owned.waiting.pop_front() else { break };
                let Some(statement) = process.window.begin(partition, record.offset) else { break };
                match wire::statement(&record, outside.log.partitions()) {
                    Ok(listing) => self.decide(index, statement, listing, &record, outside),
                    Err(poison) => {
                        let token = process.window.effect_of(statement, None);
                        process.sent.send(&outside.log, wire::dead_letter(&record, &poison), token);
                        process.window.decided(statement);
                    }
                }
            }
        }
    }

    fn decide(
        &mut self,
        index: usize,
        statement: Statement,
        mut listing: Listing,
        record: &Record,
        outside: &mut Outside,
    ) {
        if self.guards.off(Guard::VersionOrder) {
            let arrival = record.offset as i64;
            listing.version = ListingVersion { timestamp_ms: arrival, ..ListingVersion::default() };
        }
        let Some(owned) = self.processes[index].owned.get(&record.partition) else { return };
        let admission = owned.keeper.admit(listing);
        let fact = match admission.decision {
            Decision::Appraise(draft) => Some(self.settle(index, *draft, &mut outside.random)),
            Decision::Confirm(fact) => {
                self.tally.count(Happening::Confirmation);
                Some(*fact)
            }
            Decision::Late(fact) => {
                self.tally.count(Happening::LateStatement);
                fact.map(|fact| *fact)
            }
            Decision::Duplicate => {
                self.tally.count(Happening::DuplicateStatement);
                None
            }
        };
        let process = &mut self.processes[index];
        let sale = admission.sale.map(|sale| {
            process.events += 1;
            let token = process.window.effect_of(statement, None);
            process.sent.send(&outside.log, wire::sale(&sale, process.events.to_string(), None), token);
            token
        });
        let sold = sale.filter(|_| !self.guards.off(Guard::SaleFirst));
        self.processes[index].sales.extend(sold);
        if let Some(fact) = fact {
            let fact = self.weakened(fact);
            let token = self.processes[index].window.effect_of(statement, Some(fact.listing.listing_id.clone()));
            self.append(index, statement.partition(), (token, sold), fact, &outside.log);
        }
        self.processes[index].window.decided(statement);
    }

    /// A fact as it would be without the guards that are switched off.
    fn weakened(&self, mut fact: PricedListing) -> PricedListing {
        if self.guards.off(Guard::DeleteFloor) {
            fact.deleted_version = None;
        }
        if self.guards.off(Guard::HistoryUnion) {
            fact.history.drain(..fact.history.len().saturating_sub(1));
        }
        fact
    }

    fn append(
        &mut self,
        index: usize,
        partition: u32,
        (token, sold): (u64, Option<u64>),
        fact: PricedListing,
        log: &SimLog,
    ) {
        let process = &mut self.processes[index];
        process.events += 1;
        let record = wire::fact(&fact, process.events.to_string(), None);
        let id = fact.listing.listing_id.clone();
        if let Some(owned) = process.owned.get_mut(&partition) {
            owned.keeper.append(fact);
        }
        if let Some(free) = process.held.admit(Waiting { partition, id, sold, record, token }) {
            process.sent.send(log, free.record, free.token);
        }
    }

    /// Sends the facts whose sales have come to be on the log.
    fn release(&mut self, index: usize, log: &SimLog) {
        let Process { held, sales, sent, .. } = &mut self.processes[index];
        for Waiting { record, token, .. } in held.take_free(|sale| sales.contains(&sale)) {
            sent.send(log, record, token);
        }
    }

    fn settle(&self, index: usize, draft: Draft, random: &mut Random) -> PricedListing {
        let appraisal = appraisal(draft.listing(), self.processes[index].epoch, random);
        draft.settle(appraisal, &self.reliability)
    }

    fn notice_epoch(&mut self, index: usize) {
        let process = &mut self.processes[index];
        if process.epoch != self.epoch {
            process.epoch = self.epoch;
            if !self.guards.off(Guard::Revaluation) {
                process.owned.values_mut().for_each(|owned| owned.keeper.champion(self.epoch));
            }
        }
    }

    fn revalue(&mut self, index: usize, outside: &mut Outside, most: usize) {
        for partition in self.owned(index) {
            for _ in 0..most {
                let process = &mut self.processes[index];
                let Some(owned) = process.owned.get_mut(&partition).filter(|owned| owned.is_restored) else { break };
                let Some(draft) = owned.keeper.next_outdated() else { break };
                self.tally.count(Happening::Revaluation);
                let fact = self.settle(index, draft, &mut outside.random);
                let token = self.processes[index].window.effect_on(partition, Some(fact.listing.listing_id.clone()));
                self.append(index, partition, (token, None), fact, &outside.log);
            }
        }
    }

    fn forget(&mut self, index: usize, outside: &Outside) {
        let Process { owned, window, sent, events, .. } = &mut self.processes[index];
        for (partition, owned) in owned.iter_mut().filter(|(_, owned)| owned.is_restored) {
            for id in owned.keeper.expired(outside.now) {
                self.tally.count(Happening::ListingForgotten);
                *events += 1;
                let token = window.effect_on(*partition, Some(id.clone()));
                sent.send(&outside.log, wire::tombstone(&id, events.to_string(), outside.now), token);
                owned.keeper.append_tombstone(&id);
            }
        }
    }

    fn deliver(&mut self, index: usize, outside: &mut Outside, most: usize) {
        let Process { sent, acks, .. } = &mut self.processes[index];
        for _ in 0..most {
            let Some((delivered, token)) = sent.deliver(&mut outside.log, outside.now, &mut outside.random) else {
                break;
            };
            self.tally.add(Happening::ZombieAppend, u64::from(!self.group.owns(index, delivered.partition)));
            acks.push_back((token, delivered.offset));
        }
    }

    fn acknowledge(&mut self, index: usize, most: usize) {
        let Process { window, owned, acks, sales, .. } = &mut self.processes[index];
        for (token, offset) in acks.drain(..most.min(acks.len())) {
            sales.remove(&token);
            if let Some((partition, id)) = window.acknowledge(token)
                && let Some(owned) = owned.get_mut(&partition)
            {
                owned.keeper.acknowledged(&id, offset);
            }
        }
    }

    fn commit(&mut self, index: usize) {
        let Process { window, owned, .. } = &mut self.processes[index];
        let mut ready: Vec<_> = window.take_ready().collect();
        if self.guards.off(Guard::CommitAfterAck) {
            ready.extend(owned.iter().map(|(partition, owned)| (*partition, owned.statements)));
        }
        for (partition, next_offset) in ready {
            self.group.commit(index, partition, next_offset);
        }
    }
}

fn take_fact(keeper: &mut Keeper, record: &Record) {
    let (offset, appended_ms) = (record.offset, record.append_time_ms);
    if wire::listing_id(record).is_ok_and(|id| keeper.on_own(offset, appended_ms, &id)) {
        return;
    }
    match wire::followed(record) {
        Followed::Fact(id, fact) => {
            keeper.on_fact(offset, appended_ms, &id, fact.map(|fact| *fact));
        }
        Followed::Unreadable(id, _) => keeper.on_unreadable(offset, &id),
        Followed::Foreign(_) => {}
    }
}

/// What an appraiser says: of an offered listing something else each time.
fn appraisal(listing: &Listing, model_epoch: u64, random: &mut Random) -> Appraisal {
    let money = |units: u64| Money::from_units(units as i64).unwrap_or_default();
    let p50 = 100 + random.below(400);
    let valuation = if listing.standard_status.may_be_shown() {
        let (model, model_version) = ("sim".to_owned(), model_epoch.to_string());
        let (p10, p50, p90) = (money(p50 * 8 / 10), money(p50), money(p50 * 12 / 10));
        Ok(Valuation { p10, p50, p90, model, model_version, level_ppm: UNCHANGED_PPM, sales_read: Vec::new() })
    } else {
        Err(NoValuation::NotOffered)
    };
    Appraisal { commute: None, school_rating: None, level: None, valuation, model_epoch }
}

impl Crew for Enrichers {
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
        let process = &self.processes[index];
        !process.sent.is_empty() || !process.held.is_empty()
    }
    fn ends_after_long_pause(&self) -> bool {
        !self.guards.off(Guard::EndAfterLongPause)
    }

    fn assign(&mut self, partition: u32, to: usize) {
        let statements = self.group.committed[partition as usize];
        // Without the guard it works before it knows anything.
        let is_restored = self.guards.off(Guard::RestoreFirst);
        let process = &mut self.processes[to];
        process.window.assign(partition);
        let keeper =
            if self.guards.off(Guard::Revaluation) { Keeper::default() } else { Keeper::of_epoch(process.epoch) };
        process.owned.insert(partition, Owned { keeper, statements, is_restored, ..Owned::default() });
    }

    fn revoke(&mut self, partition: u32, from: usize) {
        let process = &mut self.processes[from];
        process.window.revoke(partition);
        process.owned.remove(&partition);
        for token in process.held.forget(partition) {
            process.window.withdraw(token);
        }
    }

    fn break_off(&mut self, index: usize, outside: &mut Outside) {
        self.processes[index].sent.break_off(&mut outside.log, outside.now, &mut outside.random);
    }

    fn restart(&mut self, index: usize) {
        // A new process reads `models` to its end before it starts.
        self.processes[index] = Process { epoch: self.epoch, ..Process::default() };
    }
}
