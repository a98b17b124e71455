//! How often who may ask: a layer inside `guard.rs` that admits a request or answers 429, and says in both cases how much is left.
//!
//! Counts per process and in memory: several processes behind a balancer admit as many times as much. Bounds on what is under way at
//! a time are elsewhere (`max_in_flight` and its like); these are on how often. Knows no route: what a request is, its method and the
//! pattern of its path say.

mod address;
mod buckets;

use std::fmt::Write as _;
use std::hash::{BuildHasher as _, Hash, RandomState};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{ConnectInfo, MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use self::address::Client;
use self::buckets::{Limit, Standing};
use crate::app::App;
use crate::caller::of_headers;
use crate::config::{Config, Rate};
use crate::metrics;
use crate::problem::{Kind, Problem};
use crate::web::{NAME, cookie_of};

/// The quotas that a request counts for (draft-ietf-httpapi-ratelimit-headers-09).
pub const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
/// What is left of them.
pub const LEFT: HeaderName = HeaderName::from_static("ratelimit");

/// One limit, its name and its quota.
struct Policy {
    name: &'static str,
    rate: Rate,
    limit: Limit,
    /// For whom, for the problem.
    of: &'static str,
}

impl Policy {
    fn new(name: &'static str, rate: Rate, of: &'static str) -> Option<Self> {
        Some(Self { name, rate, limit: Limit::new(rate)?, of })
    }

    /// Whole seconds in which an empty bucket is full again: the window.
    fn window_s(&self) -> u32 {
        self.rate.burst.div_ceil(self.rate.per_second)
    }
}

/// The limits of this process.
pub struct Limits {
    exempt_loopback: bool,
    trusted_hops: u8,
    requests: Option<Policy>,
    writes: Option<Policy>,
    valuations: Option<Policy>,
    callers: Option<Policy>,
    statements: Option<Policy>,
    /// Keys are hashed with a secret of this process, so that nobody can have another's bucket on purpose.
    secret: RandomState,
}

/// What a request does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deed {
    /// Asks.
    Read,
    /// States, dismisses, erases: appends to `preferences`.
    Statement,
    /// Appends something else.
    Write,
    /// Has homes valued, or counted and scored for a statement that nobody has made yet.
    Valuation,
}

impl Deed {
    /// By method and pattern: `/ml/…`, `/predict` and `/batch` value, and what is sent elsewhere is written. The page's `/predict` values
    /// when it is asked with GET, too: its form is a question.
    fn of(method: &Method, pattern: Option<&str>) -> Self {
        let Some(pattern) = pattern else { return Self::Read };
        if pattern == "/predict" {
            return Self::Valuation;
        }
        let values = ["/ml/", "/predict", "/batch", ":preview"].iter().any(|part| pattern.contains(part));
        let states =
            pattern == "/" || ["/preferences", "/sessions/", "/page/"].iter().any(|part| pattern.contains(part));
        if !matches!(*method, Method::POST | Method::PUT | Method::PATCH | Method::DELETE) {
            Self::Read
        } else if values {
            Self::Valuation
        } else if states {
            Self::Statement
        } else {
            Self::Write
        }
    }
}

/// How a request stands with all limits that it counts for.
#[derive(Default)]
struct Told {
    policies: String,
    left: String,
    refused: Option<(&'static str, Rate, &'static str, Duration)>,
}

impl Told {
    /// Asks one limit more, unless one has refused already.
    fn ask(&mut self, policy: Option<&Policy>, key: u64) {
        let (Some(policy), None) = (policy, self.refused) else { return };
        let Policy { name, rate, of, .. } = policy;
        let (left, reset_s) = match policy.limit.ask(key) {
            Standing::Admitted(left) => (left, rate.burst.saturating_sub(left).div_ceil(rate.per_second)),
            Standing::Refused(wait) => {
                self.refused = Some((name, *rate, of, wait));
                (0, whole_seconds(wait))
            }
        };
        let comma = if self.left.is_empty() { "" } else { ", " };
        // Cannot fail: into a text.
        let _ = write!(self.policies, "{comma}\"{name}\";q={};w={}", rate.burst, policy.window_s());
        let _ = write!(self.left, "{comma}\"{name}\";r={left};t={reset_s}");
    }

    fn problem(&self) -> Option<Problem> {
        let (name, Rate { per_second, burst }, of, wait) = self.refused?;
        let seconds = whole_seconds(wait);
        let detail = format!(
            "limit {name} is used up: {per_second} requests a second and {burst} at once {of} (try again after {seconds} s)"
        );
        Some(Problem { retry_after: Some(seconds), ..Problem::new(Kind::RateLimited, detail) })
    }
}

/// At least one: a repeat before would be refused.
fn whole_seconds(wait: Duration) -> u32 {
    u32::try_from(wait.as_millis().div_ceil(1_000)).unwrap_or(u32::MAX).max(1)
}

impl Limits {
    /// As the settings say.
    pub fn new(config: &Config) -> Self {
        let limits = &config.limits;
        Self {
            exempt_loopback: limits.exempt_loopback,
            trusted_hops: config.trusted_hops,
            requests: Policy::new("default", limits.requests, "from one address"),
            writes: Policy::new("writes", limits.writes, "from one address"),
            valuations: Policy::new("valuations", limits.valuations, "from one address"),
            callers: Policy::new("caller", limits.callers, "with one token or key"),
            statements: Policy::new("statements", limits.statements, "of one session"),
            secret: RandomState::new(),
        }
    }

    fn key(&self, what: impl Hash) -> u64 {
        self.secret.hash_one(what)
    }

    /// `None`: nothing limits this request.
    fn ask(&self, request: &Request) -> Option<Told> {
        let peer = request.extensions().get::<ConnectInfo<SocketAddr>>()?.0.ip();
        let client = Client::of(peer, request.headers(), self.trusted_hops);
        // A proxy's word that a client is this machine is not enough.
        if self.exempt_loopback && !client.is_told && client.address.is_loopback() {
            return None;
        }
        let pattern = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
        let deed = Deed::of(request.method(), pattern);
        let address = self.key(client.counted());
        let mut told = Told::default();
        told.ask(self.requests.as_ref(), address);
        match deed {
            Deed::Read => {}
            Deed::Statement | Deed::Write => told.ask(self.writes.as_ref(), address),
            Deed::Valuation => told.ask(self.valuations.as_ref(), address),
        }
        // However it is written: spaces and the case of `Bearer` make no other caller.
        let headers = request.headers();
        let of_query = || request.uri().query()?.split('&').find_map(|pair| pair.strip_prefix("session_id="));
        let credential = of_headers(headers).ok().flatten().or_else(|| cookie_of(headers, NAME));
        if let Some(credential) = credential.or_else(of_query) {
            told.ask(self.callers.as_ref(), self.key(credential.as_bytes()));
            if deed == Deed::Statement {
                told.ask(self.statements.as_ref(), self.key(credential.as_bytes()));
            }
        }
        Some(told).filter(|told| !told.left.is_empty())
    }
}

/// Admits a request or answers 429; says how much is left.
pub async fn limit(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let Some(told) = app.limits.ask(&request) else { return next.run(request).await };
    let mut response = match (told.problem(), told.refused) {
        (Some(problem), Some((name, ..))) => {
            metrics::record_rate_limited(name);
            problem.into_response()
        }
        (None, _) | (Some(_), None) => next.run(request).await,
    };
    for (name, text) in [(POLICY, told.policies), (LEFT, told.left)] {
        // Cannot fail: names and numbers.
        if let Ok(value) = HeaderValue::try_from(text) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    fn limits(change: impl FnOnce(&mut Config)) -> Limits {
        let mut config = Config::default();
        config.limits.exempt_loopback = false;
        change(&mut config);
        Limits::new(&config)
    }

    fn request(peer: &str, headers: &[(&'static str, &str)]) -> Request {
        let mut request = Request::new(Body::empty());
        request.extensions_mut().insert(ConnectInfo(SocketAddr::new(peer.parse().unwrap(), 1)));
        for (name, value) in headers {
            request.headers_mut().append(*name, value.parse().unwrap());
        }
        request
    }

    #[test]
    fn method_and_pattern_say_what_a_request_does() {
        for (method, pattern, deed) in [
            (Method::GET, "/api/v1/preferences", Deed::Read),
            (Method::POST, "/api/v1/preferences", Deed::Statement),
            (Method::POST, "/api/v1/preferences/dismissed", Deed::Statement),
            (Method::DELETE, "/api/v1/sessions/{id}", Deed::Statement),
            (Method::POST, "/api/v1/interactions", Deed::Write),
            (Method::POST, "/api/v1/ml/predict-price/batch", Deed::Valuation),
            (Method::GET, "/api/v1/ml/model-info", Deed::Read),
            (Method::POST, "/api/v1/preferences:preview", Deed::Valuation),
            // The older names.
            (Method::POST, "/api/preferences", Deed::Statement),
            (Method::POST, "/api/ml/predict-price", Deed::Valuation),
            (Method::POST, "/api/v1/predict", Deed::Valuation),
            (Method::POST, "/api/v1/batch", Deed::Valuation),
            (Method::GET, "/api/recommendations", Deed::Read),
            (Method::GET, "/api/v1/health", Deed::Read),
            // The page: its forms are sent, but for the one that asks what a home is worth.
            (Method::GET, "/", Deed::Read),
            (Method::POST, "/", Deed::Statement),
            (Method::POST, "/page/dismiss", Deed::Statement),
            (Method::POST, "/page/erase", Deed::Statement),
            (Method::GET, "/page/picks/stream", Deed::Read),
            (Method::GET, "/predict", Deed::Valuation),
            (Method::GET, "/homes/{id}", Deed::Read),
        ] {
            assert_eq!(Deed::of(&method, Some(pattern)), deed, "{method} {pattern}");
        }
        assert_eq!(Deed::of(&Method::POST, None), Deed::Read);
    }

    #[test]
    fn what_is_left_is_told_in_the_letters_of_the_draft() {
        let limits = limits(|config| {
            config.limits.requests = Rate { per_second: 2, burst: 5 };
            config.limits.callers = Rate { per_second: 10, burst: 10 };
        });
        let told = limits.ask(&request("192.0.2.1", &[])).unwrap();
        assert_eq!((told.policies.as_str(), told.left.as_str()), ("\"default\";q=5;w=3", "\"default\";r=4;t=1"));
        let told = limits.ask(&request("192.0.2.1", &[("authorization", "Bearer x")])).unwrap();
        assert_eq!(told.policies, "\"default\";q=5;w=3, \"caller\";q=10;w=1");
        assert_eq!(told.left, "\"default\";r=3;t=1, \"caller\";r=9;t=1");
    }

    #[test]
    fn this_machine_is_exempt_unless_a_proxy_says_that_it_is_the_client() {
        let of = |limits: &Limits, peer: &str, headers: &[(&'static str, &str)]| {
            limits.ask(&request(peer, headers)).is_some()
        };
        let exempt = limits(|config| config.limits.exempt_loopback = true);
        assert!(!of(&exempt, "127.0.0.1", &[]) && !of(&exempt, "::1", &[]) && !of(&exempt, "::ffff:127.0.0.1", &[]));
        assert!(of(&exempt, "192.0.2.1", &[("x-forwarded-for", "127.0.0.1")]));
        let behind = limits(|config| (config.limits.exempt_loopback, config.trusted_hops) = (true, 1));
        assert!(of(&behind, "127.0.0.1", &[("x-forwarded-for", "127.0.0.1")]));
        assert!(of(&limits(|_| {}), "127.0.0.1", &[]));
    }

    #[test]
    fn a_caller_is_counted_by_what_it_sends_however_that_is_written() {
        let limits = limits(|config| config.limits.callers = Rate { per_second: 1, burst: 1 });
        let ask = |name: &'static str, value: &str| {
            limits
                .ask(&request("192.0.2.1", &[(name, value)]))
                .and_then(|told| told.problem())
                .map(|problem| problem.kind)
        };
        assert_eq!(ask("authorization", "Bearer a"), None);
        for value in ["Bearer a", "bearer a", "BEARER   a ", "Bearer  a"] {
            assert_eq!(ask("authorization", value), Some(Kind::RateLimited), "{value}");
        }
        assert_eq!(ask("authorization", "Bearer b"), None);
        assert_eq!((ask("x-api-key", "roost_a_b"), ask("x-api-key", "roost_a_b")), (None, Some(Kind::RateLimited)));
        assert_eq!(ask("authorization", "Bearer roost_a_b"), Some(Kind::RateLimited));
        assert_eq!(
            (ask("cookie", "roost_session=c"), ask("cookie", "x=y; roost_session=c")),
            (None, Some(Kind::RateLimited))
        );
    }
}
