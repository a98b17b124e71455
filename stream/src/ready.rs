//! Which of a reader's partitions have something new, and a place to wait for that. The marks are set by librdkafka's
//! threads, which hold a queue's lock while they do (so nothing here may call librdkafka), or by the embedded log's writer.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex};
use std::time::Duration;

use crate::locked::{lock, wait};

#[derive(Default)]
pub(crate) struct Ready {
    marks: Mutex<Marks>,
    changed: Condvar,
}

#[derive(Default)]
struct Marks {
    main: bool,
    /// Lanes with something in them, in the order in which they got it; each at most once.
    lanes: VecDeque<usize>,
    listed: Vec<bool>,
}

impl Ready {
    /// The main queue is no longer empty.
    pub(crate) fn main(&self) {
        lock(&self.marks).main = true;
        self.changed.notify_one();
    }

    /// The queue of this lane is no longer empty.
    pub(crate) fn lane(&self, index: usize) {
        let mut marks = lock(&self.marks);
        if marks.listed.len() <= index {
            marks.listed.resize(index + 1, false);
        }
        if !marks.listed[index] {
            marks.listed[index] = true;
            marks.lanes.push_back(index);
            drop(marks);
            self.changed.notify_one();
        }
    }

    /// To be called before the main queue is emptied: what comes later marks it again.
    pub(crate) fn main_seen(&self) {
        lock(&self.marks).main = false;
    }

    /// Unmarks a lane; it is to be emptied, or marked again.
    pub(crate) fn next_lane(&self) -> Option<usize> {
        let mut marks = lock(&self.marks);
        let index = marks.lanes.pop_front()?;
        marks.listed[index] = false;
        Some(index)
    }

    pub(crate) fn wait_for_any(&self, timeout: Duration) {
        wait(&self.marks, &self.changed, timeout, |marks| marks.main || !marks.lanes.is_empty());
    }

    pub(crate) fn wait_for_main(&self, timeout: Duration) {
        wait(&self.marks, &self.changed, timeout, |marks| marks.main);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn a_lane_is_listed_once_and_in_turn() {
        let ready = Ready::default();
        for lane in [3, 1, 3, 1] {
            ready.lane(lane);
        }
        assert_eq!(ready.next_lane(), Some(3));
        ready.lane(3);
        assert_eq!([ready.next_lane(), ready.next_lane(), ready.next_lane()], [Some(1), Some(3), None]);
    }

    #[test]
    fn a_mark_set_before_the_wait_is_not_lost() {
        let ready = Ready::default();
        ready.main();
        let start = Instant::now();
        ready.wait_for_main(Duration::from_secs(60));
        assert!(start.elapsed() < Duration::from_secs(30));
    }
}
