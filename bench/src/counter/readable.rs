//! From what a session says to the answer to it: `POST /preferences`, then `GET /recommendations?min_version=…&wait=…`, one session
//! after the other. Beside it the bare relay of the same way: a record produced and acknowledged, consumed, its row written, the
//! row read.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use crossbeam_channel::{Sender, bounded};
use e2e::harness::Servers;
use rdkafka::consumer::BaseConsumer;
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::ProducerContext;
use rdkafka::{ClientContext, Offset};

use super::house::Roost;
use super::town::Town;
use crate::bare;
use crate::http::{Connection, request, with_body};
use crate::spread::Spread;

/// Sessions before it counts.
const WARM: usize = 200;
/// Sessions that count.
const COUNT: usize = 1_000;
/// Between two looks of the relay, which nobody tells that its row is there.
const BETWEEN_LOOKS: Duration = Duration::from_micros(100);
/// A record or row that is not there by then will not come.
const PATIENCE: Duration = Duration::from_secs(10);

/// Milliseconds until the log has the statement, and until its answer is read.
pub struct Readable {
    /// 202.
    pub accepted: Spread,
    /// 200 with the answer to this statement.
    pub read: Spread,
}

/// Measures roost.
pub fn of_roost(roost: &Roost, town: &Town) -> Result<Readable> {
    let api = &roost.api;
    let (mut connection, mut body) = (Connection::open(api)?, Vec::new());
    let (mut accepted, mut read) = (Vec::new(), Vec::new());
    for (number, preferences) in town.newcomers().take(WARM + COUNT).enumerate() {
        let statement = with_body("POST", api, "/api/v1/preferences", "", &preferences.to_json());
        let begun = Instant::now();
        let status = connection.ask(&statement, &mut body)?;
        let stated = begun.elapsed();
        ensure!(status == 202, "POST /preferences: {status}: {}", String::from_utf8_lossy(&body));
        let answer: serde_json::Value = serde_json::from_slice(&body)?;
        let version = answer["version"].as_u64().context("202 without a version")?;
        let token = answer["token"].as_str().context("202 without a token")?;
        let path = format!("/api/v1/recommendations?min_version={version}&wait=5s");
        let status = connection.ask(&request(api, &path, &format!("Authorization: Bearer {token}\r\n")), &mut body)?;
        ensure!(status == 200, "GET {path}: {status}: {}", String::from_utf8_lossy(&body));
        if number >= WARM {
            accepted.push(stated.as_secs_f64() * 1e3);
            read.push(begun.elapsed().as_secs_f64() * 1e3);
        }
    }
    Ok(Readable { accepted: Spread::of(accepted), read: Spread::of(read) })
}

/// Measures the relay.
pub fn of_relay(servers: &Servers, town: &Town) -> Result<Readable> {
    let runtime = crate::services::runtime()?;
    let name = format!("bench_{:08x}_said", jiff::Timestamp::now().as_second());
    bare::create(servers, &runtime, std::slice::from_ref(&name))?;
    let session = Arc::new(runtime.block_on(crate::relay::table(servers, &name))?);
    let insert = runtime.block_on(session.prepare(format!("INSERT INTO {name}_relay.r (id, v) VALUES (?, ?)")))?;
    let select = runtime.block_on(session.prepare(format!("SELECT v FROM {name}_relay.r WHERE id = ?")))?;

    let consumer = bare::consumer(servers, &name, Offset::Beginning)?;
    let is_over = Arc::new(AtomicBool::new(false));
    let (over, handle, writer) = (Arc::clone(&is_over), runtime.handle().clone(), Arc::clone(&session));
    let hop = std::thread::spawn(move || {
        write_rows(&consumer, &over, |key, value| {
            handle.block_on(writer.execute_unpaged(&insert, (key, value)))?;
            Ok(())
        })
    });

    // One statement is under way at a time.
    let (acknowledged, acknowledgements) = bounded(1);
    let producer = bare::producer(servers, Acknowledged(acknowledged))?;
    let (mut accepted, mut read) = (Vec::new(), Vec::new());
    for (number, preferences) in town.newcomers().take(WARM + COUNT).enumerate() {
        let (key, value) = (format!("{number:032x}").into_bytes(), preferences.to_json());
        let begun = Instant::now();
        bare::send(&producer, &name, &key, &value, ())?;
        let is_there = acknowledgements.recv_timeout(PATIENCE).context("the relay's record is not acknowledged")?;
        ensure!(is_there, "the relay lost a record");
        let stated = begun.elapsed();
        loop {
            let answer = runtime.block_on(session.execute_unpaged(&select, (&key,)))?.into_rows_result()?;
            if answer.maybe_first_row::<(Vec<u8>,)>()?.is_some() {
                break;
            }
            ensure!(begun.elapsed() < PATIENCE, "the relay's row is not there");
            std::thread::park_timeout(BETWEEN_LOOKS);
        }
        if number >= WARM {
            accepted.push(stated.as_secs_f64() * 1e3);
            read.push(begun.elapsed().as_secs_f64() * 1e3);
        }
    }
    is_over.store(true, Ordering::Release);
    hop.join().map_err(|_| anyhow::anyhow!("the hop of the relay panicked"))??;
    Ok(Readable { accepted: Spread::of(accepted), read: Spread::of(read) })
}

fn write_rows(
    consumer: &BaseConsumer,
    is_over: &AtomicBool,
    write: impl Fn(Vec<u8>, Vec<u8>) -> Result<()>,
) -> Result<()> {
    while !is_over.load(Ordering::Acquire) {
        let Some(message) = consumer.poll(Duration::from_millis(50)) else { continue };
        let message = message?;
        write(message.key().unwrap_or_default().to_vec(), message.payload().unwrap_or_default().to_vec())?;
    }
    Ok(())
}

/// Tells that the broker has it.
struct Acknowledged(Sender<bool>);

impl ClientContext for Acknowledged {}

impl ProducerContext for Acknowledged {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        // Nobody waits any more when the run has failed.
        let _ = self.0.send(result.is_ok());
    }
}
