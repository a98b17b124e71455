//! The body of a push: refused by its headers where they tell enough, else read within its limit, in time, and within the
//! memory that all bodies have together.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use futures::StreamExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::problem::{Kind, Problem};

/// How many of the largest bodies fit at a time (at 8 MiB, 256 MiB): twice as many as are worked on. A body takes of it
/// what has arrived of it, so that many slow clients with little hold little.
const LARGEST_BODIES: usize = 32;
/// Reserved for an announced body before it is there: usual pushes are never copied as they grow. What has not arrived is
/// address space, not memory; with [`crate::config::PushConfig::max_connections`] of 256 that is 256 MiB at most.
const RESERVED_BYTES: usize = 1024 * 1024;

/// Receives bodies.
pub(super) struct Receiver {
    limit: usize,
    timeout: Duration,
    /// A permit is a byte.
    room: Arc<Semaphore>,
}

/// A body that is there, and its room.
pub(super) struct Received {
    bytes: Vec<u8>,
    /// Given back with the bytes.
    _room: Option<OwnedSemaphorePermit>,
}

impl Received {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl Receiver {
    pub(super) fn new(limit: usize, timeout: Duration) -> Self {
        let room = limit.saturating_mul(LARGEST_BODIES).min(Semaphore::MAX_PERMITS);
        Self { limit, timeout, room: Arc::new(Semaphore::new(room)) }
    }

    /// Reads a body. What is left of a refused one is read and thrown away, so that its client reads the answer.
    pub(super) async fn receive(&self, headers: &HeaderMap, body: Body) -> Result<Received, Problem> {
        let mut body = body.into_data_stream();
        let received = async {
            let announced = self.check(headers)?;
            self.read(&mut body, announced).await
        };
        match tokio::time::timeout(self.timeout, received).await {
            Ok(Ok(received)) => Ok(received),
            Ok(Err(problem)) => {
                serve::discard(&mut body).await;
                Err(problem)
            }
            Err(_) => {
                let detail = format!("the body did not arrive within {} s", self.timeout.as_secs_f64());
                Err(Problem::new(Kind::RequestTimeout, detail))
            }
        }
    }

    /// What the headers tell: the length of the body, where they do.
    fn check(&self, headers: &HeaderMap) -> Result<Option<usize>, Problem> {
        let text = |name: HeaderName| headers.get(name).map(HeaderValue::as_bytes).map(String::from_utf8_lossy);
        if let Some(coding) = text(header::CONTENT_ENCODING).filter(|coding| !coding.eq_ignore_ascii_case("identity")) {
            let detail = format!("Content-Encoding is {coding} (expected none: send the body uncompressed, in parts)");
            return Err(Problem::new(Kind::UnsupportedMediaType, detail));
        }
        let declared = text(header::CONTENT_TYPE).unwrap_or_default();
        let essence = declared.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        if essence == "application/x-www-form-urlencoded" || essence.starts_with("multipart/") {
            let detail = format!(
                "Content-Type is {essence} (expected application/json, or application/x-ndjson for a listing per line; \
                 with curl: --data-binary @FILE -H 'content-type: application/json')"
            );
            return Err(Problem::new(Kind::UnsupportedMediaType, detail));
        }
        let announced = text(header::CONTENT_LENGTH).and_then(|length| length.parse::<u64>().ok());
        match announced.map(usize::try_from) {
            None => Ok(None),
            Some(Ok(length)) if length <= self.limit => Ok(Some(length)),
            Some(_) => Err(self.too_large()),
        }
    }

    async fn read(&self, body: &mut BodyDataStream, announced: Option<usize>) -> Result<Received, Problem> {
        // No longer than it can be: doubling alone would hold up to twice of what has arrived.
        let longest = announced.unwrap_or(self.limit);
        let mut bytes = Vec::with_capacity(announced.unwrap_or_default().min(RESERVED_BYTES));
        let mut room = None::<OwnedSemaphorePermit>;
        while let Some(chunk) = body.next().await {
            let chunk = chunk.map_err(|error| {
                Problem::new(Kind::BadRequest, format!("the body is broken or breaks off: {error}; send it again"))
            })?;
            if bytes.len() + chunk.len() > self.limit {
                return Err(self.too_large());
            }
            // A chunk is no longer than the limit, which is far below 2^32.
            let count = u32::try_from(chunk.len()).unwrap_or(u32::MAX);
            let Ok(more) = Arc::clone(&self.room).try_acquire_many_owned(count) else {
                let detail = "the bodies of other pushes take all the room; nothing of this one was taken";
                return Err(Problem::new(Kind::Overloaded, detail));
            };
            match &mut room {
                Some(room) => room.merge(more),
                None => room = Some(more),
            }
            let needed = bytes.len() + chunk.len();
            if needed > bytes.capacity() {
                let capacity = needed.max((2 * bytes.capacity()).min(longest));
                bytes.reserve_exact(capacity - bytes.len());
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(Received { bytes, _room: room })
    }

    fn too_large(&self) -> Problem {
        let detail = format!("the body has more than {} bytes; send it in parts", self.limit);
        Problem::new(Kind::PayloadTooLarge, detail)
    }
}
