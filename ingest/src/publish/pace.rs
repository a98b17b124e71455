//! At most so many records per second.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use super::http::wait_until;

/// How much of a pause may be made up for: a hiccup, not a minute's worth at once.
const MAX_CATCH_UP: Duration = Duration::from_millis(100);

pub(super) struct Pace {
    interval: Option<Duration>,
    next: Option<Instant>,
}

impl Pace {
    pub(super) fn new(rate: Option<NonZeroU32>) -> Self {
        Self { interval: rate.map(|rate| Duration::from_secs(1) / rate.get()), next: None }
    }

    /// Waits for the turn of the next record.
    pub(super) fn wait(&mut self) {
        if let Some(turn) = self.turn(Instant::now()) {
            wait_until(turn);
        }
    }

    /// When the next record's turn is; `None`: at once.
    fn turn(&mut self, now: Instant) -> Option<Instant> {
        let interval = self.interval?;
        let earliest = now.checked_sub(MAX_CATCH_UP).unwrap_or(now);
        let turn = self.next.map_or(now, |next| next.max(earliest));
        self.next = Some(turn + interval);
        (turn > now).then_some(turn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_take_turns_at_the_rate() {
        let mut pace = Pace::new(NonZeroU32::new(10));
        let start = Instant::now();
        let ms = |turn: Option<Instant>| turn.map(|at| at.duration_since(start).as_millis());
        assert_eq!(ms(pace.turn(start)), None);
        assert_eq!(ms(pace.turn(start)), Some(100));
        assert_eq!(ms(pace.turn(start + Duration::from_millis(150))), Some(200));
        let late = start + Duration::from_secs(9);
        assert_eq!(ms(pace.turn(late)), None);
        assert_eq!(ms(pace.turn(late)), None, "a tenth of a second is made up for");
        assert_eq!(ms(pace.turn(late)), Some(9_100));
        assert_eq!(Pace::new(None).turn(start), None);
    }
}
