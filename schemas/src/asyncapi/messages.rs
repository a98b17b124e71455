//! The messages of each topic: schema, key, headers and one example. The examples are the fixtures that must decode for ever.

use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::BINDING;
use crate::access::{ApiKey, SessionRevocation, TokenFamily, Webhook};
use crate::dead_letter::Code;
use crate::header;
use crate::id::{AccessId, ListingId, SessionId};
use crate::interaction::Interaction;
use crate::listing::Listing;
use crate::market_day::MarketDay;
use crate::model_alias::{CANDIDATE, CHAMPION, Champion, ModelName};
use crate::preferences::Preferences;
use crate::priced::PricedListing;
use crate::recommendation::RecommendationEvent;
use crate::sale::Sale;
use crate::shadow::Shadow;
use crate::topic::Topic;

/// What is said of a topic.
pub struct Described {
    /// What it carries.
    pub meaning: &'static str,
    /// Its messages.
    pub messages: Vec<Message>,
    headers: &'static [&'static str],
}

/// One message.
pub struct Message {
    /// Its name in the document.
    pub name: &'static str,
    meaning: &'static str,
    content_type: Option<&'static str>,
    key: Option<Value>,
    payload: Value,
    example: Value,
    example_headers: &'static [(&'static str, &'static str)],
}

const EVENT: &[&str] =
    &[header::CE_SPECVERSION, header::CE_ID, header::CE_SOURCE, header::CE_TYPE, header::CE_TIME, header::TRACEPARENT];
const RAW: &[&str] = &[
    header::FEED,
    header::MAPPING_ERROR,
    header::CE_SPECVERSION,
    header::CE_ID,
    header::CE_SOURCE,
    header::CE_TYPE,
    header::CE_TIME,
    header::TRACEPARENT,
];
const STATEMENT: &[&str] = &[
    header::DEADLINE_MS,
    header::STATEMENT_VERSION,
    header::STATEMENT_TIME_MS,
    header::CE_SPECVERSION,
    header::CE_ID,
    header::CE_SOURCE,
    header::CE_TYPE,
    header::CE_TIME,
    header::TRACEPARENT,
];
const DEAD: &[&str] = &[
    header::DEAD_TOPIC,
    header::DEAD_PARTITION,
    header::DEAD_OFFSET,
    header::DEAD_INDEX,
    header::DEAD_FEED,
    header::DEAD_CODE,
    header::DEAD_MESSAGE,
    header::DEAD_SERVICE,
    header::DEAD_SHA256,
    header::TRACEPARENT,
];

const DEAD_EXAMPLE: &[(&str, &str)] = &[
    (header::DEAD_TOPIC, "listings.raw"),
    (header::DEAD_PARTITION, "3"),
    (header::DEAD_OFFSET, "42"),
    (header::DEAD_INDEX, "0"),
    (header::DEAD_FEED, "nwmls"),
    (header::DEAD_CODE, Code::NotJson.as_str()),
    (header::DEAD_MESSAGE, "the value is not JSON: EOF while parsing an object at line 1 column 23"),
    (header::DEAD_SERVICE, "ingest"),
];

/// The messages of a topic. Their types' definitions are left in the generator.
pub fn described(topic: Topic, generator: &mut SchemaGenerator) -> Described {
    let session = Some(keyed_by::<SessionId>(generator));
    let listing = Some(keyed_by::<ListingId>(generator));
    let (meaning, headers, messages): (_, &[&str], _) = match topic {
        Topic::ListingsRaw => {
            let key = json!({"type": "string", "description": "Any; `<feed>:<ListingKey>` keeps a listing's statements in order."});
            let raw = Message {
                example_headers: &[(header::FEED, "nwmls")],
                ..message("RawListing", "A RESO object, or a batch of them.", Some(key.clone()), raw(), raw_example())
            };
            let gone = erasure("RawListingDeleted", "Deletes the listing that the key and the feed name.", Some(key));
            ("What feeds send.", RAW, vec![raw, gone])
        }
        Topic::Listings => {
            let example = include_str!("../../fixtures/listing.v1.json");
            let one =
                of::<Listing>("Listing", "A canonical listing; also one that is deleted.", listing, example, generator);
            ("Canonical listings.", EVENT, vec![one])
        }
        Topic::ListingsPriced => {
            let example = include_str!("../../fixtures/priced-listing.v2.json");
            let meaning = "A listing, its price history, its valuation and its deal.";
            let one = of::<PricedListing>("PricedListing", meaning, listing.clone(), example, generator);
            let gone = erasure("PricedListingForgotten", "Nothing is known of the listing any more.", listing);
            ("The fact that everything downstream derives from.", EVENT, vec![one, gone])
        }
        Topic::Sales => {
            let example = include_str!("../../fixtures/sale.v3.json");
            let one = of::<Sale>("Sale", "A closed sale; the greatest version wins.", listing, example, generator);
            ("Closed sales.", EVENT, vec![one])
        }
        Topic::Preferences => {
            let example = include_str!("../../fixtures/preferences.v1.json");
            let meaning = "What a session wants: the whole of it, never a change.";
            let said = of::<Preferences>("PreferencesStated", meaning, session.clone(), example, generator);
            let said = Message { example_headers: &[(header::DEADLINE_MS, "1795608000000")], ..said };
            let gone = erasure("SessionErased", "Erases the session.", session);
            ("A session's whole preferences.", STATEMENT, vec![said, gone])
        }
        Topic::Interactions => {
            let example = include_str!("../../fixtures/interaction.v1.json");
            let meaning = "What a session did with a listing. Equal `ce_id`s are one interaction that was sent twice.";
            let one = of::<Interaction>("Interaction", meaning, session, example, generator);
            ("View, save and discard events, for analysis.", EVENT, vec![one])
        }
        Topic::Recommendations => {
            let example = include_str!("../../fixtures/recommendation-event.v2.json");
            let meaning = "What a session sees now; ignore smaller write timestamps and equal hashes.";
            let one = of::<RecommendationEvent>("RecommendationChanged", meaning, session.clone(), example, generator);
            let gone = erasure("RecommendationErased", "The session sees nothing any more.", session);
            ("Changes of the three best homes; state is never restored from it.", EVENT, vec![one, gone])
        }
        Topic::ScorerClaims => {
            let meaning = "A process takes over the shard of this partition; the offset is the epoch.";
            let example = json!({"shard": 3, "instance": "scorer-1"});
            ("Take-overs of shards.", &[], vec![message("ShardClaimed", meaning, None, claim(), example)])
        }
        Topic::MarketDays => {
            let example = include_str!("../../fixtures/market-day.v1.json");
            let key = json!({
                "type": "string",
                "description": "`market|transaction|day`",
                "pattern": "^[^|]+\\|(sale|lease)\\|[0-9]{4}-[0-9]{2}-[0-9]{2}$",
                "examples": ["us/wa/seattle|sale|2026-11-25"],
            });
            let meaning = "A market on a day; the greatest version wins.";
            let one = of::<MarketDay>("MarketDay", meaning, Some(key), example, generator);
            ("One observation of a market per UTC day.", EVENT, vec![one])
        }
        Topic::Access => {
            let key = |kind: &str, id: Value| {
                let pattern = id["pattern"].as_str().unwrap_or_default().trim_start_matches('^').to_owned();
                Some(json!({
                    "type": "string",
                    "description": format!("`{kind}|` and the id"),
                    "pattern": format!("^{kind}\\|{pattern}"),
                }))
            };
            let access = || AccessId::json_schema(&mut SchemaGenerator::default()).into();
            let example = include_str!("../../fixtures/api-key.v1.json");
            let meaning = "Who may push, register webhooks or administer; of the secret its SHA-256.";
            let api_key = of::<ApiKey>("ApiKey", meaning, key("key", access()), example, generator);
            let example = include_str!("../../fixtures/token-family.v1.json");
            let meaning = "Which generation of refresh tokens is good.";
            let family = of::<TokenFamily>("TokenFamily", meaning, key("family", access()), example, generator);
            let example = include_str!("../../fixtures/session-revocation.v1.json");
            let meaning = "Every token that the session was issued before is dead.";
            let id = SessionId::json_schema(&mut SchemaGenerator::default()).into();
            let revoked = of::<SessionRevocation>("SessionRevoked", meaning, key("session", id), example, generator);
            let example = include_str!("../../fixtures/webhook.v1.json");
            let meaning = "Where changes are to be sent.";
            let webhook = of::<Webhook>("Webhook", meaning, key("webhook", access()), example, generator);
            let any = json!({"type": "string", "description": "Any of the others'.", "pattern": "^(key|family|session|webhook)\\|"});
            let gone = erasure("AccessForgotten", "It has ended long ago, and is forgotten.", Some(any));
            let meaning = "API keys, revocations, webhooks. Records of one key are joined: the earliest end and the greatest generation win.";
            (meaning, EVENT, vec![api_key, family, revoked, webhook, gone])
        }
        Topic::Models => {
            let example = include_str!("../../fixtures/champion.v1.json");
            let key = |alias| Some(json!({"type": "string", "const": alias}));
            let meaning = "Who values, in order; the offset, plus one, is the epoch of the models.";
            let champion = of::<Champion>("Champion", meaning, key(CHAMPION), example, generator);
            let (meaning, example) = ("Who values in shadow.", r#"{"name": "king-county", "version": "5"}"#);
            let candidate = of::<ModelName>("Candidate", meaning, key(CANDIDATE), example, generator);
            let none = erasure("CandidateWithdrawn", "Nobody values in shadow any more.", key(CANDIDATE));
            ("Which models value.", &[], vec![champion, candidate, none])
        }
        Topic::ValuationsShadow => {
            let example = include_str!("../../fixtures/shadow.v1.json");
            let meaning = "What champion and candidate say of the same listing.";
            let one = of::<Shadow>("ShadowValuation", meaning, listing, example, generator);
            ("Valuations of a candidate, for whoever compares models.", EVENT, vec![one])
        }
        Topic::DeadLetters => {
            let key = json!({"type": "string", "description": "The original one, byte for byte."});
            let payload =
                json!({"description": "The original bytes; of a statement of preferences their SHA-256 alone."});
            let meaning = "A record that a service could not use; the headers say where it stood and why.";
            let letter = message("DeadLetter", meaning, Some(key), payload, json!(r#"{"ListingKey": "171727""#));
            let letter =
                Message { content_type: Some("application/octet-stream"), example_headers: DEAD_EXAMPLE, ..letter };
            ("What no service could use.", DEAD, vec![letter])
        }
    };
    Described { meaning, messages, headers }
}

impl Message {
    /// The message object.
    pub fn to_json(&self, described: &Described, topic: Topic) -> Value {
        let mut message = json!({
            "name": self.name,
            "summary": self.meaning,
            "payload": self.payload,
            "bindings": {"kafka": {"bindingVersion": BINDING}},
            "examples": [{"name": format!("{}Example", self.name), "payload": self.example}],
            "x-topic": topic.name(),
        });
        if let Some(content_type) = self.content_type {
            message["contentType"] = json!(content_type);
        }
        if let Some(key) = &self.key {
            message["bindings"]["kafka"]["key"] = key.clone();
        }
        if !described.headers.is_empty() {
            let known: Map<_, _> =
                described.headers.iter().map(|name| ((*name).to_owned(), one_header(name))).collect();
            message["headers"] = json!({"type": "object", "properties": known});
        }
        if !self.example_headers.is_empty() {
            let said: Map<_, _> =
                self.example_headers.iter().map(|(name, text)| ((*name).to_owned(), json!(text))).collect();
            message["examples"][0]["headers"] = said.into();
        }
        message
    }
}

fn message(name: &'static str, meaning: &'static str, key: Option<Value>, payload: Value, example: Value) -> Message {
    Message { name, meaning, content_type: None, key, payload, example, example_headers: &[] }
}

/// A message of a type of the dictionary, and its fixture.
fn of<T: JsonSchema>(
    name: &'static str,
    meaning: &'static str,
    key: Option<Value>,
    fixture: &str,
    generator: &mut SchemaGenerator,
) -> Message {
    // Cannot fail: the fixtures are in this crate, and tests read each.
    let example = serde_json::from_str(fixture).unwrap_or_default();
    message(name, meaning, key, generator.subschema_for::<T>().into(), example)
}

/// A record without a value.
fn erasure(name: &'static str, meaning: &'static str, key: Option<Value>) -> Message {
    message(name, meaning, key, json!({"type": "null", "description": "No value: a tombstone."}), Value::Null)
}

/// A key that is the text of a type. Behind `allOf`, since the binding takes a schema or a reference, and a bare one is both.
fn keyed_by<T: JsonSchema>(generator: &mut SchemaGenerator) -> Value {
    json!({"type": "string", "allOf": [generator.subschema_for::<T>()]})
}

/// What is surely needed of a listing; what else is read, `docs/listings.md` tells.
fn raw() -> Value {
    let one = json!({
        "type": "object",
        "required": ["ListingKey", "StandardStatus"],
        "properties": {
            "ListingKey": {"type": ["string", "integer"], "description": "Unique within the feed."},
            "StandardStatus": {"type": "string", "description": "RESO's word; `Delete` needs the `ListingKey` alone."},
        },
        "additionalProperties": true,
    });
    json!({
        "description": "RESO Common Format.",
        "oneOf": [
            one,
            {
                "type": "object",
                "required": ["value"],
                "properties": {"value": {"type": "array", "maxItems": 1000, "items": one}},
                "not": {"required": ["ListingKey"]},
            },
        ],
    })
}

fn raw_example() -> Value {
    json!({
        "ListingKey": "171727",
        "StandardStatus": "Active",
        "PropertyType": "Residential",
        "PropertySubType": "SingleFamilyResidence",
        "ListPrice": 749_000,
        "LivingArea": 1500,
        "BedroomsTotal": 3,
        "City": "Seattle",
        "StateOrProvince": "WA",
        "Country": "US",
        "ModificationTimestamp": "2022-10-31T00:00:00Z",
    })
}

fn claim() -> Value {
    json!({
        "type": "object",
        "required": ["shard", "instance"],
        "properties": {
            "shard": {"type": "integer", "minimum": 0, "description": "The shard, which is the partition."},
            "instance": {"type": "string", "description": "Who takes it over."},
        },
    })
}

/// What a header says. Headers are text; numbers are decimal.
fn one_header(name: &str) -> Value {
    let text = |says: &str| json!({"type": "string", "description": says});
    let number = |says: &str| json!({"type": "string", "pattern": "^[0-9]+$", "description": says});
    match name {
        header::FEED => text("The feed; absent: a slug of `OriginatingSystemName`, else `default`."),
        header::MAPPING_ERROR => text("Why `roost publish` could not read this row, which follows as it is."),
        header::DEADLINE_MS => {
            number("Until when the sender waits, milliseconds since 1970; a statement appended later is none.")
        }
        header::STATEMENT_VERSION => number("A repair's: the offset of the statement that it stands for."),
        header::STATEMENT_TIME_MS => number("A repair's: when that statement was appended, milliseconds since 1970."),
        header::CE_SPECVERSION => json!({"type": "string", "const": "1.0", "description": "CloudEvents, binary mode."}),
        header::CE_ID => text("CloudEvents: unique per source."),
        header::CE_SOURCE => text("CloudEvents: who sent it."),
        header::CE_TYPE => text("CloudEvents: what it is."),
        header::CE_TIME => {
            json!({"type": "string", "format": "date-time", "description": "CloudEvents: when it happened, RFC 3339."})
        }
        header::TRACEPARENT => text("W3C trace context."),
        header::DEAD_TOPIC => text("Topic of the original record."),
        header::DEAD_PARTITION => number("Its partition."),
        header::DEAD_OFFSET => number("Its offset."),
        header::DEAD_INDEX => number("The index in its batch."),
        header::DEAD_FEED => text("Its feed."),
        header::DEAD_CODE => {
            let codes: Vec<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
            json!({"type": "string", "enum": codes, "description": "Why, one word."})
        }
        header::DEAD_MESSAGE => text("Why, a sentence."),
        header::DEAD_SERVICE => text("Who refused it."),
        header::DEAD_SHA256 => text("Hash of the whole original value, where only its beginning is kept."),
        _ => text("See docs/messages.md."),
    }
}
