//! The state of a shard as one number, and where on the logs it was so. What it is computed from is `scorer/src/state.rs`.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::field_error::{Fault, FieldError};

/// 64 bits, written as 16 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StateHash(u64);

impl StateHash {
    /// The hash with these bits.
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }
    /// The 64 bits.
    pub const fn bits(self) -> u64 {
        self.0
    }
}

impl fmt::Display for StateHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}
impl fmt::Debug for StateHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StateHash({self})")
    }
}
impl FromStr for StateHash {
    type Err = FieldError;
    fn from_str(text: &str) -> Result<Self, FieldError> {
        let is_hex = text.len() == 16 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        let bits = is_hex.then(|| u64::from_str_radix(text, 16).ok()).flatten();
        bits.map(Self)
            .ok_or_else(|| FieldError::new("hash", text, Fault::OutOfRange, "16 lower-case hexadecimal digits"))
    }
}
impl Serialize for StateHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
impl<'de> Deserialize<'de> for StateHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        std::borrow::Cow::<'de, str>::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}
impl JsonSchema for StateHash {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "StateHash".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "string", "pattern": "^[0-9a-f]{16}$"})
    }
}

/// What the sessions of one shard see, when every record below these offsets is applied and none from there on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ShardState {
    /// Of all of them, in whatever order.
    pub hash: StateHash,
    /// How many there are.
    pub sessions: u64,
    /// Next offset of each partition of `listings.priced`.
    pub listings_offsets: Vec<u64>,
    /// Next offset of the shard's partition of `preferences`.
    pub preferences_offset: u64,
}
