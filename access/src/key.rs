//! API keys as text: `roost_<key_id>_<secret>`. The text is shown once; only the SHA-256 of its secret is kept. Pure but for
//! the random source.

use schemas::access::{ApiKey, KeyRole};
use schemas::id::{AccessId, FeedName};
use schemas::units::Instant;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// What every API key starts with, so that people and scanners of leaked secrets recognise one.
pub const PREFIX: &str = "roost_";

/// Makes a key: the record, and the text that is shown once. The secret has 256 random bits.
pub fn create(
    name: String,
    role: KeyRole,
    feeds: Vec<FeedName>,
    now: Instant,
    expires_at: Option<Instant>,
) -> (ApiKey, String) {
    let key_id = AccessId::short();
    let secret = format!("{}{}", AccessId::random(), AccessId::random());
    let text = format!("{PREFIX}{key_id}_{secret}");
    let key = ApiKey { key_id, name, role, feeds, hash: hash(&secret), created_at: now, expires_at, revoked_at: None };
    (key, text)
}

/// The parts of a key's text: its id and its secret.
pub fn parse(text: &str) -> Option<(AccessId, &str)> {
    let (id, secret) = text.strip_prefix(PREFIX)?.split_once('_')?;
    Some((id.parse().ok()?, secret)).filter(|(_, secret)| secret.len() == 64)
}

/// Whether the secret is the key's. Takes as long whatever part of it is right.
pub fn opens(key: &ApiKey, secret: &str) -> bool {
    hash(secret).as_bytes().ct_eq(key.hash.as_bytes()).into()
}

fn hash(secret: &str) -> String {
    Sha256::digest(secret.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_text_opens_and_the_record_does_not_hold_it() {
        let (key, text) = create("feed".to_owned(), KeyRole::Service, Vec::new(), Instant::default(), None);
        let (id, secret) = parse(&text).unwrap();
        assert_eq!(id, key.key_id);
        assert!(opens(&key, secret));
        assert!(!format!("{key:?}").contains(secret));
        let other = create("feed".to_owned(), KeyRole::Service, Vec::new(), Instant::default(), None).1;
        assert!(!opens(&key, parse(&other).unwrap().1));
        for wrong in ["", "roost_", "roost_5d41402abc4b", "roost_5d41402abc4b_", &text[..text.len() - 1], &text[1..]] {
            assert!(parse(wrong).is_none(), "{wrong}");
        }
    }
}
