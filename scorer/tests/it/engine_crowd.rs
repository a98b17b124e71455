//! One market with so many sessions and listings that groups are parted, sorted and joined and ladders made anew: after
//! weeks of coming and going everybody's shortlist is what a search of everything says.

use schemas::money::Money;
use schemas::units::SchoolRating;
use scorer::engine::indexed::{Indexed, Tuning};
use scorer::engine::kernel::Kernel;
use scorer::engine::{Change, Engine};
use scorer::facts::{ListingFacts, SessionFacts};

use crate::world::{anything, bare, listing_id, session_id};

const SESSIONS: usize = 4_000;
const LISTINGS: usize = 2_500;

/// Xorshift.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % limit
    }

    fn listing(&mut self) -> ListingFacts {
        ListingFacts {
            price: Money::from_units(200_000 + 1_000 * self.below(1_500) as i64),
            bedrooms: Some(self.below(7) as u16),
            area_sqft: Some(600 + self.below(3_000) as u32),
            commute_minutes: Some(self.below(100) as u16),
            school_rating: SchoolRating::from_steps(self.below(101) as u8),
            deal: Some(self.below(101) as u8),
            ..bare()
        }
    }

    fn session(&mut self) -> SessionFacts {
        let mut preferences = anything();
        preferences.budget = Money::from_units(250_000 + 1_000 * self.below(1_500) as i64).unwrap();
        preferences.min_bedrooms = (self.below(3) > 0).then(|| self.below(5) as u16);
        preferences.min_living_area_sqft = (self.below(3) == 0).then(|| 500 + self.below(2_000) as u32);
        preferences.max_commute_minutes = (self.below(2) == 0).then(|| 20 + self.below(70) as u16);
        preferences.min_school_rating =
            (self.below(4) == 0).then(|| SchoolRating::from_steps(self.below(80) as u8)).flatten();
        SessionFacts::of(&preferences)
    }
}

fn lived_through(kernel: Kernel, seed: u64) -> Indexed {
    let mut random = Random(seed);
    let mut engine = Indexed::tuned(Tuning { kernel, few: 0 });
    let mut emits = Vec::new();
    // The first budget is far from all others, so that the bucket begins with a ladder that suits nobody.
    let mut odd = anything();
    odd.budget = Money::from_cents(100).unwrap();
    let first = Change::Session { id: session_id(SESSIONS), facts: Some(SessionFacts::of(&odd)) };
    engine.apply(&[first], &mut emits);
    for round in 0..40 {
        let mut batch = Vec::new();
        for _ in 0..500 {
            // At first all come, in the middle most go, at the end some come back.
            let comes = random.below(10) < if (16..32).contains(&round) { 2 } else { 9 };
            let id = listing_id(random.below(LISTINGS as u64) as usize);
            batch.push(Change::Listing { id, facts: comes.then(|| random.listing()), content: random.below(3) });
            let id = session_id(random.below(SESSIONS as u64) as usize);
            batch.push(Change::Session { id, facts: comes.then(|| random.session()) });
        }
        // Batches of every size from one on.
        let mut rest = &batch[..];
        while !rest.is_empty() {
            let (now, later) = rest.split_at((1 + random.below(200) as usize).min(rest.len()));
            engine.apply(now, &mut emits);
            rest = later;
        }
        if round % 8 == 7 {
            assert_eq!(engine.audit(), Ok(()), "round {round}, seed {seed}");
        }
    }
    engine
}

#[test]
fn shortlists_are_right_after_weeks_of_coming_and_going() {
    let seed = 0x5EED_0001;
    let engines: Vec<Indexed> = [Some(Kernel::Portable), Kernel::avx512()]
        .into_iter()
        .flatten()
        .map(|kernel| lived_through(kernel, seed))
        .collect();
    for engine in &engines[1..] {
        for session in (0..=SESSIONS).map(session_id) {
            assert_eq!(engine.top_three(session), engines[0].top_three(session), "{session}");
        }
    }
}

/// Where nobody has a listing yet everybody is concerned by all of them, until the first have come.
#[test]
fn a_market_that_opens_costs_each_session_a_few_looks_however_many_listings_come_at_once() {
    const WAITING: usize = 600;
    const COME: usize = 1_000;
    for kernel in [Some(Kernel::Portable), Kernel::avx512()].into_iter().flatten() {
        let mut engine = Indexed::new(kernel);
        let session = |number| Change::Session { id: session_id(number), facts: Some(SessionFacts::of(&anything())) };
        engine.apply(&(0..WAITING).map(session).collect::<Vec<_>>(), &mut Vec::new());
        let listing = |number: usize| {
            let facts = ListingFacts { deal: Some(if number < COME - 6 { 0 } else { 100 }), ..bare() };
            Change::Listing { id: listing_id(number), facts: Some(facts), content: 0 }
        };
        // The last of a batch is the first that is looked at.
        engine.apply(&(0..COME).map(listing).collect::<Vec<_>>(), &mut Vec::new());
        let candidates = engine.work().candidates as usize;
        assert!(candidates <= WAITING * 24, "{kernel:?}: {candidates} for {WAITING} sessions");
        assert_eq!(engine.audit(), Ok(()));
    }
}

#[test]
fn a_snapshot_of_a_crowd_is_loaded_with_its_layout_and_lives_on() {
    let mut stopped = lived_through(Kernel::best(), 0x5EED_0002);
    let bytes = stopped.save(Vec::new()).unwrap();
    let mut loaded = Indexed::load(&bytes, Tuning { kernel: Kernel::best(), few: 0 }).unwrap();
    let same = |loaded: &Indexed, stopped: &Indexed| {
        for session in (0..=SESSIONS).map(session_id) {
            assert_eq!(loaded.top_three(session), stopped.top_three(session), "{session}");
        }
        assert_eq!(loaded.size(), stopped.size());
        assert_eq!(loaded.audit(), Ok(()));
    };
    same(&loaded, &stopped);
    let mut random = Random(0x5EED_0003);
    for _ in 0..200 {
        let listing = listing_id(random.below(LISTINGS as u64) as usize);
        let session = session_id(random.below(SESSIONS as u64) as usize);
        let batch = [
            Change::Listing { id: listing, facts: (random.below(4) > 0).then(|| random.listing()), content: 7 },
            Change::Session { id: session, facts: (random.below(4) > 0).then(|| random.session()) },
        ];
        loaded.apply(&batch, &mut Vec::new());
        stopped.apply(&batch, &mut Vec::new());
    }
    same(&loaded, &stopped);

    // Not even with a right checksum do other bytes panic, where groups are many.
    for _ in 0..300 {
        let mut other = bytes.clone();
        for _ in 0..=random.below(3) {
            let at = random.below(other.len() as u64) as usize;
            other[at] = random.below(256) as u8;
        }
        if let Ok(mut engine) = Indexed::load(&other, Tuning { kernel: Kernel::best(), few: 0 }) {
            let listing = Change::Listing { id: listing_id(0), facts: Some(random.listing()), content: 9 };
            let session = Change::Session { id: session_id(0), facts: Some(random.session()) };
            engine.apply(&[listing, session], &mut Vec::new());
        }
    }
}
