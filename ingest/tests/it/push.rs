//! The way in over HTTP.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use ingest::{Config, Ingest, PushConfig};
use schemas::header;
use schemas::topic::Topic;
use serde_json::{Value, json};
use stream::Outgoing;

use crate::faulty::{Fault, faulty};
use crate::house::{House, PATIENCE, least, on_every_log, on_the_embedded_log};

struct Answer {
    status: u16,
    kind: String,
    allow: Option<String>,
    retry_after: Option<String>,
    body: Value,
}

fn send(ingest: &Ingest, method: &str, path: &str, content_type: Option<&str>, body: &str) -> Answer {
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let mut request =
        ureq::http::Request::builder().method(method).uri(format!("http://{}{path}", ingest.push_address().unwrap()));
    if let Some(content_type) = content_type {
        request = request.header("content-type", content_type);
    }
    let mut response = agent.run(request.body(body.to_owned()).unwrap()).unwrap();
    let text = |name: &str| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
    let (kind, allow, retry_after) = (text("content-type").unwrap_or_default(), text("allow"), text("retry-after"));
    let status = response.status().as_u16();
    let body = response.body_mut().read_to_string().unwrap();
    Answer { status, kind, allow, retry_after, body: serde_json::from_str(&body).unwrap_or(Value::Null) }
}

fn push(ingest: &Ingest, body: &str) -> Answer {
    send(ingest, "POST", "/feeds/f/listings", None, body)
}

#[track_caller]
fn is_problem(answer: &Answer, status: u16, slug: &str) {
    assert_eq!((answer.status, answer.kind.as_str()), (status, "application/problem+json"), "{}", answer.body);
    assert_eq!(answer.body["type"], json!(format!("urn:roost:problem:{slug}")));
    assert_eq!(answer.body["status"], json!(status));
    assert!(answer.body["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{}", answer.body);
}

#[test]
fn what_is_pushed_is_answered_record_by_record_and_comes_out_as_listings() {
    on_every_log(|house| {
        let ingest = house.start();
        let answer = push(&ingest, &least("1"));
        assert_eq!((answer.status, &answer.body["accepted"], &answer.body["refused"]), (200, &json!(1), &json!(0)));
        let batch =
            format!(r#"{{"value":[{},{{"ListingKey":"3","StandardStatus":"Sold"}},{}]}}"#, least("2"), least("4"));
        let answer = push(&ingest, &batch);
        assert_eq!(answer.status, 207, "{}", answer.body);
        let records = answer.body["records"].as_array().unwrap();
        let outcomes: Vec<_> =
            records.iter().map(|r| (r["index"].as_u64().unwrap(), r["outcome"].as_str().unwrap())).collect();
        assert_eq!(outcomes, [(0, "accepted"), (1, "refused"), (2, "accepted")]);
        assert_eq!((&records[0]["listing_id"], &records[1]["code"]), (&json!("f:2"), &json!("unknown_status")));
        assert_eq!(records[1]["errors"][0]["pointer"], json!("/StandardStatus"));
        let lines = format!("{}\n{}\n", least("5"), least("6"));
        assert_eq!(push(&ingest, &lines).status, 200);

        let raw = house.read(Topic::ListingsRaw, 5);
        assert!(raw.iter().all(|record| header::text(&record.headers, header::FEED) == Some("f")));
        let place = (records[2]["partition"].as_u64().unwrap(), records[2]["offset"].as_u64().unwrap());
        let fourth = raw.iter().find(|record| (u64::from(record.partition), record.offset) == place).unwrap();
        assert_eq!(fourth.value.as_deref(), Some(least("4").as_bytes()));
        let mut keys: Vec<_> =
            house.read(Topic::Listings, 5).into_iter().map(|r| String::from_utf8(r.key.unwrap()).unwrap()).collect();
        keys.sort();
        assert_eq!(keys, ["f:1", "f:2", "f:4", "f:5", "f:6"]);
        house.stop(ingest);
    });
}

#[test]
fn what_cannot_be_taken_is_a_problem_that_says_why() {
    on_every_log(|house| {
        let ingest = house.start();
        let refused = push(&ingest, r#"{"ListingKey":"1","StandardStatus":"Active"}"#);
        is_problem(&refused, 422, "validation-failed");
        let pointers: Vec<_> =
            refused.body["records"][0]["errors"].as_array().unwrap().iter().map(|e| &e["pointer"]).collect();
        assert_eq!(pointers, ["/Country", "/City", "/ListPrice"]);
        let broken = push(&ingest, "{");
        is_problem(&broken, 400, "not-json");
        assert_eq!(broken.body["code"], json!("not_json"));
        is_problem(&push(&ingest, ""), 400, "not-json");
        is_problem(&push(&ingest, "[]"), 400, "not-json");
        is_problem(&push(&ingest, &" ".repeat((1 << 20) + 1)), 413, "payload-too-large");
        is_problem(&send(&ingest, "POST", "/feeds/No%20Feed/listings", None, &least("1")), 400, "bad-feed");
        is_problem(&send(&ingest, "POST", "/feeds/%ff/listings", None, &least("1")), 400, "bad-feed");
        is_problem(&send(&ingest, "GET", "/", None, ""), 404, "not-found");
        let wrong_method = send(&ingest, "DELETE", "/feeds/f/listings", None, "");
        is_problem(&wrong_method, 405, "method-not-allowed");
        assert_eq!(wrong_method.allow.as_deref(), Some("POST"));
        is_problem(&send(&ingest, "POST", "/feeds/f/keys", None, ""), 405, "method-not-allowed");
        assert!(house.read(Topic::ListingsRaw, 0).is_empty());
        house.stop(ingest);
    });
}

fn priced(key: &str, timestamp_ms: i64, status: &str) -> Outgoing {
    let version = json!({"timestamp_ms": timestamp_ms, "raw_partition": 0, "raw_offset": 0, "batch_index": 0});
    let fact = json!({"listing": {"version": version, "standard_status": status}});
    Outgoing {
        topic: Topic::ListingsPriced,
        partition: None,
        key: Some(key.as_bytes().to_vec()),
        value: Some(fact.to_string().into_bytes()),
        headers: Vec::new(),
    }
}

fn keys(ingest: &Ingest) -> Value {
    let answer = send(ingest, "GET", "/feeds/f/keys", None, "");
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(answer.body["count"], json!(answer.body["keys"].as_array().unwrap().len()));
    answer.body["keys"].clone()
}

#[test]
fn the_keys_of_a_feed_are_those_of_its_homes_on_offer_at_the_moment_of_asking() {
    on_every_log(|house: &House| {
        let ingest = house.start();
        assert_eq!(keys(&ingest), json!([]));
        house.publish(vec![
            priced("f:1", 2, "Active"),
            priced("f:2", 1, "Pending"),
            priced("f:3", 1, "Closed"),
            priced("g:4", 1, "Active"),
        ]);
        assert_eq!(keys(&ingest), json!(["1", "2"]));
        house.publish(vec![priced("f:1", 1, "Closed"), priced("f:2", 2, "Delete"), priced("f:5", 1, "ComingSoon")]);
        assert_eq!(keys(&ingest), json!(["1", "5"]));
        house.stop(ingest);
    });
}

#[test]
fn a_push_that_the_log_does_not_acknowledge_in_time_is_unknown_and_can_be_repeated() {
    on_every_log(|house| {
        let push_config = PushConfig { ack_timeout: Duration::from_millis(200), ..PushConfig::default() };
        let config = Config { push: push_config, ..Config::default() };
        let deaf = house.start_on(&faulty(&house.log, Fault::NoAcks), config);
        let answer = push(&deaf, &least("1"));
        is_problem(&answer, 503, "outcome-unknown");
        assert_eq!(answer.retry_after.as_deref(), Some("1"));
        let _ = deaf.stop(Duration::from_millis(100));
        let ingest = house.start();
        assert_eq!(push(&ingest, &least("1")).status, 200);
        house.stop(ingest);
    });
}

fn connect(ingest: &Ingest) -> TcpStream {
    let stream = TcpStream::connect(ingest.push_address().unwrap()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
}

/// Sends bytes as they are, and reads until the other side closes.
fn raw_answer(ingest: &Ingest, headers: &str, body: &str) -> String {
    let mut stream = connect(ingest);
    write!(stream, "POST /feeds/f/listings HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}\r\n{body}").unwrap();
    let mut bytes = Vec::new();
    // A reset is an end too.
    let _ = stream.read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

#[test]
fn what_the_head_of_a_push_tells_is_refused_by_it_with_a_remedy() {
    on_the_embedded_log(|house| {
        let ingest = house.start();
        let cases = [
            ("content-encoding: gzip\r\ncontent-length: 2\r\n", "{}", "415", "send the body uncompressed"),
            (
                "content-type: application/x-www-form-urlencoded\r\ncontent-length: 2\r\n",
                "{}",
                "415",
                "--data-binary @FILE",
            ),
            (
                "content-type: multipart/form-data; boundary=x\r\ncontent-length: 2\r\n",
                "{}",
                "415",
                "application/x-ndjson",
            ),
            // Nothing of the body comes: the length alone is refused.
            ("content-length: 1048577\r\n", "", "413", "send it in parts"),
            ("transfer-encoding: chunked\r\n", "zz\r\n{}\r\n0\r\n\r\n", "400", "bad-request"),
        ];
        for (headers, body, status, said) in cases {
            let answer = raw_answer(&ingest, headers, body);
            assert!(answer.starts_with(&format!("HTTP/1.1 {status}")) && answer.contains(said), "{headers}: {answer}");
        }
        for path in ["/feeds/f/listings?dry_run=1", "/feeds/f/listings?dry_run"] {
            is_problem(&send(&ingest, "POST", path, None, &least("1")), 400, "unknown-parameter");
        }
        is_problem(&send(&ingest, "GET", "/feeds/f/keys?limit=1", None, ""), 400, "unknown-parameter");
        assert!(house.read(Topic::ListingsRaw, 0).is_empty());
        house.stop(ingest);
    });
}

#[test]
fn clients_that_are_slow_with_their_bodies_keep_no_other_out() {
    on_the_embedded_log(|house| {
        let ingest = house.start();
        let slow: Vec<TcpStream> = (0..40)
            .map(|_| {
                let mut stream = connect(&ingest);
                stream.write_all(b"POST /feeds/f/listings HTTP/1.1\r\nhost: x\r\ncontent-length: 99\r\n\r\n{").unwrap();
                stream
            })
            .collect();
        assert_eq!(push(&ingest, &least("1")).status, 200);
        drop(slow);
        house.stop(ingest);
    });
}

#[test]
fn a_client_that_is_slow_with_its_headers_is_cut_off() {
    on_the_embedded_log(|house| {
        let push_config = PushConfig { header_timeout: Duration::from_millis(300), ..PushConfig::default() };
        let ingest = house.start_on(&house.log, Config { push: push_config, ..Config::default() });
        let mut slow = connect(&ingest);
        slow.write_all(b"POST /feeds/f/listings HTTP/1.1\r\nx-slow: ").unwrap();
        let started = Instant::now();
        let _ = slow.read_to_end(&mut Vec::new());
        assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
        house.stop(ingest);
    });
}

#[test]
fn a_client_that_hangs_up_does_not_free_its_turn_before_its_work_has_ended() {
    on_the_embedded_log(|house| {
        let push_config = PushConfig { ack_timeout: Duration::from_secs(12), ..PushConfig::default() };
        let config = Config { push: push_config, ..Config::default() };
        let full = house.start_on(&faulty(&house.log, Fault::AlwaysFull), config);
        let body = least("1");
        let mut clients: Vec<TcpStream> = (0..20)
            .map(|_| {
                let mut stream = connect(&full);
                let length = body.len();
                write!(stream, "POST /feeds/f/listings HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n{body}")
                    .unwrap();
                stream
            })
            .collect();
        // Who is sent away has waited two seconds: sixteen others have all the turns.
        let deadline = Instant::now() + PATIENCE;
        let is_sent_away = |client: &mut TcpStream| {
            client.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
            let mut head = [0; 12];
            client.read_exact(&mut head).is_ok() && head.ends_with(b"503")
        };
        while !clients.iter_mut().any(is_sent_away) {
            assert!(Instant::now() < deadline, "nobody is sent away");
        }
        drop(clients);
        is_problem(&push(&full, &body), 503, "overloaded");
        let _ = full.stop(Duration::from_millis(100));
    });
}
