//! Reads Kafka: the partitions that a group hands out, or those that the caller names. Every partition has a queue of
//! its own, so that the end of a partition is known by name, one busy partition does not hide another, and a reader
//! whose window is full can serve the group without taking records.
//!
//! Keeps no records back: what librdkafka handed out is in `events` when `poll` returns.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::TopicPartitionList;
use rdkafka::config::{ClientConfig, FromClientConfigAndContext};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::message::Message;
use rdkafka::topic_partition_list::Offset;
use schemas::topic::Topic;

use super::context::{ReaderContext, Rebalance};
use super::failure::{self, Failure};
use super::lane::Lane;
use super::topics::Topics;
use super::watch::{Tracked, Watch};
use super::{closing, offsets, settings, start};
use crate::config::KafkaConfig;
use crate::metrics;
use crate::ready::Ready;
use crate::resume;
use crate::{Assignment, Event, GroupStart, LogError, Reader, Start};

/// Most events that one poll returns: bounds a service's batch.
const MAX_EVENTS: usize = 1_000;
/// Most records taken from one partition before the next one has its turn.
const MAX_PER_TURN: usize = 256;
/// The main queue (group, log lines, errors) is served at least this often while waiting.
const SERVE_EVERY: Duration = Duration::from_secs(1);
/// Bound of one look-up of offsets. A poll that ends an assignment's look-ups without success says so, and the next one
/// repeats them.
const LOOK_UP: Duration = Duration::from_secs(3);
/// A member that is displaced joins again; displaced once more within this time, it shares its name with another process.
const JOINS_AGAIN_EVERY: Duration = Duration::from_mins(1);
/// Commits are gathered for this long: one request serves many small batches.
const COMMIT_EVERY: Duration = Duration::from_millis(200);

pub(super) struct KafkaReader {
    /// `None` only while it is dropped.
    consumer: Option<Arc<BaseConsumer<ReaderContext>>>,
    topics: Arc<Topics>,
    ready: Arc<Ready>,
    lanes: Vec<Lane>,
    /// Made by the group; handed out before any record of the next poll.
    control: VecDeque<Event>,
    group: Option<Group>,
    watch: Arc<Watch>,
    /// Why the brokers are out of sight, since the service was told.
    blind: Option<String>,
}

struct Group {
    id: String,
    /// Of its members, to join again.
    client: ClientConfig,
    joined_again_at: Option<Instant>,
    topic: Topic,
    start: GroupStart,
    /// An assignment whose offsets are still to be looked up.
    unserved: Option<Vec<u32>>,
    committed_at: Instant,
}

impl KafkaReader {
    pub(super) fn follow(
        client: ClientConfig,
        topics: Arc<Topics>,
        watch: Arc<Watch>,
        starts: &[(Topic, u32, Start)],
    ) -> Result<Self, LogError> {
        let mut reader = Self::new(client, topics, watch, None)?;
        let wanted: Vec<(Topic, u32)> = starts.iter().map(|(topic, partition, _)| (*topic, *partition)).collect();
        let ranges = offsets::ranges(reader.consumer(), &reader.topics, &wanted, LOOK_UP)?;
        for (&(topic, partition, start), (low, high)) in starts.iter().zip(ranges) {
            let at = match start {
                Start::Earliest => low,
                Start::Latest => high,
                Start::Offset(offset) => resume::at("a reader's position", topic, partition, offset, low, high),
            };
            reader.open_lane(topic, partition, at)?;
            reader.track(Tracked::new(None, topic, partition, at));
        }
        reader.assign()?;
        Ok(reader)
    }

    pub(super) fn join(
        config: &KafkaConfig,
        topics: Arc<Topics>,
        watch: Arc<Watch>,
        (group, instance): (&str, &str),
        topic: Topic,
        start: GroupStart,
    ) -> Result<Self, LogError> {
        let client = settings::member(config, group, instance)?;
        let id = settings::group_id(config, group);
        let committed_at = Instant::now();
        let group =
            Group { id, client: client.clone(), joined_again_at: None, topic, start, unserved: None, committed_at };
        let reader = Self::new(client, topics, watch, Some(group))?;
        reader.subscribe(topic)?;
        Ok(reader)
    }

    fn new(
        client: ClientConfig,
        topics: Arc<Topics>,
        watch: Arc<Watch>,
        group: Option<Group>,
    ) -> Result<Self, LogError> {
        let (consumer, ready) = open(&client)?;
        Ok(Self {
            consumer: Some(consumer),
            topics,
            ready,
            lanes: Vec::new(),
            control: VecDeque::new(),
            group,
            watch,
            blind: None,
        })
    }

    /// Has the partition watched for as long as it is ours.
    fn track(&mut self, tracked: Tracked) {
        if let Some(lane) = self.lanes.iter_mut().find(|lane| tracked.is_of(lane.topic, lane.partition)) {
            lane.tracked = Some(tracked.position());
        }
        self.watch.track(tracked);
    }

    /// librdkafka keeps silent about brokers that do not answer, and tells the end of a partition once. So a service is told
    /// when the brokers are out of sight, and of each end again when a broker has said once more that it is one.
    fn look_for_brokers(&mut self) -> Result<(), LogError> {
        match self.watch.sight() {
            Err(reason) if self.blind.replace(reason.clone()).is_none() => Err(LogError::Unavailable(reason)),
            Err(_) => Ok(()),
            Ok(()) => {
                if self.blind.take().is_some() {
                    self.ask_for_ends();
                }
                Ok(())
            }
        }
    }

    /// Reading anew from where it stands makes librdkafka tell the end of a partition again.
    fn ask_for_ends(&mut self) {
        for lane in self.lanes.iter_mut().filter(|lane| lane.ours && lane.at_end) {
            lane.at_end = false;
            let Some(consumer) = &self.consumer else { return };
            let at = Offset::Offset(lane.next_offset as i64);
            // Does not wait; fails only where nothing is read.
            if let Err(error) = consumer.seek(self.topics.name(lane.topic), lane.partition as i32, at, Duration::ZERO) {
                tracing::warn!(topic = %lane.topic, partition = lane.partition, "a partition's end is not asked for: {error}");
            }
        }
    }

    fn subscribe(&self, topic: Topic) -> Result<(), LogError> {
        let name = self.topics.name(topic);
        self.consumer()
            .subscribe(&[name])
            .map_err(|error| LogError::Fatal(format!("topic {name} cannot be subscribed to: {error}")))
    }

    fn consumer(&self) -> &Arc<BaseConsumer<ReaderContext>> {
        // Taken only by `drop`.
        self.consumer.as_ref().expect("a reader that is not dropped has its consumer")
    }

    /// Makes the partition ours from `at` on. Its queue is split anew each time, before the assignment that fills it.
    fn open_lane(&mut self, topic: Topic, partition: u32, at: u64) -> Result<(), LogError> {
        let index = self
            .lanes
            .iter()
            .position(|lane| lane.topic == topic && lane.partition == partition)
            .unwrap_or(self.lanes.len());
        if index == self.lanes.len() {
            self.lanes.push(Lane::new(topic, partition));
        }
        self.lanes[index].close();
        let mut queue = self
            .consumer()
            .split_partition_queue(self.topics.name(topic), partition as i32)
            .ok_or_else(|| LogError::Fatal(format!("{topic}/{partition}: librdkafka has no queue for it")))?;
        let waker = Arc::clone(&self.ready);
        queue.set_nonempty_callback(move || waker.lane(index));
        self.lanes[index].open(queue, at);
        // What is in the queue already has called nobody.
        self.ready.lane(index);
        Ok(())
    }

    fn assign(&self) -> Result<(), LogError> {
        let ours: Vec<&Lane> = self.lanes.iter().filter(|lane| lane.ours).collect();
        let mut list = TopicPartitionList::with_capacity(ours.len());
        let assigned = ours
            .iter()
            .try_for_each(|lane| {
                let offset = Offset::Offset(lane.next_offset as i64);
                list.add_partition_offset(self.topics.name(lane.topic), lane.partition as i32, offset)
            })
            .and_then(|()| self.consumer().assign(&list));
        assigned.map_err(|error| LogError::Fatal(format!("partitions could not be assigned: {error}")))
    }

    /// Serves the main queue: log lines, errors, commits, the group. Takes no records.
    fn serve(&mut self) -> Result<(), LogError> {
        self.ready.main_seen();
        loop {
            let handled = self.consumer().context().handled();
            match self.consumer().poll(Duration::ZERO) {
                Some(Ok(message)) => {
                    return Err(LogError::Fatal(format!(
                        "librdkafka handed out {}/{} at {} on the wrong queue",
                        message.topic(),
                        message.partition(),
                        message.offset()
                    )));
                }
                Some(Err(error)) => match failure::of(&error) {
                    Failure::Fatal(what) => return Err(LogError::Fatal(what)),
                    Failure::Displaced => self.join_again()?,
                    Failure::Passing | Failure::End => {}
                },
                // Nothing, or something that a callback took.
                None if self.consumer().context().handled() == handled => break,
                None => {}
            }
            self.take_rebalances()?;
        }
        self.take_rebalances()?;
        self.serve_assignment()?;
        self.send_commits(COMMIT_EVERY);
        Ok(())
    }

    fn take_rebalances(&mut self) -> Result<(), LogError> {
        while let Some(rebalance) = self.consumer().context().next_rebalance() {
            let Some(topic) = self.group.as_ref().map(|group| group.topic) else { continue };
            metrics::record_rebalance(topic);
            match rebalance {
                Rebalance::Assign(partitions) => {
                    if let Some(group) = &mut self.group {
                        group.unserved = Some(partitions);
                    }
                }
                Rebalance::Revoke => self.revoke()?,
            }
        }
        Ok(())
    }

    fn revoke(&mut self) -> Result<(), LogError> {
        // When they are lost, others may have them already and may have committed more.
        if !self.consumer().assignment_lost() {
            self.send_commits(Duration::ZERO);
        }
        self.let_go();
        self.consumer()
            .unassign()
            .map_err(|error| LogError::Fatal(format!("partitions could not be given back: {error}")))
    }

    /// No partition is ours any more.
    fn let_go(&mut self) {
        if let Some(group) = &mut self.group {
            group.unserved = None;
        }
        let mut revoked = Vec::new();
        for lane in self.lanes.iter_mut().filter(|lane| lane.ours) {
            lane.ours = false;
            lane.tracked = None;
            revoked.push(lane.partition);
        }
        if !revoked.is_empty() {
            self.control.push_back(Event::Revoked(revoked));
        }
    }

    /// The group has another member of our name. A broker that ended between a request to join and its answer makes a member
    /// displace itself when it asks again, and librdkafka's consumer is at its end then: a new one joins. Another process
    /// of this name displaces us again.
    fn join_again(&mut self) -> Result<(), LogError> {
        let Some(group) = &mut self.group else { return Ok(()) };
        if group.joined_again_at.is_some_and(|at| at.elapsed() < JOINS_AGAIN_EVERY) {
            return Err(LogError::Fatal(
                "another process joined the group under this instance name: give every process its own".to_owned(),
            ));
        }
        group.joined_again_at = Some(Instant::now());
        let (topic, client) = (group.topic, group.client.clone());
        tracing::warn!(%topic, "the group has another member of this name; joining again");
        self.let_go();
        let (consumer, ready) = open(&client)?;
        self.close();
        (self.consumer, self.ready) = (Some(consumer), ready);
        self.subscribe(topic)
    }

    fn close(&mut self) {
        // Queues first: each holds the consumer.
        self.lanes.clear();
        if let Some(consumer) = self.consumer.take() {
            consumer.context().close();
            closing::close_within(consumer);
        }
    }

    /// Looks the offsets up and starts reading. While the brokers do not answer the assignment stays unserved.
    fn serve_assignment(&mut self) -> Result<(), LogError> {
        let Some(group) = &self.group else { return Ok(()) };
        let Some(partitions) = group.unserved.clone() else { return Ok(()) };
        let (id, topic, start) = (group.id.clone(), group.topic, group.start);
        let wanted: Vec<(Topic, u32)> = partitions.iter().map(|partition| (topic, *partition)).collect();
        let committed = offsets::committed(self.consumer(), &self.topics, topic, &partitions, LOOK_UP)?;
        let ranges = offsets::ranges(self.consumer(), &self.topics, &wanted, LOOK_UP)?;
        let mut assignments = Vec::with_capacity(partitions.len());
        for ((&partition, committed), (low, high)) in partitions.iter().zip(committed).zip(ranges) {
            let resumed = committed.map(|offset| {
                resume::at(&format!("the committed offset of group {id}"), topic, partition, offset, low, high)
            });
            let at = match start {
                GroupStart::Committed => resumed.unwrap_or(low),
                GroupStart::Earliest => low,
            };
            self.open_lane(topic, partition, at)?;
            self.track(Tracked::new(Some(&id), topic, partition, resumed.unwrap_or(low)));
            assignments.push(Assignment { partition, committed });
        }
        self.assign()?;
        if let Some(group) = &mut self.group {
            group.unserved = None;
        }
        self.control.push_back(Event::Assigned(assignments));
        Ok(())
    }

    /// Sends what is to be committed, when the last time is at least `gathered` ago. Does not wait; a commit that fails
    /// is logged by librdkafka, and the next one covers it.
    fn send_commits(&mut self, gathered: Duration) {
        let (Some(group), Some(consumer)) = (&mut self.group, &self.consumer) else { return };
        if group.committed_at.elapsed() < gathered || !self.lanes.iter().any(|lane| lane.ours && lane.unsent) {
            return;
        }
        group.committed_at = Instant::now();
        let list = commits(&self.lanes, self.topics.name(group.topic), |lane| lane.unsent);
        match consumer.commit(&list, CommitMode::Async) {
            Ok(()) => self.lanes.iter_mut().for_each(|lane| lane.unsent = false),
            Err(error) => tracing::warn!(%error, "an offset commit could not be sent; the next one covers it"),
        }
    }

    /// Takes records from the partitions that have some, in turn.
    fn take(&mut self, events: &mut Vec<Event>) -> Result<(), LogError> {
        let enough = events.len() + MAX_EVENTS;
        while events.len() < enough {
            let Some(index) = self.ready.next_lane() else { break };
            let most = MAX_PER_TURN.min(enough - events.len());
            if self.lanes[index].take(most, events)? {
                self.ready.lane(index);
            }
        }
        Ok(())
    }
}

/// A consumer, and the marks that it sets.
fn open(client: &ClientConfig) -> Result<(Arc<BaseConsumer<ReaderContext>>, Arc<Ready>), LogError> {
    let mut consumer: BaseConsumer<ReaderContext> =
        BaseConsumer::from_config_and_context(client, ReaderContext::default())
            .map_err(|error| start::no_client(&error))?;
    let ready = Arc::new(Ready::default());
    let waker = Arc::clone(&ready);
    consumer.set_nonempty_callback(move || waker.main());
    Ok((Arc::new(consumer), ready))
}

fn commits(lanes: &[Lane], name: &str, which: impl Fn(&Lane) -> bool) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    for lane in lanes.iter().filter(|lane| lane.ours && which(lane)) {
        if let Some(offset) = lane.commit {
            // Fails only for a number that is no offset.
            let _ = list.add_partition_offset(name, lane.partition as i32, Offset::Offset(offset as i64));
        }
    }
    list
}

impl Reader for KafkaReader {
    fn poll(&mut self, timeout: Duration, events: &mut Vec<Event>) -> Result<(), LogError> {
        let (before, deadline) = (events.len(), Instant::now() + timeout);
        loop {
            self.serve()?;
            self.look_for_brokers()?;
            events.extend(self.control.drain(..));
            self.take(events)?;
            if events.len() > before {
                return Ok(());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return self.blind.clone().map_or(Ok(()), |reason| Err(LogError::Unavailable(reason)));
            }
            self.ready.wait_for_any(left.min(SERVE_EVERY));
        }
    }

    fn poll_control(&mut self, timeout: Duration, events: &mut Vec<Event>) -> Result<(), LogError> {
        let (before, deadline) = (events.len(), Instant::now() + timeout);
        loop {
            self.serve()?;
            events.extend(self.control.drain(..));
            let left = deadline.saturating_duration_since(Instant::now());
            if events.len() > before || left.is_zero() {
                return Ok(());
            }
            self.ready.wait_for_main(left.min(SERVE_EVERY));
        }
    }

    fn commit(&mut self, partition: u32, next_offset: u64) -> Result<(), LogError> {
        if self.group.is_some()
            && let Some(lane) = self.lanes.iter_mut().find(|lane| lane.partition == partition && lane.ours)
        {
            lane.commit(next_offset);
        }
        self.send_commits(COMMIT_EVERY);
        Ok(())
    }

    fn commit_sync(&mut self, timeout: Duration) -> Result<(), LogError> {
        // What the group decided meanwhile: nothing is committed for a partition that is gone.
        self.serve()?;
        let Some(group) = &self.group else { return Ok(()) };
        let list = commits(&self.lanes, self.topics.name(group.topic), |_| true);
        if list.count() == 0 {
            return Ok(());
        }
        self.lanes.iter_mut().for_each(|lane| lane.unsent = false);
        closing::commit_within(Arc::clone(self.consumer()), list, timeout)
    }
}

impl Drop for KafkaReader {
    fn drop(&mut self) {
        self.close();
    }
}
