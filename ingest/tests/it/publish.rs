//! The feed client: files go in, raw records come out, on the log of a directory; and ingest takes them.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ingest::mapping::Mapping;
use ingest::publish::{self, Options, PublishError, Sink, Snapshot, Summary};
use ingest::{Config, Drained, Ingest, PushConfig};
use schemas::header;
use schemas::topic::Topic;
use serde_json::{Value, json};
use stream::{BackendKind, EmbeddedConfig, Event, Log, LogConfig, Record, Start};
use tempfile::TempDir;
use tokio::runtime::Runtime;

const PATIENCE: Duration = Duration::from_secs(60);
const PARTITIONS: u32 = 2;

/// A log in a directory, and room for files.
pub struct Home {
    directory: TempDir,
    pub log: Log,
    runtime: Runtime,
}

impl Home {
    pub fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let embedded = EmbeddedConfig {
            directory: directory.path().join("log"),
            partitions: PARTITIONS,
            ..EmbeddedConfig::default()
        };
        let config = LogConfig { backend: BackendKind::Embedded, embedded, ..LogConfig::default() };
        Self { log: stream::open(&config).unwrap(), directory, runtime: Runtime::new().unwrap() }
    }

    /// A file with this text; its name says whether it is compressed.
    fn file(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.directory.path().join(name);
        let bytes = match name.ends_with(".zst") {
            true => zstd::encode_all(text.as_ref(), 3).unwrap(),
            false => text.as_ref().to_vec(),
        };
        std::fs::File::create(&path).unwrap().write_all(&bytes).unwrap();
        path
    }

    fn ingest(&self) -> Ingest {
        let push = PushConfig { listen: "127.0.0.1:0".parse().unwrap(), ..PushConfig::default() };
        let config = Config { push, instance: "test".to_owned(), ..Config::default() };
        let fatal: stream::Fatal = Arc::new(|line| eprintln!("{line}"));
        let ingest = self.runtime.block_on(Ingest::start(config, self.log.clone(), fatal)).unwrap();
        let deadline = Instant::now() + PATIENCE;
        while let Err(reason) = ingest.ready() {
            assert!(Instant::now() < deadline, "{reason}");
            std::thread::park_timeout(Duration::from_millis(20));
        }
        ingest
    }

    /// The records of a topic, at least `count`, in the order of partition and offset.
    pub fn read(&self, topic: Topic, count: usize) -> Vec<Record> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mut records = Vec::new();
            for partition in 0..PARTITIONS {
                let (_, end) = self.log.range(topic, partition).unwrap();
                let mut reader = self.log.follow(&[(topic, partition, Start::Earliest)]).unwrap();
                let (mut next, mut events) = (0, Vec::new());
                while next < end {
                    reader.poll(Duration::from_millis(50), &mut events).unwrap();
                    for event in events.drain(..) {
                        if let Event::Record(record) = event {
                            next = record.offset + 1;
                            records.push(record);
                        }
                    }
                    assert!(Instant::now() < deadline, "{next} of {end} on {topic}");
                }
            }
            if records.len() >= count {
                return records;
            }
            assert!(Instant::now() < deadline, "{} of {count} records on {topic}", records.len());
        }
    }
}

pub fn options(files: &[PathBuf], mapping: Mapping) -> Options {
    Options { files: files.to_vec(), feed: "f".parse().unwrap(), mapping, rate: None, snapshot: None, key: None }
}

/// Nobody watches.
fn nobody() -> publish::Waits {
    Arc::new(|_| ())
}

pub fn run(options: &Options, sink: Sink) -> Result<Summary, PublishError> {
    publish::run(options, sink, &nobody(), &mut |_| ())
}

fn to_log(home: &Home, files: &[PathBuf], mapping: Mapping) -> Summary {
    run(&options(files, mapping), Sink::Log(home.log.clone())).unwrap()
}

pub fn value(record: &Record) -> Value {
    serde_json::from_slice(record.value.as_deref().unwrap()).unwrap()
}

/// Values by key.
fn by_key(records: &[Record]) -> BTreeMap<String, Value> {
    records.iter().map(|record| (String::from_utf8(record.key.clone().unwrap()).unwrap(), value(record))).collect()
}

fn least(key: &str) -> String {
    format!(r#"{{"ListingKey":"{key}","StandardStatus":"Active","ListPrice":1,"City":"Austin","Country":"US"}}"#)
}

#[test]
fn files_of_every_form_become_records_with_key_feed_and_headers() {
    let home = Home::new();
    let csv = "ListingKey,StandardStatus,ListPrice,City,Country\n6,Active,\"$1,000\",Austin,US\n";
    let files = [
        home.file("a.json", least("1")),
        home.file("b.json.zst", format!("[{},\n{}]", least("2"), least("3"))),
        home.file("c.json", format!("{{\"value\":[{}]}}", least("4"))),
        home.file("d.jsonl.zst", format!("{}\n", least("5"))),
        home.file("e.csv", csv),
        home.file("f.tsv", csv.replace("\"$1,000\"", "2").replace(',', "\t").replace("6\t", "7\t")),
    ];
    let mut told = Vec::new();
    let summary =
        publish::run(&options(&files, Mapping::reso()), Sink::Log(home.log.clone()), &nobody(), &mut |progress| {
            told.push(*progress);
        })
        .unwrap();
    assert_eq!((summary.rows, summary.sent, summary.unmapped, summary.refused.len()), (7, 7, 0, 0));
    let last = told.last().unwrap();
    assert_eq!((last.rows, last.sent, last.read_bytes), (7, 7, last.total_bytes));
    let records = home.read(Topic::ListingsRaw, 7);
    let values = by_key(&records);
    assert_eq!(
        values.keys().map(String::as_str).collect::<Vec<_>>(),
        ["f:1", "f:2", "f:3", "f:4", "f:5", "f:6", "f:7"]
    );
    assert_eq!(values["f:6"]["ListPrice"], "$1,000");
    let ids: std::collections::BTreeSet<_> =
        records.iter().map(|record| header::text(&record.headers, header::CE_ID).unwrap().to_owned()).collect();
    assert_eq!(ids.len(), 7);
    let first = records.iter().find(|record| record.key.as_deref() == Some(b"f:1")).unwrap();
    assert_eq!(first.value.as_deref(), Some(least("1").as_bytes()), "RESO goes on byte for byte");
    assert_eq!(header::text(&first.headers, header::FEED), Some("f"));
    assert_eq!(header::text(&first.headers, header::CE_SOURCE), Some("roost/publish/f"));
}

/// A mapping of a small CSV: id, price, status, and the day of the snapshot.
fn small_mapping() -> Mapping {
    Mapping::parse(
        "[snapshot]\ncolumn = \"day\"\ndate = \"%Y-%m-%d\"\n\
         [constants]\nCountry = \"US\"\nCity = \"Austin\"\n\
         [fields]\nListingKey = \"id\"\nListPrice = \"price\"\n\
         StandardStatus = { column = \"status\", values = { on = \"Active\", held = \"Pending\", sold = \"Closed\" } }\n",
    )
    .unwrap()
}

const HEADER: &str = "id,price,status,day\n";

#[test]
fn a_row_that_cannot_be_mapped_becomes_a_dead_letter_with_its_bytes() {
    let home = Home::new();
    let ingest = home.ingest();
    let file = home.file(
        "x.csv",
        format!("{HEADER}1,10,on,2026-04-23\n2,\"1\"\"0\",gone,2026-04-23\n3,10,on\n,1,on,2026-04-23\n"),
    );
    let summary = to_log(&home, std::slice::from_ref(&file), small_mapping());
    assert_eq!((summary.rows, summary.sent, summary.unmapped), (4, 4, 2));
    let told: Vec<String> =
        summary.told.iter().map(|row| row.to_string().replace(file.to_str().unwrap(), "FILE")).collect();
    assert_eq!(
        told,
        [
            "FILE:3: column 'status': gone is not a known word (expected one of held, on, sold, in any case) (mapping_failed)",
            "FILE:4: the row has 3 cells (expected 4, as the header has) (mapping_failed)",
        ]
    );
    assert_eq!(home.read(Topic::Listings, 1).len(), 1);
    let mut dead: Vec<_> = home
        .read(Topic::DeadLetters, 3)
        .into_iter()
        .map(|letter| {
            let code = header::text(&letter.headers, header::DEAD_CODE).unwrap().to_owned();
            (code, String::from_utf8(letter.value.unwrap()).unwrap())
        })
        .collect();
    dead.sort();
    assert_eq!(
        dead[1..],
        [
            ("mapping_failed".to_owned(), "2,\"1\"\"0\",gone,2026-04-23".to_owned()),
            ("mapping_failed".to_owned(), "3,10,on".to_owned()),
        ]
    );
    assert_eq!(dead[0].0, "key_missing");
    assert_eq!(ingest.stop(PATIENCE), Drained::Clean);
}

#[test]
fn a_line_that_is_not_json_is_sent_as_it_stands() {
    let home = Home::new();
    let summary = to_log(&home, &[home.file("x.jsonl", format!("{}\nnot json\n", least("1")))], Mapping::reso());
    assert_eq!((summary.rows, summary.sent, summary.unmapped), (2, 2, 0));
    let records = home.read(Topic::ListingsRaw, 2);
    let bad = records.iter().find(|record| record.key.as_deref() == Some(b"f:x.jsonl:2")).unwrap();
    assert_eq!(bad.value.as_deref(), Some(&b"not json"[..]));
}

#[test]
fn over_http_each_record_is_answered() {
    let home = Home::new();
    let ingest = home.ingest();
    let base = format!("http://{}/", ingest.push_address().unwrap());
    let rows: String =
        (0..2_500).map(|i| format!("{},10,{},2026-04-23\n", i % 2_400, if i == 7 { "gone" } else { "on" })).collect();
    let file = home.file("x.csv", format!("{HEADER}{rows}9999,,on,2026-04-23\n"));
    let summary = run(&options(&[file], small_mapping()), Sink::Push(base.clone())).unwrap();
    assert_eq!((summary.rows, summary.sent, summary.unmapped), (2_501, 2_499, 1));
    assert_eq!(summary.refused, BTreeMap::from([("field_missing".to_owned(), 1), ("mapping_failed".to_owned(), 1)]));
    let last = summary.told.last().unwrap();
    assert_eq!((last.place.line, last.code.as_str()), (2_502, "field_missing"));
    assert!(last.message.contains("ListPrice"), "{last}");
    assert_eq!(home.read(Topic::ListingsRaw, 2_499).len(), 2_499);

    let pretty = home.file("y.json", least("a").replace(',', ",\n  "));
    let summary = run(&options(&[pretty], Mapping::reso()), Sink::Push(base)).unwrap();
    assert_eq!((summary.sent, summary.refused.len()), (1, 0));
    assert_eq!(ingest.stop(PATIENCE), Drained::Clean);
}

#[test]
fn a_port_that_is_none_says_what_to_look_at() {
    let home = Home::new();
    let file = home.file("x.jsonl", format!("{}\n", least("1")));
    let error = run(&options(&[file], Mapping::reso()), Sink::Push("not an address".to_owned())).unwrap_err();
    assert!(matches!(error, PublishError::Unavailable { .. }), "{error}");
    assert!(error.to_string().contains("expected an address such as http://127.0.0.1:8081"), "{error}");
    assert!(error.to_string().ends_with("nothing was sent"), "{error}");
}

#[test]
fn a_wrong_mapping_is_told_before_anything_is_sent() {
    let home = Home::new();
    let good = home.file("a.csv", format!("{HEADER}1,10,on,2026-04-23\n"));
    let files = [good.clone(), home.file("b.csv", "id,prize\n1,2\n")];
    let error = run(&options(&files, small_mapping()), Sink::Log(home.log.clone())).unwrap_err().to_string();
    assert!(error.contains("b.csv:1: has no column 'day', 'price', 'status' (it has 'id', 'prize'"), "{error}");
    for (name, expected) in [("missing.csv", "cannot be read"), ("x.xml", "does not say how it is written")] {
        let path = if name == "x.xml" { home.file(name, "") } else { home.directory.path().join(name) };
        let error = run(&options(&[good.clone(), path], small_mapping()), Sink::Log(home.log.clone())).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
    assert!(home.read(Topic::ListingsRaw, 0).is_empty());
}

#[test]
fn a_column_that_no_row_has_is_told_at_the_end() {
    let home = Home::new();
    let mapping =
        Mapping::parse("[fields]\nListingKey = \"id\"\nStandardStatus = \"status\"\nCity = \"town\"\n").unwrap();
    let summary = to_log(&home, &[home.file("x.jsonl", "{\"id\":1,\"status\":\"Active\"}\n")], mapping);
    assert_eq!(summary.silent_members, ["City"]);
}

// ---- snapshots ----------------------------------------------------------------------------------------------------

/// What is on offer, as the enricher writes it.
fn on_offer(home: &Home, keys: &[&str]) {
    struct Nobody;
    impl stream::AckSink for Nobody {
        fn acked(&self, _: u64, outcome: Result<stream::Delivered, stream::DeliveryError>) {
            outcome.unwrap();
        }
    }
    let producer = home.log.producer(Arc::new(Nobody)).unwrap();
    for key in keys {
        let version = json!({"timestamp_ms": 1, "raw_partition": 0, "raw_offset": 0, "batch_index": 0});
        let fact = json!({"listing": {"version": version, "standard_status": "Active"}});
        let record = stream::Outgoing {
            topic: Topic::ListingsPriced,
            partition: None,
            key: Some(format!("f:{key}").into_bytes()),
            value: Some(fact.to_string().into_bytes()),
            headers: Vec::new(),
        };
        producer.send(record, 0).unwrap();
    }
    producer.flush(PATIENCE).unwrap();
}

fn snapshot_options(files: &[PathBuf], mapping: Mapping, ingest: &Ingest, max_vanish: f64) -> Options {
    let keys_at = format!("http://{}", ingest.push_address().unwrap());
    Options { snapshot: Some(Snapshot { keys_at, at: None, max_vanish }), ..options(files, mapping) }
}

#[test]
fn what_is_absent_from_a_snapshot_is_deleted_at_its_time() {
    let home = Home::new();
    on_offer(&home, &["1", "2", "gone"]);
    let ingest = home.ingest();
    let later = home.file("later.csv", format!("{HEADER}1,9,on,2026-04-26\n2,10,sold,2026-04-26\n"));
    let sooner =
        home.file("sooner.csv", format!("{HEADER}1,10,on,2026-04-23\n2,10,held,2026-04-23\n3,10,on,2026-04-23\n"));
    let options = snapshot_options(&[later, sooner], small_mapping(), &ingest, 0.4);
    let summary = run(&options, Sink::Log(home.log.clone())).unwrap();
    let done: Vec<_> = summary.snapshots.iter().map(|s| (s.time.to_string(), s.rows, s.deleted)).collect();
    assert_eq!(done, [("2026-04-23T00:00:00Z".to_owned(), 3, 1), ("2026-04-26T00:00:00Z".to_owned(), 2, 1)]);
    assert_eq!((summary.rows, summary.sent, summary.deleted), (5, 7, 2));
    let said = |key: &str| -> Vec<String> {
        let key = format!("f:{key}").into_bytes();
        let records = home.read(Topic::ListingsRaw, 7);
        let own = records.iter().filter(|record| record.key.as_deref() == Some(&key)).map(value);
        own.map(|v| {
            format!("{} {}", v["ModificationTimestamp"].as_str().unwrap(), v["StandardStatus"].as_str().unwrap())
        })
        .collect()
    };
    assert_eq!(said("1"), ["2026-04-23T00:00:00Z Active", "2026-04-26T00:00:00Z Active"]);
    assert_eq!(said("2"), ["2026-04-23T00:00:00Z Pending", "2026-04-26T00:00:00Z Closed"]);
    assert_eq!(said("3"), ["2026-04-23T00:00:00Z Active", "2026-04-26T00:00:00Z Delete"]);
    assert_eq!(said("gone"), ["2026-04-23T00:00:00Z Delete"]);
    let deadline = Instant::now() + PATIENCE;
    while home.read(Topic::Listings, 7).len() < 7 {
        assert!(Instant::now() < deadline);
    }
    assert_eq!(ingest.stop(PATIENCE), Drained::Clean);
}

#[test]
fn a_row_that_names_its_home_and_cannot_be_mapped_does_not_delete_it() {
    let home = Home::new();
    on_offer(&home, &["1", "2"]);
    let ingest = home.ingest();
    let file = home.file("x.csv", format!("{HEADER}1,9,on,2026-04-26\n2,10,burnt down,2026-04-26\n"));
    let summary = run(&snapshot_options(&[file], small_mapping(), &ingest, 0.0), Sink::Log(home.log.clone())).unwrap();
    assert_eq!((summary.deleted, summary.unmapped), (0, 1));
    assert_eq!(ingest.stop(PATIENCE), Drained::Clean);
}

#[test]
fn a_snapshot_that_looks_broken_sends_nothing() {
    let home = Home::new();
    on_offer(&home, &["1", "2", "3", "4", "5"]);
    let ingest = home.ingest();
    let whole = format!("{HEADER}1,9,on,2026-04-26\n2,9,on,2026-04-26\n3,9,on,2026-04-26\n4,9,on,2026-04-26\n");
    let rows: String = (10..3_000).map(|i| format!("{i},9,on,2026-04-26\n")).collect();
    let large = format!("{whole}{rows}");
    let compressed = zstd::encode_all(large.as_bytes(), 3).unwrap();
    let cut_zst = home.directory.path().join("cut.csv.zst");
    std::fs::File::create(&cut_zst).unwrap().write_all(&compressed[..compressed.len() - 100]).unwrap();
    let json = |text: &str, name: &str| home.file(name, text);
    let line = r#"{"id":"1","price":1,"status":"on","day":"2026-04-26"}"#;
    let cases = [
        (home.file("cut.csv", whole.trim_end()), "cut off"),
        (home.file("cell.csv", &whole[..whole.len() - 4]), "cut off"),
        (
            home.file("quote.csv", format!("{whole}5,9,on,\"2026-04-26\n6,9,on,2026-04-26\n")),
            "quote.csv:6: a quote opened",
        ),
        (cut_zst, "cut off"),
        (json(&format!("{line}\n{{\"id\":"), "cut.jsonl"), "cut off"),
        (json(&format!("[{line},"), "cut.json"), "cut off"),
        (
            home.file("few.csv", format!("{HEADER}1,9,on,2026-04-26\n2,9,on,2026-04-26\n3,9,on,2026-04-26\n")),
            "2 of 5 homes on offer (40.0 %)",
        ),
        (home.file("none.csv", HEADER), "hold no row"),
        (home.file("key.csv", format!("{whole},9,on,2026-04-26\n")), "key.csv:6: the row has no ListingKey"),
        (home.file("short.csv", format!("{whole}5,9,on\n")), "short.csv:6: the row has 3 cells"),
        (home.file("day.csv", format!("{whole}5,9,on,today\n")), "column 'day': today"),
        (home.file("noday.csv", format!("{whole}5,9,on,\n")), "does not say which snapshot"),
        (home.file("future.csv", whole.replace("2026-04-26", "2126-04-26")), "lies in the future"),
    ];
    for (file, expected) in cases {
        let options =
            snapshot_options(std::slice::from_ref(&file), small_mapping(), &ingest, publish::DEFAULT_MAX_VANISH);
        let error = run(&options, Sink::Log(home.log.clone())).expect_err(expected).to_string();
        assert!(error.contains(expected), "{}: {error}", file.display());
        assert!(error.ends_with("nothing was sent"), "{error}");
    }
    let file = home.file("untold.jsonl", format!("{}\n", least("1")));
    let options = snapshot_options(&[file], Mapping::reso(), &ingest, 1.0);
    let error = run(&options, Sink::Log(home.log.clone())).unwrap_err().to_string();
    assert!(error.contains("expected --at TIME"), "{error}");
    assert!(home.read(Topic::ListingsRaw, 0).is_empty());
    assert_eq!(ingest.stop(PATIENCE), Drained::Clean);
}

#[test]
fn cells_may_be_separated_by_semicolons_or_tabs_and_an_empty_file_is_called_empty() {
    let home = Home::new();
    let semicolons = format!("{HEADER}1,10,on,2026-04-23\n").replace(',', ";");
    let files = [home.file("a.csv", &semicolons), home.file("b.csv", semicolons.replace(';', "\t").replace('1', "2"))];
    assert_eq!((to_log(&home, &files, small_mapping()).unmapped, home.read(Topic::ListingsRaw, 2).len()), (0, 2));
    let empty = home.file("empty.csv", "");
    let error = run(&options(&[empty], small_mapping()), Sink::Log(home.log.clone())).unwrap_err().to_string();
    assert!(error.contains("empty.csv: is empty (expected a header"), "{error}");
}

#[test]
fn a_file_that_is_cut_off_sends_nothing_when_it_is_no_snapshot_either() {
    let home = Home::new();
    let rows: String = (0..5_000).map(|key| format!("{key},10,on,2026-04-23\n")).collect();
    let files = [
        (
            home.file("quote.csv", format!("{HEADER}{rows}x,\"10,on,2026-04-23\ny,10,on,2026-04-23\n")),
            ":5002: a quote opened",
        ),
        (home.file("a.json", format!("[{},", least("1"))), "the array has no end"),
    ];
    for (file, said) in files {
        let error = run(&options(&[file], small_mapping()), Sink::Log(home.log.clone())).unwrap_err().to_string();
        assert!(error.contains(said) && error.ends_with("nothing was sent"), "{error}");
    }
    assert!(home.read(Topic::ListingsRaw, 0).is_empty());
}

#[test]
fn a_snapshot_of_reso_takes_its_time_from_outside() {
    let home = Home::new();
    let ingest = home.ingest();
    let own_time = least("1").replace('{', r#"{"ModificationTimestamp":"2020-01-01T00:00:00Z","#);
    let file = home.file("x.json", format!("[{own_time}]"));
    let mut options = snapshot_options(&[file], Mapping::reso(), &ingest, 0.2);
    options.snapshot.as_mut().unwrap().at = Some("2026-04-26T12:00:00Z".parse().unwrap());
    run(&options, Sink::Log(home.log.clone())).unwrap();
    assert_eq!(value(&home.read(Topic::ListingsRaw, 1)[0])["ModificationTimestamp"], "2026-04-26T12:00:00Z");
    assert_eq!(ingest.stop(PATIENCE), Drained::Clean);
}

/// The real data beside the workspace, if it is there.
pub fn real_data(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data").join(name);
    if path.exists() {
        return Some(path);
    }
    println!("skipped: no real data ({name})");
    None
}
