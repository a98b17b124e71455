//! Load for one address: threads with a keep-alive connection each that ask without a pause, at a fixed rate, or everything once.
//!
//! At a fixed rate every request has its time, whatever became of those before (an open loop), and its latency counts from then: a
//! server that stands still is late for all that was due meanwhile. Nothing is pipelined. The threads run on the cores of the
//! server, and take from it what they use.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::http::Connection;
use crate::machine;
use crate::spread::Spread;

/// What is asked, again and again in this order.
#[derive(Clone, Debug)]
pub struct Requests {
    /// `host:port`.
    pub address: String,
    /// Each as bytes.
    pub each: Arc<Vec<Vec<u8>>>,
    /// What every answer must be.
    pub status: u16,
}

/// When the next request is sent.
#[derive(Clone, Copy, Debug)]
pub enum Pace {
    /// As soon as the answer before it is there, for so long.
    Full(Duration),
    /// So many a second in all, for so long.
    Fixed(f64, Duration),
    /// As soon as the answer before it is there, each request once.
    Once,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Answers a second.
    pub rate: f64,
    /// Answers per second of CPU of each group of processes that was watched.
    pub per_cpu: Vec<f64>,
    /// Milliseconds from when it was due, or sent, to the last byte of the answer.
    pub times: Spread,
    /// Bytes of body, the mean.
    pub body: usize,
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rate, per_cpu, times, .. } = self;
        let [p50, p99] = [0.5, 0.99].map(|share| times.at(share));
        let per_cpu: Vec<String> = per_cpu.iter().map(|rate| format!("{rate:.0}")).collect();
        write!(f, "{rate:.0}/s ({}), {p50:.2} / {p99:.2} ms", per_cpu.join("; "))
    }
}

impl Requests {
    /// Asks over so many connections; `watched` are groups of the server's processes.
    pub fn ask(&self, connections: usize, pace: Pace, watched: &[Vec<u32>]) -> Result<Asked> {
        let next = Arc::new(AtomicUsize::new(0));
        let used = || watched.iter().map(|group| machine::cpu_seconds_of(group));
        let before: Vec<f64> = used().collect();
        let begun = Instant::now();
        let threads: Vec<_> = (0..connections)
            .map(|_| {
                let (requests, next) = (self.clone(), Arc::clone(&next));
                std::thread::spawn(move || requests.ask_as_one(pace, begun, &next))
            })
            .collect();
        let (mut times, mut bytes) = (Vec::new(), 0);
        for thread in threads {
            let (of_one, size) = thread.join().map_err(|_| anyhow::anyhow!("a client panicked"))??;
            times.extend(of_one);
            bytes += size;
        }
        let (count, seconds) = (times.len() as f64, begun.elapsed().as_secs_f64());
        // Less than a tick of the clock is no measurement.
        let per_cpu = used().zip(before).map(|(after, before)| count / (after - before).max(0.01)).collect();
        ensure!(count > 0.0, "{}: nothing was asked", self.address);
        Ok(Asked { rate: count / seconds, per_cpu, body: bytes / times.len(), times: Spread::of(times) })
    }

    fn ask_as_one(&self, pace: Pace, begun: Instant, next: &AtomicUsize) -> Result<(Vec<f64>, usize)> {
        let (mut connection, mut body) = (Connection::open(&self.address)?, Vec::new());
        let (mut times, mut bytes) = (Vec::new(), 0);
        loop {
            let turn = next.fetch_add(1, Ordering::Relaxed);
            let due = match pace {
                Pace::Full(time) => {
                    let now = begun.elapsed();
                    (now < time).then_some(now)
                }
                Pace::Fixed(rate, time) => Some(Duration::from_secs_f64(turn as f64 / rate)).filter(|due| *due < time),
                Pace::Once => (turn < self.each.len()).then(|| begun.elapsed()),
            };
            let Some(due) = due else { return Ok((times, bytes)) };
            while let Some(early) = due.checked_sub(begun.elapsed()).filter(|early| !early.is_zero()) {
                std::thread::park_timeout(early);
            }
            let status = connection.ask(&self.each[turn % self.each.len()], &mut body)?;
            times.push((begun.elapsed().saturating_sub(due)).as_secs_f64() * 1e3);
            bytes += body.len();
            ensure!(
                status == self.status,
                "{} answers {status} instead of {}: {}",
                self.address,
                self.status,
                String::from_utf8_lossy(&body[..body.len().min(600)])
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader, Write as _};
    use std::net::{TcpListener, TcpStream};

    use super::*;

    /// Answers 200 on every connection until it is closed; holds the first answer back for so long.
    fn server(hold: Duration) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                std::thread::spawn(move || serve(stream.unwrap(), hold));
            }
        });
        address
    }

    fn serve(stream: TcpStream, hold: Duration) {
        let (mut out, begun) = (stream.try_clone().unwrap(), Instant::now());
        for line in BufReader::new(stream).lines() {
            if line.unwrap().is_empty() {
                while begun.elapsed() < hold {
                    std::thread::park_timeout(hold);
                }
                out.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").unwrap();
            }
        }
    }

    fn requests(address: String, count: usize) -> Requests {
        let each = Arc::new(vec![crate::http::request(&address, "/", ""); count]);
        Requests { address, each, status: 200 }
    }

    #[test]
    fn everything_once_is_everything_and_not_more() {
        let asked = requests(server(Duration::ZERO), 50).ask(4, Pace::Once, &[]).unwrap();
        assert_eq!((asked.times.len(), asked.body), (50, 2));
    }

    #[test]
    fn who_was_due_while_the_server_stood_still_was_late() {
        let (hold, time) = (Duration::from_millis(300), Duration::from_millis(400));
        let asked = requests(server(hold), 1).ask(1, Pace::Fixed(100.0, time), &[]).unwrap();
        assert_eq!(asked.times.len(), 40);
        // 30 of the 40 were due before the first answer, and waited the longer the earlier they were due.
        assert!(asked.times.at(0.4) > 40.0, "{:?}", asked.times);
    }

    #[test]
    fn an_answer_that_is_none_of_those_expected_ends_the_run() {
        let wrong = Requests { status: 304, ..requests(server(Duration::ZERO), 1) };
        let error = wrong.ask(1, Pace::Once, &[]).unwrap_err().to_string();
        assert!(error.contains("answers 200 instead of 304"), "{error}");
    }
}
