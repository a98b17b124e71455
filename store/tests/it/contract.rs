//! What both backends promise. Every test here runs on each of them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::civil::date;
use schemas::money::Money;
use schemas::vocabulary::Transaction;
use store::{ByMarket, Row, StoreError, Table, Tables, TtlConfig, WriteTimestamp};

use crate::house::{self, Cql, at, delete, hint, json, listing, market, one_of_each, put, session, write};

/// The same test on each backend.
macro_rules! contract {
    ($(#[$doc:meta])* $name:ident, $ttl:expr, |$tables:ident| $body:block) => {
        mod $name {
            use super::*;

            async fn test($tables: Tables) $body

            $(#[$doc])*
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_this_machine() {
                let directory = tempfile::tempdir().unwrap();
                let config = house::embedded(directory.path(), $ttl);
                assert_eq!(store::init(&config).await.unwrap(), Vec::<String>::new());
                test(store::open(&config).await.unwrap()).await;
            }

            $(#[$doc])*
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_cql() {
                let Some(mut cql) = Cql::new().await else { return };
                cql.config.ttl = $ttl;
                store::init(&cql.config).await.unwrap();
                test(store::open(&cql.config).await.unwrap()).await;
                cql.close().await;
            }
        }
    };
    ($(#[$doc:meta])* $name:ident, |$tables:ident| $body:block) => {
        contract! { $(#[$doc])* $name, TtlConfig::default(), |$tables| $body }
    };
}

contract! { an_older_timestamp_never_wins_in_either_order, |tables| {
    for (first, second) in [(at(1, 5), at(2, 1)), (at(2, 1), at(1, 5)), (at(3, 1), at(3, 2)), (at(3, 2), at(3, 1))] {
        let number = (first.raw() ^ (second.raw() << 1)) as u32;
        for row in one_of_each(number) {
            let text = |timestamp: WriteTimestamp| format!("{{\"at\":{}}}", timestamp.raw());
            write(&tables, [put(row.clone(), &text(first), first), put(row.clone(), &text(second), second)]).await;
            let cell = tables.read(row.clone()).await.unwrap().expect("a row");
            let newest = first.max(second);
            assert_eq!((cell.json, cell.timestamp), (text(newest), newest), "{row:?}: {first:?} then {second:?}");
        }
    }
}}

contract! { a_deleted_row_stays_deleted_when_an_older_write_comes_late, |tables| {
    for row in one_of_each(1) {
        write(&tables, [
            put(row.clone(), "{}", at(1, 1)),
            delete(row.clone(), at(1, 3)),
            put(row.clone(), "{}", at(1, 2)),
        ]).await;
        assert_eq!(json(&tables, &row).await, None, "{row:?}");
        write(&tables, [put(row.clone(), "{\"new\":1}", at(1, 4))]).await;
        assert_eq!(json(&tables, &row).await.as_deref(), Some("{\"new\":1}"), "{row:?}");
        write(&tables, [delete(row.clone(), at(1, 2))]).await;
        assert!(json(&tables, &row).await.is_some(), "{row:?}: an older delete won");
    }
}}

contract! { the_same_statement_again_changes_nothing, |tables| {
    for row in one_of_each(1) {
        for _ in 0..3 {
            write(&tables, [put(row.clone(), "{\"a\":1}", at(1, 1))]).await;
        }
        assert_eq!(json(&tables, &row).await.as_deref(), Some("{\"a\":1}"));
        for _ in 0..3 {
            write(&tables, [delete(row.clone(), at(1, 2))]).await;
        }
        assert_eq!(json(&tables, &row).await, None);
    }
}}

contract! { deleting_a_recommendation_deletes_its_counts, |tables| {
    let (result, counts) = (Row::Recommendation(session(1)), Row::Counts(session(1)));
    write(&tables, [put(result.clone(), "[1]", at(1, 1)), put(counts.clone(), "{\"n\":1}", at(1, 2))]).await;
    let row = tables.recommendation(session(1)).await.unwrap().expect("a row");
    assert_eq!((row.items.json.as_str(), row.items.timestamp), ("[1]", at(1, 1)));
    let cell = row.counts.expect("counts");
    assert_eq!((cell.json.as_str(), cell.timestamp), ("{\"n\":1}", at(1, 2)));

    write(&tables, [delete(result.clone(), at(1, 3))]).await;
    assert_eq!(tables.recommendation(session(1)).await.unwrap(), None);
    assert_eq!(json(&tables, &counts).await, None);

    // Counts that come late stay behind the delete; newer ones alone make no row.
    write(&tables, [put(counts.clone(), "{\"n\":2}", at(1, 2))]).await;
    assert_eq!(json(&tables, &counts).await, None);
    write(&tables, [put(counts.clone(), "{\"n\":3}", at(1, 4))]).await;
    assert_eq!(tables.recommendation(session(1)).await.unwrap(), None);
    assert_eq!(json(&tables, &counts).await.as_deref(), Some("{\"n\":3}"));
    assert_eq!(tables.scan(Table::Recommendations).await.unwrap(), BTreeMap::new());

    // Deleting the counts leaves the items alone.
    write(&tables, [put(result.clone(), "[2]", at(1, 5)), delete(counts, at(1, 6))]).await;
    let row = tables.recommendation(session(1)).await.unwrap().expect("a row");
    assert_eq!((row.items.json.as_str(), row.counts), ("[2]", None));
}}

contract! { a_delete_between_two_cells_takes_only_the_older_one, |tables| {
    let (result, counts) = (Row::Recommendation(session(1)), Row::Counts(session(1)));
    write(&tables, [
        put(result.clone(), "[1]", at(1, 1)),
        put(counts.clone(), "{}", at(1, 3)),
        delete(result.clone(), at(1, 2)),
    ]).await;
    assert_eq!(tables.recommendation(session(1)).await.unwrap(), None);
    assert_eq!(json(&tables, &counts).await.as_deref(), Some("{}"));
}}

contract! { a_row_ends_with_its_time_to_live,
    TtlConfig { hints: Duration::from_secs(2), sessions: Duration::from_secs(3600), ..TtlConfig::default() },
    |tables| {
    let town = market("us/wa/seattle");
    let (short, long) = (Row::Market(town.clone()), Row::Session(session(1)));
    write(&tables, [put(short.clone(), "{}", at(1, 2)), put(hint(&town, 1, 1), "{}", at(1, 2)),
        put(long.clone(), "{}", at(1, 1))]).await;
    assert!(json(&tables, &short).await.is_some());
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    while json(&tables, &short).await.is_some() {
        assert!(std::time::Instant::now() < deadline, "the row outlived its time to live");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(tables.markets("us".parse().unwrap()).await.unwrap(), []);
    assert_eq!(tables.scan(Table::Markets).await.unwrap(), BTreeMap::new());
    assert!(json(&tables, &long).await.is_some());
    // What has ended still orders the writes of its row.
    write(&tables, [put(short.clone(), "{}", at(1, 1))]).await;
    assert_eq!(json(&tables, &short).await, None);
    write(&tables, [put(short.clone(), "{}", at(1, 3))]).await;
    assert!(json(&tables, &short).await.is_some());
}}

contract! { a_market_is_read_by_price_and_then_by_listing, |tables| {
    let (here, there) = (market("us/wa/seattle"), market("us/wa/sea"));
    // Ids whose order as text is not their order as numbers.
    let entries = [(100, 2), (100, 10), (250, 1), (300, 3), (1000, 4)];
    for (index, (price, number)) in entries.iter().rev().enumerate() {
        write(&tables, [put(hint(&here, *price, *number), "{}", at(1, index as u64))]).await;
    }
    let lease = Row::ListingByMarket(ByMarket {
        market: here.clone(), transaction: Transaction::Lease, list_price: Money::from_units(100).unwrap(), listing_id: listing(7),
    });
    write(&tables, [put(lease, "{}", at(1, 50)), put(hint(&there, 100, 8), "{}", at(1, 51))]).await;

    let money = |units| Money::from_units(units).unwrap();
    let read = async |min: i64, max: i64, after: Option<(i64, u32)>, limit: u32| {
        let after = after.map(|(price, number)| (money(price), listing(number)));
        let found = tables.by_market(here.clone(), Transaction::Sale, money(min), money(max), after, limit).await.unwrap();
        assert!(found.iter().all(|entry| entry.market == here && entry.transaction == Transaction::Sale));
        found.into_iter().map(|entry| (entry.list_price.units(), entry.listing_id.listing_key().to_owned())).collect::<Vec<_>>()
    };
    let expect = |entries: &[(i64, u32)]| entries.iter().map(|(price, n)| (*price, n.to_string())).collect::<Vec<_>>();
    let ordered = [(100, 10), (100, 2), (250, 1), (300, 3), (1000, 4)];
    assert_eq!(read(0, 1_000_000, None, 100).await, expect(&ordered));
    assert_eq!(read(100, 300, None, 100).await, expect(&ordered[..4]), "both ends belong to the range");
    assert_eq!(read(101, 299, None, 100).await, expect(&ordered[2..3]));
    assert_eq!(read(500, 400, None, 100).await, [], "an empty range");
    assert_eq!(read(0, 1_000_000, None, 2).await, expect(&ordered[..2]));
    assert_eq!(read(0, 1_000_000, None, 0).await, []);
    // A cursor walks the whole market without a gap or a repetition.
    let mut walked = Vec::new();
    let mut after = None;
    loop {
        let page = read(0, 1_000_000, after, 2).await;
        let Some((price, number)) = page.last() else { break };
        after = Some((*price, number.parse().unwrap()));
        walked.extend(page);
        assert!(walked.len() <= ordered.len(), "{walked:?}");
    }
    assert_eq!(walked, expect(&ordered));
    assert_eq!(read(200, 1_000_000, Some((100, 2)), 100).await, expect(&ordered[2..]), "a cursor below the range");
    write(&tables, [delete(hint(&here, 250, 1), at(2, 1))]).await;
    assert_eq!(read(101, 300, None, 100).await, expect(&ordered[3..4]));
}}

contract! { countries_and_their_markets_are_listed_in_order, |tables| {
    for (number, name) in ["us/wa/seattle", "us/ca/palm-springs", "de/by/munchen", "us/wa/bothell"].iter().enumerate() {
        write(&tables, [put(Row::Market(market(name)), &format!("{{\"n\":{number}}}"), at(1, number as u64))]).await;
    }
    let names = async |country: &str| {
        let found = tables.markets(country.parse().unwrap()).await.unwrap();
        found.into_iter().map(|(market, cell)| (market.to_string(), cell.json)).collect::<Vec<_>>()
    };
    let pair = |name: &str, number: u32| (name.to_owned(), format!("{{\"n\":{number}}}"));
    assert_eq!(names("us").await, [pair("us/ca/palm-springs", 1), pair("us/wa/bothell", 3), pair("us/wa/seattle", 0)]);
    assert_eq!(names("fr").await, []);
    let countries = async || tables.countries().await.unwrap().iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(countries().await, ["de", "us"]);
    write(&tables, [delete(Row::Market(market("de/by/munchen")), at(2, 1))]).await;
    assert_eq!(countries().await, ["us"]);
    assert_eq!(names("de").await, []);
}}

contract! { days_of_a_market_come_newest_first, |tables| {
    let town = market("us/wa/seattle");
    let days = [date(2026, 1, 31), date(2025, 12, 31), date(2026, 2, 1), date(1969, 7, 20), date(2024, 2, 29)];
    for (number, day) in days.into_iter().enumerate() {
        let row = Row::MarketDay(town.clone(), Transaction::Sale, day);
        write(&tables, [put(row, &format!("{number}"), at(1, number as u64))]).await;
    }
    write(&tables, [put(Row::MarketDay(town.clone(), Transaction::Lease, date(2027, 1, 1)), "9", at(1, 9))]).await;
    let read = async |limit| {
        let found = tables.market_days(town.clone(), Transaction::Sale, limit).await.unwrap();
        found.into_iter().map(|(day, cell)| (day, cell.json)).collect::<Vec<_>>()
    };
    let newest = [(days[2], "2"), (days[0], "0"), (days[1], "1"), (days[4], "4"), (days[3], "3")];
    let newest = newest.map(|(day, json)| (day, json.to_owned()));
    assert_eq!(read(100).await, newest);
    assert_eq!(read(2).await, newest[..2]);
    assert_eq!(read(0).await, []);
}}

contract! { a_scan_gives_every_row_of_a_table_and_no_other, |tables| {
    let mut expected: BTreeMap<Table, BTreeMap<Row, (String, WriteTimestamp)>> = BTreeMap::new();
    // More rows than one page of an answer holds.
    let mut written = Vec::new();
    for number in 0..1_100 {
        let rows = if number < 20 { one_of_each(number) } else { vec![Row::Listing(listing(number))] };
        for row in rows {
            let (json, timestamp) = (format!("{{\"n\":{number}}}"), at(1, number.into()));
            written.push(put(row.clone(), &json, timestamp));
            expected.entry(row.table()).or_default().insert(row, (json, timestamp));
        }
    }
    let all = written.into_iter().map(|write| tables.write(write));
    for outcome in futures::future::join_all(all).await {
        outcome.unwrap();
    }
    for table in Table::ALL {
        let found = tables.scan(table).await.unwrap();
        let found: BTreeMap<_, _> = found.into_iter().map(|(row, cell)| (row, (cell.json, cell.timestamp))).collect();
        assert_eq!(found, expected[&table], "{table:?}");
    }
}}

contract! { a_timestamp_that_could_never_be_overwritten_is_refused, |tables| {
    for raw in [-1, 1 << 50, 1_764_000_000_000_000] {
        let refused = tables.write(put(Row::Shard(1), "{}", WriteTimestamp::from_raw(raw))).await;
        assert!(matches!(&refused, Err(StoreError::Fatal(said)) if said.contains("2^50")), "{raw}: {refused:?}");
    }
    assert_eq!(json(&tables, &Row::Shard(1)).await, None);
    write(&tables, [put(Row::Shard(1), "{}", WriteTimestamp::from_raw((1 << 50) - 1))]).await;
    assert!(json(&tables, &Row::Shard(1)).await.is_some());
}}

contract! { tables_that_answer_are_healthy, |tables| {
    tables.health().await.unwrap();
    assert_eq!(tables.recoveries(), 0);
    let large: Arc<str> = Arc::from(format!("\"{}\"", "é".repeat(500_000)));
    tables.write(store::Write { row: Row::Listing(listing(1)), cell: Some(large.clone()), timestamp: at(1, 1) }).await.unwrap();
    assert_eq!(json(&tables, &Row::Listing(listing(1))).await.as_deref(), Some(&*large));
}}

contract! { whatever_order_writers_come_in_the_greatest_timestamp_stays, |tables| {
    let seed = house::seed();
    let mut random = house::Random(seed);
    // Four writers of four epochs; each statement is sent once to three times, all of them in one shuffled crowd.
    let mut statements = Vec::new();
    for epoch in 1..=4 {
        for sequence in 0..120 {
            let mut rows = one_of_each(random.below(4) as u32);
            rows.push(Row::Counts(session(random.below(4).into())));
            let row = rows.swap_remove(random.below(rows.len() as u64) as usize);
            let cell = (random.below(3) > 0).then(|| format!("{{\"by\":[{epoch},{sequence}]}}"));
            let write = store::Write { row, cell: cell.map(Arc::from), timestamp: at(epoch, sequence) };
            for _ in 0..=random.below(3) {
                statements.push(write.clone());
            }
        }
    }
    // Without any of what happens to the crowd: each cell is what its greatest statement says, and a deleted
    // recommendation is a statement about both of its cells.
    let mut expected: BTreeMap<Row, (WriteTimestamp, Option<String>)> = BTreeMap::new();
    for write in &statements {
        let mut say = |row: Row| {
            let said = (write.timestamp, write.cell.as_deref().map(str::to_owned));
            let known = expected.entry(row).or_insert_with(|| said.clone());
            if known.0 < said.0 {
                *known = said;
            }
        };
        say(write.row.clone());
        if let (Row::Recommendation(session), None) = (&write.row, &write.cell) {
            say(Row::Counts(*session));
        }
    }
    random.shuffle(&mut statements);
    let tasks: Vec<_> = (0..8).map(|task| {
        let (tables, mine) = (tables.clone(), statements.iter().skip(task).step_by(8).cloned().collect::<Vec<_>>());
        tokio::spawn(async move { write(&tables, mine).await })
    }).collect();
    for task in tasks {
        task.await.unwrap();
    }
    for (row, (timestamp, cell)) in &expected {
        let found = tables.read(row.clone()).await.unwrap().map(|cell| (cell.timestamp, cell.json));
        assert_eq!(found, cell.clone().map(|cell| (*timestamp, cell)), "{row:?}, ROOST_TEST_SEED={seed}");
    }
    for table in Table::ALL {
        let found: Vec<Row> = tables.scan(table).await.unwrap().into_keys().collect();
        let live = |(row, (_, cell)): (&Row, &(_, Option<String>))| {
            (row.table() == table && cell.is_some() && !matches!(row, Row::Counts(_))).then(|| row.clone())
        };
        assert_eq!(found, expected.iter().filter_map(live).collect::<Vec<_>>(), "{table:?}, ROOST_TEST_SEED={seed}");
    }
}}
