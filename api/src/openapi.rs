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
use serde_json::{Value, json};
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
use crate::routes::similar::Similar;
use crate::routes::stated::Stated;

/// What is not a route.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "roost",
        version = env!("CARGO_PKG_VERSION"),
        description = "The three best homes of every session, kept current while the market moves. Errors are RFC 9457 problem documents; \
                       `/problems` lists their types.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0"),
    ),
    tags(
        (name = "sessions", description = "What a session wants, and its three best homes."),
        (name = "properties", description = "Homes."),
        (name = "markets", description = "Markets and their days."),
        (name = "models", description = "The price model."),
        (name = "older names", description = "The un-versioned names of the APIs that roost replaces, for the clients that there are."),
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
                "The token that `POST /preferences` gave: the capability to read and change one session.",
            ))
            .build();
        let in_query = ApiKeyValue::with_description(
            "token",
            "The same token, on the two streams alone: browsers cannot send headers there. It is never logged here; see that \
             proxies do not log it either.",
        );
        let components = api.components.get_or_insert_default();
        components.add_security_scheme("session", SecurityScheme::Http(scheme));
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
    let mut answers = settings.for_serialize().into_generator();
    fn add<T: JsonSchema>(generator: &mut schemars::SchemaGenerator) {
        generator.subschema_for::<T>();
    }
    for add in [
        add::<Accepted>,
        add::<Preview>,
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
        add::<ProblemDocument>,
    ] {
        add(&mut answers);
    }
    older::answers(&mut answers);
    let mut messages = answers.take_definitions(true);
    // A message that is both sent and answered is described as it may be sent: with its defaults left out.
    messages.extend(generator.take_definitions(true));
    // The type is the canonical statement; the reader at the door fills in the currency.
    messages["Preferences"]["required"] = json!(["budget", "place"]);
    // What `recall.rs` adds while the store is away.
    for message in ["Property", "History", "Markets", "MarketDetail"] {
        let description = "True while the store is away, and this is the last answer that was given; else absent.";
        messages[message]["properties"]["stale"] = json!({"type": "boolean", "description": description});
        let description = "With `stale`: when the answer was true.";
        messages[message]["properties"]["as_of"] =
            json!({"type": "string", "format": "date-time", "description": description});
    }
    messages.insert("ResoProperty".to_owned(), reso_property());
    messages.extend(older::requests());
    messages.values_mut().for_each(|schema| {
        words::gather(schema);
        defaults::tell(schema);
    });
    Value::Object(messages)
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
