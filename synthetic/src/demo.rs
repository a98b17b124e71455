//! A market paced for an onlooker: among the ordinary events, every second or two something happens to a home that one
//! watched session would like, so that its three recommendations keep changing before their eyes.
//!
//! Only steers which home's turn it is. What the session then sees is up to the pipeline.

use schemas::amenities::AmenitySet;
use schemas::money::Money;
use schemas::preferences::{Place, Preferences, Profile};
use schemas::vocabulary::{StandardStatus, Transaction};

use crate::config::{Config, ConfigError};
use crate::event::Event;
use crate::life::{self, Change, DAY_MS, Offer, Step};
use crate::places::PLACES;
use crate::random::Random;
use crate::sessions::market_of;
use crate::taste::Taste;
use crate::world::World;

/// How often something happens that the watched session should notice.
const SECONDS_BETWEEN_MOVES: f64 = 1.5;
/// Of the homes that suit, how many of the most pleasing are in play.
const IN_PLAY: usize = 8;
/// Of those, how many it likely sees now.
const LIKELY_SEEN: usize = 3;

/// A world with an onlooker.
#[derive(Clone, Debug)]
pub struct Demo {
    world: World,
    taste: Taste,
    random: Random,
    /// One move after so many events.
    every: u64,
    since_move: u64,
}

impl Demo {
    /// A demonstration at this many events a second, watched by a session of these preferences.
    pub fn new(config: Config, watched: &Preferences, events_per_second: f64) -> Result<Self, ConfigError> {
        if !(0.1..=100_000.0).contains(&events_per_second) {
            return Err(ConfigError {
                field: "events_per_second",
                value: events_per_second.to_string(),
                expected: "0.1 to 100000",
            });
        }
        let random = Random::of(config.seed, 0x6465_6D6F);
        let every = (events_per_second * SECONDS_BETWEEN_MOVES).max(1.0) as u64;
        Ok(Self { world: World::new(config)?, taste: Taste::of(watched), random, every, since_move: 0 })
    }

    /// Whether the opening stock is told. Until then publish as fast as you can; from then on at the agreed pace.
    pub const fn is_open(&self) -> bool {
        self.world.is_open()
    }

    /// The world.
    pub const fn world(&self) -> &World {
        &self.world
    }

    /// The next event, as of now (milliseconds since 1970).
    pub fn next_event_at(&mut self, now_ms: i64) -> Event {
        self.since_move += 1;
        if self.is_open() && self.since_move >= self.every {
            self.since_move = 0;
            if let Some((slot, step)) = self.next_move(now_ms) {
                return self.world.intervene(slot, step);
            }
        }
        self.world.next_event_at(now_ms)
    }

    /// Something that the session should notice: one it likely sees gets dearer or is gone, or one it does not see gets
    /// cheaper or comes back.
    fn next_move(&mut self, now_ms: i64) -> Option<(usize, Step)> {
        let in_play = self.in_play();
        let pick = |random: &mut Random, from: &[usize]| from.get(random.below(from.len() as u64) as usize).copied();
        let (seen, others) = in_play.split_at(LIKELY_SEEN.min(in_play.len()));
        let kind = self.random.choose(&[45, 30, 25]);
        let slot = match kind {
            0 => pick(&mut self.random, others).or_else(|| pick(&mut self.random, seen))?,
            _ => pick(&mut self.random, seen)?,
        };
        let (home, offer) = self.world.open_slots().find(|(i, _, _)| *i == slot).map(|(_, h, o)| (*h, *o))?;
        let fair = self.world.fair(&home);
        let now_ms = now_ms.max(offer.modified_ms + 1);
        let step = match (kind, offer.status) {
            (_, status) if status != StandardStatus::Active => back(&offer, now_ms),
            // Prices stay near what homes are worth, however long the demonstration runs.
            (0, _) if f64::from(offer.list_price) > 0.75 * fair => {
                let factor = 1.0 - self.random.between(0.04, 0.10);
                life::reprice(&home, &offer, factor, now_ms, &mut self.random)
            }
            (0 | 1, _) => {
                let factor = 1.0 + self.random.between(0.04, 0.12);
                life::reprice(&home, &offer, factor, now_ms, &mut self.random)
            }
            _ => life::step(
                Change::UnderContract,
                life::with_status(&offer, StandardStatus::ActiveUnderContract, now_ms),
                DAY_MS,
            ),
        };
        Some((slot, step))
    }

    /// The most pleasing homes that suit, on the market or under contract, the best first.
    fn in_play(&self) -> Vec<usize> {
        let mut liked: Vec<(f64, usize)> = self
            .world
            .open_slots()
            .filter(|(_, home, offer)| {
                matches!(offer.status, StandardStatus::Active | StandardStatus::ActiveUnderContract)
                    && self.taste.might_suit(home)
            })
            .map(|(slot, home, offer)| (self.taste.appeal(home, offer, self.world.fair(home)), slot))
            .collect();
        liked.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        liked.into_iter().take(IN_PLAY).map(|(_, slot)| slot).collect()
    }
}

const fn back(offer: &Offer, now_ms: i64) -> Step {
    life::step(Change::BackOnMarket, life::with_status(offer, StandardStatus::Active, now_ms), DAY_MS)
}

/// The preferences of a newcomer's first look: two bedrooms in the biggest market, and a budget that a good part of its
/// homes are below.
pub fn newcomer() -> Preferences {
    let wishes = ["garage", "garden", "view"];
    Preferences {
        transaction: Transaction::Sale,
        // Below the greatest amount.
        budget: Money::from_units(850_000).expect("an amount"),
        // Three letters, as a test of `places.rs` holds.
        currency: PLACES[0].currency.parse().expect("a currency code"),
        place: Place { cities: vec![market_of(&PLACES[0])], ..Place::default() },
        min_bedrooms: Some(2),
        min_bathrooms: None,
        min_living_area_sqft: None,
        property_sub_types: Vec::new(),
        max_commute_minutes: None,
        min_school_rating: None,
        required_amenities: AmenitySet::EMPTY,
        preferred_amenities: wishes.into_iter().filter_map(AmenitySet::of_word).fold(AmenitySet::EMPTY, AmenitySet::or),
        dismissed: Vec::new(),
        include_coming_soon: false,
        include_under_contract: false,
        profile: Profile::Balanced,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn demo(listings: usize, events_per_second: f64) -> Demo {
        let config = Config { seed: 21, listings, ..Config::default() };
        let mut demo = Demo::new(config, &newcomer(), events_per_second).unwrap();
        while !demo.is_open() {
            demo.next_event_at(0);
        }
        demo
    }

    /// The three homes that a session would most like by the rough guess of `taste.rs`, with their prices.
    fn guess(demo: &Demo) -> Vec<(u64, u32)> {
        let mut liked: Vec<(f64, u64, u32)> = demo
            .world
            .open_slots()
            .filter(|(_, home, offer)| demo.taste.suits(home, offer))
            .map(|(_, home, offer)| {
                (demo.taste.appeal(home, offer, demo.world.fair(home)), home.serial, offer.list_price)
            })
            .collect();
        liked.sort_by(|a, b| b.0.total_cmp(&a.0));
        liked.into_iter().take(3).map(|(_, serial, price)| (serial, price)).collect()
    }

    #[test]
    fn what_an_onlooker_sees_changes_every_few_seconds_even_after_hours() {
        for (listings, rate) in [(400, 5), (2_000, 20)] {
            let mut demo = demo(listings, f64::from(rate));
            let second = |demo: &mut Demo, n: i64| {
                for _ in 0..rate {
                    demo.next_event_at(n * 1_000);
                }
            };
            (0..3 * 3_600).for_each(|n| second(&mut demo, n));
            let (mut changes, seconds) = (0, 600);
            let mut before = guess(&demo);
            for n in 0..seconds {
                second(&mut demo, 3 * 3_600 + n);
                let after = guess(&demo);
                assert_eq!(after.len(), 3, "after {n} s");
                changes += i64::from(after != before);
                before = after;
            }
            assert!(changes > seconds / 5, "{changes} changes in {seconds} s at {rate} events/s");
        }
    }

    #[test]
    fn most_events_of_a_busy_market_are_ordinary() {
        let mut demo = demo(2_000, 100.0);
        let newcomers_place = (0..10_000).filter(|i| demo.next_event_at(*i).home.place == 0).count();
        assert!((1_500..4_000).contains(&newcomers_place), "{newcomers_place} of 10000 in one market");
    }

    #[test]
    fn an_impossible_pace_is_refused_by_name() {
        let error = Demo::new(Config::default(), &newcomer(), 0.0).map(drop).unwrap_err();
        assert_eq!(error.to_string(), "events_per_second: 0 (expected 0.1 to 100000)");
    }
}
