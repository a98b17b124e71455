//! One thread of the way in through the log: reads raw records, performs what `decide.rs` decides, commits what the log has
//! acknowledged. No branch here depends on what a record says.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, TryRecvError, bounded};
use rustc_hash::FxHashMap;
use schemas::reso::MAX_BATCH;
use schemas::topic::Topic;
use stream::tracker::{Refused, Ticket};
use stream::{
    AckSink, Delivered, DeliveryError, Event, Fatal, GroupStart, Log, LogError, OffsetTracker, Outgoing, Producer,
    Reader, Record,
};

use crate::config::Config;
use crate::decide::{Verdict, decide};
use crate::metrics::{self, Tally};
use crate::state::State;

/// How long to wait for a first record; bounds the delay of commits and of stopping.
const POLL: Duration = Duration::from_millis(50);
/// How long to let acknowledgements come in when there is no room for more.
const NO_ROOM_PAUSE: Duration = Duration::from_millis(2);
/// Effects per record of the window that are let under way: batches have many.
const EFFECTS_PER_RECORD: usize = 4;

type Ack = (u64, Result<Delivered, DeliveryError>);

/// Where the producer's thread leaves its acknowledgements. There is room for every effect that can be under way, so that
/// it never waits.
struct Acks(Sender<Ack>);

impl AckSink for Acks {
    fn acked(&self, token: u64, outcome: Result<Delivered, DeliveryError>) {
        // A worker that is gone needs no acknowledgement.
        let _ = self.0.send((token, outcome));
    }
}

/// Why a worker takes no more.
enum End {
    /// It was told to. What it has read and not begun is read again by whoever is next.
    Told,
    /// The process must end: this line says what to look at.
    Broken(String),
}

impl From<LogError> for End {
    fn from(error: LogError) -> Self {
        Self::Broken(format!("ingest: {error}"))
    }
}

/// One worker.
pub(crate) struct Worker {
    number: usize,
    reader: Box<dyn Reader>,
    producer: Box<dyn Producer>,
    acks: Receiver<Ack>,
    /// What was read and is not on the log.
    tracker: OffsetTracker,
    /// The record that each effect under way belongs to, by its token.
    tickets: FxHashMap<u64, Ticket>,
    next_token: u64,
    max_effects: usize,
    commit_every: Duration,
    committed_at: Instant,
    /// What was read and not worked on.
    events: VecDeque<Event>,
    tally: Tally,
    stop: Arc<Stop>,
    state: Arc<State>,
    fatal: Fatal,
}

/// Tells workers to stop.
#[derive(Default)]
pub(crate) struct Stop {
    is_told: AtomicBool,
    deadline: std::sync::OnceLock<Instant>,
}

impl Stop {
    /// To be done by `deadline`.
    pub(crate) fn tell(&self, deadline: Instant) {
        let _ = self.deadline.set(deadline);
        self.is_told.store(true, Ordering::Release);
    }

    fn is_told(&self) -> bool {
        self.is_told.load(Ordering::Acquire)
    }

    fn left(&self) -> Duration {
        self.deadline.get().map_or(Duration::ZERO, |deadline| deadline.saturating_duration_since(Instant::now()))
    }
}

impl Worker {
    /// Joins the group.
    pub(crate) fn join(
        number: usize,
        instance: &str,
        config: &Config,
        log: &Log,
        stop: Arc<Stop>,
        fatal: Fatal,
    ) -> Result<Self, LogError> {
        let max_records = config.window.max(1);
        let max_effects = max_records.saturating_mul(EFFECTS_PER_RECORD);
        // The last record let in may be a whole batch.
        let (sender, acks) = bounded(max_effects + MAX_BATCH);
        let producer = log.producer(Arc::new(Acks(sender)))?;
        let reader =
            log.join(&config.group, &format!("{instance}-{number}"), Topic::ListingsRaw, GroupStart::Committed)?;
        Ok(Self {
            number,
            reader,
            producer,
            acks,
            tracker: OffsetTracker::new(max_records),
            tickets: FxHashMap::default(),
            next_token: 0,
            max_effects,
            commit_every: config.commit_every,
            committed_at: Instant::now(),
            events: VecDeque::new(),
            tally: Tally::default(),
            stop,
            state: Arc::new(State::waiting("it has not joined its group")),
            fatal,
        })
    }

    /// What `/readyz` shows of it.
    pub(crate) fn state(&self) -> Arc<State> {
        self.state.clone()
    }

    /// Works until told to stop; how many raw records it left unfinished.
    pub(crate) fn run(mut self) -> usize {
        let ended = match self.work() {
            Err(End::Told) | Ok(()) => self.drain(),
            broken => broken,
        };
        if let Err(End::Broken(reason)) = ended {
            self.state.broken(&reason);
            (self.fatal)(reason);
        }
        self.tracker.records()
    }

    fn work(&mut self) -> Result<(), End> {
        let mut read = Vec::new();
        while !self.stop.is_told() {
            self.take_acks()?;
            self.commit_if_due()?;
            if self.has_room() {
                self.seen(|reader| reader.poll(POLL, &mut read))?;
                self.events.extend(read.drain(..));
            } else {
                self.wait_for_room()?;
            }
            let since = Instant::now();
            let has_work = !self.events.is_empty();
            while let Some(event) = self.events.pop_front() {
                self.perform(event)?;
            }
            if has_work {
                metrics::record_batch(since.elapsed());
                metrics::record_consumed(&mut self.tally);
            }
        }
        Ok(())
    }

    /// Reads; an absent log is waited for, since the reader goes on where it was.
    fn seen(&mut self, read: impl FnOnce(&mut dyn Reader) -> Result<(), LogError>) -> Result<(), End> {
        match read(&mut *self.reader) {
            Ok(()) => self.state.well(),
            Err(LogError::Unavailable(reason)) => self.state.waiting_for(&reason),
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    fn perform(&mut self, event: Event) -> Result<(), End> {
        match event {
            Event::Record(record) => self.pass_on(&record)?,
            Event::Assigned(assignments) => {
                assignments.iter().for_each(|assignment| self.tracker.assign(assignment.partition));
            }
            Event::Revoked(partitions) => partitions.iter().for_each(|partition| self.tracker.revoke(*partition)),
            Event::End { .. } => {}
        }
        Ok(())
    }

    fn pass_on(&mut self, record: &Record) -> Result<(), End> {
        while !self.has_room() {
            self.wait_for_room()?;
        }
        let ticket = match self.tracker.begin(record.partition, record.offset) {
            Ok(ticket) => ticket,
            // Whoever has the partition now reads it.
            Err(Refused::NotOurs) => return Ok(()),
            // Going on would commit past it.
            Err(Refused::Full) => return Err(End::Broken("ingest: a record has no room in its window".to_owned())),
        };
        for (index, outcome) in decide(record).into_iter().enumerate() {
            match outcome.verdict {
                Verdict::Canonical { timestamp_ms, left_out } => {
                    self.tally.canonical(&outcome.feed, timestamp_ms, left_out);
                }
                Verdict::Dead(code) => self.tally.refused(&outcome.feed, code),
            }
            match self.send(outcome.outgoing, ticket) {
                Err(LogError::QueueFull) => self.send_again(record, index, ticket)?,
                sent => sent?,
            }
        }
        self.tracker.decided(ticket);
        Ok(())
    }

    fn send(&mut self, outgoing: Outgoing, ticket: Ticket) -> Result<(), LogError> {
        self.producer.send(outgoing, self.next_token)?;
        self.tickets.insert(self.next_token, ticket);
        self.tracker.effect(ticket);
        self.next_token += 1;
        Ok(())
    }

    /// The producer's queue is full: sends outcome `index` of the record as soon as there is room. It is decided once more,
    /// which is rare, so that the usual way copies nothing.
    fn send_again(&mut self, record: &Record, index: usize, ticket: Ticket) -> Result<(), End> {
        let Some(outcome) = decide(record).into_iter().nth(index) else { return Ok(()) };
        loop {
            self.wait_for_room()?;
            match self.send(outcome.outgoing.clone(), ticket) {
                Err(LogError::QueueFull) => {}
                sent => return Ok(sent?),
            }
        }
    }

    /// Lets acknowledgements come in, and commits them. The group must see this member alive meanwhile; what it says is worked on in its turn.
    fn wait_for_room(&mut self) -> Result<(), End> {
        if self.stop.is_told() {
            return Err(End::Told);
        }
        if let Ok(ack) = self.acks.recv_timeout(NO_ROOM_PAUSE) {
            self.take(ack)?;
        }
        self.take_acks()?;
        self.commit_if_due()?;
        let mut control = Vec::new();
        self.seen(|reader| reader.poll_control(Duration::ZERO, &mut control))?;
        self.events.extend(control);
        Ok(())
    }

    fn has_room(&self) -> bool {
        !self.tracker.is_full() && self.tracker.effects() < self.max_effects
    }

    fn take_acks(&mut self) -> Result<(), End> {
        loop {
            match self.acks.try_recv() {
                Ok(ack) => self.take(ack)?,
                // The producer, which holds the other end, lives as long as this worker.
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => return Ok(()),
            }
        }
    }

    fn take(&mut self, (token, outcome): Ack) -> Result<(), End> {
        match outcome {
            Ok(_) => {
                if let Some(ticket) = self.tickets.remove(&token) {
                    self.tracker.acknowledge(ticket);
                }
                Ok(())
            }
            Err(error) => Err(End::Broken(format!("ingest: {error}"))),
        }
    }

    fn commit_if_due(&mut self) -> Result<(), End> {
        if self.committed_at.elapsed() >= self.commit_every {
            self.committed_at = Instant::now();
            metrics::record_in_flight(self.number, self.tracker.records());
            self.commit()?;
        }
        Ok(())
    }

    fn commit(&mut self) -> Result<(), End> {
        for (partition, next_offset) in self.tracker.take_ready() {
            match self.reader.commit(partition, next_offset) {
                Ok(()) => {}
                // The next commit of the partition covers it; without one it is read again.
                Err(LogError::Unavailable(reason)) => {
                    tracing::warn!(partition, next_offset, "offset {next_offset} is not committed yet: {reason}");
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Nothing new is taken; what is under way is acknowledged and committed while there is time.
    fn drain(&mut self) -> Result<(), End> {
        if let Err(error) = self.producer.flush(self.stop.left()) {
            tracing::warn!("results were not acknowledged before the stop and will be made again: {error}");
        }
        self.take_acks()?;
        self.commit()?;
        if let Err(error) = self.reader.commit_sync(self.stop.left()) {
            tracing::warn!("offsets were not committed before the stop; some records will be read again: {error}");
        }
        Ok(())
    }
}
