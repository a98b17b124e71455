//! A receiver of webhooks: takes requests over HTTP or TLS on a free port, keeps them, and answers as it is told.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac as _};
use rustls::pki_types::PrivateKeyDer;
use serde_json::Value;
use sha2::Sha256;

/// A request that came.
#[derive(Clone, Debug)]
pub struct Got {
    pub head: String,
    pub body: String,
}

impl Got {
    pub fn header(&self, name: &str) -> &str {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(':'));
        lines.find(|(of, _)| of.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).unwrap_or_default()
    }
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
    /// Whether it is signed with this secret, as Standard Webhooks 1.0 says.
    pub fn is_signed_with(&self, secret: &str) -> bool {
        let key = STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
        let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
        let content = format!("{}.{}.{}", self.header("webhook-id"), self.header("webhook-timestamp"), self.body);
        mac.update(content.as_bytes());
        let expected = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
        self.header("webhook-signature").split(' ').any(|signature| signature == expected)
    }
}

/// What is answered: status line and headers, without the blank line.
type Answer = Box<dyn FnMut(&Got) -> String + Send>;

pub struct Receiver {
    pub url: String,
    got: Arc<Mutex<Vec<Got>>>,
    answer: Arc<Mutex<Answer>>,
}

impl Receiver {
    /// Over plain HTTP; answers 204.
    pub fn start() -> Self {
        Self::listen("http", None)
    }

    /// Over TLS, with a certificate for `localhost`; its PEM comes along.
    pub fn start_tls() -> (Self, String) {
        let certified = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let key = PrivateKeyDer::try_from(certified.signing_key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certified.cert.der().clone()], key)
            .unwrap();
        (Self::listen("https", Some(Arc::new(config))), certified.cert.pem())
    }

    fn listen(scheme: &str, tls: Option<Arc<rustls::ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("{scheme}://localhost:{}/hook", listener.local_addr().unwrap().port());
        let got = Arc::new(Mutex::new(Vec::new()));
        let answer: Arc<Mutex<Answer>> = Arc::new(Mutex::new(Box::new(|_| "HTTP/1.1 204 No Content".to_owned())));
        let (kept, told) = (Arc::clone(&got), Arc::clone(&answer));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (kept, told, tls) = (Arc::clone(&kept), Arc::clone(&told), tls.clone());
                stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
                std::thread::spawn(move || match tls {
                    // A handshake that fails is the client's to tell.
                    Some(config) => {
                        let connection = rustls::ServerConnection::new(config).unwrap();
                        serve(&mut rustls::StreamOwned::new(connection, stream), &kept, &told)
                    }
                    None => serve(&mut { stream }, &kept, &told),
                });
            }
        });
        Self { url, got, answer }
    }

    pub fn answer(&self, answer: impl FnMut(&Got) -> String + Send + 'static) {
        *self.answer.lock().unwrap() = Box::new(answer);
    }

    pub fn answer_status(&self, status: u16) {
        self.answer(move |_| format!("HTTP/1.1 {status} Status"));
    }

    pub fn got(&self) -> Vec<Got> {
        self.got.lock().unwrap().clone()
    }
}

/// One request of one connection.
fn serve(stream: &mut (impl Read + Write), kept: &Mutex<Vec<Got>>, told: &Mutex<Answer>) -> Option<()> {
    let mut bytes = Vec::new();
    let (head, length) = loop {
        let mut byte = [0];
        stream.read_exact(&mut byte).ok()?;
        bytes.push(byte[0]);
        if bytes.ends_with(b"\r\n\r\n") {
            let got = Got { head: String::from_utf8(bytes).unwrap(), body: String::new() };
            let length: usize = got.header("content-length").parse().unwrap_or(0);
            break (got.head, length);
        }
    };
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    let got = Got { head, body: String::from_utf8(body).unwrap() };
    let answer = (told.lock().unwrap())(&got);
    kept.lock().unwrap().push(got);
    write!(stream, "{answer}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").ok()?;
    stream.flush().ok()
}
