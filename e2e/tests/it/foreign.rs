//! Clients that are not roost's: Kafka's own Java producer sends plain RESO JSON, and what comes of it is what comes of the
//! same records through `roost publish`; Cassandra's CQL shell reads the tables as they are documented.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use e2e::harness::{Installation, Servers, patience, repository};
use schemas::topic::Topic;
use serde_json::Value;
use store::{Row, Table};

use crate::client::Doors;
use crate::pipeline::{Ignore, come_to_rest};

/// Another way to write the feed: its slug is `harbour-mls`.
const SYSTEM: &str = "Harbour MLS";
const FEED: &str = "harbour-mls";
/// Of the synthetic market; the last ones are sent without a key.
const RECORDS: usize = 1_500;
const WITHOUT_KEY: usize = 200;
const SESSIONS: usize = 60;

/// Plain RESO objects: key and text. The last [`WITHOUT_KEY`] are of a listing each that no other record is of.
fn records() -> Result<Vec<(String, String)>> {
    let config = synthetic::Config { listings: 300, ..synthetic::Config::default() };
    let mut world = synthetic::World::new(config)?;
    let mut records = Vec::new();
    for n in 0..RECORDS {
        let mut record: Value = serde_json::from_slice(&world.next_event().json())?;
        record["OriginatingSystemName"] = SYSTEM.into();
        let mut key = record["ListingKey"].as_str().context("a text")?.to_owned();
        if n >= RECORDS - WITHOUT_KEY {
            // Without a key, two records of one listing have no order but that of their timestamps.
            key = format!("alone-{n}");
            record["ListingKey"] = key.clone().into();
        }
        records.push((key, record.to_string()));
    }
    Ok(records)
}

/// Kafka's console producer, fed with lines. Its own time-out for a request is 1.5 s, which a busy machine exceeds.
fn produce(servers: &Servers, topic: &str, properties: &[&str], lines: &str) -> Result<()> {
    let mut producer = Command::new(repository().join("dev/servers"))
        .args(["tool", "kafka-console-producer", "--bootstrap-server", &servers.kafka, "--topic", topic])
        .args(["--request-timeout-ms", "30000"])
        .args(properties.iter().flat_map(|property| ["--reader-property", property]))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()?;
    producer.stdin.take().context("a pipe")?.write_all(lines.as_bytes())?;
    let status = producer.wait()?;
    ensure!(status.success(), "the console producer ended with {status}");
    Ok(())
}

/// A name that an installation has on the servers.
fn name(installation: &Installation, path: [&str; 3]) -> Result<String> {
    let settings: toml::Table = installation.settings().parse()?;
    let value = settings.get(path[0]).and_then(|t| t.get(path[1])).and_then(|t| t.get(path[2]));
    Ok(value.and_then(|v| v.as_str()).with_context(|| format!("no {path:?}"))?.to_owned())
}

/// An installation with its services running and the sessions stated, before any listing.
fn open(servers: &Servers) -> Result<Installation> {
    let doors = Doors::free()?;
    // With the market's context a valuation depends on the sales that were there at its moment.
    let settings = format!("{}[enricher]\nmarket_context = \"off\"\n", doors.settings());
    let mut installation = Installation::on_servers(servers, "foreign", &settings)?;
    doors.open(&mut installation)?;
    let producer = installation.log.producer(std::sync::Arc::new(Ignore))?;
    for (n, session) in synthetic::sessions(&synthetic::Config::default(), 5).take(SESSIONS).enumerate() {
        let key = Some(schemas::topic::session_key(session.token.session_id()));
        let value = Some(session.preferences.to_json());
        let topic = Topic::Preferences;
        producer.send(stream::Outgoing { topic, partition: None, key, value, headers: Vec::new() }, n as u64)?;
    }
    producer.flush(patience(30))?;
    Ok(installation)
}

/// What follows from the records, without where on the log they stand.
fn rows(installation: &Installation) -> Result<BTreeMap<String, Value>> {
    let mut rows = BTreeMap::new();
    for (row, cell) in installation.rows()? {
        // What is observed on a day, and hints that may outlive what they hint at, are not compared.
        if !matches!(row, Row::MarketDay(..) | Row::ListingByMarket(_)) {
            let mut value = serde_json::from_str(&cell)?;
            forget_offsets(&mut value);
            rows.insert(format!("{row:?}"), value);
        }
    }
    Ok(rows)
}

fn forget_offsets(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|name, _| !["raw_partition", "raw_offset", "batch_index"].contains(&name.as_str()));
            members.values_mut().for_each(forget_offsets);
        }
        Value::Array(items) => items.iter_mut().for_each(forget_offsets),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn plain_json_of_another_kafka_client_lands_the_same_and_a_cql_shell_reads_it() -> Result<()> {
    let Some(servers) = Servers::from_environment() else { return Ok(()) };
    let records = records()?;
    let (keyed, alone) = records.split_at(RECORDS - WITHOUT_KEY);

    let ours = open(&servers)?;
    let file = ours.path("listings.jsonl");
    std::fs::write(&file, records.iter().map(|(_, text)| format!("{text}\n")).collect::<String>())?;
    let (said, code) = ours.run(&["publish", file.to_str().context("a path in UTF-8")?, "--feed", FEED])?;
    ensure!(code == 0, "{code}: {said}");
    come_to_rest(&ours, 60)?;
    let wanted = rows(&ours)?;
    drop(ours);

    let theirs = open(&servers)?;
    let topic = format!("{}{}", name(&theirs, ["log", "kafka", "topic_prefix"])?, Topic::ListingsRaw.name());
    let lines: String = keyed.iter().map(|(key, text)| format!("{key}\t{text}\n")).collect();
    produce(&servers, &topic, &["parse.key=true"], &lines)?;
    produce(&servers, &topic, &[], &alone.iter().map(|(_, text)| format!("{text}\n")).collect::<String>())?;
    let raw = theirs.records(Topic::ListingsRaw)?;
    ensure!(raw.len() == RECORDS && raw.iter().all(|record| record.headers.is_empty()), "{} records", raw.len());
    ensure!(raw.iter().filter(|record| record.key.is_none()).count() == WITHOUT_KEY, "keys are not as they should be");
    let (fates, _) = come_to_rest(&theirs, 60)?;
    ensure!(fates.dead.is_empty(), "{:?}", e2e::checks::codes(&fates));
    let found = rows(&theirs)?;
    for (row, cell) in &wanted {
        let theirs = found.get(row);
        ensure!(theirs == Some(cell), "{row}: ours {cell}, theirs {theirs:?}");
    }
    ensure!(found.len() == wanted.len(), "{} rows, ours has {}", found.len(), wanted.len());
    eprintln!("{RECORDS} records of Kafka's console producer: {} rows as through roost publish", found.len());

    a_cql_shell_reads(&servers, &theirs)
}

/// A row as the shell shows it, by column.
type Shown = BTreeMap<String, String>;

/// Runs statements in Cassandra's own shell; the rows of each. Its own time-outs are 5 s and 10 s, which a busy machine exceeds.
fn cqlsh(servers: &Servers, keyspace: &str, statements: &[String]) -> Result<Vec<Vec<Shown>>> {
    let (host, port) = servers.cql.rsplit_once(':').context("host:port")?;
    let done = Command::new(repository().join("dev/cqlsh"))
        .args(["-k", keyspace, "--no-color", "--connect-timeout", "60", "--request-timeout", "60"])
        .args(["-e", &format!("EXPAND ON; {}", statements.join("; ")), host, port])
        .output()?;
    let text = String::from_utf8(done.stdout)?;
    ensure!(done.status.success(), "{statements:?}: {text}{}", String::from_utf8_lossy(&done.stderr));
    let (mut answers, mut rows) = (Vec::new(), Vec::<Shown>::new());
    for line in text.lines() {
        if line.starts_with("@ Row") {
            rows.push(BTreeMap::new());
        } else if line.starts_with('(') && line.ends_with(" rows)") {
            answers.push(std::mem::take(&mut rows));
        } else if let (Some(row), Some((column, value))) = (rows.last_mut(), line.split_once(" | ")) {
            // The shell shows a backslash as two.
            row.insert(column.trim().to_owned(), value.trim_end().replace("\\\\", "\\"));
        }
    }
    ensure!(answers.len() == statements.len(), "{} answers to {statements:?}: {text}", answers.len());
    Ok(answers)
}

/// Every table: its key is text that a person can type, its cells are JSON.
fn a_cql_shell_reads(servers: &Servers, installation: &Installation) -> Result<()> {
    let keyspace = name(installation, ["store", "scylla", "keyspace"])?;
    let selects = schemas::cql::TABLES.map(|table| format!("SELECT * FROM {} LIMIT 3", table.name));
    for (table, rows) in schemas::cql::TABLES.into_iter().zip(cqlsh(servers, &keyspace, &selects)?) {
        ensure!(!rows.is_empty(), "{} is empty", table.name);
        for row in rows {
            for column in table.partition_key.iter().chain(table.clustering_key.iter().map(|(column, _)| column)) {
                let value = row.get(column.name.trim_matches('"')).with_context(|| format!("{row:?}"))?;
                let is_readable = !value.is_empty() && value.chars().all(|c| c.is_ascii_graphic());
                ensure!(is_readable && !value.starts_with("0x"), "{}.{}: {value}", table.name, column.name);
            }
            for cell in table.cells {
                let value = row.get(*cell).with_context(|| format!("{row:?}"))?;
                let json: Value = match value.as_str() {
                    // `counts` is written later than `items`, or not at all.
                    "null" => continue,
                    text => serde_json::from_str(text).with_context(|| format!("{}.{cell}: {text}", table.name))?,
                };
                ensure!(json.is_object(), "{}.{cell}: {json}", table.name);
            }
        }
    }
    // The one listing that a person asks for, by the id that the API shows.
    let (row, _) =
        installation.rows()?.into_iter().find(|(row, _)| row.table() == Table::Listings).context("a listing")?;
    let Row::Listing(id) = &row else { anyhow::bail!("{row:?}") };
    let shown = cqlsh(servers, &keyspace, &[format!("SELECT listing FROM listings WHERE listing_id = '{id}'")])?;
    let cell = installation.cell(row.clone())?.context("the row is there")?.json;
    let shown: Vec<Option<Value>> =
        shown.iter().flatten().map(|row| row.get("listing").and_then(|text| serde_json::from_str(text).ok())).collect();
    ensure!(shown == [Some(serde_json::from_str(&cell)?)], "{id}: the shell shows {shown:?}, the table has {cell}");
    Ok(())
}
