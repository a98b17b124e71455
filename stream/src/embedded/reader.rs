//! Reads partitions of the embedded log, from where it is told to, up to their heads and on.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use schemas::topic::Topic;

use super::Shared;
use crate::metrics::Consumed;
use crate::ready::Ready;
use crate::{Assignment, Event, GroupStart, LogError, Reader, Record, Start, resume};

/// Most events that one poll returns: bounds a service's batch.
const MAX_EVENTS: usize = 1_000;
/// Most records taken from one partition before the next one has its turn.
const MAX_PER_TURN: usize = 256;
/// Enough bytes for one turn: bounds the memory of a batch of large records.
const BYTES_PER_TURN: usize = 4 * 1024 * 1024;

/// A poll that fails takes so long, if it has the time.
const BETWEEN_FAILURES: Duration = Duration::from_millis(100);

pub(super) struct EmbeddedReader {
    shared: Arc<Shared>,
    ready: Arc<Ready>,
    lanes: Vec<Lane>,
    /// Handed out before any record.
    control: VecDeque<Event>,
    group: Option<(String, Topic)>,
    /// Records of one turn; kept to save its allocation.
    turn: Vec<Record>,
}

struct Lane {
    topic: Topic,
    partition: u32,
    next_offset: u64,
    /// Whether the end at `next_offset` has been told.
    end_told: bool,
    consumed: Consumed,
}

impl EmbeddedReader {
    pub(super) fn follow(shared: Arc<Shared>, starts: &[(Topic, u32, Start)]) -> Result<Self, LogError> {
        let mut reader = Self::new(shared);
        for &(topic, partition, start) in starts {
            let (low, high) = reader.shared.range(topic, partition)?;
            let at = match start {
                Start::Earliest => low,
                Start::Latest => high,
                Start::Offset(offset) => resume::at("a reader's position", topic, partition, offset, low, high),
            };
            reader.open_lane(topic, partition, at);
        }
        Ok(reader)
    }

    pub(super) fn join(shared: Arc<Shared>, group: &str, topic: Topic, start: GroupStart) -> Result<Self, LogError> {
        if !shared.groups.enter(group, topic) {
            return Err(LogError::Fatal(format!(
                "group {group} reads {topic} already: on the embedded log a group has one member"
            )));
        }
        let mut reader = Self::new(shared);
        // From here on dropping the reader leaves the group.
        reader.group = Some((group.to_owned(), topic));
        let mut assignments = Vec::new();
        for partition in 0..reader.shared.heads.partitions(topic) {
            let (low, high) = reader.shared.range(topic, partition)?;
            let committed = reader.shared.groups.committed(group, topic, partition);
            let resumed = committed.map(|offset| {
                resume::at(&format!("the committed offset of group {group}"), topic, partition, offset, low, high)
            });
            let at = match start {
                GroupStart::Committed => resumed.unwrap_or(low),
                GroupStart::Earliest => low,
            };
            reader.open_lane(topic, partition, at);
            assignments.push(Assignment { partition, committed });
        }
        reader.control.push_back(Event::Assigned(assignments));
        reader.ready.main();
        Ok(reader)
    }

    fn new(shared: Arc<Shared>) -> Self {
        let (lanes, control, turn) = (Vec::new(), VecDeque::new(), Vec::new());
        Self { shared, ready: Arc::new(Ready::default()), lanes, control, group: None, turn }
    }

    fn open_lane(&mut self, topic: Topic, partition: u32, next_offset: u64) {
        let lane = self.lanes.len();
        let consumed = Consumed::new(topic);
        self.lanes.push(Lane { topic, partition, next_offset, end_told: false, consumed });
        self.shared.heads.subscribe(topic, partition, &self.ready, lane);
        // What is there already, or that nothing is.
        self.ready.lane(lane);
    }

    fn take_control(&mut self, events: &mut Vec<Event>) {
        self.ready.main_seen();
        events.extend(self.control.drain(..));
    }

    fn take(&mut self, events: &mut Vec<Event>) -> Result<(), LogError> {
        let enough = events.len() + MAX_EVENTS;
        while events.len() < enough {
            let Some(index) = self.ready.next_lane() else { break };
            let most = MAX_PER_TURN.min(enough - events.len());
            match self.lanes[index].take(&self.shared, most, &mut self.turn, events) {
                Ok(false) => {}
                Ok(true) => self.ready.lane(index),
                Err(error) => {
                    // Asked for again by the next poll.
                    self.ready.lane(index);
                    return Err(error);
                }
            }
        }
        Ok(())
    }
}

impl Lane {
    /// Appends at most `most` records, and the end behind the last. `true`: there may be more.
    fn take(
        &mut self,
        shared: &Shared,
        most: usize,
        turn: &mut Vec<Record>,
        events: &mut Vec<Event>,
    ) -> Result<bool, LogError> {
        let (topic, partition) = (self.topic, self.partition);
        let (head, _) = shared.heads.get(topic, partition);
        if self.next_offset < head {
            turn.clear();
            shared.volume(topic).read(topic, partition, (self.next_offset, head), (most, BYTES_PER_TURN), turn)?;
            let bytes: usize = turn.iter().map(weight).sum();
            self.consumed.record(turn.len() as u64, bytes as u64);
            // The newest record of a partition is never removed, so a turn without records is the end.
            self.next_offset = turn.last().map_or(head, |record| record.offset + 1);
            self.end_told = false;
            events.extend(turn.drain(..).map(Event::Record));
            if self.next_offset < head {
                return Ok(true);
            }
        }
        if !self.end_told {
            self.end_told = true;
            events.push(Event::End { topic, partition, next_offset: self.next_offset });
        }
        Ok(false)
    }
}

fn weight(record: &Record) -> usize {
    record.key.as_ref().map_or(0, Vec::len) + record.value.as_ref().map_or(0, Vec::len)
}

impl Reader for EmbeddedReader {
    fn poll(&mut self, timeout: Duration, events: &mut Vec<Event>) -> Result<(), LogError> {
        let (before, deadline) = (events.len(), Instant::now() + timeout);
        loop {
            self.take_control(events);
            if let Err(error) = self.take(events) {
                // A disk that is being waited for must not make its readers spin.
                self.ready.wait_for_main(timeout.min(BETWEEN_FAILURES));
                return Err(error);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if events.len() > before || left.is_zero() {
                return Ok(());
            }
            self.ready.wait_for_any(left);
        }
    }

    fn poll_control(&mut self, timeout: Duration, events: &mut Vec<Event>) -> Result<(), LogError> {
        if self.control.is_empty() {
            self.ready.wait_for_main(timeout);
        }
        self.take_control(events);
        Ok(())
    }

    fn commit(&mut self, partition: u32, next_offset: u64) -> Result<(), LogError> {
        if let Some((group, topic)) = &self.group
            && partition < self.shared.heads.partitions(*topic)
        {
            self.shared.groups.commit(group, *topic, partition, next_offset);
        }
        Ok(())
    }

    fn commit_sync(&mut self, timeout: Duration) -> Result<(), LogError> {
        if self.group.is_none() || self.shared.groups.wait(timeout) {
            return Ok(());
        }
        let reason = self.shared.trouble().unwrap_or_else(|| "the disk is slow".to_owned());
        Err(LogError::Unavailable(format!("offsets were not committed within {timeout:?}: {reason}")))
    }
}

impl Drop for EmbeddedReader {
    fn drop(&mut self) {
        if let Some((group, topic)) = self.group.take() {
            self.shared.groups.leave(&group, topic);
        }
    }
}
