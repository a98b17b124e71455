//! Every setting of the API.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::origin::Origin;

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
    /// Most open streams; further ones are answered 503. Some 25 kB each with their connection were measured (SSE), so that 10,000 fit into
    /// 250 MB; each keeps one of `max_connections`, a WebSocket a file descriptor beyond them.
    pub max_streams: usize,
    /// How often a stream without news says that it is there: below the idle time-out of usual proxies, 60 s. A WebSocket
    /// that does not answer two pings is closed.
    #[serde(with = "humantime_serde")]
    pub stream_keep_alive: Duration,
    /// Most valuations under way, each on a thread of its own: more than cores only adds switching. Of further ones 16
    /// times as many wait for their turn, at most a second.
    pub max_appraisals: usize,
    /// Most batches of valuations under way, each with up to 5 MB of answers that its client has not read.
    pub max_batches: usize,
    /// Most previews of statements under way; further ones are answered 503. Each looks at up to 20,000 listings, a second or two of
    /// one core: people try out a statement, they do not do so all day.
    pub max_previews: usize,
    /// Most requests at a time that count homes for the numbered pages of the older names, of up to 20,000 listings each; further ones wait for 3 s,
    /// then they are answered 503.
    pub max_scans: usize,
    /// Whether the page's cookie is always `Secure`, so that browsers never send it over plain http. Without it the cookie is so where the
    /// browser says that it is on https, in the `Origin` of a form.
    pub page_always_secure: bool,
    /// How many proxies of ours stand in front, each of which appends to `X-Forwarded-For`: the client's address is the one so far
    /// from its right. None by default: anybody can write that header.
    pub trusted_hops: u8,
    /// Pages of which other sites may use the API (CORS, WebSockets). None by default.
    #[serde(deserialize_with = "origins")]
    pub allowed_origins: Vec<Origin>,
    /// How often who may ask.
    pub limits: Limits,
    /// What is sent to webhooks.
    pub webhooks: WebhookConfig,
}

/// How often who may ask. Each is a token bucket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Whether connections from this machine are not limited: what runs here has better means to do harm, benchmarks and tests ask
    /// tens of thousands of times a second, and behind a proxy on this machine that `trusted_hops` does not count all clients would
    /// be one.
    pub exempt_loopback: bool,
    /// All requests from one address: a page polls a few times a second, and a house of people shares an address.
    pub requests: Rate,
    /// Those that write, from one address; new sessions among them.
    pub writes: Rate,
    /// Those that value homes, from one address: each costs a thread for some milliseconds; a batch counts once, and few run at a time.
    pub valuations: Rate,
    /// All requests of one caller: of who has the bearer token.
    pub callers: Rate,
    /// Statements, dismissals and erasures of one session: each goes through the log to the scorer. A person states nothing faster.
    pub statements: Rate,
}

/// How much is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// Requests a second in the long run; 0: no limit.
    pub per_second: u32,
    /// Requests at once.
    pub burst: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            exempt_loopback: true,
            requests: Rate { per_second: 500, burst: 2_000 },
            writes: Rate { per_second: 50, burst: 200 },
            valuations: Rate { per_second: 20, burst: 100 },
            callers: Rate { per_second: 100, burst: 500 },
            statements: Rate { per_second: 1, burst: 5 },
        }
    }
}

/// A list, or a text with commas, as an environment variable has it.
fn origins<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<Origin>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Given {
        List(Vec<String>),
        Text(String),
    }
    let texts = match Given::deserialize(deserializer)? {
        Given::List(texts) => texts,
        Given::Text(text) => text.split(',').map(str::trim).filter(|t| !t.is_empty()).map(str::to_owned).collect(),
    };
    texts.into_iter().map(Origin::try_from).collect::<Result<_, _>>().map_err(serde::de::Error::custom)
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
            page_always_secure: false,
            trusted_hops: 0,
            allowed_origins: Vec::new(),
            limits: Limits::default(),
            max_previews: 2,
            max_scans: 4,
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
    /// Most requests under way, each on a thread of its own with a connection. Hosts whose last answer took longer than
    /// a fifth of `timeout`, or that gave none yet, have a few of them: a quarter for webhooks of sessions, an eighth for
    /// those of keys. The quick hosts of sessions' have half.
    pub workers: usize,
    /// Most of them to one host, so that a slow receiver leaves the rest to the others; as many again for webhooks of keys.
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
