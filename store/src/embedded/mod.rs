//! The tables in a directory of this machine (fjall), for one process.
//!
//! The same rule as in CQL: of two statements for a row the greater timestamp wins, deletes included, whatever order they
//! come in. Synced lazily: after a power loss the scorer writes from the logs what is missing.

mod database;
mod key;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use schemas::cql::{HINT_TTL_S, LISTING_TTL_S, SESSION_TTL_S};
use schemas::id::{Country, ListingId, Market, SessionId};
use schemas::money::Money;
use schemas::vocabulary::Transaction;

use self::database::{Database, Stored};
use crate::config::EmbeddedConfig;
use crate::{Answer, Backend, ByMarket, Cell, RecommendationRow, Row, StoreError, Table, Write};

/// Tombstones are kept this long: longer than any statement can be on its way.
const TOMBSTONE_LIFE: Duration = Duration::from_secs(7 * 86_400);
/// Rows looked at per second for expiry: a day's worth of a million rows, and never a visible pause.
const SWEEP_ROWS_PER_SECOND: usize = 1_000;

/// The tables.
pub struct EmbeddedTables {
    database: Arc<Database>,
    stop: Arc<AtomicBool>,
    upkeep: Option<JoinHandle<()>>,
}

impl Drop for EmbeddedTables {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(upkeep) = self.upkeep.take() {
            upkeep.thread().unpark();
            let _ = upkeep.join();
        }
    }
}

impl EmbeddedTables {
    /// Opens the directory; makes it when it is not there. Another process on it, or another format, is refused.
    pub fn open(config: &EmbeddedConfig) -> Result<Self, StoreError> {
        let database = Arc::new(Database::open(&config.directory)?);
        let stop = Arc::new(AtomicBool::new(false));
        let (db, stopped, every) = (database.clone(), stop.clone(), config.sync_every);
        let upkeep = std::thread::Builder::new()
            .name("store-upkeep".into())
            .spawn(move || upkeep(&db, &stopped, every))
            .map_err(|error| StoreError::Fatal(format!("cannot start a thread: {error}")))?;
        Ok(Self { database, stop, upkeep: Some(upkeep) })
    }

    fn put(&self, write: &Write) -> Result<(), StoreError> {
        self.database.put(write, now_ms())?;
        if let (Row::Recommendation(session), None) = (&write.row, &write.cell) {
            // The row goes with its other cell.
            let counts = Write { row: Row::Counts(*session), cell: None, timestamp: write.timestamp };
            self.database.put(&counts, now_ms())?;
        }
        Ok(())
    }

    fn get(&self, row: &Row) -> Result<Option<Cell>, StoreError> {
        Ok(self.database.get(row)?.and_then(|stored| visible(row, stored, now_ms())))
    }

    /// The visible rows of a key range, at most `limit`.
    fn range(&self, like: &Row, from: Vec<u8>, to: Vec<u8>, limit: usize) -> Result<Vec<(Row, Cell)>, StoreError> {
        let now = now_ms();
        let mut rows = Vec::new();
        self.database.each(key::space(like), from, to, &mut |bytes, stored| {
            let row = key::row(like, bytes)?;
            rows.extend(visible(&row, stored, now).map(|cell| (row, cell)));
            Some(rows.len() < limit)
        })?;
        Ok(rows)
    }

    fn index(
        &self,
        market: &Market,
        transaction: Transaction,
        min: Money,
        max: Money,
        after: Option<(Money, ListingId)>,
        limit: u32,
    ) -> Result<Vec<ByMarket>, StoreError> {
        let at = |price: Money, id: &str| key::by_market(market, transaction, price, id);
        let from = match &after {
            // The next key after that of the entry.
            Some((price, id)) if *price >= min => [at(*price, id.as_str()), vec![0]].concat(),
            _ => at(min, ""),
        };
        let to = [at(max, ""), vec![0xFF]].concat();
        let like = Row::ListingByMarket(ByMarket {
            market: market.clone(),
            transaction,
            list_price: min,
            listing_id: sample_id(),
        });
        let rows = self.range(&like, from, to, limit as usize)?;
        Ok(rows
            .into_iter()
            .filter_map(|(row, _)| if let Row::ListingByMarket(entry) = row { Some(entry) } else { None })
            .collect())
    }
}

/// Only the kind of the row counts where it stands for its table.
fn sample_id() -> ListingId {
    // A constant that is a listing id.
    "default:0".parse().expect("a listing id")
}

fn now_ms() -> i64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}

/// How long a row lives after its last write; the same as in the CQL tables.
const fn life_ms(row: &Row) -> Option<i64> {
    match row {
        Row::Recommendation(_) | Row::Counts(_) | Row::Session(_) => Some(SESSION_TTL_S as i64 * 1_000),
        Row::Listing(_) => Some(LISTING_TTL_S as i64 * 1_000),
        Row::ListingByMarket(_) | Row::Market(_) => Some(HINT_TTL_S as i64 * 1_000),
        Row::MarketDay(..) | Row::Shard(_) => None,
    }
}

fn visible(row: &Row, stored: Stored, now: i64) -> Option<Cell> {
    let expired = life_ms(row).is_some_and(|life| stored.written_at_ms + life <= now);
    stored.json.filter(|_| !expired).map(|json| Cell { json, timestamp: stored.timestamp })
}

/// Syncs, and forgets what is expired, until told to stop.
fn upkeep(database: &Database, stop: &AtomicBool, every: Duration) {
    let mut last_sweep = SystemTime::now();
    let mut cursor = None;
    while !stop.load(Ordering::Acquire) {
        std::thread::park_timeout(every);
        if let Err(error) = database.sync() {
            tracing::warn!("{error}");
        }
        if last_sweep.elapsed().is_ok_and(|since| since >= Duration::from_secs(1)) {
            last_sweep = SystemTime::now();
            let now = now_ms();
            let gone = |row: &Row, stored: &Stored| {
                let life = if stored.json.is_none() { Some(TOMBSTONE_LIFE.as_millis() as i64) } else { life_ms(row) };
                life.is_some_and(|life| stored.written_at_ms + life <= now)
            };
            match database.sweep(cursor.take(), SWEEP_ROWS_PER_SECOND, &gone) {
                Ok(next) => cursor = next,
                Err(error) => tracing::warn!("{error}"),
            }
        }
    }
    if let Err(error) = database.sync() {
        tracing::warn!("{error}");
    }
}

/// The operations take microseconds and wait for no disk: they are done where they are asked for.
fn done<'a, T: Send + 'a>(outcome: Result<T, StoreError>) -> Answer<'a, T> {
    Box::pin(std::future::ready(outcome))
}

impl Backend for EmbeddedTables {
    fn write(&self, write: Write) -> Answer<'_, ()> {
        done(self.put(&write))
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
        done(self.index(&market, transaction, min, max, after, limit))
    }

    fn markets(&self, country: Country) -> Answer<'_, Vec<(Market, Cell)>> {
        let (from, to) = (format!("{country}/").into_bytes(), format!("{country}0").into_bytes());
        let rows = self.range(&Row::Market(Market::of(country, None, None)), from, to, usize::MAX);
        done(rows.map(|rows| {
            rows.into_iter()
                .filter_map(|(row, cell)| if let Row::Market(market) = row { Some((market, cell)) } else { None })
                .collect()
        }))
    }

    fn countries(&self) -> Answer<'_, Vec<Country>> {
        let rows = self.database.all(Table::Markets).map(|rows| {
            let now = now_ms();
            let visible = rows.into_iter().filter(|(row, stored)| visible(row, stored.clone(), now).is_some());
            let mut countries: Vec<Country> = visible
                .filter_map(|(row, _)| if let Row::Market(market) = row { Some(market.country()) } else { None })
                .collect();
            countries.sort_unstable();
            countries.dedup();
            countries
        });
        done(rows)
    }

    fn market_days(
        &self,
        market: Market,
        transaction: Transaction,
        limit: u32,
    ) -> Answer<'_, Vec<(jiff::civil::Date, Cell)>> {
        let prefix = key::market_days(&market, transaction);
        let to = [prefix.clone(), vec![0xFF; 5]].concat();
        let like = Row::MarketDay(market, transaction, jiff::civil::Date::MIN);
        let rows = self.range(&like, prefix, to, limit as usize);
        done(rows.map(|rows| {
            rows.into_iter()
                .filter_map(|(row, cell)| if let Row::MarketDay(_, _, day) = row { Some((day, cell)) } else { None })
                .collect()
        }))
    }

    fn scan(&self, table: Table) -> Answer<'_, BTreeMap<Row, Cell>> {
        let now = now_ms();
        let rows = self.database.all(table);
        done(rows.map(|rows| {
            rows.into_iter().filter_map(|(row, stored)| visible(&row, stored, now).map(|cell| (row, cell))).collect()
        }))
    }

    fn recoveries(&self) -> u64 {
        self.database.recoveries()
    }

    fn health(&self) -> Answer<'_, ()> {
        done(self.get(&Row::Shard(0)).map(drop))
    }
}
