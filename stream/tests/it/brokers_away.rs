//! Kafka goes away and comes back, after the start: on librdkafka's own cluster of mocks, whose brokers can be taken down.

use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::{Duration, Instant};

use rdkafka::mocking::MockCluster;
use schemas::topic::Topic;
use stream::{AckSink, BackendKind, Delivered, DeliveryError, KafkaConfig, Log, LogConfig};

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
