//! The peer of the engine: brute force in the same language with the same score. A changed listing is scored for every
//! session of its market against the three that the session has; a session that loses one of them looks through its market.

use rustc_hash::FxHashMap;
use schemas::id::{ListingId, Market, SessionId};
use scorer::engine::{Change, SHOWN};
use scorer::facts::{ListingFacts, SessionFacts};
use scorer::score;

/// Score, and the listing's number; the smaller number is the smaller id.
pub type Key = (u32, std::cmp::Reverse<u32>);

struct Session {
    id: SessionId,
    facts: SessionFacts,
    top: Vec<Key>,
}

#[derive(Default)]
struct City {
    sessions: Vec<Session>,
    listings: FxHashMap<u32, (ListingId, ListingFacts)>,
}

/// Sessions that name one city, and its listings.
#[derive(Default)]
pub struct Brute {
    cities: FxHashMap<Market, City>,
    /// Where a listing was last seen.
    of_listing: FxHashMap<u32, Market>,
}

impl Brute {
    /// Takes in a change; `number` is that of its listing.
    pub fn apply(&mut self, change: &Change, number: u32) {
        match change {
            Change::Listing { id, facts, .. } => self.listing(id, facts.as_ref(), number),
            Change::Session { id, facts } => {
                let Some(facts) = facts.clone() else { return };
                let Some(market) = facts.place.cities.first() else { return };
                let city = self.cities.entry(market.clone()).or_default();
                let mut session = Session { id: *id, facts, top: Vec::new() };
                session.search(&city.listings);
                city.sessions.push(session);
            }
        }
    }

    /// Every session, and what it sees, the best first.
    pub fn tops(&self) -> impl Iterator<Item = (SessionId, &[Key])> {
        self.cities.values().flat_map(|city| &city.sessions).map(|session| (session.id, &session.top[..]))
    }

    fn listing(&mut self, id: &ListingId, facts: Option<&ListingFacts>, number: u32) {
        if let Some(facts) = facts {
            self.of_listing.insert(number, facts.market.clone());
        }
        let Some(city) = self.of_listing.get(&number).and_then(|market| self.cities.get_mut(market)) else {
            if let Some(facts) = facts {
                let city = self.cities.entry(facts.market.clone()).or_default();
                city.listings.insert(number, (id.clone(), facts.clone()));
            }
            return;
        };
        match facts {
            Some(facts) => drop(city.listings.insert(number, (id.clone(), facts.clone()))),
            None => drop(city.listings.remove(&number)),
        }
        for session in &mut city.sessions {
            let now = facts.and_then(|facts| session.key(id, facts, number));
            let had = session.top.iter().position(|(_, listing)| listing.0 == number);
            if let Some(at) = had {
                let was = session.top.remove(at);
                // Better than before: still among the three. Worse: one that was outside may be better now.
                match now.filter(|now| *now >= was) {
                    Some(now) => session.put(now),
                    None => session.search(&city.listings),
                }
            } else if let Some(now) = now
                && (session.top.len() < SHOWN || session.top.last().is_some_and(|last| now > *last))
            {
                session.put(now);
            }
        }
    }
}

impl Session {
    fn key(&self, id: &ListingId, facts: &ListingFacts, number: u32) -> Option<Key> {
        score::passes(&self.facts, id, facts).then(|| (score::score(&self.facts, facts), std::cmp::Reverse(number)))
    }

    fn put(&mut self, key: Key) {
        let at = self.top.partition_point(|other| *other > key);
        self.top.insert(at, key);
        self.top.truncate(SHOWN);
    }

    fn search(&mut self, listings: &FxHashMap<u32, (ListingId, ListingFacts)>) {
        self.top.clear();
        for (number, (id, facts)) in listings {
            if let Some(key) = self.key(id, facts, *number)
                && (self.top.len() < SHOWN || self.top.last().is_some_and(|last| key > *last))
            {
                self.put(key);
            }
        }
    }
}
