//! One hostile client: what it does to a socket, and which answers are right. Knows no request: the tables have them.

use std::io::Write as _;
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::answer::Reader;
use super::house::House;

/// In a list of right statuses: the connection may also be closed without a word.
pub const CUT: u16 = 0;
/// Longest time for an answer to anything, on a busy machine: above every limit that the house was given.
const ANSWERED: Duration = Duration::from_secs(30);

/// Which port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    Api,
    Push,
    Admin,
}

/// What a client does.
#[derive(Clone, Debug)]
pub enum Step {
    /// Writes; who is cut off meanwhile goes on to read.
    Send(Vec<u8>),
    /// Writes byte by byte with pauses, until all is written or the connection ends.
    Drip(Vec<u8>, Duration),
    /// Ends its own direction.
    HalfClose,
    /// Goes away without reading: what was not read turns the end into a reset.
    Leave,
}

/// Which end is right.
#[derive(Clone, Debug)]
pub enum Right {
    /// The first answer has one of these statuses; `CUT` as well.
    OneOf(&'static [u16]),
    /// So many answers, each with one of these statuses.
    Answers(usize, &'static [u16]),
    /// At most one answer with one of these statuses, and then the end, within so long.
    Ended(&'static [u16], Duration),
}

type Run = Box<dyn Fn(&House) -> Result<()> + Send + Sync>;

/// A named case.
pub struct Case {
    pub name: String,
    pub door: Door,
    pub run: Run,
}

impl Case {
    /// A script of steps at a door.
    pub fn script(name: impl Into<String>, door: Door, steps: Vec<Step>, right: Right) -> Self {
        Self { name: name.into(), door, run: Box::new(move |house| play(house, door, &steps, &right)) }
    }

    /// Bytes to the API, and the statuses that are right.
    pub fn said(name: impl Into<String>, bytes: impl Into<Vec<u8>>, statuses: &'static [u16]) -> Self {
        Self::script(name, Door::Api, vec![Step::Send(bytes.into())], Right::OneOf(statuses))
    }

    /// What needs the house to be written: a token, a cursor.
    pub fn told(
        name: impl Into<String>,
        statuses: &'static [u16],
        bytes: impl Fn(&House) -> Vec<u8> + Send + Sync + 'static,
    ) -> Self {
        let run = move |house: &House| play(house, Door::Api, &[Step::Send(bytes(house))], &Right::OneOf(statuses));
        Self { name: name.into(), door: Door::Api, run: Box::new(run) }
    }

    /// Anything else.
    pub fn free(
        name: impl Into<String>,
        door: Door,
        run: impl Fn(&House) -> Result<()> + Send + Sync + 'static,
    ) -> Self {
        Self { name: name.into(), door, run: Box::new(run) }
    }
}

/// A table of bytes to the API.
pub fn table(rows: Vec<(&str, Vec<u8>, &'static [u16])>) -> Vec<Case> {
    rows.into_iter().map(|(name, bytes, statuses)| Case::said(name, bytes, statuses)).collect()
}

/// Performs the steps; `true` when the client has gone away itself.
pub fn perform(stream: &TcpStream, steps: &[Step]) -> Result<bool> {
    let mut writer = stream;
    for step in steps {
        match step {
            // Cut off meanwhile: what was answered tells why.
            Step::Send(bytes) => drop(writer.write_all(bytes)),
            Step::Drip(bytes, pause) => {
                for byte in bytes {
                    if writer.write_all(std::slice::from_ref(byte)).is_err() {
                        break;
                    }
                    let next = Instant::now() + *pause;
                    while Instant::now() < next {
                        std::thread::park_timeout(next.saturating_duration_since(Instant::now()));
                    }
                }
            }
            // Gone already: as good.
            Step::HalfClose => drop(stream.shutdown(Shutdown::Write)),
            Step::Leave => return Ok(true),
        }
    }
    Ok(false)
}

fn play(house: &House, door: Door, steps: &[Step], right: &Right) -> Result<()> {
    let begun = Instant::now();
    let stream = house.connect(door)?;
    let is_head = steps.iter().any(|step| matches!(step, Step::Send(bytes) if bytes.starts_with(b"HEAD ")));
    if perform(&stream, steps)? {
        return Ok(());
    }
    let mut reader = Reader::new(&stream, ANSWERED);
    let judged = |answer: &super::answer::Answer, statuses: &[u16]| -> Result<()> {
        ensure!(statuses.contains(&answer.status), "answered {answer:?}, right are {statuses:?}");
        if door != Door::Admin {
            answer.is_well_formed(is_head)?;
        }
        ensure!(answer.status < 400 || !tells(&answer.body, &house.token), "an error tells the token: {answer:?}");
        ensure!(answer.header("set-cookie").is_none() && answer.header("x-injected").is_none(), "injected: {answer:?}");
        Ok(())
    };
    match right {
        Right::OneOf(statuses) => match reader.answer(is_head)? {
            Some(answer) => judged(&answer, statuses),
            None => {
                ensure!(statuses.contains(&CUT), "closed without an answer, right are {statuses:?}");
                Ok(())
            }
        },
        Right::Answers(count, statuses) => {
            for n in 0..*count {
                let answer = reader.answer(is_head)?.with_context(|| format!("closed after {n} answers"))?;
                judged(&answer, statuses)?;
            }
            Ok(())
        }
        Right::Ended(statuses, within) => {
            match reader.answer(is_head)? {
                Some(answer) => judged(&answer, statuses)?,
                None => ensure!(statuses.contains(&CUT), "closed without an answer"),
            }
            let another = reader.answer(is_head)?;
            ensure!(another.is_none(), "answered a second time: {another:?}");
            ensure!(begun.elapsed() < *within, "ended after {:?}", begun.elapsed());
            Ok(())
        }
    }
}

/// Whether a problem has the token in it; but for `instance`, which is the path that the client chose.
fn tells(problem: &[u8], token: &str) -> bool {
    let mut problem: serde_json::Value = serde_json::from_slice(problem).unwrap_or_default();
    problem.as_object_mut().map(|members| members.remove("instance"));
    problem.to_string().contains(token)
}
