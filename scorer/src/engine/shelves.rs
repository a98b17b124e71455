//! The listings on offer, a shelf per market, transaction and currency, and which shelves a session has to look at.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BinaryHeap};

use schemas::id::{ListingId, Market};
use schemas::money::Currency;
use schemas::units::Position;
use schemas::vocabulary::Transaction;

use super::arena::Arena;
use super::ceiling::{Offer, OfferBlock, Seeker, Shelved};
use super::clusters::{Clusters, Group, Spot};
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
    offers: Clusters<OfferBlock>,
    /// How many rows have each postal code.
    postal_codes: BTreeMap<PostalKey, u32>,
    /// South-west and north-east corner of every position that was ever here. Grows only: it is a sieve.
    corners: Option<(Position, Position)>,
}

/// Where a listing stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Standing {
    shelf: u32,
    spot: Spot,
}

impl Standing {
    /// It got another spot on its shelf.
    pub(super) const fn moved(&mut self, spot: Spot) {
        self.spot = spot;
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Shelves {
    all: Arena<ShelfKey, Shelf>,
    /// The shelf that is tidied next.
    next: u32,
}

impl Shelves {
    /// Puts a listing on its shelf. `moved` gets the listings that come to
    /// stand elsewhere for it.
    pub(super) fn put(&mut self, listing: &ListingFacts, slot: u32, moved: &mut Vec<(u32, Spot)>) -> Standing {
        let ListingFacts { transaction, currency, .. } = *listing;
        let key = ShelfKey { market: listing.market.clone(), transaction, currency };
        let (number, shelf) = self.all.get_or_insert_with(&key, Shelf::default);
        if let Some(code) = listing.postal_code {
            *shelf.postal_codes.entry(code).or_default() += 1;
        }
        if let Some(at) = listing.position {
            shelf.corners = Some(shelf.corners.map_or((at, at), |(low, high)| (lower(low, at), higher(high, at))));
        }
        let spot = shelf.offers.insert(&Shelved { offer: Offer::of(listing), slot }, moved);
        Standing { shelf: number, spot }
    }

    /// Takes a listing off the shelf it was put on.
    pub(super) fn take(&mut self, listing: &ListingFacts, standing: Standing) {
        let Some(shelf) = self.all.get_mut(standing.shelf) else { return };
        shelf.offers.remove(standing.spot);
        if let Some(code) = listing.postal_code
            && let Some(count) = shelf.postal_codes.get_mut(&code)
        {
            *count -= 1;
            if *count == 0 {
                shelf.postal_codes.remove(&code);
            }
        }
        if shelf.offers.len() == 0 {
            self.all.set(standing.shelf, None);
        }
    }

    /// Forgets the empty shelves, and tidies one that is not.
    pub(super) fn sweep(&mut self, moved: &mut Vec<(u32, Spot)>) {
        self.all.sweep();
        self.next = if self.next + 1 < self.all.slots_end() { self.next + 1 } else { 0 };
        let shelf = self.next;
        if let Some(shelf) = self.all.get_mut(shelf) {
            shelf.offers.tidy(moved);
        }
    }

    /// Every block that may hold a listing of the session's place, transaction and currency.
    pub(super) fn blocks(&self, session: &SessionFacts) -> impl Iterator<Item = &OfferBlock> {
        self.in_place(session).flat_map(|shelf| shelf.offers.groups()).flat_map(|group| &group.blocks)
    }

    /// The blocks that may hold a listing for the session, the most promising first, as long as the floor is within their reach.
    /// `look` gets a block and gives the floor from then on.
    pub(super) fn best_first(&self, session: &SessionFacts, seeker: &Seeker, mut look: impl FnMut(&OfferBlock) -> f32) {
        let mut floor = f32::NEG_INFINITY;
        let groups = self.in_place(session).flat_map(|shelf| shelf.offers.groups());
        let mut ahead: BinaryHeap<Ahead<'_>> = groups
            .filter_map(|group| Some(Ahead { most: group.bounds.spare(seeker, 0.0)?, what: What::Group(group) }))
            .collect();
        while let Some(Ahead { what, .. }) = ahead.pop().filter(|next| next.most >= floor) {
            match what {
                What::Group(group) => ahead.extend(group.blocks.iter().filter_map(|block| {
                    let most = block.spare(seeker, 0.0).filter(|most| *most >= floor)?;
                    Some(Ahead { most, what: What::Block(block) })
                })),
                What::Block(block) => floor = look(block),
            }
        }
    }

    /// Every shelf that may hold a listing of the session's place, once.
    fn in_place(&self, session: &SessionFacts) -> impl Iterator<Item = &Shelf> {
        let SessionFacts { transaction, currency, ref place, .. } = *session;
        let only_cities = place.beyond.is_none();
        let named = place
            .cities
            .iter()
            .filter(move |_| only_cities)
            .filter_map(move |market| self.all.find(&ShelfKey { market: market.clone(), transaction, currency }));
        // A few thousand markets at most, told apart in nanoseconds each: no index by country is worth its upkeep.
        let all = self.all.iter().filter(move |_| !only_cities);
        named.chain(all.filter_map(move |(_, key, shelf)| {
            let asked = key.transaction == transaction && key.currency == currency;
            (asked && shelf.may_hold(&key.market, place)).then_some(shelf)
        }))
    }
}

/// What is still to be looked at, and the most that a listing in it can have.
struct Ahead<'a> {
    most: f32,
    what: What<'a>,
}

enum What<'a> {
    Group(&'a Group<OfferBlock>),
    Block(&'a OfferBlock),
}

impl Ord for Ahead<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.most.total_cmp(&other.most)
    }
}

impl PartialOrd for Ahead<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Eq for Ahead<'_> {}

impl PartialEq for Ahead<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Shelf {
    fn may_hold(&self, market: &Market, place: &PlaceFacts) -> bool {
        let beyond = place.beyond();
        beyond.country == Some(market.country())
            || place.cities.contains(market)
            || beyond.postal_codes.iter().any(|code| self.postal_codes.contains_key(code))
            || beyond.circle.zip(self.corners).is_some_and(|(disc, (low, high))| disc.may_touch(low, high))
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
