//! The hard filters as numbers that are compared: what a listing has, what a session asks.
//!
//! A sieve, not the filter: codes are rounded so that whatever passes `score::filters` passes here (the place, the commute
//! and what is dismissed are not looked at), and what passes here is verified there.

use schemas::amenities::{AmenitySet, WORDS};
use schemas::vocabulary::{PropertySubType, StandardStatus};

use crate::facts::{Asked, ListingFacts};

/// One row. A listing's row holds what it has, a session's row what it asks; each code grows with its value.
#[derive(Clone, Copy, Debug)]
pub(super) struct Codes {
    /// Price, budget: whole currency units.
    pub(super) price: u32,
    /// + 1, at most 255; 0: none.
    pub(super) bedrooms: u8,
    /// + 1; 0: none.
    pub(super) school: u8,
    /// Bits: what it has, what is required. The highest: nothing is known of them.
    pub(super) amenities: u64,
    pub(super) details: Details,
}

/// Among a listing's amenities: nothing is known of them.
pub(super) const UNKNOWN_AMENITIES: u64 = 1 << 63;
const _: () = assert!(WORDS.len() < 64);

/// What is looked at where everything else suits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Details {
    /// + 1; 0: none.
    area: u32,
    /// Bits: which sub-type it has, which are wanted; the last bit: not known.
    kinds: u32,
    /// Halves + 1; 0: none.
    bathrooms: u8,
    /// Bits: which status it has, which are wanted.
    statuses: u8,
}

const UNKNOWN_KIND: u32 = 1 << 31;
const _: () = assert!(PropertySubType::ALL.len() < 31);

impl Codes {
    pub(super) fn of_session(session: &Asked<'_>) -> Self {
        Self {
            price: price(session.budget.units()),
            bedrooms: small(session.min_bedrooms),
            school: small(session.min_school_rating.map(|tenths| tenths.steps())),
            amenities: session.required.bits(),
            details: Details {
                area: session.min_area_sqft.map_or(0, |area| area.saturating_add(1)),
                kinds: if session.sub_types.is_empty() { u32::MAX } else { session.sub_types.bits() },
                bathrooms: small(session.min_bathrooms.map(|halves| halves.steps())),
                statuses: status(StandardStatus::Active)
                    | if session.include_coming_soon { status(StandardStatus::ComingSoon) } else { 0 }
                    | if session.include_under_contract { status(StandardStatus::ActiveUnderContract) } else { 0 },
            },
        }
    }

    pub(super) fn of_listing(listing: &ListingFacts) -> Self {
        Self {
            price: listing.price.map_or(u32::MAX, |it| price(it.units())),
            bedrooms: small(listing.bedrooms),
            school: small(listing.school_rating.map(|tenths| tenths.steps())),
            amenities: listing.amenities.map_or(UNKNOWN_AMENITIES, AmenitySet::bits),
            details: Details {
                area: listing.area_sqft.map_or(0, |area| area.saturating_add(1)),
                kinds: listing.sub_type.map_or(UNKNOWN_KIND, |kind| 1 << kind as u32),
                bathrooms: small(listing.bathrooms.map(|halves| halves.steps())),
                statuses: status(listing.status),
            },
        }
    }
}

impl Details {
    /// Of no listing.
    pub(super) const NONE: Self = Self { area: 0, kinds: 0, bathrooms: 0, statuses: 0 };

    /// Whether the listing may suit the session.
    pub(super) const fn may_suit(&self, session: &Self) -> bool {
        self.area >= session.area
            && self.bathrooms >= session.bathrooms
            && self.statuses & session.statuses != 0
            && self.kinds & session.kinds != 0
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
