//! The topics: names, keys, policies. Written here and nowhere else (DESIGN §2).

use std::fmt;

use crate::id::{ListingId, Market, SessionId};
use crate::vocabulary::Transaction;

/// One topic of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Topic {
    /// What feeds send. Key: listing key, any accepted; an empty value means delete.
    ListingsRaw,
    /// Canonical listings. Key: listing id.
    Listings,
    /// Canonical listing, price history, valuation, deal: the fact that everything downstream derives from. Key: listing id.
    ListingsPriced,
    /// Closed sales. Key: listing id.
    Sales,
    /// A session's whole preferences; a tombstone erases. Key: session id.
    Preferences,
    /// View, save and discard events. Key: session id.
    Interactions,
    /// Top-3 changes for streams and webhooks; state is never restored from it. Key: session id.
    Recommendations,
    /// One record per shard take-over, on the partition of that shard: its offset is the fencing epoch. No key.
    ScorerClaims,
    /// One observation of a market per UTC day. Key: market, transaction, day.
    MarketDays,
    /// API keys (hashed), revocations, webhook registrations. Key: kind and id.
    Access,
    /// Which models value, and which is the candidate; the offset of the champion's record is the model epoch. Key: alias.
    Models,
    /// What champion and candidate say of the same listing, for whoever compares models; nothing reads it. Key: listing id.
    ValuationsShadow,
    /// What no service could use: original bytes, and headers that say where from and why. Key: the original one.
    DeadLetters,
}

/// How old records leave a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cleanup {
    /// By age.
    Delete {
        /// Milliseconds a record is kept; -1 for ever.
        retention_ms: i64,
    },
    /// The last record of each key stays.
    Compact {
        /// No record younger than this is compacted away.
        min_lag_ms: i64,
        /// No segment older than this stays un-compacted; `None`: no limit.
        max_lag_ms: Option<i64>,
    },
    /// Both.
    CompactDelete {
        /// Milliseconds a record is kept.
        retention_ms: i64,
    },
}

/// How many partitions a topic has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Partitions {
    /// P, the partition count of the installation.
    Keyed,
    /// One.
    One,
}

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;

/// A compacted topic keeps every record at least this long, so that log read-repair comes in time (DESIGN §2).
pub const MIN_COMPACTION_LAG_MS: i64 = 2 * HOUR_MS;
/// How long a tombstone stays readable: longer than any reader may be away (DESIGN §2).
pub const DELETE_RETENTION_MS: i64 = 7 * DAY_MS;
/// Segment length in time of compacted topics (DESIGN §2).
pub const SEGMENT_MS: i64 = 10 * 60_000;
/// The largest raw value that ingest takes (DESIGN §2).
pub const MAX_RAW_BYTES: usize = 512 * 1024;
/// The largest record of every other topic (DESIGN §2).
pub const MAX_RECORD_BYTES: usize = 2 * 1024 * 1024;

impl Topic {
    /// Every topic.
    pub const ALL: [Self; 13] = [
        Self::ListingsRaw,
        Self::Listings,
        Self::ListingsPriced,
        Self::Sales,
        Self::Preferences,
        Self::Interactions,
        Self::Recommendations,
        Self::ScorerClaims,
        Self::MarketDays,
        Self::Access,
        Self::Models,
        Self::ValuationsShadow,
        Self::DeadLetters,
    ];

    /// The name on the log.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ListingsRaw => "listings.raw",
            Self::Listings => "listings",
            Self::ListingsPriced => "listings.priced",
            Self::Sales => "sales",
            Self::Preferences => "preferences",
            Self::Interactions => "interactions",
            Self::Recommendations => "recommendations",
            Self::ScorerClaims => "scorer.claims",
            Self::MarketDays => "market.days",
            Self::Access => "access",
            Self::Models => "models",
            Self::ValuationsShadow => "valuations.shadow",
            Self::DeadLetters => "dead-letters",
        }
    }

    /// The topic of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|topic| topic.name() == name)
    }

    /// How old records leave it.
    pub const fn cleanup(self) -> Cleanup {
        let compact = Cleanup::Compact { min_lag_ms: MIN_COMPACTION_LAG_MS, max_lag_ms: None };
        match self {
            Self::ListingsRaw => Cleanup::Delete { retention_ms: 14 * DAY_MS },
            Self::Listings | Self::ValuationsShadow => Cleanup::Delete { retention_ms: 7 * DAY_MS },
            Self::ListingsPriced | Self::Sales | Self::MarketDays | Self::Access | Self::Models => compact,
            Self::Preferences => Cleanup::Compact { min_lag_ms: DAY_MS, max_lag_ms: Some(8 * DAY_MS) },
            Self::Interactions | Self::DeadLetters => Cleanup::Delete { retention_ms: 30 * DAY_MS },
            Self::Recommendations => Cleanup::CompactDelete { retention_ms: DAY_MS },
            Self::ScorerClaims => Cleanup::Delete { retention_ms: -1 },
        }
    }

    /// How many partitions it has.
    pub const fn partitions(self) -> Partitions {
        match self {
            Self::Models => Partitions::One,
            _ => Partitions::Keyed,
        }
    }

    /// Whether only the last record of a key stays for ever.
    pub const fn is_compacted(self) -> bool {
        matches!(self.cleanup(), Cleanup::Compact { .. } | Cleanup::CompactDelete { .. })
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The Kafka key of a listing on every listing topic.
pub fn listing_key(id: &ListingId) -> Vec<u8> {
    id.as_str().as_bytes().to_vec()
}

/// The Kafka key of a session on every session topic.
pub fn session_key(id: SessionId) -> Vec<u8> {
    id.to_string().into_bytes()
}

/// The Kafka key of a market's day: `us/wa/seattle|sale|2026-11-25`.
pub fn market_day_key(market: &Market, transaction: Transaction, day: jiff::civil::Date) -> Vec<u8> {
    format!("{market}|{}|{day}", transaction.as_str()).into_bytes()
}

/// The partition of a key, as Kafka's Java client computes it: `(murmur2(key) & 0x7fffffff) % partitions`.
///
/// Source: `org.apache.kafka.common.utils.Utils.murmur2`, and librdkafka's `murmur2_random` partitioner.
pub fn partition_of(key: &[u8], partitions: u32) -> u32 {
    (murmur2(key) & 0x7fff_ffff) % partitions
}

fn murmur2(data: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    const SEED: u32 = 0x9747_b28c;
    // Keys are far below 4 GiB.
    let mut h = SEED ^ data.len() as u32;
    let (chunks, tail) = data.as_chunks::<4>();
    for chunk in chunks {
        let mut k = u32::from_le_bytes(*chunk).wrapping_mul(M);
        k ^= k >> 24;
        h = h.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    if !tail.is_empty() {
        for (i, &b) in tail.iter().enumerate() {
            h ^= u32::from(b) << (8 * i);
        }
        h = h.wrapping_mul(M);
    }
    h ^= h >> 13;
    h = h.wrapping_mul(M);
    h ^ (h >> 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_partitioned_as_java_does() {
        // Vectors of `UtilsTest.testMurmur2` in Apache Kafka.
        for (key, hash) in [
            ("21", -973_932_308_i32),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("abc", 479_470_107),
        ] {
            assert_eq!(murmur2(key.as_bytes()), hash as u32, "{key}");
        }
    }
}
