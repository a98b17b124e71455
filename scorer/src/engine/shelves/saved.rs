//! Listings and shelves as they are written down: facts in columns, 64 listings to a sheet; a listing's market, transaction
//! and currency are those of its shelf.
//!
//! Of what is shown of a listing nothing is written: see [`UNSEEN`].

use schemas::amenities::AmenitySet;
use schemas::id::{Country, ListingId};
use schemas::money::Money;
use schemas::priced::PriceTrend;
use schemas::units::{Bathrooms, Latitude, Longitude, Position, SchoolRating};
use schemas::vocabulary::{PropertySubType, StandardStatus, Transaction};
use smallvec::SmallVec;

use super::super::UNSEEN;
use super::super::arena::Arena;
use super::super::arena::saved::{sheets, taken};
use super::super::asks::Book;
use super::super::bytes::{Malformed, Sink, Source, valid, word};
use super::super::ceiling::{Offer, Shelved};
use super::super::clusters::{Clusters, LANES, Spot};
use super::{Listings, Offered, Shelf, ShelfKey, Shelves, Standing, higher, lower};
use crate::facts::{ListingFacts, PostalKey};

const TRENDS: [PriceTrend; 3] = [PriceTrend::Falling, PriceTrend::Stable, PriceTrend::Rising];
pub(in super::super) const TRANSACTIONS: [Transaction; 2] = [Transaction::Sale, Transaction::Lease];

/// Bytes of a listing at least: an id of three, its length, and the columns of [`Row`].
const LISTING_BYTES: usize = 60;

/// Which of the optional facts are there.
mod has {
    pub(super) const POSTAL_CODE: u16 = 1;
    pub(super) const POSITION: u16 = 2;
    pub(super) const BEDROOMS: u16 = 4;
    pub(super) const BATHROOMS: u16 = 8;
    pub(super) const AREA: u16 = 16;
    pub(super) const SUB_TYPE: u16 = 32;
    pub(super) const COMMUTE: u16 = 64;
    pub(super) const SCHOOL: u16 = 128;
    pub(super) const AMENITIES: u16 = 256;
    pub(super) const DEAL: u16 = 512;
    pub(super) const DAY: u16 = 1_024;
}

/// A listing's facts as numbers: one column each.
#[derive(Clone, Copy, Default)]
struct Row {
    shelf: u32,
    has: u16,
    status: u8,
    trend: u8,
    price: i64,
    postal_code: u64,
    latitude: i32,
    longitude: i32,
    bedrooms: u16,
    bathrooms: u16,
    area: u32,
    sub_type: u8,
    commute: u16,
    school: u8,
    amenities: u64,
    deal: u8,
    day: i32,
}

impl Row {
    fn of(offered: &Offered) -> Self {
        // Every field by its name: one that is added has to be written.
        let ListingFacts {
            status,
            // Only what may be shown and has a price is kept.
            display_allowed: _,
            transaction: _,
            currency: _,
            price,
            market: _,
            country: _,
            postal_code,
            position,
            bedrooms,
            bathrooms,
            area_sqft,
            sub_type,
            commute_minutes,
            school_rating,
            amenities,
            deal,
            price_trend,
            on_market_day,
        } = &offered.facts;
        let bit = |is: bool, bit: u16| if is { bit } else { 0 };
        Self {
            shelf: offered.standing.shelf,
            has: bit(postal_code.is_some(), has::POSTAL_CODE)
                | bit(position.is_some(), has::POSITION)
                | bit(bedrooms.is_some(), has::BEDROOMS)
                | bit(bathrooms.is_some(), has::BATHROOMS)
                | bit(area_sqft.is_some(), has::AREA)
                | bit(sub_type.is_some(), has::SUB_TYPE)
                | bit(commute_minutes.is_some(), has::COMMUTE)
                | bit(school_rating.is_some(), has::SCHOOL)
                | bit(amenities.is_some(), has::AMENITIES)
                | bit(deal.is_some(), has::DEAL)
                | bit(on_market_day.is_some(), has::DAY),
            status: *status as u8,
            trend: TRENDS.iter().position(|trend| trend == price_trend).unwrap_or_default() as u8,
            price: price.map_or(0, Money::cents),
            postal_code: postal_code.map_or(0, PostalKey::bits),
            latitude: position.map_or(0, |at| at.latitude.steps()),
            longitude: position.map_or(0, |at| at.longitude.steps()),
            bedrooms: bedrooms.unwrap_or_default(),
            bathrooms: bathrooms.map_or(0, Bathrooms::steps),
            area: area_sqft.unwrap_or_default(),
            sub_type: sub_type.map_or(0, |kind| kind as u8),
            commute: commute_minutes.unwrap_or_default(),
            school: school_rating.map_or(0, SchoolRating::steps),
            amenities: amenities.map_or(0, AmenitySet::bits),
            deal: deal.unwrap_or_default(),
            day: on_market_day.unwrap_or_default(),
        }
    }

    /// On its shelf, but nowhere in particular yet.
    fn offered(&self, keys: &[Option<(ShelfKey, Country)>]) -> Result<Offered, Malformed> {
        let key = keys.get(self.shelf as usize).and_then(Option::as_ref);
        let (key, country) = key.ok_or(Malformed("a listing is on a shelf that is not there"))?;
        let facts = self.facts(key, *country)?;
        if !facts.is_offered() {
            return Err(Malformed("a listing is not on offer"));
        }
        Ok(Offered { facts, content: UNSEEN, standing: Standing { shelf: self.shelf, spot: Spot::FIRST } })
    }

    fn facts(&self, shelf: &ShelfKey, country: Country) -> Result<ListingFacts, Malformed> {
        let has = |bit: u16| self.has & bit != 0;
        let if_has = |bit: u16, number: u16| has(bit).then_some(number);
        Ok(ListingFacts {
            status: word(StandardStatus::ALL, self.status)?,
            display_allowed: true,
            transaction: shelf.transaction,
            currency: shelf.currency,
            price: Some(valid(Money::from_cents(self.price))?),
            market: shelf.market.clone(),
            country,
            postal_code: optional(has(has::POSTAL_CODE), || PostalKey::from_bits(self.postal_code))?,
            position: optional(has(has::POSITION), || {
                Some(Position {
                    latitude: Latitude::from_steps(self.latitude)?,
                    longitude: Longitude::from_steps(self.longitude)?,
                })
            })?,
            bedrooms: if_has(has::BEDROOMS, self.bedrooms),
            bathrooms: optional(has(has::BATHROOMS), || Bathrooms::from_steps(self.bathrooms))?,
            area_sqft: has(has::AREA).then_some(self.area),
            sub_type: optional(has(has::SUB_TYPE), || word(PropertySubType::ALL, self.sub_type).ok())?,
            commute_minutes: if_has(has::COMMUTE, self.commute),
            school_rating: optional(has(has::SCHOOL), || SchoolRating::from_steps(self.school))?,
            amenities: has(has::AMENITIES).then(|| AmenitySet::from_bits(self.amenities)),
            deal: optional(has(has::DEAL), || Some(self.deal).filter(|deal| *deal <= 100))?,
            price_trend: word(&TRENDS, self.trend)?,
            on_market_day: has(has::DAY).then_some(self.day),
        })
    }
}

fn optional<T>(is: bool, value: impl FnOnce() -> Option<T>) -> Result<Option<T>, Malformed> {
    if is { valid(value()).map(Some) } else { Ok(None) }
}

/// One column per field of [`Row`], in this order: writes them, and reads them back.
macro_rules! columns {
    ($($field:ident: $number:ty),+ $(,)?) => {
        fn save_rows(rows: &[Row], sink: &mut Sink) {
            $(sink.column(rows.iter().map(|row| row.$field.to_le_bytes()));)+
        }

        fn load_rows(rows: &mut [Row], source: &mut Source<'_>) -> Result<(), Malformed> {
            $(
                let column = source.column::<{ size_of::<$number>() }>(rows.len())?;
                rows.iter_mut().zip(column).for_each(|(row, number)| row.$field = <$number>::from_le_bytes(*number));
            )+
            Ok(())
        }
    };
}

columns! {
    shelf: u32,
    has: u16,
    status: u8,
    trend: u8,
    price: i64,
    postal_code: u64,
    latitude: i32,
    longitude: i32,
    bedrooms: u16,
    bathrooms: u16,
    area: u32,
    sub_type: u8,
    commute: u16,
    school: u8,
    amenities: u64,
    deal: u8,
    day: i32,
}

/// The listings that were loaded, and those that do not stand on a shelf yet.
struct Unshelved {
    listings: Listings,
    /// Bits, by slot.
    waiting: Vec<u64>,
}

impl Unshelved {
    fn load(source: &mut Source<'_>, keys: &[Option<(ShelfKey, Country)>]) -> Result<Self, Malformed> {
        let slots = source.u32()?;
        let mut listings = Listings::with_room((slots as usize).min(source.left() / LISTING_BYTES));
        let mut waiting = Vec::new();
        for slots in sheets(slots) {
            let taken = taken(source, slots)?;
            waiting.push(taken);
            let lengths = source.column::<2>(slots)?;
            let mut ids = SmallVec::<[ListingId; LANES]>::new();
            for length in lengths {
                ids.push(source.heap(u16::from_le_bytes(*length))?);
            }
            let mut rows = [Row::default(); LANES];
            load_rows(&mut rows[..taken.count_ones() as usize], source)?;
            let mut rows = rows.iter();
            for (lane, id) in ids.into_iter().enumerate() {
                let row = if taken >> lane & 1 == 1 { rows.next() } else { None };
                listings.push(id, row.map(|row| row.offered(keys)).transpose()?)?;
            }
        }
        Ok(Self { listings, waiting })
    }

    fn shelve(&mut self, slot: u32, shelf: u32, spot: Spot) -> Result<&ListingFacts, Malformed> {
        let waits = self.waiting.get_mut(slot as usize / LANES).ok_or(Malformed("a shelf holds what is not there"))?;
        let bit = 1 << (slot as usize % LANES);
        let stands_here = |offered: &&mut Offered| offered.standing.shelf == shelf && *waits & bit != 0;
        let offered = self.listings.get_mut(slot).filter(stands_here);
        let offered = offered.ok_or(Malformed("a shelf holds what stands elsewhere"))?;
        *waits &= !bit;
        offered.standing.spot = spot;
        Ok(&offered.facts)
    }
}

impl Shelves {
    /// The listings, and where they stand.
    pub(in super::super) fn save(&self, listings: &Listings, sink: &mut Sink) {
        sink.u32(self.all.slots_end());
        for sheet in self.all.sheets() {
            sink.u64(sheet.taken);
            sheet.keys.iter().for_each(|key| key.save(sink));
        }
        sink.u32(listings.slots_end());
        let mut rows = Vec::with_capacity(LANES);
        for sheet in listings.sheets() {
            rows.clear();
            rows.extend(sheet.rows().map(|(_, _, offered)| Row::of(offered)));
            sink.u64(sheet.taken);
            // An id has 320 bytes at most.
            sink.column(sheet.keys.iter().map(|id| (id.as_str().len() as u16).to_le_bytes()));
            sink.heap(sheet.keys.iter().map(ListingId::as_str));
            save_rows(&rows, sink);
        }
        for (_, _, shelf) in self.all.iter() {
            shelf.offers.save(sink);
        }
    }

    /// The same. Markets get the one copy of their names from the book.
    pub(in super::super) fn load(source: &mut Source<'_>, book: &mut Book) -> Result<(Self, Listings), Malformed> {
        let (mut all, mut keys) = (Arena::<ShelfKey, Shelf>::default(), Vec::new());
        for slots in sheets(source.u32()?) {
            let taken = taken(source, slots)?;
            for lane in 0..slots {
                let key = ShelfKey::load(source, book)?;
                let is = taken >> lane & 1 == 1;
                keys.push(is.then(|| (key.clone(), key.market.country())));
                all.push(key, is.then(Shelf::default))?;
            }
        }
        let mut unshelved = Unshelved::load(source, &keys)?;
        for number in 0..all.slots_end() {
            let Some(shelf) = all.get_mut(number) else { continue };
            let mut codes = Vec::new();
            shelf.offers = Clusters::load(source, |slot, spot| {
                let facts = unshelved.shelve(slot, number, spot)?;
                codes.extend(facts.postal_code);
                if let Some(at) = facts.position {
                    let corners = shelf.corners.map_or((at, at), |(low, high)| (lower(low, at), higher(high, at)));
                    shelf.corners = Some(corners);
                }
                Ok(Shelved { offer: Offer::of(facts), slot })
            })?;
            codes.sort_unstable();
            // A shelf has less than 2^32 listings.
            shelf.postal_codes = codes.chunk_by(PartialEq::eq).map(|of| (of[0], of.len() as u32)).collect();
        }
        if unshelved.waiting.iter().any(|waiting| *waiting != 0) {
            return Err(Malformed("a listing stands on no shelf"));
        }
        Ok((Self { all, next: 0 }, unshelved.listings))
    }
}

impl ShelfKey {
    fn save(&self, sink: &mut Sink) {
        let Self { market, transaction, currency } = self;
        sink.text(market.as_str());
        sink.u8(*transaction as u8);
        sink.text(currency.as_str());
    }

    fn load(source: &mut Source<'_>, book: &mut Book) -> Result<Self, Malformed> {
        let market = book.shared(&source.text()?);
        Ok(Self { market, transaction: word(&TRANSACTIONS, source.u8()?)?, currency: source.text()? })
    }
}
