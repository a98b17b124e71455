//! The numbers of markets against their definition: sort and take the middle.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::date;
use proptest::prelude::*;
use proptest::sample::select;
use schemas::id::Market;
use schemas::market_day::MarketNumbers;
use schemas::money::{Currency, Money};
use schemas::priced::PricedListing;
use schemas::units::Instant;
use schemas::vocabulary::{StandardStatus, Transaction};
use scorer::market_numbers::Markets;
use serde_json::json;

const MARKETS: [&str; 2] = ["us/wa/seattle", "us/wa/tacoma"];

fn priced(market: &str) -> PricedListing {
    let version = json!({"timestamp_ms": 0, "raw_partition": 0, "raw_offset": 0, "batch_index": 0});
    serde_json::from_value(json!({
        "listing": {
            "listing_id": "a:1", "version": version, "feed": "a", "standard_status": "Active",
            "property_type": "Residential", "transaction": "sale", "market": market, "country": "us",
            "currency": "USD", "list_price": 1,
        },
        "content_version": version, "last_confirmed_at": "2026-01-01T00:00:00.000Z", "history": [],
        "first_seen_at": "2026-01-01T00:00:00.000Z", "last_change": "NewListing",
    }))
    .unwrap()
}

fn listing() -> impl Strategy<Value = PricedListing> {
    (
        select(&MARKETS[..]),
        prop::bool::weighted(0.8),
        prop::bool::weighted(0.9),
        select(vec!["USD", "USD", "CAD", "EUR"]),
        prop_oneof![9 => 1_i64..2_000, 1 => Just(99_999_999_999_999)],
        prop::option::of(0_u32..4),
        prop::option::of(-3_i64..40),
        select(vec![StandardStatus::Active, StandardStatus::Active, StandardStatus::Active, StandardStatus::Pending]),
    )
        .prop_map(|(market, sale, display_allowed, currency, cents, area, day, status)| {
            let mut priced = priced(market);
            let listing = &mut priced.listing;
            listing.transaction = if sale { Transaction::Sale } else { Transaction::Lease };
            listing.display_allowed = display_allowed;
            listing.currency = currency.parse().unwrap();
            listing.list_price = Money::from_cents(cents);
            listing.living_area_sqft = area;
            listing.on_market_at = day.and_then(|day| Instant::from_ms(day * 86_400_000 + 86_399_999));
            listing.standard_status = status;
            priced
        })
}

/// The definition.
fn numbers_of(listings: &[&PricedListing], market: &Market, transaction: Transaction) -> Option<MarketNumbers> {
    let on_offer: Vec<_> = listings
        .iter()
        .map(|priced| &priced.listing)
        .filter(|it| it.market == *market && it.transaction == transaction)
        .filter(|it| it.standard_status == StandardStatus::Active && it.display_allowed && it.list_price.is_some())
        .collect();
    let currencies: BTreeSet<Currency> = on_offer.iter().map(|it| it.currency).collect();
    let frequency = |currency: &Currency| on_offer.iter().filter(|it| it.currency == *currency).count();
    let currency = currencies.into_iter().rev().max_by_key(frequency)?;
    let counted: Vec<_> = on_offer.into_iter().filter(|it| it.currency == currency).collect();

    let median = |mut values: Vec<i64>| {
        values.sort_unstable();
        values.get(values.len().saturating_sub(1) / 2).copied()
    };
    let price = |it: &&schemas::listing::Listing| it.list_price.unwrap().cents();
    let prices: Vec<i64> = counted.iter().map(price).collect();
    let area = |it: &schemas::listing::Listing| it.living_area_sqft.filter(|area| *area > 0).map(i64::from);
    let per_sqft = counted.iter().filter_map(|it| Some(price(it) / area(it)?)).collect();
    let today = i64::from((TODAY - date(1970, 1, 1)).get_days());
    let days = counted.iter().filter_map(|it| Some((today - it.on_market_at?.ms().div_euclid(86_400_000)).max(0)));
    let total: i128 = prices.iter().map(|cents| i128::from(*cents)).sum();
    Some(MarketNumbers {
        currency,
        active_listings: counted.len() as u64,
        mean_list_price: Money::from_cents((total / prices.len() as i128) as i64).unwrap(),
        median_list_price: Money::from_cents(median(prices).unwrap()).unwrap(),
        median_price_per_sqft: median(per_sqft).and_then(Money::from_cents),
        median_days_on_market: median(days.collect()).map(|days| days as u32),
    })
}

const TODAY: jiff::civil::Date = date(1970, 1, 31);

proptest! {
    #[test]
    fn numbers_are_those_of_the_listings_whatever_came_and_went(
        steps in prop::collection::vec((0_usize..12, prop::option::weighted(0.8, listing())), 0..100),
    ) {
        let mut markets = Markets::default();
        let mut listings: BTreeMap<usize, PricedListing> = BTreeMap::new();
        let mut before: BTreeMap<(Market, Transaction), MarketNumbers> = BTreeMap::new();
        for (number, new) in steps {
            let old = match new.clone() {
                Some(new) => listings.insert(number, new),
                None => listings.remove(&number),
            };
            let changed = markets.change(old.as_ref(), new.as_ref());
            let all: Vec<&PricedListing> = listings.values().collect();
            for market in MARKETS {
                let market: Market = market.parse().unwrap();
                for transaction in [Transaction::Sale, Transaction::Lease] {
                    let expected = numbers_of(&all, &market, transaction);
                    let trade = (market.clone(), transaction);
                    prop_assert_eq!(markets.numbers(&market, transaction, TODAY), expected.clone());
                    prop_assert_eq!(markets.trades().any(|it| *it == trade), expected.is_some());
                    prop_assert!(before.get(&trade) == expected.as_ref() || changed.contains(&trade), "{trade:?} is not told");
                    match expected {
                        Some(numbers) => before.insert(trade, numbers),
                        None => before.remove(&trade),
                    };
                }
            }
        }
    }
}

#[test]
fn a_confirmation_changes_no_market() {
    let mut markets = Markets::default();
    let fact = priced("us/wa/seattle");
    assert_eq!(markets.change(None, Some(&fact)).len(), 1);
    let mut confirmed = fact.clone();
    confirmed.last_confirmed_at = Instant::from_ms(1_800_000_000_000).unwrap();
    assert_eq!(markets.change(Some(&fact), Some(&confirmed)), vec![]);
    let mut moved = fact.clone();
    moved.listing.market = "us/wa/tacoma".parse().unwrap();
    assert_eq!(markets.change(Some(&confirmed), Some(&moved)).len(), 2);
}

#[test]
fn an_unknown_day_on_market_leaves_the_median_out() {
    let mut markets = Markets::default();
    markets.change(None, Some(&priced("us/wa/seattle")));
    let numbers = markets.numbers(&"us/wa/seattle".parse().unwrap(), Transaction::Sale, TODAY).unwrap();
    assert_eq!((numbers.active_listings, numbers.median_days_on_market), (1, None));
}
