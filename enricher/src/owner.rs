//! The enricher's thread: owns partitions, reads their statements, performs what `keeper.rs` and `admission.rs` decide.
//! I/O; no branch here depends on what a listing says.
//!
//! A partition is served only when `listings.priced` of the same number has been followed to its end, and is followed on
//! as long as it is owned. What was appended before a partition went away is dropped from memory at once: the next owner
//! reads it from the log.

mod work;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use rustc_hash::FxHashSet;
use schemas::topic::Topic;
use stream::{Event, GroupStart, Log, LogError, PauseWatch, Producer, Reader, Record, Start};

use crate::acks::{Ack, Acks};
use crate::appraiser::Appraiser;
use crate::config::Config;
use crate::deal::Reliability;
use crate::held::Held;
use crate::keeper::Keeper;
use crate::metrics;
use crate::sold::SoldLately;
use crate::state::State;
use crate::window::Window;
use crate::wire::{self, Followed};

/// The group whose members share the partitions of `listings`.
pub const GROUP: &str = "enricher";
/// How long to wait for a first statement; bounds the delay of commits and of stopping.
const POLL: Duration = Duration::from_millis(20);
/// How long to wait for the log when there is nothing to do before it moves.
const NO_ROOM: Duration = Duration::from_millis(5);
/// The same while a fact waits for its sale, so that its acknowledgement is noticed soon.
const SALE_POLL: Duration = Duration::from_millis(1);
/// How often gauges are set.
const GAUGE_EVERY: Duration = Duration::from_secs(1);

/// Why the thread ends before it is told to: the process must end.
#[derive(Debug)]
pub(crate) struct Broken(pub(crate) String);

impl From<LogError> for Broken {
    fn from(error: LogError) -> Self {
        Self(format!("enricher: {error}"))
    }
}

/// A partition that is ours.
#[derive(Default)]
struct Owned {
    keeper: Keeper,
    sold: SoldLately,
    /// Its facts have been followed to their end.
    is_restored: bool,
    /// Read and not decided. At most what one poll gives: nothing is polled while it waits.
    waiting: VecDeque<Record>,
}

/// The thread's state.
pub(crate) struct Owner {
    log: Log,
    appraiser: Appraiser,
    reliability: Arc<Reliability>,
    state: Arc<State>,
    group: Box<dyn Reader>,
    producer: Box<dyn Producer>,
    acks: Arc<Acks>,
    partitions: BTreeMap<u32, Owned>,
    /// Follows `listings.priced` and `sales` of the partitions that are ours; `None` when they changed.
    priced: Option<Box<dyn Reader>>,
    window: Window,
    /// Tokens of the sales that are on their way.
    sales: FxHashSet<u64>,
    /// Facts that wait for their sale to be on the log.
    held: Held,
    in_flight: usize,
    /// The champion's epoch, as far as it has been noticed.
    epoch: u64,
    events: Vec<Event>,
    pause: PauseWatch,
    source: String,
    sent: u64,
    forgot_at: Instant,
    gauged_at: Instant,
}

impl Owner {
    /// Joins the group.
    pub(crate) fn join(
        config: &Config,
        log: &Log,
        appraiser: Appraiser,
        reliability: Reliability,
        state: Arc<State>,
    ) -> Result<Self, LogError> {
        let acks = Arc::new(Acks::default());
        let now = Instant::now();
        Ok(Self {
            producer: log.producer(Arc::clone(&acks) as _)?,
            group: log.join(GROUP, &config.instance, Topic::Listings, GroupStart::Committed)?,
            log: Arc::clone(log),
            epoch: appraiser.epoch(),
            appraiser,
            reliability: Arc::new(reliability),
            state,
            acks,
            partitions: BTreeMap::new(),
            priced: None,
            window: Window::default(),
            sales: FxHashSet::default(),
            held: Held::default(),
            in_flight: config.in_flight,
            events: Vec::new(),
            pause: PauseWatch::new(config.longest_pause),
            source: format!("{}-{}", config.instance, now_ms()),
            sent: 0,
            forgot_at: now,
            gauged_at: now,
        })
    }

    /// Once round: reads what is there, decides, appends, commits what is acknowledged. Waits a little when there is
    /// nothing.
    pub(crate) fn turn(&mut self) -> Result<(), Broken> {
        self.pause.look().map_err(|gap| {
            let minutes = gap.as_secs() / 60;
            Broken(format!("enricher: this process was paused for {minutes} min, longer than enricher.longest_pause; it ends so that it appends nothing that is out of date: look at what stops it (suspend, a debugger, a starved machine)"))
        })?;
        self.take_acks(self.acks.take())?;
        self.release()?;
        self.read()?;
        self.follow()?;
        self.repair()?;
        self.release()?;
        while self.serve()? {}
        self.revalue()?;
        self.forget()?;
        self.commit()?;
        self.gauge();
        Ok(())
    }

    /// Takes nothing new; waits until `deadline` for what is in flight, and commits it. Returns how many statements are
    /// left.
    pub(crate) fn finish(&mut self, deadline: Instant) -> Result<usize, Broken> {
        let left = |deadline: Instant| deadline.saturating_duration_since(Instant::now());
        match self.producer.flush(left(deadline)) {
            Ok(()) | Err(LogError::Unavailable(_) | LogError::QueueFull) => {}
            Err(error @ LogError::Fatal(_)) => return Err(error.into()),
        }
        while self.window.effects() > 0 && Instant::now() < deadline {
            let acks = self.acks.wait(left(deadline).min(NO_ROOM));
            self.take_acks(acks)?;
            self.release()?;
        }
        self.commit()?;
        // What could not be committed is read again by the next owner.
        if let Err(error) = self.group.commit_sync(left(deadline)) {
            tracing::warn!("enricher: the last offsets were not committed: {error}");
        }
        let unread = self.partitions.values().map(|owned| owned.waiting.len()).sum::<usize>();
        Ok(self.window.statements() + unread)
    }

    fn take_acks(&mut self, acks: Vec<Ack>) -> Result<(), Broken> {
        for (token, outcome) in acks {
            let delivered = outcome.map_err(|error| Broken(format!("enricher: {error}")))?;
            self.sales.remove(&token);
            if let Some((partition, id)) = self.window.acknowledge(token)
                && let Some(owned) = self.partitions.get_mut(&partition)
            {
                owned.keeper.acknowledged(&id, delivered.offset);
            }
        }
        Ok(())
    }

    /// Reads statements, if there is room and all is known that they are decided by; serves the group in any case.
    fn read(&mut self) -> Result<(), Broken> {
        let restoring = self.partitions.values().filter(|owned| !owned.is_restored).count();
        let not_ready = self.appraiser.ready().err();
        let mut events = std::mem::take(&mut self.events);
        let polled = if restoring > 0 {
            // The facts are waited for, in `follow`.
            self.group.poll_control(Duration::ZERO, &mut events)
        } else if not_ready.is_some() {
            self.group.poll_control(POLL, &mut events)
        } else if self.window.effects() >= self.in_flight {
            self.group.poll_control(NO_ROOM, &mut events)
        } else {
            self.group.poll(if self.held.is_empty() { POLL } else { SALE_POLL }, &mut events)
        };
        match polled {
            Ok(()) => match (restoring, not_ready) {
                (0, None) => self.state.well(),
                (0, Some(reason)) => self.state.waits(&reason),
                (count, _) => self.state.waits(&format!("the facts of {count} partitions are being read")),
            },
            Err(LogError::Unavailable(reason)) => {
                self.state.waits(&format!("the log does not answer: {reason}"));
                let acks = self.acks.wait(NO_ROOM);
                self.take_acks(acks)?;
            }
            Err(LogError::QueueFull) => {}
            Err(error @ LogError::Fatal(_)) => return Err(error.into()),
        }
        for event in events.drain(..) {
            match event {
                Event::Record(record) => {
                    if let Some(owned) = self.partitions.get_mut(&record.partition) {
                        owned.waiting.push_back(record);
                    }
                }
                Event::Assigned(assignments) => {
                    for assignment in assignments {
                        self.let_go(assignment.partition);
                        self.window.assign(assignment.partition);
                        let owned = Owned { keeper: Keeper::of_epoch(self.epoch), ..Owned::default() };
                        self.partitions.insert(assignment.partition, owned);
                    }
                    self.priced = None;
                }
                Event::Revoked(partitions) => {
                    for partition in partitions {
                        self.let_go(partition);
                    }
                    self.priced = None;
                }
                Event::End { .. } => {}
            }
        }
        self.events = events;
        Ok(())
    }

    /// The partition is another's. What was sent for it is still acknowledged; what waits for its sale is not sent any more.
    fn let_go(&mut self, partition: u32) {
        self.window.revoke(partition);
        for token in self.held.forget(partition) {
            self.window.withdraw(token);
        }
        self.partitions.remove(&partition);
    }

    /// Follows the facts and sales of the partitions that are ours, no faster than their repair needs.
    fn follow(&mut self) -> Result<(), Broken> {
        if self.partitions.is_empty() {
            return Ok(());
        }
        if self.priced.is_none() {
            let starts = self.partitions.iter().flat_map(|(partition, owned)| {
                let after = |offset| if owned.is_restored { Start::Offset(offset) } else { Start::Earliest };
                [
                    (Topic::ListingsPriced, *partition, after(owned.keeper.next_offset())),
                    (Topic::Sales, *partition, after(owned.sold.next_offset())),
                ]
            });
            match self.log.follow_gathered(&starts.collect::<Vec<_>>()) {
                Ok(reader) => self.priced = Some(reader),
                Err(LogError::Unavailable(reason)) => {
                    self.state.waits(&format!("the log does not answer: {reason}"));
                    return Ok(());
                }
                Err(error) => return Err(error.into()),
            }
        }
        let Some(priced) = &mut self.priced else { return Ok(()) };
        let is_restoring = self.partitions.values().any(|owned| !owned.is_restored);
        let mut events = std::mem::take(&mut self.events);
        match priced.poll(if is_restoring { POLL } else { Duration::ZERO }, &mut events) {
            Ok(()) | Err(LogError::Unavailable(_) | LogError::QueueFull) => {}
            Err(error @ LogError::Fatal(_)) => return Err(error.into()),
        }
        // What is acknowledged need not be read again.
        self.take_acks(self.acks.take())?;
        for event in events.drain(..) {
            match event {
                Event::Record(record) if record.topic == Topic::Sales => self.take_sale(&record),
                Event::Record(record) => self.take_fact(&record),
                Event::End { topic, partition, next_offset } => self.at_end(topic, partition, next_offset),
                Event::Assigned(_) | Event::Revoked(_) => {}
            }
        }
        self.events = events;
        Ok(())
    }

    fn take_sale(&mut self, record: &Record) {
        if let Some(owned) = self.partitions.get_mut(&record.partition) {
            owned.sold.take(record.offset, record.append_time_ms, wire::sold(record));
        }
    }

    fn take_fact(&mut self, record: &Record) {
        let Some(owned) = self.partitions.get_mut(&record.partition) else { return };
        let (partition, offset) = (record.partition, record.offset);
        if wire::listing_id(record).is_ok_and(|id| owned.keeper.on_own(offset, record.append_time_ms, &id)) {
            return;
        }
        match wire::followed(record) {
            Followed::Fact(id, fact) => {
                owned.keeper.on_fact(offset, record.append_time_ms, &id, fact.map(|fact| *fact));
            }
            Followed::Unreadable(id, why) => {
                tracing::error!(partition, offset, listing_id = %id, "{}: a record of {id} is no fact: {why}; what is known of it will be appended again", record.topic);
                owned.keeper.on_unreadable(offset, &id);
            }
            Followed::Foreign(why) => {
                tracing::error!(partition, offset, "{}: a record is not of a listing: {why}; left alone", record.topic);
            }
        }
    }

    fn at_end(&mut self, topic: Topic, partition: u32, next_offset: u64) {
        let Some(owned) = self.partitions.get_mut(&partition) else { return };
        if topic == Topic::Sales {
            return owned.sold.end();
        }
        owned.keeper.on_end(next_offset);
        if !owned.is_restored {
            owned.is_restored = true;
            let listings = owned.keeper.len();
            tracing::info!(partition, listings, "partition {partition} is restored: {listings} listings");
        }
    }

    /// Appends what compaction would lose.
    fn repair(&mut self) -> Result<(), Broken> {
        let (mut facts, mut sales) = (Vec::new(), Vec::new());
        for (partition, owned) in self.partitions.iter_mut().filter(|(_, owned)| owned.is_restored) {
            facts.extend(owned.keeper.repairs().into_iter().map(|fact| (*partition, fact)));
            sales.extend(owned.sold.repairs().into_iter().map(|sale| (*partition, sale)));
        }
        metrics::record_repairs(facts.len() + sales.len());
        for (partition, sale) in sales {
            let token = self.window.effect_on(partition, None);
            let record = wire::sale(&sale, self.event(), None);
            self.send(record, token)?;
        }
        for (partition, fact) in facts {
            let token = self.window.effect_on(partition, Some(fact.listing.listing_id.clone()));
            self.append(partition, token, fact, (None, None))?;
        }
        Ok(())
    }

    fn commit(&mut self) -> Result<(), Broken> {
        for (partition, next_offset) in self.window.take_ready() {
            match self.group.commit(partition, next_offset) {
                // The next commit covers this one.
                Ok(()) | Err(LogError::Unavailable(_) | LogError::QueueFull) => {}
                Err(error @ LogError::Fatal(_)) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn gauge(&mut self) {
        if self.gauged_at.elapsed() < GAUGE_EVERY {
            return;
        }
        self.gauged_at = Instant::now();
        let listings = self.partitions.values().map(|owned| owned.keeper.len()).sum();
        let restoring = self.partitions.values().filter(|owned| !owned.is_restored).count();
        metrics::record_holdings(listings, restoring, self.partitions.len() - restoring, self.window.effects());
    }
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    // Milliseconds of the next 292 million years.
    since.as_millis() as i64
}
