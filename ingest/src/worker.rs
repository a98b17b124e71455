//! One thread of the way in through the log: reads raw records, performs what `decide.rs` decides, commits what the log has
//! acknowledged. No branch here depends on what a record says.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, TryRecvError, bounded};
use schemas::reso::MAX_BATCH;
use schemas::topic::Topic;
use stream::{AckSink, Delivered, DeliveryError, Event, Fatal, GroupStart, Log, LogError, Producer, Reader, Record};

use crate::config::Config;
use crate::decide::{Verdict, decide};
use crate::metrics::{self, Tally};
use crate::state::State;
use crate::window::Window;

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

/// Why a worker ends before it is told to: the process must end.
struct Broken(String);

impl From<LogError> for Broken {
    fn from(error: LogError) -> Self {
        Self(format!("ingest: {error}"))
    }
}

/// One worker.
pub(crate) struct Worker {
    number: usize,
    reader: Box<dyn Reader>,
    producer: Box<dyn Producer>,
    acks: Receiver<Ack>,
    window: Window,
    max_records: usize,
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
            window: Window::default(),
            max_records,
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
        let _alarm = Alarm(self.fatal.clone());
        let worked = self.work().and_then(|()| self.drain());
        if let Err(Broken(reason)) = worked {
            self.state.broken(&reason);
            (self.fatal)(reason);
        }
        self.window.records()
    }

    fn work(&mut self) -> Result<(), Broken> {
        let mut read = Vec::new();
        while !self.stop.is_told() {
            self.take_acks()?;
            self.commit_if_due()?;
            if self.has_room() {
                self.seen(|reader| reader.poll(POLL, &mut read))?;
            } else {
                self.wait_for_acks()?;
                self.seen(|reader| reader.poll_control(Duration::ZERO, &mut read))?;
            }
            self.events.extend(read.drain(..));
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
    fn seen(&mut self, read: impl FnOnce(&mut dyn Reader) -> Result<(), LogError>) -> Result<(), Broken> {
        match read(&mut *self.reader) {
            Ok(()) => self.state.well(),
            Err(LogError::Unavailable(reason)) => self.state.waiting_for(&reason),
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    fn perform(&mut self, event: Event) -> Result<(), Broken> {
        match event {
            Event::Record(record) => self.pass_on(&record)?,
            Event::Assigned(assignments) => {
                assignments.iter().for_each(|assignment| self.window.assign(assignment.partition));
            }
            Event::Revoked(partitions) => partitions.iter().for_each(|partition| self.window.revoke(*partition)),
            Event::End { .. } => {}
        }
        Ok(())
    }

    fn pass_on(&mut self, record: &Record) -> Result<(), Broken> {
        let outcomes = decide(record);
        // A batch has at most a thousand.
        let effects = u32::try_from(outcomes.len()).unwrap_or(u32::MAX);
        let Some(token) = self.window.begin(record.partition, record.offset, effects) else { return Ok(()) };
        let mut sent = 0;
        for outcome in outcomes {
            match outcome.verdict {
                Verdict::Canonical { timestamp_ms, left_out } => {
                    self.tally.canonical(&outcome.feed, timestamp_ms, left_out);
                }
                Verdict::Dead(code) => self.tally.refused(&outcome.feed, code),
            }
            match self.producer.send(outcome.outgoing, token) {
                Ok(()) => sent += 1,
                Err(LogError::QueueFull) => return self.send_rest(record, token, sent),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// The producer's queue is full: sends the outcomes from `sent` on as there is room. They are decided once more, which
    /// is rare, so that the usual way copies nothing.
    fn send_rest(&mut self, record: &Record, token: u64, sent: usize) -> Result<(), Broken> {
        for outcome in decide(record).into_iter().skip(sent) {
            loop {
                match self.producer.send(outcome.outgoing.clone(), token) {
                    Ok(()) => break,
                    Err(LogError::QueueFull) => {
                        self.wait_for_acks()?;
                        // The group must see this member alive; what it says is worked on in its turn.
                        let mut control = Vec::new();
                        self.seen(|reader| reader.poll_control(Duration::ZERO, &mut control))?;
                        self.events.extend(control);
                    }
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(())
    }

    fn has_room(&self) -> bool {
        self.window.records() < self.max_records && self.window.effects() < self.max_effects
    }

    fn take_acks(&mut self) -> Result<(), Broken> {
        loop {
            match self.acks.try_recv() {
                Ok(ack) => self.take(ack)?,
                // The producer, which holds the other end, lives as long as this worker.
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => return Ok(()),
            }
        }
    }

    fn wait_for_acks(&mut self) -> Result<(), Broken> {
        match self.acks.recv_timeout(NO_ROOM_PAUSE) {
            Ok(ack) => self.take(ack)?,
            Err(_) => return Ok(()),
        }
        self.take_acks()
    }

    fn take(&mut self, (token, outcome): Ack) -> Result<(), Broken> {
        match outcome {
            Ok(_) => self.window.acknowledge(token),
            Err(error) => return Err(Broken(format!("ingest: {error}"))),
        }
        Ok(())
    }

    fn commit_if_due(&mut self) -> Result<(), Broken> {
        if self.committed_at.elapsed() >= self.commit_every {
            self.committed_at = Instant::now();
            metrics::record_in_flight(self.number, self.window.records());
            self.commit()?;
        }
        Ok(())
    }

    fn commit(&mut self) -> Result<(), Broken> {
        for (partition, next_offset) in self.window.take_ready() {
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
    fn drain(&mut self) -> Result<(), Broken> {
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

/// A worker that panics must not leave its partitions unread behind a process that looks well.
struct Alarm(Fatal);

impl Drop for Alarm {
    fn drop(&mut self) {
        if std::thread::panicking() {
            (self.0)("ingest: a worker has panicked; the panic is in the log above".to_owned());
        }
    }
}
