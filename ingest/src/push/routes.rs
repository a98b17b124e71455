//! The two routes of the push port, and an answer in the same form for everything else.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use axum::Router;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::middleware::from_fn;
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
use super::porter::Porter;
use super::problem::{Kind, Problem};
use super::receive::Receiver;
use crate::config::PushConfig;
use crate::metrics::{self, Tally};

/// Most pushes that are decoded and appended at a time. A push takes its turn when its body is there, so that slow clients
/// keep nobody out, and keeps it until the work has ended, also when its client has gone: with the largest body this bounds
/// what decoding can make the process hold (at 8 MiB, 128 MiB of records). What the bodies take, `receive.rs` bounds.
const MAX_PUSHES: usize = 16;
/// How long a push waits for its turn.
const TURN_TIMEOUT: Duration = Duration::from_secs(2);

/// What the routes share.
pub(super) struct Shared {
    pub(super) config: PushConfig,
    pub(super) appender: Appender,
    pub(super) keys: Arc<Keys>,
    pub(super) porter: Porter,
    receiver: Receiver,
    turns: Arc<Semaphore>,
}

impl Shared {
    pub(super) fn new(config: PushConfig, porter: Porter, appender: Appender, keys: Keys) -> Self {
        let receiver = Receiver::new(config.max_body_bytes, config.body_timeout);
        Self { config, appender, keys: Arc::new(keys), porter, receiver, turns: Arc::new(Semaphore::new(MAX_PUSHES)) }
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
        .layer(from_fn(|request, next| {
            serve::guarded(request, next, || {
                let detail =
                    "a fault of ours; the log of ingest has it. Whether the records are recorded is unknown: repeat";
                measured("other", Instant::now(), Problem::new(Kind::Internal, detail))
            })
        }))
        .with_state(shared)
}

/// No route knows a parameter; one that is given was meant to do something.
fn no_query(uri: &Uri) -> Result<(), Problem> {
    match uri.query().filter(|query| !query.is_empty()) {
        None => Ok(()),
        Some(query) => {
            let name: String = query.split(['=', '&']).next().unwrap_or_default().chars().take(64).collect();
            let detail = format!("{name} is not a parameter of this route (it has none; the feed stands in the path)");
            Err(Problem::new(Kind::UnknownParameter, detail))
        }
    }
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
    let (parts, body) = request.into_parts();
    no_query(&parts.uri)?;
    if let Err(refused) = shared.porter.admit(&parts.headers, &feed).await {
        // Read and thrown away, so that its client reads the answer.
        serve::discard(&mut body.into_data_stream()).await;
        return Err(refused);
    }
    let received = shared.receiver.receive(&parts.headers, body).await?;
    let turn = tokio::time::timeout(TURN_TIMEOUT, Arc::clone(&shared.turns).acquire_owned()).await;
    let Ok(Ok(turn)) = turn else {
        let detail = format!("{MAX_PUSHES} pushes are under way; nothing of this one was taken");
        return Err(Problem::new(Kind::Overloaded, detail));
    };
    let content_type = parts.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let form = Form::of(content_type, received.bytes());
    let deadline = Instant::now() + shared.config.ack_timeout;

    // Decoding megabytes and waiting for room in a queue: not for the threads that serve requests.
    let at_log = shared.clone();
    let outcome = tokio::task::spawn_blocking(move || {
        let mut tally = Tally::default();
        let checked = check(form, received.bytes(), &feed, now_ms()).map_err(|refusal| {
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
        drop(received);
        let refused = answers.len();
        if records.is_empty() {
            return Err(Problem::all_refused(Answer { feed, accepted: 0, refused, records: answers }));
        }
        let append = at_log.appender.append(records, deadline).map_err(unknown)?;
        // The turn goes with the work: a client that hangs up frees nothing before its time.
        Ok((feed, answers, ids, append, turn))
    })
    .await;
    let (feed, mut answers, ids, append, _turn) =
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

/// The answer of `GET /feeds/{feed}/keys`.
#[derive(Serialize)]
struct KeysAnswer {
    feed: FeedName,
    /// How many.
    count: usize,
    /// `ListingKey`s of homes on offer or pending, sorted.
    keys: Vec<String>,
}

async fn keys(
    State(shared): State<Arc<Shared>>,
    path: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    uri: Uri,
) -> Response {
    let since = Instant::now();
    let answer = async {
        no_query(&uri)?;
        let feed = feed_of(path)?;
        shared.porter.admit(&headers, &feed).await?;
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
