//! Keeps the public keys of the other issuer: read from a file or an address, again every few minutes and when a token names
//! a key that is not known, on a thread of its own. While the issuer is away, the last good ones stay.

use std::io::Read as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::thread::Thread;
use std::time::{Duration, Instant as Moment};

use stream::{Fatal, LogError};
use tokio::sync::watch;

use crate::config::Config;
use crate::oidc::{Keys, Named, Refused};

/// Largest key set, in bytes: 64 keys of 4,096 bits are some 100 kB.
const MAX_BYTES: u64 = 1 << 20;
/// How long the issuer may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Unknown keys have the set read again at most this often: whoever invents key ids asks the issuer nothing.
const AT_MOST_EVERY: Duration = Duration::from_secs(30);
/// How long a token of an unknown key waits for the set to be read again.
const WAIT: Duration = Duration::from_secs(6);
/// After a failure, the next try.
const AGAIN: Duration = Duration::from_secs(5);

/// The keys, kept. Dropping it ends the thread.
pub(crate) struct Jwks {
    shared: Arc<Shared>,
    thread: Thread,
}

struct Shared {
    keys: RwLock<Option<Arc<Keys>>>,
    away: RwLock<Option<String>>,
    /// Counts the readings, good or not.
    read: watch::Sender<u64>,
    wanted: AtomicBool,
    stop: AtomicBool,
}

/// Where the keys are.
enum Place {
    File(std::path::PathBuf),
    Url(String),
}

impl Place {
    fn of(text: &str) -> Result<Self, String> {
        if !text.contains("://") {
            return Ok(Self::File(text.into()));
        }
        let wrong = || {
            format!(
                "auth.oidc.jwks = {text:?} is not allowed (expected a file, or an https address; http of this machine alone)"
            )
        };
        let uri: ureq::http::Uri = text.parse().map_err(|_| wrong())?;
        let is_here = matches!(uri.host(), Some("127.0.0.1" | "localhost" | "[::1]"));
        match uri.scheme_str() {
            Some("https") => Ok(Self::Url(text.to_owned())),
            Some("http") if is_here => Ok(Self::Url(text.to_owned())),
            _ => Err(wrong()),
        }
    }

    fn read(&self, config: &Config) -> Result<Keys, String> {
        let mut bytes = Vec::new();
        match self {
            Self::File(path) => {
                let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
                file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
            }
            Self::Url(url) => {
                // Nobody is asked but whom the settings name.
                let agent: ureq::Agent =
                    ureq::Agent::config_builder().timeout_global(Some(PATIENCE)).max_redirects(0).build().into();
                let mut answer = agent.get(url).call().map_err(|error| error.to_string())?;
                if !answer.status().is_success() {
                    return Err(format!("it answers {}", answer.status()));
                }
                let body = answer.body_mut().as_reader();
                body.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
            }
        }
        if bytes.len() as u64 > MAX_BYTES {
            return Err(format!("it has more than {MAX_BYTES} bytes"));
        }
        Keys::read(&bytes, &config.oidc.algorithms)
    }
}

/// Reads the keys, and says how many count.
pub(crate) fn look(config: &Config) -> Result<usize, String> {
    let keys = Place::of(&config.oidc.jwks)?.read(config);
    keys.map(|keys| keys.count()).map_err(|reason| format!("auth.oidc.jwks: {}: {reason}", config.oidc.jwks))
}

impl Jwks {
    /// Reads the keys once, then keeps them. An issuer that is away stops no start; a file that is not there does.
    pub fn start(config: &Config, fatal: &Fatal) -> Result<Self, LogError> {
        let place = Place::of(&config.oidc.jwks).map_err(LogError::Fatal)?;
        let first = place.read(config);
        if let (Place::File(path), Err(reason)) = (&place, &first) {
            return Err(LogError::Fatal(format!("auth.oidc.jwks: {}: {reason}", path.display())));
        }
        let shared = Arc::new(Shared {
            keys: RwLock::default(),
            away: RwLock::default(),
            read: watch::Sender::new(0),
            wanted: AtomicBool::new(false),
            stop: AtomicBool::new(false),
        });
        shared.take(first);
        let (of_thread, config) = (Arc::clone(&shared), config.clone());
        let handle = stream::spawn("access-jwks", fatal, move || of_thread.keep(&place, &config))
            .map_err(|error| LogError::Fatal(format!("access cannot start a thread: {error}")))?;
        Ok(Self { shared, thread: handle.thread().clone() })
    }

    /// `Err` while there are no keys at all.
    pub fn ready(&self) -> Result<(), String> {
        match (self.shared.keys(), &*self.shared.away.read().unwrap_or_else(PoisonError::into_inner)) {
            (None, Some(reason)) => Err(format!("auth.oidc.jwks: {reason}")),
            _ => Ok(()),
        }
    }

    /// Whom a token names. One of an unknown key waits until the keys were read again, if that is due.
    pub async fn named(&self, text: &str, config: &Config) -> Result<Named, Refused> {
        let look = || self.shared.keys().as_ref().map_or(Err(Refused::UnknownKey), |keys| keys.named(text, config));
        let mut read = self.shared.read.subscribe();
        match look() {
            Err(Refused::UnknownKey) => {}
            known => return known,
        }
        self.shared.wanted.store(true, Ordering::Release);
        self.thread.unpark();
        // In vain: then the second look says so.
        let _ = tokio::time::timeout(WAIT, read.changed()).await;
        look()
    }
}

impl Drop for Jwks {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        self.thread.unpark();
    }
}

impl Shared {
    fn keys(&self) -> Option<Arc<Keys>> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn take(&self, outcome: Result<Keys, String>) -> bool {
        let mut away = self.away.write().unwrap_or_else(PoisonError::into_inner);
        let is_read = match outcome {
            Ok(keys) => {
                *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(keys));
                if away.take().is_some() {
                    tracing::info!("the keys of auth.oidc.jwks are read again");
                }
                true
            }
            Err(reason) => {
                if away.is_none() {
                    tracing::warn!("the keys of auth.oidc.jwks cannot be read, the last ones stay: {reason}");
                }
                *away = Some(reason);
                false
            }
        };
        drop(away);
        self.read.send_modify(|count| *count += 1);
        is_read
    }

    fn keep(&self, place: &Place, config: &Config) {
        let mut last = Moment::now();
        let mut due = if self.keys().is_some() { last + config.oidc.refresh_every } else { last + AGAIN };
        while !self.stop.load(Ordering::Acquire) {
            let now = Moment::now();
            let is_wanted = self.wanted.swap(false, Ordering::AcqRel);
            let is_allowed = now.duration_since(last) >= AT_MOST_EVERY;
            if now >= due || is_wanted && is_allowed {
                last = now;
                let is_read = self.take(place.read(config));
                due = Moment::now() + if is_read { config.oidc.refresh_every } else { AGAIN };
            } else if is_wanted {
                // Read so lately that there is nothing new: whoever waits for it need not.
                self.read.send_modify(|count| *count += 1);
            }
            std::thread::park_timeout(due.saturating_duration_since(Moment::now()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_from_a_file_or_safely() {
        for good in
            ["keys.json", "/etc/keys.json", "https://id.example.com/jwks", "http://127.0.0.1:8000/x", "http://[::1]/x"]
        {
            assert!(Place::of(good).is_ok(), "{good}");
        }
        for bad in
            ["http://id.example.com/jwks", "ftp://id.example.com", "file:///etc/x", "http://127.0.0.1.evil.org/x"]
        {
            assert!(Place::of(bad).is_err(), "{bad}");
        }
    }
}
