//! From a published change to the first read that shows it, at 2,000 changes a second: stage by stage, on Kafka and CQL beside
//! the bare relay, and in one process on the embedded log and tables.
//!
//! A stage's time counts from the moment before the feed hands the change to its log client. What this process itself looks at
//! (two topics, a hundred listings a second) runs on the same cores and is part of the load.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Result;
use e2e::harness::{Servers, until};
use schemas::topic::Topic;
use store::{Row, Tables};
use stream::{Event, Log, LogError, Start};
use tokio::runtime::Handle;

use crate::embedded::House;
use crate::http::{Connection, request};
use crate::market::{Acknowledged, Feed, RATE, ToLog};
use crate::probes::{self, Journal, LISTINGS, Look, Stage, Watchers};
use crate::report::{Line, Report, line};
use crate::spread::Spread;
use crate::{relay, services};

/// Listings of the market beside the watched ones.
const MARKET: usize = 20_000;
/// Sessions beside those that watch.
const SESSIONS: usize = 1_000;
/// Before it counts: caches, connections and the servers' compilers.
const WARM: Duration = Duration::from_secs(8);
/// What counts.
const TIME: Duration = Duration::from_secs(30);
/// Watchers per way of looking.
const EACH: usize = 1;
/// Changes that are published at once, to see how many a second come through.
const FLOOD: usize = 60_000;
/// How long the opening stock may take to come through.
const OPENING: Duration = Duration::from_secs(120);

/// What a house is to this benchmark.
struct Subject<'a> {
    log: &'a Log,
    tables: &'a Tables,
    api: String,
    runtime: Handle,
}

/// What was seen of it.
struct Seen {
    stages: Vec<(Stage, Spread)>,
    unseen: usize,
    /// Changes a second, where they are published as fast as the log takes them, until the last is in its row.
    flood: f64,
}

impl Seen {
    fn of(&self, wanted: Stage) -> Spread {
        self.stages.iter().find(|(stage, _)| *stage == wanted).map(|(_, spread)| spread.clone()).unwrap_or_default()
    }
}

/// On Kafka and CQL, the services as processes; the relay before, on the same servers.
pub fn on_servers(servers: &Servers, report: &mut Report) -> Result<()> {
    report.say("latency on Kafka and CQL");
    let mut installation = services::installation(servers, "latency")?;
    let all = services::start_all(&mut installation)?;
    let runtime = services::runtime()?;
    let api = all.iter().last().map(|service| service.address.clone()).unwrap_or_default();
    let subject =
        Subject { log: &installation.log, tables: &installation.tables, api, runtime: runtime.handle().clone() };
    let seen = measure(&subject)?;
    drop(subject);
    drop(installation);
    // Alone on the servers, as roost was.
    let name = format!("bench_{:08x}", jiff::Timestamp::now().as_second());
    let relay = relay::run(servers, &name, WARM, TIME)?;

    let of_log = "2,000 changes/s, Kafka + CQL: ";
    for (stage, spread) in &seen.stages {
        let (peer, goal) = match stage {
            Stage::Priced => (Some(("three topics", &relay.log)), "–"),
            Stage::Row => (Some(("row written", &relay.written)), "–"),
            Stage::Property | Stage::Recommendation => (
                Some(("row read", &relay.read)),
                "p50 ≤ 5, p99 ≤ 25 ms where the relay shows 1.7 / 14; elsewhere ≤ 3× its p50, ≤ 2× its p99",
            ),
            Stage::Appended | Stage::Canonical => (None, "–"),
        };
        report.add(staged(of_log, *stage, spread, peer, goal));
    }
    report.add(line(format!("{of_log}changes watched, never seen"), format!("{}", seen.unseen), "0"));
    report.add(flooded("Kafka + CQL", &seen));
    Ok(())
}

/// In one process on the embedded log and tables.
pub fn embedded(report: &mut Report) -> Result<()> {
    report.say("latency on the embedded log and tables");
    let directory = tempfile::tempdir_in(".")?;
    let house = House::open(directory.path())?;
    until("the embedded house is ready", OPENING, || Ok(house.ready().ok()))?;
    let subject = Subject {
        log: &house.log,
        tables: &house.tables,
        api: house.api.to_string(),
        runtime: house.runtime.handle().clone(),
    };
    let seen = measure(&subject)?;
    crate::bulk::tell(subject.log, subject.tables, &subject.runtime, report)?;
    drop(subject);
    let syncs = Spread::of(sync_times(directory.path())?);
    let appended = seen.of(Stage::Appended);
    for (stage, spread) in &seen.stages {
        let peer = (*stage == Stage::Appended).then_some(("1 kB written and synced to the same disk", &syncs));
        let goal = match stage {
            Stage::Property | Stage::Recommendation => "p50 ≤ 2 ms",
            _ => "–",
        };
        let mut line = staged("2,000 changes/s, embedded: ", *stage, spread, peer, goal);
        if matches!(stage, Stage::Property | Stage::Recommendation) {
            line.peer = format!("its own sync before anybody reads: {appended}");
        }
        report.add(line);
    }
    report.add(line("2,000 changes/s, embedded: changes watched, never seen", format!("{}", seen.unseen), "0"));
    report.add(flooded("embedded", &seen));
    house.stop();
    Ok(())
}

fn flooded(house: &str, seen: &Seen) -> Line {
    line(
        format!("{house}: {FLOOD} changes published at once, until the last is in its row"),
        format!("{:.0}/s", seen.flood),
        "–",
    )
}

fn staged(prefix: &str, stage: Stage, spread: &Spread, peer: Option<(&str, &Spread)>, goal: &str) -> Line {
    let what = match stage {
        Stage::Appended => "raw record acknowledged",
        Stage::Canonical => "on `listings`",
        Stage::Priced => "on `listings.priced`",
        Stage::Row => "in its row",
        Stage::Property => "in `GET /properties/{id}`",
        Stage::Recommendation => "in `GET /recommendations`",
    };
    let seen = format!("{spread} (n = {})", spread.len());
    let peer = peer.map_or_else(
        || "–".to_owned(),
        |(name, peer)| {
            let [p50, p99] = [0.5, 0.99].map(|share| spread.at(share) / peer.at(share));
            format!("relay, {name}: {peer}; {p50:.1}× / {p99:.1}×").replace("relay, 1 kB", "1 kB")
        },
    );
    Line { what: format!("{prefix}{what}, p50 / p99 / p99.9"), seen, peer, goal: goal.to_owned() }
}

fn measure(subject: &Subject<'_>) -> Result<Seen> {
    let journal = Journal::new();
    let follower = Follower::start(subject.log, &journal)?;
    let producer = subject.log.producer(Arc::new(Acknowledged(Arc::clone(&journal))))?;
    for listing in 0..LISTINGS {
        producer.send(probes::statement(listing), u64::MAX)?;
    }
    for session in synthetic::sessions(&synthetic::Config::default(), 3).take(SESSIONS) {
        producer.send(probes::stated(session.token, &session.preferences), u64::MAX)?;
    }
    let mut feed = Feed::new(MARKET, ToLog(producer), &journal)?;
    feed.open()?;
    for mut look in [property(&subject.api)?, recommendation(&subject.api)?] {
        probes::until_all_are_shown(OPENING, &mut look)?;
    }
    let mut looks: Vec<(Stage, Look)> = Vec::new();
    for _ in 0..EACH {
        looks.push((Stage::Property, property(&subject.api)?));
        looks.push((Stage::Recommendation, recommendation(&subject.api)?));
    }
    looks.push((Stage::Row, row(subject)));
    let mut watchers = Watchers::start(&journal, looks)?;
    feed.run(RATE, WARM, &mut watchers)?;
    let first = feed.run(RATE, TIME, &mut watchers)?;
    let unseen = watchers.stop()?;
    let stages = [Stage::Appended, Stage::Canonical, Stage::Priced, Stage::Row, Stage::Property, Stage::Recommendation];
    // Before the flood, whose changes wait for one another.
    let stages = stages.map(|stage| (stage, journal.spread(first, stage))).into();
    let (begun, last) = (Instant::now(), feed.flood(FLOOD)?);
    let mut look = row(subject);
    until("the flood is in its rows", OPENING, || all_show(&mut look, last))?;
    let flood = (FLOOD + LISTINGS) as f64 / begun.elapsed().as_secs_f64();
    follower.stop()?;
    Ok(Seen { stages, unseen, flood })
}

/// Whether every watched listing shows its change since this one.
fn all_show(look: &mut Look, first: usize) -> Result<Option<()>> {
    let mut text = Vec::new();
    for change in first..first + LISTINGS {
        look(change, &mut text)?;
        if probes::shown(&text) != Some(change) {
            return Ok(None);
        }
    }
    Ok(Some(()))
}

fn property(api: &str) -> Result<Look> {
    let requests: Vec<Vec<u8>> =
        (0..LISTINGS).map(|listing| request(api, &format!("/api/v1/properties/{}", probes::id(listing)), "")).collect();
    by_http(api, requests)
}

fn recommendation(api: &str) -> Result<Look> {
    let bearer = |listing| format!("Authorization: Bearer {}\r\n", probes::token(listing).reveal());
    let requests: Vec<Vec<u8>> =
        (0..LISTINGS).map(|listing| request(api, "/api/v1/recommendations", &bearer(listing))).collect();
    by_http(api, requests)
}

fn by_http(api: &str, requests: Vec<Vec<u8>>) -> Result<Look> {
    let mut connection = Connection::open(api)?;
    Ok(Box::new(move |change, text| {
        connection.ask(&requests[probes::listing_of(change)], text)?;
        Ok(())
    }))
}

fn row(subject: &Subject<'_>) -> Look {
    let (tables, runtime) = (subject.tables.clone(), subject.runtime.clone());
    Box::new(move |change, text| {
        let row = Row::Listing(probes::id(probes::listing_of(change)));
        *text = runtime.block_on(tables.read(row))?.map_or_else(Vec::new, |cell| cell.json.into_bytes());
        Ok(())
    })
}

/// Tells the journal what stands on the topics between.
struct Follower {
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<Result<()>>,
}

impl Follower {
    fn start(log: &Log, journal: &Arc<Journal>) -> Result<Self> {
        let topics = [Topic::Listings, Topic::ListingsPriced];
        let starts: Vec<_> =
            topics.iter().flat_map(|topic| (0..log.partitions()).map(|p| (*topic, p, Start::Latest))).collect();
        let mut reader = log.follow(&starts)?;
        let is_over = Arc::new(AtomicBool::new(false));
        let (over, journal) = (Arc::clone(&is_over), Arc::clone(journal));
        let thread = std::thread::Builder::new().name("watch-log".to_owned()).spawn(move || {
            let mut events = Vec::new();
            while !over.load(Ordering::Acquire) {
                match reader.poll(Duration::from_millis(50), &mut events) {
                    Ok(()) | Err(LogError::Unavailable(_)) => {}
                    Err(error) => return Err(error.into()),
                }
                for event in events.drain(..) {
                    let Event::Record(record) = event else { continue };
                    if !record.key.as_deref().is_some_and(|key| key.starts_with(b"bench:")) {
                        continue;
                    }
                    let stage = if record.topic == Topic::Listings { Stage::Canonical } else { Stage::Priced };
                    if let Some(change) = record.value.as_deref().and_then(probes::shown) {
                        journal.reached(change, stage);
                    }
                }
            }
            Ok(())
        })?;
        Ok(Self { is_over, thread })
    }

    fn stop(self) -> Result<()> {
        self.is_over.store(true, Ordering::Release);
        self.thread.join().map_err(|_| anyhow::anyhow!("the follower panicked"))?
    }
}

/// Milliseconds that the disk takes to write and sync 1 kB, again and again: what an acknowledgement cannot go below.
fn sync_times(directory: &std::path::Path) -> Result<Vec<f64>> {
    use std::io::Write as _;
    let mut file = std::fs::File::create(directory.join("sync"))?;
    let mut times = Vec::new();
    for _ in 0..500 {
        let begun = std::time::Instant::now();
        file.write_all(&[7; 1_024])?;
        file.sync_data()?;
        times.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    Ok(times)
}
