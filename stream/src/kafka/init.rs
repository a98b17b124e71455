//! Makes the topics, and brings the policies of those that are there to what they should be. Never deletes a topic or
//! changes a partition count.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::executor::block_on;
use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, ConfigResource, ConfigSource, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::metadata::Metadata;
use schemas::topic::Topic;

use super::context::LogOnly;
use super::topics::Topics;
use super::{offsets, settings, start};
use crate::config::KafkaConfig;
use crate::init::Change;
use crate::{LogError, asking, policy};

/// The controller of a healthy cluster answers within a second or two.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// Idempotent: the second time it changes nothing.
pub(crate) fn init(config: &KafkaConfig) -> Result<Vec<Change>, LogError> {
    config.check()?;
    let topics = Topics::new(config);
    let probe = start::probe(config)?;
    let metadata = start::wait(config, &probe)?;
    topics.check(&metadata)?;
    let admin = AdminClient::from_config_and_context(&settings::base(config)?, LogOnly)
        .map_err(|error| start::no_client(&error))?;
    let (there, missing): (Vec<Topic>, Vec<Topic>) =
        Topic::ALL.into_iter().partition(|topic| topics.found(&metadata, *topic).is_some());
    let mut changes = create(config, &topics, &admin, &missing)?;
    wait_for_leaders(&topics, &probe)?;
    let (repaired, seen) = repair(config, &topics, &admin, &there, &metadata)?;
    changes.extend(seen);
    wait_for_settings(config, &topics, &admin, &repaired)?;
    Ok(changes)
}

fn wanted(config: &KafkaConfig, topic: Topic) -> BTreeMap<String, String> {
    let mut wanted = policy::of(topic, config.replication_factor);
    if let Some(own) = config.topic_settings.get(topic.name()) {
        wanted.extend(own.clone());
    }
    wanted
}

fn options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(ANSWER_WITHIN)).operation_timeout(Some(ANSWER_WITHIN))
}

fn create(
    config: &KafkaConfig,
    topics: &Topics,
    admin: &AdminClient<LogOnly>,
    missing: &[Topic],
) -> Result<Vec<Change>, LogError> {
    if missing.is_empty() {
        return Ok(Vec::new());
    }
    let policies: Vec<BTreeMap<String, String>> = missing.iter().map(|topic| wanted(config, *topic)).collect();
    let new: Vec<NewTopic<'_>> = missing
        .iter()
        .zip(&policies)
        .map(|(topic, policy)| {
            let replication = TopicReplication::Fixed(i32::from(config.replication_factor));
            let new = NewTopic::new(topics.name(*topic), topics.partitions(*topic) as i32, replication);
            policy.iter().fold(new, |new, (name, value)| new.set(name, value))
        })
        .collect();
    let results = block_on(admin.create_topics(&new, &options()))
        .map_err(|error| offsets::unavailable("topics could not be made", &error))?;
    let mut changes = Vec::new();
    for result in results {
        match result {
            Ok(name) => changes.push(Change::Created(format!("topic {name}"))),
            // Another `roost init` was quicker.
            Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((name, RDKafkaErrorCode::InvalidReplicationFactor)) => {
                return Err(LogError::Fatal(format!(
                    "topic {name}: the cluster has fewer brokers than log.kafka.replication_factor = {}: start more, or set \
                     it to 1 where losing a disk may lose data",
                    config.replication_factor
                )));
            }
            Err((name, code)) => return Err(LogError::Fatal(format!("topic {name} could not be made: {code}"))),
        }
    }
    Ok(changes)
}

/// A topic that was just made has no leaders yet, and readers would take it for missing.
fn wait_for_leaders(topics: &Topics, probe: &BaseConsumer<LogOnly>) -> Result<(), LogError> {
    let leaderless = |metadata: &Metadata| Topic::ALL.into_iter().find(|topic| !has_leaders(metadata, topics, *topic));
    let metadata = asking::until(
        ANSWER_WITHIN,
        || probe.fetch_metadata(None, ANSWER_WITHIN),
        |answer| answer.as_ref().map_or(true, |metadata| leaderless(metadata).is_none()),
    )
    .map_err(|error| offsets::unavailable("topics could not be looked up", &error))?;
    match leaderless(&metadata) {
        None => topics.check(&metadata),
        Some(topic) => Err(LogError::Unavailable(format!("topic {} has no leader", topics.name(topic)))),
    }
}

fn has_leaders(metadata: &Metadata, topics: &Topics, topic: Topic) -> bool {
    metadata.topics().iter().find(|found| found.name() == topics.name(topic)).is_some_and(|found| {
        found.partitions().len() == topics.partitions(topic) as usize
            && found.partitions().iter().all(|partition| partition.leader() >= 0 && partition.error().is_none())
    })
}

/// Compares each setting that roost cares for, and writes a topic's own settings when one differs. rdkafka offers only
/// the request that replaces all of a topic's own settings, so those that others made are sent along. Returns the topics
/// that were written, and what is to be told.
fn repair(
    config: &KafkaConfig,
    topics: &Topics,
    admin: &AdminClient<LogOnly>,
    there: &[Topic],
    metadata: &Metadata,
) -> Result<(Vec<Topic>, Vec<Change>), LogError> {
    let (mut written, mut changes) = (Vec::new(), Vec::new());
    for (topic, resource) in there.iter().zip(settings_of(topics, admin, there)?) {
        let name = topics.name(*topic);
        let wanted = wanted(config, *topic);
        let differences = differences(&wanted, &resource);
        if !differences.is_empty() {
            let told = format!("topic {name}: {}", differences.join(", "));
            changes.push(match write(admin, name, &wanted, &resource) {
                Ok(()) => {
                    written.push(*topic);
                    Change::Repaired(told)
                }
                Err(reason) => Change::NotRepaired(format!("{told}: {reason}")),
            });
        }
        if let Some(found) = replicas(metadata, name)
            && found != usize::from(config.replication_factor)
        {
            changes.push(Change::NotRepaired(format!(
                "topic {name}: it has {found} replicas, log.kafka.replication_factor is {}: move them with \
                 kafka-reassign-partitions",
                config.replication_factor
            )));
        }
    }
    Ok((written, changes))
}

/// In the order of `wanted`.
fn settings_of(
    topics: &Topics,
    admin: &AdminClient<LogOnly>,
    wanted: &[Topic],
) -> Result<Vec<ConfigResource>, LogError> {
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let resources: Vec<ResourceSpecifier<'_>> =
        wanted.iter().map(|topic| ResourceSpecifier::Topic(topics.name(*topic))).collect();
    let described = block_on(admin.describe_configs(&resources, &options()))
        .map_err(|error| offsets::unavailable("topics' settings could not be looked up", &error))?;
    wanted
        .iter()
        .zip(described)
        .map(|(topic, described)| {
            described.map_err(|code| {
                LogError::Fatal(format!("topic {}: its settings could not be looked up: {code}", topics.name(*topic)))
            })
        })
        .collect()
}

/// Brokers learn of new settings a moment after the controller took them.
fn wait_for_settings(
    config: &KafkaConfig,
    topics: &Topics,
    admin: &AdminClient<LogOnly>,
    written: &[Topic],
) -> Result<(), LogError> {
    let late = || -> Result<Option<Topic>, LogError> {
        let found = settings_of(topics, admin, written)?;
        let mut pairs = written.iter().zip(&found);
        Ok(pairs
            .find(|(topic, found)| !differences(&wanted(config, **topic), found).is_empty())
            .map(|(topic, _)| *topic))
    };
    match asking::until(ANSWER_WITHIN, late, |answer| !matches!(answer, Ok(Some(_))))? {
        None => Ok(()),
        Some(topic) => {
            Err(LogError::Unavailable(format!("topic {}: the brokers do not apply its settings", topics.name(topic))))
        }
    }
}

fn differences(wanted: &BTreeMap<String, String>, resource: &ConfigResource) -> Vec<String> {
    let found = resource.entry_map();
    wanted
        .iter()
        .filter_map(|(name, value)| {
            let is = found.get(name.as_str()).and_then(|entry| entry.value.as_deref()).unwrap_or("unset");
            (is != value).then(|| format!("{name} was {is}, is {value}"))
        })
        .collect()
}

fn write(
    admin: &AdminClient<LogOnly>,
    name: &str,
    wanted: &BTreeMap<String, String>,
    resource: &ConfigResource,
) -> Result<(), String> {
    let mut alter = AlterConfig::new(ResourceSpecifier::Topic(name));
    let others = resource.entries.iter().filter(|entry| entry.source == ConfigSource::DynamicTopic);
    for entry in others {
        if let (false, Some(value)) = (wanted.contains_key(&entry.name), entry.value.as_deref()) {
            alter = alter.set(&entry.name, value);
        }
    }
    for (name, value) in wanted {
        alter = alter.set(name, value);
    }
    match block_on(admin.alter_configs([&alter], &options())) {
        Ok(results) => results.into_iter().find_map(Result::err).map_or(Ok(()), |(_, code)| Err(code.to_string())),
        Err(error) => Err(error.to_string()),
    }
}

fn replicas(metadata: &Metadata, name: &str) -> Option<usize> {
    let topic = metadata.topics().iter().find(|found| found.name() == name)?;
    topic.partitions().iter().map(|partition| partition.replicas().len()).min()
}
