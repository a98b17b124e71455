//! Cells as they are written.

use schemas::preferences::Preferences;
use schemas::priced::PricedListing;
use schemas::recommendation::Recommendation;
use schemas::units::Instant;
use schemas::version::ListingVersion;
use scorer::facts::{ListingFacts, ScoreEpoch, SessionFacts};
use scorer::present::{items_cell, listing_cell, preview, recommendation};
use scorer::score::{MAX_SCORE, components, matches};
use serde_json::json;

fn preferences() -> Preferences {
    serde_json::from_value(json!({
        "budget": 800_000, "currency": "USD",
        "place": {"within": {"latitude": 47.6, "longitude": -122.3, "radius_km": 5}, "country": "us"},
        "min_bedrooms": 2, "min_living_area_sqft": 1_200, "max_commute_minutes": 45,
        "preferred_amenities": ["pool", "garage"],
    }))
    .unwrap()
}

fn full() -> PricedListing {
    let version = |ms: i64| json!({"timestamp_ms": ms, "raw_partition": 1, "raw_offset": 7, "batch_index": 0});
    serde_json::from_value(json!({
        "listing": {
            "listing_id": "redfin:171727", "version": version(1_794_000_000_000_i64), "feed": "redfin",
            "standard_status": "Active", "property_type": "Residential", "property_sub_type": "Townhouse",
            "transaction": "sale", "market": "us/wa/seattle", "country": "us", "city": "SEATTLE", "postal_code": "98101",
            "unparsed_address": "1 Pike St", "position": {"latitude": 47.61, "longitude": -122.3}, "currency": "USD",
            "list_price": 640_000, "bedrooms_total": 3, "bathrooms_total": 2.5, "living_area_sqft": 1_500,
            "on_market_at": "2026-10-01T08:00:00.000Z", "amenities": ["garage"],
            "listing_url": "https://example.com/171727", "photo_url": "https://example.com/171727.jpg",
            "public_remarks": "Walk to the market.",
        },
        "content_version": version(1_793_000_000_000_i64),
        "last_confirmed_at": "2026-11-06T19:20:00.000Z",
        "history": [
            {"version": version(1_791_000_000_000_i64), "standard_status": "Active", "list_price": 665_000},
            {"version": version(1_793_000_000_000_i64), "standard_status": "Active", "list_price": 640_000},
        ],
        "first_seen_at": "2026-10-03T00:00:00.000Z",
        "original_list_price": 665_000, "previous_list_price": 665_000, "price_changed_at": "2026-10-26T07:33:20.000Z",
        "last_change": "PriceChange",
        "commute": {"minutes": 12, "estimated": true}, "school_rating": 7.5,
        "valuation": {"p10": 600_000, "p50": 655_000, "p90": 710_000, "model": "seattle", "model_version": "3"},
        "deal": {"score": 64, "valuation_gap": 59, "price_trend": 5, "source_reliability": 0, "discount": 0,
                 "competitiveness": 0, "anomaly": false},
    }))
    .unwrap()
}

/// What a feed must say at least.
fn bare() -> PricedListing {
    let version = json!({"timestamp_ms": 1_793_000_000_000_i64, "raw_partition": 0, "raw_offset": 3, "batch_index": 0});
    serde_json::from_value(json!({
        "listing": {
            "listing_id": "mls:9", "version": version, "feed": "mls", "standard_status": "Active",
            "property_type": "Residential", "transaction": "sale", "market": "us/ca/palm-springs", "country": "us",
            "currency": "USD", "list_price": 800_000,
        },
        "content_version": version, "last_confirmed_at": "2026-10-26T07:33:20.000Z",
        "history": [{"version": version, "standard_status": "Active", "list_price": 800_000}],
        "first_seen_at": "2026-10-26T07:33:20.000Z", "last_change": "NewListing",
    }))
    .unwrap()
}

fn scored<'a>(preferences: &Preferences, priced: &'a PricedListing) -> (&'a PricedListing, [u16; 8]) {
    let facts = ListingFacts::of(priced, ScoreEpoch::default());
    (priced, components(&SessionFacts::of(preferences), &facts))
}

fn one(preferences: &Preferences, priced: &PricedListing) -> Recommendation {
    recommendation(preferences, 42, &[scored(preferences, priced)])
}

#[test]
fn every_pick_explains_itself() {
    insta::assert_json_snapshot!(one(&preferences(), &full()));
}

#[test]
fn a_listing_of_which_little_is_known_says_so() {
    let anything =
        Preferences { min_bedrooms: None, min_living_area_sqft: None, max_commute_minutes: None, ..preferences() };
    insta::assert_json_snapshot!(one(&anything, &bare()).items[0].components);
    assert_eq!(one(&anything, &bare()).items[0].title, "Home in Palm Springs");
}

#[test]
fn the_score_on_the_wire_is_in_thousandths() {
    let (preferences, priced) = (preferences(), full());
    let id = &priced.listing.listing_id;
    let facts = ListingFacts::of(&priced, ScoreEpoch::default());
    let key = matches(&SessionFacts::of(&preferences), id, &facts).unwrap();
    let item = &one(&preferences, &priced).items[0];
    assert_eq!(u64::from(item.score), u64::from(key.score) * 1000 / u64::from(MAX_SCORE));
    assert_eq!(item.components.iter().map(|component| component.points).sum::<u16>(), item.score);
}

#[test]
fn what_a_seller_forbids_is_not_shown() {
    let mut priced = full();
    priced.listing.address_display_allowed = false;
    priced.listing.valuation_allowed = false;
    let item = one(&preferences(), &priced).items.remove(0);
    assert_eq!(item.title, "3-bedroom home in Seattle");
    assert_eq!((item.valuation, item.deal), (None, None));
    let value = &item.components[6];
    assert_eq!(value.reason, "There is no valuation to compare its price with.");
    let cell = items_cell(&one(&preferences(), &priced));
    assert!(!cell.contains("Pike") && !cell.contains("655"), "{cell}");
}

#[test]
fn a_reason_names_the_part_of_the_place_that_counted() {
    let reason = |place: serde_json::Value| {
        let place = serde_json::from_value(place).unwrap();
        one(&Preferences { place, ..preferences() }, &full()).items[0].components[1].reason.clone()
    };
    let circle = |radius_km: u32| json!({"latitude": 47.6, "longitude": -122.3, "radius_km": radius_km});
    assert_eq!(reason(json!({"cities": ["us/wa/seattle"], "country": "us"})), "It is in Seattle, a city you named.");
    assert_eq!(reason(json!({"postal_codes": ["us/98101"]})), "Its postal code 98101 is one you named.");
    assert_eq!(reason(json!({"within": circle(2)})), "It is 1.1 km from the centre of your circle of 2 km.");
    assert_eq!(
        reason(json!({"within": circle(9), "country": "us"})),
        "It is 1.1 km from the centre of your circle of 9 km."
    );
    assert_eq!(reason(json!({"within": circle(2), "country": "us"})), "It is in US, the country you named.");
    assert_eq!(reason(json!({"within": circle(1), "country": "us"})), "It is in US, the country you named.");
}

#[test]
fn a_confirmation_alone_changes_no_cell() {
    let fact = full();
    let mut confirmed = fact.clone();
    confirmed.listing.version = ListingVersion { timestamp_ms: 1_795_000_000_000, ..fact.listing.version };
    confirmed.last_confirmed_at = Instant::from_ms(1_795_000_000_000).unwrap();
    assert_eq!(listing_cell(&confirmed), listing_cell(&fact));
    assert_eq!(items_cell(&one(&preferences(), &confirmed)), items_cell(&one(&preferences(), &fact)));

    let mut changed = fact.clone();
    changed.listing.public_remarks = None;
    assert_ne!(listing_cell(&changed), listing_cell(&fact));
    let read: PricedListing = serde_json::from_str(&listing_cell(&fact)).unwrap();
    assert_eq!(read.listing.version, fact.content_version);
    assert_eq!(
        PricedListing { last_confirmed_at: fact.last_confirmed_at, listing: fact.listing.clone(), ..read },
        fact
    );
}

#[test]
fn a_preview_ranks_what_matches_as_the_engine_would() {
    let mut better = full();
    better.listing.listing_id = "redfin:9".parse().unwrap();
    better.school_rating = None;
    better.deal.as_mut().unwrap().score = 100;
    let mut small = full();
    small.listing.living_area_sqft = Some(1_199);
    let mut tied = full();
    tied.listing.listing_id = "a:1".parse().unwrap();
    let items = preview(&preferences(), &[full(), small, better, tied, bare()], ScoreEpoch::default());
    let ranked: Vec<_> = items.iter().map(|item| (item.rank, item.listing_id.as_str())).collect();
    assert_eq!(ranked, [(1, "redfin:9"), (2, "a:1"), (3, "redfin:171727")]);
}

#[test]
fn an_empty_result_is_a_cell_too() {
    assert_eq!(items_cell(&recommendation(&preferences(), 7, &[])), r#"{"preference_version":7,"items":[]}"#);
}
