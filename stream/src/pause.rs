//! Notices that the process was paused (SIGSTOP, a suspended machine) by the gap between two looks at a clock that goes
//! on meanwhile. The wall clock is not one of them: it may be put forward or back while nothing stands still.

use std::fs::File;
use std::io::{Read, Seek};
use std::time::{Duration, Instant};

/// Looks at the clocks each time round a loop.
#[derive(Debug)]
pub struct PauseWatch {
    longest: Duration,
    /// The kernel's uptime (CLOCK_BOOTTIME, read without `unsafe`): goes on while the machine is suspended, where Rust's
    /// own clock stands still. `None` where the system is not Linux.
    uptime: Option<File>,
    last: Reading,
}

#[derive(Clone, Copy, Debug)]
struct Reading {
    monotonic: Instant,
    uptime: Option<Duration>,
}

impl PauseWatch {
    /// Starts to watch for pauses longer than `longest`.
    pub fn new(longest: Duration) -> Self {
        let uptime = File::open("/proc/uptime").ok();
        let last = Reading::now(uptime.as_ref());
        Self { longest, uptime, last }
    }

    /// `Err` with the length of the pause since the last look, if it was too long.
    pub fn look(&mut self) -> Result<(), Duration> {
        let now = Reading::now(self.uptime.as_ref());
        let gap = now.since(self.last);
        self.last = now;
        if gap > self.longest { Err(gap) } else { Ok(()) }
    }
}

impl Reading {
    fn now(uptime: Option<&File>) -> Self {
        Self { monotonic: Instant::now(), uptime: uptime.and_then(read) }
    }

    fn since(self, before: Self) -> Duration {
        let by_uptime = self.uptime.zip(before.uptime).map(|(now, then)| now.saturating_sub(then));
        self.monotonic.saturating_duration_since(before.monotonic).max(by_uptime.unwrap_or_default())
    }
}

/// The first of the two numbers in `/proc/uptime`, seconds.
fn read(mut file: &File) -> Option<Duration> {
    let mut text = [0_u8; 64];
    file.rewind().ok()?;
    let length = file.read(&mut text).ok()?;
    let seconds = std::str::from_utf8(&text[..length]).ok()?.split_whitespace().next()?.parse().ok()?;
    Duration::try_from_secs_f64(seconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_longer_than_allowed_is_told_whichever_clock_shows_it() {
        let mut watch = PauseWatch::new(Duration::from_secs(60));
        assert_eq!(watch.look(), Ok(()));
        watch.last.uptime = watch.last.uptime.map(|up| up.saturating_sub(Duration::from_secs(120)));
        if watch.last.uptime.is_some_and(|up| !up.is_zero()) {
            assert!(watch.look().unwrap_err() >= Duration::from_secs(61));
        }
        watch.last.monotonic -= Duration::from_secs(61);
        assert!(watch.look().is_err());
        assert_eq!(watch.look(), Ok(()));
    }
}
