//! ListingMark: a seeded market of homes, people and changes in whole numbers, the same for every engine that is compared.
//!
//! Markets of Zipf's sizes, neighbourhoods with price levels of their own, budgets that follow them; changes are mostly
//! price cuts, with homes that go and come back. Knows of no engine: a home and a person are rows of numbers, as a peer in
//! another language reads them.

use schemas::amenities::AmenitySet;
use schemas::id::{ListingId, Market, SessionId};
use schemas::money::{Currency, Money};
use schemas::preferences::Profile;
use schemas::priced::PriceTrend;
use schemas::units::SchoolRating;
use schemas::vocabulary::{StandardStatus, Transaction};
use scorer::engine::Change;
use scorer::facts::{ListingFacts, PlaceFacts, SessionFacts, SubTypes};

/// Neighbourhoods of a market.
const HOODS: u64 = 24;
/// How often each amenity is had, in 256ths.
const AMENITIES: [u64; 24] =
    [192, 166, 154, 128, 128, 115, 102, 102, 90, 77, 77, 64, 64, 51, 51, 38, 38, 31, 26, 26, 20, 13, 13, 8];

/// How much of everything.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    pub name: &'static str,
    pub markets: usize,
    pub homes: usize,
    pub people: usize,
}

/// The sizes that are compared.
pub const SIZES: [Size; 6] = [
    Size { name: "S", markets: 20, homes: 10_000, people: 10_000 },
    Size { name: "M", markets: 100, homes: 100_000, people: 100_000 },
    Size { name: "L", markets: 100, homes: 1_000_000, people: 1_000_000 },
    Size { name: "XL", markets: 100, homes: 2_000_000, people: 10_000_000 },
    Size { name: "HOT", markets: 1, homes: 100_000, people: 1_000_000 },
    Size { name: "WARM", markets: 1, homes: 10_000, people: 100_000 },
];

/// A home on offer, or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Home {
    pub id: u32,
    pub market: u16,
    /// Whole units.
    pub price: u32,
    pub bedrooms: u8,
    /// Minutes.
    pub commute: u8,
    /// Tenths, 0..=100.
    pub school: u8,
    /// 0..=100.
    pub deal: u8,
    /// 0 falling, 1 stable, 2 rising.
    pub trend: u8,
    /// Days since the score's epoch.
    pub day: u16,
    /// Bits.
    pub amenities: u32,
    pub is_offered: bool,
}

/// A person who looks for one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Person {
    pub id: u32,
    pub market: u16,
    /// Whole units.
    pub budget: u32,
    pub min_bedrooms: u8,
    /// Minutes.
    pub max_commute: u8,
    /// Tenths.
    pub min_school: u8,
    /// Bits.
    pub required: u32,
    /// Bits.
    pub preferred: u32,
    /// Index into [`PROFILES`].
    pub profile: u8,
}

/// In the order of [`Person::profile`].
pub const PROFILES: [Profile; 4] = [Profile::Balanced, Profile::Value, Profile::Family, Profile::Commuter];

/// The market as it stands, and what happens next.
pub struct World {
    random: Random,
    /// Share of the markets up to each, in 2^32nds.
    markets: Vec<u64>,
    cities: Cities,
    /// Price level of each neighbourhood, whole units.
    levels: Vec<[u32; HOODS as usize]>,
    pub homes: Vec<Home>,
    pub people: Vec<Person>,
    away: Vec<u32>,
}

impl World {
    /// Everything follows from the seed.
    pub fn new(size: Size, seed: u64) -> Self {
        let mut random = Random(seed);
        let weights: Vec<f64> = (1..=size.markets).map(|rank| (rank as f64).powf(-0.9)).collect();
        let total: f64 = weights.iter().sum();
        let mut sum = 0.0;
        let share = |weight: &f64| {
            sum += weight / total;
            (sum * (1_u64 << 32) as f64) as u64
        };
        let markets = weights.iter().map(share).collect();
        let levels = (0..size.markets)
            .map(|_| [(); HOODS as usize].map(|()| (400_000.0 * (0.45 * random.normal()).exp()) as u32))
            .collect();
        let cities = Cities::new(size.markets);
        let mut world =
            Self { random, markets, cities, levels, homes: Vec::new(), people: Vec::new(), away: Vec::new() };
        world.homes = (0..size.homes as u32).map(|id| world.home(id)).collect();
        world.people = (0..size.people as u32).map(|id| world.person(id)).collect();
        world
    }

    fn market(&mut self) -> u16 {
        let at = self.random.below(1 << 32);
        self.markets.partition_point(|upto| *upto <= at).min(self.markets.len() - 1) as u16
    }

    fn home(&mut self, id: u32) -> Home {
        let market = self.market();
        let level = self.levels[usize::from(market)][self.random.below(HOODS) as usize];
        let random = &mut self.random;
        let bedrooms = 1 + (random.unit() * random.unit() * 6.0) as u8 + u8::from(random.unit() < 0.4);
        let price = f64::from(level) * (0.55 + 0.22 * f64::from(bedrooms)) * (0.25 * random.normal()).exp();
        let amenities = (0..24).fold(0, |bits, bit| bits | u32::from(random.below(256) < AMENITIES[bit]) << bit);
        Home {
            id,
            market,
            price: (price as u32).clamp(50_000, 20_000_000),
            bedrooms,
            commute: (40.0 + 20.0 * random.normal()).clamp(5.0, 120.0) as u8,
            school: (53.0 + 19.0 * random.normal()).clamp(0.0, 100.0) as u8,
            deal: (50.0 + 16.0 * random.normal()).clamp(0.0, 100.0) as u8,
            trend: 1,
            day: random.below(365) as u16,
            amenities,
            is_offered: true,
        }
    }

    /// A person with this number, as of now.
    pub fn person(&mut self, id: u32) -> Person {
        let market = self.market();
        let level = self.levels[usize::from(market)][self.random.below(HOODS) as usize];
        let random = &mut self.random;
        let min_bedrooms = 1 + (random.unit() * random.unit() * 4.0) as u8;
        let budget = f64::from(level) * (0.75 + 0.25 * f64::from(min_bedrooms)) * (0.35 * random.normal()).exp();
        let required = if random.unit() < 0.3 { 1 << (4 + 5 * random.below(4)) } else { 0 };
        let preferred = (0..random.below(5)).fold(0, |bits, _| bits | 1 << random.below(24));
        Person {
            id,
            market,
            budget: (budget as u32).clamp(80_000, 25_000_000) / 1_000 * 1_000,
            min_bedrooms,
            max_commute: [20, 30, 45, 60, 90][random.below(5) as usize],
            min_school: [0, 0, 35, 47, 59][random.below(5) as usize],
            required,
            preferred,
            // Half are balanced.
            profile: [0, 0, 0, 1, 2, 3][random.below(6) as usize],
        }
    }

    /// The next change: 70 % a price, 15 % a home that goes, 15 % one that comes (back).
    pub fn change(&mut self) -> Home {
        let any = self.random.below(self.homes.len() as u64) as usize;
        let kind = self.random.unit();
        let mut home = self.homes[any];
        if kind < 0.70 {
            self.reprice(&mut home);
        } else if kind < 0.85 {
            if home.is_offered {
                self.away.push(home.id);
            }
            home.is_offered = false;
        } else {
            if let Some(back) = self.away.pop() {
                home = self.homes[back as usize];
            }
            home.is_offered = true;
            home.day = 365;
            self.reprice(&mut home);
        }
        self.homes[home.id as usize] = home;
        home
    }

    fn reprice(&mut self, home: &mut Home) {
        let random = &mut self.random;
        let is_cut = random.unit() < 0.75;
        let factor = if is_cut { 1.0 - 0.01 * (1.0 + 4.0 * random.unit()) } else { 1.0 + 0.02 * random.unit() };
        home.price = ((f64::from(home.price) * factor) as u32).clamp(50_000, 20_000_000);
        home.deal = (f64::from(home.deal) + (1.0 - factor) * 100.0).clamp(0.0, 100.0) as u8;
        home.trend = if is_cut { 0 } else { 2 };
    }

    /// As the engine is told of a home.
    pub fn listing(&self, home: &Home) -> Change {
        self.cities.listing(home)
    }

    /// As the engine is told of a person.
    pub fn session(&self, person: &Person) -> Change {
        self.cities.session(person)
    }
}

/// What the markets are called.
pub struct Cities(Vec<Market>);

impl Cities {
    /// So many.
    pub fn new(markets: usize) -> Self {
        let city = |market| Market::of("us".parse().expect("a country"), Some("wa"), Some(&format!("city {market}")));
        Self((0..markets).map(city).collect())
    }

    /// As the engine is told of a home.
    pub fn listing(&self, home: &Home) -> Change {
        Change::Listing {
            id: listing_id(home.id),
            facts: home.is_offered.then(|| self.facts(home)),
            content: u64::from(home.price),
        }
    }

    fn facts(&self, home: &Home) -> ListingFacts {
        let market = self.0[usize::from(home.market)].clone();
        ListingFacts {
            status: StandardStatus::Active,
            display_allowed: true,
            transaction: Transaction::Sale,
            currency: Currency::USD,
            price: Money::from_units(i64::from(home.price)),
            country: market.country(),
            market,
            postal_code: None,
            position: None,
            bedrooms: Some(u16::from(home.bedrooms)),
            bathrooms: None,
            area_sqft: None,
            sub_type: None,
            commute_minutes: Some(u16::from(home.commute)),
            school_rating: SchoolRating::from_steps(home.school),
            amenities: Some(AmenitySet::from_bits(u64::from(home.amenities))),
            deal: Some(home.deal),
            price_trend: [PriceTrend::Falling, PriceTrend::Stable, PriceTrend::Rising][usize::from(home.trend)],
            on_market_day: Some(i32::from(home.day)),
        }
    }

    /// As the engine is told of a person.
    pub fn session(&self, person: &Person) -> Change {
        let facts = SessionFacts {
            transaction: Transaction::Sale,
            currency: Currency::USD,
            budget: Money::from_units(i64::from(person.budget)).unwrap_or_default(),
            place: PlaceFacts {
                cities: vec![self.0[usize::from(person.market)].clone()].into(),
                ..PlaceFacts::default()
            },
            min_bedrooms: Some(u16::from(person.min_bedrooms)),
            min_bathrooms: None,
            min_area_sqft: None,
            sub_types: SubTypes::default(),
            max_commute_minutes: Some(u16::from(person.max_commute)),
            min_school_rating: Some(person.min_school).filter(|steps| *steps > 0).and_then(SchoolRating::from_steps),
            required: AmenitySet::from_bits(u64::from(person.required)),
            preferred: AmenitySet::from_bits(u64::from(person.preferred)),
            dismissed: [].into(),
            include_coming_soon: false,
            include_under_contract: false,
            profile: PROFILES[usize::from(person.profile)],
        };
        Change::Session { id: session_id(person.id), facts: Some(facts) }
    }
}

/// Numbers and ids are in the same order.
pub fn listing_id(number: u32) -> ListingId {
    format!("mark:{number:010}").parse().expect("a listing id")
}

/// The number of a [`listing_id`].
pub fn listing_number(id: &ListingId) -> Option<u32> {
    id.listing_key().parse().ok()
}

/// Any number is one.
pub fn session_id(number: u32) -> SessionId {
    // Spread, as real ones are.
    SessionId::from_bits(u128::from(number).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835))
}

/// SplitMix64; the seed is in it.
pub struct Random(pub u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ z >> 31
    }

    /// 0..limit.
    pub fn below(&mut self, limit: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(limit)) >> 64) as u64
    }

    /// 0..1.
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Mean 0, variance 1: twelve uniform ones.
    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.unit()).sum::<f64>() - 6.0
    }
}
