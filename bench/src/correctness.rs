//! Whether the engine is right, on many more worlds than its tests have time for: histories told in other orders, batches,
//! kernels and with restarts, each against the oracle; and ListingMark with its adverse variants, where every so often the
//! top three of everybody is compared with brute force's, which took in the same changes.
//!
//! Measures no time. A mistake is printed with what makes it again, and fails the run.

use std::process::ExitCode;
use std::time::Instant;

use anyhow::Result;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};
use schemas::id::SessionId;
use scorer::engine::indexed::{Indexed, Tuning};
use scorer::engine::kernel::Kernel;
use scorer::engine::oracle::Oracle;
use scorer::engine::{Change, Emit, Engine};

use crate::adversary::{Stream, Variant};
use crate::brute::{self, Brute};
use crate::engine::check;
use crate::listing_mark::{Random, Size, listing_number};
use crate::permutation::{digest_of, retold};
use crate::world::{change_of, dense, session_id};

/// Ways in which one history is told: making a history takes longer than telling it.
const TELLINGS: u64 = 20;
/// Listings, sessions and changes of a world: so few that nearly everything ties or starves, enough for several blocks of
/// 64, and one with more changes of each.
const WORLDS: [(usize, usize, usize); 3] = [(24, 8, 300), (300, 200, 1_000), (60, 150, 1_500)];

/// Of this size everything is compared; one market of many is where groups are parted.
const SMALL: Size = Size { name: "S", markets: 20, homes: 10_000, people: 10_000 };
const MIDDLE: Size = Size { name: "M", markets: 100, homes: 100_000, people: 100_000 };
const CROWD: Size = Size { name: "crowd", markets: 1, homes: 4_000, people: 20_000 };

/// A world, and how much of it.
#[derive(Clone, Copy)]
struct Run {
    size: Size,
    variant: Variant,
    /// Changes between two comparisons. Brute force looks through a market for every session that loses a listing: where
    /// many do, few.
    apart: usize,
    /// Of all comparisons.
    sixteenths: u64,
}

const RUNS: [Run; 8] = [
    Run { size: SMALL, variant: Variant::Plain, apart: 100, sixteenths: 3 },
    Run { size: SMALL, variant: Variant::Hottest, apart: 4, sixteenths: 1 },
    Run { size: SMALL, variant: Variant::Ties, apart: 50, sixteenths: 2 },
    Run { size: SMALL, variant: Variant::Starved, apart: 100, sixteenths: 2 },
    Run { size: SMALL, variant: Variant::Rollout, apart: 1, sixteenths: 1 },
    Run { size: SMALL, variant: Variant::Repeats, apart: 100, sixteenths: 2 },
    Run { size: MIDDLE, variant: Variant::Plain, apart: 500, sixteenths: 4 },
    Run { size: CROWD, variant: Variant::Plain, apart: 50, sixteenths: 1 },
];

/// Prints a table; fails if anything in it is wrong.
pub fn run(seed: u64, permutations: u64, checks: u64) -> Result<ExitCode> {
    println!("| what | seed | counted | mismatches | seconds |\n|---|---|---|---|---|");
    let mut total = Counted::default();
    if permutations > 0 {
        let begun = Instant::now();
        let counted = retell(seed, permutations);
        counted.print("permutations", seed, begun);
        total.mismatches += counted.mismatches;
    }
    if checks > 0 {
        let begun_all = Instant::now();
        let mut all = Counted::default();
        for run in RUNS {
            let begun = Instant::now();
            let counted = compare(run, seed, checks)?;
            counted.print(&format!("top threes, ListingMark {} {:?}", run.size.name, run.variant), seed, begun);
            all.count += counted.count;
            all.mismatches += counted.mismatches;
        }
        all.print("top threes, all", seed, begun_all);
        total.mismatches += all.mismatches;
    }
    Ok(if total.mismatches == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[derive(Default)]
struct Counted {
    count: u64,
    mismatches: u64,
}

impl Counted {
    fn print(&self, what: &str, seed: u64, begun: Instant) {
        println!("| {what} | {seed} | {} | {} | {:.0} |", self.count, self.mismatches, begun.elapsed().as_secs_f64());
    }
}

/// Changes of every kind of listing and session.
fn history(seed: u64) -> (Vec<Change>, Vec<SessionId>) {
    let (listings, sessions, changes) = WORLDS[seed as usize % WORLDS.len()];
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(ProptestConfig::default(), rng);
    let any = change_of(listings, sessions);
    // The strategies filter nothing, so that they always have a value.
    let drawn = (0..changes).filter_map(|_| Some(any.new_tree(&mut runner).ok()?.current())).collect();
    let history = if seed % 4 == 3 { dense(vec![drawn]).concat() } else { drawn };
    (history, (0..sessions).map(session_id).collect())
}

fn retell(seed: u64, permutations: u64) -> Counted {
    let mut counted = Counted::default();
    for seed in (0..permutations.div_ceil(TELLINGS)).map(|world| seed.wrapping_add(world)) {
        let (history, sessions) = history(seed);
        let mut oracle = Oracle::default();
        oracle.apply(&history, &mut Vec::new());
        let right = digest_of(&oracle, &sessions);
        let mut random = Random(seed);
        for telling in 0..TELLINGS.min(permutations - counted.count) {
            counted.count += 1;
            let mut below = |limit: usize| random.below(limit as u64) as usize;
            let wrong = match retold(&history, &sessions, &mut below) {
                Ok(digest) if digest == right => continue,
                Ok(digest) => format!("{digest:016x}, but the oracle has {right:016x}"),
                Err(wrong) => wrong,
            };
            counted.mismatches += 1;
            eprintln!(
                "history {seed}, telling {telling}: {wrong}. Again: bench correctness --seed {seed} --permutations {} \
                 --checks 0",
                telling + 1
            );
        }
    }
    counted
}

/// Both kernels take in what brute force does; as many top threes as asked for, or a few more, are compared.
fn compare(run: Run, seed: u64, checks: u64) -> Result<Counted> {
    let Run { size, variant, apart, sixteenths } = run;
    let mut stream = Stream::new(size, variant, seed);
    let mut brute = Brute::default();
    // Listings last: with them there, each session would look through its market.
    stream.world.people.iter().for_each(|person| brute.apply(&stream.world.session(person), 0));
    stream.world.homes.iter().for_each(|home| brute.apply(&stream.world.listing(home), home.id));
    let tunings = [Tuning { kernel: Kernel::Portable, few: 0 }, Tuning { kernel: Kernel::best(), few: 24 }];
    let mut engines = tunings.map(Indexed::tuned);
    // One tells what is seen, which is what both should.
    let told = engines.each_mut().map(|engine| stream.fill(engine));
    stream.learn(&told[0]);

    let mut random = Random(!seed);
    let mut counted = Counted::default();
    for round in 0.. {
        if counted.count >= (checks * sixteenths).div_ceil(16) {
            break;
        }
        let mut left = apart;
        while left > 0 {
            let count = left.min(1 + random.below(64) as usize);
            left -= count;
            let homes = stream.batch(count);
            let mut batch: Vec<(u32, Change)> =
                homes.iter().map(|home| (home.id, stream.world.listing(home))).collect();
            if random.below(4) == 0 {
                let person = stream.person();
                batch.push((0, stream.world.session(&person)));
            }
            batch.iter().for_each(|(number, change)| brute.apply(change, *number));
            let changes: Vec<Change> = batch.into_iter().map(|(_, change)| change).collect();
            let told = engines.each_mut().map(|engine| apply(engine, &changes));
            stream.learn(&told[0]);
        }
        for (engine, tuning) in engines.iter().zip(tunings) {
            for (session, right) in brute.tops() {
                counted.count += 1;
                if sees(engine, session, right) {
                    continue;
                }
                counted.mismatches += 1;
                if counted.mismatches <= 3 {
                    eprintln!(
                        "ListingMark {} {variant:?}, {tuning:?}, round {round}: {session} sees {:?}, but brute force \
                         says {right:?}. Again: bench correctness --seed {seed} --permutations 0 --checks {checks}",
                        size.name,
                        engine.top_three(session)
                    );
                }
            }
        }
    }
    // Brute force keeps what it has; the definition has no past.
    for engine in &engines {
        counted.mismatches += check(&stream.world, engine)? as u64;
    }
    Ok(counted)
}

fn apply(engine: &mut Indexed, changes: &[Change]) -> Vec<Emit> {
    let mut emits = Vec::new();
    engine.apply(changes, &mut emits);
    emits
}

fn sees(engine: &Indexed, session: SessionId, right: &[brute::Key]) -> bool {
    let Some(top) = engine.top_three(session) else { return false };
    let keys = top.keys().iter().map(|key| (key.score, listing_number(&key.listing.0)));
    keys.eq(right.iter().map(|(score, number)| (*score, Some(number.0))))
}
