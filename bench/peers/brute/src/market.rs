//! One market by brute force: a changed listing is scored for every session against the three that the session has; a
//! session that loses one of them looks through all listings.
//!
//! Rows are packed and walked in order, one thread, no instruction beyond what the compiler finds. Knows of no file.

use std::collections::HashMap;

use mark::measured::Key;
use mark::rows::{Asks, Listing, Offer, Session};
use mark::score::{Weights, passes};

/// Score above the complement of the listing's number: greater is better, 0 is nothing.
type Rank = u64;

fn rank(score: u32, id: u32) -> Rank {
    u64::from(score) << 32 | u64::from(!id)
}

/// A session, 40 bytes.
struct Seat {
    asks: Asks,
    /// The best first.
    top: [Rank; 3],
}

/// A listing on offer.
struct Home {
    offer: Offer,
    id: u32,
    merits: [u32; 4],
}

/// Sessions and listings of one market.
#[derive(Default)]
pub struct Market {
    seats: Vec<Seat>,
    sessions: Vec<u32>,
    homes: Vec<Home>,
    at: HashMap<u32, usize>,
}

impl Market {
    /// Puts a listing on offer before any session is there.
    pub fn list(&mut self, weights: &Weights, listing: &Listing) {
        if listing.offer.is_offered {
            self.at.insert(listing.id, self.homes.len());
            self.homes.push(home(weights, listing));
        }
    }

    /// Takes in a session; returns how many listings it may be shown.
    pub fn seat(&mut self, weights: &Weights, session: &Session) -> u64 {
        let (top, passing) = self.search(weights, &session.asks);
        self.seats.push(Seat { asks: session.asks, top });
        self.sessions.push(session.id);
        passing
    }

    /// The best of all listings, and how many pass.
    pub fn search(&self, weights: &Weights, asks: &Asks) -> ([Rank; 3], u64) {
        best(&self.homes, weights, asks)
    }

    /// Applies a listing's whole new row; returns how many sessions looked through all listings.
    pub fn apply(&mut self, weights: &Weights, listing: &Listing) -> u64 {
        let now = home(weights, listing);
        match (self.at.get(&listing.id).copied(), listing.offer.is_offered) {
            (Some(at), true) => self.homes[at] = now,
            (None, true) => self.list(weights, listing),
            (Some(at), false) => {
                self.at.remove(&listing.id);
                self.homes.swap_remove(at);
                if let Some(moved) = self.homes.get(at) {
                    self.at.insert(moved.id, at);
                }
            }
            (None, false) => return 0,
        }
        let now = home(weights, listing);
        let mut searches = 0;
        for seat in &mut self.seats {
            let rank = if passes(&seat.asks, &now.offer) { now.rank(weights, &seat.asks) } else { 0 };
            match seat.top.iter().position(|had| *had as u32 == !now.id && *had > 0) {
                // All three are there and it falls below the last of them: one that was outside may be better now.
                Some(_) if seat.top[2] > 0 && rank < seat.top[2] => {
                    searches += 1;
                    seat.top = best(&self.homes, weights, &seat.asks).0;
                }
                Some(at) => {
                    seat.top[at..].rotate_left(1);
                    seat.top[2] = 0;
                    put(&mut seat.top, rank);
                }
                None if rank > seat.top[2] => put(&mut seat.top, rank),
                None => {}
            }
        }
        searches
    }

    /// What each session sees.
    pub fn top(&self) -> impl Iterator<Item = (u32, Vec<Key>)> {
        let keys = |seat: &Seat| {
            let there = seat.top.iter().filter(|rank| **rank > 0);
            there.map(|rank| ((*rank >> 32) as u32, !(*rank as u32))).collect()
        };
        self.sessions.iter().copied().zip(self.seats.iter().map(keys))
    }
}

fn home(weights: &Weights, listing: &Listing) -> Home {
    Home { offer: listing.offer, id: listing.id, merits: weights.merits(&listing.offer) }
}

fn best(homes: &[Home], weights: &Weights, asks: &Asks) -> ([Rank; 3], u64) {
    let (mut top, mut passing) = ([0; 3], 0);
    for home in homes.iter().filter(|home| passes(asks, &home.offer)) {
        passing += 1;
        put(&mut top, home.rank(weights, asks));
    }
    (top, passing)
}

impl Home {
    #[inline(always)]
    fn rank(&self, weights: &Weights, asks: &Asks) -> Rank {
        rank(self.merits[usize::from(asks.profile & 3)] + weights.fit(asks, &self.offer), self.id)
    }
}

#[inline(always)]
fn put(top: &mut [Rank; 3], rank: Rank) {
    if rank > top[2] {
        top[2] = rank;
        if rank > top[1] {
            top.swap(1, 2);
            if rank > top[0] {
                top.swap(0, 1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing(id: u32, price: u32) -> Listing {
        let offer = Offer {
            price,
            amenities: id % 8,
            day: 100,
            bedrooms: 3,
            commute: 20,
            school: 50,
            deal: 50,
            trend: 1,
            is_offered: true,
        };
        Listing { id, market: 0, offer }
    }

    fn session(id: u32, budget: u32) -> Session {
        let asks = Asks {
            budget,
            required: 0,
            preferred: id % 8,
            min_bedrooms: 2,
            max_commute: 60,
            min_school: 0,
            profile: (id % 4) as u8,
        };
        Session { id, market: 0, asks }
    }

    #[test]
    fn after_any_changes_each_session_sees_the_best_of_what_is_on_offer() {
        let weights = Weights::of([[32; 8], [64, 0, 0, 0, 64, 64, 64, 0], [1; 8], [256, 0, 0, 0, 0, 0, 0, 0]]);
        let mut market = Market::default();
        (0..30).for_each(|id| market.list(&weights, &listing(id, 200_000 + 7_000 * id)));
        for id in 0..40 {
            market.seat(&weights, &session(id, 150_000 + 9_000 * id));
        }
        let mut seed = 7_u32;
        let mut searches = 0;
        for step in 0..3_000 {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            // Few prices, so that scores are often equal.
            let mut changed = listing(seed >> 8 & 31, 180_000 + (seed >> 16 & 7) * 20_000);
            changed.offer.is_offered = seed >> 24 & 7 > 1;
            searches += market.apply(&weights, &changed);
            for (seat, id) in market.seats.iter().zip(&market.sessions) {
                assert_eq!(seat.top, market.search(&weights, &seat.asks).0, "step {step}, session {id}");
            }
        }
        assert!(searches > 100, "a session that loses a listing looks through all of them: {searches}");
    }

    #[test]
    fn of_equal_scores_the_smaller_number_is_better() {
        let mut top = [0; 3];
        [rank(9, 4), rank(9, 2), rank(10, 7), rank(9, 3)].into_iter().for_each(|rank| put(&mut top, rank));
        assert_eq!(top, [rank(10, 7), rank(9, 2), rank(9, 3)]);
    }
}
