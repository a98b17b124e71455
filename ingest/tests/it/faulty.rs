//! A log whose producer has faults that the real one has on bad days only.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use schemas::topic::Topic;
use stream::{
    AckSink, Backend, Delivered, DeliveryError, GroupStart, Log, LogError, Outgoing, Producer, Reader, Start,
};

/// What goes wrong.
#[derive(Clone, Copy)]
pub enum Fault {
    /// Every third attempt to send finds the queue full.
    QueueFull,
    /// No attempt to send finds room.
    AlwaysFull,
    /// One acknowledgement, counted from 0, is a failure.
    DeliveryFails(u64),
    /// No acknowledgement comes.
    NoAcks,
}

/// `log`, with a fault in every producer that is made of it from now on.
pub fn faulty(log: &Log, fault: Fault) -> Log {
    Arc::new(Faulty { log: log.clone(), fault })
}

struct Faulty {
    log: Log,
    fault: Fault,
}

struct FaultyProducer {
    producer: Box<dyn Producer>,
    fault: Fault,
    attempts: AtomicU64,
}

struct FaultyAcks {
    acks: Arc<dyn AckSink>,
    fault: Fault,
    count: AtomicU64,
}

impl AckSink for FaultyAcks {
    fn acked(&self, token: u64, outcome: Result<Delivered, DeliveryError>) {
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        match self.fault {
            Fault::NoAcks => {}
            Fault::DeliveryFails(failing) if failing == number => {
                let reason = "all brokers are asleep".to_owned();
                self.acks.acked(token, Err(DeliveryError { topic: Topic::Listings.name(), reason }));
            }
            Fault::DeliveryFails(_) | Fault::QueueFull | Fault::AlwaysFull => self.acks.acked(token, outcome),
        }
    }
}

impl Producer for FaultyProducer {
    fn send(&self, record: Outgoing, token: u64) -> Result<(), LogError> {
        let number = self.attempts.fetch_add(1, Ordering::Relaxed);
        if matches!(self.fault, Fault::AlwaysFull) || matches!(self.fault, Fault::QueueFull) && number % 3 == 2 {
            return Err(LogError::QueueFull);
        }
        self.producer.send(record, token)
    }
    fn flush(&self, timeout: Duration) -> Result<(), LogError> {
        self.producer.flush(timeout)
    }
}

impl Backend for Faulty {
    fn partitions(&self) -> u32 {
        self.log.partitions()
    }
    fn producer(&self, acks: Arc<dyn AckSink>) -> Result<Box<dyn Producer>, LogError> {
        let acks = Arc::new(FaultyAcks { acks, fault: self.fault, count: AtomicU64::new(0) });
        let producer = self.log.producer(acks)?;
        Ok(Box::new(FaultyProducer { producer, fault: self.fault, attempts: AtomicU64::new(0) }))
    }
    fn follow(&self, starts: &[(Topic, u32, Start)]) -> Result<Box<dyn Reader>, LogError> {
        self.log.follow(starts)
    }
    fn join(&self, group: &str, instance: &str, topic: Topic, start: GroupStart) -> Result<Box<dyn Reader>, LogError> {
        self.log.join(group, instance, topic, start)
    }
    fn range(&self, topic: Topic, partition: u32) -> Result<(u64, u64), LogError> {
        self.log.range(topic, partition)
    }
    fn append_time_ms(&self, topic: Topic, partition: u32) -> i64 {
        self.log.append_time_ms(topic, partition)
    }
    fn health(&self) -> Result<(), String> {
        self.log.health()
    }
}
