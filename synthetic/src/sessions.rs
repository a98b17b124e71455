//! What people look for in the synthetic market: preferences built around homes that exist there, so that most find
//! something, some starve, and some roam.
//!
//! Depends on the configuration alone, not on what has happened in the market since.

use schemas::amenities::AmenitySet;
use schemas::id::{Country, FeedName, ListingId, Market, SessionToken};
use schemas::money::{Currency, Money};
use schemas::preferences::{Circle, Place, PostalCode, Preferences, Profile};
use schemas::units::{Bathrooms, Latitude, Longitude, RadiusKm, SchoolRating};
use schemas::vocabulary::Transaction;

use crate::config::Config;
use crate::home::{AMENITIES, Home};
use crate::places::{NEIGHBOURHOODS, PLACES, postal_code};
use crate::random::Random;

/// One session.
#[derive(Clone, Debug, PartialEq)]
pub struct Session {
    /// Seeded and therefore guessable: for load and demonstrations, never for people.
    pub token: SessionToken,
    /// Its one statement: the body of `POST /api/v1/preferences`, the value of topic `preferences`.
    pub preferences: Preferences,
}

/// Names the streams of chance of sessions.
const SESSIONS: u64 = 0x7365_7373;
/// Share of sessions whose budget is far below what they ask for.
const STARVED_SHARE: f64 = 0.04;

/// The endless sessions of this seed in the world of this configuration. Session `n` is the same whoever asks for it.
pub fn sessions(config: &Config, seed: u64) -> impl Iterator<Item = Session> + use<> {
    let config = config.clone();
    let markets: Vec<Market> = PLACES.iter().map(market_of).collect();
    (0..).map(move |n| session(&config, &markets, seed, n))
}

/// The market that ingest will put a place's listings in.
pub fn market_of(place: &crate::places::Place) -> Market {
    Market::of(country_of(place), Some(place.state_or_province), Some(place.city))
}

fn country_of(place: &crate::places::Place) -> Country {
    // Two letters, as a test of `places.rs` holds.
    place.country.parse().expect("a country code")
}

fn session(config: &Config, markets: &[Market], seed: u64, n: u64) -> Session {
    let random = &mut Random::of(Random::of(seed, SESSIONS).bits(), n);
    let token = SessionToken::from_bits(u128::from(random.bits()) << 64 | u128::from(random.bits()));
    let dream = Home::build(config.seed, random.below(config.listings as u64), config.markets);
    let home = PLACES[dream.place].currency.parse::<Currency>();
    let preferences = Preferences {
        transaction: if dream.lease { Transaction::Lease } else { Transaction::Sale },
        budget: budget(&dream, random),
        // Three letters, as a test of `places.rs` holds.
        currency: home.expect("a currency code"),
        place: place(config, markets, &dream, random),
        min_bedrooms: (dream.bedrooms > 0 && random.chance(0.7))
            .then(|| dream.bedrooms - u16::from(dream.bedrooms > 1 && random.chance(0.6))),
        min_bathrooms: random.chance(0.3).then(|| Bathrooms::from_steps(dream.bathroom_halves.min(4))).flatten(),
        min_living_area_sqft: random
            .chance(0.25)
            .then(|| round_to(f64::from(dream.living_area_sqft) * random.between(0.6, 0.85), 50.0) as u32),
        property_sub_types: if random.chance(0.25) { vec![dream.kind] } else { Vec::new() },
        max_commute_minutes: random.chance(0.2).then(|| (dream.commute_minutes + 8) / 5 * 5 + 5),
        min_school_rating: random.chance(0.15).then(|| SchoolRating::from_steps(dream.school_tenths - 8)).flatten(),
        required_amenities: required_amenities(&dream, random),
        preferred_amenities: preferred_amenities(random),
        dismissed: dismissed(config, random),
        include_coming_soon: random.chance(0.3),
        include_under_contract: random.chance(0.15),
        profile: [Profile::Balanced, Profile::Value, Profile::Family, Profile::Commuter]
            [random.choose(&[55, 18, 17, 10])],
    };
    Session { token, preferences }
}

/// A little more than the dream costs; for the starved a third of it.
fn budget(dream: &Home, random: &mut Random) -> Money {
    let factor = if random.chance(STARVED_SHARE) { 0.33 } else { random.between(1.05, 1.45) };
    let step = if dream.lease { 50.0 } else { 5_000.0 };
    let units = round_to(dream.worth * factor, step).max(step);
    // A price of this market is far below the greatest amount.
    Money::from_units(units as i64).expect("an amount")
}

/// Two in three name a city, the others several, a circle, postal codes or a country.
fn place(config: &Config, markets: &[Market], dream: &Home, random: &mut Random) -> Place {
    let mut place = Place::default();
    match random.choose(&[64, 10, 12, 10, 4]) {
        0 => place.cities = vec![markets[dream.place].clone()],
        1 => {
            let likewise = |i: &usize| PLACES[*i].currency == PLACES[dream.place].currency;
            place.cities = (0..config.markets)
                .filter(likewise)
                .filter(|i| *i == dream.place || random.chance(0.3))
                .map(|i| markets[i].clone())
                .collect();
        }
        2 => {
            place.within = Some(Circle {
                // A home of this market is on the globe, and 15 km are within the greatest radius.
                latitude: Latitude::from_steps(dream.latitude_e5).expect("a latitude"),
                longitude: Longitude::from_steps(dream.longitude_e5).expect("a longitude"),
                radius_km: RadiusKm::from_steps((3 + random.below(13) as u32) * 1_000).expect("a radius"),
            });
        }
        3 => {
            let country = country_of(&PLACES[dream.place]);
            place.postal_codes = (0..NEIGHBOURHOODS)
                .filter(|n| *n == dream.neighbourhood || random.chance(0.25))
                .map(|n| PostalCode { country, code: postal_code(dream.place, n) })
                .collect();
        }
        _ => place.country = Some(country_of(&PLACES[dream.place])),
    }
    place
}

fn required_amenities(dream: &Home, random: &mut Random) -> AmenitySet {
    if !random.chance(0.2) {
        return AmenitySet::EMPTY;
    }
    let present: Vec<usize> = (0..AMENITIES.len()).filter(|i| dream.amenities >> i & 1 == 1).collect();
    let one = present.get(random.below(present.len() as u64) as usize);
    one.map_or(AmenitySet::EMPTY, |&i| amenity(i))
}

fn preferred_amenities(random: &mut Random) -> AmenitySet {
    if !random.chance(0.6) {
        return AmenitySet::EMPTY;
    }
    let wanted = 2 + random.below(3);
    (0..wanted).fold(AmenitySet::EMPTY, |set, _| set.or(amenity(random.below(AMENITIES.len() as u64) as usize)))
}

fn amenity(i: usize) -> AmenitySet {
    AmenitySet::of_word(AMENITIES[i].word).unwrap_or(AmenitySet::EMPTY)
}

/// One session in twenty has turned down a few listings.
fn dismissed(config: &Config, random: &mut Random) -> Vec<ListingId> {
    if !random.chance(0.05) {
        return Vec::new();
    }
    let count = 1 + random.below(5);
    let mut ids: Vec<ListingId> = (0..count)
        .filter_map(|_| {
            let home = Home::build(config.seed, random.below(config.listings as u64), config.markets);
            let feed: FeedName = home.feed().parse().ok()?;
            ListingId::new(&feed, &home.listing_key()).ok()
        })
        .collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

fn round_to(value: f64, step: f64) -> f64 {
    (value / step).round() * step
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::taste::Taste;
    use crate::world::World;

    #[test]
    fn most_sessions_find_three_listings_some_starve_and_some_roam() {
        let config = Config { seed: 11, listings: 5_000, ..Config::default() };
        let mut world = World::new(config.clone()).unwrap();
        while !world.is_open() {
            world.next_event();
        }
        let sessions: Vec<Session> = sessions(&config, 2).take(1_000).collect();
        let matches = |session: &Session| {
            let taste = Taste::of(&session.preferences);
            world.listings().filter(|(home, offer)| taste.suits(home, offer)).count()
        };
        let counts: Vec<usize> = sessions.iter().map(matches).collect();
        let fed = counts.iter().filter(|&&n| n >= 3).count();
        let empty = counts.iter().filter(|&&n| n == 0).count();
        assert!(fed >= 850, "{fed} of 1000 have three matches");
        assert!((5..100).contains(&empty), "{empty} of 1000 have none");
        let roaming = sessions.iter().filter(|s| s.preferences.place.cities.is_empty()).count();
        assert!((150..350).contains(&roaming), "{roaming} roam");
    }

    #[test]
    fn preferences_travel_as_the_api_takes_them() {
        for session in sessions(&Config::default(), 5).take(500) {
            let json = serde_json::to_string(&session.preferences).unwrap();
            assert_eq!(serde_json::from_str::<Preferences>(&json).unwrap(), session.preferences, "{json}");
            assert!(session.preferences.budget.cents() > 0);
        }
    }

    #[test]
    fn a_session_is_the_same_whoever_asks() {
        let nth = |seed| sessions(&Config::default(), seed).nth(40).unwrap();
        assert_eq!(nth(1), nth(1));
        assert_ne!(nth(1), nth(2));
    }
}
