//! The corpus of bad records: of every kind that there is a code for, on `listings.raw` and on `preferences`. What must
//! become of each stands beside it; `poison.rs` sends them.

use schemas::header::{self, Headers};
use schemas::topic::partition_of;
use serde_json::{Value, json};

/// A bad record, and the dead letters that it must become.
#[derive(Debug)]
pub struct Bad {
    /// What is wrong with it.
    pub name: String,
    /// Of the record. A null key is possible on `listings.raw` alone: brokers refuse it where a topic is compacted.
    pub key: Option<Vec<u8>>,
    /// Where it is put; `None`: where its key belongs.
    pub partition: Option<u32>,
    /// Of the record.
    pub value: Option<Vec<u8>>,
    /// Of the record.
    pub headers: Headers,
    /// One of all its bytes; of a batch one for each bad listing in it.
    pub letters: Vec<Letter>,
}

/// A dead letter.
#[derive(Debug)]
pub struct Letter {
    /// Index in the batch.
    pub index: u32,
    /// What was wrong.
    pub code: &'static str,
    /// The bytes that were refused.
    pub bytes: Option<Vec<u8>>,
}

impl Bad {
    fn new(name: &str, value: Option<Vec<u8>>, code: &'static str) -> Self {
        let letters = vec![Letter { index: 0, code, bytes: value.clone() }];
        Self { name: name.to_owned(), key: None, partition: None, value, headers: Headers::new(), letters }
    }

    /// The same under another key; `None`: under none.
    pub fn with_key(self, key: Option<&[u8]>) -> Self {
        Self { key: key.map(<[u8]>::to_vec), ..self }
    }

    fn with_headers(self, headers: &[(&str, &[u8])]) -> Self {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), value.to_vec())).collect();
        Self { headers, ..self }
    }
}

/// A listing with nothing wrong.
pub fn listing(key: &str, price: u64, modified: &str) -> Value {
    json!({
        "ListingKey": key, "StandardStatus": "Active", "PropertyType": "Residential", "ListPrice": price, "City": "Seattle",
        "StateOrProvince": "WA", "Country": "US", "PostalCode": "98101", "BedroomsTotal": 3,
        "ModificationTimestamp": modified,
    })
}

fn good_listing() -> Value {
    listing("p1", 500_000, "2026-01-01T00:00:00Z")
}

fn raw(name: &str, value: impl Into<Vec<u8>>, code: &'static str) -> Bad {
    Bad::new(name, Some(value.into()), code).with_key(Some(b"bad:1")).with_headers(&[(header::FEED, b"bad")])
}

/// For `listings.raw`.
pub fn raw_records() -> Vec<Bad> {
    [unreadable(), misshapen(), batches(), members(), envelopes()].into_iter().flatten().collect()
}

/// Bytes that are no JSON text.
fn unreadable() -> Vec<Bad> {
    let good = good_listing().to_string();
    let utf16: Vec<u8> = good.encode_utf16().flat_map(u16::to_le_bytes).collect();
    vec![
        raw("prose", "Over 500 results, showing the first", "not_json"),
        raw("half", &good[..good.len() / 2], "not_json"),
        raw("two texts", format!("{good}{good}"), "not_json"),
        raw("trailing comma", format!("{},}}", &good[..good.len() - 1]), "not_json"),
        raw("blank", "   ", "not_json"),
        raw("NaN", good.replace("500000", "NaN"), "not_json"),
        raw("hexadecimal", good.replace("500000", "0x7A120"), "not_json"),
        raw("single quotes", good.replace('"', "'"), "not_json"),
        raw("XML", "<listing key=\"1\"/>", "not_json"),
        raw("CSV", "MLS Listing,,Single Family,1 Main St,Seattle,WA,98101,500000", "not_json"),
        raw("avro framing", [&[0, 0, 0, 0, 1][..], good.as_bytes()].concat(), "not_json"),
        raw("compressed", zstd::encode_all(good.as_bytes(), 1).expect("bytes can be compressed"), "wrong_encoding"),
        raw("not UTF-8", [&good.as_bytes()[..20], &[0xFF, 0xFE], &good.as_bytes()[20..]].concat(), "wrong_encoding"),
        raw("overlong UTF-8", [br#"{"ListingKey":""#, &[0xC0, 0xAF][..], br#""}"#].concat(), "wrong_encoding"),
        raw("latin-1", [br#"{"ListingKey":"caf"#, &[0xE9][..], br#""}"#].concat(), "wrong_encoding"),
        raw("UTF-16", utf16.clone(), "not_json"),
        raw("UTF-16 that says so", [&[0xFF, 0xFE][..], &utf16].concat(), "wrong_encoding"),
    ]
}

/// JSON that is no listing: shape, depth, size, members twice.
fn misshapen() -> Vec<Bad> {
    let good = good_listing().to_string();
    let deep = format!("{{\"ListingKey\":\"p1\",\"x\":{}1{}}}", "[".repeat(60), "]".repeat(60));
    let huge = format!("{{\"ListingKey\":\"p1\",\"PublicRemarks\":\"{}\"}}", "a".repeat(600 * 1024));
    vec![
        raw("number", "42", "wrong_shape"),
        raw("text", "\"listing\"", "wrong_shape"),
        raw("null", "null", "wrong_shape"),
        raw("array", format!("[{good}]"), "wrong_shape"),
        raw("boolean", "true", "wrong_shape"),
        raw("deep", deep, "too_deep"),
        raw("deep objects", format!("{}1{}", "{\"a\":".repeat(50), "}".repeat(50)), "too_deep"),
        raw("huge", huge, "too_large"),
        raw("twice", good.replace("\"City\"", "\"ListPrice\":1,\"City\""), "duplicate_member"),
        raw("twice the key", good.replace("\"City\"", "\"ListingKey\":\"p2\",\"City\""), "duplicate_member"),
    ]
}

/// Batches: each bad listing is a letter of its own, the good ones are taken.
fn batches() -> Vec<Bad> {
    let (good, mut free) = (good_listing().to_string(), good_listing());
    free["ListPrice"] = json!(-1);
    let free = free.to_string();
    let mixed = format!("{{\"value\":[{free},{good}, 17 ,{{}}]}}");
    let letter = |index, code, bytes: &str| Letter { index, code, bytes: Some(bytes.as_bytes().to_vec()) };
    let letters =
        vec![letter(0, "out_of_range", &free), letter(2, "wrong_shape", "17"), letter(3, "key_missing", "{}")];
    vec![
        Bad { letters, ..raw("batch with one good listing", mixed, "") },
        Bad { letters: vec![letter(0, "wrong_shape", "42")], ..raw("batch of a number", r#"{"value":[42]}"#, "") },
        raw("huge batch", json!({"value": vec![good_listing(); 1_001]}).to_string(), "too_large"),
    ]
}

/// A listing with one member that is not as it should be.
fn members() -> Vec<Bad> {
    let with = |member: &str, value: Value, code: &'static str| {
        let mut listing = good_listing();
        listing[member] = value.clone();
        let shown: String = value.to_string().chars().take(40).collect();
        raw(&format!("{member} = {shown}"), listing.to_string(), code)
    };
    let without = |member: &str, code: &'static str| {
        let mut listing = good_listing();
        listing.as_object_mut().map(|members| members.remove(member));
        raw(&format!("no {member}"), listing.to_string(), code)
    };
    let mut bad = vec![
        without("ListingKey", "key_missing"),
        without("StandardStatus", "field_missing"),
        without("ListPrice", "field_missing"),
    ];
    for (member, code, values) in [
        ("ListingKey", "key_missing", vec![json!(null), json!("")]),
        ("ListingKey", "out_of_range", vec![json!("a\u{0}b"), json!("a\nb"), json!("k".repeat(400))]),
        ("StandardStatus", "field_missing", vec![json!(null), json!("")]),
        ("StandardStatus", "unknown_status", vec![json!("Sold"), json!("For Sale")]),
        ("StandardStatus", "bad_type", vec![json!(1), json!(["Active"]), json!({"a": "Active"})]),
        ("PropertyType", "unknown_word", vec![json!("Castle")]),
        ("ListPrice", "field_missing", vec![json!(null)]),
        ("ListPrice", "bad_type", vec![json!(true), json!([1]), json!({"a": 1}), json!("a lot"), json!("12,34,5")]),
        ("ListPrice", "out_of_range", vec![json!(0), json!(-5), json!(1e15), json!(0.001), json!("-1")]),
        ("BedroomsTotal", "bad_type", vec![json!("three"), json!([3]), json!({})]),
        ("BedroomsTotal", "out_of_range", vec![json!(-1), json!(5_000), json!(1e9)]),
        ("LivingArea", "bad_type", vec![json!("big")]),
        ("LivingArea", "out_of_range", vec![json!(-10)]),
        ("YearBuilt", "bad_type", vec![json!("MCMLXX")]),
        ("Country", "out_of_range", vec![json!("Narnia")]),
        (
            "ModificationTimestamp",
            "bad_type",
            vec![json!("yesterday"), json!("2026-13-01T00:00:00Z"), json!("01/02/2026"), json!(true)],
        ),
        (
            "ModificationTimestamp",
            "timestamp_in_the_future",
            vec![json!("2100-01-01T00:00:00Z"), json!("9999-12-30T00:00:00Z")],
        ),
    ] {
        bad.extend(values.into_iter().map(|value| with(member, value, code)));
    }
    bad
}

/// Keys and headers.
fn envelopes() -> Vec<Bad> {
    let good = good_listing().to_string();
    let headers = |name: &str, headers: &[(&str, &[u8])]| raw(name, good.clone(), "wrong_header").with_headers(headers);
    let empty = |name: &str, key: Option<&[u8]>, code| Bad::new(name, None, code).with_key(key);
    vec![
        headers("feed with blanks", &[(header::FEED, b"My Feed")]),
        headers("feed not UTF-8", &[(header::FEED, &[0xFF, 0xFE])]),
        headers("empty feed", &[(header::FEED, b"")]),
        headers("long feed", &[(header::FEED, &[b'a'; 100])]),
        headers("two feeds, the last one wrong", &[(header::FEED, b"bad"), (header::FEED, b"!")]),
        raw("headers without end", good.clone(), "too_large").with_headers(&[("x", &[b'a'; 20 * 1024])]),
        raw("unmapped", "a,b", "mapping_failed")
            .with_headers(&[(header::FEED, b"bad"), (header::MAPPING_ERROR, b"line 7: no URL")]),
        Bad::new("null key, no listing", Some(b"{}".to_vec()), "key_missing"),
        Bad::new("null key, prose", Some(b"hello".to_vec()), "not_json"),
        empty("nothing at all", None, "key_missing"),
        empty("deletion of nothing", Some(b"no-colon"), "key_missing"),
        empty("deletion under a key that is no text", Some(&[0xFF, b':', 0xFE]), "key_missing"),
        empty("deletion some day", Some(b"bad:p1"), "wrong_header").with_headers(&[(header::CE_TIME, b"soon")]),
        empty("deletion in a hundred years", Some(b"bad:p1"), "timestamp_in_the_future")
            .with_headers(&[(header::CE_TIME, b"2126-01-01T00:00:00Z")]),
    ]
}

fn statement(name: &str, value: impl Into<Vec<u8>>, code: &'static str) -> Bad {
    Bad::new(name, Some(value.into()), code)
}

fn good_statement() -> Value {
    json!({"budget": 500_000, "currency": "USD", "place": {"cities": ["us/wa/seattle"]}})
}

/// For `preferences`: under the key of a session that has stated something valid before.
pub fn statements() -> Vec<Bad> {
    let with = |member: &str, value: Value, code: &'static str| {
        let mut statement_ = good_statement();
        statement_[member] = value.clone();
        let shown: String = format!("{member} = {value}").chars().take(60).collect();
        statement(&shown, statement_.to_string(), code)
    };
    let ids: Vec<String> = (0..501).map(|n| format!("f:{n}")).collect();
    let cities: Vec<String> = (0..21).map(|n| format!("us/wa/c{n}")).collect();
    let codes: Vec<String> = (0..51).map(|n| format!("us/98{n:03}")).collect();
    let large = format!("{}{}", good_statement(), " ".repeat(300 * 1024));
    let mut bad = vec![
        statement("prose", "three bedrooms please", "not_json"),
        // To compaction it is no tombstone, and to nobody else either.
        statement("empty", "", "not_json"),
        statement("array", "[]", "wrong_shape"),
        statement("not UTF-8", vec![b'{', 0xFF, b'}'], "wrong_encoding"),
        statement("deep", format!("{{\"place\":{}{}}}", "[".repeat(99), "]".repeat(99)), "too_deep"),
        statement("large", large, "too_large"),
        statement("twice", r#"{"budget":1,"budget":2,"place":{"country":"us"}}"#, "duplicate_member"),
        statement("no budget", r#"{"place":{"country":"us"}}"#, "field_missing"),
        statement("no place", r#"{"budget":1}"#, "field_missing"),
    ];
    for (member, code, values) in [
        ("bugdet", "unknown_member", vec![json!(5)]),
        ("budget", "bad_type", vec![json!("half a million")]),
        ("budget", "field_missing", vec![json!(null)]),
        ("budget", "out_of_range", vec![json!(0), json!(-1), json!(1e15)]),
        ("currency", "out_of_range", vec![json!("dollars")]),
        ("min_bedrooms", "bad_type", vec![json!("two")]),
        ("min_bathrooms", "out_of_range", vec![json!(2.25)]),
        ("min_living_area_sqft", "out_of_range", vec![json!(0)]),
        ("max_commute_minutes", "out_of_range", vec![json!(0)]),
        ("min_school_rating", "out_of_range", vec![json!(11)]),
        ("profile", "unknown_word", vec![json!("greedy")]),
        ("transaction", "unknown_word", vec![json!("steal")]),
        ("required_amenities", "unknown_word", vec![json!(["helipad pad pad"])]),
        ("property_sub_types", "unknown_word", vec![json!(["Castle"])]),
        ("dismissed", "too_large", vec![json!(ids)]),
        ("place", "too_large", vec![json!({"cities": cities}), json!({"postal_codes": codes})]),
        (
            "place",
            "out_of_range",
            vec![
                json!({"cities": ["Seattle"]}),
                json!({"within": {"latitude": 95, "longitude": 0, "radius_km": 1}}),
                json!({"within": {"latitude": 5, "longitude": 0, "radius_km": 0}}),
            ],
        ),
    ] {
        bad.extend(values.into_iter().map(|value| with(member, value, code)));
    }
    bad.extend(forged());
    bad
}

/// Headers that are not what they should be, on statements that are.
fn forged() -> Vec<Bad> {
    let with = |name: &str, headers: &[(&str, &[u8])], code| {
        statement(name, good_statement().to_string(), code).with_headers(headers)
    };
    let (version, time) = (header::STATEMENT_VERSION, header::STATEMENT_TIME_MS);
    vec![
        with("too late", &[(header::DEADLINE_MS, b"1000")], "too_late"),
        with("deadline in words", &[(header::DEADLINE_MS, b"soon")], "wrong_header"),
        with("deadline before 1970", &[(header::DEADLINE_MS, b"-1")], "wrong_header"),
        with("repair from the future", &[(version, b"999999"), (time, b"1")], "wrong_version"),
        with("repair of what is beyond all logs", &[(version, b"9223372036854775807"), (time, b"1")], "wrong_version"),
        with("version beyond all numbers", &[(version, b"99999999999999999999"), (time, b"1")], "wrong_header"),
        with("version below all", &[(version, b"-1"), (time, b"1")], "wrong_header"),
        with("version in words", &[(version, b"newest"), (time, b"1")], "wrong_header"),
        with("version not UTF-8", &[(version, &[0xFF]), (time, b"1")], "wrong_header"),
        with("half a repair", &[(version, b"0")], "wrong_header"),
        with("the other half", &[(time, b"1")], "wrong_header"),
        with("repair that came too late", &[(version, b"0"), (time, b"9"), (header::DEADLINE_MS, b"8")], "too_late"),
        // A version that is allowed does not make a statement of what is none.
        statement("repair with prose", "three bedrooms please", "not_json")
            .with_headers(&[(version, b"0"), (time, b"1")]),
    ]
}

/// For `preferences`: under keys that are no session's, and under the key of `session` where that does not belong.
pub fn strangers(session: &[u8], partitions: u32) -> Vec<Bad> {
    let keys: [&[u8]; 5] = [b"nobody", b"0123", b"GGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGG", &[0xFF, 0xFE], b"bad:p1"];
    let good = good_statement().to_string();
    let mut bad: Vec<Bad> = keys
        .iter()
        .map(|key| statement(&String::from_utf8_lossy(key), good.clone(), "wrong_key").with_key(Some(key)))
        .collect();
    let elsewhere = (partition_of(session, partitions) + 1) % partitions;
    let misplaced = statement("on another's partition", good, "wrong_key").with_key(Some(session));
    bad.push(Bad { partition: Some(elsewhere), ..misplaced });
    bad
}
