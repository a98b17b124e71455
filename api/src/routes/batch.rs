//! `POST /ml/predict-price/batch`: many homes, a line each, in and out at the same time.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::{Body, BodyDataStream, Bytes};
use axum::extract::{OriginalUri, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use futures::StreamExt as _;
use schemars::JsonSchema;
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use crate::app::App;
use crate::appraise::Appraiser;
use crate::body::refuse_coded;
use crate::problem::{Kind, Problem, Wrong};
use crate::query::Query;
use crate::routes::appraisal::{Extra, MAX_BODY_BYTES, Prediction, prediction};
use crate::statements::now_ms;

/// Most homes of a batch.
pub const MAX_ROWS: usize = 10_000;
/// Homes that go to a thread together: some 10 ms of work, so that answers come while others are still being sent.
const TOGETHER: usize = 64;
/// What lines of JSON are called.
const NDJSON: &str = "application/x-ndjson";

/// What became of one line.
#[derive(Debug, Serialize, JsonSchema)]
pub struct BatchLine {
    /// Its number in the request, from 1.
    line: usize,
    /// What the home is worth.
    #[serde(skip_serializing_if = "Option::is_none")]
    prediction: Option<Prediction>,
    /// Why it is not valued.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<LineProblem>,
}

/// A problem document without what belongs to a whole request.
#[derive(Debug, Serialize, JsonSchema)]
pub struct LineProblem {
    /// `/problems/<slug>`, served by this API.
    #[serde(rename = "type")]
    kind: String,
    /// The same for every problem of the type.
    title: &'static str,
    /// The HTTP status that the line would have had by itself.
    status: u16,
    /// What is wrong with this very line, and what to do.
    detail: String,
    /// Each wrong part of the line.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<Wrong>,
}

/// Values many homes.
///
/// One RESO object a line (NDJSON), at most 10,000 of at most 64 KiB each, as `/ml/predict-price` takes them. Answers come as
/// lines too, in the same order, each with the number of its line and either a `prediction` or a `problem`; the first ones while the
/// last homes are still being sent. Empty lines are skipped. Nothing is recorded.
#[utoipa::path(
    post, path = "/ml/predict-price/batch", tag = "models", operation_id = "predict_prices",
    params(("extra" = Option<String>, Query, description = "`ignore`: members that nobody sees are no mistake.")),
    request_body(content = String, content_type = "application/x-ndjson", description = "One home a line.",
                 example = "{\"Country\": \"US\", \"StateOrProvince\": \"WA\", \"City\": \"Seattle\", \"LivingArea\": 1500, \"BedroomsTotal\": 3}\n"),
    responses(
        (status = 200, description = "A line for each home, each a `BatchLine`.", body = String, content_type = "application/x-ndjson",
         example = "{\"line\":1,\"prediction\":{\"market\":\"us/wa/seattle\",\"currency\":\"USD\",\"valuation\":{\"p10\":135000,\"p50\":150000,\"p90\":165000,\"model\":\"price\",\"model_version\":\"1\"}}}\n"),
        (status = 415, description = "The body is not declared as lines of JSON."),
        (status = 503, description = "No model, or too many batches under way."),
    ),
)]
pub async fn predict_batch(
    State(app): State<Arc<App>>,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let mut query = Query::read(&uri, &["extra"]);
    let extra = Extra::asked(&mut query);
    query.finish()?;
    refuse_coded(&headers)?;
    if !is_ndjson(&headers) {
        let detail = format!("a batch is one home a line (expected Content-Type {NDJSON})");
        return Err(Problem::new(Kind::UnsupportedMediaType, detail)
            .with_header(header::ACCEPT, HeaderValue::from_static(NDJSON)));
    }
    let Some(appraiser) = app.appraiser.clone() else {
        return Err(Problem::new(Kind::ModelUnavailable, "this process has no model"));
    };
    let permit = Arc::clone(&app.batches).try_acquire_owned();
    let permit = permit.map_err(|_| Problem::new(Kind::Overloaded, "too many batches are under way"))?;
    // Room for every answer: a client that reads nothing before it has sent everything must not wait for ever.
    let (answers, answered) = mpsc::channel(MAX_ROWS + 1);
    let batch = Batch { app, appraiser, extra, answers, line: 0, rows: 0 };
    tokio::spawn(batch.run(body.into_data_stream(), permit));
    let lines = futures::stream::unfold(answered, async |mut answered| {
        let line: Bytes = answered.recv().await?;
        Some((Ok::<_, Infallible>(line), answered))
    });
    let content_type = [(header::CONTENT_TYPE, HeaderValue::from_static(NDJSON))];
    Ok((content_type, Body::from_stream(lines)).into_response())
}

fn is_ndjson(headers: &HeaderMap) -> bool {
    let declared = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = declared.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    ["application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines"]
        .contains(&essence.as_str())
}

/// A batch under way.
struct Batch {
    app: Arc<App>,
    appraiser: Arc<dyn Appraiser>,
    extra: Extra,
    answers: mpsc::Sender<Bytes>,
    /// The last line that was taken.
    line: usize,
    /// Lines that were not empty.
    rows: usize,
}

/// Nobody listens any more, or the batch may not go on.
struct Over;

impl Batch {
    async fn run(mut self, mut body: BodyDataStream, permit: OwnedSemaphorePermit) {
        // Either way the answer ends, and whoever looks sees after which line.
        if self.take_all(&mut body).await.is_err() {
            // Who still sends would not read the answer, but find the connection gone.
            serve::discard(&mut body).await;
        }
        drop(permit);
    }

    async fn take_all(&mut self, body: &mut BodyDataStream) -> Result<(), Over> {
        let (mut rest, mut homes) = (Vec::new(), Vec::new());
        loop {
            let chunk = match tokio::time::timeout(self.app.config.body_timeout, body.next()).await {
                Ok(None) => break,
                Ok(Some(Ok(chunk))) => chunk,
                Ok(Some(Err(_))) => return self.end(Kind::BadRequest, "the body ended before it was complete"),
                Err(_) => return self.end(Kind::RequestTimeout, "the next line did not arrive in time"),
            };
            rest.extend_from_slice(&chunk);
            if let Some(last) = rest.iter().rposition(|byte| *byte == b'\n') {
                let part = rest.split_off(last + 1);
                for line in std::mem::replace(&mut rest, part)[..last].split(|byte| *byte == b'\n') {
                    self.take_line(line, &mut homes).await?;
                }
            }
            if rest.len() > MAX_BODY_BYTES {
                self.value(&mut homes).await?;
                return self.end(Kind::PayloadTooLarge, &format!("a line is longer than {MAX_BODY_BYTES} bytes"));
            }
            if !homes.is_empty() {
                self.value(&mut homes).await?;
            }
        }
        self.take_line(&rest, &mut homes).await?;
        self.value(&mut homes).await
    }

    async fn take_line(&mut self, line: &[u8], homes: &mut Vec<(usize, Vec<u8>)>) -> Result<(), Over> {
        self.line += 1;
        let text = line.trim_ascii();
        if text.is_empty() {
            return Ok(());
        }
        if self.rows == MAX_ROWS {
            self.value(homes).await?;
            self.line -= 1;
            return self
                .end(Kind::PayloadTooLarge, &format!("a batch has at most {MAX_ROWS} homes: send the rest by itself"));
        }
        self.rows += 1;
        if text.len() > MAX_BODY_BYTES {
            self.value(homes).await?;
            let detail = format!("the line is too long (expected at most {MAX_BODY_BYTES} bytes)");
            return self.tell(self.line, Err(Problem::new(Kind::PayloadTooLarge, detail)));
        }
        homes.push((self.line, text.to_vec()));
        if homes.len() == TOGETHER {
            self.value(homes).await?;
        }
        Ok(())
    }

    /// Values the homes on a thread that may block, and tells what became of each.
    async fn value(&self, homes: &mut Vec<(usize, Vec<u8>)>) -> Result<(), Over> {
        let (homes, appraiser) = (std::mem::take(homes), Arc::clone(&self.appraiser));
        let first = homes.first().map_or(self.line, |(line, _)| *line);
        let extra = self.extra;
        let value = move || {
            let known = extra.known_to(&*appraiser);
            let value = |body: &[u8]| prediction(known.home(body, now_ms())?, false, &*appraiser);
            homes.iter().map(|(line, body)| (*line, value(body))).collect::<Vec<_>>()
        };
        match tokio::task::spawn_blocking(value).await {
            Ok(valued) => valued.into_iter().try_for_each(|(line, outcome)| self.tell(line, outcome)),
            Err(error) => {
                let _: Result<(), Over> = self.tell(first, Err(Problem::internal(&format!("a valuation: {error}"))));
                Err(Over)
            }
        }
    }

    /// The last line of the answer: why the rest of the batch is not valued.
    fn end(&self, kind: Kind, detail: &str) -> Result<(), Over> {
        self.tell(self.line + 1, Err(Problem::new(kind, detail)))?;
        Err(Over)
    }

    fn tell(&self, line: usize, outcome: Result<Prediction, Problem>) -> Result<(), Over> {
        let (prediction, problem) = match outcome {
            Ok(prediction) => (Some(prediction), None),
            Err(problem) => (None, Some(LineProblem::of(problem))),
        };
        // Cannot fail: texts and numbers only.
        let mut text = serde_json::to_vec(&BatchLine { line, prediction, problem }).unwrap_or_default();
        text.push(b'\n');
        self.answers.try_send(text.into()).map_err(|_| Over)
    }
}

impl LineProblem {
    /// Of a problem.
    pub fn of(problem: Problem) -> Self {
        Self {
            kind: format!("/problems/{}", problem.kind.slug()),
            title: problem.kind.title(),
            status: problem.kind.status().as_u16(),
            detail: problem.detail,
            errors: problem.errors,
        }
    }
}
