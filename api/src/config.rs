//! Every setting of the API.

use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The settings; the default is what is shipped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
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
    /// Whether the page's cookie is always `Secure`, so that browsers never send it over plain http. Without it the cookie is so where the
    /// browser says that it is on https, in the `Origin` of a form.
    pub page_always_secure: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
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
            page_always_secure: false,
        }
    }
}
