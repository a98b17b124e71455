//! A feed that publishes at a steady rate: the synthetic market, and between its statements changes that are watched.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use stream::{AckSink, Delivered, DeliveryError, LogError, Outgoing, Producer};
use synthetic::World;

use crate::probes::{self, CHANGES, Journal, Stage, Watchers};

/// Changes a second (DESIGN §10).
pub const RATE: f64 = 2_000.0;
/// One of so many is watched: 100 a second.
const WATCHED: u64 = 20;
/// Between two looks at the clock: at that rate less than one record is late by it.
const PACE: Duration = Duration::from_micros(200);
/// Token of a record that nobody watches.
const UNWATCHED: u64 = u64::MAX;

/// Where records go; what is acknowledged is told to the journal by whoever implements it.
pub trait Sink {
    /// Hands a record on. `token` is the change, or a number that is none.
    fn send(&mut self, record: Outgoing, token: u64) -> Result<()>;
}

/// The real front door.
pub struct ToLog(pub Box<dyn Producer>);

impl Sink for ToLog {
    fn send(&mut self, record: Outgoing, token: u64) -> Result<()> {
        loop {
            match self.0.send(record.clone(), token) {
                Err(LogError::QueueFull) => std::thread::park_timeout(Duration::from_millis(1)),
                sent => return Ok(sent?),
            }
        }
    }
}

/// Tells the journal what the log has acknowledged.
pub struct Acknowledged(pub Arc<Journal>);

impl AckSink for Acknowledged {
    fn acked(&self, token: u64, outcome: Result<Delivered, DeliveryError>) {
        match outcome {
            // A token that is no change is ignored there.
            Ok(_) => self.0.reached(usize::try_from(token).unwrap_or(CHANGES), Stage::Appended),
            Err(error) => eprintln!("a record of the feed was lost: {error}"),
        }
    }
}

/// A feed.
pub struct Feed<S> {
    world: World,
    sink: S,
    journal: Arc<Journal>,
    next_change: usize,
}

impl<S: Sink> Feed<S> {
    /// Of a market with so many listings.
    pub fn new(listings: usize, sink: S, journal: &Arc<Journal>) -> Result<Self> {
        let config =
            synthetic::Config { listings, unchanged_share: 0.0, repeated_share: 0.0, ..synthetic::Config::default() };
        Ok(Self { world: World::new(config)?, sink, journal: Arc::clone(journal), next_change: 0 })
    }

    /// Publishes the opening stock and the watched listings, as fast as the log takes them.
    pub fn open(&mut self) -> Result<()> {
        while !self.world.is_open() {
            let event = self.world.next_event_at(now_ms());
            self.sink.send(raw_record(&event), UNWATCHED)?;
        }
        for _ in 0..probes::LISTINGS {
            self.change()?;
        }
        Ok(())
    }

    /// Publishes at the rate for a while; returns the first change that was made in it.
    pub fn run(&mut self, rate: f64, time: Duration, watchers: &mut Watchers) -> Result<usize> {
        let (begun, first) = (Instant::now(), self.next_change);
        for n in 0..(rate * time.as_secs_f64()) as u64 {
            let is_watched = n % WATCHED == 0 && self.next_change < CHANGES;
            // Made before its time, so that making it does not delay it.
            let event = (!is_watched).then(|| raw_record(&self.world.next_event_at(now_ms())));
            let due = Duration::from_secs_f64(n as f64 / rate);
            while begun.elapsed() < due {
                std::thread::park_timeout(PACE.min(due.saturating_sub(begun.elapsed())));
            }
            match event {
                Some(record) => self.sink.send(record, UNWATCHED)?,
                None => {
                    let change = self.change()?;
                    watchers.offer(change);
                }
            }
        }
        Ok(first)
    }

    /// Publishes so many as fast as the log takes them, and then a change of each watched listing; returns the first of these.
    pub fn flood(&mut self, count: usize) -> Result<usize> {
        for _ in 0..count {
            let event = self.world.next_event_at(now_ms());
            self.sink.send(raw_record(&event), UNWATCHED)?;
        }
        let first = self.next_change;
        for _ in 0..probes::LISTINGS {
            self.change()?;
        }
        Ok(first)
    }

    fn change(&mut self) -> Result<usize> {
        let change = self.next_change;
        self.next_change += 1;
        let record = probes::record(change, now_ms());
        self.journal.published(change);
        self.sink.send(record, change as u64)?;
        Ok(change)
    }
}

/// An event of the synthetic market as a feed publishes it.
pub fn raw_record(event: &synthetic::Event) -> Outgoing {
    Outgoing {
        topic: schemas::topic::Topic::ListingsRaw,
        partition: None,
        key: Some(event.listing_id().as_str().as_bytes().to_vec()),
        value: Some(event.json()),
        headers: vec![(schemas::header::FEED.to_owned(), event.feed().as_bytes().to_vec())],
    }
}

/// Milliseconds since 1970.
pub fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}
