//! The counter under load: every kind of request, streams, and how soon it knows; on Kafka and CQL, embedded, and beside a handler
//! that does nothing and the classic build of the same service.
//!
//! Servers and clients share the machine's cores, so rates are of the pair; what a server did per second of its own CPU stands
//! beside them. One server is asked at a time; Kafka and Cassandra idle beside the others.

pub mod bare;
mod classic;
mod house;
pub mod load;
mod points;
mod readable;
mod stale;
mod streams;
mod table;
mod town;

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use e2e::harness::Servers;

use self::bare::Bare;
use self::classic::Databases;
use self::house::Roost;
use self::load::{Pace, Requests};
use self::points::{ASKED, Point, Seen, seen};
use self::stale::{Watched, watched};
use self::table::{Load, Table};
use self::town::Town;
use crate::http::{Connection, bearer, request, with_body};
use crate::report::{Line, Report, line};
use crate::spread::Spread;

/// Before it counts: caches, connections, compilers.
const WARM: Duration = Duration::from_secs(1);
/// What counts, of each cell.
const TIME: Duration = Duration::from_secs(2);
/// Where two are measured by turns.
const ROUNDS: usize = 7;
/// Connections of the half rate, and of whatever is asked once.
const MOST: usize = 16;
/// Who listens.
const LISTENERS: usize = 5_000;
/// The classic build's cache.
const CACHE_SECONDS: u32 = 60;
/// Where the classic build keeps its data.
const CLASSIC: &str = "bench/peers/target/classic";
/// Clients on this machine are not limited, and the driver is one with the load of thousands. So that the buckets are counted, and
/// are never empty:
const COUNTED: &[(&str, &str)] = &[
    ("ROOST__API__LIMITS__EXEMPT_LOOPBACK", "false"),
    ("ROOST__API__LIMITS__REQUESTS__PER_SECOND", "1000000"),
    ("ROOST__API__LIMITS__REQUESTS__BURST", "1000000"),
    ("ROOST__API__LIMITS__CALLERS__PER_SECOND", "1000000"),
    ("ROOST__API__LIMITS__CALLERS__BURST", "1000000"),
];

/// Measures everything with so many listings, and a tenth as many sessions; `with_classic` also the classic build, which needs
/// PostgreSQL, Redis and packages of Python. What fails is a line of the report, and the rest is measured all the same. Returns the
/// table of requests.
pub fn run(servers: &Servers, listings: usize, with_classic: bool, report: &mut Report) -> Result<String> {
    report.say("the counter: building the town");
    let town = Town::build(listings, (listings / 10).max(2 * ASKED))?;
    let mut table = Table::default();
    let done = on_servers(servers, &town, &mut table, report);
    told("Kafka + CQL", done, report);
    let done = embedded(&town, &mut table, report);
    told("embedded", done, report);
    let done = handler(&mut table, report);
    told("bare handler", done, report);
    if with_classic {
        let done = classic(&town, &mut table, report);
        told("the classic build", done, report);
    }
    Ok(table.markdown())
}

/// An error, as a line.
fn told(what: &str, done: Result<()>, report: &mut Report) {
    if let Err(error) = done {
        report.add(line(what, format!("not measured: {error:#}").replace(['\n', '|'], " "), "–"));
    }
}

fn on_servers(servers: &Servers, town: &Town, table: &mut Table, report: &mut Report) -> Result<()> {
    report.say("the counter on Kafka and CQL: filling it");
    let mut roost = Roost::on_servers(servers, &[])?;
    roost.fill(town)?;
    all_points(&roost, town, table, report);
    let done = by_turns(&roost, "", town, report);
    told("304 by turns", done, report);
    report.say("from a statement to its answer");
    let both = readable::of_roost(&roost, town).and_then(|ours| Ok((ours, readable::of_relay(servers, town)?)));
    let done = both.map(|(ours, relay)| report.add(said(roost.name, &ours, Some(&relay))));
    told("a statement to its answer", done, report);
    let done = staleness(&roost, town, report);
    told("staleness", done, report);
    let done = listeners(&roost, report);
    told("listeners", done, report);
    counted(&mut roost, town, report)
}

/// The 304 poll of an API that counts how often everybody asks.
fn counted(roost: &mut Roost, town: &Town, report: &mut Report) -> Result<()> {
    roost.api_with(COUNTED)?;
    by_turns(roost, ", rate limits counted", town, report)
}

fn embedded(town: &Town, table: &mut Table, report: &mut Report) -> Result<()> {
    report.say("the counter embedded: filling it");
    let roost = Roost::embedded(&[])?;
    roost.fill(town)?;
    all_points(&roost, town, table, report);
    let done = readable::of_roost(&roost, town).map(|ours| report.add(said(roost.name, &ours, None)));
    told("a statement to its answer, embedded", done, report);
    let done = staleness(&roost, town, report);
    told("staleness, embedded", done, report);
    listeners(&roost, report)
}

fn all_points(roost: &Roost, town: &Town, table: &mut Table, report: &mut Report) {
    for point in Point::ALL {
        let done = points::of_roost(roost, town, point)
            .and_then(|requests| measure(roost.name, point, &requests, &roost.processes(), table));
        told(&format!("{}: {}", roost.name, point.name()), done, report);
    }
}

/// A point under each load.
fn measure(server: &str, point: Point, requests: &Requests, watched: &[Vec<u32>], table: &mut Table) -> Result<()> {
    requests.ask(MOST, Pace::Full(WARM), watched)?;
    for load in Load::ALL {
        let asked = match load {
            Load::Full(connections) => requests.ask(connections, Pace::Full(TIME), watched)?,
            Load::Half => {
                let most = table.get(server, point, Load::Full(MOST)).context("half of what is not known")?.rate;
                requests.ask(MOST, Pace::Fixed(most / 2.0, TIME), watched)?
            }
        };
        table.add(server, point, load, asked);
    }
    Ok(())
}

/// The 304 poll beside the bare handler, by turns, so that both see the same machine: the middle of the ratios.
fn by_turns(roost: &Roost, what: &str, town: &Town, report: &mut Report) -> Result<()> {
    report.say("304 by turns");
    let ours = points::of_roost(roost, town, Point::NotModified)?;
    let bare = Bare::start(0)?;
    let theirs = bare.polls();
    // Sessions that are asked for again a moment later are answered from memory.
    for _ in 0..4 {
        ours.ask(MOST, Pace::Full(WARM), &[])?;
    }
    theirs.ask(MOST, Pace::Full(WARM), &[])?;
    let (mut rates, mut ratios, mut per_cpu) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let [bare, roost] = [(&theirs, bare.pid()), (&ours, roost.pid)]
            .map(|(requests, pid)| requests.ask(MOST, Pace::Full(TIME), &[vec![pid]]));
        let (bare, roost) = (bare?, roost?);
        ratios.push(100.0 * roost.rate / bare.rate);
        per_cpu.push(100.0 * roost.per_cpu[0] / bare.per_cpu[0]);
        rates.push((roost.rate, bare.rate));
    }
    let rates: Vec<String> = rates.iter().map(|(roost, bare)| format!("{roost:.0} of {bare:.0}")).collect();
    let [ratios, per_cpu] = [ratios, per_cpu].map(|of| Spread::of(of).at(0.5));
    report.add(Line {
        what: format!("304 poll{what}, {MOST} connections, by turns with the bare handler, {ROUNDS} rounds"),
        seen: format!("{ratios:.0} % (median), per CPU second {per_cpu:.0} %"),
        peer: format!("a second: {}", rates.join(", ")),
        goal: "≥ 60 % of the bare handler".to_owned(),
    });
    Ok(())
}

/// The bare handler, with a body as large as the API's.
fn handler(table: &mut Table, report: &mut Report) -> Result<()> {
    report.say("the bare handler");
    const NAME: &str = "bare handler";
    let roost = "Kafka + CQL";
    let of_roost = |point, load| table.get(roost, point, load).cloned().context("roost was not measured");
    let size = of_roost(Point::Recommendations, Load::Full(MOST))?.body;
    let ours = of_roost(Point::NotModified, Load::Full(MOST))?;
    let ours_paced = of_roost(Point::NotModified, Load::Half)?;
    let bare = Bare::start(size)?;
    let each = vec![request(&bare.address, "/", "")].into();
    let whole = Requests { address: bare.address.clone(), each, status: 200 };
    for (point, requests) in [(Point::NotModified, bare.polls()), (Point::Recommendations, whole)] {
        measure(NAME, point, &requests, &[vec![bare.pid()]], table)?;
    }
    let peer = table.get(NAME, Point::NotModified, Load::Full(MOST)).context("the handler was not measured")?;
    report.add(Line {
        what: format!("304 poll, {roost}, {MOST} connections; at half of that rate"),
        seen: format!("{ours}; {ours_paced}"),
        peer: format!(
            "bare handler: {peer}; {:.0} %, per CPU second {:.0} %",
            100.0 * ours.rate / peer.rate,
            100.0 * ours.per_cpu[0] / peer.per_cpu[0]
        ),
        goal: "≥ 60 % of the bare handler, p99 ≤ 5 ms at half of the maximum rate".to_owned(),
    });
    Ok(())
}

fn said(house: &str, ours: &readable::Readable, relay: Option<&readable::Readable>) -> Line {
    let two = |times: &Spread| format!("{:.2} / {:.2} ms", times.at(0.5), times.at(0.99));
    Line {
        what: format!("{house}: a statement to 202 / to its three best read, p50 / p99, one after the other"),
        seen: format!("{} / {} (n = {})", two(&ours.accepted), two(&ours.read), ours.read.len()),
        peer: relay.map_or("–".to_owned(), |relay| {
            let [p50, p99] = [0.5, 0.99].map(|share| ours.read.at(share) / relay.read.at(share));
            format!(
                "relay, acknowledged / row read: {} / {}; {p50:.1}× / {p99:.1}×",
                two(&relay.accepted),
                two(&relay.read)
            )
        }),
        goal: "p50 ≤ 5 ms, p99 ≤ 25 ms".to_owned(),
    }
}

fn staleness(roost: &Roost, town: &Town, report: &mut Report) -> Result<()> {
    report.say("staleness");
    let ask = |session: &synthetic::Session| request(&roost.api, "/api/v1/recommendations", &bearer(session.token));
    let found = watched(&roost.api, town, ask)?;
    let (sessions, records): (Vec<_>, Vec<_>) =
        found.into_iter().map(|(session, json, feed)| (session, (feed, json))).unzip();
    let change = || records.into_iter().try_for_each(|(feed, json)| roost.push(&feed, std::iter::once(json)));
    let outcome = stale::measure(&roost.api, &sessions, Duration::from_secs(2), Duration::from_secs(30), change)?;
    report.add(stale::said(roost.name, &outcome));
    Ok(())
}

fn listeners(roost: &Roost, report: &mut Report) -> Result<()> {
    report.say("listeners");
    let heard = streams::measure(roost, LISTENERS)?;
    let [p50, p99] = [0.5, 0.99].map(|share| heard.late.at(share));
    report.add(line(
        format!("{}: {} listeners (SSE), a change each per second: events told, push to client p50 / p99", roost.name, heard.clients),
        format!(
            "{:.0}/s of {:.0} due, {p50:.0} / {p99:.0} ms; missed: {}; {:.1} kB a client; {:.2} cores of the API's process",
            heard.told, heard.due, heard.missed, heard.kilobytes, heard.cores
        ),
        "missed: 0",
    ));
    Ok(())
}

fn classic(town: &Town, table: &mut Table, report: &mut Report) -> Result<()> {
    report.say("the classic build: filling it");
    let (databases, said) = Databases::start(Path::new(CLASSIC), town)?;
    report.say(&said);
    let mut outcomes = Vec::new();
    for (name, seconds) in [("classic, exact", 0), ("classic, cached", CACHE_SECONDS)] {
        report.say(name);
        let classic = databases.serve(seconds)?;
        for point in Point::ALL {
            let Some(requests) = points::of_classic(&classic.address, town, point) else { continue };
            // Every worker opens its connections, and the cache fills.
            let done = requests
                .ask(MOST, Pace::Once, &[])
                .and_then(|_| measure(name, point, &requests, &[classic.pids()], table));
            told(&format!("{name}: {}", point.name()), done, report);
        }
        if seconds == 0 {
            report.add(candidates(&classic.address, town)?);
        }
        let ask = |session: &synthetic::Session| {
            request(&classic.address, &format!("/api/recommendations?session_id={}", session.token.reveal()), "")
        };
        let found = watched(&classic.address, town, ask)?;
        let sessions: Vec<Watched> = found.into_iter().map(|(session, ..)| session).collect();
        let change = || {
            let (mut connection, mut body) = (Connection::open(&classic.address)?, Vec::new());
            for Watched { listing, price, .. } in &sessions {
                let path = format!("/api/properties/{listing}/price");
                let put =
                    with_body("PUT", &classic.address, &path, "", format!(r#"{{"list_price":{price}}}"#).as_bytes());
                ensure!(connection.ask(&put, &mut body)? == 200, "{path}: {}", String::from_utf8_lossy(&body));
            }
            Ok(())
        };
        // What finding them left in the cache ends first: then entries are of every age, each from when its session began to ask.
        let ended = Instant::now() + Duration::from_secs(u64::from(seconds));
        while let Some(left) = ended.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
            std::thread::park_timeout(left);
        }
        let spread = Duration::from_secs(u64::from(seconds).max(2));
        let outcome =
            stale::measure(&classic.address, &sessions, spread, spread * 2 + Duration::from_secs(10), change)?;
        report.add(stale::said(name, &outcome));
        outcomes.push(name);
    }
    for name in outcomes {
        let get = |server| table.get(server, Point::Recommendations, Load::Full(MOST)).context("not measured");
        let (ours, embedded, theirs) = (get("Kafka + CQL")?, get("embedded")?, get(name)?);
        report.add(Line {
            what: format!("`GET /recommendations`, 200, {MOST} connections: roost on Kafka + CQL; embedded"),
            seen: format!("{ours}; {embedded}"),
            peer: format!("{name}: {theirs}; {:.1}×; {:.1}×", ours.rate / theirs.rate, embedded.rate / theirs.rate),
            goal: if name.ends_with("exact") { "≥ 20×" } else { "ahead" }.to_owned(),
        });
    }
    Ok(())
}

/// How many homes the exact classic build looks at for each of the sessions that are asked for.
fn candidates(address: &str, town: &Town) -> Result<Line> {
    let (mut connection, mut body, mut counts) = (Connection::open(address)?, Vec::new(), Vec::new());
    for session in &town.sessions[..ASKED] {
        let ask = request(address, &format!("/api/recommendations?session_id={}", session.token.reveal()), "");
        ensure!(connection.ask(&ask, &mut body)? == 200, "{address}: {}", String::from_utf8_lossy(&body));
        let Seen { candidates, .. } = seen(&body)?;
        counts.push(candidates.context("the classic build tells no candidates")? as f64);
    }
    let mean = counts.iter().sum::<f64>() / counts.len() as f64;
    let counts = Spread::of(counts);
    let [p50, p90, p99] = [0.5, 0.9, 0.99].map(|share| counts.at(share));
    Ok(line(
        format!("candidates per session, {} listings, mean; p50 / p90 / p99", town.events.len()),
        format!("{mean:.0}; {p50:.0} / {p90:.0} / {p99:.0} ({} sessions)", counts.len()),
        "–",
    ))
}
