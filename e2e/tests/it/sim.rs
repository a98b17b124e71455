//! The simulator's seeds: 2,000 in `make test`, 100,000 in `make test-long`, none may fail; each guard switched off is
//! caught.
//!
//! `ROOST_SIM_SEED=n` runs one seed, `ROOST_SIM_SEEDS=n` so many, `ROOST_SIM_GUARD=name` without that guard.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use e2e::sim::{Guard, Guards, Tally, run};

/// Seeds within which each guard must be caught: several times what the rarest needs.
const CAUGHT_WITHIN: u64 = 40_000;
/// Most guards are caught within so many.
const SOON: u64 = 100;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name}: {text} is no number")))
}

fn is_long() -> bool {
    std::env::var_os("ROOST_TEST_LONG").is_some()
}

fn guards() -> Guards {
    let Ok(name) = std::env::var("ROOST_SIM_GUARD") else { return Guards::default() };
    let guard = Guard::ALL.iter().find(|guard| guard.name() == name);
    Guards::without(*guard.unwrap_or_else(|| panic!("ROOST_SIM_GUARD: {name} is no guard")))
}

/// Runs seeds on all cores until one fails: the smallest that did, and why; else what befell.
fn run_all(seeds: u64, guards: &Guards) -> Result<Tally, (u64, String)> {
    let next = AtomicU64::new(1);
    let failed = AtomicU64::new(u64::MAX);
    let tally = Mutex::new(Tally::default());
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed > seeds || seed > failed.load(Ordering::Relaxed) {
                return None;
            }
            let outcome = std::panic::catch_unwind(|| run(seed, guards));
            match outcome.unwrap_or_else(|_| Err("a state machine panicked".to_owned())) {
                Ok(befell) => tally.lock().unwrap().absorb(&befell),
                Err(reason) => {
                    failed.fetch_min(seed, Ordering::Relaxed);
                    return Some((seed, reason));
                }
            }
        }
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let failures = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        threads.into_iter().filter_map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    failures.into_iter().min().map_or(Ok(tally.into_inner().unwrap()), Err)
}

#[test]
fn no_seed_ends_in_tables_that_are_not_what_the_logs_say() {
    let guards = guards();
    if let Some(seed) = number("ROOST_SIM_SEED") {
        let befell = run(seed, &guards).unwrap_or_else(|reason| panic!("seed {seed}: {reason}"));
        befell.iter().for_each(|(happening, times)| println!("{happening:?}: {times}"));
        return;
    }
    let seeds = number("ROOST_SIM_SEEDS").unwrap_or(if is_long() { 100_000 } else { 2_000 });
    let started = Instant::now();
    let befell = run_all(seeds, &guards).unwrap_or_else(|(seed, reason)| {
        panic!("seed {seed}: {reason}\nagain with: ROOST_SIM_SEED={seed} cargo test -p e2e --test it no_seed")
    });
    println!("{seeds} seeds in {:.1} s, 0 failures", started.elapsed().as_secs_f64());
    befell.iter().for_each(|(happening, times)| println!("{happening:?}: {times}"));
    let missing: Vec<_> = befell.iter().filter(|(_, times)| *times == 0).map(|(happening, _)| happening).collect();
    assert!(seeds < 1_000 || missing.is_empty(), "the weather has gone soft: never in {seeds} seeds: {missing:?}");
}

/// The first seed that fails without a guard, if one of so many does.
fn caught_by(guard: Guard, seeds: u64) -> Option<u64> {
    run_all(seeds, &Guards::without(guard)).err().map(|(seed, _)| seed)
}

#[test]
fn of_three_guards_switched_off_two_are_caught_within_a_hundred_seeds() {
    let missed: Vec<_> = Guard::ALL.iter().filter(|guard| caught_by(**guard, SOON).is_none()).collect();
    assert!(missed.len() * 3 <= Guard::ALL.len(), "not caught in {SOON} seeds: {missed:?}");
}

/// Prints the table of `bench/RESULTS.md`.
#[test]
fn every_guard_switched_off_is_caught() {
    if !is_long() {
        println!("skipped: part of make test-long");
        return;
    }
    let mut missed = Vec::new();
    println!("| guard | without it | first seed |\n|---|---|---|");
    for guard in Guard::ALL {
        match caught_by(*guard, CAUGHT_WITHIN) {
            Some(seed) => println!("| {} | {} | {seed} |", guard.name(), guard.without()),
            None => missed.push(guard.name()),
        }
    }
    assert!(missed.is_empty(), "not caught in {CAUGHT_WITHIN} seeds: {missed:?}");
}
