//! The state hash of a shard: a function of the records below its offsets alone, whatever engine, batches, restarts and
//! owners led there.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use schemas::cells::ShardCell;
use schemas::id::SessionId;
use schemas::state_hash::{ShardState, StateHash};
use schemas::topic::{Topic, partition_of, session_key};
use schemas::units::Instant;
use scorer::catalogue::Catalogue;
use scorer::engine::indexed::Indexed;
use scorer::engine::kernel::Kernel;
use scorer::engine::{Engine, oracle::Oracle};
use scorer::facts::ScoreEpoch;
use scorer::judge::{Judge, Rules, Safeguards};
use scorer::state::rebuilt;
use scorer::state::verify::{Verdict, verify_within};
use scorer::statements::Statements;
use serde_json::json;
use stream::{Assignment, Delivered, DeliveryError, Outgoing, Record};

const PARTITIONS: u32 = 2;
const NOW: i64 = 1_793_100_000_000;
/// Longer than any session of these tests lives.
const LIFE_MS: i64 = i64::MAX / 4;

/// Something that somebody appends.
#[derive(Clone, Debug)]
enum Said {
    /// A listing's fact: number, time of its version, price in 100,000, bedrooms, whether it is offered.
    Fact(usize, i64, i64, u16, bool),
    /// A listing's tombstone.
    Gone(usize),
    /// A session's statement, with a budget in 100,000.
    Statement(u128, i64),
    /// A session's tombstone.
    Erased(u128),
    /// What is no statement.
    Nonsense(u128),
}

fn said() -> impl Strategy<Value = Said> {
    prop_oneof![
        8 => (0_usize..8, 0_i64..6, 1_i64..5, 1_u16..4, prop::bool::weighted(0.9)).prop_map(|(number, at, price, rooms, offered)| Said::Fact(number, at, price, rooms, offered)),
        1 => (0_usize..8).prop_map(Said::Gone),
        5 => (0_u128..6, 1_i64..6).prop_map(|(session, budget)| Said::Statement(session, budget)),
        1 => (0_u128..6).prop_map(Said::Erased),
        1 => (0_u128..6).prop_map(Said::Nonsense),
    ]
}

fn outgoing(said: &Said) -> Outgoing {
    let (topic, key, value) = match said {
        Said::Fact(number, at, price, bedrooms, offered) => {
            let version = json!({"timestamp_ms": 1_793_000_000_000_i64 + at, "raw_partition": 0, "raw_offset": 3, "batch_index": 0});
            let status = if *offered { "Active" } else { "Closed" };
            let fact = json!({
                "listing": {
                    "listing_id": format!("mls:{number}"), "version": version, "feed": "mls", "standard_status": status,
                    "property_type": "Residential", "transaction": "sale", "market": "us/ca/palm-springs", "country": "us",
                    "currency": "USD", "list_price": price * 100_000, "bedrooms_total": bedrooms,
                },
                "content_version": version, "last_confirmed_at": "2026-11-06T19:20:00.000Z",
                "first_seen_at": "2026-11-06T19:20:00.000Z", "last_change": "NewListing",
                "history": [{"version": version, "standard_status": status, "list_price": price * 100_000}],
            });
            (Topic::ListingsPriced, format!("mls:{number}").into_bytes(), Some(fact.to_string()))
        }
        Said::Gone(number) => (Topic::ListingsPriced, format!("mls:{number}").into_bytes(), None),
        Said::Statement(session, budget) => {
            let budget = budget * 100_000;
            let preferences = json!({"budget": budget, "currency": "USD", "place": {"cities": ["us/ca/palm-springs"]}});
            (Topic::Preferences, session_key(SessionId::from_bits(*session)), Some(preferences.to_string()))
        }
        Said::Erased(session) => (Topic::Preferences, session_key(SessionId::from_bits(*session)), None),
        Said::Nonsense(session) => (Topic::Preferences, session_key(SessionId::from_bits(*session)), Some("{}".into())),
    };
    Outgoing { topic, partition: None, key: Some(key), value: value.map(String::into_bytes), headers: Vec::new() }
}

/// What was said, as it stands on the log.
fn log(said: &[Said]) -> Vec<Record> {
    let mut ends: BTreeMap<(Topic, u32), u64> = BTreeMap::new();
    let append = |said| {
        let Outgoing { topic, key, value, headers, .. } = outgoing(said);
        let partition = partition_of(key.as_deref().unwrap(), PARTITIONS);
        let end = ends.entry((topic, partition)).or_default();
        *end += 1;
        Record { topic, partition, offset: *end - 1, append_time_ms: NOW, key, value, headers }
    };
    said.iter().map(append).collect()
}

/// The records in another order: partition by partition as they were.
fn interleaved(log: &[Record], mut seed: u64) -> Vec<Record> {
    let mut lanes: BTreeMap<(Topic, u32), std::collections::VecDeque<Record>> = BTreeMap::new();
    for record in log {
        lanes.entry((record.topic, record.partition)).or_default().push_back(record.clone());
    }
    let mut order = Vec::new();
    while !lanes.is_empty() {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let lane = *lanes.keys().nth((seed >> 33) as usize % lanes.len()).unwrap();
        order.extend(lanes.get_mut(&lane).unwrap().pop_front());
        lanes.retain(|_, lane| !lane.is_empty());
    }
    order
}

fn judge(engine: Box<dyn Engine>) -> Judge {
    let rules = Rules {
        partitions: PARTITIONS,
        session_life_ms: LIFE_MS,
        window: 100,
        market_every_ms: 1_000,
        scrub_every_ms: 0,
        score_epoch: ScoreEpoch::default(),
        safeguards: Safeguards::default(),
    };
    Judge::new(rules, engine)
}

/// Every engine of this machine.
fn engines() -> Vec<Box<dyn Engine>> {
    let mut engines: Vec<Box<dyn Engine>> = vec![Box::new(Oracle::default())];
    for kernel in [Some(Kernel::Portable), Kernel::avx512()].into_iter().flatten() {
        engines.push(Box::new(Indexed::new(kernel)));
    }
    engines
}

fn assign(judge: &mut Judge, shards: &[u32]) {
    for &partition in shards {
        judge.assigned(&[Assignment { partition, committed: None }]);
    }
}

fn end(judge: &mut Judge) {
    for topic in [Topic::ListingsPriced, Topic::MarketDays, Topic::Preferences] {
        (0..PARTITIONS).for_each(|partition| judge.end(topic, partition, 0));
    }
}

/// Hands the records over in batches of these sizes, over and over.
fn play(judge: &mut Judge, records: &[Record], sizes: &[usize]) {
    let (mut rest, mut sizes) = (records, sizes.iter().cycle());
    while !rest.is_empty() {
        let (batch, left) = rest.split_at((*sizes.next().unwrap()).min(rest.len()));
        batch.iter().for_each(|record| judge.record(record.clone()));
        judge.settle(NOW);
        rest = left;
    }
}

fn states(judge: &Judge) -> BTreeMap<u32, ShardState> {
    judge.states().collect()
}

/// A judge that was there from the start.
fn lived_through(engine: Box<dyn Engine>, records: &[Record], sizes: &[usize]) -> BTreeMap<u32, ShardState> {
    let mut judge = judge(engine);
    assign(&mut judge, &[0, 1]);
    end(&mut judge);
    judge.settle(NOW);
    play(&mut judge, records, sizes);
    states(&judge)
}

/// A judge that came when everything was said.
fn came_late(engine: Box<dyn Engine>, records: &[Record], sizes: &[usize]) -> BTreeMap<u32, ShardState> {
    let mut judge = judge(engine);
    assign(&mut judge, &[0, 1]);
    play(&mut judge, records, sizes);
    assert_eq!(states(&judge), BTreeMap::new(), "nothing is told before everything is read");
    end(&mut judge);
    judge.settle(NOW);
    states(&judge)
}

/// The first judge has both shards until so many records are read, then the second has one of them; both follow all listings.
fn moved(
    mut engines: Vec<Box<dyn Engine>>,
    records: &[Record],
    at: usize,
    sizes: &[usize],
) -> BTreeMap<u32, ShardState> {
    let (mut first, mut second) = (judge(engines.swap_remove(0)), judge(engines.pop().unwrap()));
    let (before, after) = records.split_at(at);
    let of_shards = |records: &[Record], shards: &[u32]| -> Vec<Record> {
        let is_for = |record: &&Record| record.topic != Topic::Preferences || shards.contains(&record.partition);
        records.iter().filter(is_for).cloned().collect()
    };
    assign(&mut first, &[0, 1]);
    end(&mut first);
    play(&mut first, before, sizes);
    play(&mut second, &of_shards(before, &[]), sizes);
    end(&mut second);
    first.revoked(&[0]);
    assign(&mut second, &[0]);
    let statements = before.iter().filter(|record| record.topic == Topic::Preferences && record.partition == 0);
    play(&mut second, &statements.cloned().collect::<Vec<_>>(), sizes);
    second.end(Topic::Preferences, 0, 0);
    play(&mut first, &of_shards(after, &[1]), sizes);
    play(&mut second, &of_shards(after, &[0]), sizes);
    first.settle(NOW);
    second.settle(NOW);
    let (first, second) = (states(&first), states(&second));
    assert_eq!((first.keys().collect::<Vec<_>>(), second.keys().collect::<Vec<_>>()), (vec![&1], vec![&0]));
    first.into_iter().chain(second).collect()
}

/// By the definition, from the records alone; and as it is done where there are too many pairs for that.
fn rebuilt(records: &[Record]) -> BTreeMap<u32, (StateHash, u64)> {
    let mut catalogue = Catalogue::new(PARTITIONS);
    let new = |shard| (shard, Statements::new(shard, PARTITIONS, LIFE_MS, LIFE_MS));
    let mut statements: BTreeMap<u32, Statements> = (0..PARTITIONS).map(new).collect();
    for record in records {
        match record.topic {
            Topic::Preferences => drop(statements.get_mut(&record.partition).unwrap().take(record)),
            _ => drop(catalogue.take(record.clone())),
        }
    }
    let within = |max_pairs| rebuilt::sights(&catalogue, &statements, ScoreEpoch::default(), max_pairs).unwrap();
    let defined = within(rebuilt::MAX_PAIRS);
    assert_eq!(within(0), defined, "above the bound");
    defined
}

fn told(states: &BTreeMap<u32, ShardState>) -> BTreeMap<u32, (StateHash, u64)> {
    states.iter().map(|(shard, state)| (*shard, (state.hash, state.sessions))).collect()
}

fn sizes() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(1_usize..20, 1..4)
}

proptest! {
    #[test]
    fn after_every_batch_the_hash_is_that_of_the_records_so_far(said in prop::collection::vec(said(), 0..60), size in 1_usize..8) {
        let records = log(&said);
        let mut judges: Vec<Judge> = engines().into_iter().map(judge).collect();
        for judge in &mut judges {
            assign(judge, &[0, 1]);
            end(judge);
            judge.settle(NOW);
        }
        let mut read = 0;
        for batch in records.chunks(size) {
            read += batch.len();
            let expected = rebuilt(&records[..read]);
            for judge in &mut judges {
                play(judge, batch, &[size]);
                prop_assert_eq!(told(&states(judge)), expected.clone(), "after {} records", read);
            }
        }
    }

    #[test]
    fn engines_batches_interleavings_restarts_and_moves_do_not_show(
        said in prop::collection::vec(said(), 1..80), seed in any::<u64>(), sizes in prop::collection::vec(sizes(), 4), at in any::<prop::sample::Index>()
    ) {
        let records = log(&said);
        let expected = lived_through(Box::new(Oracle::default()), &records, &[records.len()]);
        prop_assert_eq!(told(&expected), rebuilt(&records));
        let other = interleaved(&records, seed);
        for engine in engines() {
            prop_assert_eq!(&lived_through(engine, &other, &sizes[0]), &expected, "other batches and order");
        }
        for engine in engines() {
            prop_assert_eq!(&came_late(engine, &other, &sizes[1]), &expected, "restarted");
        }
        prop_assert_eq!(&moved(engines(), &other, at.index(records.len()), &sizes[2]), &expected, "moved");
        // The same facts, listing after listing instead of as they came.
        let mut by_key = said;
        by_key.sort_by_key(|said| if let Said::Fact(number, ..) | Said::Gone(number) = said { *number } else { usize::MAX });
        prop_assert_eq!(&lived_through(Box::new(Oracle::default()), &log(&by_key), &sizes[3]), &expected, "other keys first");
    }
}

struct Ignore;
impl stream::AckSink for Ignore {
    fn acked(&self, _: u64, outcome: Result<Delivered, DeliveryError>) {
        assert!(outcome.is_ok(), "{outcome:?}");
    }
}

/// A log on this machine, with what is said.
struct House {
    log: stream::Log,
    said: Vec<Said>,
    _directory: tempfile::TempDir,
}

impl House {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let embedded = stream::EmbeddedConfig {
            directory: directory.path().to_owned(),
            partitions: PARTITIONS,
            ..stream::EmbeddedConfig::default()
        };
        let config = stream::LogConfig { backend: stream::BackendKind::Embedded, embedded, ..Default::default() };
        Self { log: stream::open(&config).unwrap(), said: Vec::new(), _directory: directory }
    }

    fn say(&mut self, said: &[Said]) {
        let producer = self.log.producer(Arc::new(Ignore)).unwrap();
        said.iter().for_each(|said| producer.send(outgoing(said), 0).unwrap());
        producer.flush(Duration::from_secs(30)).unwrap();
        self.said.extend(said.iter().cloned());
    }

    /// The row of a shard whose scorer has applied everything.
    fn row(&self, shard: u32, at_ms: i64) -> Option<ShardCell> {
        let mut states = lived_through(Box::new(Oracle::default()), &log(&self.said), &[3]);
        Some(ShardCell { epoch: 1, caught_up_at: Instant::from_ms(at_ms).unwrap(), state: states.remove(&shard) })
    }

    fn verify(&self, rows: [Option<ShardCell>; 2]) -> [Verdict; 2] {
        self.verify_within(rows, rebuilt::MAX_PAIRS)
    }

    fn verify_within(&self, rows: [Option<ShardCell>; 2], max_pairs: usize) -> [Verdict; 2] {
        let (rows, now) = ((0..).zip(rows).collect(), Instant::from_ms(NOW).unwrap());
        let verdicts = verify_within(&self.log, rows, ScoreEpoch::default(), LAG, now, max_pairs).unwrap();
        let verdicts: Vec<Verdict> = verdicts.into_values().collect();
        verdicts.try_into().unwrap()
    }
}

const LAG: Duration = Duration::from_secs(7_200);

fn a_few() -> Vec<Said> {
    let facts = (0..8).map(|number| Said::Fact(number, 1, 1 + number as i64 % 4, 2, true));
    facts.chain((0..6).map(|session| Said::Statement(session, 4))).collect()
}

#[test]
fn rows_of_different_moments_are_each_compared_at_their_own() {
    let mut house = House::new();
    house.say(&a_few());
    let early = house.row(0, NOW);
    house.say(&[
        Said::Fact(1, 2, 1, 3, true),
        Said::Fact(2, 2, 3, 1, false),
        Said::Statement(1, 2),
        Said::Statement(2, 2),
    ]);
    let late = house.row(1, NOW);
    house.say(&[Said::Fact(3, 3, 1, 3, true), Said::Gone(4), Said::Erased(3), Said::Erased(4)]);
    let (hash, sessions) = rebuilt(&log(&house.said))[&0];
    assert_ne!(hash, early.as_ref().unwrap().state.as_ref().unwrap().hash);
    let verdicts = house.verify([early.clone(), late.clone()]);
    assert!(matches!(&verdicts, [Verdict::AsRecorded(_), Verdict::AsRecorded(_)]), "{verdicts:?}");

    // The right hash at the wrong place, and a wrong one at the right place.
    let mut misplaced = early.unwrap();
    let state = misplaced.state.as_mut().unwrap();
    (state.hash, state.sessions) = (hash, sessions);
    let mut wrong = late.unwrap();
    let state = wrong.state.as_mut().unwrap();
    state.hash = StateHash::from_bits(state.hash.bits() ^ 1);
    let verdicts = house.verify([Some(misplaced), Some(wrong)]);
    assert!(matches!(&verdicts, [Verdict::Differs { .. }, Verdict::Differs { .. }]), "{verdicts:?}");
}

#[test]
fn rows_are_compared_whole_where_there_are_too_many_pairs_for_the_definition() {
    let mut house = House::new();
    house.say(&a_few());
    let rows = [house.row(0, NOW), house.row(1, NOW)];
    assert!(rows.iter().flatten().all(|row| row.state.as_ref().unwrap().sessions > 0), "both shards have sessions");
    let verdicts = house.verify_within(rows.clone(), 0);
    assert!(matches!(&verdicts, [Verdict::AsRecorded(_), Verdict::AsRecorded(_)]), "{verdicts:?}");

    let [right, mut wrong] = rows;
    let state = wrong.as_mut().unwrap().state.as_mut().unwrap();
    let hash = state.hash;
    state.hash = StateHash::from_bits(hash.bits().wrapping_add(1));
    let [first, second] = house.verify_within([right, wrong], 0);
    assert!(matches!(&first, Verdict::AsRecorded(_)), "{first}");
    assert!(matches!(&second, Verdict::Differs { hash: found, .. } if *found == hash), "{second}");
}

#[test]
fn what_cannot_be_compared_is_said_and_why() {
    let mut house = House::new();
    house.say(&a_few());
    let old = NOW - LAG.as_millis() as i64;
    assert!(
        matches!(house.verify([house.row(0, old), None]), [Verdict::AsRecorded(_), Verdict::NoRow]),
        "nothing came since"
    );
    let row = [house.row(0, old), house.row(0, NOW)];
    house.say(&[Said::Fact(1, 2, 1, 3, true)]);
    let [old, new] = row;
    let unread = ShardCell { state: None, ..new.clone().unwrap() };
    assert!(matches!(house.verify([old, Some(unread)]), [Verdict::GoneOn(_), Verdict::NoState]));
    let [verdict, _] = house.verify([new.clone(), None]);
    assert!(matches!(&verdict, Verdict::AsRecorded(_)), "{verdict}");

    let elsewhere = House::new();
    let [verdict, _] = elsewhere.verify([new, None]);
    assert!(verdict.to_string().contains("but the log ends at 0: it is another log, or lost records"), "{verdict}");
}
