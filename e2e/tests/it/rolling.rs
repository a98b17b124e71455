//! Two processes of the API are restarted one after the other, twice, while clients that know both poll, state, browse and
//! listen, and a market moves: who tries a second time, at the other one, never sees a failure, and no stream misses
//! its last picks.

use std::collections::BTreeMap;
use std::io::BufReader;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use e2e::harness::{Installation, Running, Servers, patience, roost, until};
use e2e::http;
use schemas::id::SessionToken;
use schemas::preferences::Preferences;
use serde_json::Value;
use ureq::http::Response;

use crate::pipeline::come_to_rest;

/// The two processes.
const NAMES: [&str; 2] = ["api-a", "api-b"];
/// Sessions that state and poll; the first ones have a stream each.
const SESSIONS: usize = 60;
const STREAMS: usize = 12;
/// Between two requests of one client.
const PAUSE: Duration = Duration::from_millis(10);
/// Load before, between and after restarts.
const BETWEEN: Duration = Duration::from_secs(2);
/// Longer than the house takes for anything; a stream says every second that it is there.
const LIMIT: Duration = Duration::from_secs(20);

type Person = (SessionToken, Preferences);

/// What the clients of one kind saw.
#[derive(Debug, Default)]
struct Seen {
    requests: usize,
    /// First tries that failed, by how: refused, a status, or another error: cut off.
    tried_again: BTreeMap<String, usize>,
    /// Second tries that failed as well, and answers that were wrong.
    failures: Vec<String>,
    /// Answers by status.
    statuses: BTreeMap<u16, usize>,
}

impl Seen {
    fn add(&mut self, other: Self) {
        self.requests += other.requests;
        for (how, count) in other.tried_again {
            *self.tried_again.entry(how).or_default() += count;
        }
        self.failures.extend(other.failures);
        for (status, count) in other.statuses {
            *self.statuses.entry(status).or_default() += count;
        }
    }
}

/// A client that knows both processes, keeps its connections, and tries once more at the other one.
struct Client<'a> {
    bases: &'a [String; 2],
    agent: ureq::Agent,
    seen: Seen,
}

/// An answer: status, entity tag, body.
type Answer = (u16, Option<String>, String);

impl<'a> Client<'a> {
    fn new(bases: &'a [String; 2]) -> Self {
        Self { bases, agent: http::agent(LIMIT), seen: Seen::default() }
    }

    /// Asks the processes in turn; `None` when both tries failed, which is noted.
    fn ask(&mut self, ask: impl Fn(&ureq::Agent, &str) -> Result<Response<ureq::Body>, ureq::Error>) -> Option<Answer> {
        let first = self.seen.requests % 2;
        self.seen.requests += 1;
        let mut told = Vec::new();
        for which in [first, 1 - first] {
            let answered = ask(&self.agent, &self.bases[which]).map_err(anyhow::Error::from).and_then(|mut answer| {
                let tag = answer.headers().get("etag").and_then(|tag| tag.to_str().ok()).map(str::to_owned);
                Ok((answer.status().as_u16(), tag, answer.body_mut().read_to_string()?))
            });
            match answered {
                Ok((status, _, body)) if status >= 500 => {
                    *self.seen.tried_again.entry(status.to_string()).or_default() += 1;
                    told.push(format!("{}: {status} {body}", NAMES[which]));
                }
                Err(error) => {
                    let text = format!("{error:#}");
                    let how = if text.contains("refused") { "refused" } else { text.as_str() };
                    *self.seen.tried_again.entry(how.to_owned()).or_default() += 1;
                    told.push(format!("{}: {text}", NAMES[which]));
                }
                Ok(answer) => {
                    *self.seen.statuses.entry(answer.0).or_default() += 1;
                    return Some(answer);
                }
            }
        }
        self.seen.failures.push(told.join("; then "));
        None
    }

    /// Notes an answer that is not one of those that are right.
    fn judge(&mut self, what: &str, answer: &Answer, right: &[u16]) {
        if !right.contains(&answer.0) {
            self.seen.failures.push(format!("{what}: {} {}", answer.0, answer.2));
        }
    }
}

fn bearer(token: SessionToken) -> String {
    format!("Bearer {}", token.reveal())
}

/// Polls with the entity tag of the answer before, whichever process gave it.
fn poll(bases: &[String; 2], people: &[Person], stop: &AtomicBool) -> Seen {
    let mut client = Client::new(bases);
    let mut tags: BTreeMap<usize, String> = BTreeMap::new();
    for n in (0..people.len()).cycle() {
        if stop.load(Ordering::Acquire) {
            break;
        }
        let (token, tag) = (bearer(people[n].0), tags.get(&n).cloned());
        let answer = client.ask(|agent, base| {
            let request = agent.get(format!("{base}/api/v1/recommendations")).header("authorization", &token);
            match &tag {
                Some(tag) => request.header("if-none-match", tag).call(),
                None => request.call(),
            }
        });
        if let Some(answer) = answer {
            client.judge("a poll", &answer, &[200, 202, 304]);
            if let Some(tag) = answer.1 {
                tags.insert(n, tag);
            }
        }
        std::thread::park_timeout(PAUSE);
    }
    client.seen
}

/// States what other people want, and that versions grow whoever gives them.
fn state(bases: &[String; 2], people: &[Person], stop: &AtomicBool) -> Seen {
    let mut client = Client::new(bases);
    let mut versions: BTreeMap<usize, u64> = BTreeMap::new();
    for turn in 0.. {
        if stop.load(Ordering::Acquire) {
            break;
        }
        let n = turn % people.len();
        // Other words in every round.
        let words = (turn + turn / people.len() + 1) % people.len();
        let (token, body) = (bearer(people[n].0), String::from_utf8_lossy(&people[words].1.to_json()).into_owned());
        let answer = client.ask(|agent, base| {
            let request = agent.post(format!("{base}/api/v1/preferences")).header("authorization", &token);
            request.content_type("application/json").send(&body)
        });
        if let Some(answer) = answer {
            client.judge("a statement", &answer, &[202]);
            let version = serde_json::from_str::<Value>(&answer.2).ok().and_then(|body| body["version"].as_u64());
            let version = version.unwrap_or_default();
            if let Some(before) = versions.insert(n, version)
                && before >= version
            {
                client.seen.failures.push(format!("session {n}: version {version} after {before}"));
            }
        }
        std::thread::park_timeout(PAUSE);
    }
    client.seen
}

/// Reads a market page by page, with the cursor of one process at the other.
fn browse(bases: &[String; 2], market: &str, stop: &AtomicBool) -> Seen {
    let mut client = Client::new(bases);
    let mut cursor = String::new();
    while !stop.load(Ordering::Acquire) {
        let path = format!("/api/v1/properties?market={market}&limit=10{cursor}");
        if let Some(answer) = client.ask(|agent, base| agent.get(format!("{base}{path}")).call()) {
            client.judge(&path, &answer, &[200]);
            let page: Value = serde_json::from_str(&answer.2).unwrap_or_default();
            cursor = page["next_cursor"].as_str().map(|next| format!("&cursor={next}")).unwrap_or_default();
        }
        std::thread::park_timeout(PAUSE);
    }
    client.seen
}

/// What one stream told, over all its connections.
#[derive(Debug, Default)]
struct Heard {
    connections: usize,
    /// Connections that were made with the id of an event of the other process.
    resumed_elsewhere: usize,
    refused: usize,
    events: usize,
    /// The newest picks: when they were written, their id, and what they are.
    last: Option<(u64, String, Value)>,
    failures: Vec<String>,
}

/// Listens, and goes on at the other process when the stream ends, until told to stop. The newest picks are shown to `last`.
fn listen(bases: &[String; 2], person: &Person, stop: &AtomicBool, show: impl Fn(&Value)) -> Heard {
    let mut heard = Heard::default();
    // A stream has no end that could be late: only its head and its silences are bounded.
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_connect(Some(LIMIT))
        .timeout_recv_response(Some(LIMIT))
        .http_status_as_error(false)
        .build()
        .into();
    let (mut which, mut told_by, mut failed) = (0, None, 0);
    while !stop.load(Ordering::Acquire) {
        let id = heard.last.as_ref().map(|(_, id, _)| id.clone());
        let request = agent.get(format!("{}/api/v1/recommendations/stream", bases[which]));
        let request = request.header("authorization", bearer(person.0));
        let answer = match &id {
            Some(id) => request.header("last-event-id", id).call(),
            None => request.call(),
        };
        let refused = match answer {
            Ok(answer) if answer.status() == 200 => {
                heard.connections += 1;
                heard.resumed_elsewhere += usize::from(told_by.is_some_and(|by| by != which));
                failed = 0;
                let before = heard.events;
                if let Err(wrong) = read(BufReader::new(answer.into_body().into_reader()), &mut heard, stop, &show) {
                    heard.failures.push(format!("{}: {wrong:#}", NAMES[which]));
                }
                if heard.events > before {
                    told_by = Some(which);
                }
                None
            }
            Ok(answer) => Some(answer.status().to_string()),
            Err(error) => Some(error.to_string()),
        };
        if let Some(why) = refused {
            heard.refused += 1;
            failed += 1;
            if failed > 1 {
                heard.failures.push(format!("neither process opens a stream: {}: {why}", NAMES[which]));
            }
        }
        which = 1 - which;
        std::thread::park_timeout(PAUSE);
    }
    heard
}

/// What makes picks news: the homes, or the statement that they answer.
fn picks(told: &Value) -> Value {
    serde_json::json!([told["preference_version"], told["items"]])
}

/// Reads events up to the end of the stream. An error is an event that is wrong; a connection that ends is none, and what it
/// told of an event without its blank line is nothing.
fn read(lines: impl std::io::BufRead, heard: &mut Heard, stop: &AtomicBool, show: &impl Fn(&Value)) -> Result<()> {
    let mut event: BTreeMap<String, String> = BTreeMap::new();
    for line in lines.lines() {
        let Ok(line) = line else { return Ok(()) };
        if stop.load(Ordering::Acquire) {
            return Ok(());
        }
        if let Some((field, text)) = line.split_once(": ") {
            event.insert(field.to_owned(), text.to_owned());
        }
        if !line.is_empty() {
            continue;
        }
        let told = std::mem::take(&mut event);
        if told.get("event").is_none_or(|name| name != "recommendations") {
            continue;
        }
        let id = told.get("id").context("picks without an id")?;
        let data: Value = serde_json::from_str(told.get("data").context("picks without data")?)?;
        let version = data["version"].as_u64().context("no version")?;
        if let Some((before, seen, picks_before)) = &heard.last {
            ensure!(version > *before, "version {version} ({id}) after {before} ({seen})");
            ensure!(picks(&data) != *picks_before, "the same picks were told again as {id} after {seen}");
        }
        show(&data["items"]);
        heard.last = Some((version, id.clone(), picks(&data)));
        heard.events += 1;
    }
    Ok(())
}

fn pause(time: Duration) {
    let until = Instant::now() + time;
    while Instant::now() < until {
        std::thread::park_timeout(until.saturating_duration_since(Instant::now()));
    }
}

#[test]
fn a_rolling_restart_of_the_api_is_seen_by_no_client_that_tries_again() -> Result<()> {
    let Some(servers) = Servers::from_environment() else { return Ok(()) };
    let mut installation = Installation::on_servers(&servers, "rolling", "[api]\nstream_keep_alive = \"1s\"\n")?;
    for role in ["scorer", "enricher", "ingest"] {
        installation.start_role(role, role)?;
    }
    for name in NAMES {
        installation.start_role(name, "api")?;
    }
    for name in ["scorer", "enricher", "ingest"].iter().chain(&NAMES) {
        installation.ready(name)?;
    }
    let bases = [installation.url(NAMES[0], "API")?, installation.url(NAMES[1], "API")?];
    let people: Vec<Person> = synthetic::sessions(&synthetic::Config::default(), 5)
        .take(SESSIONS)
        .map(|session| (session.token, session.preferences))
        .collect();
    let first = http::Client::new(bases[0].clone());
    for (token, preferences) in &people {
        ensure!(first.state(*token, preferences)?.is_some(), "a statement was not acknowledged");
    }
    let mut feed = roost()?;
    feed.arg("--config").arg(installation.config());
    feed.args(["synthetic", "--publish", "--listings", "300", "--events", "10000000", "--rate", "100"]);
    let feed = Running::spawn(&mut feed)?;
    let market = until("there is a market", patience(60), || {
        let markets: Value = serde_json::from_str(&http::get(&format!("{}/api/v1/markets", bases[0]))?)?;
        Ok(markets["items"][0]["market"].as_str().map(str::to_owned))
    })?;

    let (quiet, stop) = (AtomicBool::new(false), AtomicBool::new(false));
    let shown: Vec<std::sync::Mutex<Value>> = (0..STREAMS).map(|_| std::sync::Mutex::new(Value::Null)).collect();
    let (seen, heard, restarts) = std::thread::scope(|scope| -> Result<_> {
        let (bases, people, market, quiet, stop) = (&bases, &people[..], market.as_str(), &quiet, &stop);
        // Whatever goes wrong below, the clients end.
        let _ends = Ends([quiet, stop]);
        let clients = [
            ("polls", scope.spawn(move || poll(bases, people, quiet))),
            ("polls", scope.spawn(move || poll(bases, people, quiet))),
            ("statements", scope.spawn(move || state(bases, people, quiet))),
            ("pages", scope.spawn(move || browse(bases, market, quiet))),
        ];
        let listeners: Vec<_> = people
            .iter()
            .zip(&shown)
            .map(|(person, shown)| {
                let show = move |items: &Value| {
                    if let Ok(mut shown) = shown.lock() {
                        *shown = items.clone();
                    }
                };
                scope.spawn(move || listen(bases, person, stop, show))
            })
            .collect();
        let mut restarts = Vec::new();
        pause(BETWEEN);
        for _ in 0..2 {
            for name in NAMES {
                let begun = Instant::now();
                let code = installation.stop(name)?;
                let stopped = begun.elapsed();
                ensure!(code == 0, "{name} does not stop cleanly ({code}):\n{}", installation.output(name));
                installation.restart(name)?;
                installation.ready(name)?;
                restarts.push((stopped, begun.elapsed()));
                pause(BETWEEN);
            }
        }
        quiet.store(true, Ordering::Release);
        let mut seen: BTreeMap<&str, Seen> = BTreeMap::new();
        for (kind, client) in clients {
            seen.entry(kind).or_default().add(client.join().map_err(|_| anyhow!("a client panicked"))?);
        }
        // The market stands still, and the streams come to what the rows are.
        drop(feed);
        come_to_rest(&installation, 120)?;
        for ((token, _), shown) in people.iter().zip(&shown) {
            until("a stream ends at its row", patience(20), || {
                let row = first.recommendations(*token)?;
                let shown = shown.lock().map_err(|_| anyhow!("a stream panicked"))?;
                ensure!(row["items"] == *shown, "the row is {}, the stream told {shown}", row["items"]);
                Ok(Some(()))
            })?;
        }
        stop.store(true, Ordering::Release);
        let heard = listeners.into_iter().map(|one| one.join().map_err(|_| anyhow!("a stream panicked")));
        Ok((seen, heard.collect::<Result<Vec<Heard>>>()?, restarts))
    })?;

    for (stopped, ready) in &restarts {
        eprintln!("a restart: stopped after {stopped:.1?}, ready after {ready:.1?}");
    }
    for (kind, seen) in &seen {
        let (requests, failed) = (seen.requests, seen.failures.len());
        eprintln!(
            "{requests} {kind}, {failed} failed; tried again: {:?}; answers: {:?}",
            seen.tried_again, seen.statuses
        );
    }
    let sum = |of: fn(&Heard) -> usize| heard.iter().map(of).sum::<usize>();
    eprintln!(
        "{STREAMS} streams over {} connections ({} resumed at the other process, {} refused): {} events, {} failures; all at their rows",
        sum(|h| h.connections),
        sum(|h| h.resumed_elsewhere),
        sum(|h| h.refused),
        sum(|h| h.events),
        sum(|h| h.failures.len()),
    );
    let failures: Vec<&String> =
        seen.values().flat_map(|seen| &seen.failures).chain(heard.iter().flat_map(|heard| &heard.failures)).collect();
    ensure!(failures.is_empty(), "{} failures: {:#?}", failures.len(), &failures[..failures.len().min(20)]);
    ensure!(seen.values().all(|seen| seen.requests > 100), "too little load: {seen:?}");
    ensure!(sum(|h| h.resumed_elsewhere) >= STREAMS, "no stream was resumed at the other process");
    Ok(())
}

/// Ends the clients when the test does, however it does.
struct Ends<'a>([&'a AtomicBool; 2]);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.iter().for_each(|sign| sign.store(true, Ordering::Release));
    }
}
