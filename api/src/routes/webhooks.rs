//! `/webhooks`: addresses that are told when a session's three homes change. Registered here, and nothing else: who is told, and
//! when, is `webhooks/`.

use std::sync::Arc;

use access::Caller;
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use schemars::JsonSchema;
use schemas::access::{AccessRecord, MAX_WEBHOOK_SESSIONS, Owner, Webhook, WebhookDelivery};
use schemas::field_error::{Fault, FieldError};
use schemas::id::{AccessId, SessionId};
use schemas::topic::Topic;
use schemas::units::Instant;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::stated::look;
use crate::app::App;
use crate::body::read_json;
use crate::caller::{Asker, missing, not_recorded};
use crate::duplicates::duplicates;
use crate::problem::{Kind, Problem, Wrong};
use crate::query::NoQuery;
use crate::segment::Segments;
use crate::wait::{Ask, Step, wait_for};
use crate::webhooks::{guard, reveal};

/// Largest body: the longest address and the most sessions.
const MAX_BODY_BYTES: usize = 64 * 1024;
/// Most webhooks of a session: a person's programs.
const MAX_OF_SESSION: usize = 5;
/// Most webhooks of a key: a service's environments and regions.
const MAX_OF_KEY: usize = 20;

/// Where changes are to be sent.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(example = serde_json::json!({"url": "https://example.com/hooks/roost"}))]
pub struct Registration {
    /// An https address of the public internet, without user name or fragment, at most 2,048 bytes.
    pub url: String,
    /// With an API key alone: whose changes, at most 1,000 sessions; absent: everybody's.
    #[serde(default)]
    pub sessions: Vec<SessionId>,
}

/// A webhook, with its secret.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Registered {
    /// The webhook.
    #[serde(flatten)]
    pub webhook: Shown,
    /// What its messages are signed with (Standard Webhooks): shown here and never again.
    pub secret: String,
}

/// A webhook.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ShownWebhook")]
pub struct Shown {
    /// Which.
    pub webhook_id: AccessId,
    /// Where changes are sent.
    pub url: String,
    /// Of a key's webhook: whose changes; absent: everybody's, or the session's own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sessions: Vec<SessionId>,
    /// Since when: changes before are not told.
    pub created_at: Instant,
    /// How sending goes, up to a minute ago; absent: nothing was sent yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delivery: Option<WebhookDelivery>,
}

/// The caller's webhooks.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Webhooks {
    /// The oldest first.
    pub webhooks: Vec<Shown>,
}

/// What came back from a receiver.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Tested {
    /// Whether it took the ping: it answered 2xx.
    pub delivered: bool,
    /// The status that it answered; absent: it gave no answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Why there was no answer: `timeout`, `unreachable`, `tls`, `name`, `private_address`, `protocol`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
}

impl Shown {
    fn of(webhook: &Webhook) -> Self {
        let Webhook { webhook_id, url, sessions, created_at, delivery, .. } = webhook.clone();
        Self { webhook_id, url, sessions, created_at, delivery }
    }
}

/// Registers an address that is told when the three best change.
///
/// A session's token: its own changes. An API key: those of the sessions that it names, or everybody's. Every message is signed with
/// the `secret` of the answer, which is shown this once. `docs/webhooks.md` says what is sent, how to verify it, and when it is sent again.
#[utoipa::path(
    post, path = "/webhooks", tag = "webhooks", operation_id = "register_webhook",
    request_body(content = ref("#/components/schemas/Registration"), content_type = "application/json",
        example = json!({"url": "https://example.com/hooks/roost"})),
    responses(
        (status = 201, description = "Registered.", body = ref("#/components/schemas/Registered"),
         headers(("Location" = String, description = "The webhook.")),
         example = json!({"webhook_id": "0f1e2d3c4b5a69788796a5b4c3d2e1f0", "url": "https://example.com/hooks/roost",
            "created_at": "2026-11-25T12:00:00.000Z", "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo="})),
        (status = 400, description = "Not JSON, or not an object."),
        (status = 401, description = "No token and no API key."),
        (status = 404, description = "No such session, or no webhooks here."),
        (status = 409, description = "The caller has as many as it may have."),
        (status = 422, description = "An address that is not taken, or other wrong fields."),
        (status = 503, description = "Not registered, or unknown whether it is: list them, and repeat it."),
    ),
    security(("session" = []), ("api_key" = [])),
)]
pub async fn register(
    State(app): State<Arc<App>>,
    Asker(caller): Asker,
    _: NoQuery,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    if caller == Caller::Anonymous {
        return Err(missing());
    }
    // Read whatever comes of it: who is cut off while it sends sees no answer.
    let body = read_json(&headers, body, MAX_BODY_BYTES, app.config.body_timeout).await?;
    let owner = owner(&app, caller)?;
    let Registration { url, sessions } = parse(&body, &app, &owner)?;
    if let Owner::Session(session) = owner {
        // Any text of the right form is the token of a session: of one that is there, the tables know.
        let ask = Ask::default();
        let found = wait_for(&app, ask, || look(&app, session, ask)).await?;
        if matches!(found.step, Step::NotFound | Step::LookAgain) {
            return Err(Problem::new(Kind::SessionNotFound, Kind::SessionNotFound.meaning()));
        }
    }
    let _turn = app.registering.lock().await;
    let most = if matches!(owner, Owner::Session(_)) { MAX_OF_SESSION } else { MAX_OF_KEY };
    if app.access.webhooks_of(&owner).len() >= most {
        return Err(Problem::new(Kind::TooManyWebhooks, format!("there are {most} already: delete one first")));
    }
    if !app.access.known().has_room_for_a_webhook() {
        return Err(Problem::new(Kind::Overloaded, "there are as many webhooks as this installation keeps"));
    }
    // Of the log's own time, with which that of changes is compared.
    let created_at = Instant::from_ms(app.log.append_time_ms(Topic::Recommendations, 0)).unwrap_or_else(access::now);
    let webhook =
        Webhook { webhook_id: AccessId::random(), owner, url, sessions, created_at, deleted_at: None, delivery: None };
    append(&app, webhook.clone()).await?;
    let location = format!("/api/v1/webhooks/{}", webhook.webhook_id);
    let secret = reveal(&app.access, &webhook.webhook_id);
    let head = [(header::LOCATION, location), (header::CACHE_CONTROL, "no-store".to_owned())];
    Ok((StatusCode::CREATED, head, Json(Registered { webhook: Shown::of(&webhook), secret })).into_response())
}

/// Lists the caller's webhooks.
///
/// The oldest first; their secrets are not shown again.
#[utoipa::path(
    get, path = "/webhooks", tag = "webhooks", operation_id = "list_webhooks",
    responses(
        (status = 200, description = "The webhooks, the oldest first.", body = ref("#/components/schemas/Webhooks"),
         example = json!({"webhooks": [{"webhook_id": "0f1e2d3c4b5a69788796a5b4c3d2e1f0", "url": "https://example.com/hooks/roost",
            "created_at": "2026-11-25T12:00:00.000Z"}]})),
        (status = 401, description = "No token and no API key."),
        (status = 404, description = "No webhooks here."),
    ),
    security(("session" = []), ("api_key" = [])),
)]
pub async fn list(State(app): State<Arc<App>>, Asker(caller): Asker, _: NoQuery) -> Result<Response, Problem> {
    let owner = owner(&app, caller)?;
    let mut webhooks: Vec<Shown> = app.access.webhooks_of(&owner).iter().map(|webhook| Shown::of(webhook)).collect();
    webhooks.sort_by(|a, b| (a.created_at, &a.webhook_id).cmp(&(b.created_at, &b.webhook_id)));
    Ok(private(Webhooks { webhooks }))
}

/// Reads one of the caller's webhooks, with how sending to it goes.
///
/// `delivery` is written when it changes, and otherwise at most once a minute. Another's webhook is 404.
#[utoipa::path(
    get, path = "/webhooks/{id}", tag = "webhooks", operation_id = "read_webhook",
    params(("id" = String, Path, description = "The webhook's id.", example = "0f1e2d3c4b5a69788796a5b4c3d2e1f0")),
    responses(
        (status = 200, description = "The webhook.", body = ref("#/components/schemas/ShownWebhook"),
         example = json!({"webhook_id": "0f1e2d3c4b5a69788796a5b4c3d2e1f0", "url": "https://example.com/hooks/roost",
            "created_at": "2026-11-25T12:00:00.000Z", "delivery": {"last_attempt_at": "2026-11-25T12:03:00.000Z",
            "last_success_at": "2026-11-25T12:01:00.000Z", "failing_since": "2026-11-25T12:02:00.000Z", "last_status": 500}})),
        (status = 401, description = "No token and no API key."),
        (status = 404, description = "No such webhook, or another's."),
    ),
    security(("session" = []), ("api_key" = [])),
)]
pub async fn read(
    State(app): State<Arc<App>>,
    Asker(caller): Asker,
    Segments(id): Segments<String>,
    _: NoQuery,
) -> Result<Response, Problem> {
    let webhook = own(&app, caller, &id)?;
    Ok(private(Shown::of(&webhook)))
}

/// Deletes one of the caller's webhooks.
///
/// Nothing more is sent to it, not even what waits. Another's webhook is 404.
#[utoipa::path(
    delete, path = "/webhooks/{id}", tag = "webhooks", operation_id = "delete_webhook",
    params(("id" = String, Path, description = "The webhook's id.", example = "0f1e2d3c4b5a69788796a5b4c3d2e1f0")),
    responses(
        (status = 204, description = "Deleted."),
        (status = 401, description = "No token and no API key."),
        (status = 404, description = "No such webhook, or another's."),
        (status = 503, description = "Not deleted, or unknown whether it is: repeat it."),
    ),
    security(("session" = []), ("api_key" = [])),
)]
pub async fn delete(
    State(app): State<Arc<App>>,
    Asker(caller): Asker,
    Segments(id): Segments<String>,
    _: NoQuery,
) -> Result<StatusCode, Problem> {
    let webhook = own(&app, caller, &id)?;
    append(&app, Webhook { deleted_at: Some(access::now()), ..webhook }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Sends a `ping` to one of the caller's webhooks.
///
/// Once and now; the answer says what came back. Another's webhook is 404.
#[utoipa::path(
    post, path = "/webhooks/{id}/test", tag = "webhooks", operation_id = "test_webhook",
    params(("id" = String, Path, description = "The webhook's id.", example = "0f1e2d3c4b5a69788796a5b4c3d2e1f0")),
    responses(
        (status = 200, description = "What came back.", body = ref("#/components/schemas/Tested"),
         example = json!({"delivered": true, "status": 204, "took_ms": 87})),
        (status = 401, description = "No token and no API key."),
        (status = 404, description = "No such webhook, or another's."),
        (status = 503, description = "Too many pings are under way."),
    ),
    security(("session" = []), ("api_key" = [])),
)]
pub async fn test(
    State(app): State<Arc<App>>,
    Asker(caller): Asker,
    Segments(id): Segments<String>,
    _: NoQuery,
) -> Result<Response, Problem> {
    let webhook = own(&app, caller, &id)?;
    let Some(reply) = app.webhooks.ping(&app.access, &webhook).await else {
        return Err(Problem::new(Kind::Overloaded, "too many pings are under way"));
    };
    Ok(private(Tested {
        delivered: reply.is_taken(),
        status: reply.status,
        error: reply.error.map(str::to_owned),
        took_ms: u64::try_from(reply.took.as_millis()).unwrap_or(u64::MAX),
    }))
}

fn private(body: impl Serialize) -> Response {
    ([(header::CACHE_CONTROL, "private, no-store")], Json(body)).into_response()
}

async fn append(app: &App, webhook: Webhook) -> Result<(), Problem> {
    let outcome = app.access.append(AccessRecord::Webhook(webhook)).await;
    outcome.map(drop).map_err(|error| not_recorded(&error))
}

/// Who the caller's webhooks belong to.
fn owner(app: &App, caller: Caller) -> Result<Owner, Problem> {
    let owner = match caller {
        Caller::Anonymous => return Err(missing()),
        Caller::User(user) => Owner::Session(user.session),
        Caller::Service(holder) | Caller::Admin(holder) => Owner::Key(holder.id),
    };
    if !app.webhooks.is_on() {
        return Err(Problem::new(Kind::WebhooksOff, Kind::WebhooksOff.meaning()));
    }
    // What was registered is not known before.
    if !app.access.was_read() {
        return Err(Problem::new(Kind::Starting, Kind::Starting.meaning()));
    }
    Ok(owner)
}

/// The caller's webhook of this id. Another's is answered like none.
fn own(app: &App, caller: Caller, id: &str) -> Result<Webhook, Problem> {
    let owner = owner(app, caller)?;
    let known = id.parse::<AccessId>().ok().and_then(|id| app.access.known().webhook(&id));
    let own = known.filter(|webhook| webhook.owner == owner && webhook.deleted_at.is_none());
    own.map(Arc::unwrap_or_clone).ok_or_else(|| Problem::new(Kind::WebhookNotFound, Kind::WebhookNotFound.meaning()))
}

/// Every fault at once; never the text of an address, which may hold a secret.
fn parse(body: &[u8], app: &App, owner: &Owner) -> Result<Registration, Problem> {
    let value: Value = serde_json::from_slice(body).map_err(|error| {
        Problem::new(Kind::NotJson, format!("the body is no JSON at line {}, column {}", error.line(), error.column()))
    })?;
    let Value::Object(members) = value else {
        return Err(Problem::new(Kind::NotJson, "the body is not an object (expected {\"url\": \"https://…\"})"));
    };
    let mut faults: Vec<Wrong> = duplicates(body).iter().map(Wrong::field).collect();
    for name in members.keys().filter(|name| !["url", "sessions"].contains(&name.as_str())) {
        faults.push(Wrong::field(&FieldError::new(name, "***", Fault::UnknownMember, "url and sessions alone")));
    }
    let expected = "an https address of the public internet";
    let url = match members.get("url") {
        None => Err(Wrong::field(&FieldError::new("url", "", Fault::Missing, expected))),
        Some(Value::String(text)) => guard::read(text, app.webhooks.allowed()).map_err(|reason| Wrong {
            pointer: Some("/url".to_owned()),
            parameter: None,
            code: "out_of_range",
            message: format!("url: {reason}"),
        }),
        Some(_) => Err(Wrong::field(&FieldError::new("url", "***", Fault::BadType, expected))),
    };
    let sessions = sessions(members.get("sessions"), owner);
    match (url, sessions) {
        (Ok(url), Ok(sessions)) if faults.is_empty() => Ok(Registration { url: url.into(), sessions }),
        (url, sessions) => {
            faults.extend(url.err());
            faults.extend(sessions.err().into_iter().flatten().map(|fault| Wrong::field(&fault)));
            Err(Problem::of_parts(Kind::ValidationFailed, faults))
        }
    }
}

fn sessions(value: Option<&Value>, owner: &Owner) -> Result<Vec<SessionId>, Vec<FieldError>> {
    let one = |found: &Value, fault, expected: &str| Err(vec![FieldError::new("sessions", found, fault, expected)]);
    match (value, owner) {
        (None, _) => Ok(Vec::new()),
        (Some(_), Owner::Session(_)) => {
            let expected = "nothing: a session is told of its own changes";
            Err(vec![FieldError::new("sessions", "a list", Fault::UnknownMember, expected)])
        }
        (Some(Value::Array(list)), Owner::Key(_)) if list.len() > MAX_WEBHOOK_SESSIONS => {
            let expected = format!("at most {MAX_WEBHOOK_SESSIONS}; none for everybody's");
            Err(vec![FieldError::new("sessions", format!("{} ids", list.len()), Fault::TooLarge, expected)])
        }
        // None would mean everybody: whoever sends an empty list most likely means nobody.
        (Some(Value::Array(list)), Owner::Key(_)) if list.is_empty() => {
            Err(vec![FieldError::new("sessions", "[]", Fault::OutOfRange, "at least one; absent for everybody's")])
        }
        (Some(Value::Array(list)), Owner::Key(_)) => {
            let (mut ids, mut faults) = (Vec::new(), Vec::new());
            for (at, item) in list.iter().enumerate() {
                match item.as_str().and_then(|text| text.parse::<SessionId>().ok()) {
                    Some(id) => ids.push(id),
                    None => faults.push(
                        FieldError::new(at.to_string(), item, Fault::OutOfRange, "a session id").within("sessions"),
                    ),
                }
            }
            ids.sort_unstable();
            ids.dedup();
            if faults.is_empty() { Ok(ids) } else { Err(faults) }
        }
        (Some(other), Owner::Key(_)) => one(other, Fault::BadType, "a list of session ids"),
    }
}
