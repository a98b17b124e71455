//! Every line of the tables in DESIGN §6, by values worked out by hand.

use schemas::amenities::AmenitySet;
use schemas::id::ListingId;
use schemas::money::Money;
use schemas::preferences::{Circle, Place, PostalCode, Preferences, Profile};
use schemas::priced::PriceTrend;
use schemas::units::{Bathrooms, Position, RadiusKm, SchoolRating};
use schemas::vocabulary::{PropertySubType, StandardStatus, Transaction};
use scorer::facts::{ListingFacts, PostalKey, SessionFacts};
use scorer::score::{COMPONENTS, Key, MAX_SCORE, components, filters, matches, score, weights};

use crate::world::{anything, bare};

const ALL_PROFILES: [Profile; 4] = [Profile::Balanced, Profile::Value, Profile::Family, Profile::Commuter];

/// A listing about which everything is known.
fn full() -> ListingFacts {
    ListingFacts {
        postal_code: PostalKey::of("us".parse().unwrap(), "98101"),
        position: Position::from_degrees(47.6, -122.3),
        bedrooms: Some(3),
        bathrooms: Bathrooms::from_steps(5),
        area_sqft: Some(2_000),
        sub_type: Some(PropertySubType::Townhouse),
        commute_minutes: Some(30),
        school_rating: SchoolRating::from_steps(75),
        amenities: Some(AmenitySet::from_bits(0b01)),
        deal: Some(80),
        on_market_day: Some(100),
        ..bare()
    }
}

fn id(text: &str) -> ListingId {
    text.parse().unwrap()
}

fn facts(change: impl FnOnce(&mut Preferences)) -> SessionFacts {
    let mut preferences = anything();
    change(&mut preferences);
    SessionFacts::of(&preferences)
}

fn component(name: &str, session: &SessionFacts, listing: &ListingFacts) -> u16 {
    let index = COMPONENTS.iter().position(|component| *component == name).unwrap();
    components(session, listing)[index]
}

/// The filters that the listing fails.
fn fails(session: &SessionFacts, listing: &ListingFacts) -> Vec<&'static str> {
    filters(session, &id("a:1"), listing).into_iter().filter(|(_, passes)| !passes).map(|(name, _)| name).collect()
}

#[test]
fn every_profile_sums_to_256_and_says_what_the_table_says() {
    for profile in ALL_PROFILES {
        assert_eq!(weights(profile).iter().sum::<u16>(), 256, "{profile:?}");
    }
    assert_eq!(weights(Profile::Balanced), [56, 24, 28, 28, 28, 32, 44, 16]);
    assert_eq!(weights(Profile::Value), [64, 16, 20, 16, 16, 20, 84, 20]);
    assert_eq!(weights(Profile::Family), [40, 24, 48, 20, 60, 32, 24, 8]);
    assert_eq!(weights(Profile::Commuter), [48, 40, 20, 72, 16, 24, 28, 8]);
    const { assert!(MAX_SCORE < 1 << 20) };
}

#[test]
fn affordability_is_full_at_forty_percent_under_the_budget() {
    for (budget_cents, price_cents, expected) in [
        (50_000_000, 50_000_000, 0),
        (50_000_000, 49_999_999, 0),
        (50_000_000, 40_000_000, 2048),
        (50_000_000, 30_010_000, 4093),
        (50_000_000, 30_000_000, 4095),
        (50_000_000, 0, 4095),
        // The smallest and the greatest budget.
        (1, 1, 0),
        (1, 0, 4095),
        (99_999_999_999_999, 99_999_999_999_999, 0),
        (99_999_999_999_999, 0, 4095),
        (99_999_999_999_999, 90_000_000_000_000, 1023),
    ] {
        let session = facts(|p| p.budget = Money::from_cents(budget_cents).unwrap());
        let listing = ListingFacts { price: Money::from_cents(price_cents), ..bare() };
        assert_eq!(component("affordability", &session, &listing), expected, "{price_cents} of {budget_cents}");
    }
}

#[test]
fn place_is_the_best_of_the_parts_that_match() {
    let circle = |latitude: f64, radius_m: u32| {
        let centre = Position::from_degrees(latitude, -122.3).unwrap();
        let radius_km = RadiusKm::from_steps(radius_m).unwrap();
        Some(Circle { latitude: centre.latitude, longitude: centre.longitude, radius_km })
    };
    let postal: PostalCode = "us/98101".parse().unwrap();
    let place = |cities: &[&str], postal_codes: &[&PostalCode], within, country: Option<&str>| Place {
        cities: cities.iter().map(|city| city.parse().unwrap()).collect(),
        postal_codes: postal_codes.iter().map(|code| (*code).clone()).collect(),
        within,
        country: country.map(|country| country.parse().unwrap()),
    };
    for (place, expected) in [
        (place(&["us/wa/seattle"], &[], None, None), Some(4095)),
        (place(&["us/wa/tacoma", "us/wa/seattle"], &[], None, None), Some(4095)),
        (place(&[], &[&postal], None, None), Some(4095)),
        (place(&[], &[], None, Some("us")), Some(2048)),
        // At the centre; 0.001 degree = 111 m north of it; beyond.
        (place(&[], &[], circle(47.6, 1_000), None), Some(4095)),
        (place(&[], &[], circle(47.601, 1_000), None), Some(4095 - 454)),
        (place(&[], &[], circle(47.601, 111), None), Some(0)),
        (place(&[], &[], circle(47.601, 110), None), None),
        // Unions.
        (place(&[], &[], circle(47.601, 111), Some("us")), Some(2048)),
        (place(&[], &[], circle(47.6, 1_000), Some("us")), Some(4095)),
        (place(&["us/wa/seattle"], &[], circle(47.601, 111), Some("us")), Some(4095)),
        (place(&["us/wa/tacoma"], &[], circle(47.601, 110), Some("us")), Some(2048)),
        (place(&["us/wa/tacoma"], &[&"ca/98101".parse().unwrap()], None, Some("ca")), None),
    ] {
        let session = facts(|p| p.place = place.clone());
        match expected {
            Some(expected) => {
                assert_eq!(fails(&session, &full()), Vec::<&str>::new(), "{place:?}");
                assert_eq!(component("place", &session, &full()), expected, "{place:?}");
            }
            None => assert_eq!(fails(&session, &full()), ["place"], "{place:?}"),
        }
    }
    let session = facts(|p| p.place = place(&[], &[], circle(47.6, 500_000), None));
    assert_eq!(fails(&session, &bare()), ["place"], "without a position it lies in no circle");
}

#[test]
fn space_is_the_mean_of_bedrooms_beyond_the_minimum_and_area() {
    let none = None::<u32>;
    for (min_bedrooms, bedrooms, min_area, area, expected) in [
        // Nothing asked: nothing said, whatever it has.
        (None, Some(9), none, Some(9_000), 2048),
        (None, None, none, none, 2048),
        // Bedrooms alone.
        (Some(3), Some(3), none, none, 2048),
        (Some(3), Some(4), none, none, 3072),
        (Some(3), Some(5), none, none, 4095),
        (Some(3), Some(20), none, none, 4095),
        (Some(0), Some(0), none, none, 2048),
        (Some(u16::MAX), Some(u16::MAX), none, none, 2048),
        // Area alone: the bedrooms say nothing (2048); 1,500 of 1,000 is 2048 + 1023.
        (None, Some(5), Some(1_000), Some(1_000), 2048),
        (None, Some(5), Some(1_000), Some(1_500), (2048 + 3071) / 2),
        (None, Some(5), Some(1_000), Some(2_000), (2048 + 4095) / 2),
        (None, None, Some(1_000), Some(u32::MAX), (2048 + 4095) / 2),
        (None, None, Some(1), Some(u32::MAX), (2048 + 4095) / 2),
        // Both.
        (Some(3), Some(5), Some(1_000), Some(1_500), (4095 + 3071) / 2),
        (Some(3), Some(4), Some(3_000), Some(3_001), (3072 + 2048) / 2),
    ] {
        let session = facts(|p| {
            p.min_bedrooms = min_bedrooms;
            p.min_living_area_sqft = min_area;
        });
        let listing = ListingFacts { bedrooms, area_sqft: area, ..bare() };
        let case = format!("{bedrooms:?} of {min_bedrooms:?}, {area:?} of {min_area:?}");
        assert_eq!(fails(&session, &listing), Vec::<&str>::new(), "{case}");
        assert_eq!(component("space", &session, &listing), expected, "{case}");
    }
}

#[test]
fn commute_is_measured_against_the_most_the_session_takes_or_ninety_minutes() {
    for (max, minutes, expected) in [
        (None, None, 2048),
        (None, Some(0), 4095),
        (None, Some(30), 2730),
        (None, Some(90), 0),
        (None, Some(91), 0),
        (None, Some(u16::MAX), 0),
        (Some(60), Some(15), 3071),
        (Some(60), Some(60), 0),
        (Some(1), Some(0), 4095),
        (Some(1), Some(1), 0),
        (Some(600), Some(300), 2047),
    ] {
        let session = facts(|p| p.max_commute_minutes = max);
        let listing = ListingFacts { commute_minutes: minutes, ..bare() };
        assert_eq!(fails(&session, &listing), Vec::<&str>::new(), "{minutes:?} of {max:?}");
        assert_eq!(component("commute", &session, &listing), expected, "{minutes:?} of {max:?}");
    }
}

#[test]
fn schools_amenities_and_value_are_fractions_and_neutral_when_unknown() {
    let session = facts(|_| {});
    for (tenths, expected) in [(None, 2048), (Some(0), 0), (Some(1), 40), (Some(75), 3071), (Some(100), 4095)] {
        let listing = ListingFacts { school_rating: tenths.and_then(SchoolRating::from_steps), ..bare() };
        assert_eq!(component("schools", &session, &listing), expected, "{tenths:?}");
    }
    for (deal, expected) in [(None, 2048), (Some(0), 0), (Some(50), 2047), (Some(80), 3276), (Some(100), 4095)] {
        assert_eq!(component("value", &session, &ListingFacts { deal, ..bare() }), expected, "{deal:?}");
    }
    for (preferred, has, expected) in [
        (0b000, None, 2048),
        (0b000, Some(0b111), 2048),
        (0b111, None, 2048),
        (0b111, Some(0b000), 0),
        (0b111, Some(0b001), 1365),
        (0b111, Some(0b1101), 2730),
        (0b111, Some(0b111), 4095),
        (u64::MAX, Some(u64::MAX), 4095),
    ] {
        let session = facts(|p| p.preferred_amenities = AmenitySet::from_bits(preferred));
        let listing = ListingFacts { amenities: has.map(AmenitySet::from_bits), ..bare() };
        assert_eq!(component("amenities", &session, &listing), expected, "{has:?} of {preferred:b}");
    }
}

#[test]
fn momentum_adds_the_trend_and_the_days_from_the_epoch() {
    for (price_trend, on_market_day, expected) in [
        (PriceTrend::Stable, None, 2048),
        (PriceTrend::Falling, None, 2648),
        (PriceTrend::Rising, None, 1448),
        (PriceTrend::Rising, Some(-5_000), 0),
        (PriceTrend::Rising, Some(0), 0),
        (PriceTrend::Rising, Some(1), 7),
        (PriceTrend::Stable, Some(200), 600 + 1447),
        (PriceTrend::Stable, Some(400), 600 + 2895),
        (PriceTrend::Falling, Some(400), 4095),
        (PriceTrend::Falling, Some(5_000), 4095),
        (PriceTrend::Rising, Some(i32::MAX), 2895),
        (PriceTrend::Rising, Some(i32::MIN), 0),
    ] {
        let listing = ListingFacts { price_trend, on_market_day, ..bare() };
        let momentum = component("momentum", &facts(|_| {}), &listing);
        assert_eq!(momentum, expected, "{price_trend:?} {on_market_day:?}");
    }
}

#[test]
fn the_score_is_the_weighted_sum() {
    let session = facts(|p| {
        p.min_bedrooms = Some(2);
        p.max_commute_minutes = Some(60);
        p.preferred_amenities = AmenitySet::from_bits(0b11);
    });
    // 2048, 4095, 3072, (60-30)*4095/60, 75*4095/100, 4095/2, 80*4095/100, 600 + 100*2895/400
    let expected = [2048, 4095, 3072, 2047, 3071, 2047, 3276, 1323];
    assert_eq!(components(&session, &full()), expected);
    let sum = 2048 * 56 + 4095 * 24 + 3072 * 28 + 2047 * 28 + 3071 * 28 + 2047 * 32 + 3276 * 44 + 1323 * 16;
    assert_eq!(score(&session, &full()), sum);
    let key = matches(&session, &id("a:1"), &full()).unwrap();
    assert_eq!((key.score, key.listing.0), (sum, id("a:1")));

    let best = ListingFacts {
        price: Money::from_cents(0),
        bedrooms: Some(9),
        commute_minutes: Some(0),
        school_rating: SchoolRating::from_steps(100),
        amenities: Some(AmenitySet::from_bits(0b11)),
        deal: Some(100),
        price_trend: PriceTrend::Falling,
        on_market_day: Some(400),
        ..full()
    };
    for profile in ALL_PROFILES {
        let session = SessionFacts { profile, ..session.clone() };
        assert_eq!(score(&session, &best), MAX_SCORE);
    }
}

#[test]
fn each_filter_removes_what_it_names_and_nothing_else() {
    let asking = facts(|p| {
        p.min_bedrooms = Some(3);
        p.min_bathrooms = Bathrooms::from_steps(5);
        p.min_living_area_sqft = Some(2_000);
        p.property_sub_types = vec![PropertySubType::Townhouse, PropertySubType::Condominium];
        p.max_commute_minutes = Some(30);
        p.min_school_rating = SchoolRating::from_steps(75);
        p.required_amenities = AmenitySet::from_bits(0b1);
        p.dismissed = vec![id("a:2"), id("a:0")];
        p.budget = Money::from_units(400_000).unwrap();
    });
    assert_eq!(fails(&asking, &full()), Vec::<&str>::new(), "every bound is itself within");
    type Alter = fn(&mut ListingFacts);
    let cases: &[(&str, &[Alter])] = &[
        (
            "offered",
            &[
                |l| l.display_allowed = false,
                |l| l.status = StandardStatus::Pending,
                |l| l.status = StandardStatus::Delete,
            ],
        ),
        ("transaction", &[|l| l.transaction = Transaction::Lease]),
        ("currency", &[|l| l.currency = "CAD".parse().unwrap()]),
        ("place", &[|l| l.market = "us/or/seattle".parse().unwrap()]),
        ("budget", &[|l| l.price = Money::from_cents(40_000_001)]),
        ("min_bedrooms", &[|l| l.bedrooms = Some(2), |l| l.bedrooms = None]),
        ("min_bathrooms", &[|l| l.bathrooms = Bathrooms::from_steps(4), |l| l.bathrooms = None]),
        ("min_living_area_sqft", &[|l| l.area_sqft = Some(1_999), |l| l.area_sqft = None]),
        ("property_sub_types", &[|l| l.sub_type = Some(PropertySubType::Villa), |l| l.sub_type = None]),
        ("max_commute_minutes", &[|l| l.commute_minutes = Some(31), |l| l.commute_minutes = None]),
        ("min_school_rating", &[|l| l.school_rating = SchoolRating::from_steps(74), |l| l.school_rating = None]),
        ("required_amenities", &[|l| l.amenities = Some(AmenitySet::from_bits(0b10)), |l| l.amenities = None]),
        ("include_coming_soon", &[|l| l.status = StandardStatus::ComingSoon]),
        ("include_under_contract", &[|l| l.status = StandardStatus::ActiveUnderContract]),
    ];
    for (name, alterations) in cases {
        for alter in *alterations {
            let mut listing = full();
            alter(&mut listing);
            assert_eq!(fails(&asking, &listing), [*name]);
            assert_eq!(matches(&asking, &id("a:1"), &listing), None);
        }
    }
    assert!(matches(&asking, &id("a:0"), &full()).is_none(), "dismissed");
    assert!(matches(&asking, &id("a:1"), &full()).is_some());

    let unpriced = ListingFacts { price: None, ..full() };
    assert_eq!(fails(&asking, &unpriced), ["offered", "budget"]);
}

#[test]
fn opting_in_shows_coming_soon_and_under_contract() {
    let session = facts(|p| {
        p.include_coming_soon = true;
        p.include_under_contract = true;
    });
    for status in StandardStatus::ALL {
        let shown = matches(&session, &id("a:1"), &ListingFacts { status: *status, ..full() }).is_some();
        assert_eq!(shown, status.may_be_shown(), "{status}");
    }
}

#[test]
fn ties_go_to_the_smaller_listing_id() {
    let session = facts(|_| {});
    let key = |text: &str, listing: &ListingFacts| matches(&session, &id(text), listing).unwrap();
    let better = ListingFacts { deal: Some(100), ..full() };
    let mut keys = [key("b:1", &full()), key("a:10", &full()), key("z:1", &better), key("a:9", &full())];
    keys.sort_unstable_by(|a, b| b.cmp(a));
    let order: Vec<_> = keys.iter().map(|Key { listing, .. }| listing.0.as_str()).collect();
    assert_eq!(order, ["z:1", "a:10", "a:9", "b:1"]);
}

#[test]
fn what_the_doors_refuse_does_not_divide_by_zero() {
    let session = facts(|p| {
        p.budget = Money::from_cents(0).unwrap();
        p.min_living_area_sqft = Some(0);
        p.max_commute_minutes = Some(0);
    });
    let listing = ListingFacts { price: Money::from_cents(0), commute_minutes: Some(0), ..full() };
    assert!(matches(&session, &id("a:1"), &listing).is_some());
}
