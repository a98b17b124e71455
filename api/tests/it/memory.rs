//! A log in memory, for the time until the embedded one stands.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use schemas::topic::{Topic, partition_of};
use stream::{AckSink, Delivered, Event, GroupStart, LogError, Outgoing, Producer, Reader, Record, Start};

type Partitions = HashMap<(Topic, u32), Vec<Record>>;

#[derive(Default)]
struct Paper {
    records: Mutex<Partitions>,
    grown: Condvar,
}

#[derive(Default)]
pub struct Roll(Arc<Paper>);

struct Pen(Arc<Paper>, Arc<dyn AckSink>);
struct Eyes(Arc<Paper>, Vec<(Topic, u32, usize, bool)>);

impl stream::Backend for Roll {
    fn partitions(&self) -> u32 {
        4
    }
    fn producer(&self, acks: Arc<dyn AckSink>) -> Result<Box<dyn Producer>, LogError> {
        Ok(Box::new(Pen(Arc::clone(&self.0), acks)))
    }
    fn follow(&self, starts: &[(Topic, u32, Start)]) -> Result<Box<dyn Reader>, LogError> {
        let at = |start: &Start| match start {
            Start::Offset(offset) => *offset as usize,
            Start::Earliest | Start::Latest => 0,
        };
        Ok(Box::new(Eyes(Arc::clone(&self.0), starts.iter().map(|(t, p, s)| (*t, *p, at(s), false)).collect())))
    }
    fn join(&self, _: &str, _: &str, _: Topic, _: GroupStart) -> Result<Box<dyn Reader>, LogError> {
        Err(LogError::Fatal("no groups here".to_owned()))
    }
    fn range(&self, topic: Topic, partition: u32) -> Result<(u64, u64), LogError> {
        Ok((0, self.0.records.lock().unwrap().get(&(topic, partition)).map_or(0, |r| r.len() as u64)))
    }
    fn health(&self) -> Result<(), String> {
        Ok(())
    }
}

impl Producer for Pen {
    fn send(&self, record: Outgoing, token: u64) -> Result<(), LogError> {
        let partition = record.partition.unwrap_or_else(|| partition_of(record.key.as_deref().unwrap(), 4));
        let mut partitions = self.0.records.lock().unwrap();
        let records = partitions.entry((record.topic, partition)).or_default();
        let (offset, append_time_ms) = (records.len() as u64, jiff::Timestamp::now().as_millisecond());
        let Outgoing { topic, key, value, headers, .. } = record;
        records.push(Record { topic, partition, offset, append_time_ms, key, value, headers });
        drop(partitions);
        self.0.grown.notify_all();
        self.1.acked(token, Ok(Delivered { partition, offset, append_time_ms }));
        Ok(())
    }
    fn flush(&self, _: Duration) -> Result<(), LogError> {
        Ok(())
    }
}

impl Reader for Eyes {
    fn poll(&mut self, timeout: Duration, events: &mut Vec<Event>) -> Result<(), LogError> {
        let until = Instant::now() + timeout;
        let mut partitions = self.0.records.lock().unwrap();
        loop {
            for (topic, partition, next, ended) in &mut self.1 {
                let records = partitions.get(&(*topic, *partition)).map_or(&[][..], Vec::as_slice);
                if records.len() > *next || !*ended {
                    events.extend(records[*next..].iter().cloned().map(Event::Record));
                    (*next, *ended) = (records.len(), true);
                    events.push(Event::End { topic: *topic, partition: *partition, next_offset: *next as u64 });
                }
            }
            let left = until.saturating_duration_since(Instant::now());
            if !events.is_empty() || left.is_zero() {
                return Ok(());
            }
            partitions = self.0.grown.wait_timeout(partitions, left).unwrap().0;
        }
    }
    fn poll_control(&mut self, _: Duration, _: &mut Vec<Event>) -> Result<(), LogError> {
        Ok(())
    }
    fn commit(&mut self, _: u32, _: u64) -> Result<(), LogError> {
        Ok(())
    }
    fn commit_sync(&mut self, _: Duration) -> Result<(), LogError> {
        Ok(())
    }
}
