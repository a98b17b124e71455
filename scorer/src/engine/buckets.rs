//! Which sessions a listing may concern: a bucket of sessions per area, transaction and currency.
//!
//! A session that names cities stands in their buckets; one that names postal codes or a country stands in the bucket of
//! each such country; one with a circle stands in the bucket of the whole world, for a circle knows no borders (its
//! currency keeps most of the world out). So each listing looks into three buckets, and finds a session in one of them at
//! most.

use schemas::id::{Country, Market};
use schemas::money::Currency;
use schemas::preferences::Profile;
use schemas::vocabulary::Transaction;

use super::arena::Arena;
use super::ceiling::{Offer, Scale, Seeker, SeekerBlock, floor};
use super::rows::{Rows, lanes};
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

/// In the order of their rows in a bucket.
const PROFILES: [Profile; 4] = [Profile::Balanced, Profile::Value, Profile::Family, Profile::Commuter];

/// The sessions of one bucket, by profile: within one the weights are the same.
#[derive(Debug, Default)]
struct Bucket([Rows<SeekerBlock>; PROFILES.len()]);

/// The rows of one session.
#[derive(Debug)]
pub(super) struct Seats {
    most: f32,
    profile: usize,
    /// Bucket and row.
    rows: Box<[(u32, u32)]>,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Buckets(Arena<BucketKey, Bucket>);

impl Buckets {
    /// Puts a session into its buckets. It takes no notice of listings until it gets its bound.
    pub(super) fn seat(&mut self, session: &SessionFacts, slot: u32) -> Seats {
        let seeker = Seeker::of(session);
        let SessionFacts { transaction, currency, .. } = *session;
        let profile = PROFILES.into_iter().position(|profile| profile == session.profile).unwrap_or_default();
        let keys = areas(&session.place).into_iter().map(|area| BucketKey { area, transaction, currency });
        let rows = keys.map(|key| {
            let (number, bucket) = self.0.get_or_insert_with(&key, Bucket::default);
            (number, bucket.0[profile].insert(&seeker, slot))
        });
        Seats { most: seeker.most(), profile, rows: rows.collect() }
    }

    /// Takes a session out of the buckets it was put into.
    pub(super) fn unseat(&mut self, seats: &Seats) {
        for &(number, row) in &seats.rows {
            let Some(bucket) = self.0.get_mut(number) else { continue };
            bucket.0[seats.profile].remove(row);
            if bucket.0.iter().all(Rows::is_empty) {
                self.0.set(number, None);
            }
        }
    }

    /// From now on only listings that may have this score concern the session.
    pub(super) fn set_bound(&mut self, seats: &Seats, score: u32) {
        for &(number, row) in &seats.rows {
            if let Some(bucket) = self.0.get_mut(number) {
                let (block, lane) = bucket.0[seats.profile].block_mut(row);
                block.set_floor(lane, floor(score, seats.most));
            }
        }
    }

    /// Forgets the empty buckets.
    pub(super) fn sweep(&mut self) {
        self.0.sweep();
    }

    /// Adds the slots of every session of the bucket on whose shortlist one of the offers is or may come, and of some others.
    pub(super) fn takers(&self, bucket: &BucketKey, offers: [Option<&Offer>; 2], slots: &mut Vec<u32>) {
        let Some(bucket) = self.0.find(bucket) else { return };
        for (rows, profile) in bucket.0.iter().zip(PROFILES) {
            let scale = Scale::of(profile);
            for block in rows.blocks() {
                let mask = offers.iter().flatten().fold(0, |mask, offer| mask | block.takers(offer, &scale));
                slots.extend(lanes(mask).map(|lane| block.slot(lane)));
            }
        }
    }
}
