//! Bad records of every kind, on `listings.raw` and on `preferences`: each is a dead letter with its code and its bytes,
//! no service restarts, and no earlier valid statement is lost: not at once, not when the log has been compacted, not when
//! everything starts again from what compaction left, with the tables as they were or with none.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, ensure};
use e2e::harness::{Installation, Servers, patience, until};
use e2e::people;
use schemas::cells::SessionCell;
use schemas::dead_letter::Code;
use schemas::header;
use schemas::id::SessionId;
use schemas::topic::{Topic, partition_of, session_key};
use sha2::{Digest, Sha256};
use stream::{AckSink, Delivered, DeliveryError, Outgoing, Record};

use crate::corpus::{self, Bad};
use crate::pipeline::{come_to_rest, start_all};

const SEED: u64 = 23;
const ROLES: [&str; 4] = ["ingest", "enricher", "scorer", "api"];
/// Compaction within seconds: what production allows after hours.
const SETTINGS: &str = r#"
[log.kafka.topic_settings.preferences]
"min.compaction.lag.ms" = "0"
"segment.ms" = "200"
"min.cleanable.dirty.ratio" = "0.001"
[log.kafka.topic_settings."listings.priced"]
"min.compaction.lag.ms" = "0"
"segment.ms" = "200"
"min.cleanable.dirty.ratio" = "0.001"
"#;
/// Listings with nothing wrong, under keys of the bad ones and others; each is said twice.
const LISTINGS: u64 = 30;

/// What each session stated before the bad records came.
type Valid = BTreeMap<SessionId, SessionCell>;

#[test]
fn every_bad_record_is_a_dead_letter_and_nothing_else_suffers() -> Result<()> {
    let Some(servers) = Servers::from_environment() else { return Ok(()) };
    let mut installation = Installation::on_servers(&servers, "poison", SETTINGS)?;
    start_all(&mut installation)?;
    let mut statements = corpus::statements();
    let valid = state(&installation, statements.len() as u64)?;
    for (n, bad) in statements.iter_mut().enumerate() {
        bad.key = Some(session_key(people::id(SEED, n as u64)));
    }
    statements.extend(corpus::strangers(&session_key(people::id(SEED, 0)), installation.log.partitions()));
    say_listings(&installation, "2026-01-02T00:00:00Z", 500_000)?;
    let listings = corpus::raw_records();
    ensure!(listings.len() + statements.len() >= 100, "{} + {}", listings.len(), statements.len());
    let pids = ROLES.map(|role| installation.pid(role));

    let raw_sent = send(&installation, Topic::ListingsRaw, &listings)?;
    let statements_sent = send(&installation, Topic::Preferences, &statements)?;
    say_listings(&installation, "2026-01-03T00:00:00Z", 400_000)?;
    until("every bad record is a dead letter", patience(60), || {
        verify(&installation, Topic::ListingsRaw, &listings, &raw_sent)?;
        verify(&installation, Topic::Preferences, &statements, &statements_sent)?;
        Ok(Some(()))
    })?;
    every_code_is_there(&listings, &statements)?;
    let rows = stands(&installation, &valid)?;
    eprintln!("{} + {} bad records, {rows} rows equal", listings.len(), statements.len());
    for (role, pid) in ROLES.iter().zip(&pids) {
        let said = installation.output(role);
        let ended = installation.exit_code(role)?.is_some() || installation.pid(role) != *pid;
        ensure!(!ended && !said.contains("this process ends") && !said.contains("panicked"), "{role} failed:\n{said}");
    }

    compact(&installation, &valid)?;
    stands(&installation, &valid)?;
    installation.restart_all()?;
    ROLES.iter().try_for_each(|role| installation.ready(role))?;
    stands(&installation, &valid)?;
    lose_the_store(&mut installation, &servers)?;
    let rows_again = stands(&installation, &valid)?;
    eprintln!("{rows_again} rows equal, made again from compacted logs");
    Ok(())
}

/// Everything is at rest, every table is what the logs say, and each session's valid statement stands as it was made.
fn stands(installation: &Installation, valid: &Valid) -> Result<usize> {
    let (_, rows) = come_to_rest(installation, 90)?;
    for (session, stated) in valid {
        let cell = installation.cell(store::Row::Session(*session))?;
        let cell = cell.with_context(|| format!("the valid statement of session {session} is lost"))?;
        let found: SessionCell = serde_json::from_str(&cell.json)?;
        ensure!(found == *stated, "session {session} states {found:?}, not {stated:?}");
    }
    Ok(rows)
}

/// A valid statement of each of `count` sessions.
fn state(installation: &Installation, count: u64) -> Result<Valid> {
    let sessions: Vec<_> = (0..count).map(|n| people::session(SEED, n)).collect();
    let records = sessions.iter().map(|(token, preferences)| {
        outgoing(Topic::Preferences, session_key(token.session_id()), preferences.to_json())
    });
    let places = append(installation, records.collect())?;
    let cells = sessions
        .into_iter()
        .zip(places)
        .map(|((token, preferences), (_, version))| (token.session_id(), SessionCell { version, preferences }));
    Ok(cells.collect())
}

/// Every listing once more.
fn say_listings(installation: &Installation, modified: &str, price: u64) -> Result<()> {
    let records = (1..=LISTINGS).map(|n| said(&format!("p{n}"), price + 10_000 * n, modified));
    append(installation, records.collect()).map(drop)
}

fn said(key: &str, price: u64, modified: &str) -> Outgoing {
    let listing = corpus::listing(key, price, modified).to_string();
    let headers = vec![(header::FEED.to_owned(), b"bad".to_vec())];
    let key = format!("bad:{key}").into_bytes();
    Outgoing { headers, ..outgoing(Topic::ListingsRaw, key, listing.into_bytes()) }
}

fn outgoing(topic: Topic, key: Vec<u8>, value: Vec<u8>) -> Outgoing {
    Outgoing { topic, partition: None, key: Some(key), value: Some(value), headers: Vec::new() }
}

fn send(installation: &Installation, topic: Topic, bad: &[Bad]) -> Result<Vec<(u32, u64)>> {
    let records = bad.iter().map(|record| Outgoing {
        topic,
        partition: record.partition.or(record.key.is_none().then_some(0)),
        key: record.key.clone(),
        value: record.value.clone(),
        headers: record.headers.clone(),
    });
    append(installation, records.collect())
}

#[derive(Default)]
struct Places(Mutex<BTreeMap<u64, (u32, u64)>>);

impl AckSink for Places {
    fn acked(&self, token: u64, outcome: Result<Delivered, DeliveryError>) {
        if let Ok(delivered) = outcome {
            let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            places.insert(token, (delivered.partition, delivered.offset));
        }
    }
}

/// Appends; partition and offset of each.
fn append(installation: &Installation, records: Vec<Outgoing>) -> Result<Vec<(u32, u64)>> {
    let (places, count) = (Arc::new(Places::default()), records.len());
    let producer = installation.log.producer(places.clone())?;
    for (n, record) in records.into_iter().enumerate() {
        producer.send(record, n as u64)?;
    }
    producer.flush(patience(30))?;
    let places: Vec<_> = places.0.lock().unwrap_or_else(PoisonError::into_inner).values().copied().collect();
    ensure!(places.len() == count, "{} of {count} were appended", places.len());
    Ok(places)
}

/// Every bad record's dead letters: code, key, headers, and bytes.
fn verify(installation: &Installation, topic: Topic, bad: &[Bad], sent: &[(u32, u64)]) -> Result<()> {
    let mut letters: BTreeMap<(u32, u64), BTreeMap<u32, Record>> = BTreeMap::new();
    for letter in installation.records(Topic::DeadLetters)? {
        if header::text(&letter.headers, header::DEAD_TOPIC) == Some(topic.name()) {
            let number = |name| header::integer(&letter.headers, name).unwrap_or(-1);
            let place = (number(header::DEAD_PARTITION) as u32, number(header::DEAD_OFFSET) as u64);
            letters.entry(place).or_default().insert(number(header::DEAD_INDEX) as u32, letter);
        }
    }
    let mut wrong = Vec::new();
    for (record, place) in bad.iter().zip(sent) {
        let found = letters.remove(place).unwrap_or_default();
        wrong.extend(faults(topic, record, &found).into_iter().map(|fault| format!("{}: {fault}", record.name)));
    }
    let others = letters.keys().map(|place| format!("{place:?} is a dead letter and was not bad"));
    wrong.extend(others);
    ensure!(wrong.is_empty(), "{} of {} are not as they should be:\n{}", wrong.len(), bad.len(), wrong.join("\n"));
    Ok(())
}

fn faults(topic: Topic, bad: &Bad, found: &BTreeMap<u32, Record>) -> Vec<String> {
    let mut faults = Vec::new();
    if found.len() != bad.letters.len() {
        faults.push(format!("{} dead letters, not {}", found.len(), bad.letters.len()));
    }
    for wanted in &bad.letters {
        let Some(letter) = found.get(&wanted.index) else { continue };
        let code = header::text(&letter.headers, header::DEAD_CODE).unwrap_or("?");
        if code != wanted.code {
            let message = header::text(&letter.headers, header::DEAD_MESSAGE).unwrap_or("?");
            faults.push(format!("{code}, not {}: {message}", wanted.code));
        }
        let bytes = match (topic, &wanted.bytes) {
            (Topic::Preferences, Some(bytes)) => Some(hash(bytes)),
            (_, bytes) => bytes.clone(),
        };
        if letter.value != bytes {
            faults.push("its bytes changed".to_owned());
        }
        if letter.key != bad.key || !letter.headers.starts_with(&bad.headers) {
            faults.push("its key or its headers changed".to_owned());
        }
    }
    faults
}

fn hash(bytes: &[u8]) -> Vec<u8> {
    let digits: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{digits}").into_bytes()
}

/// Codes that no record of the corpus gets: roost itself is wrong, or a receiver of webhooks is away (`api/tests/it/webhooks.rs`).
const OTHERS: [Code; 2] = [Code::ReaderFailed, Code::WebhookUndeliverable];

/// The corpus has a record for every other code.
fn every_code_is_there(listings: &[Bad], statements: &[Bad]) -> Result<()> {
    let letters = listings.iter().chain(statements).flat_map(|bad| &bad.letters);
    let codes: BTreeSet<&str> = letters.map(|letter| letter.code).collect();
    let absent: Vec<_> =
        Code::ALL.iter().filter(|code| !OTHERS.contains(code) && !codes.contains(code.as_str())).collect();
    ensure!(absent.is_empty(), "nothing in the corpus gets {absent:?}");
    Ok(())
}

/// Waits until the brokers have compacted away what each session and each listing said before it said its last. What is
/// appended meanwhile, under keys of its own, makes them close the segments in which the old records are.
fn compact(installation: &Installation, valid: &Valid) -> Result<()> {
    let mut turn = 0;
    until("the logs are compacted", patience(90), || {
        turn += 1;
        append(installation, others(installation.log.partitions(), turn))?;
        for (topic, keys) in [
            (Topic::Preferences, valid.keys().map(|session| session_key(*session)).collect::<BTreeSet<_>>()),
            (Topic::ListingsPriced, (1..=LISTINGS).map(|n| format!("bad:p{n}").into_bytes()).collect()),
        ] {
            let records = installation.records(topic)?;
            // Not the tombstone that stands where a session's key was misplaced.
            let of_them = |record: &&Record| record.key.as_ref().is_some_and(|key| keys.contains(key));
            let left = records.iter().filter(of_them).filter(|record| record.value.is_some()).count();
            ensure!(left == keys.len(), "{left} records of {} keys are left on {topic}", keys.len());
        }
        Ok(Some(()))
    })
}

/// A statement and a listing for each partition, whose keys nobody else has.
fn others(partitions: u32, turn: u64) -> Vec<Outgoing> {
    let on = |partition: u32, key: &[u8]| partition_of(key, partitions) == partition;
    let mut records = Vec::new();
    for partition in 0..partitions {
        // Endless, and a quarter of all keys are of the partition.
        let mut sessions = (10_000..).map(|n| people::session(SEED, n));
        let session = sessions.find(|(token, _)| on(partition, &session_key(token.session_id())));
        let key = (0..).map(|n| format!("other{n}")).find(|key| on(partition, format!("bad:{key}").as_bytes()));
        if let (Some((token, preferences)), Some(key)) = (session, key) {
            records.push(outgoing(Topic::Preferences, session_key(token.session_id()), preferences.to_json()));
            records.push(said(&key, 300_000 + turn, &format!("2026-01-04T00:00:00.{:03}Z", turn % 1_000)));
        }
    }
    records
}

/// Takes the tables away, as a store that lost everything, and does what ARCHITECTURE.md says: init, start again.
fn lose_the_store(installation: &mut Installation, servers: &Servers) -> Result<()> {
    for role in ROLES {
        installation.kill(role)?;
    }
    let statement = format!("DROP KEYSPACE {}", installation.keyspace);
    installation.runtime().block_on(async {
        let session = scylla::client::session_builder::SessionBuilder::new().known_node(&servers.cql).build().await?;
        session.query_unpaged(statement, ()).await?;
        anyhow::Ok(())
    })?;
    let (said, code) = installation.run(&["init"])?;
    ensure!(code == 0, "{said}");
    for role in ROLES {
        installation.restart(role)?;
    }
    ROLES.iter().try_for_each(|role| installation.ready(role))
}
