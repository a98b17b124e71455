//! Tokens of roost's own: JWTs (RFC 7519) signed with Ed25519. Pure but for the clock of the library that checks them.
//!
//! Does not know which were renewed or revoked: `refresh.rs` and `register.rs`.

use std::collections::HashMap;
use std::time::Duration;

use jsonwebtoken::jwk::{AlgorithmParameters, Jwk};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, decode_header, encode};
use schemas::id::{AccessId, SessionId};
use schemas::units::Instant;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::config::Config;
use crate::secret::Secret;

/// Longest token that is looked at, in bytes: a header line of usual proxies.
pub const MAX_TOKEN_BYTES: usize = 8 * 1024;
/// From which the signing seed is made.
const SIGNING: &str = "roost token signing v1";
/// What stands before the seed of a private key of Ed25519 in PKCS #8 (RFC 8410).
const PKCS8: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

/// What a token is for. One can never be used as the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Use {
    /// To ask with.
    Access,
    /// To renew with.
    Refresh,
}

#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: SessionId,
    iat: i64,
    nbf: i64,
    exp: i64,
    typ: Use,
    fam: AccessId,
    r#gen: u32,
    /// `iat` in milliseconds: a session may be erased and made again within a second.
    at: i64,
}

/// A token whose signature and times are right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// Whose.
    pub session: SessionId,
    /// Of which family.
    pub family: AccessId,
    /// Of which generation.
    pub generation: u32,
    /// When it was issued.
    pub issued: Instant,
    /// When it ends.
    pub expires: Instant,
}

/// A pair of tokens, as a client gets them. Secret: never in a log line.
#[derive(Clone, PartialEq, Eq)]
pub struct Issued {
    /// To ask with.
    pub token: String,
    /// To renew with, once.
    pub refresh_token: String,
    /// When the first ends.
    pub token_expires_at: Instant,
    /// When the second ends.
    pub refresh_expires_at: Instant,
}

impl std::fmt::Debug for Issued {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Issued(***, until {})", self.token_expires_at)
    }
}

/// Makes and checks tokens.
pub struct Tokens {
    signing: EncodingKey,
    kid: String,
    /// By key id: the present secret's and those of the ones before.
    keys: HashMap<String, DecodingKey>,
    validation: Validation,
    issuer: String,
    audience: String,
    token_ttl: Duration,
    refresh_ttl: Duration,
}

impl Tokens {
    /// Signs with the key of `secret`, checks with those of `previous` too.
    pub fn new(config: &Config, secret: &Secret, previous: &[Secret]) -> Result<Self, jsonwebtoken::errors::Error> {
        let (signing, kid, key) = key_of(secret)?;
        let mut keys = HashMap::from([(kid.clone(), key)]);
        for secret in previous {
            let (_, kid, key) = key_of(secret)?;
            keys.insert(kid, key);
        }
        // What counts is this list, not what the token says of itself.
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.leeway = config.leeway.as_secs();
        validation.validate_nbf = true;
        validation.set_issuer(&[&config.issuer]);
        validation.set_audience(&[&config.audience]);
        validation.set_required_spec_claims(&["exp", "nbf", "aud", "iss", "sub"]);
        Ok(Self {
            signing,
            kid,
            keys,
            validation,
            issuer: config.issuer.clone(),
            audience: config.audience.clone(),
            token_ttl: config.token_ttl,
            refresh_ttl: config.refresh_ttl,
        })
    }

    /// The tokens of a generation of a family.
    pub fn issue(
        &self,
        session: SessionId,
        family: &AccessId,
        generation: u32,
        now: Instant,
    ) -> Result<Issued, jsonwebtoken::errors::Error> {
        let (token, token_expires_at) = self.sign(Use::Access, self.token_ttl, session, family, generation, now)?;
        let (refresh_token, refresh_expires_at) =
            self.sign(Use::Refresh, self.refresh_ttl, session, family, generation, now)?;
        Ok(Issued { token, refresh_token, token_expires_at, refresh_expires_at })
    }

    fn sign(
        &self,
        typ: Use,
        ttl: Duration,
        session: SessionId,
        family: &AccessId,
        generation: u32,
        now: Instant,
    ) -> Result<(String, Instant), jsonwebtoken::errors::Error> {
        let iat = now.ms().div_euclid(1_000);
        let exp = iat + ttl.as_secs() as i64;
        let claims = Claims {
            iss: self.issuer.clone(),
            aud: self.audience.clone(),
            sub: session,
            iat,
            nbf: iat,
            exp,
            typ,
            fam: family.clone(),
            r#gen: generation,
            at: now.ms(),
        };
        let mut header = Header::new(Algorithm::EdDSA);
        header.kid = Some(self.kid.clone());
        Ok((encode(&header, &claims, &self.signing)?, Instant::from_ms(exp * 1_000).unwrap_or_default()))
    }

    /// Reads a token for this use. `Err` says what is wrong with it, without its text.
    pub fn read(&self, text: &str, r#use: Use) -> Result<Token, &'static str> {
        const NONE: &str = "the token is none of this service";
        if text.len() > MAX_TOKEN_BYTES {
            return Err("the token is too long");
        }
        let kid = decode_header(text).ok().and_then(|header| header.kid).ok_or(NONE)?;
        let key =
            self.keys.get(&kid).ok_or("the token was signed with a key that is not, or no longer, this service's")?;
        let claims = decode::<Claims>(text, key, &self.validation).map_err(|error| reason(&error))?.claims;
        if claims.typ != r#use {
            return Err(match r#use {
                Use::Access => "the token is a refresh token: it is for POST /api/v1/sessions/refresh alone",
                Use::Refresh => "the token is no refresh token",
            });
        }
        let of_seconds = |seconds: i64| Instant::from_ms(seconds.saturating_mul(1_000));
        let (Some(issued), Some(expires)) = (Instant::from_ms(claims.at), of_seconds(claims.exp)) else {
            return Err(NONE);
        };
        Ok(Token { session: claims.sub, family: claims.fam, generation: claims.r#gen, issued, expires })
    }
}

/// What a client is told; never what the token says.
pub(crate) fn reason(error: &jsonwebtoken::errors::Error) -> &'static str {
    use jsonwebtoken::errors::ErrorKind;
    match error.kind() {
        ErrorKind::ExpiredSignature => "the token has expired",
        ErrorKind::ImmatureSignature => "the token is not valid yet",
        ErrorKind::InvalidIssuer => "the token is another issuer's",
        ErrorKind::InvalidAudience => "the token is for another service",
        ErrorKind::InvalidAlgorithm => "the token is signed in a way that is not allowed",
        ErrorKind::InvalidSignature => "the token's signature is wrong",
        ErrorKind::MissingRequiredClaim(_) => "the token lacks a claim",
        _ => "the token is none of this service",
    }
}

/// The signing key of a secret, its id, and the key that checks.
fn key_of(secret: &Secret) -> Result<(EncodingKey, String, DecodingKey), jsonwebtoken::errors::Error> {
    let seed = secret.mac(SIGNING, &[]);
    let signing = EncodingKey::from_ed_der(&[&PKCS8[..], &seed].concat());
    let jwk = Jwk::from_encoding_key(&signing, Algorithm::EdDSA)?;
    let x = match &jwk.algorithm {
        AlgorithmParameters::OctetKeyPair(pair) => pair.x.clone(),
        // Ed25519 is a pair.
        _ => return Err(jsonwebtoken::errors::ErrorKind::InvalidEddsaKey.into()),
    };
    let kid = Sha256::digest(x.as_bytes())[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    let checking = DecodingKey::from_ed_components(&x)?;
    Ok((signing, kid, checking))
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use serde_json::{Value, json};

    fn tokens(config: &Config) -> (Tokens, Secret) {
        let secret = Secret::random();
        (Tokens::new(config, &secret, &[]).unwrap(), secret)
    }
    fn session() -> SessionId {
        SessionId::from_bits(7)
    }
    fn issue(tokens: &Tokens, ago_s: i64) -> Issued {
        let now = Instant::from_ms(crate::now().ms() - ago_s * 1_000).unwrap();
        tokens.issue(session(), &AccessId::random(), 3, now).unwrap()
    }
    fn part(text: &str, at: usize) -> Value {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text.split('.').nth(at).unwrap()).unwrap()).unwrap()
    }
    /// The token with other claims and header, signed again by `sign`.
    fn with(text: &str, header: &Value, claims: &Value, sign: impl Fn(&str) -> String) -> String {
        let mut parts = [part(text, 0), part(text, 1)];
        for (part, change) in parts.iter_mut().zip([header, claims]) {
            part.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        }
        let message = parts.map(|part| URL_SAFE_NO_PAD.encode(part.to_string())).join(".");
        format!("{message}.{}", sign(&message))
    }
    /// The same claims but for these, rightly signed.
    fn signed(tokens: &Tokens, text: &str, claims: &Value) -> String {
        let mut all = part(text, 1);
        all.as_object_mut().unwrap().extend(claims.as_object().unwrap().clone());
        let mut header = Header::new(Algorithm::EdDSA);
        header.kid = Some(tokens.kid.clone());
        encode(&header, &all, &tokens.signing).unwrap()
    }

    #[test]
    fn each_token_is_good_for_its_own_use_alone() {
        let (tokens, _) = tokens(&Config::default());
        let issued = issue(&tokens, 0);
        let token = tokens.read(&issued.token, Use::Access).unwrap();
        assert_eq!((token.session, token.generation, token.expires), (session(), 3, issued.token_expires_at));
        assert_eq!(tokens.read(&issued.refresh_token, Use::Refresh).unwrap().family, token.family);
        assert!(tokens.read(&issued.refresh_token, Use::Access).unwrap_err().contains("is a refresh token"));
        assert!(tokens.read(&issued.token, Use::Refresh).unwrap_err().contains("no refresh token"));
        assert!(!format!("{issued:?}").contains(&issued.token));
    }

    #[test]
    fn a_token_of_another_time_issuer_or_audience_is_none() {
        let config = Config::default();
        let (tokens, secret) = tokens(&config);
        assert_eq!(
            tokens.read(&issue(&tokens, 15 * 60 + 29).token, Use::Access).map(|t| t.generation),
            Ok(3),
            "leeway"
        );
        assert_eq!(tokens.read(&issue(&tokens, 15 * 60 + 31).token, Use::Access), Err("the token has expired"));
        assert_eq!(tokens.read(&issue(&tokens, -60).token, Use::Access), Err("the token is not valid yet"));
        for (other, said) in [
            (Config { issuer: "x".to_owned(), ..config.clone() }, "the token is another issuer's"),
            (Config { audience: "x".to_owned(), ..config }, "the token is for another service"),
        ] {
            let other = Tokens::new(&other, &secret, &[]).unwrap();
            assert_eq!(tokens.read(&issue(&other, 0).token, Use::Access), Err(said));
        }
        let token = issue(&tokens, 0).token;
        assert!(tokens.read(&signed(&tokens, &token, &json!({})), Use::Access).is_ok());
        for change in
            [json!({"exp": null}), json!({"nbf": null}), json!({"sub": "x"}), json!({"aud": ["x"]}), json!({"iss": ""})]
        {
            assert!(tokens.read(&signed(&tokens, &token, &change), Use::Access).is_err(), "{change}");
        }
    }

    #[test]
    fn the_algorithm_is_ours_and_not_the_tokens() {
        let (tokens, secret) = tokens(&Config::default());
        let token = issue(&tokens, 0).token;
        let none = with(&token, &json!({"alg": "none"}), &json!({}), |_| String::new());
        assert!(tokens.read(&none, Use::Access).is_err());
        // Signed with the public key, which anybody may have, as if it were a shared secret.
        let jwk = Jwk::from_encoding_key(&key_of(&secret).unwrap().0, Algorithm::EdDSA).unwrap();
        let AlgorithmParameters::OctetKeyPair(pair) = &jwk.algorithm else { panic!() };
        for public in [URL_SAFE_NO_PAD.decode(&pair.x).unwrap(), pair.x.clone().into_bytes()] {
            let mut header = Header::new(Algorithm::HS256);
            header.kid = Some(tokens.kid.clone());
            let forged = encode(&header, &part(&token, 1), &EncodingKey::from_secret(&public).unwrap()).unwrap();
            assert!(tokens.read(&forged, Use::Access).is_err());
        }
    }

    #[test]
    fn no_bit_of_a_token_can_be_changed_and_nothing_cut_off() {
        let (tokens, _) = tokens(&Config::default());
        let token = issue(&tokens, 0).token;
        for at in 0..token.len() {
            // The last digit of the signature has bits that say nothing.
            for bit in [1_u8, 4] {
                let mut bytes = token.clone().into_bytes();
                bytes[at] ^= bit;
                let Ok(text) = String::from_utf8(bytes) else { continue };
                assert!(at + 1 == token.len() || tokens.read(&text, Use::Access).is_err(), "byte {at}");
            }
            assert!(tokens.read(&token[..at], Use::Access).is_err(), "cut at {at}");
        }
        assert!(tokens.read(&format!("{token}."), Use::Access).is_err());
        assert!(tokens.read(&"a".repeat(MAX_TOKEN_BYTES + 1), Use::Access).is_err());
    }

    #[test]
    fn a_rotated_secret_signs_no_more_and_is_still_verified() {
        let config = Config::default();
        let (old, old_secret) = tokens(&config);
        let token = issue(&old, 0).token;
        let new_secret = Secret::random();
        let alone = Tokens::new(&config, &new_secret, &[]).unwrap();
        assert!(alone.read(&token, Use::Access).unwrap_err().contains("no longer"));
        let both = Tokens::new(&config, &new_secret, &[old_secret]).unwrap();
        assert!(both.read(&token, Use::Access).is_ok());
        let new = issue(&both, 0).token;
        assert!(alone.read(&new, Use::Access).is_ok() && old.read(&new, Use::Access).is_err());
        // The id of another key does not make it that key's.
        let swapped =
            with(&token, &json!({"kid": both.kid}), &json!({}), |_| token.rsplit('.').next().unwrap().to_owned());
        assert!(both.read(&swapped, Use::Access).is_err());
    }
}
