//! What all sessions of a shard see, as one number: the sum, modulo 2^64, of one hash per session. Equal for equal sight,
//! whatever order, batches, engine, restarts and owners led to it; kept at the cost of one hash per emit.
//!
//! A session's hash is XXH3 (64 bits, seed 0, a function that is fixed for good) of its id, the version of its statement, and
//! for each listing that it sees, the best first, the score and the id. What is only shown of a listing is not in it: that
//! follows from the facts. A sum, because a session that is counted twice or taken out twice by mistake shows in it, which the
//! exclusive or would cancel; 64 bits, because it is a guard against mistakes and not against people.
//!
//! Pure. What the logs say it should be is `state/rebuilt.rs`; `state/verify.rs` reads them and compares.

pub mod rebuilt;
pub mod verify;

use std::num::NonZeroU64;

use rustc_hash::FxHashMap;
use schemas::id::SessionId;
use schemas::state_hash::StateHash;
use xxhash_rust::xxh3::xxh3_64;

use crate::engine::{SHOWN, TopThree};

/// Bytes of a typical session's term: three listing ids of some twenty bytes.
const USUAL_BYTES: usize = 16 + 8 + SHOWN * (4 + 2 + 24);

/// What one session adds: it stated its preferences as `version`, and sees `top`.
pub fn term(session: SessionId, version: u64, top: &TopThree) -> u64 {
    let mut bytes = Vec::with_capacity(USUAL_BYTES);
    bytes.extend(session.bits().to_le_bytes());
    bytes.extend(version.to_le_bytes());
    for key in top.keys() {
        let id = key.listing.0.as_str();
        bytes.extend(key.score.to_le_bytes());
        // A listing id has at most 320 bytes. Its length first, so that no two lists run together to the same bytes.
        bytes.extend((id.len() as u16).to_le_bytes());
        bytes.extend(id.as_bytes());
    }
    xxh3_64(&bytes)
}

/// One session.
#[derive(Clone, Copy, Debug)]
struct Seen {
    /// What it adds to the sum.
    term: u64,
    /// Hash of the cell `items` last sent; `None`: none was. With the id, that makes 32 bytes.
    sent: Option<NonZeroU64>,
}

/// What the sessions of one shard see, and which cells of them were sent.
#[derive(Debug, Default)]
pub struct Sight {
    sum: u64,
    sessions: FxHashMap<SessionId, Seen>,
}

impl Sight {
    /// The session, of this statement, sees these from now on.
    pub fn sees(&mut self, session: SessionId, version: u64, top: &TopThree) {
        let term = term(session, version, top);
        let seen = self.sessions.entry(session).or_insert(Seen { term: 0, sent: None });
        self.sum = self.sum.wrapping_sub(seen.term).wrapping_add(term);
        seen.term = term;
    }

    /// The session is no more.
    pub fn forget(&mut self, session: SessionId) {
        if let Some(seen) = self.sessions.remove(&session) {
            self.sum = self.sum.wrapping_sub(seen.term);
        }
    }

    /// A cell with this hash is about to be sent. Returns whether the one sent before had another.
    pub fn sends(&mut self, session: SessionId, cell_hash: u64) -> bool {
        // One of the 2^64 stands for two.
        let sent = NonZeroU64::new(cell_hash).or(Some(NonZeroU64::MIN));
        self.sessions.get_mut(&session).is_none_or(|seen| std::mem::replace(&mut seen.sent, sent) != sent)
    }

    /// Of all sessions.
    pub const fn hash(&self) -> StateHash {
        StateHash::from_bits(self.sum)
    }

    /// How many sessions there are.
    pub fn sessions(&self) -> u64 {
        self.sessions.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use std::cmp::Reverse;

    use super::*;
    use crate::score::Key;

    fn top(keys: &[(u32, &str)]) -> TopThree {
        let key = |&(score, id): &(u32, &str)| Key { score, listing: Reverse(id.parse().unwrap()) };
        TopThree::best_of(keys.iter().map(key).collect())
    }
    fn session(number: u128) -> SessionId {
        SessionId::from_bits(number)
    }

    /// The number must not change with a toolchain, a processor or a version of a crate: rows and other processes have it.
    #[test]
    fn a_session_adds_what_it_always_added() {
        let top = top(&[(900_000, "mls:1"), (800_000, "redfin:20")]);
        assert_eq!(format!("{:016x}", term(session(7), 512, &top)), "4adb1bb0606e3eb9");
    }

    #[test]
    fn everything_that_a_session_sees_counts_and_whose_it_is() {
        let terms = [
            term(session(1), 1, &top(&[])),
            term(session(2), 1, &top(&[])),
            term(session(1), 2, &top(&[])),
            term(session(1), 1, &top(&[(5, "a:1")])),
            term(session(1), 1, &top(&[(6, "a:1")])),
            term(session(1), 1, &top(&[(5, "a:2")])),
            term(session(1), 1, &top(&[(5, "a:1"), (4, "a:2")])),
            term(session(1), 1, &top(&[(4, "a:1"), (5, "a:2")])),
        ];
        for (i, one) in terms.iter().enumerate() {
            assert!(terms[..i].iter().all(|other| other != one), "{i}");
        }
    }

    #[test]
    fn the_sum_is_of_what_is_seen_last_and_in_no_order() {
        let (mut one, mut other) = (Sight::default(), Sight::default());
        one.sees(session(1), 1, &top(&[(5, "a:1")]));
        one.sees(session(2), 2, &top(&[]));
        one.sees(session(3), 3, &top(&[(9, "a:9")]));
        one.sees(session(1), 4, &top(&[(6, "a:1")]));
        one.forget(session(3));
        one.forget(session(3));
        other.sees(session(2), 2, &top(&[]));
        other.sees(session(1), 4, &top(&[(6, "a:1")]));
        assert_eq!((one.hash(), one.sessions()), (other.hash(), 2));
        other.forget(session(1));
        other.forget(session(2));
        assert_eq!((other.hash(), other.sessions()), (Sight::default().hash(), 0));
    }

    #[test]
    fn what_a_session_sees_does_not_tell_what_was_sent_to_it() {
        let mut sight = Sight::default();
        assert!(sight.sends(session(1), 7), "nothing is remembered of a session that sees nothing");
        sight.sees(session(1), 1, &top(&[]));
        let first: Vec<bool> = [7, 7, 0, 0, 8].map(|hash| sight.sends(session(1), hash)).into();
        assert_eq!(first, [true, false, true, false, true]);
        sight.sees(session(1), 2, &top(&[(5, "a:1")]));
        assert!(!sight.sends(session(1), 8));
    }

    #[test]
    fn what_was_sent_is_remembered_without_more_room() {
        assert_eq!(size_of::<(SessionId, Seen)>(), size_of::<(SessionId, u64)>());
    }
}
