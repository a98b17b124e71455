//! Every setting of ingest, with its default.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The settings of ingest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The consumer group that shares the partitions of `listings.raw`.
    pub group: String,
    /// The name under which this process keeps its partitions over a restart; empty: host name and process id.
    pub instance: String,
    /// Threads that read, decode and produce, each with partitions of its own. One fills a core.
    pub workers: usize,
    /// Most raw records read whose results the log has not acknowledged, per worker. A second of work: what is replayed
    /// after a crash, and what a slow broker makes this process hold (at 1 kB about 40 MB).
    pub window: usize,
    /// How often offsets are committed.
    #[serde(with = "humantime_serde")]
    pub commit_every: Duration,
    /// The HTTP way in.
    pub push: PushConfig,
    /// Who may push: the table `[auth]`, which the API has too.
    #[serde(skip)]
    pub auth: access::Config,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            group: "ingest".to_owned(),
            instance: String::new(),
            workers: 1,
            window: 20_000,
            commit_every: Duration::from_secs(1),
            push: PushConfig::default(),
            auth: access::Config::default(),
        }
    }
}

/// The settings of feed push over HTTP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PushConfig {
    /// Whether it listens at all.
    pub enabled: bool,
    /// Where it listens.
    pub listen: SocketAddr,
    /// Largest body of a push, in bytes: some thousand listings. Together with the bound on requests at a time it bounds
    /// memory.
    pub max_body_bytes: usize,
    /// Most connections; further ones wait in the kernel's queue. Feeds are few; each may hold a part of a body.
    pub max_connections: usize,
    /// How long the headers of a request may take, and how long a connection may be idle.
    #[serde(with = "humantime_serde")]
    pub header_timeout: Duration,
    /// How long a client may leave an answer unread before its connection is cut.
    #[serde(with = "humantime_serde")]
    pub write_timeout: Duration,
    /// How long a body may take to arrive.
    #[serde(with = "humantime_serde")]
    pub body_timeout: Duration,
    /// How long the log may take to acknowledge what was pushed before the answer is "unknown, repeat".
    #[serde(with = "humantime_serde")]
    pub ack_timeout: Duration,
    /// How long `GET /feeds/{feed}/keys` may wait until `listings.priced` is read to its end.
    #[serde(with = "humantime_serde")]
    pub keys_timeout: Duration,
    /// How long the index of keys is kept without a request; the next one reads `listings.priced` from its start.
    #[serde(with = "humantime_serde")]
    pub keys_idle: Duration,
}

impl Default for PushConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8081)),
            max_body_bytes: 8 * 1024 * 1024,
            max_connections: 256,
            header_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(30),
            body_timeout: Duration::from_secs(30),
            ack_timeout: Duration::from_secs(5),
            keys_timeout: Duration::from_secs(60),
            keys_idle: Duration::from_secs(600),
        }
    }
}
