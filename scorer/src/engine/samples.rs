//! Sessions and listings of every kind, for the tests of the bounds: extremes among them, and prices near budgets.

use proptest::prelude::*;
use proptest::sample::select;
use schemas::amenities::AmenitySet;
use schemas::money::{Currency, MAX_CENTS, Money};
use schemas::preferences::{Place, Preferences, Profile};
use schemas::priced::PriceTrend;
use schemas::units::SchoolRating;
use schemas::vocabulary::{StandardStatus, Transaction};

use crate::facts::{ListingFacts, SessionFacts};

fn cents() -> impl Strategy<Value = i64> {
    prop_oneof![1..100_i64, 10_000_000..100_000_000_i64, 1..=MAX_CENTS]
}

fn session() -> impl Strategy<Value = SessionFacts> {
    let asked = (
        prop::option::of(prop_oneof![0..6_u16, any::<u16>()]),
        prop::option::of(prop_oneof![1..3_000_u32, any::<u32>()]),
        prop::option::of(1..=600_u16),
        prop::option::of(0..=100_u8),
    );
    let profile = select(vec![Profile::Balanced, Profile::Value, Profile::Family, Profile::Commuter]);
    let opted = (any::<bool>(), any::<bool>());
    (cents(), asked, any::<u64>(), any::<u64>(), any::<bool>(), opted, profile).prop_map(
        |(budget, asked, few, fewer, named, (include_coming_soon, include_under_contract), profile)| {
            let (min_bedrooms, min_living_area_sqft, max_commute_minutes, min_school_rating) = asked;
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
                min_school_rating: min_school_rating.and_then(SchoolRating::from_steps),
                required_amenities: AmenitySet::EMPTY,
                preferred_amenities: AmenitySet::from_bits(few & fewer),
                dismissed: vec![],
                include_coming_soon,
                include_under_contract,
                profile,
            })
        },
    )
}

/// Most prices are below the budget, of whatever size that is.
pub(super) fn pair() -> impl Strategy<Value = (SessionFacts, ListingFacts)> {
    (session(), listing(), 0.0..1.2_f64).prop_map(|(session, mut listing, share)| {
        if share < 1.0 {
            listing.price = Money::from_cents((session.budget.cents() as f64 * share) as i64);
        }
        (session, listing)
    })
}

fn listing() -> impl Strategy<Value = ListingFacts> {
    let home = (
        prop::option::weighted(0.9, prop_oneof![0..8_u16, any::<u16>()]),
        prop::option::weighted(0.9, prop_oneof![1..4_000_u32, any::<u32>()]),
        prop::option::weighted(0.9, prop_oneof![0..100_u16, any::<u16>()]),
        prop::option::of(any::<u64>()),
    );
    let worth = (prop::option::of(0..=100_u8), prop::option::of(0..=100_u8), prop::option::of(-100..600));
    let status = select(vec![StandardStatus::Active, StandardStatus::ComingSoon, StandardStatus::ActiveUnderContract]);
    let trend = select(vec![PriceTrend::Falling, PriceTrend::Stable, PriceTrend::Rising]);
    (cents(), home, worth, trend, status).prop_map(
        |(price, home, (school_rating, deal, on_market_day), price_trend, status)| ListingFacts {
            status,
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
        },
    )
}
