//! The hard filters as columns: 64 sessions against one listing, or 64 listings against one session, a compare per column
//! that the compiler turns into vector instructions.
//!
//! A sieve, not the filter: codes are rounded so that whatever passes `score::filters` passes here (the place and what is
//! dismissed are not looked at), and what passes here is verified there.

use schemas::vocabulary::{PropertySubType, StandardStatus};

use crate::facts::{ListingFacts, SessionFacts};

/// Lanes of a block: the bits of a mask.
const LANES: usize = 64;

/// One row. A listing's row holds what it has, a session's row what it asks; each code grows with its value.
#[derive(Clone, Copy, Debug)]
pub(super) struct Codes {
    /// Price, budget: whole currency units.
    price: u32,
    /// + 1; 0: none.
    area: u32,
    /// + 1, at most 255; 0: none.
    bedrooms: u8,
    bathrooms: u8,
    school: u8,
    /// Bits: which status it has, which are wanted.
    statuses: u8,
    /// `u16::MAX`: none.
    commute: u16,
    /// Bits: which sub-type it has, which are wanted; the last bit: not known.
    kinds: u32,
    /// Bits: what it has, what is required.
    amenities: u64,
}

const UNKNOWN_KIND: u32 = 1 << 31;
const _: () = assert!(PropertySubType::ALL.len() < 31);

impl Codes {
    pub(super) fn of_session(session: &SessionFacts) -> Self {
        let asked = session.sub_types.iter().fold(0, |kinds, kind| kinds | 1 << *kind as u32);
        Self {
            price: price(session.budget.units()),
            area: session.min_area_sqft.map_or(0, |area| area.saturating_add(1)),
            bedrooms: small(session.min_bedrooms),
            bathrooms: small(session.min_bathrooms.map(|halves| halves.steps())),
            school: small(session.min_school_rating.map(|tenths| tenths.steps())),
            statuses: status(StandardStatus::Active)
                | if session.include_coming_soon { status(StandardStatus::ComingSoon) } else { 0 }
                | if session.include_under_contract { status(StandardStatus::ActiveUnderContract) } else { 0 },
            commute: session.max_commute_minutes.unwrap_or(u16::MAX),
            kinds: if session.sub_types.is_empty() { u32::MAX } else { asked },
            amenities: session.required.bits(),
        }
    }

    pub(super) fn of_listing(listing: &ListingFacts) -> Self {
        Self {
            price: listing.price.map_or(u32::MAX, |it| price(it.units())),
            area: listing.area_sqft.map_or(0, |area| area.saturating_add(1)),
            bedrooms: small(listing.bedrooms),
            bathrooms: small(listing.bathrooms.map(|halves| halves.steps())),
            school: small(listing.school_rating.map(|tenths| tenths.steps())),
            statuses: status(listing.status),
            commute: listing.commute_minutes.unwrap_or(u16::MAX),
            kinds: listing.sub_type.map_or(UNKNOWN_KIND, |kind| 1 << kind as u32),
            amenities: listing.amenities.unwrap_or_default().bits(),
        }
    }
}

fn price(units: i64) -> u32 {
    u32::try_from(units).unwrap_or(u32::MAX)
}

fn small(value: Option<impl Into<u64>>) -> u8 {
    value.map_or(0, |value| u8::try_from(value.into() + 1).unwrap_or(u8::MAX))
}

const fn status(status: StandardStatus) -> u8 {
    match status {
        StandardStatus::Active => 1,
        StandardStatus::ComingSoon => 2,
        StandardStatus::ActiveUnderContract => 4,
        StandardStatus::Canceled
        | StandardStatus::Closed
        | StandardStatus::Delete
        | StandardStatus::Expired
        | StandardStatus::Hold
        | StandardStatus::Incomplete
        | StandardStatus::Pending
        | StandardStatus::Withdrawn => 0,
    }
}

/// 64 rows, column by column.
#[derive(Clone, Debug)]
struct Block {
    price: [u32; LANES],
    area: [u32; LANES],
    bedrooms: [u8; LANES],
    bathrooms: [u8; LANES],
    school: [u8; LANES],
    statuses: [u8; LANES],
    commute: [u16; LANES],
    kinds: [u32; LANES],
    amenities: [u64; LANES],
    /// Whose row it is: a session's or a listing's slot.
    slot: [u32; LANES],
}

impl Block {
    /// No row is taken: a row without a status passes nowhere.
    const FREE: Self = Self {
        price: [0; LANES],
        area: [0; LANES],
        bedrooms: [0; LANES],
        bathrooms: [0; LANES],
        school: [0; LANES],
        statuses: [0; LANES],
        commute: [0; LANES],
        kinds: [0; LANES],
        amenities: [0; LANES],
        slot: [0; LANES],
    };

    fn set(&mut self, lane: usize, codes: Codes, slot: u32) {
        self.price[lane] = codes.price;
        self.area[lane] = codes.area;
        self.bedrooms[lane] = codes.bedrooms;
        self.bathrooms[lane] = codes.bathrooms;
        self.school[lane] = codes.school;
        self.statuses[lane] = codes.statuses;
        self.commute[lane] = codes.commute;
        self.kinds[lane] = codes.kinds;
        self.amenities[lane] = codes.amenities;
        self.slot[lane] = slot;
    }

    /// The rows are sessions: those that the listing may suit.
    fn takers(&self, listing: &Codes) -> u64 {
        let mut keep = Keep::all();
        keep.only(&self.price, |budget| listing.price <= budget);
        keep.only(&self.area, |least| listing.area >= least);
        keep.only(&self.bedrooms, |least| listing.bedrooms >= least);
        keep.only(&self.bathrooms, |least| listing.bathrooms >= least);
        keep.only(&self.school, |least| listing.school >= least);
        keep.only(&self.statuses, |wanted| listing.statuses & wanted != 0);
        keep.only(&self.commute, |most| listing.commute <= most);
        keep.only(&self.kinds, |wanted| listing.kinds & wanted != 0);
        keep.only(&self.amenities, |required| required & !listing.amenities == 0);
        keep.mask()
    }

    /// The rows are listings: those that may suit the session.
    fn offers(&self, session: &Codes) -> u64 {
        let mut keep = Keep::all();
        keep.only(&self.price, |price| price <= session.price);
        keep.only(&self.area, |area| area >= session.area);
        keep.only(&self.bedrooms, |bedrooms| bedrooms >= session.bedrooms);
        keep.only(&self.bathrooms, |bathrooms| bathrooms >= session.bathrooms);
        keep.only(&self.school, |school| school >= session.school);
        keep.only(&self.statuses, |status| status & session.statuses != 0);
        keep.only(&self.commute, |commute| commute <= session.commute);
        keep.only(&self.kinds, |kind| kind & session.kinds != 0);
        keep.only(&self.amenities, |amenities| session.amenities & !amenities == 0);
        keep.mask()
    }
}

/// A byte per lane, 1 or 0: what the compiler keeps in vector registers.
struct Keep([u8; LANES]);

impl Keep {
    const fn all() -> Self {
        Self([1; LANES])
    }

    #[inline(always)]
    fn only<T: Copy>(&mut self, column: &[T; LANES], test: impl Fn(T) -> bool) {
        for (keep, value) in self.0.iter_mut().zip(column) {
            *keep &= u8::from(test(*value));
        }
    }

    /// Bit i is lane i.
    fn mask(&self) -> u64 {
        let (words, _) = self.0.as_chunks::<8>();
        words.iter().rev().fold(0, |mask, word| {
            // The product moves the lowest bit of byte i to bit 56 + i.
            let bits = u64::from_le_bytes(*word).wrapping_mul(0x0102_0408_1020_4080) >> 56;
            mask << 8 | bits
        })
    }
}

/// Rows that come and go; a row keeps its number while it is there.
#[derive(Clone, Debug, Default)]
pub(super) struct Rows {
    blocks: Vec<Block>,
    free: Vec<u32>,
    len: usize,
}

impl Rows {
    pub(super) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds a row and gives its number.
    pub(super) fn insert(&mut self, codes: Codes, slot: u32) -> u32 {
        if self.free.is_empty() {
            // Four thousand million rows do not fit in memory.
            let first = (self.blocks.len() * LANES) as u32;
            self.free.extend((first..first + LANES as u32).rev());
            self.blocks.push(Block::FREE);
        }
        // Filled in the lines above if it was empty.
        let row = self.free.pop().expect("a free row");
        self.blocks[row as usize / LANES].set(row as usize % LANES, codes, slot);
        self.len += 1;
        row
    }

    /// Takes away a row that is there.
    pub(super) fn remove(&mut self, row: u32) {
        // A row without a status passes nowhere.
        self.blocks[row as usize / LANES].statuses[row as usize % LANES] = 0;
        self.free.push(row);
        self.len -= 1;
    }

    /// The rows are sessions: the slots of those that either listing may suit.
    pub(super) fn takers(&self, listings: [Option<Codes>; 2]) -> impl Iterator<Item = u32> {
        let mask = move |block: &Block| listings.iter().flatten().fold(0, |mask, listing| mask | block.takers(listing));
        self.blocks.iter().flat_map(move |block| lanes(mask(block)).map(|lane| block.slot[lane]))
    }

    /// The rows are listings: the slots of those that may suit the session.
    pub(super) fn offers(&self, session: Codes) -> impl Iterator<Item = u32> {
        self.blocks.iter().flat_map(move |block| lanes(block.offers(&session)).map(|lane| block.slot[lane]))
    }

    /// The slots of all rows.
    pub(super) fn slots(&self) -> impl Iterator<Item = u32> {
        let rows = |block: &Block| block.slot.into_iter().zip(block.statuses);
        self.blocks.iter().flat_map(rows).filter(|(_, statuses)| *statuses != 0).map(|(slot, _)| slot)
    }
}

/// The set bits, ascending.
fn lanes(mut mask: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let lane = mask.trailing_zeros() as usize;
        mask &= mask.wrapping_sub(1);
        (lane < LANES).then_some(lane)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mask_has_the_bits_of_its_lanes() {
        for pattern in [0, 1, u64::MAX, 1 << 63, 0x8421_0f0f_1234_5678] {
            let keep = Keep(std::array::from_fn(|lane| u8::from(pattern >> lane & 1 == 1)));
            assert_eq!(keep.mask(), pattern, "{pattern:#x}");
            assert_eq!(lanes(pattern).fold(0, |mask, lane| mask | 1 << lane), pattern);
        }
    }
}
