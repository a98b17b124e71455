//! Every error of the push port as an RFC 9457 problem document. This list is the documentation.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use schemas::dead_letter::Code;
use schemas::reso::Refusal;
use serde::Serialize;

use super::answer::Answer;

/// The kind of a problem: one per thing that a client can do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The feed's name in the path is none.
    BadFeed,
    /// The request's query has a parameter, and no route here knows any.
    UnknownParameter,
    /// The request is no well-formed HTTP request: its body breaks off.
    BadRequest,
    /// The body is declared as a form, or as compressed.
    UnsupportedMediaType,
    /// The body is not JSON, not UTF-8, or neither a listing, a batch nor lines of them.
    NotJson,
    /// Every record of the body was refused; `records` says why.
    ValidationFailed,
    /// There is no API key, or it is none, has expired or was revoked.
    Unauthenticated,
    /// The key is for other feeds, or the token is a session's.
    Forbidden,
    /// It is not known yet which keys there are.
    Starting,
    /// There is no such route.
    NotFound,
    /// The route is there but not for this method.
    MethodNotAllowed,
    /// The body did not arrive in time.
    RequestTimeout,
    /// The body is larger, or has more records, than one push may have.
    PayloadTooLarge,
    /// Too many pushes at a time: nothing of this one was taken.
    Overloaded,
    /// The log has not acknowledged in time: unknown, repeat. Pushing a record twice does no harm.
    OutcomeUnknown,
    /// `listings.priced` is not yet read to its end.
    NotReady,
    /// A fault of ours.
    Internal,
}

impl Kind {
    const fn parts(self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::BadFeed => (StatusCode::BAD_REQUEST, "bad-feed", "Not the name of a feed"),
            Self::UnknownParameter => (StatusCode::BAD_REQUEST, "unknown-parameter", "Unknown query parameter"),
            Self::BadRequest => (StatusCode::BAD_REQUEST, "bad-request", "Malformed request"),
            Self::UnsupportedMediaType => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type", "The body is not declared as JSON")
            }
            Self::NotJson => (StatusCode::BAD_REQUEST, "not-json", "The body is not usable JSON"),
            Self::ValidationFailed => {
                (StatusCode::UNPROCESSABLE_ENTITY, "validation-failed", "Every record is refused")
            }
            Self::Unauthenticated => (StatusCode::UNAUTHORIZED, "unauthenticated", "An API key is needed"),
            Self::Forbidden => (StatusCode::FORBIDDEN, "forbidden", "Not for this caller"),
            Self::Starting => (StatusCode::SERVICE_UNAVAILABLE, "starting", "Not ready yet"),
            Self::NotFound => (StatusCode::NOT_FOUND, "not-found", "No such route"),
            Self::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "Method not allowed"),
            Self::RequestTimeout => (StatusCode::REQUEST_TIMEOUT, "request-timeout", "The body did not arrive in time"),
            Self::PayloadTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "payload-too-large", "The body is too large"),
            Self::Overloaded => (StatusCode::SERVICE_UNAVAILABLE, "overloaded", "Overloaded"),
            Self::OutcomeUnknown => {
                (StatusCode::SERVICE_UNAVAILABLE, "outcome-unknown", "Unknown whether it is recorded: repeat")
            }
            Self::NotReady => (StatusCode::SERVICE_UNAVAILABLE, "not-ready", "The listings are still being read"),
            Self::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "internal", "Internal error"),
        }
    }
}

/// A problem document. Boxed, since it is the rare side of every `Result` here.
#[derive(Debug)]
pub(super) struct Problem(Box<Document>);

#[derive(Debug, Serialize)]
struct Document {
    #[serde(rename = "type")]
    kind: String,
    title: &'static str,
    status: u16,
    detail: String,
    /// The code of dead letters, where a body was refused as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
    /// The answer that the problem stands for.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    answer: Option<Answer>,
    /// Of the header `Allow`.
    #[serde(skip)]
    allow: Option<&'static str>,
}

impl Problem {
    pub(super) fn new(kind: Kind, detail: impl Into<String>) -> Self {
        let (status, slug, title) = kind.parts();
        Self(Box::new(Document {
            kind: format!("urn:roost:problem:{slug}"),
            title,
            status: status.as_u16(),
            detail: detail.into(),
            code: None,
            answer: None,
            allow: None,
        }))
    }

    /// The body is refused as a whole.
    pub(super) fn of(refusal: &Refusal) -> Self {
        let kind = if refusal.code == Code::TooLarge { Kind::PayloadTooLarge } else { Kind::NotJson };
        let mut problem = Self::new(kind, refusal.message.clone());
        problem.0.code = Some(refusal.code.as_str());
        problem
    }

    /// None of the records was taken.
    pub(super) fn all_refused(answer: Answer) -> Self {
        let detail = format!("all {} records are refused; `records` says why", answer.refused);
        let mut problem = Self::new(Kind::ValidationFailed, detail);
        problem.0.answer = Some(answer);
        problem
    }

    pub(super) fn allowing(mut self, methods: &'static str) -> Self {
        self.0.allow = Some(methods);
        self
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let Self(document) = self;
        // The status comes from one of axum's own.
        let status = StatusCode::from_u16(document.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        // Texts and numbers alone: writing them cannot fail.
        let body = serde_json::to_vec(&document).unwrap_or_default();
        let mut response = (status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"roost feeds\""));
        }
        if let Some(methods) = document.allow {
            headers.insert(header::ALLOW, HeaderValue::from_static(methods));
        }
        response
    }
}
