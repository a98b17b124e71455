//! The numbers of every market, kept current listing by listing: medians are exact, and known in one step however many
//! listings there are.
//!
//! Does not remember listings (the caller hands over what was and what is) nor when it was asked (a day is an argument).

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;
use schemas::id::Market;
use schemas::market_day::MarketNumbers;
use schemas::money::{Currency, Money};
use schemas::priced::PricedListing;
use schemas::vocabulary::{StandardStatus, Transaction};

/// A market and what is traded there.
pub type Trade = (Market, Transaction);

/// What counts of one listing.
#[derive(Clone, PartialEq, Eq)]
struct Quote {
    trade: Trade,
    currency: Currency,
    price_cents: i64,
    per_sqft_cents: Option<i64>,
    /// Days since 1970.
    on_market: Option<i64>,
}

const DAY_MS: i64 = 86_400_000;

impl Quote {
    /// `None` for a listing that is not counted.
    fn of(priced: &PricedListing) -> Option<Self> {
        let listing = &priced.listing;
        let counted = listing.standard_status == StandardStatus::Active && listing.display_allowed;
        let price_cents = listing.list_price.filter(|_| counted)?.cents();
        Some(Self {
            trade: (listing.market.clone(), listing.transaction),
            currency: listing.currency,
            price_cents,
            per_sqft_cents: listing.living_area_sqft.filter(|area| *area > 0).map(|area| price_cents / i64::from(area)),
            on_market: listing.on_market_at.map(|at| at.ms().div_euclid(DAY_MS)),
        })
    }
}

/// The numbers of every market.
#[derive(Debug, Default)]
pub struct Markets(FxHashMap<Trade, BTreeMap<Currency, Tally>>);

impl Markets {
    /// Takes in what one listing was and what it is; `None`: not known. Gives the trades whose numbers changed.
    pub fn change(&mut self, old: Option<&PricedListing>, new: Option<&PricedListing>) -> Vec<Trade> {
        let (old, new) = (old.and_then(Quote::of), new.and_then(Quote::of));
        if old == new {
            return Vec::new();
        }
        old.iter().for_each(|quote| self.remove(quote));
        new.iter().for_each(|quote| self.add(quote));
        let mut trades: Vec<Trade> = old.into_iter().chain(new).map(|quote| quote.trade).collect();
        trades.dedup();
        trades
    }

    fn add(&mut self, quote: &Quote) {
        self.0.entry(quote.trade.clone()).or_default().entry(quote.currency).or_default().add(quote);
    }

    fn remove(&mut self, quote: &Quote) {
        let Some(tallies) = self.0.get_mut(&quote.trade) else { return };
        if let Some(tally) = tallies.get_mut(&quote.currency) {
            tally.remove(quote);
            if tally.prices.len() == 0 {
                tallies.remove(&quote.currency);
            }
        }
        if tallies.is_empty() {
            self.0.remove(&quote.trade);
        }
    }

    /// The numbers on a day, over the listings in the most frequent currency (of equally frequent ones the first by its
    /// code); `None` when nothing is on offer.
    pub fn numbers(
        &self,
        market: &Market,
        transaction: Transaction,
        today: jiff::civil::Date,
    ) -> Option<MarketNumbers> {
        let tallies = self.0.get(&(market.clone(), transaction))?;
        let (currency, tally) =
            tallies.iter().max_by(|(a, s), (b, t)| s.prices.len().cmp(&t.prices.len()).then(b.cmp(a)))?;
        let count = tally.prices.len();
        // A mean and a median of amounts are amounts.
        let money = |cents: i64| Money::from_cents(cents).unwrap_or_default();
        let today = i64::from((today - jiff::civil::date(1970, 1, 1)).get_days());
        Some(MarketNumbers {
            currency: *currency,
            active_listings: count,
            mean_list_price: money((tally.sum_cents / i128::from(count.max(1))) as i64),
            median_list_price: money(tally.prices.lower()?),
            median_price_per_sqft: tally.per_sqft.lower().map(money),
            // Zero for a date yet to come.
            median_days_on_market: tally.days_back.lower().map(|back| u32::try_from(today + back).unwrap_or(0)),
        })
    }

    /// Every trade that has something on offer, in no particular order.
    pub fn trades(&self) -> impl Iterator<Item = &Trade> {
        self.0.keys()
    }
}

/// The listings of one market, transaction and currency.
#[derive(Debug, Default)]
struct Tally {
    sum_cents: i128,
    prices: Median,
    per_sqft: Median,
    /// On-market days, negated: in the order of days on the market, whatever day it is.
    days_back: Median,
}

impl Tally {
    fn add(&mut self, quote: &Quote) {
        self.sum_cents += i128::from(quote.price_cents);
        self.prices.add(quote.price_cents);
        quote.per_sqft_cents.into_iter().for_each(|cents| self.per_sqft.add(cents));
        quote.on_market.into_iter().for_each(|day| self.days_back.add(-day));
    }

    fn remove(&mut self, quote: &Quote) {
        self.sum_cents -= i128::from(quote.price_cents);
        self.prices.remove(quote.price_cents);
        quote.per_sqft_cents.into_iter().for_each(|cents| self.per_sqft.remove(cents));
        quote.on_market.into_iter().for_each(|day| self.days_back.remove(-day));
    }
}

/// A multiset that knows its median: its lower half and its upper half, the lower one as large or larger by one.
#[derive(Debug, Default)]
struct Median {
    low: Half,
    high: Half,
}

#[derive(Debug, Default)]
struct Half {
    counts: BTreeMap<i64, u64>,
    len: u64,
}

impl Half {
    fn add(&mut self, value: i64) {
        *self.counts.entry(value).or_default() += 1;
        self.len += 1;
    }

    /// Whether the value was there.
    fn remove(&mut self, value: i64) -> bool {
        let Some(count) = self.counts.get_mut(&value) else { return false };
        *count -= 1;
        if *count == 0 {
            self.counts.remove(&value);
        }
        self.len -= 1;
        true
    }
}

impl Median {
    const fn len(&self) -> u64 {
        self.low.len + self.high.len
    }

    /// The median, the lower of two.
    fn lower(&self) -> Option<i64> {
        self.low.counts.last_key_value().map(|(value, _)| *value)
    }

    fn add(&mut self, value: i64) {
        let half = if self.lower().is_none_or(|median| value <= median) { &mut self.low } else { &mut self.high };
        half.add(value);
        self.balance();
    }

    fn remove(&mut self, value: i64) {
        // Copies of one value may lie in both halves; which of them goes makes no difference.
        if self.low.remove(value) || self.high.remove(value) {
            self.balance();
        }
    }

    /// One value crosses at most: each step changes one half by one.
    fn balance(&mut self) {
        if self.low.len > self.high.len + 1
            && let Some(value) = self.lower()
        {
            self.low.remove(value);
            self.high.add(value);
        } else if self.low.len < self.high.len
            && let Some((&value, _)) = self.high.counts.first_key_value()
        {
            self.high.remove(value);
            self.low.add(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_median_is_the_lower_middle_of_what_is_there(steps in prop::collection::vec((any::<bool>(), -4_i64..4), 0..100)) {
            let mut median = Median::default();
            let mut all: Vec<i64> = Vec::new();
            for (adds, value) in steps {
                if adds {
                    median.add(value);
                    all.push(value);
                } else {
                    median.remove(value);
                    if let Some(at) = all.iter().position(|it| *it == value) {
                        all.swap_remove(at);
                    }
                }
                all.sort_unstable();
                prop_assert_eq!(median.lower(), all.get(all.len().saturating_sub(1) / 2).copied());
                prop_assert_eq!(median.len(), all.len() as u64);
            }
        }
    }
}
