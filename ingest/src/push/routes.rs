//! The two routes of the push port, and an answer in the same form for everything else.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use axum::Router;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use schemas::id::FeedName;
use serde::Serialize;
use tokio::sync::Semaphore;

use super::answer::{Answer, RecordAnswer};
use super::append::Appender;
use super::body::Form;
use super::check::check;
use super::keys::{Keys, NoKeys};
use super::problem::{Kind, Problem};
use crate::config::PushConfig;
use crate::metrics::{self, Tally};

/// Most pushes at a time: with the largest body this bounds what the port can make the process hold (at 8 MiB, 128 MiB of
/// bodies and about as much of records under way).
const MAX_PUSHES: usize = 16;
/// How long a push waits for its turn.
const TURN_TIMEOUT: Duration = Duration::from_secs(2);

/// What the routes share.
pub(super) struct Shared {
    pub(super) config: PushConfig,
    pub(super) appender: Appender,
    pub(super) keys: Arc<Keys>,
    turns: Semaphore,
}

impl Shared {
    pub(super) fn new(config: PushConfig, appender: Appender, keys: Keys) -> Self {
        Self { config, appender, keys: Arc::new(keys), turns: Semaphore::new(MAX_PUSHES) }
    }
}

pub(super) fn router(shared: Arc<Shared>) -> Router {
    let only = |methods: &'static str| {
        move || async move {
            let detail = format!("this route is there for {methods} only");
            measured("other", Instant::now(), Problem::new(Kind::MethodNotAllowed, detail).allowing(methods))
        }
    };
    Router::new()
        .route("/feeds/{feed}/listings", post(push).fallback(only("POST")))
        .route("/feeds/{feed}/keys", get(keys).fallback(only("GET, HEAD")))
        .fallback(|| async {
            let detail = "there are POST /feeds/{feed}/listings and GET /feeds/{feed}/keys";
            measured("other", Instant::now(), Problem::new(Kind::NotFound, detail))
        })
        .with_state(shared)
}

fn measured(route: &'static str, since: Instant, answer: impl IntoResponse) -> Response {
    let response = answer.into_response();
    metrics::record_push(route, response.status().as_u16(), since.elapsed());
    response
}

fn feed_of(path: Result<Path<String>, PathRejection>) -> Result<FeedName, Problem> {
    let Path(name) = path.map_err(|rejection| Problem::new(Kind::BadFeed, rejection.body_text()))?;
    name.parse().map_err(|error: schemas::field_error::FieldError| Problem::new(Kind::BadFeed, error.to_string()))
}

async fn push(
    State(shared): State<Arc<Shared>>,
    path: Result<Path<String>, PathRejection>,
    request: Request,
) -> Response {
    let since = Instant::now();
    measured("/feeds/{feed}/listings", since, pushed(shared, path, request).await)
}

async fn pushed(
    shared: Arc<Shared>,
    path: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response, Problem> {
    let feed = feed_of(path)?;
    let turn = tokio::time::timeout(TURN_TIMEOUT, shared.turns.acquire()).await;
    let Ok(Ok(_turn)) = turn else {
        let detail = format!("{MAX_PUSHES} pushes are under way; nothing of this one was taken");
        return Err(Problem::new(Kind::Overloaded, detail));
    };
    let (parts, body) = request.into_parts();
    let content_type = parts.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let body = whole_body(body, &shared.config).await?;
    let form = Form::of(content_type, &body);
    let deadline = Instant::now() + shared.config.ack_timeout;

    // Decoding megabytes and waiting for room in a queue: not for the threads that serve requests.
    let at_log = shared.clone();
    let outcome = tokio::task::spawn_blocking(move || {
        let mut tally = Tally::default();
        let checked = check(form, &body, &feed, now_ms()).map_err(|refusal| {
            tally.refused(&feed, refusal.code);
            metrics::record_pushed(&mut tally);
            Problem::of(&refusal)
        })?;
        let (mut answers, mut ids, mut records) = (Vec::with_capacity(checked.len()), Vec::new(), Vec::new());
        for (index, record) in checked.into_iter().enumerate() {
            match record {
                Ok((listing_id, record)) => {
                    ids.push((index, listing_id));
                    records.push(record);
                }
                Err(refusal) => {
                    tally.refused(&feed, refusal.code);
                    answers.push(RecordAnswer::refused(index, &refusal));
                }
            }
        }
        metrics::record_pushed(&mut tally);
        let refused = answers.len();
        if records.is_empty() {
            return Err(Problem::all_refused(Answer { feed, accepted: 0, refused, records: answers }));
        }
        let append = at_log.appender.append(records, deadline).map_err(unknown)?;
        Ok((feed, answers, ids, append))
    })
    .await;
    let (feed, mut answers, ids, append) =
        outcome.map_err(|_| Problem::new(Kind::Internal, "the push could not be worked on"))??;

    let places = append.acknowledged(deadline).await.map_err(unknown)?;
    let (accepted, refused) = (ids.len(), answers.len());
    answers.extend(ids.into_iter().zip(places).map(|((index, listing_id), place)| RecordAnswer::Accepted {
        index,
        listing_id,
        partition: place.partition,
        offset: place.offset,
    }));
    answers.sort_by_key(RecordAnswer::index);
    let status = if refused == 0 { StatusCode::OK } else { StatusCode::MULTI_STATUS };
    Ok((status, axum::Json(Answer { feed, accepted, refused, records: answers })).into_response())
}

fn unknown(reason: super::append::Unknown) -> Problem {
    let detail = format!("{reason}: whether the records are recorded is unknown; repeat, twice does no harm");
    Problem::new(Kind::OutcomeUnknown, detail)
}

async fn whole_body(body: Body, config: &PushConfig) -> Result<axum::body::Bytes, Problem> {
    match tokio::time::timeout(config.body_timeout, axum::body::to_bytes(body, config.max_body_bytes)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error)) if is_too_large(&error) => {
            let detail = format!("the body has more than {} bytes; send it in parts", config.max_body_bytes);
            Err(Problem::new(Kind::PayloadTooLarge, detail))
        }
        Ok(Err(error)) => Err(Problem::new(Kind::RequestTimeout, format!("the body broke off: {error}"))),
        Err(_) => {
            let detail = format!("the body did not arrive within {} s", config.body_timeout.as_secs_f64());
            Err(Problem::new(Kind::RequestTimeout, detail))
        }
    }
}

/// axum says it with an error that wraps one of a crate it does not show.
fn is_too_large(error: &axum::Error) -> bool {
    std::error::Error::source(error).is_some_and(|source| source.to_string().contains("length limit exceeded"))
}

/// The answer of `GET /feeds/{feed}/keys`.
#[derive(Serialize)]
struct KeysAnswer {
    feed: FeedName,
    /// How many.
    count: usize,
    /// `ListingKey`s of homes on offer or pending, sorted.
    keys: Vec<String>,
}

async fn keys(State(shared): State<Arc<Shared>>, path: Result<Path<String>, PathRejection>) -> Response {
    let since = Instant::now();
    let answer = async {
        let feed = feed_of(path)?;
        let deadline = since + shared.config.keys_timeout;
        match shared.keys.of(&feed, deadline).await {
            Ok(keys) => Ok(axum::Json(KeysAnswer { feed, count: keys.len(), keys })),
            Err(error @ (NoKeys::NotRead | NoKeys::Log(_) | NoKeys::Thread(_))) => {
                Err(Problem::new(Kind::NotReady, error.to_string()))
            }
        }
    };
    measured("/feeds/{feed}/keys", since, answer.await)
}

fn now_ms() -> i64 {
    // Before 1970 the clock is wrong by more than anything here could mend.
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}
