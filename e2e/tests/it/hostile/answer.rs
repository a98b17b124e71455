//! HTTP/1.1 answers as they come off a socket, byte for byte, and what makes one of them well-formed. Follows no redirect,
//! decodes no coding, and takes nothing for granted that a client library would mend.

use std::io::{ErrorKind, Read};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

/// Problems that a 503 may name (`/problems`): each says when to come again.
const MAY_BE_503: [&str; 6] =
    ["overloaded", "starting", "store-unavailable", "log-unavailable", "outcome-unknown", "model-unavailable"];
/// Statuses that hyper answers by itself, without a body, and closes.
const BARE: [u16; 3] = [400, 414, 431];

/// One answer.
pub struct Answer {
    pub status: u16,
    headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    /// The first value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// Fails unless this is an answer that the house may give to anybody: no 5xx but the documented 503s, and every error a
    /// problem document, or without a body where the head did not parse.
    pub fn is_well_formed(&self, is_head: bool) -> Result<()> {
        if self.status < 400 || is_head {
            ensure!(self.status < 500 || self.status == 503, "{self:?}");
            return Ok(());
        }
        if self.body.is_empty() && BARE.contains(&self.status) && self.header("x-request-id").is_none() {
            ensure!(
                self.header("connection") == Some("close"),
                "a head that did not parse leaves the connection open: {self:?}"
            );
            return Ok(());
        }
        ensure!(self.header("content-type") == Some("application/problem+json"), "no problem document: {self:?}");
        let problem: Value = serde_json::from_slice(&self.body).with_context(|| format!("{self:?}"))?;
        ensure!(problem["status"] == self.status, "another status inside: {self:?}");
        for member in ["type", "title", "detail"] {
            ensure!(problem[member].as_str().is_some_and(|text| !text.is_empty()), "{member} is missing: {self:?}");
        }
        let kind = problem["type"].as_str().unwrap_or_default();
        let known = ["/problems/", "urn:roost:problem:"];
        ensure!(kind == "about:blank" || known.iter().any(|prefix| kind.starts_with(prefix)), "type: {self:?}");
        if self.status >= 500 {
            let slug = kind.rsplit(['/', ':']).next().unwrap_or_default();
            ensure!(self.status == 503 && MAY_BE_503.contains(&slug), "a fault of the house: {self:?}");
            ensure!(self.header("retry-after").is_some(), "no Retry-After: {self:?}");
        }
        Ok(())
    }
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let body: String = String::from_utf8_lossy(&self.body).chars().take(400).collect();
        write!(f, "{} {:?} {body}", self.status, self.headers)
    }
}

/// What comes off one connection.
pub struct Reader<'a> {
    stream: &'a TcpStream,
    pub buffer: Vec<u8>,
    /// Whether the other side has ended the connection, in whatever way.
    pub is_over: bool,
    until: Instant,
}

impl<'a> Reader<'a> {
    pub fn new(stream: &'a TcpStream, within: Duration) -> Self {
        Self { stream, buffer: Vec::new(), is_over: false, until: Instant::now() + within }
    }

    /// Reads what is there; fails when time is up.
    fn more(&mut self) -> Result<()> {
        let left = self.until.saturating_duration_since(Instant::now());
        ensure!(
            !left.is_zero(),
            "time is up after {:?}",
            String::from_utf8_lossy(&self.buffer[..self.buffer.len().min(300)])
        );
        self.stream.set_read_timeout(Some(left.min(Duration::from_millis(500))))?;
        let mut chunk = [0; 16 * 1024];
        match (&mut &*self.stream).read(&mut chunk) {
            Ok(0) => self.is_over = true,
            Ok(n) => self.buffer.extend_from_slice(&chunk[..n]),
            Err(error)
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted) => {}
            // A reset is an end too.
            Err(_) => self.is_over = true,
        }
        Ok(())
    }

    /// Reads until the buffer has so many bytes; `false` when the connection ended before.
    fn fill(&mut self, bytes: usize) -> Result<bool> {
        while self.buffer.len() < bytes && !self.is_over {
            self.more()?;
        }
        Ok(self.buffer.len() >= bytes)
    }

    /// Takes the bytes up to and with `end`; `None` when the connection ended before.
    pub fn take_until(&mut self, end: &[u8]) -> Result<Option<Vec<u8>>> {
        let mut from = 0;
        loop {
            if let Some(at) = self.buffer[from..].windows(end.len()).position(|window| window == end) {
                return Ok(Some(self.buffer.drain(..from + at + end.len()).collect()));
            }
            from = self.buffer.len().saturating_sub(end.len() - 1);
            if self.is_over {
                return Ok(None);
            }
            self.more()?;
        }
    }

    /// Takes so many bytes; `None` when the connection ended before.
    pub fn take(&mut self, bytes: usize) -> Result<Option<Vec<u8>>> {
        Ok(if self.fill(bytes)? { Some(self.buffer.drain(..bytes).collect()) } else { None })
    }

    /// Reads until the other side ends the connection.
    pub fn read_to_end(&mut self) -> Result<()> {
        while !self.is_over {
            self.more()?;
            // What floods back is not of interest.
            self.buffer.truncate(1 << 20);
        }
        Ok(())
    }

    /// The next answer that is not merely informational; `None` when the connection ends before one begins.
    pub fn answer(&mut self, is_head: bool) -> Result<Option<Answer>> {
        loop {
            let Some(head) = self.take_until(b"\r\n\r\n")? else {
                ensure!(self.buffer.is_empty(), "half an answer: {:?}", String::from_utf8_lossy(&self.buffer));
                return Ok(None);
            };
            let head = String::from_utf8(head).context("an answer's head is no text")?;
            let (first, lines) = head.trim_end().split_once("\r\n").unwrap_or((head.trim_end(), ""));
            let status = first.strip_prefix("HTTP/1.").and_then(|rest| rest.split(' ').nth(1)?.parse::<u16>().ok());
            let status = status.with_context(|| format!("no status line: {first:?}"))?;
            let headers = lines.split("\r\n").filter_map(|line| line.split_once(':'));
            let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned())).collect();
            let mut answer = Answer { status, headers, body: Vec::new() };
            if status == 101 || status >= 200 {
                self.body(&mut answer, is_head)?;
                return Ok(Some(answer));
            }
        }
    }

    fn body(&mut self, answer: &mut Answer, is_head: bool) -> Result<()> {
        if is_head
            || matches!(answer.status, 101 | 204 | 304)
            || answer.header("content-type") == Some("text/event-stream")
        {
            return Ok(());
        }
        let cut = "the answer's body is cut off";
        if answer.header("transfer-encoding") == Some("chunked") {
            loop {
                let size = self.take_until(b"\r\n")?.context(cut)?;
                let size = usize::from_str_radix(std::str::from_utf8(&size)?.trim_end(), 16)?;
                let chunk = self.take(size + 2)?.context(cut)?;
                answer.body.extend_from_slice(&chunk[..size]);
                if size == 0 {
                    return Ok(());
                }
            }
        }
        match answer.header("content-length").map(str::parse::<usize>) {
            Some(Ok(length)) => answer.body = self.take(length)?.context(cut)?,
            Some(Err(_)) => bail!("no content-length: {answer:?}"),
            None => {
                self.read_to_end()?;
                answer.body = std::mem::take(&mut self.buffer);
            }
        }
        Ok(())
    }
}
