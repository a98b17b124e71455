//! One request to a receiver: resolved, checked, connected, signed, sent, and its answer read as far as it matters. Blocks.
//!
//! The address is judged here at the moment of connecting (`guard.rs`), and the connection goes to the very address that was
//! judged. No redirect is followed, no proxy asked, no cookie kept. When to try again is for `schedule.rs`.

use std::io::Read as _;
use std::time::{Duration, Instant as Moment};

use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};
use ureq::{Agent, Error, http};
use url::Url;

use super::guard::{Allowed, why_not_public};
use super::sign::{Secret, signatures};
use crate::config::WebhookConfig;

/// So much of an answer is read, for the connection's sake: what it says is not looked at.
const MAX_ANSWER_BYTES: u64 = 4 * 1024;

/// Who sends it.
const USER_AGENT: &str = concat!("roost/", env!("CARGO_PKG_VERSION"));

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The status of the answer.
    pub status: Option<u16>,
    /// How long the receiver asks to be left alone.
    pub retry_after: Option<Duration>,
    /// Why there was no answer: `timeout`, `unreachable`, `tls`, `name`, `private_address`, `protocol`.
    pub error: Option<&'static str>,
    /// How long it took.
    pub took: Duration,
}

impl Reply {
    /// Whether the receiver has it.
    pub fn is_taken(&self) -> bool {
        self.status.is_some_and(|status| (200..300).contains(&status))
    }

    /// No answer.
    pub const fn failed(error: &'static str) -> Self {
        Self { status: None, retry_after: None, error: Some(error), took: Duration::ZERO }
    }
}

/// Sends requests.
#[derive(Debug)]
pub struct Client {
    /// One per set of certificates that are trusted: `ureq` takes one set or the other.
    agents: Vec<Agent>,
}

impl Client {
    /// As the settings say. `Err` names what is wrong with them.
    pub fn new(config: &WebhookConfig, allowed: Allowed) -> Result<Self, String> {
        let agent = |roots: RootCerts| {
            let settings = Agent::config_builder()
                .http_status_as_error(false)
                .max_redirects(0)
                .max_redirects_will_error(false)
                .proxy(None)
                .user_agent(USER_AGENT)
                .timeout_global(Some(config.timeout))
                .max_idle_connections(config.workers)
                .max_idle_connections_per_host(config.per_host)
                .tls_config(TlsConfig::builder().root_certs(roots).build())
                .build();
            let resolver = Guarded { names: DefaultResolver::default(), allowed };
            Agent::with_parts(settings, DefaultConnector::default(), resolver)
        };
        let mut agents = vec![agent(RootCerts::WebPki)];
        if !config.extra_roots.as_os_str().is_empty() {
            let bad = |reason: String| format!("api.webhooks.extra_roots: {}: {reason}", config.extra_roots.display());
            let pem = std::fs::read(&config.extra_roots).map_err(|error| bad(error.to_string()))?;
            let certificates: Vec<Certificate<'static>> = parse_pem(&pem)
                .filter_map(|item| match item {
                    Ok(PemItem::Certificate(certificate)) => Some(Ok(certificate)),
                    Ok(_) => None,
                    Err(error) => Some(Err(bad(error.to_string()))),
                })
                .collect::<Result<_, _>>()?;
            if certificates.is_empty() {
                return Err(bad("it holds no certificate (expected PEM)".to_owned()));
            }
            agents.push(agent(RootCerts::new_with_certs(&certificates)));
        }
        Ok(Self { agents })
    }

    /// Sends a body under this id. Takes as long as `api.webhooks.timeout` for each set of certificates.
    pub fn send(&self, url: &Url, id: &str, body: &[u8], secrets: &[Secret]) -> Reply {
        let started = Moment::now();
        let mut reply = Reply::failed("protocol");
        for agent in &self.agents {
            reply = match post(agent, url, id, body, secrets) {
                Ok(reply) => reply,
                Err(error) => Reply::failed(classify(&error)),
            };
            // Another set of certificates is asked where the first does not know who signed the receiver's; nothing was sent.
            if reply.error != Some("tls") {
                break;
            }
        }
        Reply { took: started.elapsed(), ..reply }
    }
}

fn post(agent: &Agent, url: &Url, id: &str, body: &[u8], secrets: &[Secret]) -> Result<Reply, Error> {
    let timestamp = access::now().ms().div_euclid(1_000);
    let request = agent
        .post(url.as_str())
        .content_type("application/json")
        .header("webhook-id", id)
        .header("webhook-timestamp", timestamp.to_string())
        .header("webhook-signature", signatures(secrets, id, timestamp, body));
    let mut answer = request.send(body)?;
    let status = answer.status().as_u16();
    let retry_after = answer.headers().get(http::header::RETRY_AFTER).and_then(|value| wait(value.to_str().ok()?));
    let retry_after = retry_after.filter(|_| matches!(status, 429 | 503));
    // The status is there: whatever becomes of the rest, the receiver has said what it does.
    let _ = answer.body_mut().as_reader().take(MAX_ANSWER_BYTES).read_to_end(&mut Vec::new());
    Ok(Reply { status: Some(status), retry_after, error: None, took: Duration::ZERO })
}

/// `Retry-After`: seconds, or a date.
fn wait(text: &str) -> Option<Duration> {
    if let Ok(seconds) = text.trim().parse::<u32>() {
        return Some(Duration::from_secs(seconds.into()));
    }
    let at = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
    u64::try_from(at.as_millisecond() - access::now().ms()).ok().map(Duration::from_millis)
}

fn classify(error: &Error) -> &'static str {
    match error {
        Error::Timeout(_) => "timeout",
        Error::HostNotFound => "name",
        Error::Tls(_) | Error::Rustls(_) | Error::Pem(_) | Error::TlsRequired => "tls",
        Error::Other(error) if error.is::<NotPublic>() => "private_address",
        Error::Io(error) if error.kind() == std::io::ErrorKind::TimedOut => "timeout",
        // The handshake and the look-up of names tell their errors as those of the connection.
        Error::Io(error) if error.kind() == std::io::ErrorKind::InvalidData => "tls",
        Error::Io(error) if error.to_string().contains("lookup address") => "name",
        Error::Io(_) | Error::ConnectionFailed => "unreachable",
        _ => "protocol",
    }
}

/// The name leads to no address that may be asked.
#[derive(Debug, thiserror::Error)]
#[error("the host resolves to no address of the public internet")]
struct NotPublic;

/// Gives the connector only addresses that may be asked.
#[derive(Debug)]
struct Guarded {
    names: DefaultResolver,
    allowed: Allowed,
}

impl Resolver for Guarded {
    fn resolve(
        &self,
        uri: &http::Uri,
        config: &ureq::config::Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, Error> {
        let found = self.names.resolve(uri, config, timeout)?;
        if self.allowed.private {
            return Ok(found);
        }
        let mut public = self.empty();
        for address in found.iter().filter(|address| why_not_public(address.ip()).is_none()) {
            public.push(*address);
        }
        if public.is_empty() { Err(Error::Other(Box::new(NotPublic))) } else { Ok(public) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn send(url: &str, private: bool) -> Reply {
        let config = WebhookConfig { timeout: Duration::from_secs(5), ..WebhookConfig::default() };
        let client = Client::new(&config, Allowed { http: true, private }).unwrap();
        client.send(&url.parse().unwrap(), "msg_1", b"{}", &[])
    }

    #[test]
    fn an_address_is_judged_when_it_is_connected_to() {
        // A listener that nobody may reach: the name was let in when it meant something else.
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        for host in ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]"] {
            assert_eq!(send(&format!("http://{host}:{port}/"), false).error, Some("private_address"), "{host}");
        }
        assert_eq!(listener.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock, "nobody came");
    }

    #[test]
    fn nobody_there_is_unreachable() {
        let port = {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            listener.local_addr().unwrap().port()
        };
        assert_eq!(send(&format!("http://127.0.0.1:{port}/"), true).error, Some("unreachable"));
    }

    #[test]
    fn a_wait_is_seconds_or_a_date() {
        assert_eq!(wait(" 7 "), Some(Duration::from_secs(7)));
        assert_eq!(wait("Fri, 31 Dec 1999 23:59:59 GMT"), None, "it is over");
        assert!(wait("Fri, 31 Dec 2100 23:59:59 GMT").is_some());
        assert_eq!(wait("soon"), None);
        assert_eq!(wait("-1"), None);
    }
}
