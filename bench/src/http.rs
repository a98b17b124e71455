//! A keep-alive HTTP/1.1 connection that sends bytes made before and reads the answer, one after the other and nothing else: what a
//! benchmark measures should be the server.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

/// Longer than any answer of a server that works.
const PATIENCE: Duration = Duration::from_secs(10);

/// One connection.
pub struct Connection {
    stream: BufReader<TcpStream>,
    line: String,
    tag: String,
}

impl Connection {
    /// To `host:port`.
    pub fn open(address: &str) -> Result<Self> {
        let stream = TcpStream::connect(address).with_context(|| format!("{address} does not answer"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { stream: BufReader::with_capacity(16 * 1024, stream), line: String::new(), tag: String::new() })
    }

    /// Sends a request as `request` made it, and reads the answer's body into `body`; returns the status.
    pub fn ask(&mut self, request: &[u8], body: &mut Vec<u8>) -> Result<u16> {
        self.stream.get_mut().write_all(request)?;
        let status: u16 = self.next_line()?.split(' ').nth(1).context("no status")?.parse()?;
        let (mut length, mut tag) = (0, None);
        loop {
            let line = self.next_line()?;
            if line.is_empty() {
                break;
            }
            if let Some((name, value)) = line.split_once(':') {
                ensure!(!name.eq_ignore_ascii_case("transfer-encoding"), "the body comes in chunks");
                if name.eq_ignore_ascii_case("content-length") {
                    length = value.trim().parse()?;
                } else if name.eq_ignore_ascii_case("etag") {
                    tag = Some(value.trim().to_owned());
                }
            }
        }
        self.tag = tag.unwrap_or_default();
        body.resize(if status == 304 { 0 } else { length }, 0);
        self.stream.read_exact(body)?;
        Ok(status)
    }

    /// The entity tag of a request's answer.
    pub fn tag(&mut self, request: &[u8]) -> Result<String> {
        let status = self.ask(request, &mut Vec::new())?;
        ensure!(status == 200 && !self.tag.is_empty(), "{status}, entity tag {:?}", self.tag);
        Ok(self.tag.clone())
    }

    fn next_line(&mut self) -> Result<&str> {
        self.line.clear();
        ensure!(self.stream.read_line(&mut self.line)? > 0, "the server closed the connection");
        Ok(self.line.trim_end())
    }
}

/// The bytes of a GET request; `headers` end with a line break each.
pub fn request(address: &str, path: &str, headers: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n{headers}\r\n").into_bytes()
}

/// The bytes of a request with a JSON body; `headers` end with a line break each.
pub fn with_body(method: &str, address: &str, path: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n{headers}\r\n"
    );
    [head.as_bytes(), body].concat()
}

/// The header that names a session.
pub fn bearer(token: schemas::id::SessionToken) -> String {
    format!("Authorization: Bearer {}\r\n", token.reveal())
}
