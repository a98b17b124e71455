//! The tables in ScyllaDB or Cassandra 5. The only place that touches the driver.
//!
//! Every statement that changes a row is in `statements.rs` and carries its timestamp; retrying is the caller's.

mod init;
mod statements;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures::TryStreamExt;
use schemas::id::{Country, ListingId, Market, SessionId};
use schemas::money::Money;
use schemas::vocabulary::Transaction;
use scylla::client::execution_profile::ExecutionProfile;
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use scylla::deserialize::row::DeserializeRow;
use scylla::policies::load_balancing::DefaultPolicy;
use scylla::serialize::row::SerializeRow;
use scylla::statement::Consistency;
use scylla::statement::prepared::PreparedStatement;
use scylla::value::CqlDate;

pub use self::init::init;
use self::statements::Statements;
use crate::config::ScyllaConfig;
use crate::metrics;
use crate::{Answer, Backend, ByMarket, Cell, RecommendationRow, Row, StoreError, Table, Write, WriteTimestamp};

/// How often the operator is told that the store is still away at start.
const TELL_EVERY: Duration = Duration::from_secs(3);
/// How often nodes are looked at, to see one that comes back.
const WATCH_EVERY: Duration = Duration::from_secs(1);
/// Idle time after which a connection is probed, and how long the probe may take: a stopped node is noticed in 5 s.
const KEEPALIVE: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(3));

/// The tables, connected.
pub struct ScyllaTables {
    session: Arc<Session>,
    statements: Statements,
    recoveries: Arc<AtomicU64>,
    watch: tokio::task::JoinHandle<()>,
}

impl Drop for ScyllaTables {
    fn drop(&mut self) {
        self.watch.abort();
    }
}

impl ScyllaTables {
    /// Waits for the store, checks that its tables are ours, prepares every statement.
    pub async fn connect(config: &ScyllaConfig) -> Result<Self, StoreError> {
        let session = Arc::new(connect(config).await?);
        init::check(&session, config).await?;
        let statements = Statements::prepare(&session, &config.keyspace).await?;
        let recoveries = Arc::new(AtomicU64::new(0));
        let watch = tokio::spawn(watch(session.clone(), recoveries.clone()));
        Ok(Self { session, statements, recoveries, watch })
    }

    async fn change(&self, statement: &PreparedStatement, values: impl SerializeRow) -> Result<(), StoreError> {
        let begun = Instant::now();
        let outcome = self.session.execute_unpaged(statement, values).await;
        metrics::record_request("write", begun.elapsed(), outcome.is_ok());
        outcome.map(drop).map_err(unavailable)
    }

    async fn first<R>(&self, statement: &PreparedStatement, values: impl SerializeRow) -> Result<Option<R>, StoreError>
    where
        R: for<'f, 'm> DeserializeRow<'f, 'm>,
    {
        let begun = Instant::now();
        let outcome = self.session.execute_unpaged(statement, values).await;
        metrics::record_request("read", begun.elapsed(), outcome.is_ok());
        let rows = outcome.map_err(unavailable)?.into_rows_result().map_err(foreign)?;
        rows.maybe_first_row::<R>().map_err(foreign)
    }

    async fn all<R>(&self, statement: &PreparedStatement, values: impl SerializeRow) -> Result<Vec<R>, StoreError>
    where
        R: for<'f, 'm> DeserializeRow<'f, 'm> + 'static,
    {
        let begun = Instant::now();
        let pages = self.session.execute_iter(statement.clone(), values).await;
        metrics::record_request("read_many", begun.elapsed(), pages.is_ok());
        let rows = pages.map_err(unavailable)?.rows_stream::<R>().map_err(foreign)?;
        rows.try_collect().await.map_err(unavailable)
    }

    async fn write_row(&self, write: Write) -> Result<(), StoreError> {
        let at = write.timestamp.raw();
        let cell = write.cell.as_deref();
        let statement = self.statements.of(&write.row, cell.is_some());
        match (&write.row, cell) {
            (Row::Recommendation(id) | Row::Counts(id) | Row::Session(id), Some(cell)) => {
                self.change(statement, (id.to_string(), cell, at)).await
            }
            (Row::Recommendation(id) | Row::Counts(id) | Row::Session(id), None) => {
                self.change(statement, (at, id.to_string())).await
            }
            (Row::Listing(id), Some(cell)) => self.change(statement, (id.as_str(), cell, at)).await,
            (Row::Listing(id), None) => self.change(statement, (at, id.as_str())).await,
            (Row::ListingByMarket(entry), cell) => {
                let (market, transaction) = (entry.market.as_str(), entry.transaction.as_str());
                let (price, id) = (entry.list_price.cents(), entry.listing_id.as_str());
                match cell {
                    Some(_) => self.change(statement, (market, transaction, price, id, at)).await,
                    None => self.change(statement, (at, market, transaction, price, id)).await,
                }
            }
            (Row::Market(market), Some(cell)) => {
                self.change(statement, (market.country().as_str(), market.as_str(), cell, at)).await
            }
            (Row::Market(market), None) => {
                self.change(statement, (at, market.country().as_str(), market.as_str())).await
            }
            (Row::MarketDay(market, transaction, day), Some(cell)) => {
                self.change(statement, (market.as_str(), transaction.as_str(), to_cql(*day), cell, at)).await
            }
            (Row::MarketDay(market, transaction, day), None) => {
                self.change(statement, (at, market.as_str(), transaction.as_str(), to_cql(*day))).await
            }
            (Row::Shard(number), Some(cell)) => self.change(statement, (shard(*number), cell, at)).await,
            (Row::Shard(number), None) => self.change(statement, (at, shard(*number))).await,
        }
    }

    async fn read_row(&self, row: Row) -> Result<Option<Cell>, StoreError> {
        let read = self.statements.read(&row);
        let found: Option<(Option<String>, Option<i64>)> = match &row {
            Row::Recommendation(id) | Row::Counts(id) | Row::Session(id) => self.first(read, (id.to_string(),)).await?,
            Row::Listing(id) => self.first(read, (id.as_str(),)).await?,
            Row::Market(market) => self.first(read, (market.country().as_str(), market.as_str())).await?,
            Row::MarketDay(market, transaction, day) => {
                self.first(read, (market.as_str(), transaction.as_str(), to_cql(*day))).await?
            }
            Row::Shard(number) => self.first(read, (shard(*number),)).await?,
            Row::ListingByMarket(entry) => {
                let key = (
                    entry.market.as_str(),
                    entry.transaction.as_str(),
                    entry.list_price.cents(),
                    entry.listing_id.as_str(),
                );
                // The row is its key: it has no cell, and its timestamp cannot be asked for.
                let found: Option<(String,)> = self.first(read, key).await?;
                found.map(|_| (Some("{}".to_owned()), Some(0)))
            }
        };
        Ok(found.and_then(|(json, at)| Some(cell(json?, at?))))
    }

    async fn scan_table(&self, table: Table) -> Result<BTreeMap<Row, Cell>, StoreError> {
        let statement = self.statements.scan(table);
        let mut rows = BTreeMap::new();
        match table {
            Table::Recommendations | Table::Sessions | Table::Listings => {
                for (key, json, at) in self.all::<(String, Option<String>, Option<i64>)>(statement, ()).await? {
                    let row = match table {
                        Table::Recommendations => Row::Recommendation(ours(&key)?),
                        Table::Sessions => Row::Session(ours(&key)?),
                        _ => Row::Listing(ours(&key)?),
                    };
                    rows.extend(json.zip(at).map(|(json, at)| (row, cell(json, at))));
                }
            }
            Table::ListingsByMarket => {
                for (market, transaction, price, id) in self.all::<(String, String, i64, String)>(statement, ()).await?
                {
                    let row = Row::ListingByMarket(entry(ours(&market)?, transaction_of(&transaction)?, price, &id)?);
                    rows.insert(row, cell("{}".to_owned(), 0));
                }
            }
            Table::Markets => {
                for (market, json, at) in self.all::<(String, Option<String>, Option<i64>)>(statement, ()).await? {
                    let row = Row::Market(ours(&market)?);
                    rows.extend(json.zip(at).map(|(json, at)| (row, cell(json, at))));
                }
            }
            Table::MarketDays => {
                type Day = (String, String, CqlDate, Option<String>, Option<i64>);
                for (market, transaction, day, json, at) in self.all::<Day>(statement, ()).await? {
                    let row = Row::MarketDay(ours(&market)?, transaction_of(&transaction)?, from_cql(day)?);
                    rows.extend(json.zip(at).map(|(json, at)| (row, cell(json, at))));
                }
            }
            Table::Shards => {
                for (number, json, at) in self.all::<(i32, Option<String>, Option<i64>)>(statement, ()).await? {
                    let number = u32::try_from(number).map_err(|_| foreign(format!("shard {number}")))?;
                    rows.extend(json.zip(at).map(|(json, at)| (Row::Shard(number), cell(json, at))));
                }
            }
        }
        Ok(rows)
    }
}

impl Backend for ScyllaTables {
    fn write(&self, write: Write) -> Answer<'_, ()> {
        Box::pin(self.write_row(write))
    }

    fn recommendation(&self, session: SessionId) -> Answer<'_, Option<RecommendationRow>> {
        Box::pin(async move {
            type Found = (Option<String>, Option<i64>, Option<String>, Option<i64>);
            let row: Option<Found> = self.first(&self.statements.recommendation, (session.to_string(),)).await?;
            Ok(row.and_then(|(items, items_at, counts, counts_at)| {
                let counts = counts.zip(counts_at).map(|(json, at)| cell(json, at));
                Some(RecommendationRow { items: cell(items?, items_at?), counts })
            }))
        })
    }

    fn read(&self, row: Row) -> Answer<'_, Option<Cell>> {
        Box::pin(self.read_row(row))
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
        Box::pin(async move {
            let limit = i32::try_from(limit).unwrap_or(i32::MAX);
            let (name, kind) = (market.as_str(), transaction.as_str());
            let found: Vec<(i64, String)> = match after {
                // `after` lies within the prices asked for, or below them: the greater lower bound counts.
                Some((price, id)) if price >= min => {
                    let key = (name, kind, price.cents(), id.as_str(), max.cents(), limit);
                    self.all(&self.statements.by_market_after, key).await?
                }
                _ => self.all(&self.statements.by_market, (name, kind, min.cents(), max.cents(), limit)).await?,
            };
            found.iter().map(|(price, id)| entry(market.clone(), transaction, *price, id)).collect()
        })
    }

    fn markets(&self, country: Country) -> Answer<'_, Vec<(Market, Cell)>> {
        Box::pin(async move {
            type Found = (String, Option<String>, Option<i64>);
            let found: Vec<Found> = self.all(&self.statements.markets, (country.as_str(),)).await?;
            let known = found.into_iter().filter_map(|(market, json, at)| Some((market, cell(json?, at?))));
            known.map(|(market, cell)| Ok((ours(&market)?, cell))).collect()
        })
    }

    fn countries(&self) -> Answer<'_, Vec<Country>> {
        Box::pin(async move {
            let found: Vec<(String,)> = self.all(&self.statements.countries, ()).await?;
            let mut countries = found.iter().map(|(country,)| ours(country)).collect::<Result<Vec<Country>, _>>()?;
            countries.sort_unstable();
            Ok(countries)
        })
    }

    fn market_days(
        &self,
        market: Market,
        transaction: Transaction,
        limit: u32,
    ) -> Answer<'_, Vec<(jiff::civil::Date, Cell)>> {
        Box::pin(async move {
            let limit = i32::try_from(limit).unwrap_or(i32::MAX);
            type Found = (CqlDate, Option<String>, Option<i64>);
            let key = (market.as_str(), transaction.as_str(), limit);
            let found: Vec<Found> = self.all(&self.statements.market_days, key).await?;
            let known = found.into_iter().filter_map(|(day, json, at)| Some((day, cell(json?, at?))));
            known.map(|(day, cell)| Ok((from_cql(day)?, cell))).collect()
        })
    }

    fn scan(&self, table: Table) -> Answer<'_, BTreeMap<Row, Cell>> {
        Box::pin(self.scan_table(table))
    }

    fn recoveries(&self) -> u64 {
        self.recoveries.load(Ordering::Acquire)
    }

    fn health(&self) -> Answer<'_, ()> {
        Box::pin(async move {
            let _: Option<(Option<String>, Option<i64>)> =
                self.first(self.statements.read(&Row::Shard(0)), (0_i32,)).await?;
            Ok(())
        })
    }
}

/// Connects, telling the operator while the store is away.
async fn connect(config: &ScyllaConfig) -> Result<Session, StoreError> {
    let begun = Instant::now();
    let addresses = config.contact_points.join(", ");
    let mut again = tokio::time::interval(TELL_EVERY);
    loop {
        again.tick().await;
        let waited = begun.elapsed();
        match builder(config)?.build().await {
            Ok(session) => return Ok(session),
            Err(error) if waited >= config.wait_at_start => {
                return Err(StoreError::Fatal(format!(
                    "store.scylla.contact_points: {addresses} did not answer for {} s: {error}; start the store, or correct the address",
                    waited.as_secs()
                )));
            }
            Err(error) => {
                tracing::warn!("waiting for the store at {addresses}, for {} s now: {error}", waited.as_secs())
            }
        }
    }
}

fn builder(config: &ScyllaConfig) -> Result<SessionBuilder, StoreError> {
    let mut policy = DefaultPolicy::builder().token_aware(true);
    if !config.local_datacenter.is_empty() {
        policy = policy.prefer_datacenter(config.local_datacenter.clone());
    }
    let profile = ExecutionProfile::builder()
        .consistency(Consistency::LocalQuorum)
        .request_timeout(Some(config.request_timeout))
        .load_balancing_policy(policy.build())
        .build();
    let mut builder = SessionBuilder::new()
        .known_nodes(&config.contact_points)
        .default_execution_profile_handle(profile.into_handle())
        .keepalive_interval(KEEPALIVE.0)
        .keepalive_timeout(KEEPALIVE.1);
    if !config.user.is_empty() {
        let file = config.password_file.clone().unwrap_or_default();
        let password = std::fs::read_to_string(&file)
            .map_err(|error| StoreError::Fatal(format!("store.scylla.password_file: {}: {error}", file.display())))?;
        builder = builder.user(&config.user, password.trim_end());
    }
    Ok(builder)
}

/// Counts nodes that come back.
async fn watch(session: Arc<Session>, recoveries: Arc<AtomicU64>) {
    let mut down = std::collections::BTreeSet::new();
    let mut every = tokio::time::interval(WATCH_EVERY);
    loop {
        every.tick().await;
        for node in session.get_cluster_state().get_nodes_info() {
            let address = (node.address.ip(), node.address.port());
            if !node.is_connected() {
                down.insert(address);
            } else if down.remove(&address) {
                recoveries.fetch_add(1, Ordering::AcqRel);
                metrics::record_recovery();
            }
        }
    }
}

fn unavailable(error: impl std::fmt::Display) -> StoreError {
    StoreError::Unavailable(error.to_string())
}

/// A row that roost would not have written.
fn foreign(error: impl std::fmt::Display) -> StoreError {
    StoreError::Fatal(format!(
        "the store holds what roost did not write: {error}; was another program or version let at the tables?"
    ))
}

fn ours<T: std::str::FromStr<Err = schemas::field_error::FieldError>>(text: &str) -> Result<T, StoreError> {
    text.parse().map_err(foreign)
}

fn transaction_of(text: &str) -> Result<Transaction, StoreError> {
    let known = [Transaction::Sale, Transaction::Lease].into_iter().find(|t| t.as_str() == text);
    known.ok_or_else(|| foreign(format!("transaction {text}")))
}

fn entry(market: Market, transaction: Transaction, cents: i64, id: &str) -> Result<ByMarket, StoreError> {
    let list_price = Money::from_cents(cents).ok_or_else(|| foreign(format!("list_price {cents}")))?;
    Ok(ByMarket { market, transaction, list_price, listing_id: ours(id)? })
}

const fn cell(json: String, at: i64) -> Cell {
    Cell { json, timestamp: WriteTimestamp::from_raw(at) }
}

/// Shards are partitions: far below 2^31.
const fn shard(number: u32) -> i32 {
    number as i32
}

/// CQL counts days from 2^31 days before 1970.
fn to_cql(day: jiff::civil::Date) -> CqlDate {
    let days = (day - jiff::civil::date(1970, 1, 1)).get_days();
    CqlDate((1_u32 << 31).wrapping_add_signed(days))
}

fn from_cql(day: CqlDate) -> Result<jiff::civil::Date, StoreError> {
    let days = i64::from(day.0) - (1_i64 << 31);
    jiff::civil::date(1970, 1, 1).checked_add(jiff::Span::new().try_days(days).map_err(foreign)?).map_err(foreign)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_stored_as_cql_counts_it() {
        for day in [jiff::civil::date(1970, 1, 1), jiff::civil::date(2026, 11, 25), jiff::civil::date(1969, 12, 31)] {
            assert_eq!(from_cql(to_cql(day)).unwrap(), day);
        }
        assert_eq!(to_cql(jiff::civil::date(1970, 1, 2)).0, (1 << 31) + 1);
    }
}
