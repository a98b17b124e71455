//! The hard filters as columns: 64 listings against one session, a compare per column that the compiler turns into vector
//! instructions.
//!
//! A sieve, not the filter: codes are rounded so that whatever passes `score::filters` passes here (the place and what is
//! dismissed are not looked at), and what passes here is verified there.

use schemas::vocabulary::{PropertySubType, StandardStatus};

use super::clusters::LANES;
use super::keep::Keep;
use crate::facts::{ListingFacts, SessionFacts};

/// One row. A listing's row holds what it has, a session's row what it asks; each code grows with its value.
#[derive(Clone, Copy, Debug)]
pub(super) struct Codes {
    /// Price, budget: whole currency units.
    pub(super) price: u32,
    /// + 1; 0: none.
    area: u32,
    /// + 1, at most 255; 0: none.
    pub(super) bedrooms: u8,
    bathrooms: u8,
    school: u8,
    /// Bits: which status it has, which are wanted.
    statuses: u8,
    /// `u16::MAX`: none.
    commute: u16,
    /// Bits: which sub-type it has, which are wanted; the last bit: not known.
    kinds: u32,
    /// Bits: what it has, what is required.
    pub(super) amenities: u64,
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

    /// A listing that suits nobody.
    pub(super) const WORST: Self = Self {
        price: u32::MAX,
        area: 0,
        bedrooms: 0,
        bathrooms: 0,
        school: 0,
        statuses: 0,
        commute: u16::MAX,
        kinds: 0,
        amenities: 0,
    };

    /// Of two listings the better in everything.
    pub(super) fn better(&mut self, other: &Self) {
        self.price = self.price.min(other.price);
        self.area = self.area.max(other.area);
        self.bedrooms = self.bedrooms.max(other.bedrooms);
        self.bathrooms = self.bathrooms.max(other.bathrooms);
        self.school = self.school.max(other.school);
        self.statuses |= other.statuses;
        self.commute = self.commute.min(other.commute);
        self.kinds |= other.kinds;
        self.amenities |= other.amenities;
    }

    /// Whether the listing may suit the session.
    pub(super) const fn may_suit(&self, session: &Self) -> bool {
        self.price <= session.price
            && self.area >= session.area
            && self.bedrooms >= session.bedrooms
            && self.bathrooms >= session.bathrooms
            && self.school >= session.school
            && self.statuses & session.statuses != 0
            && self.commute <= session.commute
            && self.kinds & session.kinds != 0
            && session.amenities & !self.amenities == 0
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

/// The codes of 64 rows, column by column.
#[derive(Clone, Debug)]
pub(super) struct CodeColumns {
    price: [u32; LANES],
    area: [u32; LANES],
    bedrooms: [u8; LANES],
    bathrooms: [u8; LANES],
    school: [u8; LANES],
    statuses: [u8; LANES],
    commute: [u16; LANES],
    kinds: [u32; LANES],
    amenities: [u64; LANES],
}

impl CodeColumns {
    /// No row is taken: a row without a status passes nowhere.
    pub(super) const FREE: Self = Self {
        price: [0; LANES],
        area: [0; LANES],
        bedrooms: [0; LANES],
        bathrooms: [0; LANES],
        school: [0; LANES],
        statuses: [0; LANES],
        commute: [0; LANES],
        kinds: [0; LANES],
        amenities: [0; LANES],
    };

    pub(super) fn set(&mut self, lane: usize, codes: &Codes) {
        self.price[lane] = codes.price;
        self.area[lane] = codes.area;
        self.bedrooms[lane] = codes.bedrooms;
        self.bathrooms[lane] = codes.bathrooms;
        self.school[lane] = codes.school;
        self.statuses[lane] = codes.statuses;
        self.commute[lane] = codes.commute;
        self.kinds[lane] = codes.kinds;
        self.amenities[lane] = codes.amenities;
    }

    pub(super) fn clear(&mut self, lane: usize) {
        self.statuses[lane] = 0;
    }

    pub(super) const fn get(&self, lane: usize) -> Codes {
        Codes {
            price: self.price[lane],
            area: self.area[lane],
            bedrooms: self.bedrooms[lane],
            bathrooms: self.bathrooms[lane],
            school: self.school[lane],
            statuses: self.statuses[lane],
            commute: self.commute[lane],
            kinds: self.kinds[lane],
            amenities: self.amenities[lane],
        }
    }

    /// Code of bedrooms and the amenities, of one row.
    pub(super) const fn wished(&self, lane: usize) -> (u8, u64) {
        (self.bedrooms[lane], self.amenities[lane])
    }

    /// The rows are listings: keeps those that may suit the session.
    #[inline(always)]
    pub(super) fn offers(&self, session: &Codes, keep: &mut Keep) {
        keep.only(&self.price, |price| price <= session.price);
        keep.only(&self.area, |area| area >= session.area);
        keep.only(&self.bedrooms, |bedrooms| bedrooms >= session.bedrooms);
        keep.only(&self.bathrooms, |bathrooms| bathrooms >= session.bathrooms);
        keep.only(&self.school, |school| school >= session.school);
        keep.only(&self.statuses, |status| status & session.statuses != 0);
        keep.only(&self.commute, |commute| commute <= session.commute);
        keep.only(&self.kinds, |kind| kind & session.kinds != 0);
        keep.only(&self.amenities, |amenities| session.amenities & !amenities == 0);
    }
}
