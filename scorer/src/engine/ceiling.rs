//! The most that a listing can score with a session, from a few numbers that stand in columns beside the codes: a pair
//! whose ceiling is below the session's bound is let go before anything of it is fetched.
//!
//! Not the score: floats, rounded up, blind to where in its place a listing lies. A ceiling is never below the score (a
//! test holds it to that); how far it is above changes the work, never the result.

use schemas::preferences::Profile;

use super::codes::{CodeColumns, Codes};
use super::rows::{Block, Keep, LANES, lanes};
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
        let place = &session.place;
        let by_name = !place.cities.is_empty() || !place.postal_codes.is_empty() || place.circle.is_some();
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
        floor(score, self.most)
    }

    pub(super) const fn most(&self) -> f32 {
        self.most
    }
}

/// See [`Seeker::floor`].
pub(super) fn floor(score: u32, most: f32) -> f32 {
    score as f32 - most - SLACK
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

/// 64 sessions of one profile.
#[derive(Debug)]
pub(super) struct SeekerBlock {
    codes: CodeColumns,
    floor: [f32; LANES],
    per_unit: [f32; LANES],
    per_minute: [f32; LANES],
    preferred: [u64; LANES],
    slot: [u32; LANES],
}

impl Block for SeekerBlock {
    type Row = Seeker;

    fn free() -> Self {
        Self {
            codes: CodeColumns::FREE,
            floor: [0.0; LANES],
            per_unit: [0.0; LANES],
            per_minute: [0.0; LANES],
            preferred: [0; LANES],
            slot: [0; LANES],
        }
    }

    /// A new row takes no notice of any listing until it gets its bound.
    fn set(&mut self, lane: usize, row: &Seeker, slot: u32) {
        self.codes.set(lane, &row.codes);
        self.floor[lane] = f32::INFINITY;
        self.per_unit[lane] = row.per_unit;
        self.per_minute[lane] = row.per_minute;
        self.preferred[lane] = row.wishes.preferred;
        self.slot[lane] = slot;
    }

    fn clear(&mut self, lane: usize) {
        self.codes.clear(lane);
    }
}

impl SeekerBlock {
    pub(super) fn set_floor(&mut self, lane: usize, floor: f32) {
        self.floor[lane] = floor;
    }

    pub(super) const fn slot(&self, lane: usize) -> u32 {
        self.slot[lane]
    }

    /// The sessions that may be shown the listing and whose floor it may reach.
    pub(super) fn takers(&self, offer: &Offer, scale: &Scale) -> u64 {
        let mut keep = Keep::all();
        self.codes.takers(&offer.codes, &mut keep);
        let merits = scale.merits(offer.merits);
        let mut spare = [0.0; LANES];
        for (lane, spare) in spare.iter_mut().enumerate() {
            *spare = scale.affordability(offer.price, self.per_unit[lane])
                + scale.commute(offer.minutes, self.per_minute[lane])
                + merits
                - self.floor[lane];
        }
        keep.only(&spare, |spare| spare >= 0.0);
        lanes(keep.mask()).fold(0, |mask, lane| {
            let (min_bedrooms, area) = self.codes.space(lane);
            let wishes = Wishes { min_bedrooms, area: area > 0, preferred: self.preferred[lane] };
            let missed = wishes.most(scale) - scale.wishes(&wishes, offer.codes.bedrooms, offer.codes.amenities);
            mask | u64::from(spare[lane] >= missed) << lane
        })
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
}

impl Block for OfferBlock {
    type Row = Offer;

    fn free() -> Self {
        Self {
            codes: CodeColumns::FREE,
            price: [0.0; LANES],
            minutes: [0.0; LANES],
            merits: [[0.0; LANES]; 3],
            slot: [0; LANES],
        }
    }

    fn set(&mut self, lane: usize, row: &Offer, slot: u32) {
        self.codes.set(lane, &row.codes);
        self.price[lane] = row.price;
        self.minutes[lane] = row.minutes;
        self.merits.iter_mut().zip(row.merits).for_each(|(column, merit)| column[lane] = merit);
        self.slot[lane] = slot;
    }

    fn clear(&mut self, lane: usize) {
        self.codes.clear(lane);
    }
}

impl OfferBlock {
    /// The slots of the listings that the session may be shown and that may reach the floor.
    pub(super) fn offers(&self, seeker: &Seeker, floor: f32) -> impl Iterator<Item = u32> {
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
        lanes(keep.mask())
            .filter(move |lane| {
                let (bedrooms, amenities) = self.codes.wished(*lane);
                spare[*lane] >= most - scale.wishes(&wishes, bedrooms, amenities)
            })
            .map(|lane| self.slot[lane])
    }

    /// The slots of all rows.
    pub(super) fn slots(&self) -> impl Iterator<Item = u32> {
        (0..LANES).filter(|lane| self.codes.is_taken(*lane)).map(|lane| self.slot[lane])
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::select;
    use schemas::amenities::AmenitySet;
    use schemas::money::{Currency, MAX_CENTS, Money};
    use schemas::preferences::{Place, Preferences};
    use schemas::priced::PriceTrend;
    use schemas::units::SchoolRating;
    use schemas::vocabulary::{StandardStatus, Transaction};

    use super::*;
    use crate::score::{passes, score};

    fn cents() -> impl Strategy<Value = i64> {
        prop_oneof![1..100_i64, 10_000_000..100_000_000_i64, 1..=MAX_CENTS]
    }

    fn session() -> impl Strategy<Value = SessionFacts> {
        let asked = (
            prop::option::of(prop_oneof![0..6_u16, any::<u16>()]),
            prop::option::of(prop_oneof![1..3_000_u32, any::<u32>()]),
            prop::option::of(1..=600_u16),
        );
        let profile = select(vec![Profile::Balanced, Profile::Value, Profile::Family, Profile::Commuter]);
        (cents(), asked, any::<u64>(), any::<u64>(), any::<bool>(), profile).prop_map(
            |(budget, (min_bedrooms, min_living_area_sqft, max_commute_minutes), few, fewer, named, profile)| {
                let cities = if named { vec!["us/wa/seattle".parse().unwrap()] } else { vec![] };
                let place = Place { cities, country: "us".parse().ok(), ..Place::default() };
                SessionFacts::of(&Preferences {
                    transaction: Transaction::Sale,
                    budget: Money::from_cents(budget).unwrap(),
                    currency: Currency::USD,
                    place,
                    min_bedrooms,
                    min_bathrooms: None,
                    min_living_area_sqft,
                    property_sub_types: vec![],
                    max_commute_minutes,
                    min_school_rating: None,
                    required_amenities: AmenitySet::EMPTY,
                    preferred_amenities: AmenitySet::from_bits(few & fewer),
                    dismissed: vec![],
                    include_coming_soon: false,
                    include_under_contract: false,
                    profile,
                })
            },
        )
    }

    fn listing() -> impl Strategy<Value = ListingFacts> {
        let home = (
            prop::option::weighted(0.9, prop_oneof![0..8_u16, any::<u16>()]),
            prop::option::weighted(0.9, prop_oneof![1..4_000_u32, any::<u32>()]),
            prop::option::weighted(0.9, prop_oneof![0..100_u16, any::<u16>()]),
            prop::option::of(any::<u64>()),
        );
        let worth = (prop::option::of(0..=100_u8), prop::option::of(0..=100_u8), prop::option::of(-100..600));
        let trend = select(vec![PriceTrend::Falling, PriceTrend::Stable, PriceTrend::Rising]);
        (cents(), home, worth, trend).prop_map(|(price, home, (school_rating, deal, on_market_day), price_trend)| {
            ListingFacts {
                status: StandardStatus::Active,
                display_allowed: true,
                transaction: Transaction::Sale,
                currency: Currency::USD,
                price: Money::from_cents(price),
                market: "us/wa/seattle".parse().unwrap(),
                country: "us".parse().unwrap(),
                postal_code: None,
                position: None,
                bedrooms: home.0,
                bathrooms: None,
                area_sqft: home.1,
                sub_type: None,
                commute_minutes: home.2,
                school_rating: school_rating.and_then(SchoolRating::from_steps),
                amenities: home.3.map(AmenitySet::from_bits),
                deal,
                price_trend,
                on_market_day,
            }
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 20_000, ..ProptestConfig::default() })]

        #[test]
        fn a_ceiling_is_never_below_the_score(session in session(), mut listing in listing(), share in 0.0..1.2_f64) {
            // Most prices are below the budget, of whatever size that is.
            if share < 1.0 {
                listing.price = Money::from_cents((session.budget.cents() as f64 * share) as i64);
            }
            if !passes(&session, &"a:1".parse().unwrap(), &listing) {
                return Ok(());
            }
            let (seeker, offer) = (Seeker::of(&session), Offer::of(&listing));
            let floor = seeker.floor(score(&session, &listing));

            let mut sessions = SeekerBlock::free();
            sessions.set(7, &seeker, 1);
            sessions.set_floor(7, floor);
            prop_assert_eq!(sessions.takers(&offer, &seeker.scale), 1 << 7);

            let mut listings = OfferBlock::free();
            listings.set(63, &offer, 5);
            prop_assert_eq!(listings.offers(&seeker, floor).collect::<Vec<_>>(), [5]);
        }
    }
}
