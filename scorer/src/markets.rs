//! The markets as rows: which there are, their cells, and which of them changed. The numbers are `market_numbers.rs`.
//!
//! Pure. A market's cell is a function of its listings alone, so that it is equal after any replay: its days on market
//! count up to the day of its newest statement.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use schemas::cells::MarketCell;
use schemas::id::Market;
use schemas::market_day::MarketNumbers;
use schemas::priced::PricedListing;
use schemas::units::Instant;
use schemas::vocabulary::Transaction;

use crate::market_numbers;

/// All markets that have a listing on offer.
#[derive(Debug, Default)]
pub struct Markets {
    numbers: market_numbers::Markets,
    /// Times of the newest statements of the listings on offer, each with how many have it.
    offered: BTreeMap<Market, BTreeMap<i64, usize>>,
    changed: BTreeSet<Market>,
}

impl Markets {
    /// A listing became another, came or went.
    pub fn replace(&mut self, before: Option<&PricedListing>, after: Option<&PricedListing>) {
        self.numbers.change(before, after);
        for fact in before.into_iter().filter(|fact| fact.listing.may_be_recommended()) {
            let (market, at) = (&fact.listing.market, fact.content_version.timestamp_ms);
            if let Some(times) = self.offered.get_mut(market) {
                if let Entry::Occupied(mut count) = times.entry(at) {
                    *count.get_mut() -= 1;
                    if *count.get() == 0 {
                        count.remove();
                    }
                }
                if times.is_empty() {
                    self.offered.remove(market);
                }
            }
            self.changed.insert(market.clone());
        }
        for fact in after.into_iter().filter(|fact| fact.listing.may_be_recommended()) {
            let (market, at) = (&fact.listing.market, fact.content_version.timestamp_ms);
            *self.offered.entry(market.clone()).or_default().entry(at).or_default() += 1;
            self.changed.insert(market.clone());
        }
    }

    /// Every market counts as changed: a new owner, a new day.
    pub fn touch_all(&mut self) {
        self.changed.extend(self.offered.keys().cloned());
    }

    /// These count as changed, also when nothing of them is on offer: perhaps it was when their rows were last written.
    pub fn touch<'a>(&mut self, markets: impl Iterator<Item = &'a Market>) {
        for market in markets {
            if !self.changed.contains(market) {
                self.changed.insert(market.clone());
            }
        }
    }

    /// The markets that changed since the last call.
    pub fn take_changed(&mut self) -> BTreeSet<Market> {
        std::mem::take(&mut self.changed)
    }

    /// A market's numbers on a day; `None` when nothing is on offer.
    pub fn numbers(&self, market: &Market, transaction: Transaction, day: jiff::civil::Date) -> Option<MarketNumbers> {
        self.numbers.numbers(market, transaction, day)
    }

    /// A market's cell; `None` when no listing of it is on offer.
    pub fn cell(&self, market: &Market) -> Option<MarketCell> {
        let (newest, _) = self.offered.get(market)?.last_key_value()?;
        let day = Instant::from_ms(*newest)?.day();
        let numbers = |transaction| self.numbers(market, transaction, day);
        Some(MarketCell { sale: numbers(Transaction::Sale), lease: numbers(Transaction::Lease) })
    }

    /// Every market that has a listing on offer.
    pub fn all(&self) -> impl Iterator<Item = &Market> {
        self.offered.keys()
    }
}
