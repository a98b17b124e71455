//! Faults on demand: a log and tables that stand before real ones and can be told to misbehave.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use schemas::id::{Country, ListingId, Market, SessionId};
use schemas::money::Money;
use schemas::topic::Topic;
use schemas::vocabulary::Transaction;
use store::{Answer, ByMarket, Cell, RecommendationRow, Row, StoreError, Table, Tables, Write};
use stream::{AckSink, Delivered, DeliveryError, Event, GroupStart, Log, LogError, Outgoing, Producer, Reader, Start};

/// How far a log's time is ahead.
const AHEAD_MS: i64 = 3_600_000;

/// What becomes of a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// What the log says.
    Honest,
    /// The thread that would append it panics.
    Panic,
    /// The log has it and says nothing.
    Silent,
    /// The log has it and says that it appended it after the deadline.
    Late,
    /// The log's own time is ahead of the clock.
    Ahead,
    /// The log has it and says that it failed.
    Failing,
    /// The log does not take it.
    Refused,
    /// The log hands out nothing, and says that it is away.
    Away,
}

/// A log that can be told to misbehave.
pub struct FaultyLog {
    pub inner: Log,
    pub delivery: Arc<Mutex<Delivery>>,
    /// Whether no end of a partition is ever told.
    pub endless: bool,
}

struct FaultyReader {
    inner: Box<dyn Reader>,
    delivery: Arc<Mutex<Delivery>>,
    endless: bool,
}

struct FaultyProducer(Box<dyn Producer>, Arc<Mutex<Delivery>>);
struct FaultyAcks(Arc<dyn AckSink>, Arc<Mutex<Delivery>>);

impl stream::Backend for FaultyLog {
    fn partitions(&self) -> u32 {
        self.inner.partitions()
    }
    fn producer(&self, acks: Arc<dyn AckSink>) -> Result<Box<dyn Producer>, LogError> {
        let acks = Arc::new(FaultyAcks(acks, Arc::clone(&self.delivery)));
        Ok(Box::new(FaultyProducer(self.inner.producer(acks)?, Arc::clone(&self.delivery))))
    }
    fn follow(&self, starts: &[(Topic, u32, Start)]) -> Result<Box<dyn Reader>, LogError> {
        let (inner, delivery) = (self.inner.follow(starts)?, Arc::clone(&self.delivery));
        Ok(Box::new(FaultyReader { inner, delivery, endless: self.endless }))
    }
    fn join(&self, group: &str, instance: &str, topic: Topic, start: GroupStart) -> Result<Box<dyn Reader>, LogError> {
        self.inner.join(group, instance, topic, start)
    }
    fn range(&self, topic: Topic, partition: u32) -> Result<(u64, u64), LogError> {
        self.inner.range(topic, partition)
    }
    fn append_time_ms(&self, topic: Topic, partition: u32) -> i64 {
        let ahead = *self.delivery.lock().unwrap() == Delivery::Ahead;
        self.inner.append_time_ms(topic, partition) + if ahead { AHEAD_MS } else { 0 }
    }
    fn health(&self) -> Result<(), String> {
        self.inner.health()
    }
}

impl Reader for FaultyReader {
    fn poll(&mut self, timeout: Duration, events: &mut Vec<Event>) -> Result<(), LogError> {
        if *self.delivery.lock().unwrap() == Delivery::Away {
            return Err(LogError::Unavailable("no broker at 127.0.0.1:9092".to_owned()));
        }
        let outcome = self.inner.poll(timeout, events);
        if self.endless {
            events.retain(|event| !matches!(event, Event::End { .. }));
        }
        outcome
    }
    fn poll_control(&mut self, timeout: Duration, events: &mut Vec<Event>) -> Result<(), LogError> {
        self.inner.poll_control(timeout, events)
    }
    fn commit(&mut self, partition: u32, next_offset: u64) -> Result<(), LogError> {
        self.inner.commit(partition, next_offset)
    }
    fn commit_sync(&mut self, timeout: Duration) -> Result<(), LogError> {
        self.inner.commit_sync(timeout)
    }
}

impl Producer for FaultyProducer {
    fn send(&self, record: Outgoing, token: u64) -> Result<(), LogError> {
        let delivery = *self.1.lock().unwrap();
        assert!(delivery != Delivery::Panic, "on purpose");
        if delivery == Delivery::Refused {
            return Err(LogError::Unavailable("no broker at 127.0.0.1:9092".to_owned()));
        }
        self.0.send(record, token)
    }
    fn flush(&self, timeout: Duration) -> Result<(), LogError> {
        self.0.flush(timeout)
    }
}

impl AckSink for FaultyAcks {
    fn acked(&self, token: u64, outcome: Result<Delivered, DeliveryError>) {
        let delivery = *self.1.lock().unwrap();
        let outcome = match delivery {
            Delivery::Silent => return,
            Delivery::Late | Delivery::Ahead => {
                outcome.map(|d| Delivered { append_time_ms: d.append_time_ms + AHEAD_MS, ..d })
            }
            Delivery::Failing => Err(DeliveryError { topic: "preferences", reason: "timed out".to_owned() }),
            Delivery::Honest | Delivery::Refused | Delivery::Panic | Delivery::Away => outcome,
        };
        self.0.acked(token, outcome);
    }
}

/// Tables that can be told to be away.
pub struct FaultyTables {
    pub inner: Tables,
    pub away: AtomicBool,
}

impl FaultyTables {
    fn or_away<'a, T: Send + 'a>(&self, answer: Answer<'a, T>) -> Answer<'a, T> {
        if self.away.load(Ordering::Relaxed) {
            return Box::pin(async { Err(StoreError::Unavailable("no node at 127.0.0.1:9042".to_owned())) });
        }
        answer
    }
}

impl store::Backend for FaultyTables {
    fn write(&self, write: Write) -> Answer<'_, ()> {
        self.or_away(self.inner.write(write))
    }
    fn recommendation(&self, session: SessionId) -> Answer<'_, Option<RecommendationRow>> {
        self.or_away(self.inner.recommendation(session))
    }
    fn read(&self, row: Row) -> Answer<'_, Option<Cell>> {
        self.or_away(self.inner.read(row))
    }
    fn by_market(
        &self,
        market: Market,
        transaction: Transaction,
        min: Money,
        max: Money,
        after: Option<(Money, ListingId)>,
        limit: u32,
    ) -> Answer<'_, Vec<ByMarket>> {
        self.or_away(self.inner.by_market(market, transaction, min, max, after, limit))
    }
    fn markets(&self, country: Country) -> Answer<'_, Vec<(Market, Cell)>> {
        self.or_away(self.inner.markets(country))
    }
    fn countries(&self) -> Answer<'_, Vec<Country>> {
        self.or_away(self.inner.countries())
    }
    fn market_days(
        &self,
        market: Market,
        transaction: Transaction,
        limit: u32,
    ) -> Answer<'_, Vec<(jiff::civil::Date, Cell)>> {
        self.or_away(self.inner.market_days(market, transaction, limit))
    }
    fn scan(&self, table: Table) -> Answer<'_, BTreeMap<Row, Cell>> {
        self.or_away(self.inner.scan(table))
    }
    fn recoveries(&self) -> u64 {
        self.inner.recoveries()
    }
    fn is_whole(&self) -> bool {
        self.inner.is_whole()
    }
    fn health(&self) -> Answer<'_, ()> {
        self.or_away(self.inner.health())
    }
}
