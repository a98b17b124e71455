//! The most that a listing can score with a session, from a few numbers that stand in columns beside the codes: a pair
//! whose ceiling is below the session's bound is let go before anything of it is fetched.
//!
//! Not the score: floats, rounded up, blind to where in its place a listing lies. A ceiling is never below the score (a
//! test holds it to that); how far it is above changes the work, never the result.

use schemas::preferences::Profile;

use super::clusters::{self, LANES, SIDES, lanes};
use super::codes::{CodeColumns, Codes};
use super::keep::Keep;
use crate::facts::{ListingFacts, SessionFacts};
use crate::score::{AFFORDABILITY_SLOPE, FULL, NEUTRAL, USUAL_COMMUTE_MINUTES, extra_bedrooms, merits, weights};

/// More than all rounding errors together: sums stay below 2^21, where a step of a float is 1/8.
const SLACK: f32 = 16.0;

/// What one profile's weights make of the components.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    affordability: f32,
    place: f32,
    space: f32,
    commute: f32,
    amenities: f32,
    /// Of what a listing has whoever asks: schools, value, momentum.
    merits: [f32; 3],
}

impl Scale {
    pub(super) fn of(profile: Profile) -> Self {
        let [affordability, place, space, commute, schools, amenities, value, momentum] =
            weights(profile).map(f32::from);
        Self { affordability, place, space, commute, amenities, merits: [schools, value, momentum] }
    }

    #[inline(always)]
    fn affordability(&self, price: f32, per_unit: f32) -> f32 {
        (self.affordability * AFFORDABILITY_SLOPE as f32 - price * per_unit).min(self.affordability * FULL as f32)
    }

    #[inline(always)]
    fn commute(&self, minutes: f32, per_minute: f32) -> f32 {
        if minutes == UNKNOWN_MINUTES {
            self.commute * NEUTRAL as f32
        } else {
            (self.commute * FULL as f32 - minutes * per_minute).max(0.0)
        }
    }

    #[inline(always)]
    fn merits(&self, [schools, value, momentum]: [f32; 3]) -> f32 {
        schools * self.merits[0] + value * self.merits[1] + momentum * self.merits[2]
    }

    /// What space and amenities give at most.
    fn wishes(&self, wishes: &Wishes, bedrooms: u8, amenities: u64) -> f32 {
        let bedrooms = match wishes.min_bedrooms {
            0 => NEUTRAL,
            // The greatest code stands for any number from there on.
            _ if bedrooms == u8::MAX => FULL,
            min => extra_bedrooms(Some(u16::from(bedrooms.saturating_sub(min)))),
        };
        let space = if wishes.area { (bedrooms + FULL) / 2 } else { bedrooms };
        let amenities =
            match (i64::from(wishes.preferred.count_ones()), i64::from((wishes.preferred & amenities).count_ones())) {
                // It may also be that none is known.
                (0, _) | (_, 0) => NEUTRAL,
                (preferred, present) => present * FULL / preferred,
            };
        self.space * space as f32 + self.amenities * amenities as f32
    }
}

const UNKNOWN_MINUTES: f32 = -1.0;

/// What a session wishes beyond its filters.
#[derive(Clone, Copy, Debug)]
struct Wishes {
    /// A code: 0 is none.
    min_bedrooms: u8,
    /// Whether it asks for one.
    area: bool,
    preferred: u64,
}

impl Wishes {
    /// What the best of listings gives them.
    fn most(&self, scale: &Scale) -> f32 {
        scale.wishes(self, u8::MAX, self.preferred)
    }
}

/// A session, as a row.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seeker {
    codes: Codes,
    scale: Scale,
    wishes: Wishes,
    /// Points that a unit of price costs, and a minute.
    per_unit: f32,
    per_minute: f32,
    /// What place, space and amenities give at most.
    most: f32,
}

impl Seeker {
    pub(super) fn of(session: &SessionFacts) -> Self {
        let codes = Codes::of_session(session);
        let scale = Scale::of(session.profile);
        let area = session.min_area_sqft.is_some();
        let wishes = Wishes { min_bedrooms: codes.bedrooms, area, preferred: session.preferred.bits() };
        let (cities, beyond) = (&session.place.cities, session.place.beyond());
        let by_name = !cities.is_empty() || !beyond.postal_codes.is_empty() || beyond.circle.is_some();
        let place = if by_name { FULL } else { NEUTRAL };
        let minutes = session.max_commute_minutes.unwrap_or(USUAL_COMMUTE_MINUTES);
        Self {
            per_unit: scale.affordability * AFFORDABILITY_SLOPE as f32 / (session.budget.cents() as f32 / 100.0),
            per_minute: scale.commute * FULL as f32 / f32::from(minutes),
            most: scale.place * place as f32 + wishes.most(&scale),
            codes,
            scale,
            wishes,
        }
    }

    /// What affordability, commute and merits must give to reach a score.
    pub(super) fn floor(&self, score: u32) -> f32 {
        score as f32 - self.most - SLACK
    }
}

/// A listing, as a row.
#[derive(Clone, Copy, Debug)]
pub(super) struct Offer {
    codes: Codes,
    price: f32,
    minutes: f32,
    merits: [f32; 3],
}

impl Offer {
    pub(super) fn of(listing: &ListingFacts) -> Self {
        let codes = Codes::of_listing(listing);
        Self {
            codes,
            // Whole units, rounded down: it costs what it costs, or less.
            price: codes.price as f32,
            minutes: listing.commute_minutes.map_or(UNKNOWN_MINUTES, f32::from),
            merits: merits(listing).map(|merit| merit as f32),
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

    fn point(&self) -> [f32; SIDES] {
        let Offer { codes, price, minutes, merits: [schools, value, momentum] } = self.offer;
        [
            // As sessions are asked: a step of the budget is a step of the price.
            price.max(1.0).ln() * 270_000.0,
            schools * 28.0 + value * 44.0 + momentum * 16.0,
            f32::from(codes.bedrooms.min(8)) * 40_000.0,
            minutes.clamp(0.0, 127.0) * 2_000.0,
            codes.amenities.count_ones() as f32 * 8_000.0,
        ]
    }

    fn slot(&self) -> u32 {
        self.slot
    }
}

/// The best that any of some listings has of everything.
#[derive(Clone, Copy, Debug)]
pub(super) struct Best {
    codes: Codes,
    price: f32,
    /// [`UNKNOWN_MINUTES`] counts apart.
    minutes: f32,
    is_unknown: bool,
    merits: [f32; 3],
}

impl clusters::Bounds for Best {
    type Row = Shelved;
    const NONE: Self = Self {
        codes: Codes::WORST,
        price: f32::INFINITY,
        minutes: f32::INFINITY,
        is_unknown: false,
        merits: [f32::NEG_INFINITY; 3],
    };

    fn widen(&mut self, row: &Shelved) {
        let Offer { codes, price, minutes, merits } = row.offer;
        self.codes.better(&codes);
        self.price = self.price.min(price);
        if minutes == UNKNOWN_MINUTES {
            self.is_unknown = true;
        } else {
            self.minutes = self.minutes.min(minutes);
        }
        self.merits.iter_mut().zip(merits).for_each(|(best, merit)| *best = best.max(merit));
    }
}

impl Best {
    /// How far above the floor one of the listings may be with the session; `None`: no filter lets any of them through.
    pub(super) fn spare(&self, seeker: &Seeker, floor: f32) -> Option<f32> {
        if !self.codes.may_suit(&seeker.codes) {
            return None;
        }
        let Seeker { scale, wishes, per_unit, per_minute, .. } = seeker;
        let known = scale.commute(self.minutes, *per_minute);
        let commute = if self.is_unknown { known.max(scale.commute(UNKNOWN_MINUTES, *per_minute)) } else { known };
        let missed = wishes.most(scale) - scale.wishes(wishes, self.codes.bedrooms, self.codes.amenities);
        Some(scale.affordability(self.price, *per_unit) + commute + scale.merits(self.merits) - missed - floor)
    }
}

/// 64 listings.
#[derive(Debug)]
pub(super) struct OfferBlock {
    codes: CodeColumns,
    price: [f32; LANES],
    minutes: [f32; LANES],
    merits: [[f32; LANES]; 3],
    slot: [u32; LANES],
    best: Best,
    taken: u64,
}

impl clusters::Block for OfferBlock {
    type Row = Shelved;
    type Bounds = Best;

    fn empty() -> Self {
        Self {
            codes: CodeColumns::FREE,
            price: [0.0; LANES],
            minutes: [0.0; LANES],
            merits: [[0.0; LANES]; 3],
            slot: [0; LANES],
            best: <Best as clusters::Bounds>::NONE,
            taken: 0,
        }
    }

    fn taken(&self) -> u64 {
        self.taken
    }

    fn put(&mut self, lane: usize, row: &Shelved) {
        let Shelved { offer, slot } = row;
        self.codes.set(lane, &offer.codes);
        self.price[lane] = offer.price;
        self.minutes[lane] = offer.minutes;
        self.merits.iter_mut().zip(offer.merits).for_each(|(column, merit)| column[lane] = merit);
        self.slot[lane] = *slot;
        self.taken |= 1 << lane;
        clusters::Bounds::widen(&mut self.best, row);
    }

    fn clear(&mut self, lane: usize) {
        self.codes.clear(lane);
        self.taken &= !(1 << lane);
    }

    fn row(&self, lane: usize) -> Shelved {
        let offer = Offer {
            codes: self.codes.get(lane),
            price: self.price[lane],
            minutes: self.minutes[lane],
            merits: [self.merits[0][lane], self.merits[1][lane], self.merits[2][lane]],
        };
        Shelved { offer, slot: self.slot[lane] }
    }
}

impl OfferBlock {
    /// See [`Best::spare`].
    pub(super) fn spare(&self, seeker: &Seeker, floor: f32) -> Option<f32> {
        self.best.spare(seeker, floor)
    }

    /// The listings that the session may be shown and that may reach the floor.
    #[inline(always)]
    pub(super) fn offers(&self, seeker: &Seeker, floor: f32) -> u64 {
        let Seeker { codes, scale, wishes, per_unit, per_minute, .. } = *seeker;
        let mut keep = Keep::all();
        self.codes.offers(&codes, &mut keep);
        let [schools, value, momentum] = &self.merits;
        let mut spare = [0.0; LANES];
        for (lane, spare) in spare.iter_mut().enumerate() {
            *spare = scale.affordability(self.price[lane], per_unit)
                + scale.commute(self.minutes[lane], per_minute)
                + scale.merits([schools[lane], value[lane], momentum[lane]])
                - floor;
        }
        keep.only(&spare, |spare| spare >= 0.0);
        let most = wishes.most(&scale);
        lanes(keep.mask()).fold(0, |mask, lane| {
            let (bedrooms, amenities) = self.codes.wished(lane);
            let reaches = spare[lane] >= most - scale.wishes(&wishes, bedrooms, amenities);
            mask | u64::from(reaches) << lane
        })
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::samples::pair;
    use super::clusters::Block as _;
    use super::*;
    use crate::score::{passes, score};

    proptest! {
        #![proptest_config(ProptestConfig { cases: 20_000, ..ProptestConfig::default() })]

        #[test]
        fn a_ceiling_is_never_below_the_score((session, listing) in pair()) {
            if !passes(&session, &"a:1".parse().unwrap(), &listing) {
                return Ok(());
            }
            let (seeker, offer) = (Seeker::of(&session), Offer::of(&listing));
            let floor = seeker.floor(score(&session, &listing));
            let mut listings = OfferBlock::empty();
            listings.put(63, &Shelved { offer, slot: 5 });
            prop_assert!(listings.spare(&seeker, floor).is_some_and(|spare| spare >= 0.0));
            prop_assert_eq!((listings.offers(&seeker, floor), listings.slot(63)), (1 << 63, 5));
        }
    }
}
