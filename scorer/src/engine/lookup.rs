//! The most that a listing can score with a session, from a few bytes of the session: one table per kind of byte, made once for
//! each changed listing, so that 64 sessions are looked up at once.
//!
//! Not the score: sums in steps of [`UNIT`], rounded up, blind to where in its place a listing lies and to all but a few of
//! the amenities that a session names. What a table says is never below what the part of the score is (a test holds it to that); 0 says that a filter refuses.

use std::sync::LazyLock;

use schemas::amenities::WORDS;
use schemas::preferences::Profile;
use schemas::vocabulary::StandardStatus;
use smallvec::SmallVec;

use super::clusters::lanes;
use crate::facts::{Asked, ListingFacts};
use crate::score::{AFFORDABILITY_SLOPE, FULL, NEUTRAL, USUAL_COMMUTE_MINUTES, extra_bedrooms, merits, weights};

/// Points per step of a table. With less a sum does not fit a byte; losses from the best in finer steps gained nothing.
const UNIT: i64 = 4_096;
/// Each of these tables counts one more than its steps, since 0 refuses: budget, space, commute, size.
const TABLES: i64 = 4;
/// Points: more than all rounding of the floats below.
const SLACK: f32 = 16.0;

/// Upper ends of the ranges of budgets, in cents: steps of 2.5 %, nine octaves.
#[derive(Debug)]
pub(super) struct Ladder {
    ends: [i64; CODES],
    /// Rounded up.
    ends_f: [f32; CODES],
    /// Affordability lost per cent of price, rounded down.
    per_cent: [f32; CODES],
}

const CODES: usize = 256;
const STEPS_PER_OCTAVE: f64 = 28.0;

impl Ladder {
    /// With this budget in the middle.
    pub(super) fn around(cents: i64) -> Self {
        let middle = CODES as f64 / 2.0;
        let end = |code: usize| {
            let end = cents as f64 * ((code as f64 - middle) / STEPS_PER_OCTAVE).exp2();
            if code == CODES - 1 { i64::MAX } else { end.ceil() as i64 }
        };
        let ends: [i64; CODES] = std::array::from_fn(end);
        Self {
            ends,
            ends_f: ends.map(|end| (end as f32).next_up()),
            per_cent: ends.map(|end| (AFFORDABILITY_SLOPE as f32 / end as f32) * 0.999_999),
        }
    }

    /// The budget that it is made around.
    pub(super) const fn middle(&self) -> i64 {
        self.ends[CODES / 2]
    }

    fn code(&self, cents: i64) -> u8 {
        // At most 255: the last end is above every budget.
        self.ends.partition_point(|end| *end < cents).min(CODES - 1) as u8
    }
}

/// What stands for a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Codes {
    /// Step of the ladder.
    pub(super) budget: u8,
    /// Minimum of bedrooms (3 bits: none, 0..=5, 6 or more), whether an area is asked, minimum of the school rating (3 bits).
    pub(super) space: u8,
    /// Longest commute in minutes, 127 for more; 0: any.
    pub(super) commute: u8,
    /// Minimum of the area (5 bits: none, steps of 19 %), which statuses are wanted beside active ones (2 bits).
    pub(super) size: u8,
    /// A required amenity + 1; 0: none.
    pub(super) must: u8,
    /// Preferred amenities + 1 (6 bits), and of how many (2 bits: 1, 2, 3, more); 0: none.
    pub(super) likes: [u8; LIKES],
}

/// Preferred amenities that are looked up; of the others it is taken that they are there.
pub(super) const LIKES: usize = 2;
const _: () = assert!(WORDS.len() < 64);

/// Lower ends of the ranges of school ratings, tenths; the first is none.
const SCHOOLS: [u8; 8] = [0, 0, 31, 41, 51, 61, 71, 81];

/// Lower ends of the ranges of areas, square feet, and what a foot beyond it gives, rounded up; the first is none.
static AREAS: LazyLock<[(u32, f32); 32]> = LazyLock::new(|| {
    std::array::from_fn(|code| {
        let least = if code < 2 { 1 } else { (300.0 * (code as f64 / 4.0).exp2()) as u32 };
        (least, 2047.0 / least as f32 * 1.000_001)
    })
});

impl Codes {
    /// Of the amenities those that the fewest listings have say most.
    pub(super) fn of(session: &Asked<'_>, ladder: &Ladder, rarity: &Rarity) -> Self {
        let bedrooms = session.min_bedrooms.map_or(0, |min| 1 + min.min(6) as u8);
        let school =
            session.min_school_rating.map_or(0, |min| (SCHOOLS.partition_point(|low| *low <= min.steps()) - 1) as u8);
        let size =
            session.min_area_sqft.map_or(0, |min| AREAS[2..].iter().take_while(|(low, _)| *low <= min).count() + 1);
        let count = session.preferred.len().clamp(1, 4) as u8 - 1;
        let mut rare = rarity.first(session.preferred.bits());
        let statuses = u8::from(session.include_coming_soon) | u8::from(session.include_under_contract) << 1;
        Self {
            budget: ladder.code(session.budget.cents()),
            space: bedrooms << 4 | u8::from(session.min_area_sqft.is_some()) << 3 | school,
            commute: session.max_commute_minutes.map_or(0, |minutes| minutes.min(127) as u8),
            size: (size as u8) << 2 | statuses,
            must: rarity.first(session.required.bits()).next().map_or(0, |word| word + 1),
            likes: std::array::from_fn(|_| rare.next().map_or(0, |word| count << 6 | (word + 1))),
        }
    }

    /// Whether the budget is at an end of the ladder, where the tables tell little.
    pub(super) const fn is_beyond(self) -> bool {
        self.budget == 0 || self.budget == u8::MAX
    }

    /// How far apart sessions are in each of these, in something like points: what belongs together stands together.
    pub(super) fn point(self) -> [f32; 4] {
        let minutes = if self.commute == 0 { 128.0 } else { f32::from(self.commute) };
        [
            f32::from(self.budget) * 7_000.0,
            f32::from(self.space >> 4) * 60_000.0 + f32::from(self.space & 7) * 14_000.0,
            minutes.ln() * 60_000.0,
            f32::from(self.size >> 2) * 8_000.0
                + f32::from(self.size & 3) * 20_000.0
                + f32::from(u8::from(self.likes[0] != 0)) * 60_000.0,
        ]
    }
}

/// How many listings have each amenity: the rarest of those that a session names tell most listings apart.
#[derive(Debug)]
pub(super) struct Rarity([u32; 64]);

impl Default for Rarity {
    fn default() -> Self {
        Self([0; 64])
    }
}

impl Rarity {
    /// By amenity.
    pub(super) const fn counts(&self) -> &[u32; 64] {
        &self.0
    }

    /// With these counts.
    pub(super) const fn of_counts(counts: [u32; 64]) -> Self {
        Self(counts)
    }

    /// A listing comes.
    pub(super) fn count(&mut self, amenities: u64) {
        lanes(amenities).for_each(|word| self.0[word] = self.0[word].saturating_add(1));
    }

    /// Of these amenities, the rarest first.
    fn first(&self, amenities: u64) -> impl Iterator<Item = u8> {
        let mut words: SmallVec<[usize; 8]> = lanes(amenities).collect();
        words.sort_by_key(|word| self.0[*word]);
        words.into_iter().map(|word| word as u8)
    }
}

/// The most that those amenities give a session that are not looked up.
pub(super) fn most_amenities(session: &Asked<'_>) -> i64 {
    let weight = i64::from(weights(session.profile)[5]);
    match i64::from(session.preferred.len()) {
        0 => NEUTRAL * weight,
        // As much as the preferred ones that have no place among the likes; rounded up.
        count => ((count - LIKES as i64).max(0) * FULL * weight + count - 1) / count,
    }
}

/// What the tables must sum up to, so that the session's bound may be reached. At most 255, where sums saturate.
pub(super) fn floor(bound: u32, most_amenities: i64) -> u8 {
    let points = (i64::from(bound) - most_amenities).max(0);
    (TABLES + (points + UNIT - 1) / UNIT).min(255) as u8
}

/// What a listing was and is.
pub(super) type Versions<'a> = [Option<&'a ListingFacts>; 2];

/// What a listing gives to a session of each code. With two versions of it: the better of both.
#[derive(Clone, Debug)]
#[repr(C, align(64))]
pub(super) struct Lookup {
    pub(super) budget: [u8; CODES],
    pub(super) space: [u8; 128],
    pub(super) commute: [u8; 128],
    pub(super) size: [u8; 128],
    /// Nothing is given: 0 refuses.
    pub(super) must: [u8; 128],
    /// 0 refuses nobody.
    pub(super) likes: [u8; CODES],
}

impl Lookup {
    /// Nobody is given anything.
    pub(super) const NONE: Self = Self {
        budget: [0; CODES],
        space: [0; 128],
        commute: [0; 128],
        size: [0; 128],
        must: [0; 128],
        likes: [0; CODES],
    };

    /// Adds a version of a listing, or two: mostly they differ in their prices alone.
    #[inline(always)]
    pub(super) fn offer(&mut self, versions: Versions<'_>, profile: Profile, ladder: &Ladder) {
        let [old, new] = versions;
        let alike = |(old, new): (&ListingFacts, &ListingFacts)| {
            let beside_price = |it: &ListingFacts| {
                (it.bedrooms, it.school_rating, it.commute_minutes, it.area_sqft, it.status, it.amenities)
            };
            beside_price(old) == beside_price(new)
        };
        let is_alike = old.zip(new).is_some_and(alike);
        for (version, only_price) in [(old, is_alike), (new, false)] {
            if let Some(listing) = version {
                self.offer_one(listing, only_price, profile, ladder);
            }
        }
    }

    #[inline(always)]
    fn offer_one(&mut self, listing: &ListingFacts, only_price: bool, profile: Profile, ladder: &Ladder) {
        let [affordability, place, space, commute, schools, amenities, value, momentum] =
            weights(profile).map(i64::from);
        let own = merits(listing);
        let always = place * FULL + schools * own[0] + value * own[1] + momentum * own[2];
        self.offer_price(listing, affordability as f32, always as f32, ladder);
        if only_price {
            return;
        }
        self.offer_space(listing, space);
        self.offer_commute(listing, commute);
        self.offer_size(listing, space);
        self.offer_amenities(listing, amenities);
    }

    #[inline(always)]
    fn offer_amenities(&mut self, listing: &ListingFacts, weight: i64) {
        let has = listing.amenities.unwrap_or_default().bits();
        self.must[0] = 1;
        for (word, gives) in self.must[1..=64].iter_mut().enumerate() {
            *gives |= (has >> word & 1) as u8;
        }
        for count in 1..=4 {
            // Of amenities that are not known, the likes together give the neutral points.
            let of_one = NEUTRAL * weight / count.min(LIKES as i64);
            let (present, absent) = match listing.amenities {
                Some(_) => (points(FULL * weight / count + 1), 0),
                None => (points(of_one + 1), points(of_one + 1)),
            };
            let codes = (count as usize - 1) << 6;
            for (word, gives) in self.likes[codes + 1..codes + 64].iter_mut().enumerate() {
                *gives = (*gives).max(if has >> word & 1 == 1 { present } else { absent });
            }
        }
    }

    #[inline(always)]
    fn offer_price(&mut self, listing: &ListingFacts, weight: f32, always: f32, ladder: &Ladder) {
        let Some(price) = listing.price else { return };
        let price = (price.cents() as f32).next_down();
        let columns = self.budget.iter_mut().zip(&ladder.ends_f).zip(&ladder.per_cent);
        for ((gives, end), per_cent) in columns {
            let affordability = (AFFORDABILITY_SLOPE as f32 - price * per_cent).min(FULL as f32);
            let steps = steps_above(affordability * weight + always + SLACK);
            *gives = (*gives).max(if price <= *end { steps } else { 0 });
        }
    }

    #[inline(always)]
    fn offer_space(&mut self, listing: &ListingFacts, weight: i64) {
        // A byte for each minimum of the school rating: all ones where it is met.
        let rating = listing.school_rating.map(|rating| rating.steps());
        let met: [u8; 8] = std::array::from_fn(|code| match rating {
            Some(rating) if rating >= SCHOOLS[code] => u8::MAX,
            _ if code == 0 => u8::MAX,
            _ => 0,
        });
        let met = u64::from_le_bytes(met);
        let (rows, _) = self.space.as_chunks_mut::<8>();
        for (row, gives) in (0_u16..).zip(rows) {
            let (bedrooms, area) = (row >> 1, i64::from(row & 1));
            let beyond = match (bedrooms, listing.bedrooms) {
                (0, _) => None,
                (min, Some(has)) if has.saturating_add(1) >= min => Some(has.saturating_add(1) - min),
                _ => continue,
            };
            let best = (extra_bedrooms(beyond) + area) >> area;
            let all = (u64::from(steps(best * weight)) * 0x0101_0101_0101_0101) & met;
            gives.iter_mut().zip(all.to_le_bytes()).for_each(|(gives, own)| *gives = (*gives).max(own));
        }
    }

    #[inline(always)]
    fn offer_commute(&mut self, listing: &ListingFacts, weight: i64) {
        let Some(minutes) = listing.commute_minutes else {
            self.commute[0] = self.commute[0].max(steps(NEUTRAL * weight));
            return;
        };
        let usual = i64::from(USUAL_COMMUTE_MINUTES);
        let left = ((usual - i64::from(minutes)) * FULL / usual).max(0);
        self.commute[0] = self.commute[0].max(steps(left * weight));
        let (minutes, weight) = (f32::from(minutes), weight as f32);
        for (max, (gives, per_minute)) in (1_u8..).zip(self.commute[1..].iter_mut().zip(&PER_MINUTE[1..])) {
            let steps = steps_above((FULL as f32 - minutes * per_minute) * weight + SLACK);
            // The last stands for any longer one.
            *gives = (*gives).max(if minutes <= f32::from(max) || max == 127 { steps } else { 0 });
        }
    }

    #[inline(always)]
    fn offer_size(&mut self, listing: &ListingFacts, weight: i64) {
        let wanted = |statuses: usize| match listing.status {
            StandardStatus::ComingSoon => statuses & 1 != 0,
            StandardStatus::ActiveUnderContract => statuses & 2 != 0,
            _ => true,
        };
        for (code, (least, per_foot)) in AREAS.iter().enumerate() {
            let points = match (code, listing.area_sqft) {
                (0, _) => 0,
                (_, Some(has)) if has >= *least => {
                    let beyond = ((has - least) as f32 * per_foot + 1.0).min(2047.0);
                    (NEUTRAL + beyond as i64 + 1) / 2
                }
                _ => continue,
            };
            for statuses in (0..4).filter(|statuses| wanted(*statuses)) {
                let gives = &mut self.size[code << 2 | statuses];
                *gives = (*gives).max(steps(points * weight));
            }
        }
    }
}

/// Of the commute, lost per minute for each longest commute, rounded down; nothing for the last, which is any longer one.
const PER_MINUTE: [f32; 128] = {
    let mut losses = [0.0; 128];
    let mut max = 1;
    while max < 127 {
        losses[max] = FULL as f32 / max as f32 * 0.999_999;
        max += 1;
    }
    losses
};

/// As [`steps`], at most 255, in the few instructions that a lane of a register has: a float to which 2^23 is added has the
/// nearest whole number in its lowest bits, and half a step more makes that the next above.
#[inline(always)]
fn steps_above(of: f32) -> u8 {
    let steps = (of * (1.0 / UNIT as f32) + 1.5).clamp(1.0, 255.0);
    (steps + 8_388_608.0).to_bits() as u8
}

/// Where 0 refuses.
const fn steps(of: i64) -> u8 {
    1 + points(of)
}

const fn points(points: i64) -> u8 {
    // The greatest weight of one part is below a hundred steps.
    ((points + UNIT - 1) / UNIT) as u8
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::clusters::{Block as _, Bounds as _};
    use super::super::kernel::Kernel;
    use super::super::samples::pair;
    use super::super::seats::{Block, Bounds, Hit, Reach, Seated};
    use super::*;
    use crate::score::{passes, score};

    /// Whether each kernel finds the session for the listing when it is the listing's score that is asked for.
    fn is_found(session: &Asked<'_>, listing: &ListingFacts, ladder: &Ladder) -> Result<(), TestCaseError> {
        let floor = floor(score(session, listing), most_amenities(session));
        let mut rarity = Rarity::default();
        rarity.count(listing.amenities.unwrap_or_default().bits());
        let row = Seated::open(Codes::of(session, ladder, &rarity), 7, floor);
        let mut block = Block::empty();
        block.put(63, &row);
        let mut bounds = Bounds::NONE;
        bounds.widen(0, &row);
        for kernel in [Some(Kernel::Portable), Kernel::avx512()].into_iter().flatten() {
            let mut lookup = Lookup::NONE;
            kernel.offer(&mut lookup, [None, Some(listing)], session.profile, ladder);
            let mut hits = Vec::new();
            kernel.scan(std::slice::from_ref(&block), &[(3, &lookup)], &mut hits);
            prop_assert!(matches!(hits[..], [Hit { slot: 7, listing: 3 }]), "{kernel:?}: {hits:?}, {row:?}");
            prop_assert!(Reach::of(lookup).may_concern(&bounds), "{kernel:?}: {bounds:?}");
        }
        Ok(())
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 20_000, ..ProptestConfig::default() })]

        #[test]
        fn whoever_may_be_shown_a_listing_is_found_by_its_tables((session, listing) in pair(), middle in 1_i64..=1 << 40) {
            if passes(&session, &"a:1".parse().unwrap(), &listing) {
                let session = Asked::from(&session);
                is_found(&session, &listing, &Ladder::around(session.budget.cents()))?;
                is_found(&session, &listing, &Ladder::around(middle))?;
            }
        }
    }
}
