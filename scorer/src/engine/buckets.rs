//! Which sessions a listing may concern: a bucket of sessions per area, transaction and currency.
//!
//! A session that names cities stands in their buckets; one that names postal codes or a country stands in the bucket of
//! each such country; one with a circle stands in the bucket of the whole world, for a circle knows no borders (its
//! currency keeps most of the world out). So each listing looks into three buckets, and finds a session in one of them at
//! most.

use schemas::id::{Country, Market};
use schemas::money::Currency;
use schemas::vocabulary::Transaction;

use super::arena::Arena;
use super::rows::{Codes, Rows};
use crate::facts::{ListingFacts, PlaceFacts, SessionFacts};

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Area {
    City(Market),
    Country(Country),
    World,
}

/// Names a bucket.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct BucketKey {
    area: Area,
    transaction: Transaction,
    currency: Currency,
}

/// The buckets that a listing looks into.
pub(super) fn of_listing(listing: &ListingFacts) -> [BucketKey; 3] {
    let ListingFacts { transaction, currency, .. } = *listing;
    [Area::City(listing.market.clone()), Area::Country(listing.country), Area::World].map(|area| BucketKey {
        area,
        transaction,
        currency,
    })
}

/// The areas that a session stands in: none within another.
fn areas(place: &PlaceFacts) -> Vec<Area> {
    if place.circle.is_some() {
        return vec![Area::World];
    }
    let mut countries: Vec<Country> = place.postal_countries.iter().copied().chain(place.country).collect();
    countries.sort_unstable();
    countries.dedup();
    let cities = place.cities.iter().filter(|market| !countries.contains(&market.country()));
    let cities: Vec<Area> = cities.cloned().map(Area::City).collect();
    countries.into_iter().map(Area::Country).chain(cities).collect()
}

/// A session's row in one bucket.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seat {
    bucket: u32,
    row: u32,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Buckets(Arena<BucketKey, Rows>);

impl Buckets {
    /// Puts a session into its buckets.
    pub(super) fn seat(&mut self, session: &SessionFacts, slot: u32) -> Box<[Seat]> {
        let codes = Codes::of_session(session);
        let SessionFacts { transaction, currency, .. } = *session;
        let keys = areas(&session.place).into_iter().map(|area| BucketKey { area, transaction, currency });
        keys.map(|key| {
            let (bucket, rows) = self.0.get_or_insert_with(&key, Rows::default);
            Seat { bucket, row: rows.insert(codes, slot) }
        })
        .collect()
    }

    /// Takes a session out of the buckets it was put into.
    pub(super) fn unseat(&mut self, seats: &[Seat]) {
        for seat in seats {
            let Some(rows) = self.0.get_mut(seat.bucket) else { continue };
            rows.remove(seat.row);
            if rows.is_empty() {
                self.0.set(seat.bucket, None);
            }
        }
    }

    /// Forgets the empty buckets.
    pub(super) fn sweep(&mut self) {
        self.0.sweep();
    }

    /// The slots of every session of the bucket that may be shown one of the listings, and of some others.
    pub(super) fn takers(&self, bucket: &BucketKey, listings: [Option<&ListingFacts>; 2]) -> impl Iterator<Item = u32> {
        let codes = listings.map(|listing| listing.map(Codes::of_listing));
        self.0.find(bucket).into_iter().flat_map(move |rows| rows.takers(codes))
    }
}
