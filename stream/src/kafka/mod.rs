//! The log on Apache Kafka. The only place that touches rdkafka; knows topics, partitions and groups, nothing of what is
//! in a record.

mod closing;
mod context;
mod failure;
mod headers;
mod init;
mod lane;
mod offsets;
mod producer;
mod reader;
mod settings;
mod start;
mod topics;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::Sender;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use schemas::topic::Topic;

use self::context::LogOnly;
use self::producer::KafkaProducer;
use self::reader::KafkaReader;
use self::topics::Topics;
use self::watch::Watch;
use crate::clock;
use crate::config::KafkaConfig;
use crate::{AckSink, Backend, GroupStart, LogError, Producer, Reader, Start};

pub(crate) use self::init::init;

/// Bound of one look-up for a caller that waits.
const LOOK_UP: Duration = Duration::from_secs(5);

/// The log on Kafka.
pub struct KafkaLog {
    config: KafkaConfig,
    topics: Arc<Topics>,
    probe: Arc<BaseConsumer<LogOnly>>,
    watch: Arc<Watch>,
    /// Dropped with the log; then the watching ends.
    _watching: Sender<()>,
}

impl KafkaLog {
    /// Waits for the brokers, as long as the configuration says, and refuses topics of another partition count.
    pub fn connect(config: &KafkaConfig) -> Result<Self, LogError> {
        config.check()?;
        let topics = Arc::new(Topics::new(config));
        let probe = start::probe(config)?;
        let metadata = start::wait(config, &probe)?;
        topics.check(&metadata)?;
        let watch = Watch::new(&config.bootstrap_servers);
        let probe = Arc::new(probe);
        let _watching = watch.start(&probe, Arc::clone(&topics));
        Ok(Self { config: config.clone(), topics, probe, watch, _watching })
    }

    fn follow_with(&self, client: ClientConfig, starts: &[(Topic, u32, Start)]) -> Result<Box<dyn Reader>, LogError> {
        let mut wanted: Vec<Topic> = starts.iter().map(|(topic, _, _)| *topic).collect();
        wanted.sort_unstable();
        wanted.dedup();
        self.require(wanted)?;
        Ok(Box::new(KafkaReader::follow(client, Arc::clone(&self.topics), Arc::clone(&self.watch), starts)?))
    }

    /// That the topics are there, with the right partition count.
    fn require(&self, wanted: impl IntoIterator<Item = Topic>) -> Result<(), LogError> {
        for topic in wanted {
            let metadata = self
                .probe
                .fetch_metadata(Some(self.topics.name(topic)), LOOK_UP)
                .map_err(|error| offsets::unavailable("topics could not be looked up", &error))?;
            match self.topics.found(&metadata, topic) {
                None => return Err(self.topics.missing(topic)),
                Some(found) if found != self.topics.partitions(topic) => {
                    return Err(self.topics.other_partition_count(topic, found));
                }
                Some(_) => {}
            }
        }
        Ok(())
    }
}

impl Backend for KafkaLog {
    fn partitions(&self) -> u32 {
        self.config.partitions
    }

    fn producer(&self, acks: Arc<dyn AckSink>) -> Result<Box<dyn Producer>, LogError> {
        Ok(Box::new(KafkaProducer::new(&self.config, Arc::clone(&self.topics), acks)?))
    }

    fn follow(&self, starts: &[(Topic, u32, Start)]) -> Result<Box<dyn Reader>, LogError> {
        self.follow_with(settings::follower(&self.config)?, starts)
    }

    fn follow_gathered(&self, starts: &[(Topic, u32, Start)]) -> Result<Box<dyn Reader>, LogError> {
        self.follow_with(settings::gathering_follower(&self.config)?, starts)
    }

    fn join(&self, group: &str, instance: &str, topic: Topic, start: GroupStart) -> Result<Box<dyn Reader>, LogError> {
        self.require([topic])?;
        let (topics, watch) = (Arc::clone(&self.topics), Arc::clone(&self.watch));
        Ok(Box::new(KafkaReader::join(&self.config, topics, watch, (group, instance), topic, start)?))
    }

    fn range(&self, topic: Topic, partition: u32) -> Result<(u64, u64), LogError> {
        let ranges = offsets::ranges(&self.probe, &self.topics, &[(topic, partition)], LOOK_UP)?;
        ranges.first().copied().ok_or_else(|| LogError::Unavailable(format!("{topic}/{partition}: no offsets named")))
    }

    fn append_time_ms(&self, _topic: Topic, _partition: u32) -> i64 {
        // The brokers' clocks are kept together with ours by whoever runs both.
        clock::now_ms()
    }

    fn health(&self) -> Result<(), String> {
        self.watch.health()
    }
}
