//! Kafka goes away and comes back, after the start: on librdkafka's own cluster of mocks, whose brokers can be taken down.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::{Duration, Instant};

use rdkafka::mocking::MockCluster;
use schemas::topic::Topic;
use stream::{
    AckSink, BackendKind, Delivered, DeliveryError, Event, KafkaConfig, Log, LogConfig, LogError, Reader, Start,
};

use crate::house::{PATIENCE, keyed, pause};

fn log(cluster: &MockCluster<'_, rdkafka::producer::DefaultProducerContext>) -> Log {
    for topic in Topic::ALL {
        cluster.create_topic(topic.name(), if topic == Topic::Models { 1 } else { 2 }, 1).unwrap();
    }
    let kafka = KafkaConfig {
        bootstrap_servers: cluster.bootstrap_servers(),
        partitions: 2,
        message_timeout: Duration::from_secs(2),
        ..KafkaConfig::default()
    };
    stream::open(&LogConfig { backend: BackendKind::Kafka, kafka, ..LogConfig::default() }).unwrap()
}

fn wait_for_health(log: &Log, is_well: bool) -> String {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let health = log.health();
        if health.is_ok() == is_well {
            return health.err().unwrap_or_default();
        }
        assert!(Instant::now() < deadline, "{health:?}");
        pause();
    }
}

struct Sink(SyncSender<Result<Delivered, DeliveryError>>);

impl AckSink for Sink {
    fn acked(&self, _token: u64, outcome: Result<Delivered, DeliveryError>) {
        let _ = self.0.try_send(outcome);
    }
}

#[test]
fn brokers_that_go_away_are_told_by_name_until_they_are_back() {
    let cluster = MockCluster::new(1).unwrap();
    let log = log(&cluster);
    assert_eq!(log.health(), Ok(()));
    cluster.broker_down(1).unwrap();
    let said = wait_for_health(&log, false);
    assert!(said.contains(&cluster.bootstrap_servers()), "{said}");
    cluster.broker_up(1).unwrap();
    wait_for_health(&log, true);
}

#[test]
fn a_reader_says_when_one_leader_is_away_and_tells_the_ends_again_when_it_is_back() {
    let cluster = MockCluster::new(3).unwrap();
    let log = log(&cluster);
    for partition in 0..2 {
        cluster.partition_leader(Topic::ListingsPriced.name(), partition, Some(2 + partition)).unwrap();
    }
    let starts = [0, 1].map(|partition| (Topic::ListingsPriced, partition, Start::Earliest));
    let mut reader = log.follow(&starts).unwrap();
    wait_for_ends(&mut *reader);
    cluster.broker_down(3).unwrap();
    let said = wait_for(|| reader.poll(Duration::from_millis(50), &mut Vec::new()).err());
    assert!(matches!(&said, LogError::Unavailable(reason) if reason.contains("listings.priced")), "{said}");
    let mut events = Vec::new();
    let again = reader.poll(Duration::ZERO, &mut events);
    assert!(matches!(again, Err(LogError::Unavailable(_))) && events.is_empty(), "{again:?}: {events:?}");
    cluster.broker_up(3).unwrap();
    wait_for_ends(&mut *reader);
}

fn wait_for<T>(mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}");
    }
}

/// Both partitions were read to their end.
fn wait_for_ends(reader: &mut dyn Reader) {
    let mut ended = BTreeSet::new();
    wait_for(|| {
        let mut events = Vec::new();
        let _ = reader.poll(Duration::from_millis(50), &mut events);
        ended.extend(events.into_iter().filter_map(|event| match event {
            Event::End { partition, .. } => Some(partition),
            Event::Record(_) | Event::Assigned(_) | Event::Revoked(_) => None,
        }));
        (ended.len() == 2).then_some(())
    });
}

#[test]
fn a_record_that_is_not_delivered_in_time_is_told_with_its_topic() {
    let cluster = MockCluster::new(1).unwrap();
    let log = log(&cluster);
    let (sender, outcomes) = sync_channel(10);
    let producer = log.producer(Arc::new(Sink(sender))).unwrap();
    producer.send(keyed(Topic::Listings, "k", "v"), 1).unwrap();
    outcomes.recv_timeout(PATIENCE).unwrap().unwrap();
    cluster.broker_down(1).unwrap();
    producer.send(keyed(Topic::Listings, "k", "v"), 2).unwrap();
    let error = outcomes.recv_timeout(PATIENCE).unwrap().unwrap_err();
    assert_eq!(error.topic, "listings");
}
