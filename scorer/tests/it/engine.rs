//! Every engine against the oracle, on random sequences of changes: duplicates, ties, starved sessions, listings that move
//! between markets, sessions in several markets, circles, dismissed listings.

use std::collections::BTreeMap;

use proptest::prelude::*;
use schemas::id::{ListingId, SessionId};
use scorer::engine::indexed::{Indexed, Tuning};
use scorer::engine::kernel::Kernel;
use scorer::engine::oracle::Oracle;
use scorer::engine::{Change, Emit, Engine, TopThree};
use scorer::score::matches;

use crate::permutation::{digest_of, newest, retold, shuffled, tunings};
use crate::world::{SESSIONS, change, dense, session_id};

/// Batches; some changes come twice in a row, some again later.
pub fn batches(sizes: impl Into<prop::collection::SizeRange>) -> impl Strategy<Value = Vec<Vec<Change>>> {
    let again = (change(), prop::option::weighted(0.2, any::<prop::sample::Index>()));
    let changes = prop::collection::vec(again, sizes).prop_map(|drawn| {
        let mut changes: Vec<Change> = Vec::new();
        for (change, repeat) in drawn {
            match repeat.filter(|_| !changes.is_empty()) {
                Some(index) => changes.push(index.get(&changes).clone()),
                None => changes.push(change),
            }
        }
        changes
    });
    (changes, prop::collection::vec(1_usize..12, 1..40)).prop_map(|(changes, sizes)| split(&changes, &sizes))
}

/// Into batches of these sizes, over and over.
fn split(changes: &[Change], sizes: &[usize]) -> Vec<Vec<Change>> {
    let mut rest = changes;
    let mut batches = Vec::new();
    for size in sizes.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (batch, left) = rest.split_at((*size).min(rest.len()));
        batches.push(batch.to_vec());
        rest = left;
    }
    batches
}

/// What a reader of the emits knows: the top three of each session, with the content of what it shows.
#[derive(Default)]
struct Reader {
    content: BTreeMap<ListingId, u64>,
    alive: BTreeMap<SessionId, bool>,
    cells: BTreeMap<SessionId, (TopThree, Vec<u64>)>,
}

impl Reader {
    fn learn(&mut self, batch: &[Change]) {
        for change in batch {
            match change {
                Change::Listing { id, facts: Some(_), content } => drop(self.content.insert(id.clone(), *content)),
                Change::Listing { id, facts: None, .. } => drop(self.content.remove(id)),
                Change::Session { id, facts } => drop(self.alive.insert(*id, facts.is_some())),
            }
        }
    }

    fn cell(&self, top: &TopThree) -> (TopThree, Vec<u64>) {
        (top.clone(), top.keys().iter().map(|key| self.content[&key.listing.0]).collect())
    }

    fn take(&mut self, emits: &[Emit]) {
        for emit in emits {
            let cell = self.cell(&emit.top);
            self.cells.insert(emit.session, cell);
        }
    }
}

fn sorted(mut emits: Vec<Emit>) -> Vec<Emit> {
    emits.sort_by_key(|emit| emit.session);
    emits
}

pub fn top_threes(engine: &impl Engine) -> Vec<Option<TopThree>> {
    (0..SESSIONS).map(|number| engine.top_three(session_id(number))).collect()
}

fn equals_the_oracle(batches: &[Vec<Change>], tuning: Tuning) -> Result<(), TestCaseError> {
    let (mut oracle, mut engine, mut reader) = (Oracle::default(), Indexed::tuned(tuning), Reader::default());
    for batch in batches {
        let (mut expected, mut emits) = (Vec::new(), Vec::new());
        oracle.apply(batch, &mut expected);
        engine.apply(batch, &mut emits);
        prop_assert_eq!(sorted(emits.clone()), sorted(expected), "emits");
        prop_assert_eq!(top_threes(&engine), top_threes(&oracle), "state");
        prop_assert_eq!(engine.size(), oracle.size());
        prop_assert_eq!(engine.audit(), Ok(()));

        reader.learn(batch);
        reader.take(&emits);
        for (&session, &alive) in &reader.alive {
            let now = engine.top_three(session);
            prop_assert_eq!(now.is_some(), alive);
            if let Some(top) = now {
                prop_assert_eq!(reader.cells.get(&session), Some(&reader.cell(&top)), "an emit is missing");
            }
        }
    }
    Ok(())
}

fn newest_facts_alone(history: &[Vec<Change>], sizes: &[usize], seed: u64) -> Result<(), TestCaseError> {
    let changes: Vec<Change> = history.concat();
    let mut tunings = tunings().into_iter().cycle().skip(seed as usize % 4);
    let mut run = |batches: &[Vec<Change>]| {
        let mut engine = Indexed::tuned(tunings.next().expect("an endless cycle"));
        batches.iter().for_each(|batch| engine.apply(batch, &mut Vec::new()));
        engine
    };
    let as_it_was = run(history);
    prop_assert_eq!(top_threes(&run(&split(&changes, sizes))), top_threes(&as_it_was), "split otherwise");

    let shuffled = shuffled(&newest(&changes), &mut from(seed));
    let newest_only = run(&split(&shuffled, sizes));
    prop_assert_eq!(top_threes(&newest_only), top_threes(&as_it_was), "the newest alone, shuffled");
    prop_assert_eq!(newest_only.audit(), Ok(()));
    Ok(())
}

/// Numbers that follow from the seed.
fn from(mut seed: u64) -> impl FnMut(usize) -> usize {
    move |limit| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize % limit
    }
}

fn sees_the_same_however_told(history: &[Change], seed: u64) -> Result<(), TestCaseError> {
    let sessions: Vec<SessionId> = (0..SESSIONS).map(session_id).collect();
    let mut oracle = Oracle::default();
    oracle.apply(history, &mut Vec::new());
    prop_assert_eq!(retold(history, &sessions, &mut from(seed)), Ok(digest_of(&oracle, &sessions)));
    Ok(())
}

/// `PROPTEST_CASES` makes it more (256 when not set).
fn config() -> ProptestConfig {
    let config = ProptestConfig::default();
    ProptestConfig { cases: config.cases.saturating_mul(4), ..config }
}

fn sizes() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(1_usize..50, 1..5)
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn every_kernel_equals_the_oracle_after_every_batch(batches in batches(0..150)) {
        tunings().into_iter().try_for_each(|tuning| equals_the_oracle(&batches, tuning))?;
    }

    #[test]
    fn every_kernel_equals_the_oracle_where_every_listing_suits_every_session(batches in batches(0..150)) {
        let batches = dense(batches);
        tunings().into_iter().try_for_each(|tuning| equals_the_oracle(&batches, tuning))?;
    }

    #[test]
    fn state_is_a_function_of_the_newest_facts_alone(history in batches(0..150), sizes in sizes(), seed in any::<u64>()) {
        newest_facts_alone(&history, &sizes, seed)?;
    }

    #[test]
    fn so_it_is_where_every_listing_suits_every_session(history in batches(0..150), sizes in sizes(), seed in any::<u64>()) {
        newest_facts_alone(&dense(history), &sizes, seed)?;
    }

    /// A small share of `make bench-correctness`.
    #[test]
    fn neither_order_across_keys_nor_batches_kernel_or_restart_change_what_is_seen(
        history in batches(0..150), is_dense in any::<bool>(), seed in any::<u64>()
    ) {
        let history = if is_dense { dense(history) } else { history };
        sees_the_same_however_told(&history.concat(), seed)?;
    }

    /// What counts and previews look at.
    #[test]
    fn each_in_place_hands_out_at_least_what_matches_and_once(batches in batches(0..150), most in 1..9_usize) {
        let mut engine = Indexed::new(Kernel::best());
        let mut oracle = Oracle::default();
        let mut sessions = BTreeMap::new();
        for batch in batches {
            engine.apply(&batch, &mut Vec::new());
            oracle.apply(&batch, &mut Vec::new());
            for change in batch {
                if let Change::Session { id, facts: Some(facts) } = change {
                    sessions.insert(id, facts);
                }
            }
        }
        for session in sessions.values() {
            let matching = |engine: &dyn Engine| {
                let mut keys = Vec::new();
                let mut from = Some(0);
                while let Some(at) = from {
                    let mut handed = 0;
                    from = engine.each_in_place(session, at, most, &mut |id, facts| {
                        handed += 1;
                        keys.extend(matches(session, id, facts));
                    });
                    assert!(handed == most || from.is_none() && handed < most, "{handed} of {most} from {at}");
                }
                keys.sort();
                keys
            };
            prop_assert_eq!(matching(&engine), matching(&oracle));
        }
    }
}
