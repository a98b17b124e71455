//! Signatures and secrets of webhooks, as Standard Webhooks 1.0 has them (standardwebhooks.com). Pure.
//!
//! A webhook's secret is made of the installation's secret and the webhook's id: it stands nowhere, and every process makes
//! the same. After the installation's secret was replaced, messages carry a signature by each, so that receivers may take
//! their time.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac as _};
use sha2::{Digest as _, Sha256};

/// The secret that a webhook's messages are signed with.
#[derive(Clone)]
pub struct Secret([u8; 32]);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(***)")
    }
}

impl Secret {
    /// Of these 32 bytes.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// As its owner is shown it: `whsec_` and base64.
    pub fn reveal(&self) -> String {
        format!("whsec_{}", STANDARD.encode(self.0))
    }
}

/// The value of `webhook-signature`: one signature by each secret.
pub fn signatures(secrets: &[Secret], id: &str, timestamp: i64, body: &[u8]) -> String {
    let all: Vec<String> = secrets.iter().map(|secret| signature(&secret.0, id, timestamp, body)).collect();
    all.join(" ")
}

fn signature(key: &[u8], id: &str, timestamp: i64, body: &[u8]) -> String {
    // HMAC takes keys of any length.
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length");
    mac.update(format!("{id}.{timestamp}.").as_bytes());
    mac.update(body);
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

/// The value of `webhook-id`: the same for every attempt at the same change, also of another process, so that a receiver
/// recognises what it has had. `what` names the change within the session.
pub fn message_id(webhook: &str, session: &str, what: &str) -> String {
    let hash = Sha256::digest(format!("{webhook}|{session}|{what}").as_bytes());
    let digits: String = hash[..16].iter().map(|byte| format!("{byte:02x}")).collect();
    format!("msg_{digits}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vector that the reference implementations of Standard Webhooks test themselves with.
    #[test]
    fn a_signature_is_the_published_one() {
        let key = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let (id, timestamp, body) = ("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
        assert_eq!(signature(&key, id, timestamp, body), "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn there_is_a_signature_by_each_secret_and_none_is_shown() {
        let secrets = [Secret::new([1; 32]), Secret::new([2; 32])];
        let both = signatures(&secrets, "msg_1", 7, b"{}");
        let parts: Vec<&str> = both.split(' ').collect();
        assert_eq!(parts.len(), 2);
        assert!(parts.iter().all(|part| part.starts_with("v1,") && part.len() == 47), "{both}");
        assert_eq!(signatures(&secrets[..1], "msg_1", 7, b"{}"), parts[0]);
        assert_eq!(format!("{:?}", secrets[0]), "Secret(***)");
        assert!(secrets[0].reveal().starts_with("whsec_AQEB"));
    }

    #[test]
    fn a_message_id_is_the_same_for_the_same_change_alone() {
        assert_eq!(message_id("a", "b", "7"), message_id("a", "b", "7"));
        assert_ne!(message_id("a", "b", "7"), message_id("a", "b", "8"));
        assert_ne!(message_id("a", "b", "7"), message_id("c", "b", "7"));
    }
}
