//! Where the tests get tables from, and what they write into them.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use schemas::cql::Keyspace;
use schemas::id::{ListingId, Market, SessionId};
use schemas::money::Money;
use schemas::vocabulary::Transaction;
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use store::{
    BackendKind, ByMarket, EmbeddedConfig, Row, ScyllaConfig, StoreConfig, Tables, TtlConfig, Write, WriteTimestamp,
};

/// A keyspace of its own on the server that `ROOST_TEST_CQL` names; dropped at the end of the test.
pub struct Cql {
    pub config: StoreConfig,
    pub session: Session,
}

impl Cql {
    /// `None`, and a line that says so, where no server is named.
    pub async fn new() -> Option<Self> {
        let Ok(address) = std::env::var("ROOST_TEST_CQL") else {
            println!("skipped: ROOST_TEST_CQL is not set (make test sets it)");
            return None;
        };
        let scylla = ScyllaConfig {
            contact_points: vec![address.clone()],
            keyspace: fresh_keyspace(),
            replication_factor: 1,
            // A server that other tests share has pauses; none of these tests is about the time-out.
            request_timeout: Duration::from_secs(30),
            ..ScyllaConfig::default()
        };
        let session =
            SessionBuilder::new().known_node(address).build().await.expect("the server named by ROOST_TEST_CQL");
        Some(Self { config: StoreConfig { backend: BackendKind::Scylla, scylla, ..StoreConfig::default() }, session })
    }

    pub fn keyspace(&self) -> &Keyspace {
        &self.config.scylla.keyspace
    }

    pub async fn execute(&self, statement: &str) {
        let mut statement = scylla::statement::Statement::new(statement);
        statement.set_request_timeout(Some(Duration::from_secs(60)));
        self.session.query_unpaged(statement, ()).await.unwrap();
    }

    pub async fn close(self) {
        self.execute(&format!("DROP KEYSPACE IF EXISTS {}", self.keyspace())).await;
    }
}

/// Tables in a directory.
pub fn embedded(directory: &Path, ttl: TtlConfig) -> StoreConfig {
    let embedded = EmbeddedConfig { directory: directory.join("tables"), ..EmbeddedConfig::default() };
    StoreConfig { backend: BackendKind::Embedded, embedded, ttl, ..StoreConfig::default() }
}

/// From `ROOST_TEST_SEED`, else a new one. Printed, so that what fails can be made to fail again.
pub fn seed() -> u64 {
    let given = std::env::var("ROOST_TEST_SEED").ok().map(|seed| seed.parse().expect("ROOST_TEST_SEED is a number"));
    let seed = given.unwrap_or_else(now_ns);
    println!("ROOST_TEST_SEED={seed}");
    seed
}

/// SplitMix64: enough for an order of things.
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % end
    }

    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last as u64 + 1) as usize);
        }
    }
}

fn fresh_keyspace() -> Keyspace {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let (now, next) = (now_ns(), NEXT.fetch_add(1, Ordering::Relaxed));
    format!("roost_test_{:x}_{}_{next}", now & 0xffff_ffff, std::process::id()).parse().unwrap()
}

fn now_ns() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64
}

pub fn at(epoch: u64, sequence: u64) -> WriteTimestamp {
    WriteTimestamp::new(epoch, sequence).unwrap()
}

pub fn put(row: Row, json: &str, timestamp: WriteTimestamp) -> Write {
    Write { row, cell: Some(Arc::from(json)), timestamp }
}

pub fn delete(row: Row, timestamp: WriteTimestamp) -> Write {
    Write { row, cell: None, timestamp }
}

/// Writes, and expects to be acknowledged.
pub async fn write(tables: &Tables, writes: impl IntoIterator<Item = Write>) {
    for write in writes {
        tables.write(write).await.unwrap();
    }
}

/// The JSON of a row, as it is read.
pub async fn json(tables: &Tables, row: &Row) -> Option<String> {
    tables.read(row.clone()).await.unwrap().map(|cell| cell.json)
}

pub fn session(number: u128) -> SessionId {
    SessionId::from_bits(number)
}

pub fn listing(number: u32) -> ListingId {
    format!("feed:{number}").parse().unwrap()
}

pub fn market(text: &str) -> Market {
    text.parse().unwrap()
}

pub fn hint(market: &Market, units: i64, number: u32) -> Row {
    Row::ListingByMarket(ByMarket {
        market: market.clone(),
        transaction: Transaction::Sale,
        list_price: Money::from_units(units).unwrap(),
        listing_id: listing(number),
    })
}

/// A row of every kind. `number` tells rows apart.
pub fn one_of_each(number: u32) -> Vec<Row> {
    let market = market(&format!("us/wa/town-{number}"));
    vec![
        Row::Recommendation(session(number.into())),
        Row::Session(session(number.into())),
        Row::Listing(listing(number)),
        hint(&market, i64::from(number), number),
        Row::Market(market.clone()),
        Row::MarketDay(market, Transaction::Lease, jiff::civil::date(2026, 2, 28)),
        Row::Shard(number),
    ]
}
