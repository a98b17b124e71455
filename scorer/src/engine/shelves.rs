//! The listings on offer, a shelf per market, transaction and currency, and which shelves a session has to look at.

use std::collections::BTreeMap;

use schemas::id::{ListingId, Market};
use schemas::money::Currency;
use schemas::units::Position;
use schemas::vocabulary::Transaction;

use super::arena::Arena;
use super::ceiling::{Offer, OfferBlock};
use super::rows::Rows;
use crate::facts::{ListingFacts, PlaceFacts, PostalKey, SessionFacts};

/// What one shelf holds.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct ShelfKey {
    market: Market,
    transaction: Transaction,
    currency: Currency,
}

#[derive(Debug, Default)]
struct Shelf {
    rows: Rows<OfferBlock>,
    /// How many rows have each postal code.
    postal_codes: BTreeMap<PostalKey, u32>,
    /// South-west and north-east corner of every position that was ever here. Grows only: it is a sieve.
    corners: Option<(Position, Position)>,
}

/// Where a listing stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Standing {
    shelf: u32,
    row: u32,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Shelves(Arena<ShelfKey, Shelf>);

impl Shelves {
    /// Puts a listing on its shelf; gives the shelf's copy of the market's name too.
    pub(super) fn put(&mut self, listing: &ListingFacts, offer: &Offer, slot: u32) -> (Standing, Market) {
        let ListingFacts { transaction, currency, .. } = *listing;
        let key = ShelfKey { market: listing.market.clone(), transaction, currency };
        let (number, shelf) = self.0.get_or_insert_with(&key, Shelf::default);
        if let Some(code) = listing.postal_code {
            *shelf.postal_codes.entry(code).or_default() += 1;
        }
        if let Some(at) = listing.position {
            shelf.corners = Some(shelf.corners.map_or((at, at), |(low, high)| (lower(low, at), higher(high, at))));
        }
        let row = shelf.rows.insert(offer, slot);
        (Standing { shelf: number, row }, self.0.key(number).market.clone())
    }

    /// Takes a listing off the shelf it was put on.
    pub(super) fn take(&mut self, listing: &ListingFacts, standing: Standing) {
        let Some(shelf) = self.0.get_mut(standing.shelf) else { return };
        shelf.rows.remove(standing.row);
        if let Some(code) = listing.postal_code
            && let Some(count) = shelf.postal_codes.get_mut(&code)
        {
            *count -= 1;
            if *count == 0 {
                shelf.postal_codes.remove(&code);
            }
        }
        if shelf.rows.is_empty() {
            self.0.set(standing.shelf, None);
        }
    }

    /// Forgets the empty shelves.
    pub(super) fn sweep(&mut self) {
        self.0.sweep();
    }

    /// Every block that may hold a listing of the session's place, transaction and currency.
    pub(super) fn blocks(&self, session: &SessionFacts) -> impl Iterator<Item = &OfferBlock> {
        self.in_place(session).flat_map(|shelf| shelf.rows.blocks())
    }

    /// Every shelf that may hold a listing of the session's place, once.
    fn in_place(&self, session: &SessionFacts) -> impl Iterator<Item = &Shelf> {
        let SessionFacts { transaction, currency, ref place, .. } = *session;
        let only_cities = place.circle.is_none() && place.country.is_none() && place.postal_codes.is_empty();
        let named = place
            .cities
            .iter()
            .filter(move |_| only_cities)
            .filter_map(move |market| self.0.find(&ShelfKey { market: market.clone(), transaction, currency }));
        // A few thousand markets at most, told apart in nanoseconds each: no index by country is worth its upkeep.
        let all = self.0.iter().filter(move |_| !only_cities);
        named.chain(all.filter_map(move |(_, key, shelf)| {
            let asked = key.transaction == transaction && key.currency == currency;
            (asked && shelf.may_hold(&key.market, place)).then_some(shelf)
        }))
    }
}

impl Shelf {
    fn may_hold(&self, market: &Market, place: &PlaceFacts) -> bool {
        place.country == Some(market.country())
            || place.cities.contains(market)
            || place.postal_codes.iter().any(|code| self.postal_codes.contains_key(code))
            || place.circle.zip(self.corners).is_some_and(|(disc, (low, high))| disc.may_touch(low, high))
    }
}

fn lower(a: Position, b: Position) -> Position {
    Position { latitude: a.latitude.min(b.latitude), longitude: a.longitude.min(b.longitude) }
}

fn higher(a: Position, b: Position) -> Position {
    Position { latitude: a.latitude.max(b.latitude), longitude: a.longitude.max(b.longitude) }
}

/// A listing on offer.
#[derive(Debug)]
pub(super) struct Offered {
    pub(super) facts: ListingFacts,
    pub(super) content: u64,
    pub(super) standing: Standing,
}

/// The listings on offer, by id.
pub(super) type Listings = Arena<ListingId, Offered>;

impl super::shortlist::Ids for Listings {
    fn compare(&self, a: u32, b: u32) -> std::cmp::Ordering {
        self.key(a).cmp(self.key(b))
    }
}
