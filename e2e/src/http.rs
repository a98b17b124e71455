//! What the tests ask over HTTP. Every answer has a time limit: a service may be killed, or paused in the middle of one.

use std::time::Duration;

use anyhow::{Result, bail, ensure};
use schemas::id::SessionToken;
use schemas::preferences::Preferences;

/// Longer than any answer of a service that lives takes, on a busy machine.
const LIMIT: Duration = Duration::from_secs(10);

/// Asks, and waits so long for an answer; any status is an answer.
pub fn agent(limit: Duration) -> ureq::Agent {
    ureq::Agent::config_builder().timeout_global(Some(limit)).http_status_as_error(false).build().into()
}

/// The body of a successful answer.
pub fn get(url: &str) -> Result<String> {
    let (status, body) = ask(url)?;
    ensure!(status == 200, "{url}: {status}: {body}");
    Ok(body)
}

/// Status and body of any answer.
pub fn ask(url: &str) -> Result<(u16, String)> {
    let mut answer = agent(LIMIT).get(url).call()?;
    Ok((answer.status().as_u16(), answer.body_mut().read_to_string()?))
}

/// A metric in what `/metrics` serves, summed over its labels; 0 where it is not there.
pub fn sum(served: &str, metric: &str) -> f64 {
    let samples = served.lines().filter_map(|line| line.strip_prefix(metric));
    let samples = samples.filter(|rest| rest.starts_with([' ', '{']));
    samples.filter_map(|rest| rest.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

/// A client of the API at `base`.
pub struct Client {
    base: String,
    agent: ureq::Agent,
}

impl Client {
    /// Of the API at `http://host:port`.
    pub fn new(base: String) -> Self {
        Self { base, agent: agent(LIMIT) }
    }

    /// `POST /api/v1/preferences`: the version when it was acknowledged with 202; `None` when nobody answered, or the answer
    /// was that the outcome is unknown.
    pub fn state(&self, token: SessionToken, preferences: &Preferences) -> Result<Option<u64>> {
        let body = String::from_utf8(preferences.to_json())?;
        let sent = self
            .agent
            .post(format!("{}/api/v1/preferences", self.base))
            .header("authorization", format!("Bearer {}", token.reveal()))
            .content_type("application/json")
            .send(body);
        // The service was killed before or while it answered.
        let Ok(mut answer) = sent else { return Ok(None) };
        let status = answer.status().as_u16();
        let Ok(body) = answer.body_mut().read_to_string() else { return Ok(None) };
        match status {
            202 => {
                let accepted: serde_json::Value = serde_json::from_str(&body)?;
                ensure!(accepted["session_id"] == token.session_id().to_string(), "another session: {body}");
                match accepted["version"].as_u64() {
                    Some(version) => Ok(Some(version)),
                    None => bail!("202 without a version: {body}"),
                }
            }
            503 => Ok(None),
            _ => bail!("POST /api/v1/preferences: {status}: {body}"),
        }
    }
    /// `GET /api/v1/recommendations`, answered with the three best or with that they are not there yet.
    pub fn recommendations(&self, token: SessionToken) -> Result<serde_json::Value> {
        let url = format!("{}/api/v1/recommendations", self.base);
        let mut answer = self.agent.get(&url).header("authorization", format!("Bearer {}", token.reveal())).call()?;
        let (status, body) = (answer.status().as_u16(), answer.body_mut().read_to_string()?);
        ensure!(matches!(status, 200 | 202), "{url}: {status}: {body}");
        Ok(serde_json::from_str(&body)?)
    }
}
