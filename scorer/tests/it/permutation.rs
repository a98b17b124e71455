//! One history of changes, told in other ways: keys in another order, other batches, another kernel, a restart somewhere in
//! the middle. Whatever the way, sessions must see the same in the end.
//!
//! Does not make the history (`world.rs`), nor says what is right (the oracle). `bench` includes this file, to tell many more.

use std::collections::{BTreeMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};

use schemas::id::{ListingId, SessionId};
use scorer::engine::indexed::{Indexed, Tuning};
use scorer::engine::kernel::Kernel;
use scorer::engine::{Change, Engine, TopThree};

/// A number below the one that is given, at random; everything of a telling follows from these.
pub type Below<'a> = dyn FnMut(usize) -> usize + 'a;

/// What a change is of: changes of one keep their order, as in a partition of a log.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Subject<'a> {
    Listing(&'a ListingId),
    Session(SessionId),
}

fn subject(change: &Change) -> Subject<'_> {
    match change {
        Change::Listing { id, .. } => Subject::Listing(id),
        Change::Session { id, .. } => Subject::Session(*id),
    }
}

/// Every kernel of this machine, with tables even for the smallest bucket, and with some sessions asked one by one.
pub fn tunings() -> Vec<Tuning> {
    let kernels = [Some(Kernel::Portable), Kernel::avx512()].into_iter().flatten();
    kernels.flat_map(|kernel| [0, 3].map(|few| Tuning { kernel, few })).collect()
}

/// The last change of each listing and session.
pub fn newest(changes: &[Change]) -> Vec<Change> {
    let newest: BTreeMap<Subject<'_>, &Change> = changes.iter().map(|change| (subject(change), change)).collect();
    newest.into_values().cloned().collect()
}

/// In another order across keys; the changes of one key keep theirs.
pub fn shuffled(changes: &[Change], below: &mut Below<'_>) -> Vec<Change> {
    let mut order: Vec<Subject<'_>> = changes.iter().map(subject).collect();
    for last in (1..order.len()).rev() {
        order.swap(last, below(last + 1));
    }
    let mut of: BTreeMap<Subject<'_>, VecDeque<&Change>> = BTreeMap::new();
    for change in changes {
        of.entry(subject(change)).or_default().push_back(change);
    }
    order.iter().filter_map(|subject| of.get_mut(subject)?.pop_front().cloned()).collect()
}

/// Of what these sessions see, with scores, in whatever order they come; a session that is not known counts as that.
pub fn digest<'a>(tops: impl IntoIterator<Item = (&'a SessionId, Option<TopThree>)>) -> u64 {
    let one = |seen: (&SessionId, Option<TopThree>)| {
        let mut hasher = DefaultHasher::new();
        seen.hash(&mut hasher);
        hasher.finish()
    };
    tops.into_iter().map(one).fold(0, u64::wrapping_add)
}

/// As [`digest`], of an engine.
pub fn digest_of(engine: &dyn Engine, sessions: &[SessionId]) -> u64 {
    digest(sessions.iter().map(|session| (session, engine.top_three(*session))))
}

/// A process: an engine of some tuning, and what a reader of its emits knows.
struct Process {
    engine: Indexed,
    cells: BTreeMap<SessionId, TopThree>,
}

impl Process {
    fn start(below: &mut Below<'_>) -> Self {
        let tunings = tunings();
        Self { engine: Indexed::tuned(tunings[below(tunings.len())]), cells: BTreeMap::new() }
    }

    fn take(&mut self, changes: &[Change], below: &mut Below<'_>) {
        let longest = [1, 8, 64, 512][below(4)];
        let mut rest = changes;
        while !rest.is_empty() {
            let (batch, left) = rest.split_at((1 + below(longest)).min(rest.len()));
            let mut emits = Vec::new();
            self.engine.apply(batch, &mut emits);
            self.cells.extend(emits.into_iter().map(|emit| (emit.session, emit.top)));
            rest = left;
        }
    }

    /// Of what the engine says, which the emits must have said too.
    fn digest(&self, sessions: &[SessionId]) -> Result<u64, String> {
        for session in sessions {
            let (told, sees) = (self.cells.get(session), self.engine.top_three(*session));
            if sees.is_some() && told != sees.as_ref() {
                return Err(format!("{session} sees {sees:?} and was told {told:?}"));
            }
        }
        Ok(digest_of(&self.engine, sessions))
    }
}

/// The [`digest_of`] an engine that was told the history in another way, with a restart.
pub fn retold(history: &[Change], sessions: &[SessionId], below: &mut Below<'_>) -> Result<u64, String> {
    let history = shuffled(history, below);
    let at = below(history.len() + 1);
    let mut before = Process::start(below);
    before.take(&history[..at], below);

    let mut after = Process::start(below);
    after.take(&shuffled(&newest(&history[..at]), below), below);
    let (was, is) = (before.digest(sessions)?, after.digest(sessions)?);
    if was != is {
        return Err(format!("a restart after {at} of {} changes: {was:016x} before, {is:016x} after", history.len()));
    }
    // What was committed lies behind what is known: some changes come twice.
    let committed = at - below(at.min(100) + 1);
    after.take(&history[committed..], below);
    after.digest(sessions)
}
