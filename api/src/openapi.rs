//! The OpenAPI 3.1 document: routes from the handlers' own annotations, messages from the dictionary's own types, so that
//! neither can say something else than the code does; and what neither can say: `parameters`, `refusals`, `examples`, `words`,
//! `defaults`.

mod defaults;
mod examples;
mod operations;
mod parameters;
mod refusals;
mod words;

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use schemas::preferences::Preferences;
use serde_json::{Map, Value, json};
use utoipa::OpenApi;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};

use self::operations::operations;
use crate::appraise::ModelInfo;
use crate::older;
use crate::problem::Document as ProblemDocument;
use crate::property::{History, Property};
use crate::routes::appraisal::Prediction;
use crate::routes::batch::BatchLine;
use crate::routes::dismissed::Dismissal;
use crate::routes::interactions::{Recorded, ReportedOneOrMany};
use crate::routes::markets::{MarketDetail, Markets};
use crate::routes::pick::Pick;
use crate::routes::preferences::Accepted;
use crate::routes::preview::Preview;
use crate::routes::properties::Page;
use crate::routes::recommendations::{Pending, Recommendations};
use crate::routes::refresh::{Renewal, Renewed};
use crate::routes::similar::Similar;
use crate::routes::stated::Stated;
use crate::routes::webhooks::{Registered, Registration, Shown, Tested, Webhooks};

/// What is not a route.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "roost",
        version = env!("CARGO_PKG_VERSION"),
        description = "The three best homes of every session, kept current while the market moves. Errors are RFC 9457 problem documents; \
                       `/problems` lists their types. What stands on the log is described by `/asyncapi.json`.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0"),
    ),
    tags(
        (name = "sessions", description = "What a session wants, and its three best homes."),
        (name = "properties", description = "Homes."),
        (name = "markets", description = "Markets and their days."),
        (name = "models", description = "The price model."),
        (name = "older names", description = "The un-versioned names of the APIs that roost replaces, for the clients that there are."),
        (name = "webhooks", description = "Addresses that are told when the three best change."),
    ),
    modifiers(&SessionToken),
)]
pub struct Head;

struct SessionToken;
impl utoipa::Modify for SessionToken {
    fn modify(&self, api: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some(
                "The token that `POST /preferences` or `POST /sessions/refresh` gave, or the other issuer's: it reads and \
                 changes one session.",
            ))
            .build();
        let in_query = ApiKeyValue::with_description(
            "token",
            "The same token, on the two streams alone: browsers cannot send headers there. It is never logged here; see that \
             proxies do not log it either.",
        );
        let components = api.components.get_or_insert_default();
        components.add_security_scheme("session", SecurityScheme::Http(scheme));
        let key = ApiKeyValue::with_description(
            "X-Api-Key",
            "An API key of a service or an administrator, `roost_<id>_<secret>`; also as `Authorization: Bearer`.",
        );
        components.add_security_scheme("api_key", SecurityScheme::ApiKey(ApiKey::Header(key)));
        components.add_security_scheme("session_in_query", SecurityScheme::ApiKey(ApiKey::Query(in_query)));
    }
}

/// The whole document: the routes as `utoipa` collected them, with the messages that they refer to.
pub fn document(routes: &utoipa::openapi::OpenApi) -> Value {
    // Cannot fail: the types of utoipa are made to be written as JSON.
    let mut document = serde_json::to_value(routes).unwrap_or_default();
    document["components"]["schemas"] = messages();
    for (at, operation) in operations(&mut document) {
        parameters::bound(&at, operation);
        refusals::describe(&at, operation);
        older::deprecate(operation);
        // An event has a text form of its own, of which a schema can say nothing: the description does.
        if let Some(events) =
            operation.pointer_mut("/responses/200/content/text~1event-stream").and_then(Value::as_object_mut)
        {
            events.remove("schema");
        }
        // No route that takes a body does without.
        if let Some(body) = operation.get_mut("requestBody") {
            body["required"] = json!(true);
        }
    }
    examples::add(&mut document);
    document
}

/// The messages of requests and answers, and all that they consist of.
fn messages() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
    });
    let mut generator = settings.clone().into_generator();
    generator.subschema_for::<Preferences>();
    generator.subschema_for::<Dismissal>();
    generator.subschema_for::<ReportedOneOrMany>();
    generator.subschema_for::<Renewal>();
    generator.subschema_for::<Registration>();
    let mut answers = settings.for_serialize().into_generator();
    fn add<T: JsonSchema>(generator: &mut schemars::SchemaGenerator) {
        generator.subschema_for::<T>();
    }
    for add in [
        add::<Accepted>,
        add::<Preview>,
        add::<Renewed>,
        add::<Stated>,
        add::<Pick>,
        add::<Recorded>,
        add::<Similar>,
        add::<Recommendations>,
        add::<Pending>,
        add::<Page>,
        add::<Property>,
        add::<History>,
        add::<Markets>,
        add::<MarketDetail>,
        add::<Prediction>,
        add::<BatchLine>,
        add::<ModelInfo>,
        add::<Registered>,
        add::<Shown>,
        add::<Webhooks>,
        add::<Tested>,
        add::<ProblemDocument>,
    ] {
        add(&mut answers);
    }
    older::answers(&mut answers);
    let mut messages = told_apart(answers.take_definitions(true));
    // A message that is both sent and answered is described as it may be sent: with its defaults left out.
    messages.extend(generator.take_definitions(true));
    // The type is the canonical statement; the reader at the door fills in the currency, and takes `null` for what is left out.
    messages["Preferences"]["required"] = json!(["budget", "place"]);
    // What `recall.rs` adds while the store is away.
    for message in ["Property", "History", "Markets", "MarketDetail"] {
        let description = "True while the store is away, and this is the last answer that was given; else absent.";
        messages[message]["properties"]["stale"] = json!({"type": "boolean", "description": description});
        let description = "With `stale`: when the answer was true.";
        messages[message]["properties"]["as_of"] =
            json!({"type": "string", "format": "date-time", "description": description});
    }
    nullable_unless(&mut messages["Preferences"], &["budget", "place"]);
    nullable_unless(&mut messages["Place"], &[]);
    // Nor does it mind repeats, nor small letters, nor a postal code whose country another part of the place tells.
    if let Some(amenities) = messages["AmenitySet"].as_object_mut() {
        amenities.remove("uniqueItems");
    }
    messages["PostalCode"]["pattern"] = json!("^([A-Za-z]{2}/)?[A-Za-z0-9 -]{1,10}$");
    messages.insert("ResoProperty".to_owned(), reso_property());
    messages.extend(older::requests());
    messages.values_mut().for_each(|schema| {
        words::gather(schema);
        defaults::tell(schema);
    });
    Value::Object(messages)
}

/// Preferences are the one message whose answer is stricter than its request: canonical, and nothing in it is `null`. It has a name
/// of its own, `StatedPreferences`.
fn told_apart(mut answers: Map<String, Value>) -> Map<String, Value> {
    if let Some(canonical) = answers.remove("Preferences") {
        answers.insert("StatedPreferences".to_owned(), canonical);
    }
    answers
        .values_mut()
        .for_each(|schema| refer(schema, "#/components/schemas/Preferences", "#/components/schemas/StatedPreferences"));
    answers
}

fn refer(schema: &mut Value, from: &str, to: &str) {
    match schema {
        Value::Object(members) => members.values_mut().for_each(|member| refer(member, from, to)),
        Value::Array(items) => items.iter_mut().for_each(|item| refer(item, from, to)),
        Value::String(text) if text == from => to.clone_into(text),
        _ => {}
    }
}

/// Lets every member of a message be `null` but these.
fn nullable_unless(message: &mut Value, but: &[&str]) {
    for (name, member) in message["properties"].as_object_mut().into_iter().flatten() {
        let Some(own) = member.as_object_mut() else { continue };
        if but.contains(&name.as_str()) || own.contains_key("anyOf") {
            continue;
        }
        if let Some(kind) = own.get("type").and_then(Value::as_str).map(str::to_owned) {
            own.insert("type".to_owned(), json!([kind, "null"]));
        } else if let Some(reference) = own.remove("$ref") {
            own.insert("anyOf".to_owned(), json!([{"$ref": reference}, {"type": "null"}]));
        }
    }
}

/// What `POST /ml/predict-price` takes: the reader of feeds knows some seventy fields, these are the ones that matter most.
fn reso_property() -> Value {
    json!({
        "description": "One home in RESO's terms, as feeds send them; further RESO fields are read too.",
        "type": "object",
        "properties": {
            "Country": {"type": "string", "examples": ["US"]},
            "StateOrProvince": {"type": "string", "examples": ["WA"]},
            "City": {"type": "string", "examples": ["Seattle"]},
            "PostalCode": {"type": "string", "examples": ["98101"]},
            "Latitude": {"type": "number", "examples": [47.6]},
            "Longitude": {"type": "number", "examples": [-122.3]},
            "PropertyType": {"type": "string", "examples": ["Residential"]},
            "PropertySubType": {"type": "string", "examples": ["SingleFamilyResidence"]},
            "LivingArea": {"type": "number", "examples": [1500]},
            "BedroomsTotal": {"type": "integer", "examples": [3]},
            "BathroomsTotalDecimal": {"type": "number", "examples": [2.5]},
            "YearBuilt": {"type": "integer", "examples": [1962]},
            "LotSizeSquareFeet": {"type": "number", "examples": [5000]},
            "ListPrice": {"type": "number", "examples": [749_000]},
        },
        "additionalProperties": true,
    })
}
