//! Reading a statement back, and dismissing one home after the other.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use api::Config;
use schemas::id::{SessionId, SessionToken};
use schemas::preferences::Preferences;
use schemas::statement::{Statement, decode};
use schemas::topic::{Topic, partition_of, session_key};
use serde_json::{Value, json};
use store::Row;
use stream::{Event, Record, Start};

use crate::desk::{Answer, Desk, preferences, session};

const DISMISSED: &str = "/api/v1/preferences/dismissed";

/// Applies statements as the scorer does, while `test` runs.
fn applied<T>(desk: &Desk, test: impl FnOnce() -> T) -> T {
    let starts: Vec<_> = (0..desk.log.partitions()).map(|p| (Topic::Preferences, p, Start::Earliest)).collect();
    let mut reader = desk.log.follow(&starts).unwrap();
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !ended.load(Ordering::Relaxed) {
                let mut events = Vec::new();
                reader.poll(Duration::from_millis(20), &mut events).unwrap();
                for event in events {
                    let Event::Record(record) = event else { continue };
                    let stated = decoded(desk, &record);
                    let cell = stated.preferences.map(|p| json!({"version": stated.version, "preferences": p}));
                    desk.write(Row::Session(stated.session), cell.as_ref());
                }
            }
        });
        let ends = EndsIt(&ended);
        let outcome = test();
        drop(ends);
        outcome
    })
}

fn decoded(desk: &Desk, record: &Record) -> Statement {
    let (key, value) = (record.key.as_deref(), record.value.as_deref());
    let (partition, offset, at) = (record.partition, record.offset, record.append_time_ms);
    decode(key, value, &record.headers, desk.log.partitions(), partition, offset, at).unwrap()
}

/// Also when a test fails.
struct EndsIt<'a>(&'a AtomicBool);
impl Drop for EndsIt<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn dismiss(desk: &Desk, token: &str, id: &str) -> Answer {
    let headers = [("content-type", "application/json"), ("authorization", &*format!("Bearer {token}"))];
    desk.ask("POST", DISMISSED, &headers, json!({"listing_id": id}).to_string().as_bytes())
}

fn dismissed(answer: &Answer) -> Vec<String> {
    let body = answer.json();
    let ids = body["preferences"]["dismissed"].as_array().unwrap_or_else(|| panic!("{body:#}"));
    ids.iter().map(|id| id.as_str().unwrap().to_owned()).collect()
}

fn token_of(accepted: &Value) -> String {
    accepted["token"].as_str().unwrap().to_owned()
}

#[test]
fn a_statement_is_read_back_as_the_tables_have_it() {
    let desk = Desk::start();
    let accepted = desk.state();
    let (token, version) = (token_of(&accepted), accepted["version"].as_u64().unwrap());
    let read = |query: &str| desk.get_as(&token, &format!("/api/v1/preferences{query}"));
    assert_eq!((read("").status, read("").header("retry-after").map(str::to_owned)), (202, Some("1".to_owned())));
    let cell = json!({"version": version, "preferences": accepted["preferences"]});
    desk.write(Row::Session(session(&token)), Some(&cell));
    let answer = read(&format!("?min_version={version}"));
    let expected = json!({
        "session_id": accepted["session_id"], "version": version, "preferences": accepted["preferences"],
    });
    assert_eq!((answer.status, answer.json()), (200, expected));
    assert_eq!(answer.header("cache-control"), Some("private, no-cache"));
    let later = read(&format!("?min_version={}&wait=100ms", version + 1));
    assert_eq!((later.status, later.json()["preference_version"].as_u64()), (202, Some(version)));
    desk.get_as(&SessionToken::from_bits(42).reveal(), "/api/v1/preferences").problem(404, "session-not-found");
    let bearer = [("authorization", &*format!("Bearer {token}"))];
    let path = format!("/api/v1/sessions/{}", session(&token));
    assert_eq!(desk.ask("DELETE", &path, &bearer, b"").status, 204);
    read("").problem(404, "session-not-found");
}

#[test]
fn a_dismissed_home_is_added_once_and_the_rest_of_the_statement_stays() {
    let desk = Desk::start();
    let accepted = desk.state();
    let token = token_of(&accepted);
    applied(&desk, || {
        let first = dismiss(&desk, &token, "seattle:2");
        assert_eq!((first.status, dismissed(&first)), (200, vec!["seattle:2".to_owned()]), "{}", first.text);
        let second = dismiss(&desk, &token, "seattle:1");
        assert_eq!(dismissed(&second), ["seattle:1", "seattle:2"]);
        let mut expected = accepted["preferences"].clone();
        expected["dismissed"] = json!(["seattle:1", "seattle:2"]);
        assert_eq!(second.json()["preferences"], expected);
        let again = dismiss(&desk, &token, "seattle:2");
        assert_eq!((again.status, again.json()), (200, second.json()), "no new statement");
    });
}

#[test]
fn clients_that_dismiss_at_once_lose_nothing_of_each_other() {
    let desk = Desk::start();
    let other = Desk::start_beside(&desk);
    let token = token_of(&desk.state());
    let ids: BTreeSet<String> = (0..8).map(|n| format!("seattle:{n}")).collect();
    applied(&desk, || {
        std::thread::scope(|scope| {
            for (n, id) in ids.iter().enumerate() {
                let (desk, token) = (if n % 2 == 0 { &desk } else { &other }, &token);
                scope.spawn(move || {
                    let answer = dismiss(desk, token, id);
                    assert_eq!(answer.status, 200, "{}", answer.text);
                    assert!(dismissed(&answer).contains(id), "{}", answer.text);
                });
            }
        });
        let read = desk.get_as(&token, "/api/v1/preferences");
        assert_eq!(dismissed(&read).into_iter().collect::<BTreeSet<_>>(), ids);
    });
}

/// Whichever of the two comes first: what was erased stays so.
#[test]
fn a_dismissal_at_the_moment_of_an_erasure_brings_nothing_back() {
    let desk = Desk::start();
    let other = Desk::start_beside(&desk);
    applied(&desk, || {
        for round in 0..12 {
            let token = token_of(&desk.state());
            dismiss_and_erase(&desk, &other, &token, || {});
            // The other process hears of it within a second.
            desk.eventually("erased", || desk.get_as(&token, "/api/v1/preferences").status == 404);
            assert_eq!(last_on_the_log(&desk, session(&token)), None, "round {round}");
        }
    });
}

/// It may not see what its own statement does to the tables: the log tells, too.
#[test]
fn a_dismissal_at_the_moment_of_an_erasure_brings_nothing_back_while_the_tables_are_away() {
    let desk = Desk::start();
    let other = Desk::start_beside(&desk);
    applied(&desk, || {
        for round in 0..30 {
            let token = token_of(&desk.state());
            desk.eventually("the tables have it", || desk.get_as(&token, "/api/v1/preferences").status == 200);
            dismiss_and_erase(&desk, &other, &token, || desk.tables.away.store(true, Ordering::Relaxed));
            assert_eq!(last_on_the_log(&desk, session(&token)), None, "round {round}");
            desk.tables.away.store(false, Ordering::Relaxed);
        }
    });
}

/// At once, the one here and the other there; does something as soon as the session is erased.
fn dismiss_and_erase(here: &Desk, there: &Desk, token: &str, then: impl FnOnce()) {
    let headers = [("authorization", &*format!("Bearer {token}"))];
    let path = format!("/api/v1/sessions/{}", session(token));
    std::thread::scope(|scope| {
        scope.spawn(|| dismiss(here, token, "seattle:1"));
        let erased = there.ask("DELETE", &path, &headers, b"");
        then();
        assert_eq!(erased.status, 204, "{}", erased.text);
    });
}

/// What was stated last; of an erasure nothing.
fn last_on_the_log(desk: &Desk, of: SessionId) -> Option<Preferences> {
    let partition = partition_of(&session_key(of), desk.log.partitions());
    let mut reader = desk.log.follow(&[(Topic::Preferences, partition, Start::Earliest)]).unwrap();
    let (mut last, mut is_read) = (None, false);
    while !is_read {
        let mut events = Vec::new();
        reader.poll(Duration::from_millis(20), &mut events).unwrap();
        for event in events {
            let Event::Record(record) = event else {
                is_read |= matches!(event, Event::End { .. });
                continue;
            };
            let stated = decoded(desk, &record);
            if stated.session == of {
                last = stated.preferences;
            }
        }
    }
    last
}

/// Who hangs up while it is under way leaves nothing halfway.
#[test]
fn a_dismissal_goes_on_though_its_client_hangs_up() {
    let desk = Desk::start_with(Config { max_in_flight: 1, ..Config::default() }, None);
    let token = token_of(&desk.state());
    let mut client = TcpStream::connect(desk.base.trim_start_matches("http://")).unwrap();
    let body = json!({"listing_id": "seattle:1"}).to_string();
    let length = body.len();
    write!(
        client,
        "POST {DISMISSED} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    // The tables do not have the statement yet: it waits, and no other request has room.
    desk.eventually("it is under way", || desk.get("/problems").status == 503);
    drop(client);
    desk.eventually("its request has ended", || desk.get("/problems").status == 200);
    applied(&desk, || {
        desk.eventually("the home is among the dismissed", || {
            let read = desk.get_as(&token, "/api/v1/preferences");
            read.status == 200 && read.json()["preferences"]["dismissed"] == json!(["seattle:1"])
        });
    });
}

#[test]
fn what_is_stated_at_the_moment_of_a_dismissal_holds() {
    let desk = Desk::start();
    let other = Desk::start_beside(&desk);
    applied(&desk, || {
        for round in 0..12 {
            let token = token_of(&desk.state());
            let headers = [("content-type", "application/json"), ("authorization", &*format!("Bearer {token}"))];
            let mut changed = preferences();
            changed["min_bedrooms"] = json!(round % 5 + 1);
            let (dismissal, version) = std::thread::scope(|scope| {
                let (desk, token) = (&desk, &token);
                let dismissal = scope.spawn(move || dismiss(desk, token, "seattle:1"));
                let stated = other.ask("POST", "/api/v1/preferences", &headers, changed.to_string().as_bytes());
                assert_eq!(stated.status, 202, "{}", stated.text);
                (dismissal.join().unwrap(), stated.json()["version"].clone())
            });
            assert_eq!(dismissal.status, 200, "{}", dismissal.text);
            let read = other.get_as(&token, &format!("/api/v1/preferences?min_version={version}&wait=10s")).json();
            assert_eq!(read["preferences"]["min_bedrooms"], changed["min_bedrooms"], "round {round}: {read}");
        }
    });
}

#[test]
fn a_statement_that_is_not_applied_yet_is_not_overwritten_by_the_one_before() {
    let desk = Desk::start();
    let accepted = desk.state();
    let token = token_of(&accepted);
    let headers = [("content-type", "application/json"), ("authorization", &*format!("Bearer {token}"))];
    let mut changed = preferences();
    changed["min_bedrooms"] = json!(4);
    let before = json!({"version": accepted["version"], "preferences": accepted["preferences"]});
    desk.write(Row::Session(session(&token)), Some(&before));
    assert_eq!(desk.ask("POST", "/api/v1/preferences", &headers, changed.to_string().as_bytes()).status, 202);
    let answer = applied(&desk, || dismiss(&desk, &token, "seattle:1"));
    assert_eq!(answer.json()["preferences"]["min_bedrooms"], json!(4), "{}", answer.text);
}

#[test]
fn what_cannot_be_dismissed_is_told_so() {
    let config = Config { request_timeout: Duration::from_millis(500), ..Config::default() };
    let desk = Desk::start_with(config, None);
    let accepted = desk.state();
    let token = token_of(&accepted);
    let started = Instant::now();
    dismiss(&desk, &token, "seattle:1").problem(503, "outcome-unknown");
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    let mut full = accepted["preferences"].clone();
    full["dismissed"] = (100..600).map(|n| json!(format!("seattle:{n}"))).collect();
    desk.write(Row::Session(session(&token)), Some(&json!({"version": accepted["version"], "preferences": full})));
    let problem = dismiss(&desk, &token, "seattle:1").problem(422, "validation-failed");
    assert_eq!(problem["errors"][0]["pointer"], "/listing_id", "{problem}");
    assert_eq!(dismiss(&desk, &token, "seattle:100").status, 200, "it is there already");
    dismiss(&desk, &token, "no id").problem(422, "validation-failed");
    dismiss(&desk, &SessionToken::from_bits(42).reveal(), "seattle:1").problem(404, "session-not-found");
}
