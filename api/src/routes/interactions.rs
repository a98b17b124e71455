//! `POST /interactions`: what a session did with listings, in RESO's words. Recorded on the log for analysis; no score sees it.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use schemars::JsonSchema;
use schemas::field_error::{Fault, FieldError};
use schemas::id::{ListingId, SessionId};
use schemas::interaction::Interaction;
use schemas::units::Instant;
use schemas::vocabulary::{ActorType, EventType};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::preferences::traceparent;
use super::recommendations::{Away, read_now};
use crate::app::App;
use crate::body::read_json;
use crate::bots::is_bot;
use crate::caller::Session;
use crate::duplicates::duplicates;
use crate::metrics;
use crate::problem::{Kind, Problem, Wrong};
use crate::query::NoQuery;
use crate::statements::now_ms;

/// Most interactions of one request: what a page gathers while it is looked at.
const MAX_BATCH: usize = 100;
/// Largest body: 100 interactions of some 600 bytes at worst.
const MAX_BODY_BYTES: usize = 64 * 1024;
/// Most faults that are told: a body may have thousands.
const MAX_FAULTS: usize = 100;
/// How far a client's clock may be ahead, as with feeds.
const MAX_AHEAD_MS: i64 = 5 * 60_000;
/// How old an interaction may be: the topic keeps none longer.
const MAX_AGE_MS: i64 = 30 * 24 * 3_600_000;
/// What an interaction may say.
const MEMBERS: [&str; 4] = ["listing_id", "event_type", "event_timestamp", "actor_type"];

/// What a session did with a listing.
#[derive(Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(example = serde_json::json!({"listing_id": "seattle:171727", "event_type": "DetailedView"}))]
pub struct Reported {
    /// With which.
    pub listing_id: ListingId,
    /// What.
    pub event_type: EventType,
    /// When; absent: now. At most five minutes ahead and 30 days ago.
    #[serde(default)]
    pub event_timestamp: Option<Instant>,
    /// By whom; absent: `Consumer`. What a `Bot` does is not recorded.
    #[serde(default)]
    pub actor_type: Option<ActorType>,
}

/// The body, for the document alone: `parse` reads it.
#[expect(dead_code, reason = "names a schema")]
#[derive(JsonSchema)]
#[serde(untagged)]
pub enum ReportedOneOrMany {
    /// One.
    One(Reported),
    /// Up to 100.
    Many(#[schemars(length(min = 1, max = 100))] Vec<Reported>),
}

/// What became of the interactions.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Recorded {
    /// How many the log has; those of bots are left out.
    pub recorded: usize,
}

/// Records what the token's session did with listings: one interaction, or an array of up to 100.
///
/// Answers 202 only when the log has them for good; those of bots, by `actor_type` or by their `User-Agent`, are answered in the same way and
/// not recorded. On 503 repeat them, with their own `event_timestamp`: readers of the topic know a repetition by its `ce_id`. Nothing is
/// hidden or scored by it: `POST /preferences/dismissed` hides a home.
#[utoipa::path(
    post, path = "/interactions", tag = "sessions", operation_id = "record_interactions",
    request_body(content = ref("#/components/schemas/ReportedOneOrMany"), content_type = "application/json",
                 description = "One, or an array of 1 to 100."),
    responses(
        (status = 202, description = "The log has them.", body = ref("#/components/schemas/Recorded")),
        (status = 400, description = "Not JSON, or neither an object nor an array."),
        (status = 401, description = "No token."),
        (status = 404, description = "No such session."),
        (status = 422, description = "Wrong fields, all of them at once."),
        (status = 503, description = "Not recorded, or unknown whether they are: repeat them."),
    ),
    security(("session" = [])),
)]
pub async fn record(
    State(app): State<Arc<App>>,
    Session(session): Session,
    _: NoQuery,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    // Whoever invents a token has no session: nothing is recorded of it, and nothing read.
    if let Err(refused) = read_now(&app, session, Away::Refuse).await {
        serve::discard(&mut body.into_data_stream()).await;
        return Err(refused);
    }
    let body = read_json(&headers, body, MAX_BODY_BYTES, app.config.body_timeout).await?;
    let reported = parse(&body, now_ms())?;
    let agent = headers.get(header::USER_AGENT).map(|agent| String::from_utf8_lossy(agent.as_bytes()).into_owned());
    let of_bot = agent.is_some_and(|agent| is_bot(&agent));
    let all = reported.len();
    let kept: Vec<Interaction> = reported
        .into_iter()
        .filter(|one| !of_bot && one.actor_type != Some(ActorType::Bot))
        .map(|one| of(session, one))
        .collect();
    metrics::record_interactions("bot", all - kept.len());
    let outcome = app.statements.record(&kept, traceparent(&headers)).await;
    let told = match &outcome {
        Ok(()) => "recorded",
        Err(problem) if problem.kind == Kind::OutcomeUnknown => "unknown",
        Err(_) => "not_recorded",
    };
    metrics::record_interactions(told, kept.len());
    outcome?;
    let head = [(header::CACHE_CONTROL, "no-store")];
    Ok((StatusCode::ACCEPTED, head, Json(Recorded { recorded: kept.len() })).into_response())
}

fn of(session_id: SessionId, reported: Reported) -> Interaction {
    let Reported { listing_id, event_type, event_timestamp, actor_type } = reported;
    let event_timestamp = event_timestamp.or_else(|| Instant::from_ms(now_ms())).unwrap_or_default();
    Interaction {
        session_id,
        listing_id,
        event_type,
        event_timestamp,
        actor_type: actor_type.unwrap_or(ActorType::Consumer),
    }
}

/// Every fault at once.
fn parse(body: &[u8], now_ms: i64) -> Result<Vec<Reported>, Problem> {
    let value: Value =
        serde_json::from_slice(body).map_err(|error| Problem::new(Kind::NotJson, format!("the body: {error}")))?;
    let (reported, faults): (Vec<_>, Vec<_>) = match &value {
        Value::Object(members) => match one(members, now_ms) {
            Ok(one) => (vec![one], Vec::new()),
            Err(faults) => (Vec::new(), faults),
        },
        Value::Array(all) if (1..=MAX_BATCH).contains(&all.len()) => {
            let mut outcome = (Vec::new(), Vec::new());
            for (n, value) in all.iter().enumerate() {
                let read = value
                    .as_object()
                    .map(|members| one(members, now_ms))
                    .unwrap_or_else(|| Err(vec![FieldError::new("", value, Fault::BadType, "an object")]));
                match read {
                    Ok(one) => outcome.0.push(one),
                    Err(faults) => outcome.1.extend(faults.into_iter().map(|fault| of_item(n, fault))),
                }
            }
            outcome
        }
        Value::Array(all) => {
            let fault = if all.is_empty() { Fault::OutOfRange } else { Fault::TooLarge };
            let length = format!("an array of {}", all.len());
            (Vec::new(), vec![FieldError::new("", length, fault, format!("1 to {MAX_BATCH} interactions"))])
        }
        _ => return Err(Problem::new(Kind::NotJson, "the body is neither an object nor an array of them")),
    };
    let faults: Vec<FieldError> = duplicates(body).into_iter().chain(faults).collect();
    if faults.is_empty() {
        return Ok(reported);
    }
    Err(Problem::of_parts(Kind::ValidationFailed, faults.iter().take(MAX_FAULTS).map(Wrong::field).collect()))
}

fn of_item(n: usize, fault: FieldError) -> FieldError {
    if fault.field.is_empty() { fault.named(&n.to_string()) } else { fault.within(&n.to_string()) }
}

fn one(members: &Map<String, Value>, now_ms: i64) -> Result<Reported, Vec<FieldError>> {
    let mut faults = Vec::new();
    for name in members.keys().filter(|name| !MEMBERS.contains(&name.as_str())) {
        faults.push(FieldError::new(name, name, Fault::UnknownMember, format!("one of {}", MEMBERS.join(", "))));
    }
    let listing_id = text(members, "listing_id", "<feed>:<ListingKey>", &mut faults)
        .and_then(|t| keep(t.parse(), "listing_id", &mut faults));
    let event_type = text(members, "event_type", "a word of RESO's EventType", &mut faults)
        .and_then(|t| keep(t.parse(), "event_type", &mut faults));
    for (name, value) in [("listing_id", listing_id.is_none()), ("event_type", event_type.is_none())] {
        if value && members.get(name).is_none_or(Value::is_null) {
            faults.push(FieldError::new(name, "", Fault::Missing, "a text"));
        }
    }
    let actor_type = text(members, "actor_type", "a word of RESO's ActorType", &mut faults)
        .and_then(|t| keep(t.parse(), "actor_type", &mut faults));
    let expected = "RFC 3339, at most five minutes ahead and 30 days ago";
    let event_timestamp = text(members, "event_timestamp", expected, &mut faults).and_then(|text| {
        let at = text.parse::<jiff::Timestamp>().ok().and_then(|at| Instant::from_ms(at.as_millisecond()));
        let allowed = (now_ms - MAX_AGE_MS)..=(now_ms + MAX_AHEAD_MS);
        let at = at.filter(|at| allowed.contains(&at.ms()));
        if at.is_none() {
            faults.push(FieldError::new("event_timestamp", text, Fault::OutOfRange, expected));
        }
        at
    });
    match (listing_id, event_type) {
        (Some(listing_id), Some(event_type)) if faults.is_empty() => {
            Ok(Reported { listing_id, event_type, event_timestamp, actor_type })
        }
        (_, _) => Err(faults),
    }
}

/// The text of a member, if it is there; `null` is as good as absent.
fn text<'a>(
    members: &'a Map<String, Value>,
    name: &str,
    expected: &str,
    faults: &mut Vec<FieldError>,
) -> Option<&'a str> {
    match members.get(name) {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => Some(text),
        Some(other) => {
            faults.push(FieldError::new(name, other, Fault::BadType, expected));
            None
        }
    }
}

fn keep<T>(read: Result<T, FieldError>, name: &str, faults: &mut Vec<FieldError>) -> Option<T> {
    read.map_err(|fault| faults.push(fault.named(name))).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: i64 = 1_796_000_000_000;

    #[test]
    fn one_or_many_are_read_in_the_words_of_reso() {
        let one = br#"{"listing_id":"f:1","event_type":"Detailed View","event_timestamp":"2026-11-29T00:00:00Z"}"#;
        let read = parse(one, NOW_MS).unwrap();
        assert_eq!((read.len(), read[0].event_type, read[0].actor_type), (1, EventType::DetailedView, None));
        let many =
            format!("[{}]", vec![r#"{"listing_id":"f:1","event_type":"Share","actor_type":"Agent"}"#; 100].join(","));
        assert_eq!(parse(many.as_bytes(), NOW_MS).unwrap().len(), 100);
    }

    #[test]
    fn everything_wrong_is_told_at_once_with_its_place() {
        for (body, kind, pointers) in [
            (r#"{"#, Kind::NotJson, &[][..]),
            ("7", Kind::NotJson, &[]),
            ("[]", Kind::ValidationFailed, &[""]),
            ("{}", Kind::ValidationFailed, &["/listing_id", "/event_type"]),
            (
                r#"{"listing_id":"f:1","event_type":"Share","listing_id":"f:2"}"#,
                Kind::ValidationFailed,
                &["/listing_id"],
            ),
            (r#"{"listing_id":null,"event_type":1}"#, Kind::ValidationFailed, &["/event_type", "/listing_id"]),
            (
                r#"[{"listing_id":"f:1","event_type":"Look"},{"listing_id":"f:1","event_type":"Share","x":1},7]"#,
                Kind::ValidationFailed,
                &["/0/event_type", "/1/x", "/2"],
            ),
            (
                r#"{"listing_id":"f:1","event_type":"Share","event_timestamp":"2031-01-01T00:00:00Z"}"#,
                Kind::ValidationFailed,
                &["/event_timestamp"],
            ),
        ] {
            let problem = parse(body.as_bytes(), NOW_MS).unwrap_err();
            let mut told: Vec<_> = problem.errors.iter().filter_map(|wrong| wrong.pointer.as_deref()).collect();
            let mut expected = pointers.to_vec();
            told.sort_unstable();
            expected.sort_unstable();
            assert_eq!((problem.kind, told), (kind, expected), "{body}");
        }
        let many = format!("[{}]", vec!["{}"; 101].join(","));
        assert_eq!(parse(many.as_bytes(), NOW_MS).unwrap_err().errors.len(), 1);
    }
}
