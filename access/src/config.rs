//! Every setting of `[auth]`, with its default: one table for the API and for ingest.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Who is asked for what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Whoever reaches the port may push and create sessions; a session's token opens it, for as long as there is the session.
    #[default]
    Open,
    /// Sessions are opened by tokens that end and are renewed; feeds and administrators have API keys.
    Tokens,
    /// As `tokens`, but the tokens are another issuer's (OpenID Connect).
    Oidc,
}

/// The settings; the default is what is shipped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Who is asked for what.
    pub mode: Mode,
    /// The file of the secret from which all signatures are made: 32 random bytes or more as base64 or hexadecimal digits. The
    /// same for all processes. Empty: none.
    pub secret_file: PathBuf,
    /// Files of secrets that are still verified and never signed with: those before the present one.
    pub previous_secret_files: Vec<PathBuf>,
    /// `iss` of the tokens: who makes them.
    pub issuer: String,
    /// `aud` of the tokens: who they are for.
    pub audience: String,
    /// How long an access token is good: how long one that was stolen is, and a revocation of its family takes to bite.
    #[serde(with = "humantime_serde")]
    pub token_ttl: Duration,
    /// How long a refresh token is good: as long as a session without a statement (DESIGN §2).
    #[serde(with = "humantime_serde")]
    pub refresh_ttl: Duration,
    /// How long after a renewal the same refresh token is answered the same again: a client that lost the answer repeats. Later
    /// it is a stolen one.
    #[serde(with = "humantime_serde")]
    pub refresh_grace: Duration,
    /// How far two clocks may differ.
    #[serde(with = "humantime_serde")]
    pub leeway: Duration,
    /// The other issuer.
    pub oidc: OidcConfig,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            mode: Mode::Open,
            secret_file: PathBuf::new(),
            previous_secret_files: Vec::new(),
            issuer: "roost".to_owned(),
            audience: "roost".to_owned(),
            token_ttl: Duration::from_secs(15 * 60),
            refresh_ttl: Duration::from_secs(30 * 86_400),
            refresh_grace: Duration::from_secs(30),
            leeway: Duration::from_secs(30),
            oidc: OidcConfig::default(),
        }
    }
}

/// The settings of mode `oidc`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OidcConfig {
    /// `iss` of the tokens.
    pub issuer: String,
    /// `aud` of the tokens.
    pub audience: String,
    /// Where its public keys are (JWKS): a file, or an https address; http of this machine alone.
    pub jwks: String,
    /// How often they are read again.
    #[serde(with = "humantime_serde")]
    pub refresh_every: Duration,
    /// The claim that names the roles, a dotted path: `realm_access.roles`.
    pub roles_claim: String,
    /// Which signatures count: never what the token itself says.
    pub algorithms: Vec<Algorithm>,
}

impl Default for OidcConfig {
    fn default() -> Self {
        Self {
            issuer: String::new(),
            audience: String::new(),
            jwks: String::new(),
            refresh_every: Duration::from_secs(600),
            roles_claim: "roles".to_owned(),
            algorithms: vec![Algorithm::EdDSA, Algorithm::ES256, Algorithm::RS256],
        }
    }
}

/// A signature by a key pair. Those by a shared secret (`HS256`) and `none` are not among them: with the public key anybody
/// could make them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names are those of RFC 7518 and RFC 8037")]
pub enum Algorithm {
    EdDSA,
    ES256,
    ES384,
    RS256,
    RS384,
    RS512,
    PS256,
    PS384,
    PS512,
}
