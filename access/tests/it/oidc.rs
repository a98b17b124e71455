//! Tokens of another issuer, whose keys are a file or an address.

use std::io::{Read as _, Write as _};
use std::time::Duration;

use access::config::{self, OidcConfig};
use access::{Access, Caller, Config, Mode, Refused};
use jsonwebtoken::jwk::{AlgorithmParameters, Jwk};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use crate::place::{Place, eventually};

/// What the tokens of `data/issuer.json` are signed with.
const ALL: [config::Algorithm; 8] = {
    use config::Algorithm::{ES256, ES384, PS256, PS384, PS512, RS256, RS384, RS512};
    [RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384]
};

/// A key pair of the issuer.
struct Pair {
    kid: &'static str,
    private: EncodingKey,
}

impl Pair {
    fn new(kid: &'static str, seed: u8) -> Self {
        let prefix = [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
        Self { kid, private: EncodingKey::from_ed_der(&[&prefix[..], &[seed; 32]].concat()) }
    }
    fn public(&self) -> Value {
        let jwk = Jwk::from_encoding_key(&self.private, Algorithm::EdDSA).unwrap();
        let AlgorithmParameters::OctetKeyPair(pair) = jwk.algorithm else { panic!() };
        json!({"kty": "OKP", "crv": "Ed25519", "use": "sig", "kid": self.kid, "x": pair.x})
    }
    fn sign(&self, change: &Value) -> String {
        let now = access::now().ms() / 1_000;
        let mut claims = json!({
            "iss": "https://id.example.com", "aud": ["other", "roost"], "sub": "ada", "iat": now, "exp": now + 600,
        });
        claims.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let mut header = Header::new(Algorithm::EdDSA);
        header.kid = Some(self.kid.to_owned());
        encode(&header, &claims, &self.private).unwrap()
    }
}

fn config(jwks: &str) -> Config {
    let oidc = OidcConfig {
        issuer: "https://id.example.com".to_owned(),
        audience: "roost".to_owned(),
        jwks: jwks.to_owned(),
        roles_claim: "realm.roles".to_owned(),
        refresh_every: Duration::from_millis(50),
        ..OidcConfig::default()
    };
    Config { mode: Mode::Oidc, oidc, ..Config::default() }
}

fn set(pairs: &[&Pair]) -> String {
    json!({"keys": pairs.iter().map(|pair| pair.public()).collect::<Vec<_>>()}).to_string()
}

fn identify(place: &Place, access: &Access, token: &str) -> Result<Caller, Refused> {
    place.runtime.block_on(access.identify(token))
}

#[test]
fn an_issuers_token_names_a_session_or_a_role() {
    let place = Place::new();
    let pair = Pair::new("a", 1);
    let file = place.directory.path().join("jwks.json");
    std::fs::write(&file, set(&[&pair])).unwrap();
    let access = place.access(&config(file.to_str().unwrap()));
    let who = |change: Value| identify(&place, &access, &pair.sign(&change));
    let session = |change| match who(change) {
        Ok(Caller::User(user)) => user.session,
        other => panic!("{other:?}"),
    };
    assert_eq!(session(json!({})), session(json!({"aud": "roost", "jti": "x"})), "the same subject");
    assert_ne!(session(json!({})), session(json!({"sub": "eve"})));
    assert!(matches!(who(json!({"realm": {"roles": ["service"]}})), Ok(Caller::Service(_))));
    assert!(matches!(who(json!({"realm": {"roles": ["admin"]}})), Ok(Caller::Admin(_))));
    let now = access::now().ms() / 1_000;
    for change in [
        json!({"iss": "https://evil.example.com"}),
        json!({"aud": "other"}),
        json!({"exp": now - 31}),
        json!({"nbf": now + 60}),
        json!({"sub": ""}),
        json!({"sub": null}),
        json!({"exp": null}),
    ] {
        assert!(matches!(who(change.clone()), Err(Refused::Bad(_))), "{change}");
    }
    let stranger = Pair::new("a", 2);
    assert!(
        matches!(identify(&place, &access, &stranger.sign(&json!({}))), Err(Refused::Bad(_))),
        "a key id is no key"
    );
}

#[test]
fn tokens_of_every_family_of_signatures_count_where_they_are_allowed() {
    let issuer: Value = serde_json::from_str(include_str!("../data/issuer.json")).unwrap();
    let place = Place::new();
    let file = place.directory.path().join("jwks.json");
    std::fs::write(&file, issuer["jwks"].to_string()).unwrap();
    let tokens = issuer["tokens"].as_object().unwrap();
    let with = |algorithms: Vec<config::Algorithm>| {
        let mut config = config(file.to_str().unwrap());
        config.oidc.algorithms = algorithms;
        place.access(&config)
    };
    let all = with(ALL.to_vec());
    assert_eq!(tokens.len(), ALL.len());
    for algorithm in ALL {
        let token = tokens[&format!("{algorithm:?}")].as_str().unwrap();
        assert!(matches!(identify(&place, &all, token), Ok(Caller::User(_))), "{algorithm:?}");
        let others: Vec<_> = ALL.into_iter().filter(|other| *other != algorithm).collect();
        assert!(identify(&place, &with(others), token).is_err(), "{algorithm:?} is not allowed");
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let first = if signature.starts_with('A') { 'B' } else { 'A' };
        let forged = format!("{signed}.{first}{}", &signature[1..]);
        assert!(matches!(identify(&place, &all, &forged), Err(Refused::Bad(_))), "{algorithm:?}");
    }
}

#[test]
fn a_rotated_key_is_found_and_the_last_good_ones_stay() {
    let place = Place::new();
    let (old, new) = (Pair::new("a", 1), Pair::new("b", 2));
    let file = place.directory.path().join("jwks.json");
    std::fs::write(&file, set(&[&old])).unwrap();
    let access = place.access(&config(file.to_str().unwrap()));
    let is_good = |pair: &Pair| identify(&place, &access, &pair.sign(&json!({}))).is_ok();
    assert!(is_good(&old) && !is_good(&new));
    std::fs::write(&file, set(&[&old, &new])).unwrap();
    eventually("the new key is read", || is_good(&new));
    std::fs::write(&file, "{").unwrap();
    std::thread::park_timeout(Duration::from_millis(200));
    assert!(is_good(&new) && is_good(&old) && access.ready().is_ok());
}

#[test]
fn an_issuer_that_is_away_stops_no_start_and_its_keys_are_read_when_it_is_there() {
    let place = Place::new();
    let pair = Pair::new("a", 1);
    // Nobody listens here.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let access = place.start(&config(&format!("http://{address}/jwks"))).unwrap();
    eventually("it says what is away", || access.ready().is_err_and(|reason| reason.contains("auth.oidc.jwks")));
    assert_eq!(identify(&place, &access, &pair.sign(&json!({}))), Err(Refused::Starting));
    let listener = std::net::TcpListener::bind(address).unwrap();
    let body = set(&[&pair]);
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 4_096]);
        let head =
            format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n", body.len());
        stream.write_all((head + &body).as_bytes()).unwrap();
    });
    eventually("the keys are read", || identify(&place, &access, &pair.sign(&json!({}))).is_ok());
    server.join().unwrap();
}

#[test]
fn settings_that_lack_a_part_say_which() {
    let place = Place::new();
    let error = place.start(&Config { mode: Mode::Oidc, ..Config::default() }).err().unwrap();
    assert!(error.contains("auth.oidc.issuer, auth.oidc.audience, auth.oidc.jwks"), "{error}");
    let error = place.start(&config("/nowhere/jwks.json")).err().unwrap();
    assert!(error.contains("/nowhere/jwks.json"), "{error}");
    // As `roost check` asks.
    let error = access::check(&config("/nowhere/jwks.json")).unwrap_err();
    assert!(error.starts_with("auth.oidc.jwks: /nowhere/jwks.json: "), "{error}");
    let file = place.directory.path().join("jwks.json");
    std::fs::write(&file, set(&[&Pair::new("a", 1), &Pair::new("b", 2)])).unwrap();
    let said = access::check(&config(file.to_str().unwrap())).unwrap();
    assert_eq!(said, "mode \"oidc\": keys of https://id.example.com: 2");
    let error = access::check(&Config { mode: Mode::Tokens, ..Config::default() }).unwrap_err();
    assert!(error.contains("roost key secret FILE"), "{error}");
}
