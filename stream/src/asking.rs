//! Asks until there is an answer, within a deadline. For the few places where nobody tells us: a cluster that is just
//! learning of a new topic or a new leader.

use std::time::{Duration, Instant};

/// Between two questions: the other side needs a few milliseconds, a question costs one.
const PAUSE: Duration = Duration::from_millis(20);

/// The first answer that is one; after `patience` the last answer, whatever it is.
pub(crate) fn until<T>(patience: Duration, mut ask: impl FnMut() -> T, is_answer: impl Fn(&T) -> bool) -> T {
    let deadline = Instant::now() + patience;
    loop {
        let answer = ask();
        if is_answer(&answer) || Instant::now() + PAUSE > deadline {
            return answer;
        }
        #[expect(clippy::disallowed_methods, reason = "this is the polling with a deadline, and nobody would wake us")]
        std::thread::sleep(PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_answer_is_told_when_patience_ends() {
        let mut asked = 0;
        let last = until(
            Duration::from_millis(50),
            || {
                asked += 1;
                asked
            },
            |_| false,
        );
        assert!(last >= 2 && last == asked);
        assert_eq!(until(Duration::ZERO, || 7, |answer| *answer == 7), 7);
    }
}
