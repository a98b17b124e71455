//! What becomes of a refresh token, by what is known of its family. Pure.
//!
//! A refresh token is good once. Who comes with one that was used before is either a client that lost the answer, which comes
//! at once, or a thief (or the victim of one), who comes later: then the whole family ends, for nobody can tell the two apart.

use std::time::Duration;

use schemas::access::TokenFamily;
use schemas::units::Instant;

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// The generation begins: append it, then answer its tokens.
    Rotate(u32),
    /// It began a moment ago: answer its tokens again.
    Again(u32),
    /// An old token: end the family.
    Reuse,
    /// The family has ended.
    Ended,
}

/// What becomes of a token of generation `presented`.
///
/// A generation beyond what is known is good: its token is signed, so the log had it, and this process will hear of it in a
/// moment. That is also so of a family that is not known at all.
pub fn turn(known: Option<&TokenFamily>, presented: u32, now: Instant, grace: Duration) -> Turn {
    let Some(family) = known else { return Turn::Rotate(presented.saturating_add(1)) };
    let since_ms = now.ms().saturating_sub(family.rotated_at.ms());
    let is_fresh = u128::try_from(since_ms).unwrap_or_default() <= grace.as_millis();
    match presented.checked_add(1) {
        _ if family.revoked_at.is_some() => Turn::Ended,
        None => Turn::Ended,
        Some(next) if next > family.generation => Turn::Rotate(next),
        Some(next) if next == family.generation && is_fresh => Turn::Again(next),
        Some(_) => Turn::Reuse,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use schemas::id::{AccessId, SessionId};

    #[test]
    fn a_token_is_good_once_and_for_a_moment_again() {
        let at = |ms: i64| Instant::from_ms(ms).unwrap();
        let family = |revoked: Option<i64>| TokenFamily {
            family_id: AccessId::random(),
            session_id: SessionId::from_bits(7),
            generation: 2,
            rotated_at: at(100_000),
            expires_at: at(200_000),
            revoked_at: revoked.map(at),
        };
        let grace = Duration::from_secs(30);
        let turn = |family: Option<&TokenFamily>, presented, ms| super::turn(family, presented, at(ms), grace);
        assert_eq!(turn(None, 0, 0), Turn::Rotate(1));
        for (presented, ms, expected) in [
            (2, 100_000, Turn::Rotate(3)),
            (2, 190_000, Turn::Rotate(3)),
            (1, 130_000, Turn::Again(2)),
            // The other process's clock is behind.
            (1, 99_000, Turn::Again(2)),
            (1, 130_001, Turn::Reuse),
            (0, 100_000, Turn::Reuse),
            // Another process renewed it, and its word is on the way.
            (3, 100_000, Turn::Rotate(4)),
            (u32::MAX, 100_000, Turn::Ended),
        ] {
            assert_eq!(turn(Some(&family(None)), presented, ms), expected, "{presented} at {ms}");
            assert_eq!(turn(Some(&family(Some(1))), presented, ms), Turn::Ended);
        }
    }
}
