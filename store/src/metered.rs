//! Counts and times the requests to a backend. Changes nothing about them.

use std::collections::BTreeMap;
use std::time::Instant;

use schemas::id::{Country, ListingId, Market, SessionId};
use schemas::money::Money;
use schemas::vocabulary::Transaction;

use crate::{Answer, Backend, ByMarket, Cell, RecommendationRow, Row, StoreError, Table, Write, metrics};

/// A backend whose requests are counted.
pub(crate) struct Metered<B> {
    inner: B,
}

impl<B: Backend> Metered<B> {
    pub(crate) const fn new(inner: B) -> Self {
        Self { inner }
    }
}

fn observe<T>(operation: &'static str, began: Instant, outcome: &Result<T, StoreError>) {
    metrics::record_duration(operation, began.elapsed());
    match outcome {
        Ok(_) => {}
        Err(StoreError::Unavailable(_)) => metrics::record_error(operation, "unavailable"),
        Err(StoreError::Fatal(_)) => metrics::record_error(operation, "fatal"),
    }
}

fn read<'a, T: Send + 'a>(operation: &'static str, answer: Answer<'a, T>) -> Answer<'a, T> {
    Box::pin(async move {
        let began = Instant::now();
        let outcome = answer.await;
        observe(operation, began, &outcome);
        if outcome.is_ok() {
            metrics::record_read(operation);
        }
        outcome
    })
}

impl<B: Backend> Backend for Metered<B> {
    fn write(&self, write: Write) -> Answer<'_, ()> {
        let table = write.row.table().definition().name;
        let operation = if write.cell.is_some() { "put" } else { "delete" };
        Box::pin(async move {
            let began = Instant::now();
            let outcome = self.inner.write(write).await;
            observe(operation, began, &outcome);
            if outcome.is_ok() {
                metrics::record_write(table);
            }
            outcome
        })
    }

    fn recommendation(&self, session: SessionId) -> Answer<'_, Option<RecommendationRow>> {
        read("recommendation", self.inner.recommendation(session))
    }

    fn read(&self, row: Row) -> Answer<'_, Option<Cell>> {
        read("row", self.inner.read(row))
    }

    fn by_market(
        &self,
        market: Market,
        transaction: Transaction,
        min: Money,
        max: Money,
        after: Option<(Money, ListingId)>,
        limit: u32,
    ) -> Answer<'_, Vec<ByMarket>> {
        read("by_market", self.inner.by_market(market, transaction, min, max, after, limit))
    }

    fn markets(&self, country: Country) -> Answer<'_, Vec<(Market, Cell)>> {
        read("markets", self.inner.markets(country))
    }

    fn countries(&self) -> Answer<'_, Vec<Country>> {
        read("countries", self.inner.countries())
    }

    fn market_days(
        &self,
        market: Market,
        transaction: Transaction,
        limit: u32,
    ) -> Answer<'_, Vec<(jiff::civil::Date, Cell)>> {
        read("market_days", self.inner.market_days(market, transaction, limit))
    }

    fn scan(&self, table: Table) -> Answer<'_, BTreeMap<Row, Cell>> {
        read("scan", self.inner.scan(table))
    }

    fn recoveries(&self) -> u64 {
        self.inner.recoveries()
    }

    fn is_whole(&self) -> bool {
        self.inner.is_whole()
    }

    fn health(&self) -> Answer<'_, ()> {
        read("health", self.inner.health())
    }
}
