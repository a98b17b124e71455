//! How good a price is: 0 to 100, the one place of that formula (DESIGN §5). Integers only.
//!
//! Pure: knows nothing of how a valuation or a market's level came about.

use std::collections::BTreeMap;

use schemas::id::FeedName;
use schemas::listing::Listing;
use schemas::money::Money;
use schemas::priced::{Deal, MAX_DEAL_SCORES, PastDeal, PriceTrend, PricedListing, Valuation};

use crate::market::MarketLevel;

/// How far feeds are to be trusted, in hundredths.
#[derive(Clone, Debug)]
pub struct Reliability {
    by_feed: BTreeMap<FeedName, u8>,
    otherwise: u8,
}

/// Trust in a feed that the configuration does not name (DESIGN §5).
const UNKNOWN_FEED: u8 = 60;

impl Reliability {
    /// From shares of 0 to 1 by feed; a share outside is an error that names the feed.
    pub fn of_shares(shares: &BTreeMap<FeedName, f64>) -> Result<Self, String> {
        let hundredths = |(feed, share): (&FeedName, &f64)| {
            let valid = (0.0..=1.0).contains(share);
            // Within 0..=100, see the line above.
            valid
                .then(|| (feed.clone(), (share * 100.0).round() as u8))
                .ok_or_else(|| format!("source_reliability.{feed}: {share} is not a share (expected 0 to 1)"))
        };
        Ok(Self { by_feed: shares.iter().map(hundredths).collect::<Result<_, _>>()?, otherwise: UNKNOWN_FEED })
    }

    fn points(&self, feed: &FeedName) -> i16 {
        let hundredths = i64::from(*self.by_feed.get(feed).unwrap_or(&self.otherwise));
        // (r - 0.8) x 10, at most 8 either way.
        rounded(hundredths - 80, 10) as i16
    }
}

/// The deal of a fact that has a valuation and a price; `None` otherwise.
///
/// `valuation_gap = 50 + 50 × (p50 − price) ÷ (p90 − p10)`, within 0 to 100: 50 at the median, 100 when the price lies a
/// whole interval below it. The other parts are added, the sum is held within 0 to 100.
pub fn deal_of(fact: &PricedListing, level: Option<MarketLevel>, reliability: &Reliability) -> Option<Deal> {
    let (valuation, price) = (fact.valuation.as_ref()?, fact.listing.list_price?);
    let parts = Deal {
        score: 0,
        valuation_gap: valuation_gap(valuation, price),
        price_trend: price_trend(fact.price_trend()),
        source_reliability: reliability.points(&fact.listing.feed),
        discount: discount(fact.original_list_price, price),
        competitiveness: competitiveness(&fact.listing, price, level),
        anomaly: false,
    };
    Some(scored(parts, &fact.past_deals))
}

/// The deal of a fact whose history became richer by a late statement: valuation and market as they were.
pub fn deal_with_history(fact: &PricedListing) -> Option<Deal> {
    let (deal, price) = (fact.deal.as_ref()?, fact.listing.list_price?);
    let parts = Deal {
        price_trend: price_trend(fact.price_trend()),
        discount: discount(fact.original_list_price, price),
        ..deal.clone()
    };
    // The last of the past deals is this very one, and is not compared with itself.
    let before = fact.past_deals.iter().position(|past| past.version >= fact.content_version);
    Some(scored(parts, &fact.past_deals[..before.unwrap_or(fact.past_deals.len())]))
}

fn scored(mut deal: Deal, past: &[PastDeal]) -> Deal {
    let sum = deal.valuation_gap + deal.price_trend + deal.source_reliability + deal.discount + deal.competitiveness;
    // Within 0..=100.
    deal.score = sum.clamp(0, 100) as u8;
    deal.anomaly = is_anomaly(deal.score, past);
    deal
}

fn valuation_gap(valuation: &Valuation, price: Money) -> i16 {
    let interval = (valuation.p90.cents() - valuation.p10.cents()).max(1);
    // At most 50 x 10^14: far below i64. The result is within 0..=100.
    (50 + rounded(50 * (valuation.p50.cents() - price.cents()), interval)).clamp(0, 100) as i16
}

const fn price_trend(trend: PriceTrend) -> i16 {
    match trend {
        PriceTrend::Falling => 5,
        PriceTrend::Stable => 0,
        PriceTrend::Rising => -5,
    }
}

fn discount(original: Option<Money>, price: Money) -> i16 {
    let Some(original) = original else { return 0 };
    let off = (original.cents() - price.cents()) * 100;
    let above = |percent: i64| off > percent * original.cents();
    match () {
        () if above(50) => 10,
        () if above(30) => 7,
        () if above(20) => 5,
        () if above(10) => 3,
        () => 0,
    }
}

fn competitiveness(listing: &Listing, price: Money, level: Option<MarketLevel>) -> i16 {
    let (Some(level), Some(area)) = (level, listing.living_area_sqft.filter(|area| *area > 0)) else { return 0 };
    // price / area against percent of the median, without dividing. In i128: an area of 2^32 and a price of 10^12.
    let (price, area, median) = (i128::from(price.cents()), i128::from(area), i128::from(level.cents_per_sqft));
    let percent_of_median = |percent: i128| percent * median * area;
    match () {
        () if price * 100 < percent_of_median(80) => 10,
        () if price * 100 < percent_of_median(90) => 5,
        () if price * 100 > percent_of_median(110) => -5,
        () => 0,
    }
}

/// Outside mean ± 2 standard deviations of the last five scores; never with fewer than five.
fn is_anomaly(score: u8, past: &[PastDeal]) -> bool {
    let last = &past[past.len().saturating_sub(MAX_DEAL_SCORES)..];
    if last.len() < MAX_DEAL_SCORES {
        return false;
    }
    let scores = || last.iter().map(|past| i64::from(past.score));
    let n = scores().count() as i64;
    let sum: i64 = scores().sum();
    let squares: i64 = scores().map(|s| s * s).sum();
    // |x - sum/n| > 2 sqrt(squares/n - (sum/n)^2), both sides times n and squared.
    let distance = n * i64::from(score) - sum;
    distance * distance > 4 * (n * squares - sum * sum)
}

/// Division rounded to the nearest, halves away from zero. `b` > 0.
const fn rounded(a: i64, b: i64) -> i64 {
    (2 * a + if a < 0 { -b } else { b }) / (2 * b)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{fact, version};

    fn money(units: i64) -> Money {
        Money::from_units(units).unwrap()
    }

    fn valuation(p10: i64, p50: i64, p90: i64) -> Valuation {
        Valuation {
            p10: money(p10),
            p50: money(p50),
            p90: money(p90),
            model: "m".to_owned(),
            model_version: "1".to_owned(),
            level_ppm: schemas::priced::UNCHANGED_PPM,
            sales_read: Vec::new(),
        }
    }

    fn past(scores: &[u8]) -> Vec<PastDeal> {
        (1..).zip(scores).map(|(n, score)| PastDeal { version: version(n), score: *score }).collect()
    }

    #[test]
    fn the_gap_is_fifty_at_the_median_and_counted_in_intervals() {
        for (price, gap) in [
            (1_000, 50),
            (800, 75),
            (600, 100),
            (100, 100),
            (1_200, 25),
            (1_400, 0),
            (9_000, 0),
            (996, 51), // 50.5
            (1_004, 49),
            (997, 50), // 50.375
        ] {
            assert_eq!(valuation_gap(&valuation(800, 1_000, 1_200), money(price)), gap, "{price}");
        }
        assert_eq!(valuation_gap(&valuation(1_000, 1_000, 1_000), money(1_000)), 50);
        assert_eq!(valuation_gap(&valuation(1_000, 1_000, 1_000), money(999)), 100);
    }

    #[test]
    fn a_discount_counts_above_ten_twenty_thirty_and_fifty_percent() {
        for (price, points) in
            [(110, 0), (100, 0), (90, 0), (89, 3), (80, 3), (79, 5), (70, 5), (69, 7), (50, 7), (49, 10), (0, 10)]
        {
            assert_eq!(discount(Some(money(100)), money(price)), points, "{price}");
        }
        assert_eq!(discount(None, money(1)), 0);
    }

    #[test]
    fn a_price_per_sqft_is_compared_with_the_markets_median() {
        let listing = fact(1, "Active", 1).listing;
        let listing = Listing { living_area_sqft: Some(1_000), ..listing };
        let level = Some(MarketLevel { cents_per_sqft: 10_000, sales: 9 });
        for (price, points) in
            [(79_999, 10), (80_000, 5), (89_999, 5), (90_000, 0), (100_000, 0), (110_000, 0), (110_001, -5)]
        {
            assert_eq!(competitiveness(&listing, money(price), level), points, "{price}");
        }
        assert_eq!(competitiveness(&listing, money(1), None), 0);
        assert_eq!(competitiveness(&Listing { living_area_sqft: None, ..listing }, money(1), level), 0);
    }

    #[test]
    fn a_feed_is_trusted_as_configured_and_an_unknown_one_less() {
        let feed = |name: &str| name.parse::<FeedName>().unwrap();
        let shares = [("a", 1.0), ("b", 0.8), ("c", 0.0), ("d", 0.95)].map(|(f, s)| (feed(f), s)).into();
        let reliability = Reliability::of_shares(&shares).unwrap();
        let points = ["a", "b", "c", "d", "other"].map(|name| reliability.points(&feed(name)));
        assert_eq!(points, [2, 0, -8, 2, -2]);
        let error = Reliability::of_shares(&[(feed("a"), 1.5)].into()).unwrap_err();
        assert_eq!(error, "source_reliability.a: 1.5 is not a share (expected 0 to 1)");
    }

    #[test]
    fn an_anomaly_lies_outside_two_deviations_of_five_scores() {
        // Mean 50, deviation 2: bounds 46 and 54.
        let five = past(&[48, 52, 48, 52, 50]);
        let deviation_squared_times_n = 5 * (48 * 48 * 2 + 52 * 52 * 2 + 2500) - 250 * 250;
        assert_eq!(deviation_squared_times_n, 80);
        for (score, anomaly) in [(50, false), (53, false), (54, true), (47, false), (46, true)] {
            assert_eq!(is_anomaly(score, &five), anomaly, "{score}");
        }
        assert!(!is_anomaly(99, &past(&[50, 50, 50, 50])));
        assert!(is_anomaly(51, &past(&[50, 50, 50, 50, 50])));
    }

    #[test]
    fn the_score_is_the_sum_of_its_named_parts_within_bounds() {
        let reliability = Reliability::of_shares(&BTreeMap::new()).unwrap();
        let mut home = fact(2, "Active", 600);
        home.valuation = Some(valuation(800, 1_000, 1_200));
        home.original_list_price = Some(money(1_300));
        home.previous_list_price = Some(money(700));
        home.listing.living_area_sqft = Some(10);
        let level = Some(MarketLevel { cents_per_sqft: 10_000, sales: 9 });
        let deal = deal_of(&home, level, &reliability).unwrap();
        let parts =
            [deal.valuation_gap, deal.price_trend, deal.source_reliability, deal.discount, deal.competitiveness];
        assert_eq!(parts, [100, 5, -2, 10, 10]);
        assert_eq!((deal.score, deal.anomaly), (100, false));

        home.listing.list_price = None;
        assert_eq!(deal_of(&home, level, &reliability), None);
    }

    #[test]
    fn a_late_statement_changes_trend_and_discount_alone() {
        let mut home = fact(2, "Active", 600);
        home.valuation = Some(valuation(500, 600, 700));
        home.past_deals = past(&[40, 60]); // versions 1 and 2: the second is its own
        home.deal = deal_of(&home, None, &Reliability::of_shares(&BTreeMap::new()).unwrap());
        home.original_list_price = Some(money(1_300));
        home.previous_list_price = Some(money(700));
        let deal = deal_with_history(&home).unwrap();
        assert_eq!((deal.valuation_gap, deal.price_trend, deal.discount, deal.score), (50, 5, 10, 63));
    }
}
