//! The engine alone, on ListingMark: changes a second, one by one and in batches, how long one takes, new preferences, how
//! long the start takes, memory; and whether what it says is right.
//!
//! No log, no store, one thread: time is this thread's own CPU time beside the wall's.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use scorer::engine::indexed::Indexed;
use scorer::engine::kernel::Kernel;
use scorer::engine::{Change, Emit, Engine, TopThree};
use scorer::facts::SessionFacts;
use scorer::score;
use scorer::snapshot::{self, Directory, Head};

use crate::brute::Brute;
use crate::listing_mark::{Size, World};
use crate::machine;
use crate::report::{Line, Report, line};

/// What everything follows from.
pub const SEED: u64 = 42;
/// Things per batch while the engine fills.
pub const FILL: usize = 4_096;
/// How long each way of feeding is measured at most, and how many changes at most.
const TIME: Duration = Duration::from_secs(10);
const CHANGES: usize = 400_000;
/// Pairs that brute force may look at to start.
const PAIRS: usize = 1_000_000_000;
/// Changes that are made at once.
pub const MADE: usize = 4_096;
/// Sessions whose top three is compared with brute force.
pub const CHECKED: usize = 500;
/// Homes up to which it is looked at how an engine wears: a second one is made for that.
const WEARABLE: usize = 100_000;
/// Changes per home, and statements per session, that an engine has to wear, and the changes that are then looked at.
const WORN: usize = 4;
const LOOKED_AT: usize = 20_000;
/// New preferences that are timed.
const PREFERENCES: usize = 5_000;

/// Runs one size with one kernel.
pub fn run(size: Size, name: &str, kernel: Kernel, peer: Option<f64>, report: &mut Report) -> Result<()> {
    let mut engine = Indexed::new(kernel);
    let mut world = World::new(size, SEED);
    let before = machine::resident_mb(std::process::id())?;
    let of = format!("ListingMark {}, {name}", size.name);
    let mut emits = Vec::new();

    let begun = Instant::now();
    for homes in world.homes.chunks(FILL) {
        let batch: Vec<Change> = homes.iter().map(|home| world.listing(home)).collect();
        engine.apply(&batch, &mut emits);
    }
    let listings = (begun.elapsed(), machine::resident_mb(std::process::id())?);
    let begun = Instant::now();
    for people in world.people.chunks(FILL) {
        let batch: Vec<Change> = people.iter().map(|person| world.session(person)).collect();
        engine.apply(&batch, &mut emits);
        emits.clear();
    }
    let sessions = (begun.elapsed(), machine::resident_mb(std::process::id())?);
    report.add(line(
        format!("{of}: start, {} listings + {} sessions", size.homes, size.people),
        format!("{:.1} + {:.1} s", listings.0.as_secs_f64(), sessions.0.as_secs_f64()),
        "1M sessions ≤ 10 s",
    ));
    let bytes = |mb: f64, things: usize| mb * 1_048_576.0 / things as f64;
    report.add(line(
        format!("{of}: memory a listing / a session"),
        format!("{:.0} / {:.0} B", bytes(listings.1 - before, size.homes), bytes(sessions.1 - listings.1, size.people)),
        "≤ 50 / ≤ 128 B",
    ));

    from_snapshot(&of, &engine, kernel, report)?;

    for per_batch in [1, 16, 256] {
        changes(&of, (per_batch, peer), &mut world, &mut engine, &mut emits, report);
    }
    preferences(&of, &mut world, &mut engine, &mut emits, report);
    if size.homes <= WEARABLE {
        wear(&of, &mut world, &mut engine, Indexed::new(kernel), report);
    }
    let wrong = check(&world, &engine)?;
    report.add(line(format!("{of}: mismatches in {CHECKED} sessions"), wrong.to_string(), "0"));
    Ok(())
}

/// How long a snapshot keeps the engine waiting, and how long a start from it takes, reading the file included.
fn from_snapshot(of: &str, engine: &Indexed, kernel: Kernel, report: &mut Report) -> Result<()> {
    let temporary = tempfile::tempdir_in(".")?;
    let directory = Directory::at(temporary.path())?;
    let now_ms = jiff::Timestamp::now().as_millisecond();
    let begun = Instant::now();
    let head = Head { config: 0, written_at_ms: now_ms, offsets: Vec::new() };
    let bytes = engine.save(head.to_bytes()).context("no snapshot")?;
    let copied = begun.elapsed();
    directory.write(&snapshot::seal(bytes))?;
    let written = begun.elapsed() - copied;
    let begun = Instant::now();
    let load = |bytes: &[u8]| Indexed::load(bytes, Indexed::tuning(kernel));
    let loaded = directory.load(0, now_ms, load, |_, reason| report.say(&format!("refused: {reason}")));
    let took = begun.elapsed();
    let (path, _, loaded) = loaded.context("the snapshot is refused")?;
    ensure!(loaded.size() == engine.size(), "{:?} were loaded of {:?}", loaded.size(), engine.size());
    report.add(line(
        format!("{of}: start from a snapshot of {:.0} MB", std::fs::metadata(path)?.len() as f64 / 1e6),
        format!(
            "{:.2} s; copied in {:.2} s, on the disk {:.2} s later",
            took.as_secs_f64(),
            copied.as_secs_f64(),
            written.as_secs_f64()
        ),
        "1M sessions ≤ 1 s",
    ));
    Ok(())
}

fn changes(
    of: &str,
    (per_batch, peer): (usize, Option<f64>),
    world: &mut World,
    engine: &mut dyn Engine,
    emits: &mut Vec<Emit>,
    report: &mut Report,
) {
    let (mut times, mut count, mut emitted) = (Vec::new(), 0, 0);
    let (mut wall, mut cpu) = (Duration::ZERO, 0.0);
    let before = engine.work();
    while wall < TIME && count < CHANGES {
        // Made outside of what is measured, and the thread's time read rarely: reading it takes as long as a change.
        let batches: Vec<Vec<Change>> =
            (0..MADE.div_ceil(per_batch)).map(|_| (0..per_batch).map(|_| next(world)).collect()).collect();
        let begun_at = machine::thread_seconds();
        for batch in &batches {
            let begun = Instant::now();
            engine.apply(batch, emits);
            let took = begun.elapsed();
            wall += took;
            times.push(took.as_secs_f64() * 1e6);
            count += batch.len();
            emitted += emits.len();
            emits.clear();
        }
        cpu += machine::thread_seconds() - begun_at;
    }
    times.sort_unstable_by(f64::total_cmp);
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    let per_second = count as f64 / wall.as_secs_f64();
    let work = engine.work();
    let per_change = |after: u64, before: u64| (after - before) as f64 / count as f64;
    let seen = format!(
        "{per_second:.0}/s ({:.0} per CPU second); a batch {:.1} / {:.1} / {:.1} µs; a change: {:.1} looks, \
         {:.1} candidates, {:.2} emits, {:.4} refills",
        count as f64 / cpu,
        at(0.5),
        at(0.99),
        at(0.999),
        per_change(work.looks, before.looks),
        per_change(work.candidates, before.candidates),
        emitted as f64 / count as f64,
        per_change(work.refills, before.refills),
    );
    report.add(Line {
        what: format!("{of}: changes, {per_batch} a batch"),
        seen,
        peer: peer.map_or_else(
            || "brute force: not run, it looks at every pair to start".to_owned(),
            |peer| format!("brute force, one by one: {peer:.0}/s; {:.1}×", per_second / peer),
        ),
        goal: "L ≥ 100,000/s quiet, HOT ≥ 5,000/s; p99 ≤ 250 µs, HOT ≤ 2 ms; ≤ 0.02 refills; M ≥ 3×, L ≥ 25×"
            .to_owned(),
    });
}

fn next(world: &mut World) -> Change {
    let home = world.change();
    world.listing(&home)
}

/// Changes a second of the peer; `None` where it would take minutes to start.
pub fn brute_force(size: Size, report: &mut Report) -> Option<f64> {
    if size.homes * (size.people / size.markets) > PAIRS {
        return None;
    }
    report.say(&format!("ListingMark {}, brute force", size.name));
    let mut world = World::new(size, SEED);
    let mut brute = Brute::default();
    // Listings last: with them there, each session would look through its market.
    world.people.iter().for_each(|person| brute.apply(&world.session(person), 0));
    world.homes.iter().for_each(|home| brute.apply(&world.listing(home), home.id));
    let (mut wall, mut count) = (Duration::ZERO, 0);
    while wall < TIME && count < CHANGES {
        let home = world.change();
        let change = world.listing(&home);
        let begun = Instant::now();
        brute.apply(&change, home.id);
        wall += begun.elapsed();
        count += 1;
    }
    Some(count as f64 / wall.as_secs_f64())
}

fn preferences(of: &str, world: &mut World, engine: &mut dyn Engine, emits: &mut Vec<Emit>, report: &mut Report) {
    let mut times = Vec::new();
    for _ in 0..PREFERENCES {
        let id = world.people.len() as u32;
        let person = world.person(id);
        world.people.push(person);
        let batch = [world.session(&person)];
        let begun = Instant::now();
        engine.apply(&batch, emits);
        times.push(begun.elapsed().as_secs_f64() * 1e6);
        emits.clear();
    }
    times.sort_unstable_by(f64::total_cmp);
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    report.add(line(
        format!("{of}: a new preference, p50 / p99"),
        format!("{:.1} / {:.1} µs", at(0.5), at(0.99)),
        "≤ 8 / ≤ 60 µs",
    ));
}

/// How much more an engine looks at after many changes and statements than one that is made of the same facts.
fn wear(of: &str, world: &mut World, worn: &mut dyn Engine, mut made: impl Engine, report: &mut Report) {
    let mut emits = Vec::new();
    let mut apply = |engine: &mut dyn Engine, batch: &[Change]| {
        engine.apply(batch, &mut emits);
        emits.clear();
    };
    for turn in 0..WORN {
        for _ in 0..world.homes.len().div_ceil(MADE) {
            let batch: Vec<Change> = (0..MADE).map(|_| next(world)).collect();
            apply(worn, &batch);
        }
        // One session in four says something else, every turn another.
        for number in (turn..world.people.len()).step_by(WORN) {
            let id = world.people[number].id;
            world.people[number] = world.person(id);
            let stated = world.session(&world.people[number]);
            apply(worn, &[stated]);
        }
    }
    for homes in world.homes.chunks(FILL) {
        let batch: Vec<Change> = homes.iter().map(|home| world.listing(home)).collect();
        apply(&mut made, &batch);
    }
    for people in world.people.chunks(FILL) {
        let batch: Vec<Change> = people.iter().map(|person| world.session(person)).collect();
        apply(&mut made, &batch);
    }
    let before = [worn.work(), made.work()];
    for _ in 0..LOOKED_AT {
        let batch = [next(world)];
        apply(worn, &batch);
        apply(&mut made, &batch);
    }
    let [worn, made] = [worn.work().looks - before[0].looks, made.work().looks - before[1].looks];
    report.add(line(
        format!("{of}: looks a change after {WORN} changes a listing and a statement a session, beside a fresh engine"),
        format!("{:.2} : {:.2}, {:.2}×", per_look(worn), per_look(made), worn as f64 / made.max(1) as f64),
        "≤ 1.5×",
    ));
}

fn per_look(looks: u64) -> f64 {
    looks as f64 / LOOKED_AT as f64
}

/// How many of some sessions see something else than brute force says.
pub fn check(world: &World, engine: &dyn Engine) -> Result<usize> {
    let mut wrong = 0;
    let step = (world.people.len() / CHECKED).max(1);
    for person in world.people.iter().step_by(step).take(CHECKED) {
        let Change::Session { id, facts: Some(session) } = world.session(person) else { continue };
        let seen = engine.top_three(id);
        ensure!(seen.is_some(), "{id} is not known");
        let of_market = world.homes.iter().filter(|home| home.market == person.market && home.is_offered);
        let keys = of_market.filter_map(|home| key(&session, &world.listing(home))).collect();
        wrong += usize::from(seen != Some(TopThree::best_of(keys)));
    }
    Ok(wrong)
}

fn key(session: &SessionFacts, listing: &Change) -> Option<score::Key> {
    let Change::Listing { id, facts: Some(facts), .. } = listing else { return None };
    score::matches(session, id, facts)
}
