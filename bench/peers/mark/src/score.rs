//! The score of `scorer/src/score.rs` for what ListingMark's rows say: one city, no area, all of the rest known.
//!
//! Σ component × weight, components 0..=4095, divisions round down.

use std::collections::HashMap;
use std::path::Path;

use crate::Error;
use crate::rows::{self, Asks, Listing, Offer, Session};

/// A component at its best.
const FULL: u32 = 4095;
/// A component about which nothing is said.
const NEUTRAL: u32 = 2048;

/// Columns of a row of weights.
const AFFORDABILITY: usize = 0;
const PLACE: usize = 1;
const SPACE: usize = 2;
const COMMUTE: usize = 3;
const SCHOOLS: usize = 4;
const AMENITIES: usize = 5;
const VALUE: usize = 6;
const MOMENTUM: usize = 7;

/// How much each component counts, per profile.
#[derive(Clone, Debug)]
pub struct Weights([[u32; 8]; 4]);

impl Weights {
    /// Of `weights.csv`.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let rows = rows::weights(path)?;
        let rows = rows.try_into().map_err(|_| format!("{}: not the weights of four profiles", path.display()))?;
        Ok(Self(rows))
    }

    /// Of these rows.
    pub const fn of(rows: [[u32; 8]; 4]) -> Self {
        Self(rows)
    }

    /// Per profile, in the order of the score's components.
    pub fn rows(&self) -> &[[u32; 8]; 4] {
        &self.0
    }

    /// What the listing has whoever asks, per profile: place, schools, value and momentum. An engine computes it once per
    /// version of a listing, as ours does.
    pub fn merits(&self, l: &Offer) -> [u32; 4] {
        let schools = u32::from(l.school) * FULL / 100;
        let value = u32::from(l.deal) * FULL / 100;
        let trend = [1200, 600, 0][usize::from(l.trend.min(2))];
        let momentum = trend + u32::from(l.day.min(400)) * 2895 / 400;
        self.0.map(|w| FULL * w[PLACE] + schools * w[SCHOOLS] + value * w[VALUE] + momentum * w[MOMENTUM])
    }

    /// The rest of the score: what depends on who asks. The listing must pass the session's filters.
    #[inline(always)]
    pub fn fit(&self, s: &Asks, l: &Offer) -> u32 {
        let w = &self.0[usize::from(s.profile & 3)];
        let left = u64::from(s.budget - l.price) * 10_240 / u64::from(s.budget);
        let space = match l.bedrooms - s.min_bedrooms {
            0 => NEUTRAL,
            1 => 3072,
            2.. => FULL,
        };
        let commute = u32::from(s.max_commute - l.commute) * FULL / u32::from(s.max_commute);
        let amenities = match s.preferred.count_ones() {
            0 => NEUTRAL,
            preferred => (s.preferred & l.amenities).count_ones() * FULL / preferred,
        };
        (left as u32).min(FULL) * w[AFFORDABILITY] + space * w[SPACE] + commute * w[COMMUTE] + amenities * w[AMENITIES]
    }

    /// The score, if the session may be shown the listing; both are of one market.
    pub fn score(&self, s: &Asks, l: &Offer) -> Option<u32> {
        passes(s, l).then(|| self.merits(l)[usize::from(s.profile & 3)] + self.fit(s, l))
    }
}

/// Whether the session may be shown the listing; both are of one market.
#[inline(always)]
pub fn passes(s: &Asks, l: &Offer) -> bool {
    l.is_offered
        && l.price <= s.budget
        && l.bedrooms >= s.min_bedrooms
        && l.commute <= s.max_commute
        && l.school >= s.min_school
        && l.amenities & s.required == s.required
}

/// How many pairs pass: what an engine has to hold that keeps them.
pub fn pairs(listings: &[Listing], sessions: &[Session]) -> u64 {
    let mut offers: HashMap<u32, Vec<Offer>> = HashMap::new();
    for listing in listings {
        offers.entry(listing.market).or_default().push(listing.offer);
    }
    let of = |session: &Session| {
        let there = offers.get(&session.market).into_iter().flatten();
        there.filter(|offer| passes(&session.asks, offer)).count() as u64
    };
    sessions.iter().map(of).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BALANCED: [u32; 8] = [56, 24, 28, 28, 28, 32, 44, 16];

    fn pair() -> (Asks, Offer) {
        let asks = Asks {
            budget: 400_000,
            min_bedrooms: 2,
            max_commute: 45,
            min_school: 35,
            required: 0b1,
            preferred: 0b111,
            profile: 0,
        };
        let offer = Offer {
            price: 333_333,
            bedrooms: 3,
            commute: 20,
            school: 59,
            deal: 71,
            trend: 0,
            day: 365,
            amenities: 0b101,
            is_offered: true,
        };
        (asks, offer)
    }

    #[test]
    fn a_score_is_what_one_computes_by_hand() {
        let (asks, offer) = pair();
        let weights = Weights([BALANCED; 4]);
        // 66,667 × 10,240 / 400,000 = 1706; one bedroom more; 25 of 45 minutes left; two of three amenities.
        let fit = 1706 * 56 + 3072 * 28 + 2275 * 28 + 2730 * 32;
        // Rating 5.9: 2416; deal 71: 2907; falling, day 365: 1200 + 2641.
        let merits = 4095 * 24 + 2416 * 28 + 2907 * 44 + 3841 * 16;
        assert_eq!(weights.score(&asks, &offer), Some(fit + merits));
    }

    #[test]
    fn each_filter_refuses() {
        let (asks, offer) = pair();
        assert!(passes(&asks, &offer));
        for refused in [
            Offer { price: 400_001, ..offer },
            Offer { bedrooms: 1, ..offer },
            Offer { commute: 46, ..offer },
            Offer { school: 34, ..offer },
            Offer { amenities: 0b110, ..offer },
            Offer { is_offered: false, ..offer },
        ] {
            assert!(!passes(&asks, &refused), "{refused:?}");
        }
    }
}
