//! The listings on offer, a shelf per market, transaction and currency, and which shelves a session has to look at.

use std::collections::BTreeMap;

use schemas::id::{ListingId, Market};
use schemas::money::Currency;
use schemas::units::Position;
use schemas::vocabulary::Transaction;

use super::arena::Arena;
use super::ceiling::{Offer, OfferBlock, Seeker, Shelved};
use super::clusters::{Clusters, LANES, SPAN, Spot};
use super::kernel::Kernel;
use crate::facts::{Asked, ListingFacts, PostalKey};

pub(super) mod saved;

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

    /// Whether a search with this floor would find the listing that stands there.
    pub(super) fn shows(&self, standing: Standing, seeker: &Seeker, floor: f32, kernel: Kernel) -> bool {
        let Some((blocks, best, at)) = self.all.get(standing.shelf).map(|shelf| shelf.offers.span(standing.spot))
        else {
            return false;
        };
        let (block, lane) = (at / LANES, at % LANES);
        kernel.most(best, seeker)[block] >= floor && kernel.offers(&blocks[block], seeker, floor).mask >> lane & 1 == 1
    }

    /// Every block that may hold a listing of the session's place, transaction and currency.
    pub(super) fn blocks<'a>(&'a self, session: &'a Asked<'_>) -> impl Iterator<Item = &'a OfferBlock> {
        self.in_place(session).flat_map(|shelf| shelf.offers.blocks())
    }

    /// The blocks that may hold a listing for the session above the floor: the most promising first, then all others that
    /// are within reach. `look` gets a block and gives the floor from then on.
    pub(super) fn best_first(
        &self,
        session: &Asked<'_>,
        seeker: &Seeker,
        kernel: Kernel,
        mut floor: f32,
        mut look: impl FnMut(&OfferBlock) -> f32,
    ) {
        let mut spans: Vec<(&[OfferBlock], [f32; SPAN])> = Vec::new();
        let mut firsts = Firsts::default();
        for (blocks, best) in self.in_place(session).flat_map(|shelf| shelf.offers.spans()) {
            let most = kernel.most(best, seeker);
            let number = spans.len();
            firsts.offer(&most[..blocks.len()], number);
            spans.push((blocks, most));
        }
        for First { span, block, .. } in firsts.0.iter().filter(|first| first.most >= floor) {
            spans[*span].0[*block].prefetch(seeker);
        }
        for First { most, span, block } in firsts.0 {
            if most >= floor {
                let (blocks, most) = &mut spans[span];
                most[block] = f32::NEG_INFINITY;
                floor = look(&blocks[block]);
            }
        }
        let rest = spans.iter().flat_map(|(blocks, most)| blocks.iter().zip(*most));
        let within: Vec<(&OfferBlock, f32)> = rest.filter(|(_, most)| *most >= floor).collect();
        for (number, (block, most)) in within.iter().enumerate() {
            if let Some((later, _)) = within.get(number + AHEAD) {
                later.prefetch(seeker);
            }
            if *most >= floor {
                floor = look(block);
            }
        }
    }

    /// Every shelf that may hold a listing of the session's place, once.
    fn in_place<'a>(&'a self, session: &'a Asked<'_>) -> impl Iterator<Item = &'a Shelf> {
        let Asked { transaction, currency, beyond, .. } = *session;
        let only_cities = beyond.is_none();
        let named = session
            .cities
            .iter()
            .filter(move |_| only_cities)
            .filter_map(move |market| self.all.find(&ShelfKey { market: market.clone(), transaction, currency }));
        // A few thousand markets at most, told apart in nanoseconds each: no index by country is worth its upkeep.
        let all = self.all.iter().filter(move |_| !only_cities);
        named.chain(all.filter_map(move |(_, key, shelf)| {
            let asked = key.transaction == transaction && key.currency == currency;
            (asked && shelf.may_hold(&key.market, session)).then_some(shelf)
        }))
    }
}

/// Blocks that are on their way while one is looked at.
const AHEAD: usize = 6;
/// Blocks that are looked at first, so that most others are out of reach.
const FIRSTS: usize = 6;

/// The most promising blocks, the best first.
struct Firsts([First; FIRSTS]);

#[derive(Clone, Copy)]
struct First {
    most: f32,
    span: usize,
    block: usize,
}

impl Default for Firsts {
    fn default() -> Self {
        Self([First { most: f32::NEG_INFINITY, span: 0, block: 0 }; FIRSTS])
    }
}

impl Firsts {
    fn offer(&mut self, most: &[f32], span: usize) {
        let best = most.iter().fold(f32::NEG_INFINITY, |best, most| best.max(*most));
        if best <= self.0[FIRSTS - 1].most {
            return;
        }
        for (block, &most) in most.iter().enumerate() {
            let at = self.0.iter().take_while(|first| first.most >= most).count();
            if at < FIRSTS {
                self.0[at..].rotate_right(1);
                self.0[at] = First { most, span, block };
            }
        }
    }
}

impl Shelf {
    fn may_hold(&self, market: &Market, session: &Asked<'_>) -> bool {
        let beyond = session.beyond();
        beyond.country == Some(market.country())
            || session.cities.contains(market)
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
