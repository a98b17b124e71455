//! Clients that take their time, and those that go away in the middle: slow heads and bodies, half-closed and reset sockets,
//! streams that nobody reads.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use e2e::harness::{patience, until};

use super::answer::Reader;
use super::case::{CUT, Case, Door, Right, Step, perform};
use super::house::{House, LIMIT_S, ask, get, post};

/// Longest time until a slow client is cut off: the house's limit, and as long again for a busy machine.
fn cut_by(limit_s: u64) -> Duration {
    Duration::from_secs(limit_s) + patience(15)
}

const SECOND: Duration = Duration::from_secs(1);

fn drips() -> Vec<Case> {
    let body = |path: &str| {
        format!("POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 40\r\n\r\n")
            .into_bytes()
    };
    let chunks = |path: &str| {
        format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
        )
        .into_bytes()
    };
    let slow = |text: &[u8]| Step::Drip(text.to_vec(), SECOND);
    let (p, l) = ("/api/v1/preferences", "/feeds/market/listings");
    let limit = cut_by(LIMIT_S);
    let ended = |statuses: &'static [u16]| Right::Ended(statuses, limit + Duration::from_secs(15));
    let line = b"x-slow: aaaaaaa";
    let head = Step::Send(b"GET /problems HTTP/1.1\r\nhost: x\r\n".to_vec());
    let script = Case::script;
    vec![
        script("a client that says nothing is cut off", Door::Api, vec![], ended(&[CUT, 408])),
        script("a first line of a byte a second is cut off", Door::Api, vec![slow(b"GET /problems H")], ended(&[CUT, 408])),
        script("a header of a byte a second is cut off", Door::Api, vec![head.clone(), slow(line)], ended(&[CUT, 408])),
        script("empty lines, one a second, are cut off", Door::Api, vec![slow(b"\r\n\r\n\r\n\r\n\r\n\r\n")], ended(&[CUT, 400, 408])),
        script("a second request of a byte a second is cut off", Door::Api, vec![Step::Send(get("/problems")), slow(line)], ended(&[200])),
        script("a connection that is idle after a request is cut off", Door::Api, vec![Step::Send(get("/problems"))], ended(&[200])),
        script("a body of a byte a second is told so", Door::Api, vec![Step::Send(body(p)), slow(b"{\"budget\": 7500")], ended(&[408, CUT])),
        script("a body that never comes is told so", Door::Api, vec![Step::Send(body(p))], ended(&[408])),
        script("a chunk of a byte a second is told so", Door::Api, vec![Step::Send(chunks(p)), slow(b"28\r\n{\"budget\":")], ended(&[408, CUT])),
        script("a chunk size of a byte a second is told so", Door::Api, vec![Step::Send(chunks(p)), slow(b"00000000000001")], ended(&[408, CUT])),
        script("a chunk extension of a byte a second is told so", Door::Api, vec![Step::Send(chunks(p)), slow(b"1;aaaaaaaaaaaaa")], ended(&[408, CUT])),
        script("a body that is asked for and never comes is told so", Door::Api, vec![Step::Send(b"POST /api/v1/preferences HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nexpect: 100-continue\r\ncontent-length: 40\r\n\r\n".to_vec())], ended(&[408])),
        script("a body that nobody reads is not waited for", Door::Api, vec![Step::Send(b"POST /nowhere HTTP/1.1\r\nhost: x\r\ncontent-length: 40\r\n\r\n".to_vec())], ended(&[404])),
        script("a client at the push port that says nothing is cut off", Door::Push, vec![], ended(&[CUT, 408])),
        script("a header of a byte a second at the push port is cut off", Door::Push, vec![head.clone(), slow(line)], ended(&[CUT, 408])),
        script("a push of a byte a second is told so", Door::Push, vec![Step::Send(body(l)), slow(b"{\"ListingKey\":")], ended(&[408, CUT])),
        script("a push that never comes is told so", Door::Push, vec![Step::Send(body(l))], ended(&[408])),
        script("a client at the admin port that says nothing is cut off", Door::Admin, vec![], Right::Ended(&[CUT, 408], cut_by(10))),
        script("a header of a byte a second at the admin port is cut off", Door::Admin, vec![head, slow(line)], Right::Ended(&[CUT, 408], cut_by(25))),
        script("a request whose sender has ended his direction is answered", Door::Api, vec![Step::Send(get("/problems")), Step::HalfClose], Right::OneOf(&[200, CUT])),
        script("a statement whose sender has ended his direction is answered", Door::Api, vec![Step::Send(post(p, "{}")), Step::HalfClose], Right::OneOf(&[422, CUT])),
        script("half a head and an end are no request", Door::Api, vec![Step::Send(b"GET /prob".to_vec()), Step::HalfClose], ended(&[CUT, 400])),
        script("an end before anything is no request", Door::Api, vec![Step::HalfClose], ended(&[CUT])),
    ]
}

/// Who goes away: the house has nothing to say, and lives on.
fn leavers() -> Vec<Case> {
    let crowd = |name: &'static str, door: Door, bytes: Vec<u8>| {
        Case::free(name, door, move |house| {
            for _ in 0..200 {
                let stream = house.connect(door)?;
                perform(&stream, &[Step::Send(bytes.clone()), Step::Leave])?;
            }
            Ok(())
        })
    };
    let body = b"POST /api/v1/preferences HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 400\r\n\r\n{\"budget\":".to_vec();
    vec![
        crowd("two hundred that connect and go are forgotten", Door::Api, Vec::new()),
        crowd(
            "two hundred that go in the middle of a head are forgotten",
            Door::Api,
            b"GET /openapi.json HTTP/1.1\r\nho".to_vec(),
        ),
        crowd("two hundred that go in the middle of a body are forgotten", Door::Api, body),
        crowd("two hundred that go before a large answer are forgotten", Door::Api, get("/openapi.json")),
        crowd("two hundred that ask a hundred times and go are forgotten", Door::Api, get("/problems").repeat(100)),
        crowd(
            "two hundred that go in the middle of a push are forgotten",
            Door::Push,
            b"POST /feeds/a/listings HTTP/1.1\r\nhost: x\r\ncontent-length: 400\r\n\r\n{".to_vec(),
        ),
        crowd("fifty times four that go before metrics are forgotten", Door::Admin, get("/metrics")),
    ]
}

fn open_stream(house: &House) -> Result<TcpStream> {
    let stream = house.connect(Door::Api)?;
    let headers = format!("authorization: Bearer {}\r\n", house.token);
    perform(&stream, &[Step::Send(ask("GET", "/api/v1/recommendations/stream", &headers))])?;
    Ok(stream)
}

fn streams() -> Vec<Case> {
    vec![
        Case::free("a stream says that it is there although its client says nothing", Door::Api, |house| {
            let stream = open_stream(house)?;
            let mut reader = Reader::new(&stream, Duration::from_secs(30));
            let answer = reader.answer(false)?.context("no answer")?;
            ensure!(answer.status == 200, "{answer:?}");
            for _ in 0..5 {
                reader.take_until(b":\n\n")?.context("the stream ended")?;
            }
            Ok(())
        }),
        Case::free("streams that are opened and reset give their places back", Door::Api, |house| {
            for _ in 0..100 {
                drop(open_stream(house)?);
            }
            until("a stream can be opened again", patience(30), || {
                let stream = open_stream(house)?;
                let answer = Reader::new(&stream, Duration::from_secs(10)).answer(false)?.context("no answer")?;
                Ok((answer.status == 200).then_some(()))
            })
        }),
        Case::free("a client that talks on while it reads a stream is not listened to", Door::Api, |house| {
            let stream = open_stream(house)?;
            perform(&stream, &[Step::Send(get("/nowhere").repeat(1_000))])?;
            let mut reader = Reader::new(&stream, Duration::from_secs(30));
            let answer = reader.answer(false)?.context("no answer")?;
            ensure!(answer.status == 200, "{answer:?}");
            Ok(())
        }),
        Case::free("a client that asks for far more than it reads is cut off", Door::Api, |house| {
            let stream = house.connect(Door::Api)?;
            stream.set_write_timeout(Some(SECOND))?;
            perform(&stream, &[Step::Send(get("/openapi.json").repeat(2_000))])?;
            let begun = Instant::now();
            until("it is cut off", cut_by(LIMIT_S), || {
                use std::io::Write as _;
                let mut writer = &stream;
                stream.set_write_timeout(Some(Duration::from_millis(200)))?;
                match writer.write(b"GET / HTTP/1.1\r\n") {
                    Err(error)
                        if !matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) =>
                    {
                        Ok(Some(()))
                    }
                    _ => Ok(None),
                }
            })
            .with_context(|| format!("after {:?}", begun.elapsed()))
        }),
    ]
}

pub fn cases() -> Vec<Case> {
    [drips(), streams(), leavers()].into_iter().flatten().collect()
}
