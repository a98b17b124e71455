//! The market that moves: homes, their offers and whose turn it is. An endless, seeded stream of events.
//!
//! What an offer does next is decided in `life.rs`; here is the clock, the order, and what goes wrong on the way to the
//! reader (statements late, repeated). No I/O, no wall clock: who publishes live says what time it is.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use crate::config::{Config, ConfigError};
use crate::event::Event;
use crate::home::Home;
use crate::life::{self, Change, DAY_MS, Offer, Step};
use crate::places::price_level;
use crate::random::Random;

/// Statements on their way at any time: more than the few that the shares hold back, and a bound.
const MAX_HELD: usize = 64;
/// A statement that is late or comes twice does so after at most this many others.
const MAX_DELAY: u64 = 16;
/// Names the stream of chance of events; homes use their serial, which never comes near it.
const EVENTS: u64 = u64::MAX;

/// A listing that the world follows.
#[derive(Clone, Copy, Debug)]
struct Slot {
    home: Home,
    /// `None` until it was first told.
    offer: Option<Offer>,
    over: bool,
}

/// The market that moves. Endless: as many listings as the configuration says are followed at any time; who is sold or
/// deleted makes room for a new one.
#[derive(Clone, Debug)]
pub struct World {
    config: Config,
    random: Random,
    slots: Vec<Slot>,
    /// When whose next step is due, in milliseconds since the start, on the market's own clock.
    due: BinaryHeap<Reverse<(i64, usize)>>,
    /// The market's own clock: milliseconds since the start.
    clock_ms: i64,
    opened: usize,
    next_serial: u64,
    /// Statements on their way, and after how many others they arrive.
    held: VecDeque<(u64, Event)>,
}

impl World {
    /// A world before its first event.
    pub fn new(config: Config) -> Result<Self, ConfigError> {
        config.check()?;
        Ok(Self {
            random: Random::of(config.seed, EVENTS),
            slots: Vec::with_capacity(config.listings),
            due: BinaryHeap::with_capacity(config.listings),
            clock_ms: 0,
            opened: 0,
            next_serial: 0,
            held: VecDeque::new(),
            config,
        })
    }

    /// Whether every listing of the opening stock was told: before that, events are first statements one after another.
    pub const fn is_open(&self) -> bool {
        self.opened == self.config.listings
    }

    /// The listings as their feeds last told them, those that are over included.
    pub fn listings(&self) -> impl Iterator<Item = (&Home, &Offer)> {
        self.slots.iter().filter_map(|slot| slot.offer.as_ref().map(|offer| (&slot.home, offer)))
    }

    /// The next event at its own time: the market's clock runs from the start of the world.
    pub fn next_event(&mut self) -> Event {
        self.arrive().unwrap_or_else(|| self.happen(None))
    }

    /// The next event as of now (milliseconds since 1970): for publishing live. Lives go on by the market's own clock,
    /// that is as fast as this is called; only what the statements say of time is yours.
    pub fn next_event_at(&mut self, now_ms: i64) -> Event {
        self.arrive().unwrap_or_else(|| self.happen(Some(now_ms)))
    }

    /// What the listing in this slot is worth today.
    pub(crate) fn fair(&self, home: &Home) -> f64 {
        home.worth * price_level(home.place, self.clock_ms as f64 / DAY_MS as f64)
    }

    /// The slots of listings that were told and are not over.
    pub(crate) fn open_slots(&self) -> impl Iterator<Item = (usize, &Home, &Offer)> {
        self.slots
            .iter()
            .enumerate()
            .filter(|(_, s)| !s.over)
            .filter_map(|(i, s)| s.offer.as_ref().map(|o| (i, &s.home, o)))
    }

    /// Makes a step of this slot happen now, out of turn; the step that was due later stays due.
    pub(crate) fn intervene(&mut self, slot: usize, step: Step) -> Event {
        self.tell(slot, step)
    }

    /// A held statement whose time has come.
    fn arrive(&mut self) -> Option<Event> {
        let (left, event) = self.held.front_mut()?;
        if *left == 0 {
            let event = *event;
            self.held.pop_front();
            return Some(event);
        }
        *left -= 1;
        None
    }

    fn hold(&mut self, event: Event) {
        if self.held.len() < MAX_HELD {
            let delay = 1 + self.random.below(MAX_DELAY);
            self.held.push_back((delay, event));
        }
    }

    fn happen(&mut self, now_ms: Option<i64>) -> Event {
        if !self.is_open() {
            return self.open_next(now_ms);
        }
        // Every slot has exactly one step due, and there is at least one slot.
        let Reverse((due_ms, slot)) = self.due.pop().expect("every listing has a next step");
        self.clock_ms = self.clock_ms.max(due_ms);
        let now_ms = now_ms.unwrap_or(self.config.start.ms() + self.clock_ms);
        let step = self.step_of(slot, now_ms);
        self.due.push(Reverse((self.clock_ms + step.wait_ms.max(1), slot)));
        self.tell(slot, step)
    }

    /// The opening stock: one first statement after another, a millisecond apart.
    fn open_next(&mut self, now_ms: Option<i64>) -> Event {
        let slot = self.opened;
        self.opened += 1;
        let home = self.next_home();
        self.slots.push(Slot { home, offer: None, over: false });
        let now_ms = now_ms.unwrap_or(self.config.start.ms() + slot as i64);
        let step = life::open_in_the_past(&home, self.fair(&home), now_ms, &mut self.random);
        self.due.push(Reverse((step.wait_ms.max(self.config.listings as i64), slot)));
        self.tell(slot, step)
    }

    fn next_home(&mut self) -> Home {
        let home = Home::build(self.config.seed, self.next_serial, self.config.markets);
        self.next_serial += 1;
        home
    }

    fn step_of(&mut self, slot: usize, now_ms: i64) -> Step {
        let Slot { home, offer, over } = self.slots[slot];
        match offer {
            Some(offer) if !over => {
                let now_ms = now_ms.max(offer.modified_ms + 1);
                life::advance(&home, &offer, self.fair(&home), now_ms, self.config.unchanged_share, &mut self.random)
            }
            _ => {
                let home = self.next_home();
                self.slots[slot] = Slot { home, offer: None, over: false };
                life::open(&home, self.fair(&home), now_ms, &mut self.random)
            }
        }
    }

    /// Makes a step what the feed last told, and decides whether its statement arrives once, twice or corrected.
    fn tell(&mut self, slot: usize, step: Step) -> Event {
        let before = self.slots[slot].offer;
        self.slots[slot].offer = Some(step.offer);
        self.slots[slot].over = step.change.ends_the_listing();
        let home = self.slots[slot].home;
        let event = Event { change: step.change, home, offer: step.offer };
        let repriced = matches!(step.change, Change::PriceCut | Change::PriceRise);
        if repriced
            && before.is_some_and(|b| step.offer.modified_ms - b.modified_ms > 1)
            && self.random.chance(self.config.late_share)
        {
            // A price that was typed wrong and corrected at once; the wrong one arrives after the right one.
            let mistaken = Offer {
                list_price: step.offer.list_price + step.offer.list_price / 10,
                modified_ms: step.offer.modified_ms - 1,
                ..step.offer
            };
            self.hold(Event { change: Change::Late, offer: mistaken, ..event });
        }
        if self.random.chance(self.config.repeated_share) {
            self.hold(Event { change: Change::Repeated, ..event });
        }
        event
    }
}

impl Iterator for World {
    type Item = Event;

    /// [`World::next_event`]; never `None`.
    fn next(&mut self) -> Option<Event> {
        Some(self.next_event())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn world(seed: u64, listings: usize) -> World {
        World::new(Config { seed, listings, ..Config::default() }).unwrap()
    }

    #[test]
    fn a_seed_gives_the_same_events_again() {
        let events = |seed| world(seed, 100).take(2_000).collect::<Vec<_>>();
        assert_eq!(events(4), events(4));
        assert_ne!(events(4), events(5));
    }

    #[test]
    fn every_change_occurs_and_the_stock_stays() {
        let mut counts: HashMap<Change, u32> = HashMap::new();
        let mut world = world(2, 500);
        for _ in 0..50_000 {
            *counts.entry(world.next_event().change).or_default() += 1;
        }
        for change in Change::ALL {
            assert!(counts.get(&change).is_some_and(|&n| n >= 20), "{change:?} is missing or rare: {counts:?}");
        }
        assert_eq!(world.listings().count(), 500);
        let open = world.open_slots().count();
        assert!(open > 400, "{open}");
    }

    #[test]
    fn only_late_and_repeated_statements_are_older_than_what_was_told() {
        let mut newest: HashMap<String, i64> = HashMap::new();
        let mut late = 0;
        for event in world(8, 200).take(40_000) {
            let newest = newest.entry(event.listing_id().to_string()).or_insert(i64::MIN);
            match event.change {
                Change::Late => {
                    assert!(event.modified_ms() < *newest);
                    late += 1;
                }
                Change::Repeated => assert!(event.modified_ms() <= *newest),
                _ => assert!(event.modified_ms() > *newest, "{event:?}"),
            }
            *newest = event.modified_ms().max(*newest);
        }
        assert!(late > 50, "{late}");
    }

    #[test]
    fn live_events_are_stamped_by_their_caller() {
        let mut world = world(3, 50);
        for i in 0..5_000 {
            let now = 1_800_000_000_000 + i * 100;
            let event = world.next_event_at(now);
            if !matches!(event.change, Change::Late | Change::Repeated) {
                assert!((now..now + 10).contains(&event.modified_ms()), "{event:?}");
            }
            assert!(event.offer.on_market_ms <= now + 10);
        }
    }
}
