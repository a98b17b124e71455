//! Bare Kafka clients with the settings of `stream/src/kafka/settings.rs`, for the peers: nothing between them and the
//! broker but librdkafka.

use std::time::Duration;

use anyhow::{Context, Result};
use e2e::harness::Servers;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseRecord, ProducerContext, ThreadedProducer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

/// Partitions of every topic, as the installations of the benchmarks have them.
pub const PARTITIONS: i32 = 4;

fn client(servers: &Servers) -> ClientConfig {
    let mut client = ClientConfig::new();
    client.set("bootstrap.servers", &servers.kafka).set("socket.nagle.disable", "true");
    client
}

/// A producer whose acknowledgements go to `context`.
pub fn producer<C: ProducerContext + 'static>(servers: &Servers, context: C) -> Result<ThreadedProducer<C>> {
    let mut client = client(servers);
    client
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("linger.ms", "0")
        .set("compression.type", "lz4")
        .set("partitioner", "murmur2_random")
        .set("batch.size", "262144")
        .set("queue.buffering.max.messages", "200000")
        .set("queue.buffering.max.kbytes", "262144");
    Ok(ThreadedProducer::from_config_and_context(&client, context)?)
}

/// A consumer of all partitions of a topic.
pub fn consumer(servers: &Servers, topic: &str, from: Offset) -> Result<BaseConsumer> {
    let mut client = client(servers);
    client
        .set("group.id", "bench")
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("isolation.level", "read_committed")
        .set("check.crcs", "true")
        .set("fetch.min.bytes", "1")
        .set("fetch.wait.max.ms", "10")
        .set("fetch.queue.backoff.ms", "5")
        .set("queued.max.messages.kbytes", "4096")
        .set("queued.min.messages", "20000");
    let consumer: BaseConsumer = client.create()?;
    let mut partitions = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        partitions.add_partition_offset(topic, partition, from)?;
    }
    consumer.assign(&partitions)?;
    Ok(consumer)
}

/// Queues a record; waits while the queue is full.
pub fn send<C>(
    producer: &ThreadedProducer<C>,
    topic: &str,
    key: &[u8],
    value: &[u8],
    token: C::DeliveryOpaque,
) -> Result<()>
where
    C: ProducerContext + 'static,
{
    let mut record = BaseRecord::with_opaque_to(topic, token).key(key).payload(value);
    loop {
        match producer.send(record) {
            Ok(()) => return Ok(()),
            Err((error, back)) => {
                let code = error.rdkafka_error_code();
                anyhow::ensure!(code == Some(rdkafka::types::RDKafkaErrorCode::QueueFull), "{topic}: {error}");
                record = back;
                std::thread::park_timeout(Duration::from_millis(1));
            }
        }
    }
}

/// Makes topics.
pub fn create(servers: &Servers, runtime: &tokio::runtime::Runtime, topics: &[String]) -> Result<()> {
    let admin: AdminClient<DefaultClientContext> = client(servers).create()?;
    let wanted: Vec<NewTopic<'_>> =
        topics.iter().map(|name| NewTopic::new(name, PARTITIONS, TopicReplication::Fixed(1))).collect();
    for made in runtime.block_on(admin.create_topics(&wanted, &AdminOptions::new()))? {
        made.map_err(|(name, code)| anyhow::anyhow!("topic {name}: {code}")).context("topics cannot be made")?;
    }
    Ok(())
}
