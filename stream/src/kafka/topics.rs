//! The names of this installation's topics on the cluster, and what the cluster says about them.

use rdkafka::metadata::Metadata;
use schemas::topic::{Partitions, Topic};

use super::settings;
use crate::LogError;
use crate::config::KafkaConfig;

pub(super) struct Topics {
    /// By `Topic as usize`.
    names: [String; Topic::ALL.len()],
    partitions: u32,
}

impl Topics {
    pub(super) fn new(config: &KafkaConfig) -> Self {
        Self { names: Topic::ALL.map(|topic| settings::topic_name(config, topic)), partitions: config.partitions }
    }

    pub(super) fn name(&self, topic: Topic) -> &str {
        &self.names[topic as usize]
    }

    pub(super) fn named(&self, name: &str) -> Option<Topic> {
        Topic::ALL.into_iter().find(|topic| self.name(*topic) == name)
    }

    pub(super) fn partitions(&self, topic: Topic) -> u32 {
        match topic.partitions() {
            Partitions::Keyed => self.partitions,
            Partitions::One => 1,
        }
    }

    /// How many partitions the cluster has for it; `None`: there is no such topic.
    pub(super) fn found(&self, metadata: &Metadata, topic: Topic) -> Option<u32> {
        let found = metadata.topics().iter().find(|found| found.name() == self.name(topic))?;
        (!found.partitions().is_empty()).then_some(found.partitions().len() as u32)
    }

    /// Refuses a cluster whose topics have another partition count than this installation.
    pub(super) fn check(&self, metadata: &Metadata) -> Result<(), LogError> {
        for topic in Topic::ALL {
            if let Some(found) = self.found(metadata, topic)
                && found != self.partitions(topic)
            {
                return Err(self.other_partition_count(topic, found));
            }
        }
        Ok(())
    }

    pub(super) fn other_partition_count(&self, topic: Topic, found: u32) -> LogError {
        let name = self.name(topic);
        match topic.partitions() {
            Partitions::Keyed => LogError::Fatal(format!(
                "topic {name} has {found} partitions, log.kafka.partitions is {}: the count is fixed for the life of an \
                 installation, because keys would change their partition; set log.kafka.partitions = {found}, or choose \
                 another log.kafka.topic_prefix and publish again",
                self.partitions(topic)
            )),
            Partitions::One => LogError::Fatal(format!(
                "topic {name} has {found} partitions and must have 1: delete it and run `roost init`, then set the \
                 aliases again"
            )),
        }
    }

    pub(super) fn missing(&self, topic: Topic) -> LogError {
        LogError::Fatal(format!("topic {} is not there: run `roost init`", self.name(topic)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_are_indexed_in_their_order() {
        let topics = Topics::new(&KafkaConfig { topic_prefix: "t.".to_owned(), ..KafkaConfig::default() });
        for topic in Topic::ALL {
            assert_eq!(topics.name(topic), format!("t.{topic}"));
            assert_eq!(topics.named(topics.name(topic)), Some(topic));
        }
    }
}
