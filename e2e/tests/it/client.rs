//! The house as its clients see it: the API over HTTP, and the front door's port. Reads no log and no table.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::harness::{Installation, free_port};
use e2e::http;
use serde_json::Value;

/// Where an installation listens.
pub struct Doors {
    api: u16,
    push: u16,
}

impl Doors {
    /// Ports that were free a moment ago.
    pub fn free() -> Result<Self> {
        Ok(Self { api: free_port()?, push: free_port()? })
    }

    /// The settings that say so, TOML; `roost publish` asks the front door where they say it is.
    pub fn settings(&self) -> String {
        format!("[api]\nlisten = \"127.0.0.1:{}\"\n[ingest.push]\nlisten = \"127.0.0.1:{}\"\n", self.api, self.push)
    }

    /// Starts the four services of an installation with these settings.
    pub fn open(&self, installation: &mut Installation) -> Result<()> {
        for role in ["scorer", "enricher", "ingest", "api"] {
            installation.start(role, &[role], &[("ROOST__ADMIN__LISTEN", format!("127.0.0.1:{}", free_port()?))])?;
        }
        Ok(())
    }

    /// A client of the API.
    pub fn client(&self) -> Client {
        Client { base: format!("http://127.0.0.1:{}/api/v1", self.api), agent: http::agent(LIMIT) }
    }
}

/// Longer than the longest `wait` that is asked for here.
const LIMIT: Duration = Duration::from_secs(30);

/// A client of the API.
pub struct Client {
    base: String,
    agent: ureq::Agent,
}

/// A session that was stated.
pub struct Session {
    token: String,
    version: u64,
}

impl Client {
    /// Status and body of `GET /api/v1PATH`.
    pub fn get(&self, path: &str, session: Option<&Session>) -> Result<(u16, Value)> {
        let mut request = self.agent.get(format!("{}{path}", self.base));
        if let Some(Session { token, .. }) = session {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let mut answer = request.call().with_context(|| format!("GET {path}"))?;
        let status = answer.status().as_u16();
        let body = answer.body_mut().with_config().limit(64 << 20).read_to_string()?;
        let body = serde_json::from_str(&body).with_context(|| format!("GET {path}: {status} {body}"))?;
        Ok((status, body))
    }

    /// The body of a `GET` that must be answered with 200.
    pub fn read(&self, path: &str, session: Option<&Session>) -> Result<Value> {
        let (status, body) = self.get(path, session)?;
        ensure!(status == 200, "GET {path}: {status} {body}");
        Ok(body)
    }

    /// States preferences in a new session.
    pub fn state(&self, preferences: &Value) -> Result<Session> {
        let url = format!("{}/preferences", self.base);
        let mut answer = self.agent.post(url).content_type("application/json").send(preferences.to_string())?;
        let body: Value = serde_json::from_str(&answer.body_mut().read_to_string()?)?;
        ensure!(answer.status() == 202, "POST /preferences {preferences}: {} {body}", answer.status());
        let token = body["token"].as_str().context("no token")?.to_owned();
        Ok(Session { token, version: body["version"].as_u64().context("no version")? })
    }

    /// The items that are recommended to a session, once its statement is applied.
    pub fn recommended(&self, session: &Session) -> Result<Vec<Value>> {
        let path = format!("/recommendations?min_version={}&wait=10s", session.version);
        let body = self.read(&path, Some(session))?;
        body["items"].as_array().cloned().context("no items")
    }

    /// All properties that answer a query, page by page, by their ids.
    pub fn browse(&self, query: &str) -> Result<BTreeMap<String, Value>> {
        let mut found = BTreeMap::new();
        let mut page = self.read(&format!("/properties?{query}&limit=100"), None)?;
        loop {
            for property in page["items"].as_array().context("no items")? {
                let id = property["listing_id"].as_str().context("no listing_id")?;
                ensure!(found.insert(id.to_owned(), property.clone()).is_none(), "{query}: {id} is there twice");
            }
            let Some(cursor) = page["next_cursor"].as_str() else { return Ok(found) };
            page = self.read(&format!("/properties?{query}&limit=100&cursor={cursor}"), None)?;
        }
    }
}
