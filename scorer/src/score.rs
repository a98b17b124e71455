//! The score: which listings a session may be shown, and how well each fits. The one place where the formula is.
//!
//! Integers only, so that every machine agrees bit for bit: products in i64, divisions round down. Does not know the
//! time, who asks (`engine/`) or how a score is shown (`present.rs`).

use std::cmp::Reverse;

use schemas::id::ListingId;
use schemas::preferences::Profile;
use schemas::priced::PriceTrend;
use schemas::vocabulary::StandardStatus;

use crate::facts::{Asked, ListingFacts};

/// The components of the score.
pub const COMPONENTS: [&str; 8] =
    ["affordability", "place", "space", "commute", "schools", "amenities", "value", "momentum"];

/// How much each component counts; every row sums to 256.
pub const fn weights(profile: Profile) -> [u16; 8] {
    match profile {
        Profile::Balanced => [56, 24, 28, 28, 28, 32, 44, 16],
        Profile::Value => [64, 16, 20, 16, 16, 20, 84, 20],
        Profile::Family => [40, 24, 48, 20, 60, 32, 24, 8],
        Profile::Commuter => [48, 40, 20, 72, 16, 24, 28, 8],
    }
}

/// A component at its best.
pub const FULL: i64 = 4095;
/// A component about which the listing or the session says nothing.
pub const NEUTRAL: i64 = 2048;
/// Affordability per share of the budget that is left: full at 40 % under it.
pub const AFFORDABILITY_SLOPE: i64 = 10_240;
/// The longest commute that scores, where the session sets none.
pub const USUAL_COMMUTE_MINUTES: u16 = 90;
/// The greatest score, below 2^20.
pub const MAX_SCORE: u32 = 4095 * 256;

/// Where a listing stands with a session; the greater is shown first: by score, then by smaller listing id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// 0..=[`MAX_SCORE`].
    pub score: u32,
    /// Breaks ties.
    pub listing: Reverse<ListingId>,
}

/// The listing's key, if the session may be shown it.
pub fn matches<'a>(session: impl Into<Asked<'a>>, id: &ListingId, listing: &ListingFacts) -> Option<Key> {
    let session = &session.into();
    passes(session, id, listing).then(|| Key { score: score(session, listing), listing: Reverse(id.clone()) })
}

/// Whether the session may be shown the listing.
pub fn passes<'a>(session: impl Into<Asked<'a>>, id: &ListingId, listing: &ListingFacts) -> bool {
    filters(session, id, listing).iter().all(|(_, passes)| *passes)
}

/// The hard filters by name, and whether the listing passes each. What it lacks fails a filter that asks for it.
pub fn filters<'a>(session: impl Into<Asked<'a>>, id: &ListingId, l: &ListingFacts) -> [(&'static str, bool); 15] {
    let s = session.into();
    [
        ("offered", l.is_offered()),
        ("transaction", l.transaction == s.transaction),
        ("currency", l.currency == s.currency),
        ("place", place(&s, l).is_some()),
        ("budget", l.price.is_some_and(|price| price <= s.budget)),
        ("min_bedrooms", at_least(s.min_bedrooms, l.bedrooms)),
        ("min_bathrooms", at_least(s.min_bathrooms, l.bathrooms)),
        ("min_living_area_sqft", at_least(s.min_area_sqft, l.area_sqft)),
        ("property_sub_types", s.sub_types.is_empty() || l.sub_type.is_some_and(|kind| s.sub_types.contains(kind))),
        ("max_commute_minutes", s.max_commute_minutes.is_none_or(|max| l.commute_minutes.is_some_and(|it| it <= max))),
        ("min_school_rating", at_least(s.min_school_rating, l.school_rating)),
        ("required_amenities", l.amenities.unwrap_or_default().contains_all(s.required)),
        ("dismissed", s.dismissed.binary_search(id).is_err()),
        ("include_coming_soon", s.include_coming_soon || l.status != StandardStatus::ComingSoon),
        ("include_under_contract", s.include_under_contract || l.status != StandardStatus::ActiveUnderContract),
    ]
}

/// Σ component × weight. Means something for listings that pass the filters; any number up to [`MAX_SCORE`] for others.
pub fn score<'a>(session: impl Into<Asked<'a>>, listing: &ListingFacts) -> u32 {
    let session = &session.into();
    let weighted = components(session, listing).into_iter().zip(weights(session.profile));
    weighted.map(|(component, weight)| u32::from(component) * u32::from(weight)).sum()
}

/// Each component, 0..=4095, in the order of [`COMPONENTS`].
pub fn components<'a>(session: impl Into<Asked<'a>>, l: &ListingFacts) -> [u16; 8] {
    let s = session.into();
    let budget = s.budget.cents();
    let affordability = l.price.map_or(0, |price| (budget - price.cents()) * AFFORDABILITY_SLOPE / budget);

    let bedrooms = extra_bedrooms(s.min_bedrooms.zip(l.bedrooms).map(|(min, has)| has.saturating_sub(min)));
    let space = match (s.min_area_sqft.map(i64::from), l.area_sqft.map(i64::from)) {
        (Some(min), Some(has)) => (bedrooms + NEUTRAL + ((has - min) * 2047 / min).min(2047)) / 2,
        _ => bedrooms,
    };

    let max = i64::from(s.max_commute_minutes.unwrap_or(USUAL_COMMUTE_MINUTES));
    let commute = l.commute_minutes.map_or(NEUTRAL, |minutes| (max - i64::from(minutes)) * FULL / max);
    let amenities = match (i64::from(s.preferred.len()), l.amenities) {
        (0, _) | (_, None) => NEUTRAL,
        (preferred, Some(has)) => i64::from(has.and(s.preferred).len()) * FULL / preferred,
    };
    let place = place(&s, l).unwrap_or(0);
    let [schools, value, momentum] = merits(l);
    [affordability, place, space, commute, schools, amenities, value, momentum]
        .map(|component| component.clamp(0, FULL) as u16)
}

/// For so many beyond the minimum; `None`: no minimum.
pub const fn extra_bedrooms(beyond: Option<u16>) -> i64 {
    match beyond {
        None | Some(0) => NEUTRAL,
        Some(1) => 3072,
        Some(2..) => FULL,
    }
}

/// Schools, value and momentum: what a listing has whoever asks.
pub fn merits(l: &ListingFacts) -> [i64; 3] {
    let schools = l.school_rating.map_or(NEUTRAL, |rating| i64::from(rating.steps()) * FULL / 100);
    let value = l.deal.map_or(NEUTRAL, |deal| i64::from(deal) * FULL / 100);

    let trend = match l.price_trend {
        PriceTrend::Falling => 1200,
        PriceTrend::Stable => 600,
        PriceTrend::Rising => 0,
    };
    // Without a date: the middle, so that a listing of which neither is known has the neutral 2048.
    let newness = l.on_market_day.map_or(1448, |days| i64::from(days).clamp(0, 400) * 2895 / 400);
    [schools, value, trend + newness]
}

/// The best of the parts that match; `None` if none does.
fn place(s: &Asked<'_>, l: &ListingFacts) -> Option<i64> {
    if s.cities.contains(&l.market) {
        return Some(FULL);
    }
    let beyond = s.beyond?;
    if l.postal_code.is_some_and(|code| beyond.postal_codes.contains(&code)) {
        return Some(FULL);
    }
    let circle = beyond
        .circle
        .zip(l.position)
        .and_then(|(disc, at)| disc.distance_m(at).map(|distance| FULL - distance * FULL / disc.radius_m()));
    circle.max((beyond.country == Some(l.country)).then_some(NEUTRAL))
}

fn at_least<T: PartialOrd>(asked: Option<T>, has: Option<T>) -> bool {
    asked.is_none_or(|asked| has.is_some_and(|has| has >= asked))
}
