//! Which problems a route answers with, status by status. Every kind of `problem.rs` that a route may answer with is named in the
//! document, with an example; tests hold each answer against that.
//!
//! A rule says which routes a kind belongs to, so that a new route is described without being named here.

use serde_json::{Map, Value, json};

use super::examples;
use super::operations::Operation;
use crate::problem::Kind;

/// Describes the problems of one operation.
pub fn describe(at: &Operation, operation: &mut Value) {
    let facts = Facts::of(at, operation);
    let Some(responses) = operation.get_mut("responses").and_then(Value::as_object_mut) else { return };
    let kinds: Vec<Kind> = Kind::ALL.iter().copied().filter(|kind| facts.has(*kind, responses)).collect();
    for kind in kinds {
        let status = kind.status();
        let reason = status.canonical_reason().unwrap_or("Refused");
        let response = responses.entry(status.as_str()).or_insert_with(|| json!({"description": format!("{reason}.")}));
        let media = &mut response["content"]["application/problem+json"];
        media["schema"] = json!({"$ref": "#/components/schemas/Problem"});
        media["examples"][kind.slug()] = examples::of_problem(kind, &at.path);
        if matches!(status.as_u16(), 429 | 503) {
            response["headers"]["Retry-After"] = json!({"description": "Seconds until a repeat makes sense.", "schema": {"type": "integer", "minimum": 1}});
        }
        if status.as_u16() == 429 {
            let said = |what: &str| json!({"description": what, "schema": {"type": "string"}});
            response["headers"]["RateLimit-Policy"] =
                said("The limits that the request counts for, each with its quota `q` and its window `w` in seconds.");
            response["headers"]["RateLimit"] = said("What is left of each: `r` requests, full again in `t` seconds.");
        }
        if status.as_u16() == 401 {
            response["headers"]["WWW-Authenticate"] = json!({"description": "`Bearer`.", "schema": {"type": "string"}});
        }
    }
    let problem = json!({"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}});
    responses.insert("default".to_owned(), json!({"description": "Any other problem.", "content": problem}));
}

/// What the rules look at.
struct Facts<'a> {
    path: &'a str,
    is_read: bool,
    is_of_session: bool,
    is_of_models: bool,
    has_body: bool,
    has_json: bool,
    has_lines: bool,
}

impl<'a> Facts<'a> {
    fn of(at: &'a Operation, operation: &Value) -> Self {
        let secured = operation.get("security").and_then(Value::as_array);
        let by_session =
            |one: &Value| one.as_object().is_some_and(|one| one.keys().any(|name| name.starts_with("session")));
        let body = operation.pointer("/requestBody/content").and_then(Value::as_object);
        Self {
            path: &at.path,
            is_read: at.method == "get",
            is_of_session: secured.is_some_and(|all| all.iter().any(by_session)),
            is_of_models: operation["tags"].as_array().is_some_and(|tags| tags.contains(&json!("models")))
                || ["/ml/", "/v1/predict", "/v1/batch"].iter().any(|part| at.path.contains(part)),
            has_body: body.is_some(),
            has_json: body.is_some_and(|body| body.contains_key("application/json")),
            has_lines: at.path.ends_with("/batch"),
        }
    }

    /// Whether it is the route that renews tokens.
    fn renews(&self) -> bool {
        self.path.ends_with("/refresh")
    }

    /// Whether the route may answer with this kind.
    fn has(&self, kind: Kind, documented: &Map<String, Value>) -> bool {
        match kind {
            // Of every route: the guard and the query answer with these.
            Kind::BadRequest | Kind::UnknownParameter | Kind::InvalidParameter => true,
            Kind::Internal | Kind::Overloaded | Kind::StoreUnavailable | Kind::RateLimited => true,
            Kind::Unauthenticated | Kind::Starting => self.is_of_session || self.renews(),
            Kind::Forbidden => self.is_of_session,
            Kind::SessionNotFound => self.is_of_session && (self.is_read || !self.path.ends_with("/preferences")),
            Kind::LogUnavailable | Kind::OutcomeUnknown => (self.is_of_session || self.renews()) && !self.is_read,
            Kind::RequestTimeout | Kind::PayloadTooLarge | Kind::UnsupportedMediaType => self.has_body,
            Kind::NotJson => self.has_json,
            // What is wrong with one home of many is told in its place.
            Kind::ValidationFailed => self.has_json && !self.has_lines,
            Kind::ModelUnavailable => self.is_of_models,
            Kind::FeatureMissing | Kind::MarketNotCovered => self.is_of_models && self.has_json && !self.has_lines,
            Kind::NotRecommended => self.path.ends_with("/explain"),
            Kind::PropertyNotFound => self.path.contains("/properties/{"),
            Kind::MarketNotFound => self.path.contains("/markets/{") || self.path == "/api/v1/properties",
            Kind::ForbiddenOrigin | Kind::UpgradeRequired => self.path.ends_with("/ws"),
            // Tokens may not be renewed, and metrics may be absent, where the route is there.
            Kind::NotFound => self.renews() || self.path.ends_with("/metrics"),
            // Said by the absence of a method.
            Kind::MethodNotAllowed => false,
            // A kind without a rule belongs wherever its status is documented.
            #[allow(unreachable_patterns, reason = "kinds that are added get along without a rule")]
            _ => documented.contains_key(kind.status().as_str()),
        }
    }
}
