//! A rough guess at what a session would like, for steering a demonstration. Never the judge: which three homes a
//! session sees is decided by the scorer's formula, of which nothing here knows.

use schemas::money::Currency;
use schemas::preferences::{PostalCode, Preferences};
use schemas::vocabulary::Transaction;

use crate::home::{AMENITIES, Home};
use crate::life::Offer;
use crate::places::{KM_PER_LATITUDE, PLACES, postal_code};
use crate::sessions::market_of;

/// Preferences, laid out for asking about many homes.
#[derive(Clone, Debug)]
pub(crate) struct Taste {
    preferences: Preferences,
    /// Which of [`PLACES`] are named, or lie in the country that is.
    whole_places: [bool; PLACES.len()],
    same_currency: [bool; PLACES.len()],
}

impl Taste {
    pub(crate) fn of(preferences: &Preferences) -> Self {
        let place = &preferences.place;
        let whole = |i: usize| {
            let market = market_of(&PLACES[i]);
            place.cities.contains(&market) || place.country == Some(market.country())
        };
        let currency = |i: usize| PLACES[i].currency.parse::<Currency>() == Ok(preferences.currency);
        Self {
            preferences: preferences.clone(),
            whole_places: std::array::from_fn(whole),
            same_currency: std::array::from_fn(currency),
        }
    }

    #[cfg(test)]
    /// Whether the offer passes the session's hard filters.
    pub(crate) fn suits(&self, home: &Home, offer: &Offer) -> bool {
        self.might_suit(home) && i64::from(offer.list_price) <= self.preferences.budget.units() && {
            let p = &self.preferences;
            offer.status.is_on_market(p.include_coming_soon, p.include_under_contract)
        }
    }

    /// Whether the home would suit if only it were offered at the right price.
    pub(crate) fn might_suit(&self, home: &Home) -> bool {
        let p = &self.preferences;
        let required = p.required_amenities.words().all(|word| has_amenity(home, word));
        self.same_currency[home.place]
            && (p.transaction == Transaction::Lease) == home.lease
            && !home.gaps.display_forbidden
            && p.min_bedrooms.is_none_or(|min| home.bedrooms >= min)
            && p.min_bathrooms.is_none_or(|min| home.bathroom_halves >= min.steps())
            && p.min_living_area_sqft.is_none_or(|min| !home.gaps.no_living_area && home.living_area_sqft >= min)
            && (p.property_sub_types.is_empty() || p.property_sub_types.contains(&home.kind))
            && p.max_commute_minutes.is_none_or(|max| home.commute_minutes <= max)
            && p.min_school_rating.is_none_or(|min| home.school_tenths >= min.steps())
            && required
            && (self.whole_places[home.place] || self.lies_within(home))
    }

    /// How much it would please, without unit: cheap for what it is worth, well below the budget, with what is wished for.
    pub(crate) fn appeal(&self, home: &Home, offer: &Offer, fair: f64) -> f64 {
        let p = &self.preferences;
        let price = f64::from(offer.list_price);
        let budget = p.budget.units() as f64;
        let wished = p.preferred_amenities.words().filter(|word| has_amenity(home, word)).count() as f64;
        let wishes = f64::from(p.preferred_amenities.len().max(1));
        1.5 * ((budget - price) / budget * 2.5).min(1.0) + 2.0 * (fair / price - 1.0) + 0.7 * wished / wishes
            - f64::from(home.commute_minutes) / 120.0
            + f64::from(home.school_tenths) / 150.0
    }

    fn lies_within(&self, home: &Home) -> bool {
        let place = &self.preferences.place;
        let country = market_of(&PLACES[home.place]).country();
        let code = PostalCode { country, code: postal_code(home.place, home.neighbourhood) };
        let in_circle = place.within.is_some_and(|circle| {
            let degrees = |a: i32, b: i32| f64::from(a - b) / 1e5;
            let north = degrees(home.latitude_e5, circle.latitude.steps()) * KM_PER_LATITUDE;
            let east = degrees(home.longitude_e5, circle.longitude.steps()) * PLACES[home.place].km_per_longitude;
            (north * north + east * east).sqrt() <= f64::from(circle.radius_km.steps()) / 1_000.0
        });
        in_circle || place.postal_codes.contains(&code)
    }
}

fn has_amenity(home: &Home, word: &str) -> bool {
    AMENITIES.iter().position(|a| a.word == word).is_some_and(|i| home.amenities >> i & 1 == 1)
}
