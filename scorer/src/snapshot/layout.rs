//! A small engine with one of everything that a snapshot holds: whoever writes it otherwise hears of it here.
//!
//! Does not know whether what is written can be read (`tests/it/snapshot.rs`).

use schemas::amenities::AmenitySet;
use schemas::id::{Country, SessionId};
use schemas::money::{Currency, Money};
use schemas::preferences::{Circle, Profile};
use schemas::priced::PriceTrend;
use schemas::units::{Bathrooms, Position, RadiusKm, SchoolRating};
use schemas::vocabulary::{PropertySubType, StandardStatus, Transaction};
use xxhash_rust::xxh3::xxh3_64;

use super::{Head, LAYOUT, MAGIC, VERSION};
use crate::engine::indexed::Indexed;
use crate::engine::kernel::Kernel;
use crate::engine::{Change, Engine};
use crate::facts::{Beyond, ListingFacts, PlaceFacts, PostalKey, SessionFacts};
use crate::geo::Disc;

const SEATTLE: &str = "us/wa/seattle";
const MARKETS: [&str; 4] = [SEATTLE, "us/wa/tacoma", "us/or/portland", "ca/bc/vancouver"];
/// More than a group holds are in Seattle, so that there is a fork.
const LISTINGS: usize = 1_300;
/// More than a sheet holds, of each kind of place.
const SESSIONS: usize = 200;

/// Splitmix64: the same numbers for good.
struct Dice(u64);

impl Dice {
    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn below(&mut self, end: u64) -> u64 {
        self.bits() % end
    }

    fn flip(&mut self) -> bool {
        self.below(2) == 0
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len() as u64) as usize]
    }

    /// From 1 to `most`, or nothing.
    fn maybe(&mut self, most: u64) -> Option<u64> {
        let number = 1 + self.below(most);
        self.flip().then_some(number)
    }

    fn offer(&mut self) -> (Transaction, Currency) {
        let transaction = self.of(&[Transaction::Sale, Transaction::Lease]);
        (transaction, self.of(&[Currency::USD, "CAD".parse().unwrap(), "EUR".parse().unwrap()]))
    }

    fn position(&mut self) -> Position {
        let (north, east) = (self.below(1_000) as f64, self.below(1_000) as f64);
        Position::from_degrees(47.0 + north / 1_000.0, -122.0 + east / 1_000.0).unwrap()
    }
}

fn country(text: &str) -> Country {
    text.parse().unwrap()
}

fn listing(number: usize, dice: &mut Dice) -> ListingFacts {
    let (market, (transaction, currency)) = match number % 8 {
        0 => (dice.of(&MARKETS), dice.offer()),
        _ => (SEATTLE, (Transaction::Sale, Currency::USD)),
    };
    let shown = [StandardStatus::Active, StandardStatus::ComingSoon, StandardStatus::ActiveUnderContract];
    let position = dice.position();
    ListingFacts {
        status: dice.of(&shown),
        display_allowed: true,
        transaction,
        currency,
        price: Money::from_cents(10_000_000 + dice.below(90_000_000) as i64),
        market: market.parse().unwrap(),
        country: country(&market[..2]),
        postal_code: PostalKey::of(country("us"), dice.of(&["98101", "98402"])).filter(|_| dice.flip()),
        position: dice.flip().then_some(position),
        bedrooms: dice.maybe(6).map(|rooms| rooms as u16),
        bathrooms: dice.maybe(9).and_then(|halves| Bathrooms::from_steps(halves as u16)),
        area_sqft: dice.maybe(4_000).map(|area| area as u32),
        sub_type: dice.flip().then(|| dice.of(PropertySubType::ALL)),
        commute_minutes: dice.maybe(90).map(|minutes| minutes as u16),
        school_rating: dice.maybe(100).and_then(|tenths| SchoolRating::from_steps(tenths as u8)),
        amenities: dice.maybe(255).map(AmenitySet::from_bits),
        deal: dice.maybe(100).map(|deal| deal as u8),
        price_trend: dice.of(&[PriceTrend::Falling, PriceTrend::Stable, PriceTrend::Rising]),
        on_market_day: dice.maybe(500).map(|day| day as i32 - 50),
    }
}

fn circle(dice: &mut Dice) -> Disc {
    let Position { latitude, longitude } = dice.position();
    let radius_km = RadiusKm::from_steps(5_000 + dice.below(20_000) as u32).unwrap();
    Disc::of(&Circle { latitude, longitude, radius_km })
}

/// Every kind in turn; half of them one city, as it is packed.
fn place(number: usize, dice: &mut Dice) -> PlaceFacts {
    let cities = |cities: &[&str]| cities.iter().map(|city| city.parse().unwrap()).collect::<Vec<_>>().into();
    let codes = |codes: &[&str]| codes.iter().filter_map(|code| PostalKey::of(country("us"), code)).collect();
    let alone = |beyond| PlaceFacts { beyond: Some(Box::new(beyond)), ..PlaceFacts::default() };
    match number % 12 {
        0 => PlaceFacts { cities: cities(&["us/or/portland", SEATTLE]), beyond: None },
        1 => alone(Beyond { country: Some(country("us")), ..Beyond::default() }),
        2 => alone(Beyond { circle: Some(circle(dice)), ..Beyond::default() }),
        3 => alone(Beyond {
            postal_codes: codes(&["98101", "98402"]),
            postal_countries: vec![country("us")],
            ..Beyond::default()
        }),
        4 => PlaceFacts {
            cities: cities(&["ca/bc/vancouver"]),
            beyond: Some(Box::new(Beyond {
                postal_codes: codes(&["98402"]),
                postal_countries: vec![country("us")],
                circle: Some(circle(dice)),
                country: Some(country("ca")),
            })),
        },
        _ => PlaceFacts { cities: cities(&[dice.of(&MARKETS)]), beyond: None },
    }
}

fn session(number: usize, dice: &mut Dice) -> SessionFacts {
    let (transaction, currency) = if dice.flip() { (Transaction::Sale, Currency::USD) } else { dice.offer() };
    let dismissed: &[usize] = if number % 12 > 9 { &[3, 5] } else { &[] };
    SessionFacts {
        transaction,
        currency,
        budget: Money::from_cents(20_000_000 + dice.below(90_000_000) as i64).unwrap(),
        place: place(number, dice),
        // The greatest is too large to be packed.
        min_bedrooms: dice.flip().then(|| dice.of(&[1, 2, 3, 300])),
        min_bathrooms: dice.maybe(4).and_then(|halves| Bathrooms::from_steps(halves as u16)),
        min_area_sqft: dice.maybe(2_000).map(|area| area as u32),
        sub_types: dice.flip().then(|| dice.of(PropertySubType::ALL)).into_iter().collect(),
        max_commute_minutes: dice.maybe(90).map(|minutes| minutes as u16),
        min_school_rating: dice.maybe(60).and_then(|tenths| SchoolRating::from_steps(tenths as u8)),
        required: AmenitySet::from_bits(dice.maybe(3).unwrap_or_default()),
        preferred: AmenitySet::from_bits(dice.maybe(15).unwrap_or_default()),
        dismissed: dismissed.iter().map(|number| format!("mls:{number}").parse().unwrap()).collect(),
        include_coming_soon: dice.flip(),
        include_under_contract: dice.flip(),
        profile: dice.of(&[Profile::Balanced, Profile::Value, Profile::Family, Profile::Commuter]),
    }
}

/// Some of both have gone again, and with the last listing and session of a city its shelf and bucket.
fn engine() -> Indexed {
    let mut dice = Dice(1);
    let mut changes = Vec::new();
    let mut say_listing = |number: usize, facts| {
        changes.push(Change::Listing { id: format!("mls:{number}").parse().unwrap(), facts, content: 1 });
    };
    let in_bend = |facts| ListingFacts { market: "us/or/bend".parse().unwrap(), ..facts };
    say_listing(LISTINGS, Some(in_bend(listing(LISTINGS, &mut dice))));
    (0..LISTINGS).for_each(|number| say_listing(number, Some(listing(number, &mut dice))));
    (0..=LISTINGS).step_by(13).for_each(|number| say_listing(number, None));

    let mut say_session = |number: usize, facts| {
        changes.push(Change::Session { id: SessionId::from_bits(number as u128 * 0x0123_4567_89ab), facts });
    };
    let in_bend = PlaceFacts { cities: vec!["us/or/bend".parse().unwrap()].into(), beyond: None };
    say_session(SESSIONS, Some(SessionFacts { place: in_bend, ..session(SESSIONS, &mut dice) }));
    (0..SESSIONS).for_each(|number| say_session(number, Some(session(number, &mut dice))));
    (0..=SESSIONS).step_by(10).for_each(|number| say_session(number, None));

    let mut engine = Indexed::new(Kernel::Portable);
    changes.chunks(50).for_each(|batch| engine.apply(batch, &mut Vec::new()));
    engine
}

#[test]
#[cfg_attr(
    not(target_os = "linux"),
    ignore = "another libm rounds logarithms otherwise, and so seats listings otherwise"
)]
fn what_is_written_is_what_this_version_always_wrote() {
    let engine = engine();
    let work = engine.work();
    assert!(work.whole > 50 && work.many > 10 && engine.size().sessions - work.whole > 64, "{work:?}");
    let head = Head { config: 7, written_at_ms: 1_800_000_000_000, offsets: vec![3, 0, 9] };
    let bytes = engine.save(head.to_bytes()).unwrap();
    // Without the version, or another one would be another layout.
    let written = &bytes[MAGIC.len() + size_of_val(&VERSION)..];
    let (length, hash) = (written.len(), xxh3_64(written));
    assert!(
        (length, hash) == LAYOUT,
        "the layout changed: raise VERSION (now {VERSION}) in snapshot.rs, and put ({length}, {hash:#018x}) into LAYOUT"
    );
}
