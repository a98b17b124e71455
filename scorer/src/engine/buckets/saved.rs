//! Buckets as they are written down: which there are, the middle of each one's ladder, and who sits where.

use rustc_hash::FxHashMap;
use schemas::preferences::Profile;

use super::super::arena::Arena;
use super::super::arena::saved::{sheets, taken};
use super::super::asks::Book;
use super::super::bytes::{Malformed, Sink, Source, valid, word};
use super::super::clusters::{Clusters, Spot};
use super::super::lookup::{Ladder, Rarity};
use super::super::seats::Seated;
use super::super::shelves::saved::TRANSACTIONS;
use super::{Area, Bucket, BucketKey, Buckets, Ladders, MANY, PROFILES, Standing, areas};
use crate::facts::{Asked, PostalKey};
use crate::geo::Tile;

const CITY: u8 = 0;
const COUNTRY: u8 = 1;
const WORLD: u8 = 2;
const POSTAL: u8 = 3;
const TILE: u8 = 4;
const AREAS: [u8; 5] = [CITY, COUNTRY, WORLD, POSTAL, TILE];

/// A seat whose session is to be told where it sits.
pub(in super::super) struct Seat<'a> {
    pub(in super::super) slot: u32,
    pub(in super::super) bucket: u32,
    pub(in super::super) spot: Spot,
    pub(in super::super) profile: Profile,
    pub(in super::super) ladder: &'a Ladder,
    pub(in super::super) rarity: &'a Rarity,
}

/// The seats of the sessions that have had more than one so far.
#[derive(Default)]
pub(in super::super) struct Many(FxHashMap<u32, Vec<(u32, Spot)>>);

impl Many {
    /// One more seat of a session, which stands nowhere before its first.
    pub(in super::super) fn add(&mut self, seat: &Seat<'_>, standing: &mut Standing) {
        let Standing { bucket, spot } = *standing;
        if bucket != MANY {
            self.0.insert(seat.slot, vec![(bucket, spot), (seat.bucket, seat.spot)]);
            *standing = Standing::NOWHERE;
        } else if let Some(seats) = self.0.get_mut(&seat.slot) {
            seats.push((seat.bucket, seat.spot));
        } else {
            *standing = Standing { bucket: seat.bucket, spot: seat.spot };
        }
    }
}

impl Buckets {
    /// Who sits where.
    pub(in super::super) fn save(&self, sink: &mut Sink) {
        sink.column(self.rarity.counts().iter().map(|count| count.to_le_bytes()));
        sink.u32(self.all.slots_end());
        for sheet in self.all.sheets() {
            sink.u64(sheet.taken);
            sheet.keys.iter().for_each(|key| key.save(sink));
        }
        for (_, _, Bucket { ladder, seats, came, beyond }) in self.all.iter() {
            // A budget is never below 0.
            sink.u64(ladder.middle() as u64);
            sink.count(*came);
            sink.count(*beyond);
            seats.iter().for_each(|seats| seats.save(sink));
        }
    }

    /// The same; `row` seats a session and tells what is to be looked up of it. [`Buckets::settle`] must follow.
    pub(in super::super) fn load(
        source: &mut Source<'_>,
        book: &mut Book,
        mut row: impl FnMut(&Book, &Seat<'_>) -> Result<Seated, Malformed>,
    ) -> Result<Self, Malformed> {
        let mut counts = [0; 64];
        for (count, read) in counts.iter_mut().zip(source.column::<4>(64)?) {
            *count = u32::from_le_bytes(*read);
        }
        let rarity = Rarity::of_counts(counts);
        let mut shared = Ladders::default();
        let mut all = Arena::<BucketKey, Bucket>::default();
        for slots in sheets(source.u32()?) {
            let taken = taken(source, slots)?;
            for lane in 0..slots {
                let key = BucketKey::load(source, book)?;
                all.push(key, (taken >> lane & 1 == 1).then(|| Bucket::with(shared.around(1))))?;
            }
        }
        for number in 0..all.slots_end() {
            let Some(bucket) = all.get_mut(number) else { continue };
            let middle = valid(i64::try_from(source.u64()?).ok().filter(|cents| *cents > 0))?;
            *bucket = Bucket::with(shared.around(middle));
            (bucket.came, bucket.beyond) = (source.u32()? as usize, source.u32()? as usize);
            let Bucket { ladder, seats, .. } = bucket;
            for (profile, seats) in PROFILES.into_iter().zip(seats) {
                *seats = Clusters::load(source, |slot, spot| {
                    row(book, &Seat { slot, bucket: number, spot, profile, ladder, rarity: &rarity })
                })?;
            }
        }
        Ok(Self { all, rarity, shared, ..Self::default() })
    }

    /// Who has more than one seat.
    pub(in super::super) fn settle(&mut self, many: Many) {
        self.many = many.0.into_iter().map(|(slot, seats)| (slot, seats.into())).collect();
    }

    /// Whether a session sits just where it should; one that should sit nowhere is taken note of.
    pub(in super::super) fn sits_right(&mut self, slot: u32, standing: &Standing, session: &Asked<'_>) -> bool {
        let Asked { transaction, currency, .. } = *session;
        let mut own = [(standing.bucket, standing.spot)];
        let seats = match self.many.get_mut(&slot) {
            Some(seats) => &mut seats[..],
            None if standing.bucket == MANY => &mut [],
            None => &mut own,
        };
        let areas = areas(session);
        let all = &self.all;
        let has_seat = |area| {
            let bucket = all.slot(&BucketKey { area, transaction, currency });
            seats.iter().any(|(number, _)| Some(*number) == bucket)
        };
        let is_right = areas.len() == seats.len() && areas.into_iter().all(has_seat);
        if seats.is_empty() {
            self.many.insert(slot, Box::default());
        }
        is_right
    }
}

impl BucketKey {
    fn save(&self, sink: &mut Sink) {
        let Self { area, transaction, currency } = self;
        match area {
            Area::City(market) => {
                sink.u8(CITY);
                sink.text(market.as_str());
            }
            Area::Country(country) => {
                sink.u8(COUNTRY);
                sink.text(country.as_str());
            }
            Area::World => sink.u8(WORLD),
            Area::Postal(code) => {
                sink.u8(POSTAL);
                sink.u64(code.bits());
            }
            Area::Tile(tile) => {
                sink.u8(TILE);
                sink.column(tile.degrees().map(i16::to_le_bytes).into_iter());
            }
        }
        sink.u8(*transaction as u8);
        sink.text(currency.as_str());
    }

    fn load(source: &mut Source<'_>, book: &mut Book) -> Result<Self, Malformed> {
        let area = match word(&AREAS, source.u8()?)? {
            CITY => Area::City(book.shared(&source.text()?)),
            COUNTRY => Area::Country(source.text()?),
            POSTAL => Area::Postal(valid(PostalKey::from_bits(source.u64()?))?),
            TILE => {
                let degrees = source.column(2)?.iter().copied().map(i16::from_le_bytes);
                let &[latitude, longitude] = degrees.collect::<Vec<_>>().as_slice() else {
                    return Err(Malformed("a tile has two numbers"));
                };
                Area::Tile(Tile::from_degrees([latitude, longitude]))
            }
            _ => Area::World,
        };
        Ok(Self { area, transaction: word(&TRANSACTIONS, source.u8()?)?, currency: source.text()? })
    }
}
