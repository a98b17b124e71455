//! How many records ingest and the enricher take per second of one core: CPU time of the whole process, client threads
//! included, for a backlog that stands on the log. Beside each a bare loop on the same records: consume, decode the JSON to
//! a type, encode it, produce.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use e2e::harness::{Installation, Servers, until};
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::{Producer as _, ProducerContext};
use rdkafka::{ClientContext, Offset};
use schemas::listing::Listing;
use schemas::topic::Topic;
use serde::Serialize;
use stream::{AckSink, Delivered, DeliveryError, LogError, Producer};
use synthetic::World;

use crate::market::{now_ms, raw_record};
use crate::raw::Raw;
use crate::report::{Line, Report};
use crate::services::{self, Service};
use crate::stock::Stock;
use crate::{bare, machine, probes};

/// Seconds that a backlog may take with the default stock.
const LIMIT_SECONDS: u32 = 180;
/// A service that has read everything and then produced nothing for so long is done.
const STILL: Duration = Duration::from_secs(2);

/// Fills the installation, and measures what fills it.
pub fn run(servers: &Servers, installation: &mut Installation, stock: Stock, report: &mut Report) -> Result<()> {
    let records = stock.records();
    report.say("throughput: publishing the backlog");
    let size = publish(installation, stock)?;
    let raw = format!("{}listings.raw", prefix(installation)?);
    let listings = format!("{}listings", prefix(installation)?);
    let runtime = services::runtime()?;
    let out = format!("{}bare", prefix(installation)?);
    bare::create(servers, &runtime, std::slice::from_ref(&out))?;

    report.say("throughput: ingest");
    let bare_raw =
        bare_loop(servers, (&raw, &out), records, |from, to| encode(&serde_json::from_slice::<Raw<'_>>(from)?, to))?;
    let ingest = drain(installation, "ingest", (Topic::ListingsRaw, Topic::Listings), stock, &[])?;
    report.add(compared(
        &format!("ingest, {records} records of {size} bytes, per core"),
        &ingest,
        "consume-decode-encode-produce",
        &bare_raw,
        "≥ 150,000/s, ≥ 70 % of the bare loop",
    ));

    report.say("throughput: enricher");
    let bare_listings = bare_loop(servers, (&listings, &out), records, |from, to| {
        encode(&serde_json::from_slice::<Listing>(from)?, to)
    })?;
    let off = ("ROOST__ENRICHER__MARKET_CONTEXT", "off");
    // All of it once without what was sold, into the topic that the rest is built on; the goal with comparables is of another model.
    let enricher = drain(installation, "enricher", (Topic::Listings, Topic::ListingsPriced), stock, &[off])?;
    report.add(compared(
        "enricher on what came out, `tree_operator = fast`, `market_context = off`, per core",
        &enricher,
        "consume-decode-encode-produce of canonical listings",
        &bare_listings,
        "≥ 200,000/s without comparables, with the tree operator of its own",
    ));
    Ok(())
}

fn prefix(installation: &Installation) -> Result<String> {
    let line = installation.settings().lines().find_map(|line| line.strip_prefix("topic_prefix = \""));
    Ok(line.map(|rest| rest.trim_end_matches('"').to_owned()).unwrap_or_default())
}

/// What a process did with a backlog.
struct Drained {
    per_core: f64,
    per_second: f64,
}

/// Starts a service on a backlog; from its first record to its last, after which none has come for [`STILL`]. They are not
/// always as many as it read: of a late statement that tells nothing new nothing is told.
fn drain(
    installation: &mut Installation,
    name: &'static str,
    (from, to): (Topic, Topic),
    stock: Stock,
    more: &[(&str, &str)],
) -> Result<Drained> {
    let (records, limit) = (stock.records(), stock.limit(LIMIT_SECONDS));
    let service = Service::start(installation, name, more)?;
    let pid = service.pid(installation)?;
    services::until_count(installation, to, 1, limit)?;
    let (begun, first, used) = (Instant::now(), services::count(installation, to)?, machine::cpu_seconds(pid)?);
    let consumed = format!(r#"roost_log_records_consumed_total{{topic="{from}"}}"#);
    let mut last = (first, begun, used);
    until(&format!("all of {from} on {to}"), limit, || {
        let count = services::count(installation, to)?;
        if count > last.0 {
            last = (count, Instant::now(), machine::cpu_seconds(pid)?);
        }
        Ok((last.1.elapsed() >= STILL && service.metric(&consumed)? >= records as f64).then_some(()))
    })?;
    let (done, seconds, used) = ((last.0 - first) as f64, (last.1 - begun).as_secs_f64(), last.2 - used);
    services::stop(installation, name)?;
    Ok(Drained { per_core: done / used, per_second: done / seconds })
}

fn compared(what: &str, seen: &Drained, name: &str, peer: &Drained, goal: &str) -> Line {
    Line {
        what: what.to_owned(),
        seen: format!("{:.0}/s (elapsed: {:.0}/s)", seen.per_core, seen.per_second),
        peer: format!(
            "{name}: {:.0}/s (elapsed: {:.0}/s); {:.0} %",
            peer.per_core,
            peer.per_second,
            100.0 * seen.per_core / peer.per_core
        ),
        goal: goal.to_owned(),
    }
}

/// Counts what came back, and what did not.
#[derive(Clone, Default)]
pub struct Tally {
    acknowledged: Arc<AtomicU64>,
    lost: Arc<AtomicU64>,
}

impl Tally {
    fn count(&self, is_there: bool) {
        if is_there { &self.acknowledged } else { &self.lost }.fetch_add(1, Ordering::Relaxed);
    }
}

impl AckSink for Tally {
    fn acked(&self, _: u64, outcome: Result<Delivered, DeliveryError>) {
        self.count(outcome.is_ok());
    }
}

impl ClientContext for Tally {}

impl ProducerContext for Tally {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, _: usize) {
        self.count(result.is_ok());
    }
}

/// Publishes the stock, its changes, and as many sessions; the mean size of a record.
fn publish(installation: &Installation, stock: Stock) -> Result<u64> {
    let config = synthetic::Config {
        listings: stock.each(),
        unchanged_share: 0.0,
        repeated_share: 0.0,
        ..synthetic::Config::default()
    };
    let tally = Tally::default();
    let producer = installation.log.producer(Arc::new(tally.clone()))?;
    let (mut world, mut bytes) = (World::new(config.clone())?, 0);
    for _ in 0..stock.records() {
        let record = raw_record(&world.next_event_at(now_ms()));
        bytes += record.value.as_ref().map_or(0, Vec::len) as u64;
        send(&*producer, record)?;
    }
    for session in synthetic::sessions(&config, 3).take(stock.each()) {
        send(&*producer, probes::stated(session.token, &session.preferences))?;
    }
    producer.flush(Duration::from_secs(60))?;
    ensure!(tally.lost.load(Ordering::Relaxed) == 0, "records were lost while the backlog was published");
    Ok(bytes / stock.records())
}

fn send(producer: &dyn Producer, record: stream::Outgoing) -> Result<()> {
    loop {
        match producer.send(record.clone(), 0) {
            Err(LogError::QueueFull) => std::thread::park_timeout(Duration::from_millis(1)),
            sent => return Ok(sent?),
        }
    }
}

/// Does with every record of a topic what must be done with it at the least.
fn bare_loop(
    servers: &Servers,
    (from, to): (&str, &str),
    records: u64,
    reencode: impl Fn(&[u8], &mut Vec<u8>) -> Result<()>,
) -> Result<Drained> {
    let pid = std::process::id();
    let tally = Tally::default();
    let consumer = bare::consumer(servers, from, Offset::Beginning)?;
    let producer = bare::producer(servers, tally.clone())?;
    let mut value = Vec::new();
    let (mut begun, mut used, mut done) = (Instant::now(), 0.0, 0_u64);
    while done < records {
        let Some(message) = consumer.poll(Duration::from_secs(30)) else {
            anyhow::bail!("{from}: {done} records, then nothing for 30 s");
        };
        let message = message?;
        if done == 0 {
            (begun, used) = (Instant::now(), machine::cpu_seconds(pid)?);
        }
        reencode(message.payload().unwrap_or_default(), &mut value)?;
        bare::send(&producer, to, message.key().unwrap_or_default(), &value, 0)?;
        done += 1;
    }
    producer.flush(Duration::from_secs(60))?;
    let (seconds, used) = (begun.elapsed().as_secs_f64(), machine::cpu_seconds(pid)? - used);
    ensure!(tally.lost.load(Ordering::Relaxed) == 0, "the bare loop lost records");
    Ok(Drained { per_core: records as f64 / used, per_second: records as f64 / seconds })
}

fn encode(value: &impl Serialize, to: &mut Vec<u8>) -> Result<()> {
    to.clear();
    Ok(serde_json::to_writer(to, value)?)
}
