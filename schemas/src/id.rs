//! Who and where: feeds, listings, sessions, markets. Every id is a newtype that cannot hold a wrong value.
//!
//! Knows nothing of what a listing contains.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::field_error::{Fault, FieldError, is_format_control};

/// The longest feed name, in bytes: it is a path segment and part of every listing id.
pub const MAX_FEED_BYTES: usize = 64;
/// The longest `ListingKey`, in bytes (RESO Data Dictionary 2.0: 255 characters).
pub const MAX_LISTING_KEY_BYTES: usize = 255;

macro_rules! text_newtype {
    ($name:ident, $pattern:literal) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }
        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
        impl $name {
            /// The text as it is written on the wire.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({"type": "string", "pattern": $pattern})
            }
        }
    };
}

/// The name of a source of listings: 1..=64 of `a-z 0-9 - _ .`, starting with a letter or a digit.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FeedName(Arc<str>);
text_newtype!(FeedName, "^[a-z0-9][a-z0-9_.-]{0,63}$");

impl FeedName {
    /// The feed of a record that names none.
    pub fn default_feed() -> Self {
        Self("default".into())
    }

    /// Turns a free text (RESO `OriginatingSystemName`) into a feed name; `None` when nothing is left of it.
    pub fn slug_of(text: &str) -> Option<Self> {
        let mut slug = slug(text);
        slug.truncate(MAX_FEED_BYTES);
        slug.trim_end_matches('-').parse().ok()
    }
}

impl FromStr for FeedName {
    type Err = FieldError;
    fn from_str(text: &str) -> Result<Self, FieldError> {
        let wellformed = !text.is_empty()
            && text.len() <= MAX_FEED_BYTES
            && text.as_bytes()[0].is_ascii_alphanumeric()
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_' | b'.'));
        if wellformed {
            Ok(Self(text.into()))
        } else {
            Err(FieldError::new(
                "feed",
                text,
                Fault::OutOfRange,
                "1 to 64 of a-z, 0-9, '-', '_', '.', starting with a letter or digit",
            ))
        }
    }
}

/// `<feed>:<ListingKey>`: a listing, unique over all feeds. The Kafka key of every listing topic.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ListingId(Arc<str>);
text_newtype!(ListingId, "^[a-z0-9][a-z0-9_.-]{0,63}:[^ ].*$");

impl ListingId {
    /// Joins a feed and the key that is unique within it.
    pub fn new(feed: &FeedName, listing_key: &str) -> Result<Self, FieldError> {
        check_listing_key(listing_key)?;
        Ok(Self(format!("{feed}:{listing_key}").into()))
    }

    /// The feed that the listing came from.
    pub fn feed(&self) -> FeedName {
        FeedName(self.0.split_once(':').map_or("default", |(feed, _)| feed).into())
    }

    /// RESO `ListingKey`: unique within the feed only.
    pub fn listing_key(&self) -> &str {
        self.0.split_once(':').map_or(&self.0, |(_, key)| key)
    }
}

impl FromStr for ListingId {
    type Err = FieldError;
    fn from_str(text: &str) -> Result<Self, FieldError> {
        let Some((feed, key)) = text.split_once(':') else {
            return Err(FieldError::new("listing_id", text, Fault::OutOfRange, "'<feed>:<ListingKey>'"));
        };
        Self::new(&feed.parse()?, key)
    }
}

fn check_listing_key(key: &str) -> Result<(), FieldError> {
    let hidden = |c: char| c.is_control() || is_format_control(c);
    if key.is_empty() || key.len() > MAX_LISTING_KEY_BYTES || key.chars().any(hidden) || key.trim() != key {
        return Err(FieldError::new(
            "ListingKey",
            key,
            Fault::OutOfRange,
            "1 to 255 bytes without control characters, hidden ones or outer blanks",
        ));
    }
    Ok(())
}

/// One session: 128 bits, written as 32 lower-case hex digits. The Kafka key of every session topic.
///
/// It names a session but does not open it: see [`SessionToken`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(u128);

impl SessionId {
    /// The id with these bits.
    pub const fn from_bits(bits: u128) -> Self {
        Self(bits)
    }
    /// The 128 bits.
    pub const fn bits(self) -> u128 {
        self.0
    }
}

/// The capability to read and change one session: 128 random bits, 32 lower-case hex digits, known to its client alone.
///
/// The session id is the first 128 bits of its SHA-256: whoever sees an id (in the log, in a table, on a dashboard)
/// cannot read the session with it, and no service has to keep a secret or a table of tokens.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SessionToken(u128);

impl SessionToken {
    /// A fresh token from the operating system's random source.
    pub fn random() -> Self {
        let mut bytes = [0_u8; 16];
        // Cannot fail on a running system: getrandom(2) blocks until the pool is ready and then always answers.
        getrandom::fill(&mut bytes).expect("the operating system's random source answers");
        Self(u128::from_be_bytes(bytes))
    }
    /// The token with these bits (tests and seeded load).
    pub const fn from_bits(bits: u128) -> Self {
        Self(bits)
    }
    /// The session that this token opens.
    pub fn session_id(self) -> SessionId {
        use sha2::{Digest, Sha256};
        let digest = Sha256::digest(self.0.to_be_bytes());
        let mut bits = [0_u8; 16];
        bits.copy_from_slice(&digest[..16]);
        SessionId(u128::from_be_bytes(bits))
    }
    /// The text a client sends as `Authorization: Bearer`. Never log it.
    pub fn reveal(self) -> String {
        format!("{:032x}", self.0)
    }
}

impl fmt::Debug for SessionToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionToken(***)")
    }
}

fn parse_hex(text: &str) -> Option<u128> {
    let lower = text.len() == 32 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    lower.then(|| u128::from_str_radix(text, 16).ok()).flatten()
}

impl FromStr for SessionToken {
    type Err = FieldError;
    fn from_str(text: &str) -> Result<Self, FieldError> {
        // The value is a secret: the error does not repeat it.
        parse_hex(text)
            .map(Self)
            .ok_or_else(|| FieldError::new("token", "***", Fault::OutOfRange, "32 lower-case hexadecimal digits"))
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}
impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionId({self})")
    }
}
impl FromStr for SessionId {
    type Err = FieldError;
    fn from_str(text: &str) -> Result<Self, FieldError> {
        parse_hex(text)
            .map(Self)
            .ok_or_else(|| FieldError::new("session_id", text, Fault::OutOfRange, "32 lower-case hexadecimal digits"))
    }
}
impl Serialize for SessionId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
impl<'de> Deserialize<'de> for SessionId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        std::borrow::Cow::<'de, str>::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}
impl schemars::JsonSchema for SessionId {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "SessionId".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "string", "pattern": "^[0-9a-f]{32}$"})
    }
}

/// What names an API key, a family of tokens or a webhook: 8 to 32 lower-case hexadecimal digits. No secret.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccessId(Arc<str>);
text_newtype!(AccessId, "^[0-9a-f]{8,32}$");

impl AccessId {
    /// A fresh id of 12 digits: 48 random bits, so that among 10,000 keys two are equal once in 5 million installations.
    pub fn short() -> Self {
        Self(format!("{:032x}", SessionToken::random().0)[..12].into())
    }
    /// A fresh id of 128 random bits.
    pub fn random() -> Self {
        Self(format!("{:032x}", SessionToken::random().0).into())
    }
}

impl FromStr for AccessId {
    type Err = FieldError;
    fn from_str(text: &str) -> Result<Self, FieldError> {
        let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        if (8..=32).contains(&text.len()) && text.bytes().all(hex) {
            Ok(Self(text.into()))
        } else {
            Err(FieldError::new("id", text, Fault::OutOfRange, "8 to 32 lower-case hexadecimal digits"))
        }
    }
}

/// ISO 3166-1 alpha-2, lower case.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Country([u8; 2]);

impl Country {
    /// The two lower-case letters.
    pub fn as_str(&self) -> &str {
        // Only ASCII letters get in, see `from_str`.
        std::str::from_utf8(&self.0).expect("two ASCII letters")
    }
}
impl FromStr for Country {
    type Err = FieldError;
    fn from_str(text: &str) -> Result<Self, FieldError> {
        match *text.as_bytes() {
            [a, b] if a.is_ascii_alphabetic() && b.is_ascii_alphabetic() => {
                Ok(Self([a.to_ascii_lowercase(), b.to_ascii_lowercase()]))
            }
            _ => Err(FieldError::new("country", text, Fault::OutOfRange, "an ISO 3166-1 alpha-2 code such as 'us'")),
        }
    }
}
impl fmt::Display for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
impl fmt::Debug for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Country({self})")
    }
}
impl Serialize for Country {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}
impl<'de> Deserialize<'de> for Country {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        std::borrow::Cow::<'de, str>::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}
impl schemars::JsonSchema for Country {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Country".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "string", "pattern": "^[a-z]{2}$"})
    }
}

/// `country/state/city`, lower-case ASCII slugs: `us/wa/seattle`. The unit of bucketing, browsing and statistics.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Market(Arc<str>);
text_newtype!(Market, "^[a-z]{2}/[a-z0-9-]{1,80}/[a-z0-9-]{1,80}$");

/// The slug of a state or city that a listing does not name.
pub const UNKNOWN_PLACE: &str = "unknown";

impl Market {
    /// The market of a place as feeds write it. Computed once, in ingest. Non-Latin names are transliterated.
    pub fn of(country: Country, state_or_province: Option<&str>, city: Option<&str>) -> Self {
        let part =
            |text: Option<&str>| text.map(slug).filter(|s| !s.is_empty()).unwrap_or_else(|| UNKNOWN_PLACE.to_owned());
        Self(format!("{country}/{}/{}", part(state_or_province), part(city)).into())
    }

    /// The country that the market lies in.
    pub fn country(&self) -> Country {
        // The first segment is two letters, see `from_str` and `of`.
        self.0[..2].parse().expect("a market starts with its country")
    }
}

impl FromStr for Market {
    type Err = FieldError;
    fn from_str(text: &str) -> Result<Self, FieldError> {
        let segments: Vec<&str> = text.split('/').collect();
        let is_slug = |s: &str| {
            !s.is_empty()
                && s.len() <= MAX_SLUG_BYTES
                && !s.starts_with('-')
                && !s.ends_with('-')
                && !s.contains("--")
                && s.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        };
        let wellformed = segments.len() == 3
            && segments[0].len() == 2
            && segments[0].bytes().all(|b| b.is_ascii_lowercase())
            && segments.iter().copied().all(is_slug);
        if wellformed {
            Ok(Self(text.into()))
        } else {
            Err(FieldError::new(
                "market",
                text,
                Fault::OutOfRange,
                "'country/state/city' in lower-case slugs such as 'us/wa/seattle'",
            ))
        }
    }
}

/// Longest slug: longer than any city's name; three make a market's key.
const MAX_SLUG_BYTES: usize = 80;

/// A lower-case ASCII slug: letters and digits, single hyphens between words, at most 80 bytes.
pub fn slug(text: &str) -> String {
    let mut slug = String::with_capacity(text.len());
    for c in deunicode::deunicode(text).chars() {
        if c.is_ascii_alphanumeric() {
            slug.push(c.to_ascii_lowercase());
        } else if c != '\'' && !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
        if slug.len() == MAX_SLUG_BYTES {
            break;
        }
    }
    slug.truncate(slug.trim_end_matches('-').len());
    slug
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_market_is_three_transliterated_slugs() {
        let us: Country = "US".parse().unwrap();
        assert_eq!(Market::of(us, Some("WA"), Some("SEATTLE")).as_str(), "us/wa/seattle");
        assert_eq!(Market::of(us, Some("WA"), Some("Coeur d'Alene")).as_str(), "us/wa/coeur-dalene");
        let de: Country = "de".parse().unwrap();
        assert_eq!(Market::of(de, Some("BY"), Some("München")).as_str(), "de/by/munchen");
        assert_eq!(Market::of(us, None, Some("  ")).as_str(), "us/unknown/unknown");
    }

    #[test]
    fn a_market_is_one_that_a_listing_can_have() {
        for wrong in
            ["us/wa", "us/wa/seattle/x", "us/WA/seattle", "us/wa/-", "us/wa/a--b", "us/wa/a-", "us//a", "u1/wa/a"]
        {
            assert!(wrong.parse::<Market>().is_err(), "{wrong}");
        }
        let us: Country = "us".parse().unwrap();
        for city in ["St. John's", "--a--", "Ⅻ", "x".repeat(300).as_str(), "東京", "a\0b", "&"] {
            let market = Market::of(us, Some("wa"), Some(city));
            assert_eq!(market.as_str().parse::<Market>().as_ref(), Ok(&market), "{city}");
        }
    }

    #[test]
    fn a_feed_name_is_a_path_segment() {
        for wrong in ["", ".", "..", "-a", "A", "a/b", "a b", "é", "a".repeat(65).as_str()] {
            assert!(wrong.parse::<FeedName>().is_err(), "{wrong}");
        }
        assert_eq!(FeedName::slug_of(" NWMLS / Seattle ").unwrap().as_str(), "nwmls-seattle");
        assert_eq!(FeedName::slug_of("!!!"), None);
        assert!(FeedName::slug_of(&"long name ".repeat(20)).unwrap().as_str().len() <= MAX_FEED_BYTES);
    }

    #[test]
    fn a_listing_id_splits_into_feed_and_key() {
        let id: ListingId = "seattle:171727:a".parse().unwrap();
        assert_eq!((id.feed().as_str(), id.listing_key()), ("seattle", "171727:a"));
        assert!("seattle".parse::<ListingId>().is_err());
        assert!("Seattle:1".parse::<ListingId>().is_err());
        for wrong in ["seattle: 1", "seattle:", "seattle:a\0", "seattle:a\u{202E}b", "seattle:a\u{200B}", "seattle:a\n"]
        {
            assert!(wrong.parse::<ListingId>().is_err(), "{wrong:?}");
        }
        assert!(format!("seattle:{}", "é".repeat(127)).parse::<ListingId>().is_ok());
        assert!(format!("seattle:{}", "é".repeat(128)).parse::<ListingId>().is_err());
    }

    #[test]
    fn a_session_id_does_not_reveal_its_token() {
        let token = SessionToken::from_bits(7);
        assert_ne!(token.session_id().bits(), 7);
        assert_eq!(token.reveal().parse::<SessionToken>().unwrap().session_id(), token.session_id());
        assert_eq!(format!("{token:?}"), "SessionToken(***)");
    }
}
