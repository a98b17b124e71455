//! Which sessions a listing may concern: a bucket of sessions per area, transaction and currency.
//!
//! A session that names nothing but cities, or postal codes, stands in their buckets; one with nothing but a circle in those
//! of the square degrees that it touches. One that mixes these stands in the bucket of each country that it names, and
//! one that mixes a circle with anything, or whose circle is wide, in the bucket of the whole world, for a circle knows
//! no borders (its currency keeps most of the world out). So a listing finds a session in one of its buckets at most.

use std::sync::Arc;

use rustc_hash::FxHashMap;
use schemas::id::{Country, Market};
use schemas::money::Currency;
use schemas::preferences::Profile;
use schemas::vocabulary::Transaction;
use smallvec::{SmallVec, smallvec};

use super::arena::Arena;
use super::clusters::Spot;
use super::indexed::Tuning;
use super::kernel::Kernel;
use super::lookup::{Codes, Ladder, Lookup, Rarity, floor, most_amenities};
use super::seats::{Hit, Reach, Seated, Seats};
use super::{PROFILES, place_of};
use crate::facts::{Asked, Beyond, ListingFacts, PostalKey};
use crate::geo::Tile;

pub(super) mod saved;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Area {
    City(Market),
    Postal(PostalKey),
    Tile(Tile),
    Country(Country),
    World,
}

/// Names a bucket.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct BucketKey {
    area: Area,
    transaction: Transaction,
    currency: Currency,
}

/// Areas of one listing.
const AREAS: usize = 5;
/// Square degrees that one circle stands in at most: a radius of some 100 km in most latitudes.
const TILES: usize = 16;

/// The buckets that a listing looks into.
fn of_listing(listing: &ListingFacts) -> [Option<BucketKey>; AREAS] {
    let ListingFacts { transaction, currency, .. } = *listing;
    let areas = [
        Some(Area::City(listing.market.clone())),
        listing.postal_code.map(Area::Postal),
        listing.position.map(|at| Area::Tile(Tile::of(at))),
        Some(Area::Country(listing.country)),
        Some(Area::World),
    ];
    areas.map(|area| Some(BucketKey { area: area?, transaction, currency }))
}

/// The areas that a session stands in: none that a listing lies in beside another.
fn areas(session: &Asked<'_>) -> SmallVec<[Area; 1]> {
    let Beyond { postal_codes, postal_countries, circle, country } = session.beyond();
    if let Some(circle) = circle {
        let is_alone = session.cities.is_empty() && postal_codes.is_empty() && country.is_none();
        let tiles = if is_alone { circle.tiles(TILES) } else { None };
        return tiles.map_or(smallvec![Area::World], |tiles| tiles.into_iter().map(Area::Tile).collect());
    }
    if session.cities.is_empty() && country.is_none() {
        return postal_codes.iter().copied().map(Area::Postal).collect();
    }
    let mut countries: Vec<Country> = postal_countries.iter().copied().chain(*country).collect();
    countries.sort_unstable();
    countries.dedup();
    let cities: SmallVec<[&Market; 1]> =
        session.cities.iter().filter(|market| !countries.contains(&market.country())).collect();
    let cities = cities.into_iter().cloned().map(Area::City);
    countries.into_iter().map(Area::Country).chain(cities).collect()
}

/// Sessions after which it is looked at whether the ladder suits them; of a larger bucket half as many as it has, so that
/// budgets that suit no ladder cost a constant number of seats for each session.
const ENOUGH: usize = 64;
/// Listings whose tables fit the first-level cache together, with the block that is looked at.
pub(super) const AT_ONCE: usize = 24;

/// The sessions of one bucket, by profile: within one the weights are the same.
#[derive(Debug)]
struct Bucket {
    /// Shared with other buckets.
    ladder: Arc<Ladder>,
    seats: [Seats; PROFILES.len()],
    /// Sessions that came since the ladder was made, and those of them whose budgets are beyond it.
    came: usize,
    beyond: usize,
}

impl Bucket {
    fn with(ladder: Arc<Ladder>) -> Self {
        Self { ladder, seats: Default::default(), came: 0, beyond: 0 }
    }
}

/// A ladder for each octave of budgets that was asked for, at most 63 of 4 kB: buckets are many.
#[derive(Debug, Default)]
struct Ladders(FxHashMap<u32, Arc<Ladder>>);

impl Ladders {
    /// With this budget near its middle.
    fn around(&mut self, cents: i64) -> Arc<Ladder> {
        let octave = cents.max(1).ilog2();
        Arc::clone(
            self.0
                .entry(octave)
                .or_insert_with(|| Arc::new(Ladder::around((1_i64 << octave).saturating_add((1 << octave) >> 1)))),
        )
    }
}

/// Where one session sits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Standing {
    /// The only one, or [`MANY`].
    bucket: u32,
    spot: Spot,
}

/// The session sits in none or more than one: where is kept apart.
const MANY: u32 = u32::MAX;

impl Standing {
    /// Equal for sessions that sit in one bucket alone and in the same.
    pub(super) const fn bucket(&self) -> u32 {
        self.bucket
    }

    /// Before it is seated.
    pub(super) const NOWHERE: Self = Self { bucket: MANY, spot: Spot::FIRST };
}

/// A session that got another spot.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moved {
    pub(super) session: u32,
    pub(super) bucket: u32,
    pub(super) spot: Spot,
}

/// What a listing was and is, as far as one bucket sees it.
#[derive(Clone, Copy)]
pub(super) struct Seen<'a> {
    /// Which of the batch.
    pub(super) step: u32,
    pub(super) old: Option<&'a ListingFacts>,
    pub(super) new: Option<&'a ListingFacts>,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Buckets {
    all: Arena<BucketKey, Bucket>,
    /// The bucket that is tidied next.
    next: u32,
    /// A bucket whose ladder does not suit its sessions.
    off_ladder: Option<u32>,
    /// Bucket and spot of the sessions, by slot, that do not sit in just one.
    many: FxHashMap<u32, Box<[(u32, Spot)]>>,
    rarity: Rarity,
    shared: Ladders,
    /// Ladders that were made anew.
    ladders: u64,
}

impl Buckets {
    /// Seats a session. It takes no notice of listings until it gets its bound.
    pub(super) fn seat(&mut self, session: &Asked<'_>, slot: u32, moved: &mut Vec<Moved>) -> Standing {
        let Self { rarity, shared, all, off_ladder, .. } = self;
        let Asked { transaction, currency, profile, .. } = *session;
        let profile = place_of(profile);
        let keys = areas(session).into_iter().map(|area| BucketKey { area, transaction, currency });
        let spots = keys.map(|key| {
            let make = || Bucket::with(shared.around(session.budget.cents()));
            let (bucket, of_key) = all.get_or_insert_with(&key, make);
            let mut others = Vec::new();
            let codes = Codes::of(session, &of_key.ladder, rarity);
            of_key.came += 1;
            of_key.beyond += usize::from(codes.is_beyond());
            let spot = of_key.seats[profile].insert(&Seated::shut(codes, slot), &mut others);
            let enough = ENOUGH.max(of_key.seats.iter().map(Seats::len).sum::<usize>() / 2);
            if of_key.beyond * 4 > of_key.came && of_key.came >= enough {
                *off_ladder = Some(bucket);
            }
            moved.extend(others.into_iter().map(|(session, spot)| Moved { session, bucket, spot }));
            (bucket, spot)
        });
        let spots: SmallVec<[(u32, Spot); 1]> = spots.collect();
        if let &[(bucket, spot)] = spots.as_slice() {
            return Standing { bucket, spot };
        }
        self.many.insert(slot, spots.into_vec().into());
        Standing::NOWHERE
    }

    /// Takes away the seats of a session.
    pub(super) fn unseat(&mut self, slot: u32, standing: &Standing, profile: Profile) {
        let many = self.many.remove(&slot);
        for &(bucket, spot) in many.as_deref().unwrap_or(&[(standing.bucket, standing.spot)]) {
            let Some(of_key) = self.all.get_mut(bucket) else { continue };
            of_key.seats[place_of(profile)].remove(spot);
            if of_key.seats.iter().all(|seats| seats.len() == 0) {
                self.all.set(bucket, None);
            }
        }
    }

    /// A session got another spot in a bucket.
    pub(super) fn moved(&mut self, session: u32, standing: &mut Standing, bucket: u32, spot: Spot) {
        if standing.bucket == bucket {
            standing.spot = spot;
        } else if let Some(own) = self.many.get_mut(&session).and_then(|many| many.iter_mut().find(|it| it.0 == bucket))
        {
            own.1 = spot;
        }
    }

    /// From now on the session takes notice of listings that may reach its bound; with `None` of none.
    pub(super) fn set_bound(&mut self, slot: u32, standing: &Standing, session: &Asked<'_>, bound: Option<u32>) {
        let floor = bound.map(|bound| floor(bound, most_amenities(session)));
        let Self { all, many, .. } = self;
        let own = [(standing.bucket, standing.spot)];
        let spots = if standing.bucket == MANY { many.get(&slot).map_or(&[][..], |many| many) } else { &own };
        for &(bucket, spot) in spots {
            if let Some(of_key) = all.get_mut(bucket) {
                of_key.seats[place_of(session.profile)].set_floor(spot, floor);
            }
        }
    }

    /// The buckets that a listing's step from old to new concerns: those that see it leave or change, and those that only
    /// see it enter.
    pub(super) fn of<'a>(
        &mut self,
        step: Seen<'a>,
        changes: &mut Vec<(u32, Seen<'a>)>,
        enters: &mut Vec<(u32, Seen<'a>)>,
    ) {
        if let (None, Some(ListingFacts { amenities: Some(amenities), .. })) = (step.old, step.new) {
            self.rarity.count(amenities.bits());
        }
        let numbers = |facts: Option<&ListingFacts>| {
            facts.map_or([None; AREAS], |facts| of_listing(facts).map(|key| self.all.slot(&key?)))
        };
        let stays = match (step.old, step.new) {
            (Some(old), Some(new)) => {
                let place = |it: &ListingFacts| (it.postal_code, it.position, it.transaction, it.currency);
                old.market == new.market && place(old) == place(new)
            }
            _ => false,
        };
        let before = numbers(step.old);
        let after = if stays { before } else { numbers(step.new) };
        for bucket in before.into_iter().flatten() {
            let new = step.new.filter(|_| after.contains(&Some(bucket)));
            changes.push((bucket, Seen { new, ..step }));
        }
        for bucket in after.into_iter().filter(|bucket| !before.contains(bucket)).flatten() {
            enters.push((bucket, Seen { old: None, ..step }));
        }
    }

    /// The sessions of a bucket that these listings, [`AT_ONCE`] at most, may concern; of one session the listings in order. In
    /// each hit the number of the listing is its place in `seen`. Returns how many blocks were looked at.
    pub(super) fn concerned(&self, bucket: u32, seen: &[(u32, Seen<'_>)], tuning: Tuning, hits: &mut Vec<Hit>) -> u64 {
        let Some(Bucket { ladder, seats, .. }) = self.all.get(bucket) else { return 0 };
        let mut looks = 0;
        for (seats, profile) in seats.iter().zip(PROFILES).filter(|(seats, _)| seats.len() > 0) {
            if seats.len() <= tuning.few {
                for listing in 0..seen.len() as u32 {
                    hits.extend(seats.open().map(|slot| Hit { slot, listing }));
                }
                continue;
            }
            let reaches: Vec<Reach> =
                seen.iter().map(|(_, seen)| reach(seen, profile, ladder, tuning.kernel)).collect();
            looks += seats.concerned(&reaches, tuning.kernel, hits);
        }
        looks
    }

    /// Whether a change of the listing would find the session, where it sits among more than few.
    pub(super) fn finds(
        &self,
        slot: u32,
        standing: &Standing,
        profile: Profile,
        listing: &ListingFacts,
        tuning: Tuning,
    ) -> bool {
        let looked_into = of_listing(listing).map(|key| self.all.slot(&key?));
        let own = [(standing.bucket, standing.spot)];
        let spots = self.many.get(&slot).map_or(&own[..], |many| many);
        let mut here = spots.iter().filter(|(bucket, _)| looked_into.contains(&Some(*bucket)));
        here.any(|(bucket, spot)| {
            let Some(Bucket { ladder, seats, .. }) = self.all.get(*bucket) else { return false };
            let seats = &seats[place_of(profile)];
            let seen = Seen { step: 0, old: None, new: Some(listing) };
            let reach = reach(&seen, profile, ladder, tuning.kernel);
            seats.len() <= tuning.few || seats.finds(*spot, slot, &reach, tuning.kernel)
        })
    }

    /// Makes a ladder anew where too many budgets are beyond it, and seats everybody of that bucket by it. Rare: a bucket begins
    /// with the ladder of its first session.
    pub(super) fn ladder_anew<'a>(&mut self, asked: impl Fn(u32) -> Option<Asked<'a>>, moved: &mut Vec<Moved>) {
        let Some(number) = self.off_ladder.take() else { return };
        let Some(bucket) = self.all.get_mut(number) else { return };
        let mut rows: [Vec<Seated>; PROFILES.len()] = Default::default();
        rows.iter_mut().zip(&bucket.seats).for_each(|(rows, seats)| rows.extend(seats.rows()));
        let mut budgets: Vec<i64> =
            rows.iter().flatten().filter_map(|row| Some(asked(row.slot)?.budget.cents())).collect();
        let middle = budgets.len() / 2;
        if budgets.is_empty() {
            return;
        }
        let (_, median, _) = budgets.select_nth_unstable(middle);
        let mut made = Bucket::with(self.shared.around(*median));
        for (rows, seats) in rows.iter_mut().zip(&mut made.seats) {
            let mut spots = Vec::new();
            for row in rows.iter_mut() {
                if let Some(asked) = asked(row.slot) {
                    row.codes = Codes::of(&asked, &made.ladder, &self.rarity);
                }
                let spot = seats.insert(row, &mut spots);
                spots.push((row.slot, spot));
            }
            moved.extend(spots.into_iter().map(|(session, spot)| Moved { session, bucket: number, spot }));
        }
        *bucket = made;
        self.ladders += 1;
    }

    /// Ladders that were made anew, and sessions that sit in none or several buckets.
    pub(super) fn slow(&self) -> (u64, usize) {
        (self.ladders, self.many.len())
    }

    /// Forgets the empty buckets, and tidies one that is not.
    pub(super) fn sweep(&mut self, moved: &mut Vec<Moved>) {
        self.all.sweep();
        self.next = if self.next + 1 < self.all.slots_end() { self.next + 1 } else { 0 };
        let bucket = self.next;
        let Some(Bucket { seats, .. }) = self.all.get_mut(bucket) else { return };
        let mut others = Vec::new();
        seats.iter_mut().for_each(|seats| seats.tidy(&mut others));
        moved.extend(others.into_iter().map(|(session, spot)| Moved { session, bucket, spot }));
    }
}

fn reach(seen: &Seen<'_>, profile: Profile, ladder: &Ladder, kernel: Kernel) -> Reach {
    let mut lookup = Lookup::NONE;
    kernel.offer(&mut lookup, [seen.old, seen.new], profile, ladder);
    Reach::of(lookup)
}
