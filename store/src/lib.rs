//! The tables: statements and fencing timestamps. Two backends behind one interface: `scylla` (ScyllaDB or Cassandra 5,
//! the only crate that touches the driver) and `embedded` (fjall).
//!
//! Written by the scorer alone, read by the API alone. Every cell is JSON text; what is in it is not known here.

mod config;
pub mod embedded;
mod metered;
pub mod metrics;
pub mod scylla;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use schemas::cql;
use schemas::id::{Country, ListingId, Market, SessionId};
use schemas::money::Money;
use schemas::vocabulary::Transaction;

pub use config::{BackendKind, Consistency, EmbeddedConfig, ScyllaConfig, StoreConfig, TtlConfig};

/// Bits of a write timestamp that count the writes of one epoch (DESIGN §3).
pub const SEQUENCE_BITS: u32 = 30;
/// Epochs are below this: a timestamp stays below 2^50, a time long past in microseconds, which ScyllaDB accepts.
pub const MAX_EPOCH: u64 = 1 << 20;

/// `epoch << 30 | sequence`: orders all writes of a row. No wall clock.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WriteTimestamp(i64);

impl WriteTimestamp {
    /// `None` when epoch or sequence is out of range.
    pub const fn new(epoch: u64, sequence: u64) -> Option<Self> {
        if epoch < MAX_EPOCH && sequence < 1 << SEQUENCE_BITS {
            Some(Self((epoch << SEQUENCE_BITS | sequence) as i64))
        } else {
            None
        }
    }
    /// From a stored value.
    pub const fn from_raw(raw: i64) -> Self {
        Self(raw)
    }
    /// The value bound to `USING TIMESTAMP`.
    pub const fn raw(self) -> i64 {
        self.0
    }
    /// Whether it was made by [`WriteTimestamp::new`]: other clients stamp rows with a wall clock, far above 2^50.
    pub const fn is_logical(self) -> bool {
        self.0 >= 0 && self.0 < (MAX_EPOCH << SEQUENCE_BITS) as i64
    }
    /// The epoch of its writer.
    pub const fn epoch(self) -> u64 {
        (self.0 as u64) >> SEQUENCE_BITS
    }
}
impl fmt::Debug for WriteTimestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.epoch(), self.0 & ((1 << SEQUENCE_BITS) - 1))
    }
}

/// A row or cell, by table and key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Row {
    /// `recommendations`, cell `items`; deleting it deletes the row.
    Recommendation(SessionId),
    /// `recommendations`, cell `counts`.
    Counts(SessionId),
    /// `sessions`.
    Session(SessionId),
    /// `listings`.
    Listing(ListingId),
    /// `listings_by_market`.
    ListingByMarket(ByMarket),
    /// `markets`.
    Market(Market),
    /// `market_days`.
    MarketDay(Market, Transaction, jiff::civil::Date),
    /// `shards`.
    Shard(u32),
}

impl Row {
    /// The table it is in.
    pub const fn table(&self) -> Table {
        match self {
            Self::Recommendation(_) | Self::Counts(_) => Table::Recommendations,
            Self::Session(_) => Table::Sessions,
            Self::Listing(_) => Table::Listings,
            Self::ListingByMarket(_) => Table::ListingsByMarket,
            Self::Market(_) => Table::Markets,
            Self::MarketDay(..) => Table::MarketDays,
            Self::Shard(_) => Table::Shards,
        }
    }
}

/// Key of `listings_by_market`, in clustering order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByMarket {
    /// Partition key.
    pub market: Market,
    /// Partition key.
    pub transaction: Transaction,
    /// First clustering column, ascending.
    pub list_price: Money,
    /// Second clustering column, ascending.
    pub listing_id: ListingId,
}

/// One statement. Idempotent: sent again with the same timestamp it changes nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// Which row.
    pub row: Row,
    /// JSON text, or `None` to delete.
    pub cell: Option<Arc<str>>,
    /// Its place in the order of all writes of the row.
    pub timestamp: WriteTimestamp,
}

impl Write {
    /// A row with a timestamp from 2^50 on could never be written again. Checked by each backend, for every write.
    fn refuse_foreign_timestamp(&self) -> Result<(), StoreError> {
        if self.timestamp.is_logical() {
            return Ok(());
        }
        Err(StoreError::Fatal(format!(
            "{:?}: a write timestamp of {} is not below 2^50 and would stay for ever; this is a fault of roost",
            self.row,
            self.timestamp.raw()
        )))
    }
}

/// What can go wrong with the tables, by what the caller can do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Try the same statement again.
    #[error("the store does not answer: {0}")]
    Unavailable(String),
    /// End the process; what to do is in the text.
    #[error("{0}")]
    Fatal(String),
}

/// A cell as read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cell {
    /// JSON text.
    pub json: String,
    /// Its `WRITETIME`.
    pub timestamp: WriteTimestamp,
}

/// A row of `recommendations`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecommendationRow {
    /// Cell `items`.
    pub items: Cell,
    /// Cell `counts`.
    pub counts: Option<Cell>,
}

/// The tables, for [`Backend::scan`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// Key: session id.
    Recommendations,
    /// Key: session id.
    Sessions,
    /// Key: listing id.
    Listings,
    /// Key: market, transaction → price, listing id.
    ListingsByMarket,
    /// Key: country → market.
    Markets,
    /// Key: market, transaction → day.
    MarketDays,
    /// Key: shard.
    Shards,
}

impl Table {
    /// All of them, in the order of [`cql::TABLES`].
    pub const ALL: [Self; 7] = [
        Self::Recommendations,
        Self::Sessions,
        Self::Listings,
        Self::ListingsByMarket,
        Self::Markets,
        Self::MarketDays,
        Self::Shards,
    ];

    /// Its columns.
    pub const fn definition(self) -> &'static cql::Table {
        match self {
            Self::Recommendations => &cql::RECOMMENDATIONS,
            Self::Sessions => &cql::SESSIONS,
            Self::Listings => &cql::LISTINGS,
            Self::ListingsByMarket => &cql::LISTINGS_BY_MARKET,
            Self::Markets => &cql::MARKETS,
            Self::MarketDays => &cql::MARKET_DAYS,
            Self::Shards => &cql::SHARDS,
        }
    }
}

/// A boxed future, so that two backends stand behind one object.
pub type Answer<'a, T> = std::pin::Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// The two backends; see [`Tables`].
pub trait Backend: Send + Sync {
    /// Performs one statement; `Ok` means acknowledged at the configured consistency. Retries nothing by itself beyond one
    /// request time-out: retrying for ever is the caller's state machine.
    fn write(&self, write: Write) -> Answer<'_, ()>;
    /// One row of `recommendations`.
    fn recommendation(&self, session: SessionId) -> Answer<'_, Option<RecommendationRow>>;
    /// One row by key (not `Counts`).
    fn read(&self, row: Row) -> Answer<'_, Option<Cell>>;
    /// Index entries of one market in key order, prices within `min..=max`, strictly after `after`, at most `limit`.
    fn by_market(
        &self,
        market: Market,
        transaction: Transaction,
        min: Money,
        max: Money,
        after: Option<(Money, ListingId)>,
        limit: u32,
    ) -> Answer<'_, Vec<ByMarket>>;
    /// The markets of a country in key order.
    fn markets(&self, country: Country) -> Answer<'_, Vec<(Market, Cell)>>;
    /// The countries that have markets. A full scan of a small table.
    fn countries(&self) -> Answer<'_, Vec<Country>>;
    /// Days of one market, newest first, at most `limit`.
    fn market_days(
        &self,
        market: Market,
        transaction: Transaction,
        limit: u32,
    ) -> Answer<'_, Vec<(jiff::civil::Date, Cell)>>;
    /// Every row of a table with its main cell (a session that has `counts` alone has no main
    /// cell and is left out). For scrubs, checks and tests.
    fn scan(&self, table: Table) -> Answer<'_, BTreeMap<Row, Cell>>;
    /// How many times a node of the store has come back since the start.
    fn recoveries(&self) -> u64;
    /// Whether every node of the store is there, as far as is known.
    fn is_whole(&self) -> bool;
    /// `Err` with the reason while the store does not answer; for `/readyz`.
    fn health(&self) -> Answer<'_, ()>;
}

/// The tables: a handle that services share.
pub type Tables = Arc<dyn Backend>;

/// Opens the tables that `config` names. They must be there, and as this version knows them.
///
/// While the store is away it says so every few seconds, and gives up after `wait_at_start` with
/// [`StoreError::Fatal`].
pub async fn open(config: &StoreConfig) -> Result<Tables, StoreError> {
    match config.backend {
        BackendKind::Scylla => {
            let tables = scylla::ScyllaTables::open(&config.scylla, &config.ttl).await?;
            Ok(Arc::new(metered::Metered::new(tables)))
        }
        BackendKind::Embedded => {
            let tables = embedded::EmbeddedTables::open(&config.embedded, &config.ttl)?;
            Ok(Arc::new(metered::Metered::new(tables)))
        }
    }
}

/// Creates what is missing and returns a line for each change; none: everything stood already. Refuses, with what to
/// do, what it cannot change.
pub async fn init(config: &StoreConfig) -> Result<Vec<String>, StoreError> {
    match config.backend {
        BackendKind::Scylla => scylla::init(&config.scylla).await,
        // A directory is made when it is opened.
        BackendKind::Embedded => Ok(Vec::new()),
    }
}
