//! A scorer that runs, on the embedded log and on tables that do not answer.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use schemas::id::{Country, ListingId, Market, SessionId};
use schemas::money::Money;
use schemas::vocabulary::Transaction;
use scorer::{Config, Scorer};
use store::{Answer, ByMarket, Cell, RecommendationRow, Row, StoreError, Table, Write};

/// What the tables do with a write.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Writes {
    Fail,
    Panic,
    /// So do reads.
    FailAsReads,
}

struct Tables {
    writes: Writes,
    written: AtomicU64,
    /// How often the judge has gone round: it asks this each time.
    turns: AtomicU64,
}

fn none<'a, T: Send + Default + 'a>() -> Answer<'a, T> {
    Box::pin(async { Ok(T::default()) })
}

impl store::Backend for Tables {
    fn write(&self, _write: Write) -> Answer<'_, ()> {
        self.written.fetch_add(1, Ordering::Relaxed);
        assert!(self.writes != Writes::Panic, "on purpose");
        Box::pin(async { Err(StoreError::Unavailable("no node".to_owned())) })
    }
    fn recommendation(&self, _session: SessionId) -> Answer<'_, Option<RecommendationRow>> {
        none()
    }
    fn read(&self, _row: Row) -> Answer<'_, Option<Cell>> {
        if self.writes == Writes::FailAsReads {
            return Box::pin(async { Err(StoreError::Unavailable("no node".to_owned())) });
        }
        none()
    }
    fn by_market(
        &self,
        _market: Market,
        _transaction: Transaction,
        _min: Money,
        _max: Money,
        _after: Option<(Money, ListingId)>,
        _limit: u32,
    ) -> Answer<'_, Vec<ByMarket>> {
        none()
    }
    fn markets(&self, _country: Country) -> Answer<'_, Vec<(Market, Cell)>> {
        none()
    }
    fn countries(&self) -> Answer<'_, Vec<Country>> {
        none()
    }
    fn market_days(
        &self,
        _market: Market,
        _transaction: Transaction,
        _limit: u32,
    ) -> Answer<'_, Vec<(jiff::civil::Date, Cell)>> {
        none()
    }
    fn scan(&self, _table: Table) -> Answer<'_, BTreeMap<Row, Cell>> {
        none()
    }
    fn recoveries(&self) -> u64 {
        self.turns.fetch_add(1, Ordering::Relaxed);
        0
    }
    fn is_whole(&self) -> bool {
        true
    }
    fn health(&self) -> Answer<'_, ()> {
        none()
    }
}

struct House {
    tables: Arc<Tables>,
    fatal: Arc<Mutex<Vec<String>>>,
    scorer: Scorer,
    runtime: tokio::runtime::Runtime,
    /// Closed when it is dropped.
    log: stream::Log,
    directory: tempfile::TempDir,
}

impl House {
    fn start(writes: Writes, config: Config) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let embedded = stream::EmbeddedConfig {
            directory: directory.path().to_owned(),
            partitions: 2,
            ..stream::EmbeddedConfig::default()
        };
        let log = stream::LogConfig { backend: stream::BackendKind::Embedded, embedded, ..Default::default() };
        let log = stream::open(&log).unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let tables = Arc::new(Tables { writes, written: AtomicU64::new(0), turns: AtomicU64::new(0) });
        let fatal = Arc::new(Mutex::new(Vec::new()));
        let lines = Arc::clone(&fatal);
        let tell: stream::Fatal = Arc::new(move |line| lines.lock().unwrap().push(line));
        let scorer = {
            let _entered = runtime.enter();
            Scorer::start(config, log.clone(), tables.clone(), tell).unwrap()
        };
        Self { tables, fatal, scorer, runtime, log, directory }
    }

    #[track_caller]
    fn eventually(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let until = Instant::now() + Duration::from_secs(30);
        while !is_so(self) {
            assert!(Instant::now() < until, "not within 30 s: {what}; {:?}", self.fatal.lock().unwrap());
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }

    fn was_told(&self, words: &str) -> bool {
        self.fatal.lock().unwrap().iter().any(|line| line.contains(words))
    }
}

#[test]
fn a_panic_where_a_row_is_written_ends_the_process() {
    let house = House::start(Writes::Panic, Config::default());
    house.eventually("the process is ended", |house| house.was_told("a write panicked"));
}

#[test]
fn a_process_that_stood_still_too_long_ends_and_names_the_setting() {
    let house = House::start(Writes::Fail, Config { max_pause: Duration::ZERO, ..Config::default() });
    house.eventually("the process is ended", |house| house.was_told("scorer.max_pause"));
}

#[test]
fn a_scorer_that_stops_while_the_store_is_away_waits_instead_of_spinning() {
    let House { tables, scorer, runtime, fatal, log, directory } = {
        let house = House::start(Writes::Fail, Config::default());
        house.eventually("a row is tried", |house| house.tables.written.load(Ordering::Relaxed) > 0);
        house
    };
    let before = tables.turns.load(Ordering::Relaxed);
    let grace = Duration::from_secs(1);
    assert!(matches!(scorer.stop(grace), scorer::Drained::RowsLeft(_)));
    let turns = tables.turns.load(Ordering::Relaxed) - before;
    // A turn each tick, and one for each answer of the store.
    assert!(turns < 1_000, "{turns} turns in {grace:?}");
    assert!(fatal.lock().unwrap().is_empty());
    runtime.shutdown_background();
    drop((log, directory));
}

#[test]
fn a_shard_that_is_not_taken_over_for_want_of_the_store_says_what_that_said() {
    let house = House::start(Writes::FailAsReads, Config::default());
    let why = "the store does not answer: no node";
    house.eventually("it says so", |house| house.scorer.ready().is_err_and(|said| said == why));
}
