//! The topics as an AsyncAPI 3.0 document: channels from [`Topic::ALL`], messages from the types that decode them, so that neither
//! can say something else than the code does. A new topic does not compile before `messages` and `traffic` know it.
//!
//! Names no broker: where the log is, and who may read it, is a matter of each installation.

mod messages;
mod traffic;

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use self::messages::{Described, described};
use self::traffic::{SERVICES, traffic};
use crate::topic::{Cleanup, DELETE_RETENTION_MS, Partitions, SEGMENT_MS, Topic};

/// Partitions of a keyed topic where the installation does not say otherwise (DESIGN §2).
pub const DEFAULT_PARTITIONS: u32 = 16;

/// Version of the Kafka bindings that the document uses: <https://github.com/asyncapi/bindings/tree/master/kafka>.
const BINDING: &str = "0.5.0";

/// The whole document, for an installation whose keyed topics have so many partitions.
pub fn document(version: &str, partitions: u32) -> Value {
    // AsyncAPI's own dialect is a superset of draft 7.
    let settings = SchemaSettings::draft07().with(|settings| settings.definitions_path = "/components/schemas".into());
    let mut generator = settings.into_generator();
    let (mut channels, mut operations, mut messages) = (Map::new(), Map::new(), Map::new());
    for topic in Topic::ALL {
        let described = described(topic, &mut generator);
        let mut of_channel = Map::new();
        for message in &described.messages {
            let name = message.name;
            of_channel.insert(name.to_owned(), json!({"$ref": format!("#/components/messages/{name}")}));
            messages.insert(name.to_owned(), message.to_json(&described, topic));
        }
        channels.insert(id(topic), channel(topic, &described, of_channel, partitions));
        operations.extend(operations_of(topic));
    }
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "roost: the topics",
            "version": version,
            "description": "What stands on the log. Keys are partitioned as Kafka's Java client does it (murmur2), all topics carry the \
                            time at which the log appended the record, and headers are UTF-8 text, numbers in decimal. Messages grow by \
                            optional members only. Operations are those of each service of roost; `feed` and `operator` are outside.",
            "license": {"name": "MIT OR Apache-2.0"},
            "tags": SERVICES.map(|service| json!({"name": service.name(), "description": service.role()})),
        },
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": operations,
        "components": {"schemas": generator.take_definitions(true), "messages": messages},
    })
}

/// The topic's name where dots and hyphens may not stand: `listingsRaw`.
fn id(topic: Topic) -> String {
    let mut words = topic.name().split(['.', '-']);
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |id, word| id + &capital(word))
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map(|first| first.to_ascii_uppercase().to_string() + letters.as_str()).unwrap_or_default()
}

fn channel(topic: Topic, described: &Described, messages: Map<String, Value>, partitions: u32) -> Value {
    let partitions = match topic.partitions() {
        Partitions::Keyed => partitions,
        Partitions::One => 1,
    };
    json!({
        "address": topic.name(),
        "description": described.meaning,
        "messages": messages,
        "bindings": {"kafka": {
            "topic": topic.name(),
            "partitions": partitions,
            "topicConfiguration": configuration(topic),
            "bindingVersion": BINDING,
        }},
    })
}

/// How records leave the topic, in Kafka's words.
pub fn configuration(topic: Topic) -> Map<String, Value> {
    let mut settings = Map::new();
    let mut set = |name: &str, value: Value| settings.insert(name.to_owned(), value);
    set("message.timestamp.type", json!("LogAppendTime"));
    match topic.cleanup() {
        Cleanup::Delete { retention_ms } => {
            set("cleanup.policy", json!(["delete"]));
            set("retention.ms", json!(retention_ms));
        }
        Cleanup::Compact { min_lag_ms, max_lag_ms } => {
            set("cleanup.policy", json!(["compact"]));
            set("min.compaction.lag.ms", json!(min_lag_ms));
            if let Some(max_lag_ms) = max_lag_ms {
                set("max.compaction.lag.ms", json!(max_lag_ms));
            }
        }
        Cleanup::CompactDelete { retention_ms } => {
            set("cleanup.policy", json!(["compact", "delete"]));
            set("retention.ms", json!(retention_ms));
            set("min.compaction.lag.ms", json!(crate::topic::MIN_COMPACTION_LAG_MS));
        }
    }
    if topic.is_compacted() {
        set("segment.ms", json!(SEGMENT_MS));
        set("delete.retention.ms", json!(DELETE_RETENTION_MS));
    }
    settings
}

fn operations_of(topic: Topic) -> Vec<(String, Value)> {
    let traffic = traffic(topic);
    let of = |action: &str, verb: &str, users: &[traffic::Use]| {
        let operation = |used: &traffic::Use| {
            let channel = format!("#/channels/{}", id(topic));
            let name = format!("{}{verb}{}", used.by.name(), capital(&id(topic)));
            let operation = json!({
                "action": action,
                "channel": {"$ref": channel},
                "summary": used.why,
                "tags": [{"name": used.by.name()}],
            });
            (name, operation)
        };
        users.iter().map(operation).collect::<Vec<_>>()
    };
    let mut all = of("send", "Sends", traffic.sent);
    all.extend(of("receive", "Receives", traffic.received));
    all
}
