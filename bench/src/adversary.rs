//! ListingMark as an adversary would have it: streams of changes, and worlds, that are the worst for an engine that keeps
//! short lists and bounds. Knows the changes, not whether anybody takes them in right (`correctness.rs`).

use std::cmp::Reverse;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::ValueEnum;
use rustc_hash::FxHashMap;
use schemas::id::SessionId;
use scorer::engine::{Change, Emit, Engine};

use crate::engine::{CHECKED, FILL, SEED, check};
use crate::listing_mark::{Home, Person, Random, Size, World, listing_number};
use crate::report::{Report, line};

/// Homes of a roll-out that are told at once: as many as the scorer takes from the log.
const ROLLED: usize = 4_096;
/// Homes that are off the market at a time while the hottest go.
const OUT: usize = 16;
/// Changes of which one may be told again.
const RECENT: usize = 64;
/// How long each way of feeding is measured at most, and how many changes at most.
const TIME: Duration = Duration::from_secs(5);
const CHANGES: usize = 200_000;

/// What is adverse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Variant {
    /// Nothing: ListingMark itself.
    Plain,
    /// The home that most sessions see goes, again and again; it comes back when 16 others have gone.
    Hottest,
    /// Eight prices, and eight kinds of homes: nearly every place is a tie.
    Ties,
    /// One or two homes fit a session, and every other change makes one of these go or come.
    Starved,
    /// A new model: every home's deal changes, 4,096 homes a batch.
    Rollout,
    /// Every other change is one that was told before, or an older state of a home followed by its newest.
    Repeats,
}

/// A world of that kind, and what happens next in it.
pub struct Stream {
    /// As it stands.
    pub world: World,
    variant: Variant,
    random: Random,
    /// The two cheapest homes of each market at the start.
    cheapest: Vec<[u32; 2]>,
    /// What each session sees, and how many see a home.
    shown: FxHashMap<SessionId, Vec<u32>>,
    seen_by: Vec<u32>,
    out: VecDeque<u32>,
    recent: VecDeque<Home>,
    rolled: usize,
}

impl Stream {
    /// Everything follows from the seed and from what sessions are seen to see.
    pub fn new(size: Size, variant: Variant, seed: u64) -> Self {
        let mut world = World::new(size, seed);
        if variant == Variant::Ties {
            world.homes.iter_mut().for_each(tie);
        }
        let mut by_price: Vec<u32> = (0..world.homes.len() as u32).collect();
        by_price.sort_by_key(|id| world.homes[*id as usize].price);
        let mut cheapest = vec![Vec::new(); size.markets];
        for id in by_price {
            let of = &mut cheapest[usize::from(world.homes[id as usize].market)];
            of.extend((of.len() < 2).then_some(id));
        }
        let cheapest = cheapest.into_iter().map(|of| [of.first(), of.last()].map(|id| id.copied().unwrap_or(0)));
        let mut stream = Self {
            variant,
            random: Random(!seed),
            cheapest: cheapest.collect(),
            shown: FxHashMap::default(),
            seen_by: vec![0; world.homes.len()],
            out: VecDeque::new(),
            recent: VecDeque::new(),
            rolled: 0,
            world,
        };
        let people = std::mem::take(&mut stream.world.people);
        stream.world.people = people.into_iter().map(|person| stream.shaped(person)).collect();
        stream
    }

    /// Somebody new.
    pub fn person(&mut self) -> Person {
        let person = self.world.person(self.world.people.len() as u32);
        let person = self.shaped(person);
        self.world.people.push(person);
        person
    }

    fn shaped(&self, person: Person) -> Person {
        match self.variant {
            Variant::Ties => Person { budget: 650_000, required: 0, preferred: person.preferred & 0b11, ..person },
            Variant::Starved => {
                let cheap = self.cheapest[usize::from(person.market)][person.id as usize % 2];
                let budget = self.world.homes[cheap as usize].price;
                Person { budget, min_bedrooms: 1, max_commute: 120, min_school: 0, required: 0, ..person }
            }
            Variant::Plain | Variant::Hottest | Variant::Rollout | Variant::Repeats => person,
        }
    }

    /// The next changes, in order: about `count`, as far as the variant leaves it open.
    pub fn batch(&mut self, count: usize) -> Vec<Home> {
        if self.variant == Variant::Rollout {
            return self.roll();
        }
        let mut batch = Vec::with_capacity(count + 1);
        while batch.len() < count {
            self.step(&mut batch);
        }
        batch
    }

    fn step(&mut self, batch: &mut Vec<Home>) {
        let is_odd = self.random.below(2) == 1;
        match self.variant {
            Variant::Hottest => {
                let offered = self.world.homes.iter().filter(|home| home.is_offered);
                let hottest = offered.max_by_key(|home| (self.seen_by[home.id as usize], Reverse(home.id)));
                if let Some(Home { id, .. }) = hottest.copied() {
                    self.out.push_back(id);
                    batch.push(self.offer(id, false));
                }
                if self.out.len() > OUT {
                    batch.extend(self.out.pop_front().map(|id| self.offer(id, true)));
                }
            }
            Variant::Starved if is_odd => {
                let market = self.random.below(self.cheapest.len() as u64) as usize;
                let id = self.cheapest[market][self.random.below(2) as usize];
                let is_offered = self.world.homes[id as usize].is_offered;
                batch.push(self.offer(id, !is_offered));
            }
            Variant::Repeats if is_odd && !self.recent.is_empty() => {
                let older = self.recent[self.random.below(self.recent.len() as u64) as usize];
                let newest = self.world.homes[older.id as usize];
                batch.extend([older, newest]);
            }
            Variant::Ties => {
                let mut home = self.world.change();
                tie(&mut home);
                self.world.homes[home.id as usize] = home;
                batch.push(home);
            }
            Variant::Plain | Variant::Starved | Variant::Rollout | Variant::Repeats => {
                let home = self.world.change();
                self.recent.push_back(home);
                self.recent.drain(..self.recent.len().saturating_sub(RECENT));
                batch.push(home);
            }
        }
    }

    fn offer(&mut self, id: u32, is_offered: bool) -> Home {
        let home = &mut self.world.homes[id as usize];
        home.is_offered = is_offered;
        *home
    }

    fn roll(&mut self) -> Vec<Home> {
        let from = self.rolled % self.world.homes.len();
        let homes = &mut self.world.homes[from..];
        let rolled = homes.len().min(ROLLED);
        self.rolled += rolled;
        for home in &mut homes[..rolled] {
            home.deal = (home.deal + self.random.below(101) as u8) % 101;
        }
        homes[..rolled].to_vec()
    }

    /// What sessions see now; the hottest home follows from it.
    pub fn learn(&mut self, emits: &[Emit]) {
        if self.variant != Variant::Hottest {
            return;
        }
        for Emit { session, top } in emits {
            let now: Vec<u32> = top.keys().iter().filter_map(|key| listing_number(&key.listing.0)).collect();
            now.iter().for_each(|id| self.seen_by[*id as usize] += 1);
            let before = self.shown.insert(*session, now).unwrap_or_default();
            before.iter().for_each(|id| self.seen_by[*id as usize] -= 1);
        }
    }

    /// Tells of every home, then of everybody. Returns what was emitted.
    pub fn fill(&mut self, engine: &mut dyn Engine) -> Vec<Emit> {
        let mut emits = Vec::new();
        for homes in self.world.homes.chunks(FILL) {
            let batch: Vec<Change> = homes.iter().map(|home| self.world.listing(home)).collect();
            engine.apply(&batch, &mut emits);
        }
        for people in self.world.people.chunks(FILL) {
            let batch: Vec<Change> = people.iter().map(|person| self.world.session(person)).collect();
            engine.apply(&batch, &mut emits);
        }
        emits
    }
}

/// One of eight prices, and of eight kinds.
fn tie(home: &mut Home) {
    let (price, kind) = ((home.price / 10_000 % 8), home.id % 8);
    home.price = 200_000 + 50_000 * price;
    (home.bedrooms, home.commute, home.school) = (1 + kind as u8 / 2, 15 + 5 * kind as u8, 60 + kind as u8);
    (home.deal, home.day, home.amenities) = (48 + kind as u8, 40 * kind as u16, kind);
}

/// Runs one variant of one size with one engine.
pub fn run(size: Size, variant: Variant, name: &str, mut engine: Box<dyn Engine>, report: &mut Report) -> Result<()> {
    let of = format!("ListingMark {} {variant:?}, {name}", size.name);
    let mut stream = Stream::new(size, variant, SEED);
    let emits = stream.fill(engine.as_mut());
    stream.learn(&emits);
    let ways = if variant == Variant::Rollout { &[ROLLED][..] } else { &[1, 256] };
    for per_batch in ways {
        let (mut times, mut emits, mut wall) = (Vec::new(), Vec::new(), Duration::ZERO);
        let (mut count, mut emitted, refilled) = (0, 0, engine.work().refills);
        while wall < TIME && count < CHANGES {
            let homes = stream.batch(*per_batch);
            let batch: Vec<Change> = homes.iter().map(|home| stream.world.listing(home)).collect();
            let begun = Instant::now();
            engine.apply(&batch, &mut emits);
            let took = begun.elapsed();
            wall += took;
            times.push(took.as_secs_f64() * 1e6);
            count += batch.len();
            emitted += emits.len();
            stream.learn(&emits);
            emits.clear();
        }
        times.sort_unstable_by(f64::total_cmp);
        let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
        let seen = format!(
            "{:.0}/s; a batch {:.1} / {:.1} µs; {:.2} emits, {:.3} refills a change",
            count as f64 / wall.as_secs_f64(),
            at(0.5),
            at(0.99),
            emitted as f64 / count as f64,
            (engine.work().refills - refilled) as f64 / count as f64
        );
        report.add(line(format!("{of}: changes, {per_batch} a batch, p50 / p99"), seen, "–"));
    }
    let wrong = check(&stream.world, engine.as_ref())?;
    report.add(line(format!("{of}: mismatches in {CHECKED} sessions"), wrong.to_string(), "0"));
    Ok(())
}
