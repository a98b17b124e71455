//! The most that a listing can score with a session, from a few numbers that stand in columns: of 16 blocks at once what
//! their best listings may reach, then of 64 listings at once what each may, so that a pair whose ceiling is below the
//! session's bound is let go before anything of it is fetched.
//!
//! Not the score: floats, rounded up, blind to where in its place a listing lies. A ceiling is never below the score (a
//! test holds it to that); how far it is above changes the work, never the result.

use schemas::preferences::Profile;

use super::clusters::{self, LANES, SIDES, SPAN, lanes};
use super::codes::{Codes, Details, UNKNOWN_AMENITIES};
use super::{PROFILES, kernel, place_of};
use crate::facts::{Asked, ListingFacts};
use crate::score::{AFFORDABILITY_SLOPE, FULL, NEUTRAL, USUAL_COMMUTE_MINUTES, extra_bedrooms, merits, weights};

/// More than all rounding errors together: sums stay below 2^21, where a step of a float is 1/8.
const SLACK: f32 = 16.0;
/// Points per step of [`Offer::statics`].
const STATIC_UNIT: i64 = 16;
/// Of a longer commute, and of one that is not known.
const LONG: u8 = 254;
const UNKNOWN: u8 = 255;

/// What one profile's weights make of the components.
#[derive(Clone, Copy, Debug)]
struct Scale {
    affordability: f32,
    place: f32,
    space: f32,
    commute: f32,
    amenities: f32,
}

impl Scale {
    fn of(profile: Profile) -> Self {
        let [affordability, place, space, commute, _, amenities, _, _] = weights(profile).map(f32::from);
        Self { affordability, place, space, commute, amenities }
    }

    /// Of a home with a code of bedrooms and as large as can be, for a session that asks a code, and for an area or not.
    fn space(&self, asks: u8, area: bool, bedrooms: u8) -> f32 {
        let bedrooms = match asks {
            0 => NEUTRAL,
            // The greatest code stands for any number from there on.
            _ if bedrooms == u8::MAX => FULL,
            min => extra_bedrooms(Some(u16::from(bedrooms.saturating_sub(min)))),
        };
        self.space * (if area { (bedrooms + FULL) / 2 } else { bedrooms }) as f32
    }
}

/// A session, as a row.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seeker {
    codes: Codes,
    scale: Scale,
    /// Place of the profile in [`PROFILES`].
    profile: usize,
    /// Points that a unit of price costs, and a minute.
    per_unit: f32,
    per_minute: f32,
    /// The longest commute, as a row has it; [`UNKNOWN`]: any.
    minutes: u8,
    /// What a commute that is not known gives.
    unknown_commute: f32,
    /// Bits.
    preferred: u64,
    /// Points of each of them, and those of amenities that are not known, or where none is preferred.
    per_amenity: f32,
    neutral_amenities: f32,
    /// What place, space and amenities give at most.
    most: f32,
    /// What bedrooms give less than the most: as many as asked, one more, more.
    bedrooms_less: [f32; 3],
}

impl Seeker {
    pub(super) fn of(session: &Asked<'_>) -> Self {
        let codes = Codes::of_session(session);
        let scale = Scale::of(session.profile);
        let area = session.min_area_sqft.is_some();
        let (cities, beyond) = (session.cities, session.beyond());
        let by_name = !cities.is_empty() || !beyond.postal_codes.is_empty() || beyond.circle.is_some();
        let place = if by_name { FULL } else { NEUTRAL };
        let minutes = session.max_commute_minutes.unwrap_or(USUAL_COMMUTE_MINUTES);
        let space = |bedrooms: u8| scale.space(codes.bedrooms, area, bedrooms);
        let less = |more: u8| space(u8::MAX) - space(codes.bedrooms.saturating_add(more).min(u8::MAX - 1));
        let preferred = session.preferred.bits();
        let amenities = if preferred == 0 { NEUTRAL } else { FULL };
        Self {
            profile: place_of(session.profile),
            per_unit: scale.affordability * AFFORDABILITY_SLOPE as f32 / (session.budget.cents() as f32 / 100.0),
            per_minute: scale.commute * FULL as f32 / f32::from(minutes),
            minutes: session.max_commute_minutes.map_or(UNKNOWN, |max| max.min(u16::from(LONG)) as u8),
            unknown_commute: scale.commute * NEUTRAL as f32,
            preferred,
            per_amenity: scale.amenities * FULL as f32 / preferred.count_ones().max(1) as f32,
            neutral_amenities: scale.amenities * NEUTRAL as f32,
            most: scale.place * place as f32 + space(u8::MAX) + scale.amenities * amenities as f32,
            bedrooms_less: if codes.bedrooms == 0 { [0.0; 3] } else { [less(0), less(1), less(2)] },
            codes,
            scale,
        }
    }

    /// What affordability, commute and statics must give to reach a score.
    pub(super) fn floor(&self, score: u32) -> f32 {
        score as f32 - self.most - SLACK
    }

    #[inline(always)]
    fn affordability(&self, price: u32) -> f32 {
        let most = self.scale.affordability * AFFORDABILITY_SLOPE as f32;
        (most - price as f32 * self.per_unit).min(self.scale.affordability * FULL as f32)
    }

    /// What bedrooms give less than the most.
    #[inline(always)]
    const fn less(&self, bedrooms: u8) -> f32 {
        let asks = self.codes.bedrooms;
        let [none, one, more] = self.bedrooms_less;
        let less = if bedrooms == asks.saturating_add(1) { one } else { more };
        let less = if bedrooms == asks { none } else { less };
        if bedrooms == u8::MAX { 0.0 } else { less }
    }

    /// What amenities give, where some are preferred.
    #[inline(always)]
    fn amenities(&self, has: u64) -> f32 {
        let known = (has & self.preferred).count_ones() as f32 * self.per_amenity;
        if has & UNKNOWN_AMENITIES == 0 { known } else { self.neutral_amenities }
    }

    /// Of a commute that is known.
    #[inline(always)]
    fn commute(&self, minutes: u8) -> f32 {
        (self.scale.commute * FULL as f32 - f32::from(minutes) * self.per_minute).max(0.0)
    }
}

/// A listing, as a row.
#[derive(Clone, Copy, Debug)]
pub(super) struct Offer {
    codes: Codes,
    minutes: u8,
    /// What it has whoever asks, by profile; rounded up.
    statics: [u16; PROFILES.len()],
}

impl Offer {
    pub(super) fn of(listing: &ListingFacts) -> Self {
        let own = merits(listing);
        let points = PROFILES.map(|profile| {
            let [.., schools, _, value, momentum] = weights(profile).map(i64::from);
            own[0] * schools + own[1] * value + own[2] * momentum
        });
        Self {
            codes: Codes::of_listing(listing),
            minutes: listing.commute_minutes.map_or(UNKNOWN, |minutes| minutes.min(u16::from(LONG)) as u8),
            // Weights sum to 256, so that this is below 2^16.
            statics: points.map(|points| ((points + STATIC_UNIT - 1) / STATIC_UNIT) as u16),
        }
    }
}

/// An offer on its shelf.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shelved {
    pub(super) offer: Offer,
    pub(super) slot: u32,
}

impl clusters::Row for Shelved {
    const LASTING: usize = SIDES;

    // How much each counts was tried: of 1M listings a search looks at 46 blocks with these, at 60 with what a step of the
    // score makes of each.
    fn point(&self) -> [f32; SIDES] {
        let Offer { codes, minutes, statics } = self.offer;
        let unit = STATIC_UNIT as f32;
        [
            (codes.price as f32).max(1.0).ln() * 135_000.0,
            f32::from(statics[0]) * unit * 2.0,
            f32::from(codes.bedrooms.min(8)) * 60_000.0,
            f32::from(minutes.min(127)) * 5_000.0,
            f32::from(codes.school) * 500.0,
        ]
    }

    fn slot(&self) -> u32 {
        self.slot
    }
}

/// The best that any listing of each of some blocks has of everything.
#[derive(Clone, Debug)]
#[repr(C, align(64))]
pub(super) struct Best {
    price: [u32; SPAN],
    statics: [[u16; SPAN]; PROFILES.len()],
    /// Of those that are known.
    minutes: [u8; SPAN],
    /// 1: of one it is not known.
    unknown: [u8; SPAN],
    bedrooms: [u8; SPAN],
    school: [u8; SPAN],
}

impl clusters::Bounds for Best {
    type Row = Shelved;
    const NONE: Self = Self {
        price: [u32::MAX; SPAN],
        statics: [[0; SPAN]; PROFILES.len()],
        minutes: [UNKNOWN; SPAN],
        unknown: [0; SPAN],
        bedrooms: [0; SPAN],
        school: [0; SPAN],
    };

    fn widen(&mut self, block: usize, row: &Shelved) {
        let Offer { codes, minutes, statics } = row.offer;
        self.price[block] = self.price[block].min(codes.price);
        for (best, own) in self.statics.iter_mut().zip(statics) {
            best[block] = best[block].max(own);
        }
        if minutes == UNKNOWN {
            self.unknown[block] = 1;
        } else {
            self.minutes[block] = self.minutes[block].min(minutes);
        }
        self.bedrooms[block] = self.bedrooms[block].max(codes.bedrooms);
        self.school[block] = self.school[block].max(codes.school);
    }
}

impl Best {
    /// The most that affordability, commute and statics of a listing of each block give the session, less what its
    /// bedrooms miss; minus infinity where a filter lets none through.
    #[inline(always)]
    pub(super) fn most(&self, seeker: &Seeker) -> [f32; SPAN] {
        let statics = &self.statics[seeker.profile];
        let asks = seeker.codes.bedrooms;
        let may_be_unknown = seeker.minutes == UNKNOWN;
        let unknown_commute = if may_be_unknown { seeker.unknown_commute } else { 0.0 };
        let mut most = [0.0; SPAN];
        for block in 0..SPAN {
            let (minutes, bedrooms) = (self.minutes[block], self.bedrooms[block]);
            let known = if minutes == UNKNOWN { 0.0 } else { seeker.commute(minutes) };
            let unknown = if self.unknown[block] == 1 { unknown_commute } else { 0.0 };
            let sum = seeker.affordability(self.price[block]) + known.max(unknown) - seeker.less(bedrooms)
                + f32::from(statics[block]) * STATIC_UNIT as f32;
            let suits = (self.price[block] <= seeker.codes.price)
                & (bedrooms >= asks)
                & (self.school[block] >= seeker.codes.school)
                & (may_be_unknown | (minutes <= seeker.minutes));
            most[block] = if suits { sum } else { f32::NEG_INFINITY };
        }
        most
    }
}

/// 64 listings: first the columns that nearly every look at them ends with.
#[derive(Debug)]
#[repr(C, align(64))]
pub(super) struct OfferBlock {
    price: [u32; LANES],
    minutes: [u8; LANES],
    bedrooms: [u8; LANES],
    school: [u8; LANES],
    amenities: [u64; LANES],
    statics: [[u16; LANES]; PROFILES.len()],
    taken: u64,
    slot: [u32; LANES],
    details: [Details; LANES],
}

impl clusters::Block for OfferBlock {
    type Row = Shelved;
    type Bounds = Best;

    fn empty() -> Self {
        Self {
            price: [u32::MAX; LANES],
            minutes: [UNKNOWN; LANES],
            bedrooms: [0; LANES],
            school: [0; LANES],
            amenities: [0; LANES],
            statics: [[0; LANES]; PROFILES.len()],
            taken: 0,
            slot: [0; LANES],
            details: [Details::NONE; LANES],
        }
    }

    fn taken(&self) -> u64 {
        self.taken
    }

    fn put(&mut self, lane: usize, row: &Shelved) {
        let Shelved { offer: Offer { codes, minutes, statics }, slot } = *row;
        self.price[lane] = codes.price;
        self.minutes[lane] = minutes;
        self.bedrooms[lane] = codes.bedrooms;
        self.school[lane] = codes.school;
        self.amenities[lane] = codes.amenities;
        self.statics.iter_mut().zip(statics).for_each(|(column, own)| column[lane] = own);
        self.slot[lane] = slot;
        self.details[lane] = codes.details;
        self.taken |= 1 << lane;
    }

    fn clear(&mut self, lane: usize) {
        self.taken &= !(1 << lane);
    }

    fn row(&self, lane: usize) -> Shelved {
        let codes = Codes {
            price: self.price[lane],
            bedrooms: self.bedrooms[lane],
            school: self.school[lane],
            amenities: self.amenities[lane],
            details: self.details[lane],
        };
        let statics = std::array::from_fn(|profile| self.statics[profile][lane]);
        Shelved { offer: Offer { codes, minutes: self.minutes[lane], statics }, slot: self.slot[lane] }
    }
}

/// Of 64 listings, what each may reach.
pub(super) struct Ceilings {
    /// Those that the session may be shown and that may reach the floor.
    pub(super) mask: u64,
    /// What affordability, commute and statics give, less what is missed of the wishes.
    pub(super) most: [f32; LANES],
}

impl OfferBlock {
    /// The listings that the session may be shown and that may reach the floor.
    #[inline(always)]
    pub(super) fn offers(&self, seeker: &Seeker, floor: f32) -> Ceilings {
        let statics = &self.statics[seeker.profile];
        let may_be_unknown = seeker.minutes == UNKNOWN;
        let mut most = [0.0; LANES];
        let mut keeps = [0_u8; LANES];
        for lane in 0..LANES {
            let is_known = self.minutes[lane] != UNKNOWN;
            let commute = if is_known { seeker.commute(self.minutes[lane]) } else { seeker.unknown_commute };
            let sum = seeker.affordability(self.price[lane]) + commute - seeker.less(self.bedrooms[lane])
                + f32::from(statics[lane]) * STATIC_UNIT as f32;
            let suits = (self.price[lane] <= seeker.codes.price)
                & (self.bedrooms[lane] >= seeker.codes.bedrooms)
                & (self.school[lane] >= seeker.codes.school)
                & (may_be_unknown | (self.minutes[lane] <= seeker.minutes));
            most[lane] = sum;
            keeps[lane] = u8::from(suits & (sum >= floor));
        }
        let mut mask = mask_of(&keeps) & self.taken;
        if mask != 0 && seeker.preferred | seeker.codes.amenities != 0 {
            let full = if seeker.preferred == 0 { 0.0 } else { seeker.scale.amenities * FULL as f32 };
            for lane in 0..LANES {
                let has = self.amenities[lane];
                let gives = if seeker.preferred == 0 { 0.0 } else { seeker.amenities(has) };
                most[lane] -= full - gives;
                keeps[lane] &= u8::from((seeker.codes.amenities & !has == 0) & (most[lane] >= floor));
            }
            mask &= mask_of(&keeps);
        }
        for lane in lanes(mask) {
            mask &= !(u64::from(!self.details[lane].may_suit(&seeker.codes.details)) << lane);
        }
        Ceilings { mask, most }
    }

    /// Tells the processor that this block is looked at soon.
    pub(super) fn prefetch(&self, seeker: &Seeker) {
        kernel::prefetch(&self.price);
        kernel::prefetch(&self.minutes);
        kernel::prefetch(&self.bedrooms);
        kernel::prefetch(&self.school);
        kernel::prefetch(&self.statics[seeker.profile]);
        kernel::prefetch(&self.amenities);
        kernel::prefetch(&self.taken);
    }

    /// The slot in a lane.
    pub(super) const fn slot(&self, lane: usize) -> u32 {
        self.slot[lane]
    }

    /// The slots of all rows.
    pub(super) fn slots(&self) -> impl Iterator<Item = u32> {
        lanes(self.taken).map(|lane| self.slot[lane])
    }
}

/// Bit i is whether byte i is 1; all are 1 or 0.
#[inline(always)]
fn mask_of(bytes: &[u8; LANES]) -> u64 {
    let (words, _) = bytes.as_chunks::<8>();
    words.iter().rev().fold(0, |mask, word| {
        // The product moves the lowest bit of byte i to bit 56 + i.
        let bits = u64::from_le_bytes(*word).wrapping_mul(0x0102_0408_1020_4080) >> 56;
        mask << 8 | bits
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::kernel::Kernel;
    use super::super::samples::pair;
    use super::clusters::{Block as _, Bounds as _};
    use super::*;
    use crate::score::{passes, score};

    proptest! {
        #![proptest_config(ProptestConfig { cases: 20_000, ..ProptestConfig::default() })]

        #[test]
        fn a_ceiling_is_never_below_the_score((session, listing) in pair(), block in 0..SPAN) {
            if !passes(&session, &"a:1".parse().unwrap(), &listing) {
                return Ok(());
            }
            let (seeker, offer) = (Seeker::of(&(&session).into()), Offer::of(&listing));
            let floor = seeker.floor(score(&session, &listing));
            let mut listings = OfferBlock::empty();
            let row = Shelved { offer, slot: 5 };
            listings.put(63, &row);
            let mut best = Best::NONE;
            best.widen(block, &row);
            for kernel in [Some(Kernel::Portable), Kernel::avx512()].into_iter().flatten() {
                let most = kernel.most(&best, &seeker);
                prop_assert!(most[block] >= floor, "{most:?}, {floor}");
                let Ceilings { mask, most } = kernel.offers(&listings, &seeker, floor);
                prop_assert_eq!((mask, listings.slot(63)), (1 << 63, 5));
                prop_assert!(most[63] >= floor);
            }
        }
    }

    #[test]
    fn a_mask_has_the_bits_of_its_lanes() {
        for pattern in [0, 1, u64::MAX, 1 << 63, 0x8421_0f0f_1234_5678] {
            let bytes = std::array::from_fn(|lane| u8::from(pattern >> lane & 1 == 1));
            assert_eq!(mask_of(&bytes), pattern, "{pattern:#x}");
            assert_eq!(lanes(pattern).fold(0, |mask, lane| mask | 1 << lane), pattern);
        }
    }
}
