//! Our engine on the files of `mark_files.rs`, as the peers under `bench/peers/` run on them: reads, fills, times every
//! change, writes what each session sees at the end, and prints one line of JSON.
//!
//! Judges nothing: whether the peers saw the same is compared by `bench/peers/run`.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result};
use scorer::engine::indexed::Indexed;
use scorer::engine::kernel::Kernel;
use scorer::engine::{Change, Engine};
use serde::Serialize;
use serde_json::json;

use crate::engine::{FILL, MADE};
use crate::listing_mark::{Cities, Home, Person, session_id};
use crate::machine;
use crate::mark_files::{self, CHANGES, LISTINGS, PREFERENCES, SESSIONS};
use crate::spread::Spread;

/// A line of what sessions see.
#[derive(Serialize)]
struct Place<'a> {
    session: u32,
    /// 1 is the best.
    rank: usize,
    listing: &'a str,
    score: u32,
}

/// Runs the files of `directory`, `per_batch` changes at once; writes what sessions see before the changes to `start`, and at
/// the end to `top`.
pub fn run(
    directory: &Path,
    kernel: (&str, Kernel),
    per_batch: usize,
    (start, top): (Option<&Path>, &Path),
) -> Result<()> {
    let homes = mark_files::homes(&directory.join(LISTINGS))?;
    let people = mark_files::people(&directory.join(SESSIONS))?;
    let changes = mark_files::homes(&directory.join(CHANGES))?;
    let comers = mark_files::people(&directory.join(PREFERENCES))?;
    let markets = homes.iter().map(|home| home.market).chain(people.iter().map(|person| person.market)).max();
    let cities = Cities::new(1 + usize::from(markets.context("no homes and no people")?));

    let mut engine = Indexed::new(kernel.1);
    let begun = Instant::now();
    fill(&mut engine, &cities, &homes, &people);
    let load = begun.elapsed().as_secs_f64();
    if let Some(path) = start {
        write_top(&engine, &people, path)?;
    }
    drop((homes, people));

    let (mut times, mut emits, mut emitted, mut cpu) = (Vec::new(), Vec::new(), 0, 0.0);
    for some in changes.chunks(MADE.next_multiple_of(per_batch)) {
        // Made outside of what is measured: a peer, too, finds its changes as rows in memory.
        let batches: Vec<Vec<Change>> =
            some.chunks(per_batch).map(|batch| batch.iter().map(|home| cities.listing(home)).collect()).collect();
        let begun_at = machine::thread_seconds();
        for batch in &batches {
            let begun = Instant::now();
            engine.apply(batch, &mut emits);
            times.push(begun.elapsed().as_secs_f64());
            emitted += emits.len();
            emits.clear();
        }
        cpu += machine::thread_seconds() - begun_at;
    }
    let wall: f64 = times.iter().sum();
    let resident = machine::resident_mb(std::process::id())?;
    write_top(&engine, &mark_files::people(&directory.join(SESSIONS))?, top)?;

    let new = comers.iter().map(|person| {
        let batch = [cities.session(person)];
        let begun = Instant::now();
        engine.apply(&batch, &mut emits);
        let took = begun.elapsed().as_secs_f64();
        emits.clear();
        took * 1e6
    });
    let (new, times) = (Spread::of(new.collect()), Spread::of(times.into_iter().map(|s| s * 1e6).collect()));
    let line = json!({
        "engine": format!("roost {}", kernel.0), "batch": per_batch, "changes": changes.len(),
        "changes_per_s": changes.len() as f64 / wall, "per_cpu_s": changes.len() as f64 / cpu, "load_s": load,
        "p50_us": times.at(0.5), "p99_us": times.at(0.99), "p999_us": times.at(0.999), "rss_mib": resident,
        "preference_p50_us": new.at(0.5), "preference_p99_us": new.at(0.99), "emits": emitted,
    });
    println!("{line}");
    Ok(())
}

fn fill(engine: &mut dyn Engine, cities: &Cities, homes: &[Home], people: &[Person]) {
    let mut emits = Vec::new();
    let listings = homes.chunks(FILL).map(|some| some.iter().map(|home| cities.listing(home)).collect::<Vec<_>>());
    let sessions = people.chunks(FILL).map(|some| some.iter().map(|person| cities.session(person)).collect());
    for batch in listings.chain(sessions) {
        engine.apply(&batch, &mut emits);
        emits.clear();
    }
}

fn write_top(engine: &dyn Engine, people: &[Person], path: &Path) -> Result<()> {
    let mut file = csv::Writer::from_path(path).with_context(|| format!("{} cannot be made", path.display()))?;
    for person in people {
        let top = engine.top_three(session_id(person.id)).with_context(|| format!("session {} is gone", person.id))?;
        for (at, key) in top.keys().iter().enumerate() {
            // `mark:` and ten digits: a number as the files have it.
            let (_, digits) = key.listing.0.as_str().split_once(':').context("a listing id without its feed")?;
            let number = digits.trim_start_matches('0');
            let listing = if number.is_empty() { "0" } else { number };
            file.serialize(Place { session: person.id, rank: at + 1, listing, score: key.score })?;
        }
    }
    Ok(file.flush()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::listing_mark::{Size, World, listing_id};
    use scorer::engine::TopThree;
    use scorer::score;

    const SMALL: Size = Size { name: "small", markets: 3, homes: 400, people: 100 };

    #[test]
    fn what_sessions_see_at_the_end_is_the_best_of_the_last_state() {
        let directory = tempfile::tempdir().unwrap();
        mark_files::write(SMALL, 500, directory.path()).unwrap();
        let path = directory.path().join("top3.csv");
        run(directory.path(), ("scalar", Kernel::Portable), 7, (None, &path)).unwrap();

        let mut world = World::new(SMALL, crate::engine::SEED);
        for _ in 0..500 {
            world.change();
        }
        let mut expected = String::from("session,rank,listing,score\n");
        for person in &world.people {
            let Change::Session { facts: Some(session), .. } = world.session(person) else { panic!("a session") };
            let key = |home| match world.listing(home) {
                Change::Listing { id, facts: Some(facts), .. } => score::matches(&session, &id, &facts),
                _ => None,
            };
            let top = TopThree::best_of(world.homes.iter().filter_map(key).collect());
            for (at, key) in top.keys().iter().enumerate() {
                let home = world.homes.iter().find(|home| listing_id(home.id) == key.listing.0).unwrap();
                expected += &format!("{},{},{},{}\n", person.id, at + 1, home.id, key.score);
            }
        }
        assert_eq!(std::fs::read_to_string(path).unwrap(), expected);
    }
}
