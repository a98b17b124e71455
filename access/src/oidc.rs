//! Tokens of another issuer (OpenID Connect): its public keys, and who its tokens name. The keys are read from a file or an
//! address on a thread of its own (`jwks.rs`); here is what they are and what a token must be.

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm as Jws, DecodingKey, Validation, decode, decode_header};
use schemas::id::{AccessId, SessionId};
use schemas::units::Instant;
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::config::{Algorithm, Config};
use crate::token::{MAX_TOKEN_BYTES, reason};

/// Most keys of an issuer: it has one, and a few around a rotation.
pub const MAX_KEYS: usize = 64;
/// Shortest modulus of an RSA key, in bytes: 2,048 bits (NIST SP 800-131A).
const MIN_MODULUS_BYTES: usize = 256;

/// One public key, and the signatures that count with it.
struct Key {
    kid: Option<String>,
    key: DecodingKey,
    algorithms: Vec<Jws>,
}

/// The keys of the issuer.
#[derive(Default)]
pub struct Keys(Vec<Key>);

/// What a token may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Ask for itself.
    User,
    /// Push to feeds.
    Service,
    /// Erase sessions.
    Admin,
}

/// Who a token names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// The session of that user: the same for every token of the same `iss` and `sub`.
    pub session: SessionId,
    /// The id of that service or administrator.
    pub id: AccessId,
    /// What it may do.
    pub role: Role,
    /// When the token was issued; 1970 when it does not say.
    pub issued: Instant,
    /// When it ends.
    pub expires: Instant,
}

/// Why a token counts for nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It is signed with a key that is not known: there may be new ones.
    UnknownKey,
    /// What is wrong, without the token's text.
    Bad(&'static str),
}

impl Keys {
    /// Reads a JSON Web Key Set (RFC 7517). Keys that cannot count are left out; `Err` when none is left.
    pub fn read(text: &[u8], allowed: &[Algorithm]) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Set {
            keys: Vec<Value>,
        }
        let set: Set = serde_json::from_slice(text).map_err(|error| format!("it is no JSON Web Key Set: {error}"))?;
        if set.keys.len() > MAX_KEYS {
            return Err(format!("it has {} keys (expected at most {MAX_KEYS})", set.keys.len()));
        }
        // A key of a kind that the library does not know must not make the others useless.
        let jwks = set.keys.into_iter().filter_map(|key| serde_json::from_value::<Jwk>(key).ok());
        let keys: Vec<Key> = jwks.filter_map(|jwk| Key::of(&jwk, allowed)).collect();
        match keys.is_empty() {
            true => Err("it has no key that auth.oidc.algorithms allows".to_owned()),
            false => Ok(Self(keys)),
        }
    }

    /// How many count.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    fn of(&self, kid: Option<&str>) -> Option<&Key> {
        match kid {
            Some(kid) => self.0.iter().find(|key| key.kid.as_deref() == Some(kid)),
            // An issuer of one key need not name it.
            None => self.0.first().filter(|_| self.0.len() == 1),
        }
    }

    /// Whom a token names.
    pub fn named(&self, text: &str, config: &Config) -> Result<Named, Refused> {
        if text.len() > MAX_TOKEN_BYTES {
            return Err(Refused::Bad("the token is too long"));
        }
        let header = decode_header(text).map_err(|error| Refused::Bad(reason(&error)))?;
        let Key { key, algorithms, .. } = self.of(header.kid.as_deref()).ok_or(Refused::UnknownKey)?;
        // All of one family, as the library wants it; what counts is this list, not what the token says of itself.
        let mut validation = Validation::new(algorithms[0]);
        validation.algorithms.clone_from(algorithms);
        validation.leeway = config.leeway.as_secs();
        validation.validate_nbf = true;
        validation.set_issuer(&[&config.oidc.issuer]);
        validation.set_audience(&[&config.oidc.audience]);
        validation.set_required_spec_claims(&["exp", "aud", "iss", "sub"]);
        let claims = decode::<Value>(text, key, &validation).map_err(|error| Refused::Bad(reason(&error)))?.claims;
        let subject = claims["sub"].as_str().filter(|subject| !subject.is_empty());
        let subject = subject.ok_or(Refused::Bad("the token names nobody (sub)"))?;
        let digest = Sha256::digest([config.oidc.issuer.as_bytes(), b"\0", subject.as_bytes()].concat());
        let mut bits = [0_u8; 16];
        bits.copy_from_slice(&digest[..16]);
        let session = SessionId::from_bits(u128::from_be_bytes(bits));
        let time = |name: &str| claims[name].as_f64().and_then(|seconds| Instant::from_ms((seconds * 1_000.0) as i64));
        let expires = time("exp").ok_or(Refused::Bad("the token lacks a claim"))?;
        Ok(Named {
            session,
            // 32 hexadecimal digits are an id.
            id: session.to_string().parse().map_err(|_| Refused::Bad("the token names nobody (sub)"))?,
            role: role(&claims, &config.oidc.roles_claim),
            issued: time("iat").unwrap_or_default(),
            expires,
        })
    }
}

/// The greatest role that the claim names: a text, or a list of them.
fn role(claims: &Value, path: &str) -> Role {
    let claim = path.split('.').try_fold(claims, |value, name| value.get(name));
    let named = |role: &str| match claim {
        Some(Value::String(text)) => text.split(' ').any(|word| word == role),
        Some(Value::Array(list)) => list.iter().any(|value| value == role),
        _ => false,
    };
    match () {
        () if named("admin") => Role::Admin,
        () if named("service") => Role::Service,
        () => Role::User,
    }
}

impl Key {
    fn of(jwk: &Jwk, allowed: &[Algorithm]) -> Option<Self> {
        if jwk.common.public_key_use.as_ref().is_some_and(|r#use| *r#use != PublicKeyUse::Signature) {
            return None;
        }
        let bytes = |text: &str| {
            use base64::Engine as _;
            base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok()
        };
        let fitting: &[Algorithm] = match &jwk.algorithm {
            AlgorithmParameters::RSA(key) if bytes(&key.n)?.len() >= MIN_MODULUS_BYTES => &[
                Algorithm::RS256,
                Algorithm::RS384,
                Algorithm::RS512,
                Algorithm::PS256,
                Algorithm::PS384,
                Algorithm::PS512,
            ],
            AlgorithmParameters::EllipticCurve(key) => match key.curve {
                EllipticCurve::P256 if bytes(&key.x)?.len() == 32 && bytes(&key.y)?.len() == 32 => &[Algorithm::ES256],
                EllipticCurve::P384 if bytes(&key.x)?.len() == 48 && bytes(&key.y)?.len() == 48 => &[Algorithm::ES384],
                _ => return None,
            },
            AlgorithmParameters::OctetKeyPair(key)
                if key.curve == EllipticCurve::Ed25519 && bytes(&key.x)?.len() == 32 =>
            {
                &[Algorithm::EdDSA]
            }
            // Shared secrets among them: with those anybody who can check a token could make one.
            _ => return None,
        };
        let own = jwk.common.key_algorithm.map(|algorithm| algorithm.to_string());
        let counts = |algorithm: &&Algorithm| {
            allowed.contains(algorithm) && own.as_ref().is_none_or(|own| *own == format!("{algorithm:?}"))
        };
        let algorithms: Vec<Jws> = fitting.iter().filter(counts).map(|algorithm| of(*algorithm)).collect();
        if algorithms.is_empty() {
            return None;
        }
        Some(Self { kid: jwk.common.key_id.clone(), key: DecodingKey::from_jwk(jwk).ok()?, algorithms })
    }
}

const fn of(algorithm: Algorithm) -> Jws {
    match algorithm {
        Algorithm::EdDSA => Jws::EdDSA,
        Algorithm::ES256 => Jws::ES256,
        Algorithm::ES384 => Jws::ES384,
        Algorithm::RS256 => Jws::RS256,
        Algorithm::RS384 => Jws::RS384,
        Algorithm::RS512 => Jws::RS512,
        Algorithm::PS256 => Jws::PS256,
        Algorithm::PS384 => Jws::PS384,
        Algorithm::PS512 => Jws::PS512,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_greatest_role_of_a_dotted_claim_counts() {
        for (claims, expected) in [
            (json!({}), Role::User),
            (json!({"realm": {"roles": ["x", "service"]}}), Role::Service),
            (json!({"realm": {"roles": ["service", "admin"]}}), Role::Admin),
            (json!({"realm": {"roles": "reader admin"}}), Role::Admin),
            (json!({"realm": {"roles": "administrator"}}), Role::User),
            (json!({"realm": {"roles": {"admin": true}}}), Role::User),
            (json!({"realm.roles": ["admin"]}), Role::User),
        ] {
            assert_eq!(role(&claims, "realm.roles"), expected, "{claims}");
        }
    }

    #[test]
    fn keys_that_cannot_count_are_left_out() {
        let allowed = [Algorithm::EdDSA, Algorithm::RS256];
        let good =
            json!({"kty": "OKP", "crv": "Ed25519", "kid": "a", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"});
        let read = |keys: Value| Keys::read(json!({"keys": keys}).to_string().as_bytes(), &allowed);
        let odd = [
            json!({"kty": "oct", "kid": "b", "k": "c2VjcmV0"}),
            json!({"kty": "OKP", "crv": "Ed25519", "kid": "c", "x": "11qY"}),
            json!({"kty": "RSA", "kid": "d", "n": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo", "e": "AQAB"}),
            json!({"kty": "OKP", "crv": "Ed25519", "kid": "e", "use": "enc", "x": good["x"]}),
            json!({"kty": "OKP", "crv": "Ed25519", "kid": "f", "alg": "RS256", "x": good["x"]}),
            json!({"kty": "unheard of", "kid": "g"}),
        ];
        for key in &odd {
            assert!(read(json!([key])).is_err(), "{key}");
        }
        let mut all = odd.to_vec();
        all.push(good);
        let keys = read(json!(all)).unwrap();
        assert_eq!(keys.0.len(), 1);
        assert!(keys.of(Some("a")).is_some() && keys.of(None).is_some() && keys.of(Some("b")).is_none());
        assert!(Keys::read(b"[]", &allowed).is_err() && read(json!([])).is_err());
    }
}
