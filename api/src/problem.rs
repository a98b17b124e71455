//! Every error of the API as an RFC 9457 problem document. This list is the documentation: `/problems/{slug}` serves it.
//!
//! A handler returns a [`Problem`]; `guard.rs` writes it out, for it alone knows the request that it belongs to.

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use schemas::field_error::{Fault, FieldError};
use serde::Serialize;
use store::StoreError;

use crate::redact::redact;

macro_rules! kinds {
    ($($(#[doc = $doc:literal])+ $variant:ident = $slug:literal, $status:ident, $title:literal;)+) => {
        /// The kind of a problem: one per thing that a client can do about it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Kind { $($(#[doc = $doc])+ $variant),+ }
        impl Kind {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];
            /// The last segment of its `type`.
            pub const fn slug(self) -> &'static str { match self { $(Self::$variant => $slug),+ } }
            /// The status it is answered with.
            pub const fn status(self) -> StatusCode { match self { $(Self::$variant => StatusCode::$status),+ } }
            /// Its `title`.
            pub const fn title(self) -> &'static str { match self { $(Self::$variant => $title),+ } }
            /// What it means and what to do, in a sentence.
            pub const fn meaning(self) -> &'static str { match self { $(Self::$variant => concat!($($doc),+).trim_ascii()),+ } }
        }
    };
}

kinds! {
    /// The request is no well-formed HTTP request for this service; the detail says where it breaks.
    BadRequest = "bad-request", BAD_REQUEST, "Malformed request";
    /// The body is not a JSON text, or not of the shape that the route takes; the detail says where it breaks.
    NotJson = "not-json", BAD_REQUEST, "The body is not usable JSON";
    /// The query has a parameter that the route does not know; the error names the nearest one it knows.
    UnknownParameter = "unknown-parameter", BAD_REQUEST, "Unknown query parameter";
    /// A query parameter has a value that is not allowed; each error says what is.
    InvalidParameter = "invalid-parameter", BAD_REQUEST, "Invalid query parameter";
    /// The token or API key is missing, is none, or has ended: send `Authorization: Bearer <token>` with the token of `POST /api/v1/preferences`, or `X-Api-Key: <key>` where a service asks.
    Unauthenticated = "unauthenticated", UNAUTHORIZED, "A token is needed";
    /// The caller is known and may not do this; the detail says who may.
    Forbidden = "forbidden", FORBIDDEN, "Not for this caller";
    /// A page of another site tried to open a WebSocket or sent a form: only pages of this host may (WebSockets also those of the sites that setting `api.allowed_origins` lists), and programs, which send no `Origin`. Behind a proxy see that it passes `Host` on, or list the origin.
    ForbiddenOrigin = "forbidden-origin", FORBIDDEN, "Another site's page";
    /// There is no such route; `/openapi.json` lists them all.
    NotFound = "not-found", NOT_FOUND, "No such route";
    /// The token's session is not there: it was never made, it was erased, or it ended 30 days after its last statement.
    SessionNotFound = "session-not-found", NOT_FOUND, "No such session";
    /// There is no such property, its feed has deleted it, or its seller does not want it shown.
    PropertyNotFound = "property-not-found", NOT_FOUND, "No such property";
    /// The listing is none of the session's three best now: `GET /api/v1/recommendations` has them.
    NotRecommended = "not-recommended", NOT_FOUND, "Not one of the three";
    /// No listing was ever seen in that market.
    MarketNotFound = "market-not-found", NOT_FOUND, "No such market";
    /// There is no such webhook, it was deleted, or it is another's.
    WebhookNotFound = "webhook-not-found", NOT_FOUND, "No such webhook";
    /// This installation sends to no webhooks: `api.webhooks.enabled` is off, or there is no `auth.secret_file` to sign with.
    WebhooksOff = "webhooks-off", NOT_FOUND, "No webhooks here";
    /// The caller has as many webhooks as it may have: delete one first.
    TooManyWebhooks = "too-many-webhooks", CONFLICT, "Too many webhooks";
    /// The route is there but not for this method; the header `Allow` lists those it has.
    MethodNotAllowed = "method-not-allowed", METHOD_NOT_ALLOWED, "Method not allowed";
    /// The body did not arrive in time; send it again on a better line.
    RequestTimeout = "request-timeout", REQUEST_TIMEOUT, "The body did not arrive in time";
    /// The body is larger than the route takes.
    PayloadTooLarge = "payload-too-large", PAYLOAD_TOO_LARGE, "The body is too large";
    /// The body must be sent as `Content-Type: application/json`.
    UnsupportedMediaType = "unsupported-media-type", UNSUPPORTED_MEDIA_TYPE, "The body is not declared as JSON";
    /// The body is JSON of the right shape with wrong fields; each error points to one, all of them at once.
    ValidationFailed = "validation-failed", UNPROCESSABLE_ENTITY, "Wrong fields";
    /// The model cannot value this home without the features that the errors name.
    FeatureMissing = "feature-missing", UNPROCESSABLE_ENTITY, "The model needs more features";
    /// The model does not cover this market, transaction or currency.
    MarketNotCovered = "market-not-covered", UNPROCESSABLE_ENTITY, "The model does not cover this market";
    /// The route speaks WebSocket (RFC 6455) alone: open it as one.
    UpgradeRequired = "upgrade-required", UPGRADE_REQUIRED, "A WebSocket is needed";
    /// You ask too often: the headers `RateLimit-Policy` and `RateLimit` say what is allowed and what is left; try again after `Retry-After`.
    RateLimited = "rate-limited", TOO_MANY_REQUESTS, "Too many requests";
    /// A fault of ours. The operator finds it in the log under the request id.
    Internal = "internal", INTERNAL_SERVER_ERROR, "Internal error";
    /// Too many requests are under way, or this one took too long; try again after `Retry-After`.
    Overloaded = "overloaded", SERVICE_UNAVAILABLE, "Overloaded";
    /// This process has just started and does not know yet which sessions were erased; try again after `Retry-After`.
    Starting = "starting", SERVICE_UNAVAILABLE, "Not ready yet";
    /// The store does not answer; try again after `Retry-After`.
    StoreUnavailable = "store-unavailable", SERVICE_UNAVAILABLE, "The store does not answer";
    /// The log did not take the statement: it is not recorded. Repeat it after `Retry-After`.
    LogUnavailable = "log-unavailable", SERVICE_UNAVAILABLE, "Not recorded";
    /// The log has not acknowledged the statement in time: whether it is recorded is unknown. Repeat it after `Retry-After`; recording it twice does no harm.
    OutcomeUnknown = "outcome-unknown", SERVICE_UNAVAILABLE, "Unknown whether it is recorded";
    /// This process has no model that values homes, or the model gave no usable number.
    ModelUnavailable = "model-unavailable", SERVICE_UNAVAILABLE, "No model";
}

impl Kind {
    /// The kind of that slug.
    pub fn of_slug(slug: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.slug() == slug)
    }

    /// The kind for a bare status that a library answered with.
    fn of_status(status: StatusCode) -> Self {
        match status {
            StatusCode::NOT_FOUND => Self::NotFound,
            StatusCode::METHOD_NOT_ALLOWED => Self::MethodNotAllowed,
            StatusCode::REQUEST_TIMEOUT => Self::RequestTimeout,
            StatusCode::PAYLOAD_TOO_LARGE => Self::PayloadTooLarge,
            StatusCode::UNSUPPORTED_MEDIA_TYPE => Self::UnsupportedMediaType,
            StatusCode::SERVICE_UNAVAILABLE => Self::Overloaded,
            other if other.is_client_error() => Self::BadRequest,
            _ => Self::Internal,
        }
    }
}

/// One wrong part of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Wrong {
    /// JSON pointer (RFC 6901) to the field of the body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
    /// Name of the query parameter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parameter: Option<String>,
    /// What kind of fault: `missing`, `bad_type`, `out_of_range`, `unknown_word`, `unknown_member`, `duplicate`, …
    pub code: &'static str,
    /// Names the part, its value and what was expected.
    pub message: String,
}

impl Wrong {
    /// A wrong field of the body.
    pub fn field(error: &FieldError) -> Self {
        Self {
            pointer: Some(error.pointer()),
            parameter: None,
            code: fault_code(error.fault),
            message: error.to_string(),
        }
    }

    /// The same without what looks like a token.
    fn redacted(self) -> Self {
        let hide = |text: String| redact(&text).into_owned();
        Self {
            pointer: self.pointer.map(hide),
            parameter: self.parameter.map(hide),
            code: self.code,
            message: hide(self.message),
        }
    }

    /// A wrong query parameter.
    pub fn parameter(name: &str, code: &'static str, message: String) -> Self {
        Self { pointer: None, parameter: Some(name.to_owned()), code, message }
    }
}

const fn fault_code(fault: Fault) -> &'static str {
    match fault {
        Fault::Missing => "missing",
        Fault::BadType => "bad_type",
        Fault::OutOfRange => "out_of_range",
        Fault::UnknownWord => "unknown_word",
        Fault::Duplicate => "duplicate",
        Fault::InTheFuture => "in_the_future",
        Fault::TooLarge => "too_large",
        Fault::UnknownMember => "unknown_member",
        Fault::WrongEncoding => "wrong_encoding",
        Fault::NotJson => "not_json",
        Fault::WrongShape => "wrong_shape",
        Fault::TooDeep => "too_deep",
    }
}

/// An error as a handler returns it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What kind.
    pub kind: Kind,
    /// What is wrong with this very request, and what to do.
    pub detail: String,
    /// Each wrong part.
    pub errors: Vec<Wrong>,
    /// What may be written instead of a text that means several things.
    pub candidates: Vec<String>,
    /// Seconds until a repeat makes sense.
    pub retry_after: Option<u32>,
    /// Further headers that the status asks for.
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

impl Problem {
    /// A problem without parts.
    pub fn new(kind: Kind, detail: impl Into<String>) -> Self {
        let retry_after = (kind.status() == StatusCode::SERVICE_UNAVAILABLE).then_some(1);
        Self {
            kind,
            detail: detail.into(),
            errors: Vec::new(),
            candidates: Vec::new(),
            retry_after,
            headers: Vec::new(),
        }
    }

    /// A problem of several parts; its detail counts them.
    pub fn of_parts(kind: Kind, errors: Vec<Wrong>) -> Self {
        let detail = match errors.as_slice() {
            [one] => one.message.clone(),
            many => format!("{} things are wrong with the request, see errors", many.len()),
        };
        Self { errors, ..Self::new(kind, detail) }
    }

    /// The same with a header.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// What a library's bare error answer becomes.
    pub fn of_status(status: StatusCode) -> Self {
        let kind = Kind::of_status(status);
        Self::new(kind, kind.meaning())
    }

    /// The whole answer: `instance` is the path of the request, never its query, which may hold a secret. What
    /// looks like a token is left out everywhere.
    pub fn render(self, status: StatusCode, instance: &str, request_id: &str) -> Response {
        let document = Document {
            kind: format!("/problems/{}", self.kind.slug()),
            title: self.kind.title(),
            status: status.as_u16(),
            detail: redact(&self.detail).into_owned(),
            instance: redact(instance).into_owned(),
            request_id: request_id.to_owned(),
            errors: self.errors.into_iter().map(Wrong::redacted).collect(),
            candidates: self.candidates,
        };
        // Cannot fail: texts and numbers only.
        let body = serde_json::to_vec(&document).unwrap_or_default();
        let mut response = (status, [(header::CONTENT_TYPE, "application/problem+json")], body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        headers.extend(self.headers);
        response
    }
}

/// The problem document on the wire.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Problem")]
pub struct Document {
    /// `/problems/<slug>`, served by this API.
    #[serde(rename = "type")]
    kind: String,
    /// The same for every problem of the type.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// What is wrong with this very request, and what to do.
    detail: String,
    /// The path of the request.
    instance: String,
    /// Under which the operator finds the request; also in the header `x-request-id`.
    request_id: String,
    /// Each wrong part of the request, all of them at once.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<Wrong>,
    /// What may be sent instead of a text that means several things.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    candidates: Vec<String>,
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.kind.status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            // What the driver says names hosts: it is for the operator (`/readyz`), not for the client.
            StoreError::Unavailable(_) => Self::new(Kind::StoreUnavailable, Kind::StoreUnavailable.meaning()),
            StoreError::Fatal(reason) => Self::internal(&reason),
        }
    }
}

impl Problem {
    /// A fault of ours: logged here with its reason, which the client does not get.
    pub fn internal(reason: &str) -> Self {
        tracing::error!(reason, "a request failed for a fault of ours: {reason}");
        Self::new(Kind::Internal, Kind::Internal.meaning())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_slug_is_found_again_and_every_kind_says_what_to_do() {
        for kind in Kind::ALL {
            assert_eq!(Kind::of_slug(kind.slug()), Some(*kind));
            assert!(kind.meaning().ends_with('.') && !kind.meaning().starts_with(' '), "{kind:?}: {}", kind.meaning());
            assert!(kind.status().is_client_error() || kind.status().is_server_error());
        }
    }

    #[test]
    fn a_wrong_field_is_a_json_pointer() {
        let error =
            FieldError::new("radius_km", -1, Fault::OutOfRange, "0.001 to 500").within("within").within("place");
        assert_eq!(Wrong::field(&error).pointer.as_deref(), Some("/place/within/radius_km"));
    }
}
