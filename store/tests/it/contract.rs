//! The contract, on whichever backend is there.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::civil::date;
use schemas::id::{ListingId, Market, SessionId, SessionToken};
use schemas::money::Money;
use schemas::vocabulary::Transaction;
use store::{
    BackendKind, ByMarket, EmbeddedConfig, Row, ScyllaConfig, StoreConfig, Table, Tables, Write, WriteTimestamp,
};

/// A backend with tables of its own.
pub struct Fixture {
    pub tables: Tables,
    _directory: tempfile::TempDir,
}

async fn backends() -> Vec<(&'static str, Fixture)> {
    let directory = tempfile::tempdir().unwrap();
    let embedded = StoreConfig {
        backend: BackendKind::Embedded,
        embedded: EmbeddedConfig { directory: directory.path().join("tables"), ..EmbeddedConfig::default() },
        ..StoreConfig::default()
    };
    let mut backends =
        vec![("embedded", Fixture { tables: store::open(&embedded).await.unwrap(), _directory: directory })];
    match std::env::var("ROOST_TEST_CQL") {
        Err(_) => eprintln!("skipped on CQL: ROOST_TEST_CQL is not set (make test sets it)"),
        Ok(address) => {
            let keyspace = format!("contract_{:08x}", SessionToken::random().session_id().bits() as u32);
            let scylla = ScyllaConfig {
                contact_points: vec![address],
                keyspace,
                replication_factor: 1,
                ..ScyllaConfig::default()
            };
            let config = StoreConfig { backend: BackendKind::Scylla, scylla, ..StoreConfig::default() };
            let changes = store::init(&config).await.unwrap();
            assert_eq!(changes.len(), 8, "{changes:?}");
            assert_eq!(store::init(&config).await.unwrap(), Vec::<String>::new(), "init is idempotent");
            let tables = store::open(&config).await.unwrap();
            backends.push(("scylla", Fixture { tables, _directory: tempfile::tempdir().unwrap() }));
        }
    }
    backends
}

fn at(epoch: u64, sequence: u64) -> WriteTimestamp {
    WriteTimestamp::new(epoch, sequence).unwrap()
}

async fn put(tables: &Tables, row: &Row, cell: Option<&str>, timestamp: WriteTimestamp) {
    tables.write(Write { row: row.clone(), cell: cell.map(Arc::from), timestamp }).await.unwrap();
}

async fn json(tables: &Tables, row: &Row) -> Option<String> {
    tables.read(row.clone()).await.unwrap().map(|cell| cell.json)
}

fn market() -> Market {
    "us/wa/seattle".parse().unwrap()
}
fn session(n: u128) -> SessionId {
    SessionId::from_bits(n)
}
fn entry(price: i64, id: &str) -> ByMarket {
    ByMarket {
        market: market(),
        transaction: Transaction::Sale,
        list_price: Money::from_units(price).unwrap(),
        listing_id: id.parse().unwrap(),
    }
}

/// A row of every kind that has a cell.
fn rows() -> Vec<Row> {
    vec![
        Row::Recommendation(session(1)),
        Row::Session(session(1)),
        Row::Listing("f:1".parse().unwrap()),
        Row::Market(market()),
        Row::MarketDay(market(), Transaction::Sale, date(2026, 11, 25)),
        Row::Shard(3),
    ]
}

#[tokio::test]
async fn an_older_timestamp_never_wins() {
    for (name, fixture) in backends().await {
        for row in rows() {
            put(&fixture.tables, &row, Some(r#"{"n":2}"#), at(1, 2)).await;
            put(&fixture.tables, &row, Some(r#"{"n":1}"#), at(1, 1)).await;
            let cell = fixture.tables.read(row.clone()).await.unwrap().unwrap();
            assert_eq!((cell.json.as_str(), cell.timestamp), (r#"{"n":2}"#, at(1, 2)), "{name} {row:?}");
            put(&fixture.tables, &row, Some(r#"{"n":3}"#), at(2, 1)).await;
            assert_eq!(
                json(&fixture.tables, &row).await.as_deref(),
                Some(r#"{"n":3}"#),
                "{name} {row:?}: a greater epoch wins"
            );
        }
    }
}

#[tokio::test]
async fn a_delete_is_a_statement_like_any_other() {
    for (name, fixture) in backends().await {
        for row in rows() {
            put(&fixture.tables, &row, None, at(1, 5)).await;
            put(&fixture.tables, &row, Some("{}"), at(1, 4)).await;
            assert_eq!(json(&fixture.tables, &row).await, None, "{name} {row:?}: the older write came late");
            put(&fixture.tables, &row, Some("{}"), at(1, 6)).await;
            assert_eq!(json(&fixture.tables, &row).await.as_deref(), Some("{}"), "{name} {row:?}");
        }
    }
}

#[tokio::test]
async fn counts_are_a_cell_of_their_own_and_go_with_their_row() {
    for (name, fixture) in backends().await {
        let (items, counts) = (Row::Recommendation(session(7)), Row::Counts(session(7)));
        put(&fixture.tables, &items, Some("[]"), at(1, 1)).await;
        let row = fixture.tables.recommendation(session(7)).await.unwrap().unwrap();
        assert_eq!((row.items.json.as_str(), row.counts), ("[]", None), "{name}");
        put(&fixture.tables, &counts, Some("{}"), at(1, 2)).await;
        let row = fixture.tables.recommendation(session(7)).await.unwrap().unwrap();
        assert_eq!(row.counts.map(|cell| (cell.json, cell.timestamp)), Some(("{}".to_owned(), at(1, 2))), "{name}");
        put(&fixture.tables, &items, None, at(1, 3)).await;
        assert_eq!(fixture.tables.recommendation(session(7)).await.unwrap(), None, "{name}");
        put(&fixture.tables, &items, Some("[]"), at(1, 4)).await;
        let row = fixture.tables.recommendation(session(7)).await.unwrap().unwrap();
        assert_eq!(row.counts, None, "{name}: the old counts do not come back");
    }
}

#[tokio::test]
async fn the_index_is_read_in_the_order_of_price_and_id_from_a_cursor_on() {
    for (name, fixture) in backends().await {
        let entries = [entry(100, "f:b"), entry(100, "f:c"), entry(200, "f:a"), entry(300, "f:a"), entry(400, "f:a")];
        for entry in entries.iter().rev() {
            put(&fixture.tables, &Row::ListingByMarket(entry.clone()), Some("{}"), at(1, 1)).await;
        }
        let other = ByMarket { transaction: Transaction::Lease, ..entry(150, "f:x") };
        put(&fixture.tables, &Row::ListingByMarket(other), Some("{}"), at(1, 1)).await;
        let page = async |min: i64, max: i64, after: Option<(i64, &str)>, limit: u32| {
            let money = |units| Money::from_units(units).unwrap();
            let after = after.map(|(price, id)| (money(price), id.parse::<ListingId>().unwrap()));
            fixture.tables.by_market(market(), Transaction::Sale, money(min), money(max), after, limit).await.unwrap()
        };
        assert_eq!(page(0, 1_000, None, 10).await, entries, "{name}");
        assert_eq!(page(100, 300, None, 10).await, entries[..4], "{name}: both ends are included");
        assert_eq!(page(101, 300, None, 1).await, entries[2..3], "{name}");
        assert_eq!(page(0, 1_000, Some((100, "f:b")), 2).await, entries[1..3], "{name}: strictly after the cursor");
        assert_eq!(page(150, 1_000, Some((100, "f:b")), 10).await, entries[2..], "{name}: a cursor below the range");
        put(&fixture.tables, &Row::ListingByMarket(entries[1].clone()), None, at(1, 2)).await;
        assert_eq!(page(100, 100, None, 10).await, entries[..1], "{name}: a withdrawn entry");
    }
}

#[tokio::test]
async fn markets_are_listed_by_country_and_days_newest_first() {
    for (name, fixture) in backends().await {
        for market in ["us/wa/tacoma", "us/wa/seattle", "ca/bc/vancouver"] {
            put(&fixture.tables, &Row::Market(market.parse().unwrap()), Some("{}"), at(1, 1)).await;
        }
        let countries = fixture.tables.countries().await.unwrap();
        assert_eq!(countries.iter().map(ToString::to_string).collect::<Vec<_>>(), ["ca", "us"], "{name}");
        let markets = fixture.tables.markets("us".parse().unwrap()).await.unwrap();
        assert_eq!(
            markets.iter().map(|(m, _)| m.as_str()).collect::<Vec<_>>(),
            ["us/wa/seattle", "us/wa/tacoma"],
            "{name}"
        );
        for day in [date(2026, 1, 1), date(2026, 1, 3), date(2026, 1, 2)] {
            let row = Row::MarketDay(market(), Transaction::Sale, day);
            put(&fixture.tables, &row, Some(&format!("\"{day}\"")), at(1, 1)).await;
        }
        let days = fixture.tables.market_days(market(), Transaction::Sale, 2).await.unwrap();
        assert_eq!(
            days.iter().map(|(day, _)| *day).collect::<Vec<_>>(),
            [date(2026, 1, 3), date(2026, 1, 2)],
            "{name}"
        );
    }
}

/// Writers of several epochs race over a few rows; afterwards every row is what its greatest timestamp said.
#[tokio::test]
async fn whatever_order_writers_come_in_the_greatest_timestamp_stays() {
    let seed = SessionToken::random().session_id().bits() as u64 | 1;
    eprintln!("seed {seed}");
    for (name, fixture) in backends().await {
        let mut state = seed;
        let mut next = |n: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state % n
        };
        let mut model: BTreeMap<Row, (WriteTimestamp, Option<String>)> = BTreeMap::new();
        let mut used = std::collections::BTreeSet::new();
        let mut writes = Vec::new();
        while writes.len() < 300 {
            let row = match next(3) {
                0 => Row::Session(session(u128::from(next(10)))),
                1 => Row::Listing(format!("f:{}", next(10)).parse().unwrap()),
                _ => Row::ListingByMarket(entry(next(5) as i64, "f:1")),
            };
            let timestamp = at(next(4), next(1_000));
            if !used.insert(timestamp) {
                continue;
            }
            let value = if matches!(row, Row::ListingByMarket(_)) {
                "{}".to_owned()
            } else {
                format!("{{\"n\":{}}}", next(100))
            };
            let cell = (next(3) > 0).then_some(value);
            if model.get(&row).is_none_or(|(known, _)| timestamp > *known) {
                model.insert(row.clone(), (timestamp, cell.clone()));
            }
            writes.push(Write { row, cell: cell.map(Arc::from), timestamp });
        }
        let all: Vec<_> = writes
            .into_iter()
            .map(|write| {
                let tables = fixture.tables.clone();
                tokio::spawn(async move { tables.write(write).await })
            })
            .collect();
        for write in all {
            write.await.unwrap().unwrap();
        }
        let mut found = BTreeMap::new();
        for table in [Table::Sessions, Table::Listings, Table::ListingsByMarket] {
            found.extend(fixture.tables.scan(table).await.unwrap().into_iter().map(|(row, cell)| (row, cell.json)));
        }
        let wanted: BTreeMap<_, _> = model.into_iter().filter_map(|(row, (_, cell))| Some((row, cell?))).collect();
        assert_eq!(found, wanted, "{name}, seed {seed}");
    }
}
