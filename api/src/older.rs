//! The un-versioned names of the APIs that roost replaces, and the shapes that their clients send and expect. The same tables,
//! statements and models beneath; what differs is translated here and in `routes/older/`.
//!
//! Nothing new is added to them: who writes a client today uses `/api/v1`. How they are used: `docs/older-names.md`.

pub mod asked;
pub mod home;
pub mod members;
pub mod session;
pub mod shape;

use std::sync::Arc;

use schemars::SchemaGenerator;
use serde_json::{Value, json};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::routes::older::{appraisal, batch, health, preferences, properties, recommendations};

/// The tag of these routes in the OpenAPI document, by which they are marked as deprecated.
pub const TAG: &str = "older names";

/// The routes, to be nested at `/api`.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(preferences::state))
        .routes(routes!(recommendations::read))
        .routes(routes!(recommendations::stream))
        .routes(routes!(properties::browse))
        .routes(routes!(properties::read))
        .routes(routes!(appraisal::predict_price))
        .routes(routes!(appraisal::predict))
        .routes(routes!(batch::predict_batch))
        .routes(routes!(appraisal::model_info))
        .routes(routes!(health::of_all))
        .routes(routes!(health::of_v1))
        .routes(routes!(health::metrics))
}

/// What the routes answer.
pub fn answers(generator: &mut SchemaGenerator) {
    generator.subschema_for::<preferences::OlderSession>();
    generator.subschema_for::<recommendations::OlderRecommendations>();
    generator.subschema_for::<properties::OlderPage>();
    generator.subschema_for::<shape::OlderPropertyDetail>();
    generator.subschema_for::<appraisal::OlderPrediction>();
    generator.subschema_for::<batch::OlderPredictions>();
    generator.subschema_for::<health::OlderHealth>();
}

/// Marks an operation as deprecated if it is one of these.
pub fn deprecate(operation: &mut Value) {
    if operation["tags"][0] == TAG {
        operation["deprecated"] = Value::Bool(true);
    }
}

/// What the routes take, which is read member by member.
pub fn requests() -> serde_json::Map<String, Value> {
    let preferences = json!({
        "description": "What a session wants, in the older words; besides these the members of `Preferences` are taken.",
        "type": "object",
        "required": ["budget", "location"],
        "properties": {
            "budget": {"type": "number", "exclusiveMinimum": 0, "description": "The highest price."},
            "location": {"type": "string", "description": "A city (`Seattle`, `Seattle, WA`, `Seattle, WA, US`) or a postal code."},
            "min_bedrooms": {"type": "integer", "minimum": 0},
            "max_commute_time": {"type": "integer", "minimum": 1, "maximum": 600, "description": "Minutes to the city centre."},
            "min_school_rating": {"type": "number", "minimum": 0, "maximum": 10},
            "preferred_amenities": {"type": "array", "items": {"type": "string"}},
            "session_id": {"type": "string", "description": "Of the session whose statement this replaces; left out: a new session."},
        },
    });
    let home = json!({
        "description": "A home to be valued, in the older words; a RESO object is taken too.",
        "type": "object",
        "properties": {
            "location": {"type": "string", "description": "`Seattle, WA`, instead of `city` and `state`."},
            "city": {"type": "string"}, "state": {"type": "string"}, "country": {"type": "string"}, "zip_code": {"type": "string"},
            "bedrooms": {"type": "integer"}, "bathrooms": {"type": "number"}, "size_sqft": {"type": "number"},
            "lot_size_sqft": {"type": "number"}, "year_built": {"type": "integer"}, "latitude": {"type": "number"},
            "longitude": {"type": "number"}, "property_type": {"type": "string", "examples": ["house", "condo", "townhouse"]},
            "school_rating": {"type": "number"}, "commute_time": {"type": "integer"},
            "amenities": {"type": "array", "items": {"type": "string"}}, "price": {"type": "number"},
        },
        "additionalProperties": true,
    });
    let homes = json!({
        "description": "Homes to be valued: `properties`, or the list by itself.",
        "type": "object",
        "properties": {"properties": {"type": "array", "maxItems": 1_000, "items": {"$ref": "#/components/schemas/OlderHome"}}},
    });
    [("OlderPreferences", preferences), ("OlderHome", home), ("OlderHomes", homes)]
        .map(|(name, schema)| (name.to_owned(), schema))
        .into_iter()
        .collect()
}
