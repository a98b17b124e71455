//! The tables in a directory of this machine (fjall), for one process.
//!
//! The rules are those of CQL: of two statements for a row the greater timestamp wins, deletes included, in whatever order
//! they come. Synced lazily: what a power loss takes the scorer writes again from the log.

mod database;
mod directory;
mod key;
mod stored;
mod upkeep;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use schemas::id::{Country, ListingId, Market, SessionId};
use schemas::money::Money;
use schemas::vocabulary::Transaction;

use self::database::Database;
use self::stored::{Stored, rows_of};
use self::upkeep::Upkeep;
use crate::config::{EmbeddedConfig, TtlConfig};
use crate::{Answer, Backend, ByMarket, Cell, RecommendationRow, Row, StoreError, Table, Write};

/// The tables.
pub struct EmbeddedTables {
    // Stopped first: it syncs a last time.
    _upkeep: Upkeep,
    database: Arc<Database>,
    ttl: TtlConfig,
}

impl EmbeddedTables {
    /// Opens the directory; makes it when it is not there. Another process on it, or another format, is refused.
    pub fn open(config: &EmbeddedConfig, ttl: &TtlConfig) -> Result<Self, StoreError> {
        let database = Arc::new(Database::open(&config.directory)?);
        let upkeep = Upkeep::start(database.clone(), ttl.clone(), config.sync_every)?;
        Ok(Self { _upkeep: upkeep, database, ttl: ttl.clone() })
    }

    fn perform(&self, write: Write) -> Result<(), StoreError> {
        write.refuse_foreign_timestamp()?;
        let stored = Stored {
            timestamp: write.timestamp,
            written_at_ms: now_ms(),
            json: write.cell.as_deref().map(str::to_owned),
        };
        self.database.put(&rows_of(write.row, write.cell.is_none()), &stored)
    }

    fn get(&self, row: &Row) -> Result<Option<Cell>, StoreError> {
        Ok(self.database.get(row)?.and_then(|stored| self.visible(row, stored, now_ms())))
    }

    fn visible(&self, row: &Row, stored: Stored, now_ms: u64) -> Option<Cell> {
        stored.visible(self.ttl.of(row.table()), now_ms)
    }

    /// The visible rows of a range of keys, at most `limit`.
    fn range(&self, table: Table, from: Vec<u8>, to: Vec<u8>, limit: usize) -> Result<Vec<(Row, Cell)>, StoreError> {
        let now = now_ms();
        let mut rows = Vec::new();
        if limit == 0 {
            return Ok(rows);
        }
        self.database.each(key::of_table(table), from, to, |row, stored| {
            if let Some(cell) = self.visible(&row, stored, now) {
                rows.push((row, cell));
            }
            rows.len() < limit
        })?;
        Ok(rows)
    }

    /// The visible rows of a table.
    fn all(&self, table: Table) -> Result<Vec<(Row, Cell)>, StoreError> {
        let now = now_ms();
        let rows = self.database.all(table)?.into_iter();
        Ok(rows.filter_map(|(row, stored)| self.visible(&row, stored, now).map(|cell| (row, cell))).collect())
    }
}

fn now_ms() -> u64 {
    // Before 1970 the clock is wrong anyway: rows are young then.
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

/// Operations take microseconds and wait for no disk: they are done where they are asked for.
fn done<'a, T: Send + 'a>(outcome: Result<T, StoreError>) -> Answer<'a, T> {
    Box::pin(std::future::ready(outcome))
}

impl Backend for EmbeddedTables {
    fn write(&self, write: Write) -> Answer<'_, ()> {
        done(self.perform(write))
    }

    fn recommendation(&self, session: SessionId) -> Answer<'_, Option<RecommendationRow>> {
        let read = || {
            let Some(items) = self.get(&Row::Recommendation(session))? else { return Ok(None) };
            Ok(Some(RecommendationRow { items, counts: self.get(&Row::Counts(session))? }))
        };
        done(read())
    }

    fn read(&self, row: Row) -> Answer<'_, Option<Cell>> {
        done(self.get(&row))
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
        let (from, to) = key::price_range(&market, transaction, min, max, after.as_ref());
        let rows = self.range(Table::ListingsByMarket, from, to, limit as usize);
        let entry = |(row, _)| if let Row::ListingByMarket(entry) = row { Some(entry) } else { None };
        done(rows.map(|rows| rows.into_iter().filter_map(entry).collect()))
    }

    fn markets(&self, country: Country) -> Answer<'_, Vec<(Market, Cell)>> {
        let (from, to) = key::country_range(country);
        let rows = self.range(Table::Markets, from, to, usize::MAX);
        let market = |(row, cell)| if let Row::Market(market) = row { Some((market, cell)) } else { None };
        done(rows.map(|rows| rows.into_iter().filter_map(market).collect()))
    }

    fn countries(&self) -> Answer<'_, Vec<Country>> {
        let country = |(row, _)| if let Row::Market(market) = row { Some(market.country()) } else { None };
        done(self.all(Table::Markets).map(|rows| {
            let mut countries: Vec<Country> = rows.into_iter().filter_map(country).collect();
            countries.sort_unstable();
            countries.dedup();
            countries
        }))
    }

    fn market_days(
        &self,
        market: Market,
        transaction: Transaction,
        limit: u32,
    ) -> Answer<'_, Vec<(jiff::civil::Date, Cell)>> {
        let (from, to) = key::day_range(&market, transaction);
        let rows = self.range(Table::MarketDays, from, to, limit as usize);
        let day = |(row, cell)| if let Row::MarketDay(_, _, day) = row { Some((day, cell)) } else { None };
        done(rows.map(|rows| rows.into_iter().filter_map(day).collect()))
    }

    fn scan(&self, table: Table) -> Answer<'_, BTreeMap<Row, Cell>> {
        done(self.all(table).map(|rows| rows.into_iter().collect()))
    }

    fn recoveries(&self) -> u64 {
        self.database.recoveries()
    }

    fn is_whole(&self) -> bool {
        self.database.failure().is_none()
    }

    fn health(&self) -> Answer<'_, ()> {
        done(self.database.failure().map_or(Ok(()), |reason| Err(StoreError::Unavailable(reason))))
    }
}
