//! The tables in ScyllaDB or Cassandra 5. The only place in the house that knows the driver.
//!
//! Every statement is prepared once and idempotent. The driver may try another node within one request time-out; beyond
//! that, trying again is the caller's. The schema is never changed here but by [`init()`].

mod connect;
mod fault;
mod init;
mod key;
mod recovery;
mod statements;

use std::collections::BTreeMap;
use std::sync::Arc;

use ::scylla::client::session::Session;
use ::scylla::deserialize::row::DeserializeRow;
use ::scylla::errors::ExecutionError;
use ::scylla::response::{PagingState, PagingStateResponse};
use ::scylla::statement::prepared::PreparedStatement;
use ::scylla::value::{CqlDate, CqlValue, Row as CqlRow};
use schemas::id::{Country, ListingId, Market, SessionId};
use schemas::money::Money;
use schemas::vocabulary::Transaction;

pub use init::init;

use self::recovery::Recoveries;
use self::statements::Statements;
use crate::config::{ScyllaConfig, TtlConfig};
use crate::{Answer, Backend, ByMarket, Cell, RecommendationRow, Row, StoreError, Table, Write, WriteTimestamp};

/// The tables in a CQL store.
pub struct ScyllaTables {
    session: Arc<Session>,
    statements: Statements,
    ttl: TtlConfig,
    recoveries: Recoveries,
}

impl ScyllaTables {
    /// Connects, checks that the tables are those of this version and that no row has been written by a wall clock.
    pub async fn open(config: &ScyllaConfig, ttl: &TtlConfig) -> Result<Self, StoreError> {
        connect::until_it_answers(config, || Self::attempt(config, ttl)).await
    }

    async fn attempt(config: &ScyllaConfig, ttl: &TtlConfig) -> Result<Self, StoreError> {
        let session = connect::session(config).await?;
        init::check(&session, &config.keyspace).await?;
        let statements = Statements::prepare(&session, &config.keyspace).await?;
        let session = Arc::new(session);
        let recoveries = Recoveries::watch(session.clone());
        let tables = Self { session, statements, ttl: ttl.clone(), recoveries };
        tables.refuse_foreign_timestamps(&config.keyspace).await?;
        Ok(tables)
    }

    /// One row that another client wrote with its wall clock (2^50 is in the year 2005, in microseconds) can never be
    /// overwritten by us. Looks at the first page of each table: who forgets the time stamp forgets it everywhere.
    async fn refuse_foreign_timestamps(&self, keyspace: &schemas::cql::Keyspace) -> Result<(), StoreError> {
        for table in Table::ALL {
            let (rows, _) = self.page(self.statements.of(table).scan(), &[], PagingState::start()).await?;
            for row in rows {
                if let (row, Some(cell)) = key::main_cell(table, row)?
                    && !cell.timestamp.is_logical()
                {
                    let name = table.definition().name;
                    return Err(StoreError::Fatal(format!(
                        "{keyspace}.{name}: {row:?} was written by another client with WRITETIME {}, which is not below \
                         2^50: roost can never overwrite it. Find who writes there, take the right away from it, then \
                         `TRUNCATE {keyspace}.{name}` and restart the scorers: they write every row again from the log",
                        cell.timestamp.raw()
                    )));
                }
            }
        }
        Ok(())
    }

    /// Performs one write statement. The time stamp is checked here, for everything that is written passes here.
    async fn perform(&self, write: Write) -> Result<(), StoreError> {
        write.refuse_foreign_timestamp()?;
        let ttl = self.ttl.of(write.row.table());
        let (statement, values) = self.statements.writing(&write, ttl);
        self.session.execute_unpaged(statement, values).await.map_err(|error| self.failed(&error))?;
        Ok(())
    }

    fn failed(&self, error: &ExecutionError) -> StoreError {
        if fault::is_broken_connection(error) {
            self.recoveries.note_broken_connection();
        }
        fault::of_execution(error)
    }

    /// The first row of an answer.
    async fn first<R>(&self, statement: &PreparedStatement, values: Vec<CqlValue>) -> Result<Option<R>, StoreError>
    where
        R: for<'f> DeserializeRow<'f, 'f>,
    {
        let answer = self.session.execute_unpaged(statement, values).await.map_err(|error| self.failed(&error))?;
        let rows = answer.into_rows_result().map_err(|error| fault::unreadable(&error))?;
        rows.maybe_first_row().map_err(|error| fault::unreadable(&error))
    }

    /// One page of an answer, and where the next one starts.
    async fn page<R>(
        &self,
        statement: &PreparedStatement,
        values: &[CqlValue],
        at: PagingState,
    ) -> Result<(Vec<R>, Option<PagingState>), StoreError>
    where
        R: for<'f> DeserializeRow<'f, 'f>,
    {
        let (answer, next) =
            self.session.execute_single_page(statement, values, at).await.map_err(|error| self.failed(&error))?;
        let rows = answer.into_rows_result().map_err(|error| fault::unreadable(&error))?;
        let rows = rows.rows().map_err(|error| fault::unreadable(&error))?;
        let rows = rows.collect::<Result<Vec<R>, _>>().map_err(|error| fault::unreadable(&error))?;
        let next = match next {
            PagingStateResponse::HasMorePages { state } => Some(state),
            PagingStateResponse::NoMorePages => None,
        };
        Ok((rows, next))
    }

    /// All rows of an answer: page after page, each within its own request time-out.
    async fn all<R>(&self, statement: &PreparedStatement, values: Vec<CqlValue>) -> Result<Vec<R>, StoreError>
    where
        R: for<'f> DeserializeRow<'f, 'f>,
    {
        let (mut rows, mut next) = self.page(statement, &values, PagingState::start()).await?;
        while let Some(at) = next.take() {
            let (more, after) = self.page(statement, &values, at).await?;
            rows.extend(more);
            next = after;
        }
        Ok(rows)
    }
}

/// A cell and its WRITETIME.
type CellColumns = (Option<String>, Option<i64>);
/// `items` and `counts`, each with its WRITETIME.
type RecommendationColumns = (Option<String>, Option<i64>, Option<String>, Option<i64>);

fn cell((json, timestamp): CellColumns) -> Option<Cell> {
    Some(Cell { json: json?, timestamp: WriteTimestamp::from_raw(timestamp?) })
}

impl Backend for ScyllaTables {
    fn write(&self, write: Write) -> Answer<'_, ()> {
        Box::pin(self.perform(write))
    }

    fn recommendation(&self, session: SessionId) -> Answer<'_, Option<RecommendationRow>> {
        Box::pin(async move {
            let key = key::of(&Row::Recommendation(session));
            let statement = &self.statements.recommendation;
            let row: Option<RecommendationColumns> = self.first(statement, key).await?;
            Ok(row.and_then(|(items, items_at, counts, counts_at)| {
                Some(RecommendationRow { items: cell((items, items_at))?, counts: cell((counts, counts_at)) })
            }))
        })
    }

    fn read(&self, row: Row) -> Answer<'_, Option<Cell>> {
        Box::pin(async move {
            let statement = self.statements.reading(&row);
            let columns: Option<CellColumns> = self.first(statement, key::of(&row)).await?;
            Ok(columns.and_then(cell))
        })
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
            if limit == 0 {
                return Ok(Vec::new());
            }
            let values = statements::market_range(&market, transaction, min, max, after, limit);
            let rows: Vec<(i64, String)> = self.all(&self.statements.by_market, values).await?;
            let entry = |(cents, listing): (i64, String)| {
                Ok(ByMarket {
                    market: market.clone(),
                    transaction,
                    list_price: key::money(cents)?,
                    listing_id: key::parsed(&listing)?,
                })
            };
            rows.into_iter().map(entry).collect()
        })
    }

    fn markets(&self, country: Country) -> Answer<'_, Vec<(Market, Cell)>> {
        Box::pin(async move {
            let values = vec![key::text(&country)];
            let rows: Vec<(String, Option<String>, Option<i64>)> = self.all(&self.statements.markets, values).await?;
            let live = |(market, json, at): (String, _, _)| Some((market, cell((json, at))?));
            rows.into_iter().filter_map(live).map(|(market, cell)| Ok((key::parsed(&market)?, cell))).collect()
        })
    }

    fn countries(&self) -> Answer<'_, Vec<Country>> {
        Box::pin(async move {
            let rows: Vec<(String,)> = self.all(&self.statements.countries, Vec::new()).await?;
            let mut countries: Vec<Country> =
                rows.iter().map(|(country,)| key::parsed(country)).collect::<Result<_, _>>()?;
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
            if limit == 0 {
                return Ok(Vec::new());
            }
            let values = vec![key::text(&market), key::word(transaction), statements::limit(limit)];
            let rows: Vec<(CqlDate, Option<String>, Option<i64>)> =
                self.all(&self.statements.market_days, values).await?;
            let live = |(day, json, at): (CqlDate, _, _)| Some((day, cell((json, at))?));
            rows.into_iter().filter_map(live).map(|(day, cell)| Ok((key::civil_date(day)?, cell))).collect()
        })
    }

    fn scan(&self, table: Table) -> Answer<'_, BTreeMap<Row, Cell>> {
        Box::pin(async move {
            let rows: Vec<CqlRow> = self.all(self.statements.of(table).scan(), Vec::new()).await?;
            let mut found = BTreeMap::new();
            for row in rows {
                if let (row, Some(cell)) = key::main_cell(table, row)? {
                    found.insert(row, cell);
                }
            }
            Ok(found)
        })
    }

    fn recoveries(&self) -> u64 {
        self.recoveries.count()
    }

    fn is_whole(&self) -> bool {
        self.recoveries.is_whole()
    }

    fn health(&self) -> Answer<'_, ()> {
        // A row of its own table, at the configured consistency: what a write would need to succeed.
        Box::pin(async move { self.read(Row::Shard(0)).await.map(|_| ()) })
    }
}
