//! A small world for property tests: few values each, so that ties, starved sessions and near misses are common, with
//! extremes among them.

use proptest::prelude::*;
use proptest::sample::select;
use schemas::amenities::AmenitySet;
use schemas::id::{ListingId, Market, SessionId};
use schemas::money::{Currency, Money};
use schemas::preferences::{Circle, Place, PostalCode, Preferences, Profile};
use schemas::priced::PriceTrend;
use schemas::units::{Bathrooms, Position, RadiusKm, SchoolRating};
use schemas::vocabulary::{PropertySubType, StandardStatus, Transaction};
use scorer::engine::Change;
use scorer::facts::{ListingFacts, PostalKey, SessionFacts};

const MARKETS: [&str; 4] = ["us/wa/seattle", "us/wa/tacoma", "us/or/portland", "ca/bc/vancouver"];
const POSTAL_CODES: [&str; 3] = ["98101", "98402", "V5K 0A1"];

pub fn listing_id(number: usize) -> ListingId {
    format!("feed:{number}").parse().unwrap()
}

pub fn session_id(number: usize) -> SessionId {
    SessionId::from_bits(number as u128)
}

/// Asks for nothing but Seattle under 500,000.
pub fn anything() -> Preferences {
    Preferences {
        transaction: Transaction::Sale,
        budget: Money::from_units(500_000).unwrap(),
        currency: Currency::USD,
        place: Place { cities: vec![MARKETS[0].parse().unwrap()], ..Place::default() },
        min_bedrooms: None,
        min_bathrooms: None,
        min_living_area_sqft: None,
        property_sub_types: vec![],
        max_commute_minutes: None,
        min_school_rating: None,
        required_amenities: AmenitySet::EMPTY,
        preferred_amenities: AmenitySet::EMPTY,
        dismissed: vec![],
        include_coming_soon: false,
        include_under_contract: false,
        profile: Profile::Balanced,
    }
}

/// Of which nothing is known but that it is offered in Seattle for 400,000.
pub fn bare() -> ListingFacts {
    ListingFacts {
        status: StandardStatus::Active,
        display_allowed: true,
        transaction: Transaction::Sale,
        currency: Currency::USD,
        price: Money::from_units(400_000),
        market: MARKETS[0].parse().unwrap(),
        country: "us".parse().unwrap(),
        postal_code: None,
        position: None,
        bedrooms: None,
        bathrooms: None,
        area_sqft: None,
        sub_type: None,
        commute_minutes: None,
        school_rating: None,
        amenities: None,
        deal: None,
        price_trend: PriceTrend::Stable,
        on_market_day: None,
    }
}

fn usd_mostly() -> impl Strategy<Value = Currency> {
    prop_oneof![6 => Just(Currency::USD), 1 => Just("CAD".parse().unwrap())]
}

fn transaction() -> impl Strategy<Value = Transaction> {
    prop_oneof![6 => Just(Transaction::Sale), 1 => Just(Transaction::Lease)]
}

fn amenities() -> impl Strategy<Value = AmenitySet> {
    (0_u64..4).prop_map(AmenitySet::from_bits)
}

fn position() -> impl Strategy<Value = Position> {
    // About Seattle, and on both sides of the date line.
    let near = (-3_i32..=3, -3_i32..=3).prop_map(|(n, e)| (47.6 + f64::from(n) / 100.0, -122.3 + f64::from(e) / 100.0));
    let far = select(vec![(0.0, 179.99), (0.0, -179.99), (90.0, 0.0)]);
    prop_oneof![6 => near, 1 => far].prop_map(|(lat, lon)| Position::from_degrees(lat, lon).unwrap())
}

pub fn listing() -> impl Strategy<Value = ListingFacts> {
    let offer = (
        prop_oneof![
            8 => Just(StandardStatus::Active),
            1 => Just(StandardStatus::ComingSoon),
            1 => Just(StandardStatus::ActiveUnderContract),
            1 => Just(StandardStatus::Closed),
        ],
        prop::bool::weighted(0.95),
        transaction(),
        usd_mostly(),
        prop::option::weighted(0.95, prop_oneof![9 => 1_i64..=4, 1 => Just(60_000)]),
    );
    let place = (select(&MARKETS[..]), prop::option::of(select(&POSTAL_CODES[..])), prop::option::of(position()));
    let home = (
        prop::option::weighted(0.8, prop_oneof![9 => 1_u16..=4, 1 => select(vec![254, 255, 256, u16::MAX])]),
        prop::option::of(1_u16..=3),
        prop::option::of(prop_oneof![9 => 1_000_u32..=1_002, 1 => Just(u32::MAX)]),
        prop::option::of(select(vec![
            PropertySubType::Townhouse,
            PropertySubType::Apartment,
            PropertySubType::Triplex,
        ])),
        prop::option::of(prop_oneof![9 => select(vec![20, 40, 60]), 1 => Just(u16::MAX)]),
        prop::option::of(select(vec![50_u8, 100])),
        prop::option::of(amenities()),
    );
    let worth = (
        prop::option::of(select(vec![40_u8, 80])),
        select(vec![PriceTrend::Falling, PriceTrend::Stable, PriceTrend::Rising]),
        prop::option::of(select(vec![-7, 0, 100, 500])),
    );
    (offer, place, home, worth).prop_map(|(offer, (market, postal, position), home, (deal, price_trend, day))| {
        let market: Market = market.parse().unwrap();
        let country = market.country();
        ListingFacts {
            status: offer.0,
            display_allowed: offer.1,
            transaction: offer.2,
            currency: offer.3,
            price: offer.4.map(|price| Money::from_units(price * 100_000).unwrap()),
            market,
            country,
            postal_code: postal.and_then(|code| PostalKey::of(country, code)),
            position,
            bedrooms: home.0,
            bathrooms: home.1.and_then(Bathrooms::from_steps),
            area_sqft: home.2,
            sub_type: home.3,
            commute_minutes: home.4,
            school_rating: home.5.and_then(SchoolRating::from_steps),
            amenities: home.6,
            deal,
            price_trend,
            on_market_day: day,
        }
    })
}

fn place() -> impl Strategy<Value = Place> {
    let city = select(&MARKETS[..]).prop_map(|market| market.parse::<Market>().unwrap());
    let postal = select(vec!["us/98101", "us/98402", "ca/V5K 0A1", "ca/98101"]);
    let circle = (position(), select(vec![1_500_u32, 5_000, 500_000])).prop_map(|(centre, radius_m)| Circle {
        latitude: centre.latitude,
        longitude: centre.longitude,
        radius_km: RadiusKm::from_steps(radius_m).unwrap(),
    });
    (
        prop::collection::vec(city, 0..3),
        prop::collection::vec(postal.prop_map(|code| code.parse::<PostalCode>().unwrap()), 0..2),
        prop::option::weighted(0.3, circle),
        prop::option::weighted(0.2, select(vec!["us", "ca"])),
    )
        .prop_map(|(mut cities, postal_codes, within, country)| {
            if cities.is_empty() && postal_codes.is_empty() && within.is_none() && country.is_none() {
                cities.push(MARKETS[0].parse().unwrap());
            }
            Place { cities, postal_codes, within, country: country.map(|it| it.parse().unwrap()) }
        })
}

pub fn preferences() -> impl Strategy<Value = Preferences> {
    let offer = (transaction(), usd_mostly(), prop_oneof![9 => 1_i64..=5, 1 => Just(70_000)]);
    let asked = (
        prop::option::weighted(0.4, prop_oneof![9 => 0_u16..=3, 1 => select(vec![254, 255, 300])]),
        prop::option::weighted(0.2, 1_u16..=3),
        prop::option::weighted(0.2, prop_oneof![9 => 1_000_u32..=1_002, 1 => Just(u32::MAX)]),
        prop::collection::vec(select(vec![PropertySubType::Townhouse, PropertySubType::Apartment]), 0..2),
        prop::option::weighted(0.3, select(vec![30_u16, 40, 600])),
        prop::option::weighted(0.2, select(vec![50_u8, 60])),
    );
    let wished = (
        prop_oneof![3 => Just(AmenitySet::EMPTY), 1 => amenities()],
        amenities(),
        prop::collection::vec(0_usize..LISTINGS, 0..3),
        any::<bool>(),
        any::<bool>(),
        select(vec![Profile::Balanced, Profile::Value, Profile::Family, Profile::Commuter]),
    );
    (offer, place(), asked, wished).prop_map(|(offer, place, asked, wished)| Preferences {
        transaction: offer.0,
        currency: offer.1,
        budget: Money::from_units(offer.2 * 100_000).unwrap(),
        place,
        min_bedrooms: asked.0,
        min_bathrooms: asked.1.and_then(Bathrooms::from_steps),
        min_living_area_sqft: asked.2,
        property_sub_types: asked.3,
        max_commute_minutes: asked.4,
        min_school_rating: asked.5.and_then(SchoolRating::from_steps),
        required_amenities: wished.0,
        preferred_amenities: wished.1,
        dismissed: wished.2.into_iter().map(listing_id).collect(),
        include_coming_soon: wished.3,
        include_under_contract: wished.4,
        profile: wished.5,
    })
}

/// How many listings there are.
pub const LISTINGS: usize = 24;
/// How many sessions there are.
pub const SESSIONS: usize = 8;

/// One change of one of a few listings and sessions.
pub fn change() -> impl Strategy<Value = Change> {
    change_of(LISTINGS, SESSIONS)
}

/// One change of one of so many.
pub fn change_of(listings: usize, sessions: usize) -> impl Strategy<Value = Change> {
    let listing = (0..listings, prop::option::weighted(0.8, listing()), 0_u64..3)
        .prop_map(|(number, facts, content)| Change::Listing { id: listing_id(number), facts, content });
    let session = (0..sessions, prop::option::weighted(0.85, preferences())).prop_map(|(number, preferences)| {
        Change::Session { id: session_id(number), facts: preferences.as_ref().map(SessionFacts::of) }
    });
    prop_oneof![4 => listing, 1 => session]
}

/// The same changes in a world where nearly every listing suits every session: shortlists overflow and run thin.
pub fn dense(mut batches: Vec<Vec<Change>>) -> Vec<Vec<Change>> {
    for change in batches.iter_mut().flatten() {
        match change {
            Change::Listing { facts: Some(facts), .. } => {
                facts.status = StandardStatus::Active;
                facts.display_allowed = true;
                facts.transaction = Transaction::Sale;
                facts.currency = Currency::USD;
                facts.price = facts.price.or(Money::from_units(100_000));
            }
            Change::Session { facts: Some(facts), .. } => {
                *facts = SessionFacts {
                    place: facts.place.clone(),
                    profile: facts.profile,
                    preferred: facts.preferred,
                    budget: Money::from_units(100_000_000).unwrap(),
                    ..SessionFacts::of(&anything())
                };
            }
            Change::Listing { facts: None, .. } | Change::Session { facts: None, .. } => {}
        }
    }
    batches
}
