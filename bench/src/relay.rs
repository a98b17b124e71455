//! The bare relay: the hops of a change and nothing else. Consume and produce, consume and produce, consume and write a row,
//! read the row. What roost's latency is compared with; decides nothing, decodes nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use e2e::harness::Servers;
use rdkafka::consumer::BaseConsumer;
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::{ProducerContext, ThreadedProducer};
use rdkafka::{ClientContext, Offset};
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use stream::Outgoing;
use tokio::sync::Semaphore;

use crate::bare;
use crate::market::{Feed, RATE, Sink};
use crate::probes::{self, Journal, Look, Stage, Watchers};
use crate::spread::Spread;

/// Writes under way: as many as roost has per shard.
const WINDOW: usize = 256;
/// Threads that look at rows.
const READERS: usize = 1;
/// Listings of the market that is published.
const LISTINGS: usize = 5_000;
/// How long a hop waits for a record before it looks whether it is over.
const POLL: Duration = Duration::from_millis(50);

/// What the relay did.
pub struct Outcome {
    /// From publication to the third topic.
    pub log: Spread,
    /// From publication to the acknowledged write.
    pub written: Spread,
    /// From publication to the first read that shows it.
    pub read: Spread,
}

/// Relays at the rate: some seconds to warm up, then `time` that is measured.
pub fn run(servers: &Servers, name: &str, warm: Duration, time: Duration) -> Result<Outcome> {
    let runtime = crate::services::runtime()?;
    let topics: [String; 3] = ["a", "b", "c"].map(|hop| format!("{name}.relay.{hop}"));
    bare::create(servers, &runtime, &topics)?;
    let session = Arc::new(runtime.block_on(table(servers, name))?);
    let journal = Journal::new();
    let is_over = Arc::new(AtomicBool::new(false));
    let mut threads = Vec::new();
    for (from, to, stage) in [(0, 1, Stage::Canonical), (1, 2, Stage::Priced)] {
        let consumer = bare::consumer(servers, &topics[from], Offset::Beginning)?;
        let producer = bare::producer(servers, Delivery { journal: Arc::clone(&journal), stage })?;
        let (to, is_over) = (topics[to].clone(), Arc::clone(&is_over));
        threads.push(std::thread::spawn(move || hop(&consumer, &producer, &to, &is_over)));
    }
    let consumer = bare::consumer(servers, &topics[2], Offset::Beginning)?;
    let writer = Writer {
        session: Arc::clone(&session),
        statement: runtime.block_on(session.prepare(format!("INSERT INTO {name}_relay.r (id, v) VALUES (?, ?)")))?,
        journal: Arc::clone(&journal),
        runtime: runtime.handle().clone(),
        room: Arc::new(Semaphore::new(WINDOW)),
    };
    let over = Arc::clone(&is_over);
    threads.push(std::thread::spawn(move || writer.run(&consumer, &over)));

    let select = runtime.block_on(session.prepare(format!("SELECT v FROM {name}_relay.r WHERE id = ?")))?;
    let look = || -> Look {
        let (session, select, handle) = (Arc::clone(&session), select.clone(), runtime.handle().clone());
        Box::new(move |change, text| {
            let key = probes::id(probes::listing_of(change)).as_str().as_bytes().to_vec();
            let answer = handle.block_on(session.execute_unpaged(&select, (key,)))?.into_rows_result()?;
            *text = answer.maybe_first_row::<(Vec<u8>,)>()?.map_or_else(Vec::new, |(value,)| value);
            Ok(())
        })
    };
    let mut watchers = Watchers::start(&journal, (0..READERS).map(|_| (Stage::Property, look())).collect())?;
    let sink = ToTopic {
        producer: bare::producer(servers, Delivery { journal: Arc::clone(&journal), stage: Stage::Appended })?,
        topic: topics[0].clone(),
    };
    let mut feed = Feed::new(LISTINGS, sink, &journal)?;
    feed.open()?;
    probes::until_all_are_shown(Duration::from_secs(60), &mut look())?;
    feed.run(RATE, warm, &mut watchers)?;
    let first = feed.run(RATE, time, &mut watchers)?;
    watchers.stop()?;
    is_over.store(true, Ordering::Release);
    for thread in threads {
        thread.join().map_err(|_| anyhow::anyhow!("a hop of the relay panicked"))??;
    }
    Ok(Outcome {
        log: journal.spread(first, Stage::Priced),
        written: journal.spread(first, Stage::Row),
        read: journal.spread(first, Stage::Property),
    })
}

/// A keyspace with the one table of a relay.
pub async fn table(servers: &Servers, name: &str) -> Result<Session> {
    let session = SessionBuilder::new().known_node(&servers.cql).build().await?;
    let replication = "{'class': 'NetworkTopologyStrategy', 'replication_factor': 1}";
    let statement = format!("CREATE KEYSPACE {name}_relay WITH replication = {replication}");
    session.query_unpaged(statement, ()).await.context("the relay's keyspace cannot be made")?;
    session.query_unpaged(format!("CREATE TABLE {name}_relay.r (id blob PRIMARY KEY, v blob)"), ()).await?;
    session.await_schema_agreement().await?;
    Ok(session)
}

/// Tells the journal what was delivered.
struct Delivery {
    journal: Arc<Journal>,
    stage: Stage,
}

impl ClientContext for Delivery {}

impl ProducerContext for Delivery {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, change: usize) {
        match result {
            Ok(_) => self.journal.reached(change, self.stage),
            Err((error, _)) => eprintln!("the relay lost a record: {error}"),
        }
    }
}

struct ToTopic {
    producer: ThreadedProducer<Delivery>,
    topic: String,
}

impl Sink for ToTopic {
    fn send(&mut self, record: Outgoing, token: u64) -> Result<()> {
        let (key, value) = (record.key.unwrap_or_default(), record.value.unwrap_or_default());
        bare::send(&self.producer, &self.topic, &key, &value, usize::try_from(token).unwrap_or(usize::MAX))
    }
}

/// One hop: what comes in goes out.
fn hop(consumer: &BaseConsumer, producer: &ThreadedProducer<Delivery>, to: &str, is_over: &AtomicBool) -> Result<()> {
    while !is_over.load(Ordering::Acquire) {
        let Some(message) = consumer.poll(POLL) else { continue };
        let message = message?;
        let (key, value) = (message.key().unwrap_or_default(), message.payload().unwrap_or_default());
        // Only watched changes have such a key; of the others nothing is noted.
        let change = if key.starts_with(b"bench:") { in_reso(value) } else { None };
        bare::send(producer, to, key, value, change.unwrap_or(usize::MAX))?;
    }
    Ok(())
}

/// The change that a raw record is.
fn in_reso(value: &[u8]) -> Option<usize> {
    const NAME: &[u8] = b"\"ListPrice\":";
    let at = value.windows(NAME.len()).position(|window| window == NAME)? + NAME.len();
    let digits: Vec<u8> = value[at..].iter().copied().take_while(u8::is_ascii_digit).collect();
    probes::shown(&[b"\"list_price\":", digits.as_slice()].concat())
}

/// The last hop.
struct Writer {
    session: Arc<Session>,
    statement: scylla::statement::prepared::PreparedStatement,
    journal: Arc<Journal>,
    runtime: tokio::runtime::Handle,
    room: Arc<Semaphore>,
}

impl Writer {
    fn run(self, consumer: &BaseConsumer, is_over: &AtomicBool) -> Result<()> {
        while !is_over.load(Ordering::Acquire) {
            let Some(message) = consumer.poll(POLL) else { continue };
            let message = message?;
            let key = message.key().unwrap_or_default().to_vec();
            let value = message.payload().unwrap_or_default();
            let change = if key.starts_with(b"bench:") { in_reso(value) } else { None };
            // What the readers look for is roost's spelling.
            let mark = change.map(probes::mark).unwrap_or_default();
            let value = [mark.as_bytes(), value].concat();
            let permit = self.runtime.block_on(Arc::clone(&self.room).acquire_owned())?;
            let (session, statement, journal) =
                (Arc::clone(&self.session), self.statement.clone(), Arc::clone(&self.journal));
            self.runtime.spawn(async move {
                match session.execute_unpaged(&statement, (key, value)).await {
                    Ok(_) => journal.reached(change.unwrap_or(usize::MAX), Stage::Row),
                    Err(error) => eprintln!("the relay lost a row: {error}"),
                }
                drop(permit);
            });
        }
        Ok(())
    }
}
