//! Every record is one that ingest takes, and comes out as what the market meant, in whatever hand it was written.

use proptest::prelude::*;
use schemas::listing::Listing;
use schemas::money::Money;
use schemas::reso::{Origin, read};
use schemas::vocabulary::{StandardStatus, Transaction};
use synthetic::{Change, Config, Event, PLACES, World, canonical, market_of, write_sales};

/// Square metres with one decimal and acres with three lose a little.
fn near(read: Option<u32>, meant: u32) -> bool {
    read.is_some_and(|read| read.abs_diff(meant) <= 25.max(meant / 100))
}

fn check(event: &Event, listing: &Listing) -> Result<(), TestCaseError> {
    let (home, offer) = (&event.home, &event.offer);
    let units = |n: u32| Money::from_units(n.into());
    prop_assert_eq!(&listing.listing_id, &event.listing_id());
    prop_assert_eq!(listing.version.timestamp_ms, event.modified_ms());
    prop_assert_eq!(listing.standard_status, offer.status);
    if offer.status == StandardStatus::Delete {
        return Ok(());
    }
    prop_assert_eq!(&listing.market, &market_of(&PLACES[home.place]));
    prop_assert_eq!(listing.currency.as_str(), PLACES[home.place].currency);
    prop_assert_eq!(listing.transaction == Transaction::Lease, home.lease);
    prop_assert_eq!(listing.property_sub_type, Some(home.kind));
    prop_assert_eq!(listing.list_price, units(offer.list_price));
    prop_assert_eq!(listing.close_price.is_some(), event.offer.status == StandardStatus::Closed);
    prop_assert_eq!(listing.bedrooms_total, Some(home.bedrooms));
    prop_assert_eq!(listing.bathrooms_total.map(|b| b.steps()), Some(home.bathroom_halves));
    prop_assert!(home.gaps.no_living_area || near(listing.living_area_sqft, home.living_area_sqft), "{listing:?}");
    prop_assert!(home.gaps.no_lot || home.lot_sqft == 0 || near(listing.lot_size_sqft, home.lot_sqft), "{listing:?}");
    prop_assert_eq!(listing.year_built, (!home.gaps.no_year).then_some(home.year_built));
    prop_assert_eq!(listing.association_fee_monthly, (home.fee_monthly > 0).then(|| units(home.fee_monthly)).flatten());
    let position = listing.position.map(|p| (p.latitude.steps(), p.longitude.steps()));
    prop_assert_eq!(position, Some((home.latitude_e5, home.longitude_e5)));
    prop_assert_eq!(listing.on_market_at.map(|at| at.ms()), Some(offer.on_market_ms));
    prop_assert_eq!(listing.school_rating.map(|r| r.steps()), Some(home.school_tenths));
    prop_assert_eq!(listing.commute_minutes, Some(home.commute_minutes));
    prop_assert_eq!(listing.amenities.map(|set| set.len()), Some(home.amenities.count_ones()));
    prop_assert!(listing.other_amenities.is_empty(), "{:?}", listing.other_amenities);
    prop_assert_eq!(listing.display_allowed, !home.gaps.display_forbidden);
    prop_assert_eq!(listing.valuation_allowed, !home.gaps.valuation_forbidden);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn ingest_takes_every_record_and_reads_what_was_meant(seed in any::<u64>(), markets in 1..=PLACES.len(), listings in 1_usize..60) {
        let config = Config { seed, markets, listings, ..Config::default() };
        for (event, offset) in World::new(config).unwrap().zip(0..).take(400) {
            let listing = canonical(&event, offset).map_err(|refusal| TestCaseError::fail(refusal.message))?;
            check(&event, &listing)?;
        }
    }
}

#[test]
fn nothing_is_left_out_of_a_record() {
    for event in World::new(Config { seed: 3, listings: 200, ..Config::default() }).unwrap().take(2_000) {
        let origin =
            Origin { partition: 0, offset: 0, append_time_ms: event.modified_ms(), feed: None, ce_time_ms: None };
        let json = event.json();
        let items = read(&json, &origin).unwrap();
        let accepted = items[0].outcome.as_ref().unwrap();
        assert_eq!(accepted.left_out, Default::default(), "{}", items[0].text);
        // Without a header, the record itself names the feed.
        assert_eq!(accepted.listing.listing_id, event.listing_id());
    }
}

#[test]
fn every_sale_is_written_once_in_the_order_of_time() {
    let config = Config { seed: 6, listings: 300, repeated_share: 0.5, ..Config::default() };
    let mut text = Vec::new();
    write_sales(config.clone(), 200, &mut text).unwrap();
    let sales: Vec<Listing> =
        text.split(|&b| b == b'\n').filter(|l| !l.is_empty()).map(|l| serde_json::from_slice(l).unwrap()).collect();
    assert_eq!(sales.len(), 200);
    assert!(sales.iter().all(|s| s.standard_status == StandardStatus::Closed && s.close_price.is_some()));
    assert!(sales.windows(2).all(|pair| pair[0].version < pair[1].version));
    let ids: std::collections::BTreeSet<_> = sales.iter().map(|s| &s.listing_id).collect();
    assert_eq!(ids.len(), 200);
    let closed = World::new(config).unwrap().filter(|e| e.change == Change::Closed).map(|e| e.listing_id());
    assert_eq!(closed.take(200).collect::<Vec<_>>(), sales.into_iter().map(|s| s.listing_id).collect::<Vec<_>>());
}
