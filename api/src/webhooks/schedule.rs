//! What is sent when: of every webhook and session the newest change, once, in order, again after a failure, and at last given
//! up. Pure: time is an argument, and what must be done comes out as values.
//!
//! Does not know what a change says (`message.rs`), how it is sent (`deliver.rs`), where it came from (`service.rs`), or how hosts share
//! the workers (`lanes.rs`).
//!
//! A webhook that fails is tried with one change at a time, after a pause that doubles; so a receiver that is away for a day
//! costs a few requests, however much it would have been told. A single change that fails while others pass has a pause of
//! its own.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use schemas::id::{AccessId, SessionId};

use super::lanes::{self, Lanes, Site, Turn};

/// Milliseconds of a clock that never goes back.
pub type Ms = i64;

/// The bounds.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Requests under way.
    pub requests: lanes::Bounds,
    /// Changes that wait; beyond, the oldest of the webhook that has most is given up.
    pub pending: usize,
    /// Bytes of the changes that wait.
    pub pending_bytes: usize,
    /// Pairs of webhook and session of which it is remembered what was told last, though nothing waits.
    pub remembered: usize,
    /// First pause after a failure.
    pub first_pause: Ms,
    /// Longest pause.
    pub longest_pause: Ms,
    /// How old a change may become.
    pub give_up_after: Ms,
}

/// A change of a session's picks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change<T> {
    /// When the row was written; `None`: the session was erased, which comes after all that came before it.
    pub write_timestamp: Option<i64>,
    /// What equal picks have in common.
    pub hash: Arc<str>,
    /// When it came to be.
    pub since: Ms,
    /// What it weighs.
    pub bytes: usize,
    /// What it says, for who sends it.
    pub content: T,
}

/// What became of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The receiver has it.
    Delivered,
    /// A newer one took its place.
    Superseded,
    /// It was no news.
    Known,
    /// The webhook is gone.
    Dropped,
    /// The receiver did not take it in time.
    GivenUp,
    /// There was no room for it.
    Crowded,
}

/// A change that needs no more attention. The last status is what the webhook answered last, if it did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done<T> {
    /// Of which webhook.
    pub webhook: AccessId,
    /// What became of it.
    pub fate: Fate,
    /// What it said.
    pub content: T,
}

/// A request to make now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start<T> {
    /// To which webhook.
    pub webhook: AccessId,
    /// Of which session.
    pub session: SessionId,
    /// What to say.
    pub content: T,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The receiver took it.
    Taken,
    /// It did not; `wait` is how long it asks to be left alone.
    NotTaken {
        /// Milliseconds.
        wait: Option<Ms>,
    },
    /// The receiver wants no more of this webhook.
    Gone,
}

type Pair = (AccessId, SessionId);

/// What is sent when.
pub struct Schedule<T> {
    bounds: Bounds,
    pairs: HashMap<Pair, State<T>>,
    hooks: HashMap<AccessId, Hook>,
    lanes: Lanes,
    /// Webhooks by how much waits for them.
    loads: BTreeSet<(usize, AccessId)>,
    /// Webhooks whose last request failed.
    failing: BTreeSet<AccessId>,
    /// Pairs without anything that waits, the longest so first.
    idle: BTreeMap<u64, Pair>,
    serial: u64,
    pending: usize,
    pending_bytes: usize,
}

#[derive(Debug)]
struct State<T> {
    running: Option<Running<T>>,
    pending: Option<Pending<T>>,
    /// Timestamp and hash of the last that the receiver took.
    told: Option<(Option<i64>, Arc<str>)>,
    /// The greatest timestamp seen.
    newest: Option<i64>,
    /// Failures in a row.
    failures: u32,
    /// Until when the receiver asked to be left alone with it.
    asked: Ms,
    /// Its place in `idle`.
    idle: Option<u64>,
}

#[derive(Debug)]
struct Running<T> {
    change: Change<T>,
    started: Ms,
    turn: Turn,
    /// Whether the webhook is gone, or the session's partition, since it began.
    is_orphan: bool,
}

#[derive(Debug)]
struct Pending<T> {
    change: Change<T>,
    due: Ms,
    /// In the order of coming, among those due at once.
    serial: u64,
    /// Whether it is in `Hook::queue`: not while another change of the pair is under way.
    is_queued: bool,
}

#[derive(Debug)]
struct Hook {
    site: Site,
    /// Failures in a row, those under way at once counted once.
    failures: u32,
    failed_at: Ms,
    /// While it fails: when it is tried next.
    retry_at: Ms,
    running: usize,
    /// What waits, by when it is due.
    queue: BTreeSet<(Ms, u64, SessionId)>,
    /// What waits, by age.
    ages: BTreeSet<(Ms, SessionId)>,
    /// When it is to be started next, as `lanes` has it.
    ready: Option<Ms>,
}

impl<T: Clone> Schedule<T> {
    /// Nothing waits.
    pub fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            pairs: HashMap::new(),
            hooks: HashMap::new(),
            lanes: Lanes::new(bounds.requests),
            loads: BTreeSet::new(),
            failing: BTreeSet::new(),
            idle: BTreeMap::new(),
            serial: 0,
            pending: 0,
            pending_bytes: 0,
        }
    }

    /// A change for a webhook, whose address is at `site`. What it makes needless is in `done`, perhaps itself.
    pub fn offer(
        &mut self,
        now: Ms,
        webhook: &AccessId,
        site: &Site,
        session: SessionId,
        change: Change<T>,
        done: &mut Vec<Done<T>>,
    ) {
        self.know(webhook, site);
        let pair = (webhook.clone(), session);
        let state = self.pairs.entry(pair.clone()).or_default();
        let is_old = change.write_timestamp.is_some_and(|written| state.newest >= Some(written));
        let last = state.pending.as_ref().map(|pending| &pending.change.hash);
        let running = state.running.as_ref().filter(|running| !running.is_orphan);
        let last = last.or(running.map(|running| &running.change.hash));
        let last = last.or(state.told.as_ref().map(|(_, hash)| hash));
        let is_equal = last == Some(&change.hash);
        state.newest = state.newest.max(change.write_timestamp);
        if is_old || is_equal {
            done.push(Done { webhook: webhook.clone(), fate: Fate::Known, content: change.content });
            self.settle(&pair);
            return;
        }
        // Back at what the receiver has: nothing is to be told, not even what was to be told in between.
        let is_back = state.running.is_none() && state.told.as_ref().is_some_and(|(_, hash)| *hash == change.hash);
        let due = state.pending.as_ref().map_or(now.max(state.asked), |pending| pending.due);
        if let Some(old) = self.take_pending(&pair) {
            done.push(Done { webhook: webhook.clone(), fate: Fate::Superseded, content: old.content });
        }
        if is_back {
            done.push(Done { webhook: webhook.clone(), fate: Fate::Known, content: change.content });
        } else {
            self.put_pending(&pair, change, due);
        }
        self.settle(&pair);
        self.make_room(done);
    }

    /// The next request to make, if one is due and there is room for it.
    pub fn start(&mut self, now: Ms) -> Option<Start<T>> {
        let (_, webhook) = self.lanes.next().filter(|(at, _)| *at <= now)?;
        let webhook = webhook.clone();
        let (_, _, session) = *self.hooks.get(&webhook)?.queue.first()?;
        let pair = (webhook, session);
        let change = self.take_pending(&pair)?;
        let content = change.content.clone();
        let state = self.pairs.get_mut(&pair)?;
        let hook = self.hooks.get_mut(&pair.0)?;
        let turn = self.lanes.start(&hook.site);
        hook.running += 1;
        state.running = Some(Running { change, started: now, turn, is_orphan: false });
        self.refresh(&pair.0);
        Some(Start { webhook: pair.0, session, content })
    }

    /// A request has ended, which itself took so long. `jitter`, 0 to 1, spreads the pauses.
    pub fn finish(
        &mut self,
        now: Ms,
        webhook: &AccessId,
        session: SessionId,
        (outcome, took): (Outcome, Ms),
        jitter: f64,
        done: &mut Vec<Done<T>>,
    ) {
        let pair = (webhook.clone(), session);
        let Some(state) = self.pairs.get_mut(&pair) else { return };
        let Some(Running { change, started, turn, is_orphan }) = state.running.take() else { return };
        self.lanes.end(turn, outcome == Outcome::Taken, took);
        let mut tell = |fate, content| done.push(Done { webhook: webhook.clone(), fate, content });
        // When the pair has its turn again, and the wait that was asked for, if it failed.
        let (due, fails) = match outcome {
            Outcome::Taken => {
                state.failures = 0;
                if !is_orphan {
                    state.told = Some((change.write_timestamp, Arc::clone(&change.hash)));
                }
                tell(Fate::Delivered, change.content);
                (now, None)
            }
            Outcome::Gone => {
                tell(Fate::Dropped, change.content);
                (now, None)
            }
            Outcome::NotTaken { wait } => {
                // It may have it all the same: what the receiver has is not known any more.
                state.told = None;
                state.failures += 1;
                let wait = wait.unwrap_or(0).min(self.bounds.longest_pause);
                state.asked = now + wait;
                let due = now + pause(&self.bounds, state.failures, jitter).max(wait);
                if is_orphan {
                    tell(Fate::Dropped, change.content);
                } else if state.pending.is_some() {
                    tell(Fate::Superseded, change.content);
                } else if now - change.since >= self.bounds.give_up_after {
                    tell(Fate::GivenUp, change.content);
                } else {
                    // No pause goes beyond the end of its time.
                    let end = (change.since + self.bounds.give_up_after).max(now + wait.max(1));
                    self.put_pending(&pair, change, due.min(end));
                }
                (due, Some(wait))
            }
        };
        self.release(webhook, now, started, fails, jitter);
        self.go_on(&pair, due, fails.is_some(), done);
        self.settle(&pair);
        self.make_room(done);
    }

    /// Gives up what has waited too long for webhooks that fail.
    pub fn expire(&mut self, now: Ms, done: &mut Vec<Done<T>>) {
        let failing: Vec<AccessId> = self.failing.iter().cloned().collect();
        for webhook in failing {
            while let Some((since, session)) = self.hooks.get(&webhook).and_then(|hook| hook.ages.first().copied()) {
                if now - since < self.bounds.give_up_after {
                    break;
                }
                self.abandon(&(webhook.clone(), session), Fate::GivenUp, done);
            }
        }
    }

    /// The webhook is gone: nothing more is sent to it.
    pub fn remove(&mut self, webhook: &AccessId, done: &mut Vec<Done<T>>) {
        let Some(hook) = self.hooks.get(webhook) else { return };
        let waiting: Vec<SessionId> = hook.ages.iter().map(|(_, session)| *session).collect();
        for session in waiting {
            self.abandon(&(webhook.clone(), session), Fate::Dropped, done);
        }
        self.orphan(|(of, _)| of == webhook);
        self.let_go(webhook);
    }

    /// The sessions are another process's from now on: what waits for them is forgotten.
    pub fn forget(&mut self, is_gone: impl Fn(SessionId) -> bool) {
        let gone: Vec<Pair> =
            self.pairs.iter().filter(|((_, session), _)| is_gone(*session)).map(|(pair, _)| pair.clone()).collect();
        for pair in &gone {
            let _ = self.take_pending(pair);
        }
        self.orphan(|(_, session)| is_gone(*session));
        for (webhook, _) in gone {
            self.let_go(&webhook);
        }
    }

    /// When something is to be started next; `None`: when something ends or comes.
    pub fn next_at(&self) -> Option<Ms> {
        self.lanes.next().map(|(at, _)| at)
    }

    /// How many changes wait or are under way.
    pub fn len(&self) -> usize {
        self.pending + self.running()
    }

    /// Requests under way.
    pub fn running(&self) -> usize {
        self.lanes.running()
    }

    /// Whether the next change may crowd out another one.
    #[cfg(test)]
    pub const fn is_full(&self) -> bool {
        self.pending >= self.bounds.pending || self.pending_bytes >= self.bounds.pending_bytes
    }

    /// When the oldest change that waits came to be.
    pub fn oldest(&self) -> Option<Ms> {
        self.loads.iter().filter_map(|(_, id)| self.hooks.get(id)?.ages.first().map(|(since, _)| *since)).min()
    }

    /// The webhooks that something is known of.
    pub fn webhooks(&self) -> impl Iterator<Item = &AccessId> {
        self.hooks.keys()
    }

    fn know(&mut self, webhook: &AccessId, site: &Site) {
        if self.hooks.contains_key(webhook) {
            return;
        }
        self.lanes.join(site);
        let hook = Hook {
            site: site.clone(),
            failures: 0,
            failed_at: Ms::MIN,
            retry_at: Ms::MIN,
            running: 0,
            queue: BTreeSet::new(),
            ages: BTreeSet::new(),
            ready: None,
        };
        self.hooks.insert(webhook.clone(), hook);
    }

    /// Forgets a webhook for which nothing waits or is under way.
    fn let_go(&mut self, webhook: &AccessId) {
        let Some(hook) = self.hooks.get(webhook).filter(|hook| hook.running == 0 && hook.ages.is_empty()) else {
            return;
        };
        self.lanes.leave(&hook.site);
        self.hooks.remove(webhook);
        self.failing.remove(webhook);
    }

    fn put_pending(&mut self, pair: &Pair, change: Change<T>, due: Ms) {
        let Some(state) = self.pairs.get_mut(pair) else { return };
        let Some(hook) = self.hooks.get_mut(&pair.0) else { return };
        self.serial += 1;
        let (since, serial) = (change.since, self.serial);
        self.pending += 1;
        self.pending_bytes += change.bytes;
        self.loads.remove(&(hook.ages.len(), pair.0.clone()));
        hook.ages.insert((since, pair.1));
        self.loads.insert((hook.ages.len(), pair.0.clone()));
        let is_queued = state.running.is_none();
        if is_queued {
            hook.queue.insert((due, serial, pair.1));
        }
        state.pending = Some(Pending { change, due, serial, is_queued });
        self.refresh(&pair.0);
    }

    fn take_pending(&mut self, pair: &Pair) -> Option<Change<T>> {
        let Pending { change, due, serial, is_queued } = self.pairs.get_mut(pair)?.pending.take()?;
        self.pending -= 1;
        self.pending_bytes -= change.bytes;
        if let Some(hook) = self.hooks.get_mut(&pair.0) {
            self.loads.remove(&(hook.ages.len(), pair.0.clone()));
            hook.ages.remove(&(change.since, pair.1));
            if is_queued {
                hook.queue.remove(&(due, serial, pair.1));
            }
            if !hook.ages.is_empty() {
                self.loads.insert((hook.ages.len(), pair.0.clone()));
            }
        }
        self.refresh(&pair.0);
        Some(change)
    }

    /// What came while another change of the pair was under way has its turn. After a failure it waits as long as that one
    /// would have.
    fn go_on(&mut self, pair: &Pair, due: Ms, has_failed: bool, done: &mut Vec<Done<T>>) {
        let Some(State { pending: Some(pending), told, .. }) = self.pairs.get(pair) else { return };
        if pending.is_queued {
            return;
        }
        let is_known = !has_failed && told.as_ref().is_some_and(|(_, hash)| *hash == pending.change.hash);
        let Some(change) = self.take_pending(pair) else { return };
        if is_known {
            done.push(Done { webhook: pair.0.clone(), fate: Fate::Known, content: change.content });
        } else {
            self.put_pending(pair, change, due);
        }
    }

    /// A place of the webhook is free again. `fails`: the wait that was asked for, if the request failed.
    fn release(&mut self, webhook: &AccessId, now: Ms, started: Ms, fails: Option<Ms>, jitter: f64) {
        let Some(hook) = self.hooks.get_mut(webhook) else { return };
        hook.running -= 1;
        match fails {
            Some(wait) => {
                // Of requests that were under way at once the first counts, unless another one passed since.
                if started >= hook.failed_at || hook.failures == 0 {
                    hook.failures += 1;
                    hook.failed_at = now;
                    hook.retry_at = now + pause(&self.bounds, hook.failures, jitter).max(wait);
                }
                hook.retry_at = hook.retry_at.max(now + wait);
                self.failing.insert(webhook.clone());
            }
            None => {
                // It was away: what waits for it may go.
                let was_away = hook.failures >= 2;
                hook.failures = 0;
                self.failing.remove(webhook);
                if was_away {
                    let waiting = std::mem::take(&mut hook.queue);
                    for (due, serial, session) in waiting {
                        let Some(state) = self.pairs.get_mut(&(webhook.clone(), session)) else { continue };
                        let due = due.min(now.max(state.asked));
                        hook.queue.insert((due, serial, session));
                        if let Some(pending) = &mut state.pending {
                            pending.due = due;
                        }
                    }
                }
            }
        }
        self.refresh(webhook);
    }

    /// Puts a webhook where it belongs among what can be started.
    fn refresh(&mut self, webhook: &AccessId) {
        let Some(hook) = self.hooks.get_mut(webhook) else { return };
        let first = hook.queue.first().map(|(due, ..)| *due);
        let at = match hook.failures {
            0 => first,
            // One at a time, when the pause is over.
            _ if hook.running > 0 => None,
            _ => first.map(|due| due.max(hook.retry_at)),
        };
        self.lanes.place(webhook, &hook.site, hook.ready, at);
        hook.ready = at;
    }

    fn abandon(&mut self, pair: &Pair, fate: Fate, done: &mut Vec<Done<T>>) {
        if let Some(change) = self.take_pending(pair) {
            done.push(Done { webhook: pair.0.clone(), fate, content: change.content });
        }
        self.settle(pair);
    }

    fn make_room(&mut self, done: &mut Vec<Done<T>>) {
        while self.pending > self.bounds.pending || self.pending_bytes > self.bounds.pending_bytes {
            let Some((_, webhook)) = self.loads.last().cloned() else { return };
            let oldest = self.hooks.get(&webhook).and_then(|hook| hook.ages.first().copied());
            let Some((_, session)) = oldest else { return };
            self.abandon(&(webhook, session), Fate::Crowded, done);
        }
    }

    /// Requests under way for these are nobody's; the rest of them is forgotten.
    fn orphan(&mut self, is_gone: impl Fn(&Pair) -> bool) {
        let idle = &mut self.idle;
        self.pairs.retain(|pair, state| {
            if !is_gone(pair) {
                return true;
            }
            (state.told, state.newest, state.failures, state.asked) = (None, None, 0, Ms::MIN);
            if let Some(serial) = state.idle.take() {
                idle.remove(&serial);
            }
            if let Some(running) = &mut state.running {
                running.is_orphan = true;
            }
            state.running.is_some()
        });
    }

    /// Notes whether anything waits for the pair; forgets the one that was idle longest if there are too many.
    fn settle(&mut self, pair: &Pair) {
        let Some(state) = self.pairs.get_mut(pair) else { return };
        let is_idle = state.running.is_none() && state.pending.is_none();
        if let Some(serial) = state.idle.take() {
            self.idle.remove(&serial);
        }
        if !is_idle {
            return;
        }
        if state.newest.is_none() && state.told.is_none() {
            self.pairs.remove(pair);
            self.let_go(&pair.0);
            return;
        }
        self.serial += 1;
        state.idle = Some(self.serial);
        self.idle.insert(self.serial, pair.clone());
        if self.idle.len() > self.bounds.remembered
            && let Some((_, oldest)) = self.idle.pop_first()
        {
            self.pairs.remove(&oldest);
        }
        let hook = self.hooks.get(&pair.0);
        if hook.is_some_and(|hook| hook.failures == 0) {
            self.let_go(&pair.0);
        }
    }
}

impl<T> Default for State<T> {
    fn default() -> Self {
        Self { running: None, pending: None, told: None, newest: None, failures: 0, asked: Ms::MIN, idle: None }
    }
}

/// The pause after so many failures in a row: doubled with each, a fifth more or less.
fn pause(bounds: &Bounds, failures: u32, jitter: f64) -> Ms {
    let doublings = failures.saturating_sub(1).min(30);
    let whole = bounds.first_pause.saturating_mul(1 << doublings).min(bounds.longest_pause);
    // Below 2^53: exact.
    (whole as f64 * (0.8 + 0.4 * jitter.clamp(0.0, 1.0))) as Ms
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::webhooks::lanes::LANES;

    const BOUNDS: Bounds = Bounds {
        requests: lanes::Bounds { workers: 4, lanes: [4; LANES], per_site: 2, quick: 500 },
        pending: 6,
        pending_bytes: 1_000,
        remembered: 4,
        first_pause: 100,
        longest_pause: 1_000,
        give_up_after: 10_000,
    };

    fn with_lanes(lanes: [usize; LANES]) -> Bounds {
        Bounds { requests: lanes::Bounds { lanes, ..BOUNDS.requests }, ..BOUNDS }
    }
    fn id(n: u32) -> AccessId {
        format!("{n:012x}").parse().unwrap()
    }
    fn session(n: u32) -> SessionId {
        SessionId::from_bits(u128::from(n))
    }
    /// Two webhooks share the host of an even number. Those from 100 on are of guests, on the same hosts.
    fn site(webhook: u32) -> Site {
        Site { is_guest: webhook >= 100, host: format!("{}.example", webhook % 100 / 2).into() }
    }
    fn change(content: u32, written: i64, hash: u32, since: Ms) -> Change<u32> {
        let hash = format!("{hash:x}").into();
        Change { write_timestamp: Some(written), hash, since, bytes: 1, content }
    }

    struct Bench {
        schedule: Schedule<u32>,
        done: Vec<(u32, Fate)>,
    }

    impl Bench {
        fn new(bounds: Bounds) -> Self {
            Self { schedule: Schedule::new(bounds), done: Vec::new() }
        }
        fn take(&mut self, done: Vec<Done<u32>>) {
            self.done.extend(done.into_iter().map(|done| (done.content, done.fate)));
        }
        fn offer(&mut self, now: Ms, webhook: u32, of: u32, change: Change<u32>) {
            let mut done = Vec::new();
            self.schedule.offer(now, &id(webhook), &site(webhook), session(of), change, &mut done);
            self.take(done);
        }
        fn start(&mut self, now: Ms) -> Option<u32> {
            self.schedule.start(now).map(|start| start.content)
        }
        fn finish(&mut self, now: Ms, webhook: u32, of: u32, outcome: Outcome) {
            self.finish_after(now, 0, webhook, of, outcome);
        }
        fn finish_after(&mut self, now: Ms, took: Ms, webhook: u32, of: u32, outcome: Outcome) {
            let mut done = Vec::new();
            self.schedule.finish(now, &id(webhook), session(of), (outcome, took), 0.5, &mut done);
            self.take(done);
        }
    }

    const FAILS: Outcome = Outcome::NotTaken { wait: None };

    #[test]
    fn the_newest_change_wins_and_comes_after_the_one_under_way() {
        let mut bench = Bench::new(BOUNDS);
        bench.offer(0, 1, 1, change(1, 1, 0xa, 0));
        assert_eq!(bench.start(0), Some(1));
        bench.offer(1, 1, 1, change(2, 2, 0xb, 1));
        bench.offer(2, 1, 1, change(3, 3, 0xc, 2));
        assert_eq!((bench.start(2), &bench.done[..]), (None, &[(2, Fate::Superseded)][..]));
        bench.finish(3, 1, 1, Outcome::Taken);
        assert_eq!(bench.start(3), Some(3));
        bench.finish(4, 1, 1, Outcome::Taken);
        assert_eq!(bench.done, [(2, Fate::Superseded), (1, Fate::Delivered), (3, Fate::Delivered)]);
    }

    #[test]
    fn older_and_equal_changes_are_no_news_also_on_the_way_back() {
        let mut bench = Bench::new(BOUNDS);
        bench.offer(0, 1, 1, change(1, 5, 0xa, 0));
        bench.start(0);
        bench.finish(0, 1, 1, Outcome::Taken);
        bench.offer(1, 1, 1, change(2, 4, 0xb, 1));
        bench.offer(1, 1, 1, change(3, 6, 0xa, 1));
        bench.offer(1, 1, 1, change(4, 7, 0xb, 1));
        bench.offer(1, 1, 1, change(5, 8, 0xa, 1));
        assert_eq!(bench.start(1), None);
        let known = Fate::Known;
        assert_eq!(bench.done[1..], [(2, known), (3, known), (4, Fate::Superseded), (5, known)]);
    }

    #[test]
    fn a_receiver_that_fails_is_tried_with_one_change_after_pauses_that_double() {
        let mut bench = Bench::new(BOUNDS);
        bench.offer(0, 1, 1, change(1, 1, 1, 0));
        bench.offer(0, 1, 2, change(2, 1, 1, 0));
        assert_eq!((bench.start(0), bench.start(0)), (Some(1), Some(2)));
        bench.finish(10, 1, 1, FAILS);
        bench.finish(10, 1, 2, FAILS);
        assert_eq!(bench.start(109), None);
        assert_eq!((bench.start(110), bench.start(110)), (Some(1), None), "one at a time");
        bench.finish(110, 1, 1, FAILS);
        assert_eq!((bench.start(309), bench.start(310)), (None, Some(2)), "another one, after twice as long");
        bench.finish(310, 1, 2, Outcome::Taken);
        assert_eq!(bench.start(310), Some(1), "it is there again");
    }

    #[test]
    fn a_single_change_that_fails_holds_up_no_other() {
        let mut bench = Bench::new(BOUNDS);
        bench.offer(0, 1, 1, change(1, 1, 1, 0));
        assert_eq!(bench.start(0), Some(1));
        bench.finish(0, 1, 1, FAILS);
        bench.offer(0, 1, 2, change(2, 1, 1, 0));
        assert_eq!(bench.start(100), Some(2));
        bench.finish(100, 1, 2, Outcome::Taken);
        assert_eq!(bench.start(100), Some(1));
        bench.finish(100, 1, 1, FAILS);
        assert_eq!(bench.schedule.next_at(), Some(300), "its own pause doubles");
    }

    #[test]
    fn what_the_receiver_asks_for_is_heard_within_bounds() {
        let mut bench = Bench::new(BOUNDS);
        bench.offer(0, 1, 1, change(1, 1, 1, 0));
        bench.start(0);
        bench.finish(0, 1, 1, ASKS);
        assert_eq!(bench.schedule.next_at(), Some(700));
        bench.start(700);
        bench.finish(700, 1, 1, Outcome::NotTaken { wait: Some(Ms::MAX) });
        assert_eq!(bench.schedule.next_at(), Some(1_700));
    }

    const ASKS: Outcome = Outcome::NotTaken { wait: Some(700) };

    /// Of webhook 1: of session 1 until 710, while session 2 has its change.
    fn refused_beside_one_that_was_taken() -> Bench {
        let mut bench = Bench::new(BOUNDS);
        bench.offer(0, 1, 1, change(1, 1, 1, 0));
        bench.offer(0, 1, 2, change(2, 1, 1, 0));
        assert_eq!((bench.start(0), bench.start(0)), (Some(1), Some(2)));
        bench.finish(10, 1, 1, ASKS);
        bench.finish(20, 1, 2, Outcome::Taken);
        bench
    }

    #[test]
    fn what_the_receiver_asks_for_is_heard_though_it_takes_others() {
        let mut bench = refused_beside_one_that_was_taken();
        assert_eq!(bench.schedule.next_at(), Some(710), "the refused one");
        assert_eq!(bench.start(710), Some(1));
        bench.offer(711, 1, 1, change(3, 2, 2, 711));
        bench.offer(711, 1, 2, change(4, 2, 2, 711));
        assert_eq!(bench.start(711), Some(4));
        bench.finish(720, 1, 1, ASKS);
        bench.finish(730, 1, 2, Outcome::Taken);
        assert_eq!(bench.schedule.next_at(), Some(1_420), "a newer one in its place");
        assert_eq!((bench.start(1_420), bench.done.len()), (Some(3), 3));
    }

    #[test]
    fn what_the_receiver_asks_for_holds_when_it_is_there_again() {
        let mut bench = refused_beside_one_that_was_taken();
        bench.offer(30, 1, 3, change(3, 1, 1, 30));
        for (at, outcome) in [(30, FAILS), (140, FAILS), (360, Outcome::Taken)] {
            assert_eq!(bench.start(at), Some(3));
            bench.finish(at + 10, 1, 3, outcome);
        }
        assert_eq!(bench.schedule.next_at(), Some(710), "the refused one");
    }

    #[test]
    fn a_failure_after_a_success_counts_though_all_began_together() {
        let mut bench = Bench::new(Bounds { requests: lanes::Bounds { per_site: 3, ..BOUNDS.requests }, ..BOUNDS });
        for of in 1..=3 {
            bench.offer(0, 1, of, change(of, 1, 1, 0));
            assert_eq!(bench.start(0), Some(of));
        }
        bench.finish(10, 1, 1, FAILS);
        bench.finish(20, 1, 2, Outcome::Taken);
        bench.finish(30, 1, 3, ASKS);
        bench.offer(31, 1, 4, change(4, 1, 1, 31));
        assert_eq!((bench.start(729), bench.start(730)), (None, Some(4)));
    }

    #[test]
    fn a_change_that_nobody_takes_is_given_up() {
        let mut bench = Bench::new(BOUNDS);
        bench.offer(0, 1, 1, change(1, 1, 1, 0));
        bench.offer(0, 1, 2, change(2, 1, 1, 0));
        let mut now = 0;
        while let Some(at) = bench.schedule.next_at().filter(|_| now < 20_000) {
            now = at.max(now);
            let mut done = Vec::new();
            bench.schedule.expire(now, &mut done);
            bench.take(done);
            while let Some(start) = bench.schedule.start(now) {
                let of = u32::try_from(start.session.bits()).unwrap();
                bench.finish(now, 1, of, FAILS);
            }
        }
        bench.done.sort_unstable_by_key(|(content, _)| *content);
        assert_eq!(bench.done, [(1, Fate::GivenUp), (2, Fate::GivenUp)]);
        assert!((10_000..12_000).contains(&now), "{now}");
        assert_eq!(bench.schedule.len(), 0);
    }

    #[test]
    fn a_slow_host_leaves_workers_to_the_others() {
        let mut bench = Bench::new(BOUNDS);
        for of in 1..=4 {
            bench.offer(0, 1, of, change(of, 1, 1, 0));
        }
        bench.offer(1, 2, 1, change(9, 1, 1, 1));
        let started: Vec<_> = std::iter::from_fn(|| bench.start(1)).collect();
        assert_eq!(started, [1, 2, 9]);
    }

    #[test]
    fn many_slow_hosts_leave_workers_to_quick_ones() {
        let mut bench = Bench::new(with_lanes([1, 2, 1, 4]));
        // Of the host 5.example it is known that it is quick, also after nothing waited for it.
        bench.offer(0, 10, 1, change(10, 1, 1, 0));
        assert_eq!(bench.start(0), Some(10));
        bench.finish(100, 10, 1, Outcome::Taken);
        for webhook in [2, 4, 6] {
            bench.offer(200, webhook, 1, change(webhook, 1, 1, 200));
        }
        assert_eq!((bench.start(200), bench.start(200), bench.start(200)), (Some(2), Some(4), None));
        assert_eq!(bench.schedule.next_at(), None, "when one of them ends");
        bench.offer(300, 10, 1, change(11, 2, 2, 300));
        assert_eq!((bench.schedule.next_at(), bench.start(300)), (Some(300), Some(11)));
        // It was slow this time, though it took it: it queues with the others.
        bench.finish_after(900, 501, 10, 1, Outcome::Taken);
        bench.offer(901, 10, 1, change(12, 3, 3, 901));
        assert_eq!(bench.start(901), None);
        bench.finish(902, 2, 1, Outcome::Taken);
        assert_eq!((bench.start(902), bench.start(902)), (Some(6), None), "the one that came first");
        bench.finish(903, 4, 1, Outcome::Taken);
        assert_eq!(bench.start(903), Some(12));
    }

    #[test]
    fn guests_leave_workers_to_the_operators_keys() {
        let mut bench = Bench::new(with_lanes([1, 2, 1, 4]));
        for webhook in [100, 102, 10] {
            bench.offer(0, webhook, 1, change(webhook, 1, 1, 0));
            assert_eq!(bench.start(0), Some(webhook));
            bench.finish(0, webhook, 1, Outcome::Taken);
        }
        for webhook in [100, 102, 10] {
            bench.offer(1, webhook, 1, change(webhook + 1, 2, 2, 1));
        }
        let started: Vec<_> = std::iter::from_fn(|| bench.start(1)).collect();
        assert_eq!(started, [11, 101], "all three are quick");
        // Whether a guest's host is slow says nothing of a key's webhook there.
        bench.finish_after(2, 501, 100, 1, Outcome::Taken);
        for webhook in [104, 1] {
            bench.offer(2, webhook, 1, change(webhook, 1, 1, 2));
        }
        let started: Vec<_> = std::iter::from_fn(|| bench.start(2)).collect();
        assert_eq!(started, [103, 1, 104]);
    }

    #[test]
    fn who_never_took_anything_is_not_quick() {
        let mut bench = Bench::new(with_lanes([1, 1, 1, 4]));
        for (webhook, outcome) in [(2, Outcome::Gone), (4, FAILS)] {
            bench.offer(0, webhook, 1, change(webhook, 1, 1, 0));
            assert_eq!(bench.start(0), Some(webhook));
            bench.finish(0, webhook, 1, outcome);
        }
        bench.offer(1_000, 2, 2, change(5, 1, 1, 1_000));
        let started: Vec<_> = std::iter::from_fn(|| bench.start(1_000)).collect();
        assert_eq!(started.len(), 1, "{started:?}");
    }

    #[test]
    fn after_an_attempt_that_failed_it_is_not_known_what_the_receiver_has() {
        let mut bench = Bench::new(BOUNDS);
        bench.offer(0, 1, 1, change(1, 1, 0xa, 0));
        bench.start(0);
        bench.finish(0, 1, 1, Outcome::Taken);
        bench.offer(1, 1, 1, change(2, 2, 0xb, 1));
        assert_eq!(bench.start(1), Some(2));
        // It has it, though it said so too late.
        bench.finish(2, 1, 1, FAILS);
        bench.offer(3, 1, 1, change(3, 3, 0xa, 3));
        assert_eq!(bench.start(200), Some(3), "back at what it was told before, which it may no longer have");
    }

    #[test]
    fn without_room_the_oldest_of_the_greatest_load_goes() {
        let mut bench = Bench::new(BOUNDS);
        bench.offer(0, 5, 1, change(50, 1, 1, 0));
        for of in 1..=6 {
            bench.offer(Ms::from(of), 1, of, change(of, 1, 1, Ms::from(of)));
        }
        assert_eq!(bench.done, [(1, Fate::Crowded)]);
        assert!(bench.schedule.is_full());
    }

    #[test]
    fn nothing_more_is_sent_to_a_webhook_that_is_gone() {
        let mut bench = Bench::new(BOUNDS);
        bench.offer(0, 1, 1, change(1, 1, 1, 0));
        bench.offer(0, 1, 2, change(2, 1, 1, 0));
        bench.start(0);
        let mut done = Vec::new();
        bench.schedule.remove(&id(1), &mut done);
        bench.take(done);
        assert_eq!((bench.start(0), &bench.done[..]), (None, &[(2, Fate::Dropped)][..]));
        bench.finish(1, 1, 1, FAILS);
        assert_eq!((bench.done[1], bench.schedule.webhooks().count()), ((1, Fate::Dropped), 0));
    }

    #[test]
    fn what_comes_back_with_its_partition_is_sent_whatever_is_still_under_way() {
        let mut bench = Bench::new(BOUNDS);
        bench.offer(0, 1, 1, change(1, 1, 1, 0));
        bench.start(0);
        bench.schedule.forget(|_| true);
        bench.offer(1, 1, 1, change(2, 1, 1, 0));
        assert_eq!(bench.start(1), None, "never two of one pair");
        bench.finish(2, 1, 1, Outcome::NotTaken { wait: None });
        assert_eq!(bench.start(200), Some(2));
    }

    #[derive(Clone, Debug)]
    enum Step {
        Offer { webhook: u32, of: u32, hash: u32, is_old: bool },
        Start,
        Finish(usize, u8),
        Wait(Ms),
        Remove(u32),
        Forget(u32),
    }

    /// Of keys and of guests, on two hosts.
    fn webhook() -> impl Strategy<Value = u32> {
        prop::sample::select(vec![0_u32, 1, 2, 100, 101, 102])
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            6 => (webhook(), 0..3_u32, 0..3_u32, prop::bool::weighted(0.1))
                .prop_map(|(webhook, of, hash, is_old)| Step::Offer { webhook, of, hash, is_old }),
            6 => Just(Step::Start),
            5 => (0..9_usize, 0..10_u8).prop_map(|(index, how)| Step::Finish(index, how)),
            4 => (0..3_000_i64).prop_map(Step::Wait),
            1 => webhook().prop_map(Step::Remove),
            1 => (0..3_u32).prop_map(Step::Forget),
        ]
    }

    /// A request under way, as the world sees it.
    #[derive(Clone, Copy, Debug)]
    struct Flight {
        webhook: u32,
        of: u32,
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]
        #[test]
        fn every_change_ends_once_in_order_and_never_two_of_a_pair_are_under_way(
            steps in prop::collection::vec(step(), 1..150)
        ) {
            let bounds = with_lanes([1, 2, 1, 4]);
            let mut bench = Bench::new(bounds);
            let (mut now, mut written) = (0, 0);
            // Content, its pair, its timestamp, and whether it was forgotten with its partition.
            let mut offered: Vec<(u32, u32, i64, bool)> = Vec::new();
            let mut flights: Vec<Flight> = Vec::new();
            let mut newest_started: BTreeMap<(u32, u32), i64> = BTreeMap::new();
            let mut steps = steps.into_iter();
            let mut left = 10_000;
            loop {
                // When the steps are over, everything is let come to its end.
                let step = steps.next().unwrap_or_else(|| match bench.schedule.next_at() {
                    Some(at) if at <= now => Step::Start,
                    Some(at) if flights.is_empty() => Step::Wait(at - now),
                    _ => Step::Finish(0, 9),
                });
                match step {
                    Step::Offer { webhook, of, hash, is_old } => {
                        if !is_old {
                            written += 1;
                        }
                        let content = u32::try_from(offered.len()).unwrap();
                        offered.push((webhook, of, written, false));
                        bench.offer(now, webhook, of, change(content, written, hash, now));
                    }
                    Step::Start => {
                        if let Some(start) = bench.schedule.start(now) {
                            let (webhook, of, written, _) = offered[start.content as usize];
                            prop_assert_eq!((id(webhook), session(of)), (start.webhook, start.session));
                            prop_assert!(!flights.iter().any(|f| (f.webhook, f.of) == (webhook, of)), "two of a pair");
                            let newest = newest_started.entry((webhook, of)).or_insert(0);
                            prop_assert!(written >= *newest, "out of order");
                            *newest = written;
                            flights.push(Flight { webhook, of });
                            prop_assert!(flights.len() <= bounds.requests.workers);
                            let in_lanes = bench.schedule.lanes.in_lanes();
                            prop_assert!((0..LANES).all(|lane| in_lanes[lane] <= bounds.requests.lanes[lane]));
                            let of_host = flights.iter().filter(|f| f.webhook / 2 == webhook / 2).count();
                            prop_assert!(of_host <= bounds.requests.per_site);
                        }
                    }
                    Step::Finish(index, how) if !flights.is_empty() => {
                        let Flight { webhook, of, .. } = flights.swap_remove(index % flights.len());
                        let outcome = match how {
                            0..4 => FAILS,
                            4 => Outcome::NotTaken { wait: Some(500) },
                            5 => Outcome::Gone,
                            _ => Outcome::Taken,
                        };
                        let took = if how % 2 == 0 { 0 } else { 501 };
                        bench.finish_after(now, took, webhook, of, outcome);
                    }
                    Step::Finish(..) => {}
                    Step::Wait(ms) => {
                        now += ms;
                        let mut done = Vec::new();
                        bench.schedule.expire(now, &mut done);
                        bench.take(done);
                    }
                    Step::Remove(webhook) => {
                        let mut done = Vec::new();
                        bench.schedule.remove(&id(webhook), &mut done);
                        bench.take(done);
                    }
                    Step::Forget(of) => {
                        bench.schedule.forget(|gone| gone == session(of));
                        offered.iter_mut().filter(|offered| offered.1 == of).for_each(|offered| offered.3 = true);
                        // Another process reads them again from the beginning.
                        newest_started.retain(|(_, session), _| *session != of);
                    }
                }
                prop_assert!(bench.schedule.pending <= BOUNDS.pending);
                prop_assert!(bench.schedule.idle.len() <= BOUNDS.remembered);
                prop_assert_eq!(bench.schedule.running(), flights.len());
                left -= 1;
                prop_assert!(left > 0, "it does not come to an end");
                if steps.len() == 0 && flights.is_empty() && bench.schedule.len() == 0 {
                    break;
                }
            }
            let mut ends = vec![0; offered.len()];
            bench.done.iter().for_each(|(content, _)| ends[*content as usize] += 1);
            for (content, ends) in ends.into_iter().enumerate() {
                let is_forgotten = offered[content].3;
                prop_assert!(ends == 1 || is_forgotten && ends == 0, "{content} ended {ends} times");
            }
            // The newest of a pair is delivered, known, or lost its receiver: never overtaken.
            for (content, fate) in &bench.done {
                let (webhook, of, written, _) = offered[*content as usize];
                if *fate == Fate::Superseded {
                    prop_assert!(offered.iter().any(|o| (o.0, o.1) == (webhook, of) && o.2 > written));
                }
            }
            prop_assert!(bench.schedule.lanes.is_idle() && bench.schedule.loads.is_empty());
            prop_assert_eq!((bench.schedule.pending_bytes, bench.schedule.running()), (0, 0));
        }
    }
}
