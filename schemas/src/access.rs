//! Who may do what: the values of topic `access`, and how two records of one key are joined.
//!
//! Processes append without asking each other, so what the last record of a key says is not always all that is true of it:
//! readers join the records of a key. The join is commutative, associative and idempotent, so any order and any repetition
//! end in the same. No secret stands here: of a key its SHA-256, of tokens only how often they were renewed.

use std::cmp::Ordering;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::field_error::{Fault, FieldError};
use crate::id::{AccessId, FeedName, SessionId};
use crate::topic::DELETE_RETENTION_MS;
use crate::units::Instant;

/// Most sessions that a key's webhook names: a record stays below 64 KiB. More: none, which means all.
pub const MAX_WEBHOOK_SESSIONS: usize = 1_000;
/// Most feeds that a key names.
pub const MAX_KEY_FEEDS: usize = 100;
/// Longest name of a key, in characters.
pub const MAX_NAME_CHARS: usize = 100;
/// Longest URL, in bytes: what proxies commonly take.
pub const MAX_URL_BYTES: usize = 2_048;
/// How long after its end a record is forgotten by a tombstone: longer than any reader may be away, so that none can
/// bring back what is forgotten. A day beyond `delete.retention.ms`.
pub const FORGET_AFTER_MS: i64 = DELETE_RETENTION_MS + 24 * 3_600_000;

/// What the holder of a key may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum KeyRole {
    /// Push to feeds, register webhooks.
    Service,
    /// All that, and erase any session.
    Admin,
}

impl KeyRole {
    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Admin => "admin",
        }
    }
}

/// An API key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApiKey {
    /// Which.
    pub key_id: AccessId,
    /// What people call it.
    pub name: String,
    /// What its holder may do.
    pub role: KeyRole,
    /// Which feeds it may push to; none: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub feeds: Vec<FeedName>,
    /// SHA-256 of its secret, 64 lower-case hexadecimal digits.
    pub hash: String,
    /// Since when it is good.
    pub created_at: Instant,
    /// Until when it is good; absent: until it is revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Instant>,
    /// When it was revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<Instant>,
}

/// The refresh tokens that descend from one answer: each is good once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenFamily {
    /// Which.
    pub family_id: AccessId,
    /// Whose.
    pub session_id: SessionId,
    /// How often it was renewed: the refresh token of this generation is good.
    pub generation: u32,
    /// When this generation began.
    pub rotated_at: Instant,
    /// When the last of its tokens ends, and all of this may be forgotten.
    pub expires_at: Instant,
    /// When it was ended: no token of it is good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<Instant>,
}

/// The end of every token that a session was issued before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SessionRevocation {
    /// Whose.
    pub session_id: SessionId,
    /// Tokens issued before are dead.
    pub not_before: Instant,
    /// When the last of them ends by itself, and this may be forgotten.
    pub expires_at: Instant,
}

/// Who a webhook belongs to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Owner {
    /// A session: it is told of its own changes.
    Session(SessionId),
    /// An API key: it is told of the changes of the sessions that the webhook names.
    Key(AccessId),
}

/// Where changes are sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Webhook {
    /// Which.
    pub webhook_id: AccessId,
    /// Whose: `{"session": id}` or `{"key": id}`.
    pub owner: Owner,
    /// Where to.
    pub url: String,
    /// Of a key's webhook: whose changes; none: everybody's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sessions: Vec<SessionId>,
    /// Since when.
    pub created_at: Instant,
    /// When it was deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted_at: Option<Instant>,
    /// How sending to it went, as far as it was written down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery: Option<WebhookDelivery>,
}

/// How sending to a webhook goes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WebhookDelivery {
    /// When it was last tried.
    pub last_attempt_at: Instant,
    /// When the receiver last took something.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_success_at: Option<Instant>,
    /// Since when it has taken nothing; absent: the last attempt succeeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failing_since: Option<Instant>,
    /// The HTTP status of its last answer; absent: there was no answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_status: Option<u16>,
    /// Why there was no answer: `timeout`, `unreachable`, `tls`, `name`, `private_address`, `protocol`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
}

/// The key of a record.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AccessKey {
    /// `key|<id>`
    Key(AccessId),
    /// `family|<id>`
    Family(AccessId),
    /// `session|<id>`
    Session(SessionId),
    /// `webhook|<id>`
    Webhook(AccessId),
}

impl AccessKey {
    /// Reads the key of a record; `None` of a kind or an id that this version does not know.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let (kind, id) = std::str::from_utf8(bytes).ok()?.split_once('|')?;
        match kind {
            "key" => id.parse().ok().map(Self::Key),
            "family" => id.parse().ok().map(Self::Family),
            "session" => id.parse().ok().map(Self::Session),
            "webhook" => id.parse().ok().map(Self::Webhook),
            _ => None,
        }
    }
}

impl std::fmt::Display for AccessKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Key(id) => write!(f, "key|{id}"),
            Self::Family(id) => write!(f, "family|{id}"),
            Self::Session(id) => write!(f, "session|{id}"),
            Self::Webhook(id) => write!(f, "webhook|{id}"),
        }
    }
}

/// The value of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccessRecord {
    /// Of `key|<id>`.
    Key(ApiKey),
    /// Of `family|<id>`.
    Family(TokenFamily),
    /// Of `session|<id>`.
    Session(SessionRevocation),
    /// Of `webhook|<id>`.
    Webhook(Webhook),
}

impl AccessRecord {
    /// Reads the value of a record of this key.
    pub fn decode(key: &AccessKey, value: &[u8]) -> Result<Self, FieldError> {
        fn read<T: serde::de::DeserializeOwned>(value: &[u8]) -> Result<T, FieldError> {
            serde_json::from_slice(value)
                .map_err(|error| FieldError::new("", error, Fault::NotJson, "a value of `access`"))
        }
        let record = match key {
            AccessKey::Key(_) => Self::Key(read(value)?),
            AccessKey::Family(_) => Self::Family(read(value)?),
            AccessKey::Session(_) => Self::Session(read(value)?),
            AccessKey::Webhook(_) => Self::Webhook(read(value)?),
        };
        record.check()?;
        if record.key() == *key {
            Ok(record)
        } else {
            Err(FieldError::new("key", record.key(), Fault::OutOfRange, format!("{key}, which the record is under")))
        }
    }

    fn check(&self) -> Result<(), FieldError> {
        let too_many = |field, found: usize, most: usize| match found > most {
            true => Err(FieldError::new(field, found, Fault::TooLarge, format!("at most {most}"))),
            false => Ok(()),
        };
        match self {
            Self::Key(key) => {
                too_many("feeds", key.feeds.len(), MAX_KEY_FEEDS)?;
                too_many("name", key.name.chars().count(), MAX_NAME_CHARS)
            }
            Self::Webhook(webhook) => {
                too_many("sessions", webhook.sessions.len(), MAX_WEBHOOK_SESSIONS)?;
                too_many("url", webhook.url.len(), MAX_URL_BYTES)
            }
            Self::Family(_) | Self::Session(_) => Ok(()),
        }
    }

    /// What it stands under.
    pub fn key(&self) -> AccessKey {
        match self {
            Self::Key(key) => AccessKey::Key(key.key_id.clone()),
            Self::Family(family) => AccessKey::Family(family.family_id.clone()),
            Self::Session(revocation) => AccessKey::Session(revocation.session_id),
            Self::Webhook(webhook) => AccessKey::Webhook(webhook.webhook_id.clone()),
        }
    }

    /// The JSON of a record.
    pub fn to_json(&self) -> Vec<u8> {
        let json = match self {
            Self::Key(key) => serde_json::to_vec(key),
            Self::Family(family) => serde_json::to_vec(family),
            Self::Session(revocation) => serde_json::to_vec(revocation),
            Self::Webhook(webhook) => serde_json::to_vec(webhook),
        };
        // Texts and numbers under names: nothing in it can fail to be written.
        json.expect("records of access are JSON")
    }

    /// All that is true when both were said. Records of different keys are not joined: the first stays.
    #[must_use]
    pub fn join(self, other: Self) -> Self {
        if self.key() != other.key() {
            return self;
        }
        match (self, other) {
            (Self::Key(a), Self::Key(b)) => Self::Key(a.join(b)),
            (Self::Family(a), Self::Family(b)) => Self::Family(a.join(b)),
            (Self::Session(a), Self::Session(b)) => Self::Session(a.join(b)),
            (Self::Webhook(a), Self::Webhook(b)) => Self::Webhook(a.join(b)),
            // Equal keys are of one kind.
            (own, _) => own,
        }
    }

    /// When it may be forgotten; `None`: not yet known.
    ///
    /// A revoked family is kept until its tokens have ended by themselves: an unknown family's first token is good.
    pub fn forget_at(&self) -> Option<Instant> {
        let over = match self {
            Self::Key(key) => earliest(key.revoked_at, key.expires_at),
            Self::Family(family) => Some(family.expires_at),
            Self::Session(revocation) => Some(revocation.expires_at),
            Self::Webhook(webhook) => webhook.deleted_at,
        };
        Instant::from_ms(over?.ms().saturating_add(FORGET_AFTER_MS))
    }
}

impl ApiKey {
    fn join(self, other: Self) -> Self {
        let revoked_at = earliest(self.revoked_at, other.revoked_at);
        Self { revoked_at, ..greater(self, other, Self::compare_content) }
    }

    fn compare_content(a: &Self, b: &Self) -> Ordering {
        let of = |key: &Self| (key.created_at, key.role, key.expires_at);
        of(a).cmp(&of(b)).then_with(|| (&a.name, &a.feeds, &a.hash).cmp(&(&b.name, &b.feeds, &b.hash)))
    }

    /// Whether it is neither expired nor revoked.
    pub fn is_good(&self, now: Instant) -> bool {
        self.expires_at.is_none_or(|end| now < end) && self.revoked_at.is_none()
    }
}

impl TokenFamily {
    fn join(self, other: Self) -> Self {
        let (generation, rotated_at) = match self.generation.cmp(&other.generation) {
            Ordering::Greater => (self.generation, self.rotated_at),
            Ordering::Less => (other.generation, other.rotated_at),
            Ordering::Equal => (self.generation, self.rotated_at.min(other.rotated_at)),
        };
        Self {
            generation,
            rotated_at,
            // Never two in honest records.
            session_id: self.session_id.max(other.session_id),
            expires_at: self.expires_at.max(other.expires_at),
            revoked_at: earliest(self.revoked_at, other.revoked_at),
            family_id: self.family_id,
        }
    }
}

impl SessionRevocation {
    fn join(self, other: Self) -> Self {
        Self {
            not_before: self.not_before.max(other.not_before),
            expires_at: self.expires_at.max(other.expires_at),
            session_id: self.session_id,
        }
    }
}

impl Webhook {
    fn join(self, other: Self) -> Self {
        let deleted_at = earliest(self.deleted_at, other.deleted_at);
        // The later attempt, which is first in the order of its members.
        let delivery = self.delivery.clone().max(other.delivery.clone());
        Self { deleted_at, delivery, ..greater(self, other, Self::compare_content) }
    }

    fn compare_content(a: &Self, b: &Self) -> Ordering {
        let of = |webhook: &Self| webhook.created_at;
        let rest = |a: &Self, b: &Self| (&a.owner, &a.url, &a.sessions).cmp(&(&b.owner, &b.url, &b.sessions));
        of(a).cmp(&of(b)).then_with(|| rest(a, b))
    }
}

fn earliest(a: Option<Instant>, b: Option<Instant>) -> Option<Instant> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (one, other) => one.or(other),
    }
}

fn greater<T>(a: T, b: T, compare: impl Fn(&T, &T) -> Ordering) -> T {
    if compare(&a, &b).is_lt() { b } else { a }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn instant() -> impl Strategy<Value = Instant> {
        (0_i64..4).prop_map(|ms| Instant::from_ms(ms).unwrap())
    }
    fn id() -> AccessId {
        "5d41402abc4b".parse().unwrap()
    }
    fn key() -> impl Strategy<Value = AccessRecord> {
        let feeds = prop::collection::vec(prop::sample::select(vec!["a", "b"]), 0..2);
        let times = (instant(), prop::option::of(instant()), prop::option::of(instant()));
        ("[ab]", any::<bool>(), feeds, "[01]", times).prop_map(
            |(name, admin, feeds, hash, (created_at, expires_at, revoked_at))| {
                let role = if admin { KeyRole::Admin } else { KeyRole::Service };
                let feeds = feeds.into_iter().map(|feed| feed.parse().unwrap()).collect();
                AccessRecord::Key(ApiKey { key_id: id(), name, role, feeds, hash, created_at, expires_at, revoked_at })
            },
        )
    }
    fn family() -> impl Strategy<Value = AccessRecord> {
        (0_u128..2, 0_u32..3, instant(), instant(), prop::option::of(instant())).prop_map(
            |(session, generation, rotated_at, expires_at, revoked_at)| {
                let session_id = SessionId::from_bits(session);
                AccessRecord::Family(TokenFamily {
                    family_id: id(),
                    session_id,
                    generation,
                    rotated_at,
                    expires_at,
                    revoked_at,
                })
            },
        )
    }
    fn revocation() -> impl Strategy<Value = AccessRecord> {
        (instant(), instant()).prop_map(|(not_before, expires_at)| {
            AccessRecord::Session(SessionRevocation { session_id: SessionId::from_bits(7), not_before, expires_at })
        })
    }
    fn delivery() -> impl Strategy<Value = WebhookDelivery> {
        (instant(), prop::option::of(instant()), prop::option::of(200_u16..202)).prop_map(
            |(last_attempt_at, failing_since, last_status)| WebhookDelivery {
                last_attempt_at,
                last_success_at: None,
                failing_since,
                last_status,
                last_error: None,
            },
        )
    }
    fn webhook() -> impl Strategy<Value = AccessRecord> {
        let sessions = prop::collection::vec((0_u128..2).prop_map(SessionId::from_bits), 0..2);
        let ends = (prop::option::of(instant()), prop::option::of(delivery()));
        (any::<bool>(), "[ab]", sessions, instant(), ends).prop_map(
            |(of_key, url, sessions, created_at, (deleted_at, delivery))| {
                let owner = if of_key { Owner::Key(id()) } else { Owner::Session(SessionId::from_bits(7)) };
                AccessRecord::Webhook(Webhook {
                    webhook_id: id(),
                    owner,
                    url,
                    sessions,
                    created_at,
                    deleted_at,
                    delivery,
                })
            },
        )
    }
    fn three() -> impl Strategy<Value = [AccessRecord; 3]> {
        prop_oneof![
            [key(), key(), key()],
            [family(), family(), family()],
            [revocation(), revocation(), revocation()],
            [webhook(), webhook(), webhook()],
        ]
    }

    proptest! {
        #[test]
        fn records_of_one_key_join_in_any_order_and_any_number([a, b, c] in three()) {
            let join = |a: &AccessRecord, b: &AccessRecord| a.clone().join(b.clone());
            prop_assert_eq!(join(&a, &b), join(&b, &a));
            prop_assert_eq!(join(&join(&a, &b), &c), join(&a, &join(&b, &c)));
            prop_assert_eq!(join(&a, &a), a.clone());
            prop_assert_eq!(join(&join(&a, &b), &b), join(&a, &b));
        }

        #[test]
        fn what_is_revoked_stays_so([a, b, _] in three()) {
            let ended = |record: &AccessRecord| match record {
                AccessRecord::Key(key) => key.revoked_at.is_some(),
                AccessRecord::Family(family) => family.revoked_at.is_some(),
                AccessRecord::Webhook(webhook) => webhook.deleted_at.is_some(),
                AccessRecord::Session(_) => false,
            };
            prop_assert_eq!(ended(&a.clone().join(b.clone())), ended(&a) || ended(&b));
        }

        #[test]
        fn a_record_is_read_as_it_was_written([a, _, _] in three()) {
            let key = AccessKey::parse(a.key().to_string().as_bytes()).unwrap();
            prop_assert_eq!(&key, &a.key());
            prop_assert_eq!(AccessRecord::decode(&key, &a.to_json()).unwrap(), a);
        }
    }

    #[test]
    fn a_record_under_anothers_key_is_none() {
        let record = AccessRecord::Session(SessionRevocation {
            session_id: SessionId::from_bits(7),
            not_before: Instant::default(),
            expires_at: Instant::default(),
        });
        let other = AccessKey::Session(SessionId::from_bits(8));
        assert!(AccessRecord::decode(&other, &record.to_json()).unwrap_err().to_string().contains("session|"));
        for wrong in ["", "key", "key|", "key|xyz", "door|5d41402abc4b", "session|7"] {
            assert_eq!(AccessKey::parse(wrong.as_bytes()), None, "{wrong}");
        }
    }
}
