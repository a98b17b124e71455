//! What this process has appended and the log has not acknowledged, and up to where each partition of `listings` may be
//! committed: the contiguous low-watermark of statements all of whose effects are on the log. Pure.

use std::collections::VecDeque;

use rustc_hash::FxHashMap;
use schemas::id::ListingId;

/// A statement of `listings` under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Statement {
    partition: u32,
    life: u64,
    serial: u64,
}

impl Statement {
    /// The partition of `listings` that it stands on.
    pub const fn partition(self) -> u32 {
        self.partition
    }
}

/// One record that was sent.
#[derive(Debug)]
struct Effect {
    partition: u32,
    /// Which ownership of the partition it belongs to.
    life: u64,
    /// The statement that it is an effect of; repairs and revaluations belong to none.
    statement: Option<u64>,
    /// The listing whose fact or tombstone it is.
    fact: Option<ListingId>,
}

#[derive(Debug)]
struct Lane {
    life: u64,
    /// Statements under way, in the order of the log: offset, and how much is left to do.
    entries: VecDeque<(u64, u32)>,
    /// Serial of the first of them.
    first: u64,
    /// The next offset to commit, since it was last taken.
    ready: Option<u64>,
}

/// The window.
#[derive(Debug, Default)]
pub struct Window {
    lanes: FxHashMap<u32, Lane>,
    effects: FxHashMap<u64, Effect>,
    lives: u64,
    tokens: u64,
}

impl Window {
    /// A partition is ours from now on.
    pub fn assign(&mut self, partition: u32) {
        self.lives += 1;
        self.lanes.insert(partition, Lane { life: self.lives, entries: VecDeque::new(), first: 0, ready: None });
    }

    /// A partition is no longer ours: nothing is committed for it, and its acknowledgements mean nothing any more.
    pub fn revoke(&mut self, partition: u32) {
        self.lanes.remove(&partition);
    }

    /// A statement is about to be decided; `None` if its partition is not ours.
    pub fn begin(&mut self, partition: u32, offset: u64) -> Option<Statement> {
        let lane = self.lanes.get_mut(&partition)?;
        // The decision itself is what is left to do.
        lane.entries.push_back((offset, 1));
        Some(Statement { partition, life: lane.life, serial: lane.first + lane.entries.len() as u64 - 1 })
    }

    /// An effect of a statement is about to be sent under the returned token.
    pub fn effect_of(&mut self, statement: Statement, fact: Option<ListingId>) -> u64 {
        let Statement { partition, life, serial } = statement;
        if let Some(left) = self.left(partition, life, serial) {
            *left += 1;
        }
        self.effect(Effect { partition, life, statement: Some(serial), fact })
    }

    /// What no statement caused is about to be sent under the returned token: a fact, or something else.
    pub fn effect_on(&mut self, partition: u32, fact: Option<ListingId>) -> u64 {
        let life = self.lanes.get(&partition).map_or(0, |lane| lane.life);
        self.effect(Effect { partition, life, statement: None, fact })
    }

    fn effect(&mut self, effect: Effect) -> u64 {
        self.tokens += 1;
        self.effects.insert(self.tokens, effect);
        self.tokens
    }

    /// All effects of a statement have been sent.
    pub fn decided(&mut self, statement: Statement) {
        self.done(statement.partition, statement.life, statement.serial);
    }

    /// A record is on the log. Returns the partition and listing if it was a fact of a partition that is still ours.
    pub fn acknowledge(&mut self, token: u64) -> Option<(u32, ListingId)> {
        let Effect { partition, life, statement, fact } = self.effects.remove(&token)?;
        if let Some(serial) = statement {
            self.done(partition, life, serial);
        }
        let is_ours = self.lanes.get(&partition).is_some_and(|lane| lane.life == life);
        fact.filter(|_| is_ours).map(|id| (partition, id))
    }

    /// Nothing is sent under the token any more, for its partition is another's.
    pub fn withdraw(&mut self, token: u64) {
        self.effects.remove(&token);
    }

    fn left(&mut self, partition: u32, life: u64, serial: u64) -> Option<&mut u32> {
        let lane = self.lanes.get_mut(&partition).filter(|lane| lane.life == life)?;
        let index = usize::try_from(serial.checked_sub(lane.first)?).ok()?;
        lane.entries.get_mut(index).map(|(_, left)| left)
    }

    fn done(&mut self, partition: u32, life: u64, serial: u64) {
        let Some(left) = self.left(partition, life, serial) else { return };
        *left = left.saturating_sub(1);
        let Some(lane) = self.lanes.get_mut(&partition) else { return };
        while let Some((offset, 0)) = lane.entries.front() {
            lane.ready = Some(offset + 1);
            lane.entries.pop_front();
            lane.first += 1;
        }
    }

    /// The next offsets to commit, by partition; each is told once.
    pub fn take_ready(&mut self) -> impl Iterator<Item = (u32, u64)> {
        self.lanes.iter_mut().filter_map(|(partition, lane)| Some((*partition, lane.ready.take()?)))
    }

    /// Records sent and not acknowledged.
    pub fn effects(&self) -> usize {
        self.effects.len()
    }

    /// Statements read and not done.
    pub fn statements(&self) -> usize {
        self.lanes.values().map(|lane| lane.entries.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn ready(window: &mut Window) -> Vec<(u32, u64)> {
        let mut ready: Vec<_> = window.take_ready().collect();
        ready.sort_unstable();
        ready
    }

    fn id(key: u32) -> ListingId {
        format!("f:{key}").parse().unwrap()
    }

    #[test]
    fn an_offset_is_ready_when_all_before_it_is_decided_and_acknowledged() {
        let mut window = Window::default();
        window.assign(3);
        let (a, b) = (window.begin(3, 10).unwrap(), window.begin(3, 14).unwrap());
        let (fact, sale) = (window.effect_of(a, Some(id(1))), window.effect_of(a, None));
        window.decided(b);
        assert_eq!(window.acknowledge(fact), Some((3, id(1))));
        assert_eq!(window.acknowledge(sale), None);
        assert_eq!(ready(&mut window), [], "the first is not decided");
        window.decided(a);
        assert_eq!(ready(&mut window), [(3, 15)]);
        assert_eq!((ready(&mut window), window.effects(), window.statements()), (vec![], 0, 0));
    }

    #[test]
    fn an_earlier_life_of_a_partition_commits_and_tells_nothing() {
        let mut window = Window::default();
        window.assign(0);
        let old = window.begin(0, 50).unwrap();
        let (token, repair) = (window.effect_of(old, Some(id(1))), window.effect_on(0, Some(id(2))));
        window.revoke(0);
        assert_eq!(window.begin(0, 51), None);
        window.assign(0);
        let new = window.begin(0, 7).unwrap();
        window.decided(old);
        assert_eq!((window.acknowledge(token), window.acknowledge(repair)), (None, None));
        assert_eq!(ready(&mut window), []);
        window.decided(new);
        assert_eq!(ready(&mut window), [(0, 8)]);
    }

    #[test]
    fn what_is_never_sent_takes_no_room_for_ever() {
        let mut window = Window::default();
        window.assign(0);
        let statement = window.begin(0, 1).unwrap();
        let (held, sent) = (window.effect_of(statement, Some(id(1))), window.effect_of(statement, None));
        window.revoke(0);
        window.withdraw(held);
        assert_eq!(window.effects(), 1, "what was sent is still to be acknowledged");
        window.acknowledge(sent);
        assert_eq!(window.effects(), 0);
    }

    proptest! {
        #[test]
        fn what_is_ready_is_never_past_the_first_statement_that_is_not_done(
            statements in prop::collection::vec((0..2_u32, 0..3_usize), 1..40),
            order in prop::collection::vec(any::<prop::sample::Index>(), 0..160),
        ) {
            let mut window = Window::default();
            (0..2).for_each(|partition| window.assign(partition));
            let mut next: BTreeMap<u32, u64> = BTreeMap::new();
            let (mut tokens, mut open) = (Vec::new(), Vec::new());
            for (partition, effects) in statements {
                let offset = next.entry(partition).or_insert(0);
                let statement = window.begin(partition, *offset).unwrap();
                let sent: Vec<_> = (0..effects).map(|_| window.effect_of(statement, None)).collect();
                window.decided(statement);
                open.push((partition, *offset, sent.clone()));
                tokens.extend(sent);
                *offset += 1;
            }
            let mut committed: BTreeMap<u32, u64> = BTreeMap::new();
            for index in order {
                if tokens.is_empty() {
                    break;
                }
                window.acknowledge(tokens.swap_remove(index.index(tokens.len())));
                committed.extend(window.take_ready());
                for (partition, offset, sent) in &open {
                    if sent.iter().any(|token| tokens.contains(token)) {
                        prop_assert!(committed.get(partition).copied().unwrap_or(0) <= *offset);
                    }
                }
            }
            tokens.drain(..).for_each(|token| { window.acknowledge(token); });
            committed.extend(window.take_ready());
            prop_assert_eq!(committed, next);
        }
    }
}
