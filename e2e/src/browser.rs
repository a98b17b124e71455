//! A headless Chromium that does what a person would: it is driven over the DevTools protocol (JSON over a WebSocket).
//!
//! Small on purpose: it opens pages, asks them, presses keys, takes pictures, and collects what they complain about.

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use tungstenite::{Message, WebSocket};

use crate::harness::{Running, patience, repository, until};
use crate::http;

/// Longest time of one command.
const LIMIT: Duration = Duration::from_secs(30);

/// Where a Chromium is; `None`, and a line on standard error, where there is none and none can be installed.
pub fn chromium() -> Result<Option<PathBuf>> {
    let found = Command::new(repository().join("dev/chromium")).output().context("dev/chromium")?;
    if !found.status.success() {
        eprintln!("skipped: {}", String::from_utf8_lossy(&found.stderr).trim());
        return Ok(None);
    }
    Ok(Some(PathBuf::from(String::from_utf8(found.stdout)?.trim())))
}

/// A running browser with one page.
pub struct Browser {
    socket: WebSocket<TcpStream>,
    next: u64,
    complaints: Vec<String>,
    _process: Running,
    /// Goes last: the browser writes there.
    _profile: tempfile::TempDir,
}

/// A key, as the protocol names it: key, code, and the text that it types.
#[derive(Clone, Copy, Debug)]
pub struct Key(&'static str, u32, Option<&'static str>);

/// To the next element.
pub const TAB: Key = Key("Tab", 9, None);
/// Activates it.
pub const ENTER: Key = Key("Enter", 13, Some("\r"));
/// Ticks it.
pub const SPACE: Key = Key(" ", 32, Some(" "));

impl Browser {
    /// Starts one with an empty profile.
    pub fn start(chromium: &Path) -> Result<Self> {
        let profile = tempfile::tempdir()?;
        let mut command = Command::new(chromium);
        command
            .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run"])
            .args(["--disable-background-networking", "--disable-component-update", "--disable-extensions"])
            .args(["--disable-dev-shm-usage", "--remote-debugging-port=0"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg("about:blank")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let process = Running::spawn(&mut command).with_context(|| chromium.display().to_string())?;
        let port_file = profile.path().join("DevToolsActivePort");
        let port: u16 = until("the browser listens", patience(60), || {
            let text = std::fs::read_to_string(&port_file)?;
            Ok(text.lines().next().and_then(|line| line.parse().ok()))
        })?;
        let url = until("the browser has a page", patience(30), || {
            let targets: Value = serde_json::from_str(&http::get(&format!("http://127.0.0.1:{port}/json/list"))?)?;
            let page = targets.as_array().and_then(|all| all.iter().find(|target| target["type"] == "page"));
            Ok(page.and_then(|page| page["webSocketDebuggerUrl"].as_str()).map(str::to_owned))
        })?;
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(LIMIT))?;
        stream.set_nodelay(true)?;
        let (socket, _) = tungstenite::client(url, stream).map_err(|error| anyhow::anyhow!("the browser: {error}"))?;
        let mut browser = Self { socket, next: 0, complaints: Vec::new(), _process: process, _profile: profile };
        for domain in ["Page", "Runtime", "Log"] {
            browser.call(&format!("{domain}.enable"), json!({}))?;
        }
        Ok(browser)
    }

    /// Sends a command and gives its result.
    pub fn call(&mut self, method: &str, params: Value) -> Result<Value> {
        self.next += 1;
        let id = self.next;
        self.socket.send(Message::text(json!({"id": id, "method": method, "params": params}).to_string()))?;
        let until = Instant::now() + LIMIT;
        while Instant::now() < until {
            let Message::Text(text) = self.socket.read().with_context(|| method.to_owned())? else { continue };
            let mut said: Value = serde_json::from_str(&text)?;
            if said["id"] == json!(id) {
                ensure!(said.get("error").is_none(), "{method}: {}", said["error"]);
                return Ok(said["result"].take());
            }
            self.listen(&said);
        }
        bail!("{method}: no answer within {} s", LIMIT.as_secs())
    }

    /// Notes what a page complains about. That a picture of a feed cannot be fetched is no fault of the page.
    fn listen(&mut self, said: &Value) {
        let params = &said["params"];
        match said["method"].as_str().unwrap_or_default() {
            "Runtime.exceptionThrown" => self.complaints.push(params["exceptionDetails"].to_string()),
            "Runtime.consoleAPICalled" if params["type"] == "error" => self.complaints.push(params["args"].to_string()),
            "Log.entryAdded" => {
                let entry = &params["entry"];
                let is_network = entry["source"] == "network";
                if entry["level"] == "error" && !is_network || entry["source"] == "security" {
                    self.complaints.push(entry.to_string());
                }
            }
            _ => {}
        }
    }

    /// What pages complained about: exceptions, errors on the console, breaches of the policy.
    pub fn complaints(&mut self) -> Result<&[String]> {
        // An answer comes after all that was said before it.
        self.evaluate("0")?;
        Ok(&self.complaints)
    }

    /// The value of an expression in the page.
    pub fn evaluate(&mut self, expression: &str) -> Result<Value> {
        let params = json!({"expression": expression, "returnByValue": true, "awaitPromise": true});
        let mut answer = self.call("Runtime.evaluate", params)?;
        if let Some(exception) = answer.get("exceptionDetails") {
            bail!("{expression}: {exception}");
        }
        Ok(answer["result"]["value"].take())
    }

    /// Asks until an expression holds.
    pub fn until(&mut self, what: &str, expression: &str) -> Result<()> {
        let limit = patience(20);
        let begun = Instant::now();
        loop {
            // While a page goes and the next one comes there is nothing to ask.
            if matches!(self.evaluate(expression), Ok(Value::Bool(true))) {
                return Ok(());
            }
            if begun.elapsed() > limit {
                let text = self.evaluate("document.body.innerText").unwrap_or_default();
                bail!("{what}: not within {} s: {expression}\n{text}", limit.as_secs());
            }
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }

    /// Opens a page and waits until it is whole.
    pub fn open(&mut self, url: &str) -> Result<()> {
        self.call("Page.navigate", json!({"url": url}))?;
        let loaded = format!("location.href.startsWith({}) && document.readyState === 'complete'", json!(url));
        self.until("the page is loaded", &loaded)
    }

    /// Presses a key.
    pub fn press(&mut self, Key(key, code, text): Key) -> Result<()> {
        for kind in ["keyDown", "keyUp"] {
            let mut params = json!({"type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code});
            if let Some(text) = text.filter(|_| kind == "keyDown") {
                params["text"] = json!(text);
            }
            self.call("Input.dispatchKeyEvent", params)?;
        }
        Ok(())
    }

    /// Types a text where the keyboard is.
    pub fn type_text(&mut self, text: &str) -> Result<()> {
        self.call("Input.insertText", json!({"text": text})).map(drop)
    }

    /// Presses Tab until the keyboard is where the expression (of `e`, the element) holds.
    pub fn tab_to(&mut self, what: &str, expression: &str) -> Result<()> {
        for _ in 0..200 {
            self.press(TAB)?;
            let there = format!("(e => Boolean({expression}))(document.activeElement)");
            if self.evaluate(&there)? == json!(true) {
                let outline = self.evaluate("getComputedStyle(document.activeElement).outlineStyle")?;
                let shown = self.evaluate(
                    "document.activeElement.matches('.chips input') || getComputedStyle(document.activeElement).outlineStyle !== 'none'",
                )?;
                ensure!(shown == json!(true), "{what}: the keyboard is there and nothing shows it ({outline})");
                return Ok(());
            }
        }
        bail!("{what}: not reached with 200 times Tab")
    }

    /// How large the window is, and which colours its user likes.
    pub fn look(&mut self, width: u32, height: u32, scheme: &str) -> Result<()> {
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.call("Emulation.setDeviceMetricsOverride", size)?;
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.call("Emulation.setEmulatedMedia", features).map(drop)
    }

    /// Takes a picture of the whole page.
    pub fn picture(&mut self, path: &Path) -> Result<()> {
        let taken = self.call("Page.captureScreenshot", json!({"format": "png", "captureBeyondViewport": true}))?;
        let text = taken["data"].as_str().context("no picture")?;
        std::fs::write(path, base64(text)?)?;
        Ok(())
    }
}

/// Reads base 64, as far as the protocol writes it.
fn base64(text: &str) -> Result<Vec<u8>> {
    let value = |letter: u8| match letter {
        b'A'..=b'Z' => Some(letter - b'A'),
        b'a'..=b'z' => Some(letter - b'a' + 26),
        b'0'..=b'9' => Some(letter - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    };
    let mut bytes = Vec::with_capacity(text.len() * 3 / 4);
    let (mut bits, mut count) = (0_u32, 0);
    for letter in text.bytes().filter(|letter| *letter != b'=') {
        bits = bits << 6 | u32::from(value(letter).context("not base 64")?);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    Ok(bytes)
}
