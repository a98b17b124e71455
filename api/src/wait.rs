//! Waiting for a row that follows from a statement: `?min_version=` and `?wait=`, the same for every row of a session.

use std::time::{Duration, Instant as Moment};

use axum::http::Uri;

use crate::app::App;
use crate::problem::Problem;
use crate::query::Query;
use crate::tail::Verdict;

/// First pause between two looks at a row that is waited for: a scorer without lag needs a few milliseconds.
pub const FIRST_PAUSE: Duration = Duration::from_millis(2);
/// Longest pause between two looks: a waiting client costs at most ten reads per second.
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// The pause after this one.
pub fn next_pause(pause: Duration) -> Duration {
    (pause * 3 / 2).min(LONGEST_PAUSE)
}

/// What the client asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ask {
    /// The oldest statement whose row is an answer.
    pub min_version: Option<u64>,
    /// How long it may take.
    pub wait: Duration,
}

impl Ask {
    /// Reads the query.
    pub fn read(uri: &Uri, max_wait: Duration) -> Result<Self, Problem> {
        let mut query = Query::read(uri, &["min_version", "wait"]);
        let min_version =
            query.parsed("min_version", "a statement's version: a whole number", |text| text.parse().ok());
        let expected = format!("2s, 500ms or a number of seconds, at most {} s", max_wait.as_secs());
        let wait = query.parsed("wait", &expected, |text| duration(text).filter(|wait| *wait <= max_wait));
        query.finish()?;
        Ok(Self { min_version, wait: wait.unwrap_or_default() })
    }
}

/// `2s`, `500ms`, or a number of seconds.
fn duration(text: &str) -> Option<Duration> {
    if let Ok(seconds) = text.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    text.parse::<jiff::SignedDuration>().ok()?.try_into().ok()
}

/// What one look at the row led to.
pub struct Look<R> {
    /// What to do.
    pub step: Step,
    /// The row, if there is one.
    pub row: Option<R>,
    /// The statement that it follows from, if that may be told.
    pub version: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The row is what was asked for.
    Answer,
    /// The session is there, the answer is not.
    NotYet,
    /// Nobody here knows the session: another process may have accepted it an instant ago.
    LookAgain,
    /// There is no such session.
    NotFound,
}

/// What a row of `row_version`, and what is known of its session, lead to.
pub fn decide(verdict: Verdict, row_version: Option<u64>, min_version: Option<u64>) -> Step {
    match verdict {
        Verdict::Serve if min_version.is_none_or(|min| row_version.is_some_and(|version| version >= min)) => {
            Step::Answer
        }
        Verdict::Serve | Verdict::Pending => Step::NotYet,
        // Who names a version may have stated it after the erasure, through another process.
        Verdict::Erased if min_version.is_none() => Step::NotFound,
        Verdict::Erased | Verdict::Unknown => Step::LookAgain,
    }
}

/// Looks at the row until it is what was asked for, or the time is up.
pub async fn wait_for<R, F>(app: &App, ask: Ask, look: impl Fn() -> F) -> Result<Look<R>, Problem>
where
    F: Future<Output = Result<Look<R>, Problem>>,
{
    let started = Moment::now();
    let mut stop = app.stop.clone();
    let mut pause = FIRST_PAUSE;
    let mut permit = None;
    loop {
        let look = look().await?;
        let patience = match look.step {
            Step::Answer | Step::NotFound => return Ok(look),
            Step::NotYet => ask.wait,
            Step::LookAgain => app.config.unknown_after,
        };
        let left = patience.saturating_sub(started.elapsed());
        if permit.is_none() {
            permit = app.waiting.try_acquire().ok();
        }
        if left.is_zero() || permit.is_none() || stop.is_given() {
            return Ok(look);
        }
        // Either way the next look decides.
        let _ = tokio::time::timeout(pause.min(left), stop.given()).await;
        pause = next_pause(pause);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_seconds_or_has_a_unit() {
        for (text, ms) in [("2s", 2_000), ("500ms", 500), ("2", 2_000), ("0.25", 250), ("0", 0), ("PT1S", 1_000)] {
            assert_eq!(duration(text), Some(Duration::from_millis(ms)), "{text}");
        }
        for text in ["-1", "-1s", "x", "", "NaN", "inf", "1e300"] {
            assert_eq!(duration(text), None, "{text}");
        }
        let ask = |query: &str| Ask::read(&format!("/?{query}").parse().unwrap(), Duration::from_secs(30));
        assert!(ask("wait=30s").is_ok());
        assert!(ask("wait=30001ms").is_err());
    }

    #[test]
    fn a_row_answers_when_it_is_new_enough_and_not_erased() {
        assert_eq!(decide(Verdict::Serve, Some(5), None), Step::Answer);
        assert_eq!(decide(Verdict::Serve, Some(5), Some(5)), Step::Answer);
        assert_eq!(decide(Verdict::Serve, Some(5), Some(6)), Step::NotYet);
        assert_eq!(decide(Verdict::Pending, None, None), Step::NotYet);
        assert_eq!(decide(Verdict::Erased, None, None), Step::NotFound);
        assert_eq!(decide(Verdict::Erased, None, Some(9)), Step::LookAgain);
        assert_eq!(decide(Verdict::Unknown, None, None), Step::LookAgain);
    }
}
