//! What is written of a result: the cells `items` and `listings` as JSON text. Pure and deterministic: the same facts give
//! the same bytes after any replay, so that a cell's hash is its ETag.
//!
//! Does not choose (`engine/`) or score (`score.rs`); the sentences are `present/reasons.rs`.

mod reasons;

use schemas::preferences::{Preferences, Profile};
use schemas::priced::{PricedListing, Valuation};
use schemas::recommendation::{ComponentPoints, Recommendation, RecommendedItem};
use schemas::units::Instant;

use crate::facts::{ListingFacts, ScoreEpoch, SessionFacts};
use crate::score::{COMPONENTS, FULL, Key, components, matches, weights};

/// The greatest score on the wire.
const WIRE_SCORE: u64 = 1000;
/// What the weights sum to.
const WEIGHTS: u64 = 256;

/// A listing with what it got for each component (`score::components`).
pub type Scored<'a> = (&'a PricedListing, [u16; 8]);

/// One session's result: what is shown of `best`, the best first.
pub fn recommendation(preferences: &Preferences, preference_version: u64, best: &[Scored<'_>]) -> Recommendation {
    let items = (1..).zip(best).map(|(rank, scored)| item(preferences, rank, *scored)).collect();
    Recommendation { preference_version, items }
}

/// The text of the cell `items`.
pub fn items_cell(recommendation: &Recommendation) -> String {
    // Maps with text keys and finite numbers alone: nothing in it that JSON cannot say.
    serde_json::to_string(recommendation).expect("a recommendation is JSON")
}

/// Filters and scores a page of listings as the engine would: those that match, the best first; at most 255 are ranked.
pub fn preview(preferences: &Preferences, page: &[PricedListing], epoch: ScoreEpoch) -> Vec<RecommendedItem> {
    let session = SessionFacts::of(preferences);
    let mut matching: Vec<(Key, Scored<'_>)> = page
        .iter()
        .filter_map(|priced| {
            let facts = ListingFacts::of(priced, epoch);
            let key = matches(&session, &priced.listing.listing_id, &facts)?;
            Some((key, (priced, components(&session, &facts))))
        })
        .collect();
    matching.sort_unstable_by(|(a, _), (b, _)| b.cmp(a));
    (1..=u8::MAX).zip(matching).map(|(rank, (_, scored))| item(preferences, rank, scored)).collect()
}

fn item(preferences: &Preferences, rank: u8, (priced, components): Scored<'_>) -> RecommendedItem {
    let listing = &priced.listing;
    let points = points(preferences.profile, components);
    let reasons = reasons::of(preferences, priced, components);
    // A deal is a statement about the valuation: it is hidden with it.
    let valued = listing.valuation_allowed;
    RecommendedItem {
        rank,
        listing_id: listing.listing_id.clone(),
        content_version: priced.content_version,
        score: points.iter().map(|(points, _)| points).sum(),
        components: COMPONENTS
            .into_iter()
            .zip(points)
            .zip(reasons)
            .map(|((name, (points, of)), reason)| ComponentPoints { component: name.to_owned(), points, of, reason })
            .collect(),
        last_change: priced.last_change,
        changed_at: priced.changed_at(),
        title: title(priced),
        market: listing.market.clone(),
        standard_status: listing.standard_status,
        // What has no price is never recommended.
        list_price: listing.list_price.unwrap_or_default(),
        currency: listing.currency,
        previous_list_price: priced.previous_list_price,
        living_area_sqft: listing.living_area_sqft,
        bedrooms_total: listing.bedrooms_total,
        bathrooms_total: listing.bathrooms_total,
        // How much was known when it was made is of the fact, not of what a person sees: prices alone are news.
        valuation: priced.valuation.clone().filter(|_| valued).map(Valuation::without_sales_read),
        deal: priced.deal.clone().filter(|_| valued),
        listing_url: listing.listing_url.clone(),
        photo_url: listing.photo_url.clone(),
    }
}

/// The address, if its seller shows it, else `3-bedroom home in Seattle`.
fn title(priced: &PricedListing) -> String {
    let listing = &priced.listing;
    match &listing.unparsed_address {
        Some(address) if listing.address_display_allowed => address.clone(),
        _ => {
            let city = reasons::city(listing);
            listing
                .bedrooms_total
                .map_or(format!("Home in {city}"), |bedrooms| format!("{bedrooms}-bedroom home in {city}"))
        }
    }
}

/// What each component gave and the most it could give, in thousandths of the greatest score.
///
/// The points sum to the score on the wire, `score × 1000 / (4095 × 256)` rounded down: each is its exact share rounded
/// down, and the points still missing go one each to those that lost most by that, of equal ones to the first.
fn points(profile: Profile, components: [u16; 8]) -> [(u16, u16); 8] {
    let whole = FULL as u64 * WEIGHTS;
    let shares =
        std::array::from_fn::<u64, 8, _>(|i| u64::from(components[i]) * u64::from(weights(profile)[i]) * WIRE_SCORE);
    let mut points = shares.map(|share| share / whole);
    let missing = shares.iter().sum::<u64>() / whole - points.iter().sum::<u64>();
    let mut by_loss: [usize; 8] = std::array::from_fn(|i| i);
    by_loss.sort_by_key(|i| std::cmp::Reverse(shares[*i] % whole)); // stable
    // Fewer are missing than there are shares that lost something: the losses sum to less than one each.
    by_loss.into_iter().take(missing as usize).for_each(|i| points[i] += 1);
    std::array::from_fn(|i| {
        let most = (u64::from(weights(profile)[i]) * WIRE_SCORE).div_ceil(WEIGHTS);
        // Both at most 1000.
        (points[i] as u16, most as u16)
    })
}

/// The text of the cell `listings`: the fact as of its last change of content, so that a statement that only confirms it
/// changes no cell.
pub fn listing_cell(priced: &PricedListing) -> String {
    let mut fact = priced.clone();
    fact.listing.version = priced.content_version;
    fact.last_confirmed_at = Instant::from_ms(priced.content_version.timestamp_ms).unwrap_or_default();
    // Attributes came from JSON, the rest is maps with text keys and finite numbers.
    serde_json::to_string(&fact).expect("a priced listing is JSON")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::score::MAX_SCORE;

    #[test]
    fn points_sum_to_the_score_on_the_wire_and_none_exceeds_its_most() {
        let mut state = 11_u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            // Often the extremes, where rounding bites.
            match state >> 33 {
                n if n % 4 == 0 => 4095,
                n if n % 4 == 1 => 0,
                n => (n % 4096) as u16,
            }
        };
        for _ in 0..10_000 {
            for profile in [Profile::Balanced, Profile::Value, Profile::Family, Profile::Commuter] {
                let components: [u16; 8] = std::array::from_fn(|_| next());
                let score: u64 =
                    components.into_iter().zip(weights(profile)).map(|(c, w)| u64::from(c) * u64::from(w)).sum();
                let points = points(profile, components);
                let sum: u64 = points.iter().map(|(points, _)| u64::from(*points)).sum();
                assert_eq!(sum, score * 1000 / u64::from(MAX_SCORE), "{profile:?} {components:?}");
                for (i, (points, most)) in points.into_iter().enumerate() {
                    assert!(points <= most, "{profile:?} {components:?}: {points} of {most} at {i}");
                    assert!(
                        components[i] > 0 || points == 0,
                        "{profile:?} {components:?}: something for nothing at {i}"
                    );
                }
            }
        }
        assert_eq!(points(Profile::Balanced, [4095; 8]).iter().map(|(points, _)| points).sum::<u16>(), 1000);
    }
}
