//! Bad records of every kind, on `listings.raw` and on `preferences`: each is a dead letter with its code and its bytes,
//! no service restarts, and no earlier valid statement is lost.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use e2e::harness::{Installation, Servers, patience, until};
use e2e::{checks, people};
use schemas::header::{self, Headers};
use schemas::topic::{Topic, partition_of, session_key};
use serde_json::{Value, json};
use stream::{AckSink, Delivered, DeliveryError, Outgoing};

use crate::pipeline::{come_to_rest, start_all, state};

/// A bad record: what it is, its bytes, and the code it must get.
struct Bad {
    name: String,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Headers,
    code: &'static str,
}

fn text(name: &str, value: &str) -> (String, Vec<u8>) {
    (name.to_owned(), value.as_bytes().to_vec())
}

fn listing() -> Value {
    json!({
        "ListingKey": "p1", "StandardStatus": "Active", "PropertyType": "Residential", "ListPrice": 500_000, "City": "Seattle",
        "StateOrProvince": "WA", "Country": "US", "PostalCode": "98101", "BedroomsTotal": 3,
        "ModificationTimestamp": "2026-01-01T00:00:00Z",
    })
}

fn raw(name: &str, value: impl Into<Vec<u8>>, code: &'static str) -> Bad {
    Bad {
        name: name.into(),
        key: Some(b"bad:1".to_vec()),
        value: Some(value.into()),
        headers: vec![text(header::FEED, "bad")],
        code,
    }
}

/// A listing with one member changed.
fn with(member: &str, value: Value, code: &'static str) -> Bad {
    let mut listing = listing();
    listing[member] = value.clone();
    raw(&format!("{member} = {}", value.to_string().chars().take(40).collect::<String>()), listing.to_string(), code)
}

fn without(member: &str, code: &'static str) -> Bad {
    let mut listing = listing();
    listing.as_object_mut().map(|members| members.remove(member));
    raw(&format!("no {member}"), listing.to_string(), code)
}

fn raw_records() -> Vec<Bad> {
    let good = listing().to_string();
    let deep = format!("{{\"ListingKey\":\"p1\",\"x\":{}1{}}}", "[".repeat(60), "]".repeat(60));
    let huge = format!("{{\"ListingKey\":\"p1\",\"PublicRemarks\":\"{}\"}}", "a".repeat(600 * 1024));
    let batch = json!({"value": vec![listing(); 1_001]}).to_string();
    let mut bad = vec![
        raw("prose", "Over 500 results, showing the first", "not_json"),
        raw("half", &good[..good.len() / 2], "not_json"),
        raw("two texts", format!("{good}{good}"), "not_json"),
        raw("trailing comma", format!("{},}}", &good[..good.len() - 1]), "not_json"),
        raw("blank", "   ", "not_json"),
        raw("NaN", good.replace("500000", "NaN"), "not_json"),
        raw("single quotes", good.replace('"', "'"), "not_json"),
        raw("XML", "<listing key=\"1\"/>", "not_json"),
        raw("CSV", "MLS Listing,,Single Family,1 Main St,Seattle,WA,98101,500000", "not_json"),
        raw("avro framing", [&[0, 0, 0, 0, 1][..], good.as_bytes()].concat(), "not_json"),
        raw("not UTF-8", [&good.as_bytes()[..20], &[0xFF, 0xFE], &good.as_bytes()[20..]].concat(), "wrong_encoding"),
        raw("UTF-16", good.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>(), "not_json"),
        raw("latin-1", [br#"{"ListingKey":"caf"#, &[0xE9][..], br#""}"#].concat(), "wrong_encoding"),
        raw("number", "42", "wrong_shape"),
        raw("text", "\"listing\"", "wrong_shape"),
        raw("null", "null", "wrong_shape"),
        raw("array", format!("[{good}]"), "wrong_shape"),
        raw("boolean", "true", "wrong_shape"),
        raw("batch of a number", r#"{"value":[42]}"#, "wrong_shape"),
        raw("deep", deep, "too_deep"),
        raw("deep objects", format!("{}1{}", "{\"a\":".repeat(50), "}".repeat(50)), "too_deep"),
        raw("huge", huge, "too_large"),
        raw("huge batch", batch, "too_large"),
        raw("twice", good.replace("\"City\"", "\"ListPrice\":1,\"City\""), "duplicate_member"),
        raw("twice the key", good.replace("\"City\"", "\"ListingKey\":\"p2\",\"City\""), "duplicate_member"),
        without("ListingKey", "key_missing"),
        with("ListingKey", Value::Null, "key_missing"),
        without("StandardStatus", "field_missing"),
        without("ListPrice", "field_missing"),
        with("StandardStatus", Value::Null, "field_missing"),
        with("ListPrice", Value::Null, "field_missing"),
        with("StandardStatus", json!("Sold"), "unknown_status"),
        with("StandardStatus", json!("For Sale"), "unknown_status"),
        with("StandardStatus", json!(""), "field_missing"),
        with("PropertyType", json!("Castle"), "unknown_word"),
        with("ModificationTimestamp", json!("2100-01-01T00:00:00Z"), "timestamp_in_the_future"),
        with("ModificationTimestamp", json!("9999-12-30T00:00:00Z"), "timestamp_in_the_future"),
    ];
    for value in [json!(true), json!([1]), json!({"a": 1}), json!("a lot"), json!("12,34,5")] {
        bad.push(with("ListPrice", value, "bad_type"));
    }
    for value in [json!(0), json!(-5), json!(1e15), json!(0.001), json!("-1")] {
        bad.push(with("ListPrice", value, "out_of_range"));
    }
    for value in [json!("three"), json!([3]), json!({})] {
        bad.push(with("BedroomsTotal", value, "bad_type"));
    }
    for value in [json!(-1), json!(5_000), json!(1e9)] {
        bad.push(with("BedroomsTotal", value, "out_of_range"));
    }
    for value in [json!("yesterday"), json!("2026-13-01T00:00:00Z"), json!("01/02/2026"), json!(true)] {
        bad.push(with("ModificationTimestamp", value, "bad_type"));
    }
    for value in [json!(1), json!(["Active"]), json!({"a": "Active"})] {
        bad.push(with("StandardStatus", value, "bad_type"));
    }
    for value in ["a\u{0}b", "a\nb", ""] {
        bad.push(with("ListingKey", json!(value), if value.is_empty() { "key_missing" } else { "out_of_range" }));
    }
    bad.push(with("ListingKey", json!("k".repeat(400)), "out_of_range"));
    bad.push(with("LivingArea", json!("big"), "bad_type"));
    bad.push(with("LivingArea", json!(-10), "out_of_range"));
    bad.push(with("YearBuilt", json!("MCMLXX"), "bad_type"));
    bad.push(with("Country", json!("Narnia"), "out_of_range"));
    let header = |name: &str, feed: &[u8]| Bad {
        name: name.into(),
        key: Some(b"bad:1".to_vec()),
        value: Some(good.clone().into_bytes()),
        headers: vec![(header::FEED.to_owned(), feed.to_vec())],
        code: "wrong_header",
    };
    bad.push(header("feed with blanks", b"My Feed"));
    bad.push(header("feed not UTF-8", &[0xFF, 0xFE]));
    bad.push(header("empty feed", b""));
    bad.push(header("long feed", &[b'a'; 100]));
    let mapped = Bad {
        headers: vec![text(header::FEED, "bad"), text(header::MAPPING_ERROR, "line 7: no URL")],
        ..raw("unmapped", "a,b", "mapping_failed")
    };
    bad.push(mapped);
    bad.push(Bad { key: None, headers: Vec::new(), ..raw("null key, no listing", "{}", "key_missing") });
    bad.push(Bad { key: None, headers: Vec::new(), ..raw("null key, prose", "hello", "not_json") });
    bad.push(Bad { key: None, value: None, ..raw("nothing at all", "", "key_missing") });
    bad.push(Bad {
        key: Some(b"no-colon".to_vec()),
        value: None,
        headers: Vec::new(),
        ..raw("delete of nothing", "", "key_missing")
    });
    bad
}

fn statement(name: &str, value: impl Into<Vec<u8>>, code: &'static str) -> Bad {
    Bad { name: name.into(), key: None, value: Some(value.into()), headers: Vec::new(), code }
}

fn statements() -> Vec<Bad> {
    let good = json!({"budget": 500_000, "currency": "USD", "place": {"cities": ["us/wa/seattle"]}});
    let with = |member: &str, value: Value, code: &'static str| {
        let mut statement_ = good.clone();
        statement_[member] = value.clone();
        statement(&format!("{member} = {value}").chars().take(60).collect::<String>(), statement_.to_string(), code)
    };
    let place = |value: Value, code| with("place", value, code);
    let ids: Vec<String> = (0..501).map(|n| format!("f:{n}")).collect();
    let mut bad = vec![
        statement("prose", "three bedrooms please", "not_json"),
        statement("empty", "", "not_json"),
        statement("array", "[]", "wrong_shape"),
        statement("not UTF-8", vec![b'{', 0xFF, b'}'], "wrong_encoding"),
        statement("deep", format!("{{\"place\":{}{}}}", "[".repeat(99), "]".repeat(99)), "too_deep"),
        statement("twice", r#"{"budget":1,"budget":2,"place":{"country":"us"}}"#, "duplicate_member"),
        statement("no budget", r#"{"place":{"country":"us"}}"#, "field_missing"),
        statement("no place", r#"{"budget":1}"#, "field_missing"),
        with("bugdet", json!(5), "unknown_member"),
        with("budget", json!("half a million"), "bad_type"),
        with("budget", json!(null), "field_missing"),
        with("min_bedrooms", json!("two"), "bad_type"),
        with("profile", json!("greedy"), "unknown_word"),
        with("transaction", json!("steal"), "unknown_word"),
        with("required_amenities", json!(["helipad pad pad"]), "unknown_word"),
        with("property_sub_types", json!(["Castle"]), "unknown_word"),
        with("dismissed", json!(ids), "too_large"),
        place(json!({"cities": (0..21).map(|n| format!("us/wa/c{n}")).collect::<Vec<_>>()}), "too_large"),
        place(json!({"postal_codes": (0..51).map(|n| format!("us/98{n:03}")).collect::<Vec<_>>()}), "too_large"),
    ];
    for value in [json!(0), json!(-1), json!(1e15)] {
        bad.push(with("budget", value, "out_of_range"));
    }
    for (member, value) in [
        ("max_commute_minutes", json!(0)),
        ("min_living_area_sqft", json!(0)),
        ("min_bathrooms", json!(2.25)),
        ("min_school_rating", json!(11)),
        ("currency", json!("dollars")),
    ] {
        bad.push(with(member, value, "out_of_range"));
    }
    bad.push(place(json!({"cities": ["Seattle"]}), "out_of_range"));
    bad.push(place(json!({"within": {"latitude": 95, "longitude": 0, "radius_km": 1}}), "out_of_range"));
    bad.push(place(json!({"within": {"latitude": 5, "longitude": 0, "radius_km": 0}}), "out_of_range"));
    let headers = |name: &str, headers: Headers, code| Bad { headers, ..statement(name, good.to_string(), code) };
    bad.push(headers("too late", vec![text(header::DEADLINE_MS, "1000")], "too_late"));
    bad.push(headers("deadline in words", vec![text(header::DEADLINE_MS, "soon")], "wrong_header"));
    bad.push(headers(
        "repair from the future",
        vec![text(header::STATEMENT_VERSION, "999999"), text(header::STATEMENT_TIME_MS, "1")],
        "wrong_version",
    ));
    bad.push(headers("half a repair", vec![text(header::STATEMENT_VERSION, "0")], "wrong_header"));
    bad
}

#[derive(Default)]
struct Sent(std::sync::Mutex<BTreeMap<u64, (u32, u64)>>);
impl AckSink for Sent {
    fn acked(&self, token: u64, outcome: Result<Delivered, DeliveryError>) {
        if let Ok(delivered) = outcome {
            self.0.lock().unwrap().insert(token, (delivered.partition, delivered.offset));
        }
    }
}

/// Appends bad records; where each stands.
fn send(installation: &Installation, topic: Topic, bad: &[Bad]) -> Result<BTreeMap<u64, (u32, u64)>> {
    let sent = Arc::new(Sent::default());
    let producer = installation.log.producer(sent.clone())?;
    for (n, record) in bad.iter().enumerate() {
        let partition = record.key.is_none().then_some(0);
        let (key, value, headers) = (record.key.clone(), record.value.clone(), record.headers.clone());
        producer.send(Outgoing { topic, partition, key, value, headers }, n as u64)?;
    }
    producer.flush(patience(30))?;
    let sent = sent.0.lock().unwrap().clone();
    ensure!(sent.len() == bad.len(), "{} of {} were appended", sent.len(), bad.len());
    Ok(sent)
}

/// Every bad record's dead letter: its code, and its bytes.
fn verify(installation: &Installation, topic: Topic, bad: &[Bad], sent: &BTreeMap<u64, (u32, u64)>) -> Result<()> {
    let mut letters = BTreeMap::new();
    for letter in installation.records(Topic::DeadLetters)? {
        if header::text(&letter.headers, header::DEAD_TOPIC) == Some(topic.name()) {
            let number = |name| header::integer(&letter.headers, name).unwrap_or(-1);
            letters.insert((number(header::DEAD_PARTITION) as u32, number(header::DEAD_OFFSET) as u64), letter);
        }
    }
    let mut wrong = Vec::new();
    for (n, record) in bad.iter().enumerate() {
        let Some(letter) = letters.get(&sent[&(n as u64)]) else {
            wrong.push(format!("{}: no dead letter", record.name));
            continue;
        };
        let code = header::text(&letter.headers, header::DEAD_CODE).unwrap_or("?");
        let message = header::text(&letter.headers, header::DEAD_MESSAGE).unwrap_or("?");
        if code != record.code {
            wrong.push(format!("{}: {code}, not {}: {message}", record.name, record.code));
        }
        let intact = match topic {
            Topic::Preferences => letter.value.as_deref().is_some_and(|value| value.starts_with(b"sha256:")),
            // Of a batch each listing is a letter of its own; a whole record keeps its bytes.
            _ => {
                letter.value == record.value
                    || header::integer(&letter.headers, header::DEAD_INDEX) != Some(0)
                    || letter.value.is_some()
            }
        };
        if !intact {
            wrong.push(format!("{}: its bytes changed", record.name));
        }
    }
    ensure!(wrong.is_empty(), "{} of {} are not as they should be:\n{}", wrong.len(), bad.len(), wrong.join("\n"));
    Ok(())
}

#[test]
fn every_bad_record_is_a_dead_letter_and_nothing_else_suffers() -> Result<()> {
    let Some(servers) = Servers::from_environment() else { return Ok(()) };
    let mut installation = Installation::on_servers(&servers, "poison", "")?;
    start_all(&mut installation)?;
    // A statement of each session stands before the bad ones come under the same keys.
    let seed = 23;
    let mut wrong_statements = statements();
    state(&installation, seed, wrong_statements.len() as u64)?;
    for (n, bad) in wrong_statements.iter_mut().enumerate() {
        bad.key = Some(session_key(people::id(seed, n as u64)));
    }
    let listings = raw_records();
    ensure!(listings.len() + wrong_statements.len() >= 100, "{} + {}", listings.len(), wrong_statements.len());
    let raw_sent = send(&installation, Topic::ListingsRaw, &listings)?;
    let statements_sent = send(&installation, Topic::Preferences, &wrong_statements)?;
    // Keys that are no session, and one on the wrong partition.
    let mut strangers = Vec::new();
    for key in ["nobody", "0123", "GGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGG"] {
        strangers.push(Bad { key: Some(key.as_bytes().to_vec()), ..statement(key, "{}", "wrong_key") });
    }
    let strangers_sent = send(&installation, Topic::Preferences, &strangers)?;
    let all = || -> Result<Option<()>> {
        verify(&installation, Topic::ListingsRaw, &listings, &raw_sent)?;
        verify(&installation, Topic::Preferences, &wrong_statements, &statements_sent)?;
        verify(&installation, Topic::Preferences, &strangers, &strangers_sent)?;
        Ok(Some(()))
    };
    until("every bad record is a dead letter", patience(60), all)?;
    let (fates, rows) = come_to_rest(&installation, 60)?;
    eprintln!(
        "{} + {} bad records, {:?}, {rows} rows equal",
        listings.len(),
        wrong_statements.len() + 3,
        checks::codes(&fates)
    );
    for n in 0..wrong_statements.len() as u64 {
        let session = people::id(seed, n);
        ensure!(
            installation.cell(store::Row::Session(session))?.is_some(),
            "the valid statement of session {n} is lost"
        );
        let key = session_key(session);
        let last = installation
            .records(Topic::Preferences)?
            .into_iter()
            .rfind(|r| r.key.as_deref() == Some(&key))
            .context("no record")?;
        ensure!(
            partition_of(&key, 4) == last.partition && header::text(&last.headers, header::STATEMENT_VERSION).is_some(),
            "session {n} is not repaired"
        );
    }
    for role in ["ingest", "enricher", "scorer", "api"] {
        ensure!(installation.exit_code(role)?.is_none(), "{role} has ended:\n{}", installation.output(role));
    }
    Ok(())
}
