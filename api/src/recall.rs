//! Answers about homes and markets that this process gave lately: what it answers while the store is away, marked as stale. A layer
//! around routes whose answer is the same for everybody.
//!
//! Knows no route. Answers of sessions are not here: those are rows, see `recent.rs`.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant as Moment};

use axum::body::{Body, Bytes, HttpBody as _, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use schemas::units::Instant;
use serde_json::{Map, Value, json};

use crate::app::App;
use crate::generations::Generations;
use crate::metrics;
use crate::problem::{Kind, Problem};
use crate::statements::now_ms;

/// Most answers of one of the two generations, and the longest that is kept: 2,000 in all, 64 MB at worst; an answer about a home has
/// some 3 kB.
const MAX_ANSWERS: usize = 1_000;
const MAX_ANSWER_BYTES: usize = 32 * 1024;
/// Longest path and query that an answer is kept under.
const MAX_KEY_BYTES: usize = 512;
/// An answer is not given any more after this: its home may have been withdrawn, or its seller may want it hidden.
const MAX_AGE: Duration = Duration::from_secs(600);

/// The answers.
#[derive(Debug)]
pub struct Answers(Mutex<Generations<String, Answer>>);

impl Default for Answers {
    fn default() -> Self {
        Self(Mutex::new(Generations::new(MAX_ANSWERS)))
    }
}

#[derive(Clone, Debug)]
struct Answer {
    body: Bytes,
    given: Moment,
    at_ms: i64,
}

impl Answers {
    fn keep(&self, key: String, body: Bytes) {
        let answer = Answer { body, given: Moment::now(), at_ms: now_ms() };
        self.lock().insert(key, answer);
    }

    fn get(&self, key: &str) -> Option<Answer> {
        self.lock().get(key).filter(|answer| answer.given.elapsed() <= MAX_AGE).cloned()
    }

    fn forget(&self, key: &str) {
        self.lock().remove(key);
    }

    fn lock(&self) -> MutexGuard<'_, Generations<String, Answer>> {
        // Nothing can panic while it is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps what is answered; while the store is away, answers what was.
pub async fn recall(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    // A HEAD is asked as a GET here and its body left out further out.
    let key = request.uri().path_and_query().map_or("", |path| path.as_str());
    if !matches!(*request.method(), Method::GET | Method::HEAD) || key.len() > MAX_KEY_BYTES {
        return next.run(request).await;
    }
    let (key, is_get) = (key.to_owned(), request.method() == Method::GET);
    let response = next.run(request).await;
    let away = response.extensions().get::<Problem>().is_some_and(|problem| problem.kind == Kind::StoreUnavailable);
    match (response.status(), app.answers.get(&key)) {
        (_, Some(answer)) if away => {
            metrics::record_stale_read();
            stale(&answer).unwrap_or(response)
        }
        (StatusCode::OK, _) if is_get => kept(&app.answers, key, response).await,
        (StatusCode::NOT_FOUND, Some(_)) => {
            app.answers.forget(&key);
            response
        }
        (_, _) => response,
    }
}

/// Keeps the body of an answer, if it is whole already and small.
async fn kept(answers: &Answers, key: String, response: Response) -> Response {
    let (parts, body) = response.into_parts();
    if body.size_hint().exact().is_none_or(|length| length > MAX_ANSWER_BYTES as u64) {
        return Response::from_parts(parts, body);
    }
    match to_bytes(body, MAX_ANSWER_BYTES).await {
        Ok(bytes) => {
            answers.keep(key, bytes.clone());
            Response::from_parts(parts, Body::from(bytes))
        }
        // Cannot happen: the length is known, and the bytes are there.
        Err(error) => Problem::internal(&error.to_string()).into_response(),
    }
}

/// The answer, with `stale` and when it was true.
fn stale(Answer { body, given, at_ms }: &Answer) -> Option<Response> {
    let mut members: Map<String, Value> = serde_json::from_slice(body).ok()?;
    members.insert("stale".to_owned(), json!(true));
    members.insert("as_of".to_owned(), json!(Instant::from_ms(*at_ms)));
    let head = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (header::AGE, HeaderValue::from(given.elapsed().as_secs())),
    ];
    Some((head, Value::Object(members).to_string()).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_answer_says_so_and_keeps_the_rest() {
        let body = Bytes::from_static(br#"{"listing_id":"a:1","list_price":1}"#);
        let answer = Answer { body, given: Moment::now(), at_ms: 1_796_000_000_000 };
        let response = stale(&answer).unwrap();
        assert_eq!(response.headers()[header::AGE], "0");
        assert!(stale(&Answer { body: Bytes::from_static(b"[]"), ..answer }).is_none());
    }

    #[test]
    fn the_number_of_answers_is_bounded_and_an_old_one_is_none() {
        let answers = Answers::default();
        for n in 0..10 * MAX_ANSWERS {
            answers.keep(n.to_string(), Bytes::new());
            assert!(answers.lock().len() <= 2 * MAX_ANSWERS);
        }
        let newest = (10 * MAX_ANSWERS - 1).to_string();
        assert!(answers.get(&newest).is_some() && answers.get("0").is_none());
        let long_ago = Moment::now().checked_sub(MAX_AGE + Duration::from_secs(1));
        if let (Some(given), Some(answer)) = (long_ago, answers.lock().get_mut(&newest)) {
            answer.given = given;
        }
        if long_ago.is_some() {
            assert!(answers.get(&newest).is_none());
        }
    }
}
