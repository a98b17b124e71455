//! Calls to the push port, repeated while it is away. Everything that is sent there may be sent twice.

use std::time::{Duration, Instant};

use schemas::id::FeedName;
use serde::Deserialize;
use ureq::http::Response;
use ureq::{Agent, Body};

use super::{Key, Options, PATIENCE, Waits};

/// Longer than ingest takes to have a push acknowledged.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Between two tries at first; it doubles.
pub(super) const PAUSE: Duration = Duration::from_millis(200);
/// Between two tries at most.
const MAX_PAUSE: Duration = Duration::from_secs(5);
/// Largest answer: the keys of a few million homes.
const MAX_ANSWER_BYTES: u64 = 256 * 1024 * 1024;

/// The header of API keys.
const API_KEY: &str = "x-api-key";

/// The push port of one feed.
pub(super) struct Port {
    agent: Agent,
    base: String,
    feed: FeedName,
    key: Option<Key>,
    waits: Waits,
}

/// An answer that is not "away, try again".
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
}

/// It was away for too long: how long, and what it said last.
pub(super) struct Away(pub(super) String);

impl Port {
    pub(super) fn new(base: &str, options: &Options, waits: &Waits) -> Self {
        let config = Agent::config_builder().http_status_as_error(false).timeout_global(Some(TIMEOUT)).build();
        Self {
            agent: config.into(),
            base: base.trim_end_matches('/').to_owned(),
            feed: options.feed.clone(),
            key: options.key.clone(),
            waits: waits.clone(),
        }
    }

    /// Pushes records, one per line.
    pub(super) fn push(&self, lines: &[u8]) -> Result<Answer, Away> {
        let url = format!("{}/feeds/{}/listings", self.base, self.feed);
        self.repeated(&url, || {
            let request = self.agent.post(&url).header("content-type", "application/x-ndjson");
            match &self.key {
                Some(Key(key)) => request.header(API_KEY, key).send(lines),
                None => request.send(lines),
            }
        })
    }

    /// Asks for the keys of the homes on offer or pending.
    pub(super) fn keys(&self) -> Result<Answer, Away> {
        let url = format!("{}/feeds/{}/keys", self.base, self.feed);
        self.repeated(&url, || {
            let request = self.agent.get(&url);
            match &self.key {
                Some(Key(key)) => request.header(API_KEY, key).call(),
                None => request.call(),
            }
        })
    }

    fn repeated(&self, url: &str, call: impl Fn() -> Result<Response<Body>, ureq::Error>) -> Result<Answer, Away> {
        let (since, mut pause, mut told) = (Instant::now(), PAUSE, false);
        loop {
            let said = match call().and_then(|mut response| {
                let body = response.body_mut().with_config().limit(MAX_ANSWER_BYTES).read_to_vec()?;
                Ok(Answer { status: response.status().as_u16(), body })
            }) {
                Ok(answer) if answer.status == 429 || answer.status >= 500 => answer.said(),
                Ok(answer) => return Ok(answer),
                Err(error @ (ureq::Error::BadUri(_) | ureq::Error::Http(_))) => {
                    return Err(Away(format!("{url}: {error} (expected an address such as http://127.0.0.1:8081)")));
                }
                Err(error) => error.to_string(),
            };
            if since.elapsed() + pause > PATIENCE {
                return Err(Away(format!(
                    "{url} does not answer: {said}; tried for {} s (does ingest run, and is this where it listens?)",
                    since.elapsed().as_secs()
                )));
            }
            if !std::mem::replace(&mut told, true) {
                (self.waits)(&format!("{url} does not answer: {said}; trying again for {} s", PATIENCE.as_secs()));
            }
            wait_until(Instant::now() + pause);
            pause = (pause * 2).min(MAX_PAUSE);
        }
    }
}

impl Answer {
    /// What a problem document says, or the beginning of whatever came.
    pub(super) fn said(&self) -> String {
        #[derive(Deserialize)]
        struct Problem {
            title: String,
            #[serde(default)]
            detail: String,
        }
        let what = match serde_json::from_slice::<Problem>(&self.body) {
            Ok(problem) => format!("{}: {}", problem.title, problem.detail),
            Err(_) => String::from_utf8_lossy(&self.body).chars().take(200).collect(),
        };
        format!("status {}, {what}", self.status)
    }
}

/// Lets time pass.
pub(super) fn wait_until(deadline: Instant) {
    while let Some(left) = deadline.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
        std::thread::park_timeout(left);
    }
}
