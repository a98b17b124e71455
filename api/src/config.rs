//! Every setting of the API.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The settings; the default is what is shipped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Who may do what: the table `[auth]`, which ingest has too.
    #[serde(skip)]
    pub auth: access::Config,
    /// Where to listen. Only this machine unless told otherwise: there is no TLS, a proxy in front does that.
    pub listen: SocketAddr,
    /// A statement that the log appends later than this is none (DESIGN §3: 5 s).
    #[serde(with = "humantime_serde")]
    pub statement_deadline: Duration,
    /// Longest `wait` that a client can ask for: below the idle time-out of usual proxies, 60 s.
    #[serde(with = "humantime_serde")]
    pub max_wait: Duration,
    /// How long a session that nobody here knows is looked for before it is said to be unknown: another process may have
    /// accepted it an instant ago.
    #[serde(with = "humantime_serde")]
    pub unknown_after: Duration,
    /// A recommendation is stale when its shard applied the logs longer ago than this (DESIGN §8: 10 s).
    #[serde(with = "humantime_serde")]
    pub stale_after: Duration,
    /// Longest time of one request, without its `wait`: well above the deadline of a statement.
    #[serde(with = "humantime_serde")]
    pub request_timeout: Duration,
    /// Longest time until the headers of a request are there, and longest idle time of a connection.
    #[serde(with = "humantime_serde")]
    pub header_timeout: Duration,
    /// Longest time until the body of a request is there.
    #[serde(with = "humantime_serde")]
    pub body_timeout: Duration,
    /// Longest time that a client may leave an answer unread before its connection is cut.
    #[serde(with = "humantime_serde")]
    pub write_timeout: Duration,
    /// Most connections; further ones wait in the kernel's queue. About 20 kB of memory and one file descriptor each. Every
    /// stream and 4,096 others.
    pub max_connections: usize,
    /// Most requests under way; further ones are answered 503 at once. A request holds at most one body of 256 KiB.
    pub max_in_flight: usize,
    /// Most requests that wait for a version; further ones are answered as if they had not asked to. Below
    /// `max_in_flight`, so that waiting clients never keep out the others.
    pub max_waiting: usize,
    /// Most open streams; further ones are answered 503. Some 14 kB each with their connection were measured (SSE), so that 10,000 fit into
    /// 150 MB; each keeps one of `max_connections`, a WebSocket a file descriptor beyond them.
    pub max_streams: usize,
    /// How often a stream without news says that it is there: below the idle time-out of usual proxies, 60 s. A WebSocket
    /// that does not answer two pings is closed.
    #[serde(with = "humantime_serde")]
    pub stream_keep_alive: Duration,
    /// Most valuations under way, each on a thread of its own: more than cores only adds switching.
    pub max_appraisals: usize,
    /// Most batches of valuations under way, each with up to 5 MB of answers that its client has not read.
    pub max_batches: usize,
    /// What is sent to webhooks.
    pub webhooks: WebhookConfig,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            auth: access::Config::default(),
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            statement_deadline: Duration::from_secs(5),
            max_wait: Duration::from_secs(30),
            unknown_after: Duration::from_millis(250),
            stale_after: Duration::from_secs(10),
            request_timeout: Duration::from_secs(10),
            header_timeout: Duration::from_secs(30),
            body_timeout: Duration::from_secs(10),
            write_timeout: Duration::from_secs(30),
            max_connections: 14_096,
            max_in_flight: 2_048,
            max_waiting: 1_024,
            max_streams: 10_000,
            stream_keep_alive: Duration::from_secs(15),
            max_appraisals: 4,
            max_batches: 4,
            webhooks: WebhookConfig::default(),
        }
    }
}

/// The settings of `[api.webhooks]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WebhookConfig {
    /// Whether webhooks are registered and sent to. They need `auth.secret_file` besides, from which they are signed.
    pub enabled: bool,
    /// Most requests under way, each on a thread of its own with a connection.
    pub workers: usize,
    /// Most of them to one host, so that a slow receiver leaves the rest to the others.
    pub per_host: usize,
    /// Most changes that wait, about 4 kB each: beyond, the oldest of the webhook with most is given up.
    pub max_pending: usize,
    /// Longest time of one request, from the look-up of the name to the end of the answer.
    #[serde(with = "humantime_serde")]
    pub timeout: Duration,
    /// The pause after a first failure; it doubles with each further one,
    #[serde(with = "humantime_serde")]
    pub first_pause: Duration,
    /// up to this.
    #[serde(with = "humantime_serde")]
    pub longest_pause: Duration,
    /// How old a change may become that the receiver does not take; then it is a dead letter.
    #[serde(with = "humantime_serde")]
    pub give_up_after: Duration,
    /// Whether addresses without TLS are taken: for receivers in the same machine or network alone.
    pub allow_http: bool,
    /// Whether addresses of this machine and of private networks are taken. With strangers among the clients this lets them
    /// send requests into the network that roost stands in.
    pub allow_private_addresses: bool,
    /// A PEM file of certificates that are trusted besides the public ones. Empty: none.
    pub extra_roots: PathBuf,
}

impl Default for WebhookConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            workers: 32,
            per_host: 4,
            max_pending: 100_000,
            timeout: Duration::from_secs(10),
            first_pause: Duration::from_secs(5),
            longest_pause: Duration::from_secs(3_600),
            give_up_after: Duration::from_secs(86_400),
            allow_http: false,
            allow_private_addresses: false,
            extra_roots: PathBuf::new(),
        }
    }
}
