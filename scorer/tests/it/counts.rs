//! What is counted for a session.

use schemas::money::Money;
use schemas::preferences::Preferences;
use schemas::units::Instant;
use schemas::vocabulary::StandardStatus;
use scorer::counts::Count;
use scorer::engine::indexed::Indexed;
use scorer::engine::kernel::Kernel;
use scorer::engine::{Change, Engine};
use scorer::facts::{ListingFacts, SessionFacts};

use crate::world::{anything, bare, listing_id};

fn counted(listings: &[ListingFacts], preferences: &Preferences) -> (u64, Option<(String, u64)>) {
    let mut engine = Indexed::new(Kernel::best());
    let change = |(number, facts): (usize, &ListingFacts)| Change::Listing {
        id: listing_id(number),
        facts: Some(facts.clone()),
        content: 0,
    };
    engine.apply(&listings.iter().enumerate().map(change).collect::<Vec<_>>(), &mut Vec::new());
    let at = Instant::from_ms(1).unwrap();
    let mut count = Count::of(SessionFacts::of(preferences));
    // Some at a time, as it is done.
    while !count.is_done() {
        assert!(count.go_on(&engine, 2) <= 2);
    }
    let counts = count.counts(at);
    assert_eq!(counts.counted_at, at);
    (counts.matched_total, counts.tightest_filter.map(|filter| (filter.filter, filter.removes)))
}

#[test]
fn the_tightest_filter_is_the_one_without_which_most_more_would_match() {
    let preferences = Preferences { min_bedrooms: Some(3), ..anything() };
    let home = |bedrooms, price| ListingFacts { bedrooms: Some(bedrooms), price: Money::from_units(price), ..bare() };
    let listings = [
        home(3, 400_000),
        home(4, 500_000),
        // Too dear alone, twice; too small alone, once; both, which no single filter explains.
        home(3, 600_000),
        home(9, 500_001),
        home(2, 400_000),
        home(1, 900_000),
        home(1, 900_000),
        home(1, 900_000),
    ];
    assert_eq!(counted(&listings, &preferences), (2, Some(("budget".to_owned(), 2))));
}

#[test]
fn elsewhere_and_off_the_market_is_nothing_a_session_filtered_away() {
    let listings = [
        ListingFacts { market: "us/wa/tacoma".parse().unwrap(), ..bare() },
        ListingFacts { currency: "CAD".parse().unwrap(), ..bare() },
        ListingFacts { status: StandardStatus::Closed, ..bare() },
    ];
    assert_eq!(counted(&listings, &anything()), (0, None));
}

#[test]
fn not_opting_in_and_dismissing_are_filters_too_and_ties_go_by_name() {
    let preferences = Preferences { dismissed: vec![listing_id(0)], ..anything() };
    let soon = ListingFacts { status: StandardStatus::ComingSoon, ..bare() };
    assert_eq!(counted(&[bare(), soon.clone()], &preferences), (0, Some(("dismissed".to_owned(), 1))));
    assert_eq!(counted(&[bare(), soon.clone(), soon], &preferences), (0, Some(("include_coming_soon".to_owned(), 2))));
}
