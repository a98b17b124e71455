//! What a parameter may be, with its bounds: a type of Rust is too wide, and the reader of the query is strict. By name, because
//! a name means the same on every route; where it does not, by route and name. Tests hold that no parameter is without bounds.

use schemas::amenities::AmenitySet;
use schemas::preferences::MAX_CITIES;
use schemas::vocabulary::PropertySubType;
use serde_json::{Value, json};

use super::operations::Operation;
use crate::scan::MAX_LISTINGS;

/// Longest value of a parameter, in bytes: `query.rs` refuses longer ones.
const MAX_VALUE: usize = 1_024;

/// Gives the parameters of one operation their bounds.
pub fn bound(at: &Operation, operation: &mut Value) {
    for parameter in operation.get_mut("parameters").and_then(Value::as_array_mut).into_iter().flatten() {
        if parameter["in"] == "query" && parameter["required"] != true {
            // As `query.rs` reads it: forms send what was left open as an empty value.
            parameter["allowEmptyValue"] = json!(true);
        }
        let name = parameter["name"].as_str().unwrap_or_default();
        if let Some((schema, example)) = of(at, name, &parameter["schema"]) {
            parameter["schema"] = schema;
            let own = parameter.as_object_mut().filter(|own| !example.is_null() && !own.contains_key("example"));
            own.map(|own| own.insert("example".to_owned(), example));
        }
    }
}

/// Schema and example. An optional header that may be anything keeps its type, without `null`: it is absent, or a text.
fn of(at: &Operation, name: &str, written: &Value) -> Option<(Value, Value)> {
    let text = json!({"type": "string", "maxLength": MAX_VALUE});
    Some(match (at.id.as_str(), name) {
        ("list_markets", "limit") => {
            (json!({"type": "integer", "minimum": 1, "maximum": 1_000, "default": 1_000}), json!(100))
        }
        ("erase_session", "id") => (pattern("[0-9a-f]{32}"), json!("5d41402abc4b2a76b9719d911017c592")),
        ("read_webhook" | "delete_webhook" | "test_webhook", "id") => {
            (pattern("[0-9a-f]{8,32}"), json!("0f1e2d3c4b5a69788796a5b4c3d2e1f0"))
        }
        // A name or a slug; what is none is a market that is not there.
        ("read_market", "country") => (pattern("[A-Za-z]{2}"), json!("us")),
        ("read_market", "state") => (pattern("[a-z0-9-]{1,80}"), json!("wa")),
        ("read_market", "city") => (pattern("[a-z0-9-]{1,80}"), json!("seattle")),
        (_, "id" | "listing_id") if at.path.contains("/properties/") || at.path.contains("/recommendations/") => {
            // The readers of ids take more letters; these are the ones that need no escaping in a path.
            (pattern("[a-z0-9][a-z0-9_.-]{0,63}:[A-Za-z0-9_.~-]{1,255}"), json!("seattle:171727"))
        }
        (_, "session_id") => (optional("[0-9a-f]{32}"), Value::Null),
        (_, "location") => (text, Value::Null),
        (_, "bedrooms" | "min_bedrooms" | "max_commute_time") => {
            (json!({"type": "integer", "minimum": 0, "maximum": u16::MAX}), Value::Null)
        }
        (_, "page") => (json!({"type": "integer", "minimum": 1, "maximum": MAX_LISTINGS, "default": 1}), Value::Null),
        (_, "per_page") => (json!({"type": "integer", "minimum": 1, "maximum": 100, "default": 20}), Value::Null),
        (_, "min_version") => (json!({"type": "integer", "minimum": 0, "maximum": u64::MAX}), json!(0)),
        (_, "wait") => (optional("(([12]?[0-9](\\.[0-9]{1,3})?|30)s?|([12]?[0-9]{1,4}|30000)ms)"), json!("2s")),
        (_, "token") => (optional("[0-9a-f]{32}"), Value::Null),
        (_, "last_event_id") => (optional("[0-9]{1,15}-[0-9a-f]{16}"), json!("1099511627777-0f1e2d3c4b5a6978")),
        (_, "market") => (list("[a-z]{2}/[a-z0-9-]{1,80}/[a-z0-9-]{1,80}", MAX_CITIES), json!("us/wa/seattle")),
        (_, "city" | "state") => (text, Value::Null),
        (_, "country") => (optional("[A-Za-z]{2}"), Value::Null),
        (_, "session" | "explain") => (json!({"type": "boolean"}), Value::Null),
        (_, "transaction") => (json!({"type": "string", "enum": ["sale", "lease"]}), json!("sale")),
        (_, "min_price" | "max_price") => {
            (json!({"type": "number", "minimum": 0, "maximum": 999_999_999_999_i64, "multipleOf": 0.01}), Value::Null)
        }
        (_, "beds_min" | "commute_max") => (json!({"type": "integer", "minimum": 0, "maximum": u16::MAX}), Value::Null),
        (_, "baths_min") => (json!({"type": "number", "minimum": 0, "maximum": 100, "multipleOf": 0.5}), Value::Null),
        (_, "area_min") => (json!({"type": "integer", "minimum": 0, "maximum": u32::MAX}), Value::Null),
        (_, "school_rating_min" | "min_school_rating") => {
            (json!({"type": "number", "minimum": 0, "maximum": 10, "multipleOf": 0.1}), Value::Null)
        }
        (_, "property_sub_type") => {
            let words: Vec<&str> = PropertySubType::ALL.iter().map(|word| word.as_str()).collect();
            (list(&format!("({})", words.join("|")), words.len()), json!("SingleFamilyResidence,Townhouse"))
        }
        (_, "status") => (list("(Active|ComingSoon|ActiveUnderContract)", 3), json!("Active,ComingSoon")),
        (_, "amenities") => {
            let words: Vec<&str> = AmenitySet::from_bits(u64::MAX).words().collect();
            (list(&format!("({})", words.join("|")), words.len()), json!("garage,fireplace"))
        }
        (_, "sort") => (json!({"type": "string", "enum": ["price"]}), json!("price")),
        (_, "extra") => (json!({"type": "string", "enum": ["ignore"]}), json!("ignore")),
        (_, "limit") => (json!({"type": "integer", "minimum": 1, "maximum": 100, "default": 20}), json!(20)),
        (_, "days") => (json!({"type": "integer", "minimum": 1, "maximum": 366, "default": 30}), json!(30)),
        (_, "cursor") => (optional("[A-Za-z0-9_-]{10,512}"), Value::Null),
        _ if written["type"] == json!(["string", "null"]) => (json!({"type": "string"}), Value::Null),
        _ => return None,
    })
}

/// A part of a path.
fn pattern(pattern: &str) -> Value {
    json!({"type": "string", "pattern": format!("^{pattern}$")})
}

/// A parameter of the query, where an empty value is none: forms send it so.
fn optional(pattern: &str) -> Value {
    json!({"type": "string", "pattern": format!("^({pattern})?$")})
}

/// Words separated by commas: a text, for what is separated otherwise is refused as given twice.
fn list(word: &str, most: usize) -> Value {
    json!({"type": "string", "pattern": format!("^({word}(,{word}){{0,{}}})?$", most - 1), "maxLength": MAX_VALUE})
}
