//! The judge on one partition, with a store and a log that do what they are told at once. What happens when they do not is
//! the simulator's part (`e2e/src/sim`).

use std::collections::BTreeMap;
use std::sync::Arc;

use schemas::cells::ShardCell;
use schemas::id::SessionId;
use schemas::market_day::MarketDay;
use schemas::priced::PricedListing;
use schemas::topic::{Topic, partition_of, session_key};
use scorer::engine::indexed::Indexed;
use scorer::engine::kernel::Kernel;
use scorer::engine::oracle::Oracle;
use scorer::facts::ScoreEpoch;
use scorer::judge::{Effect, Judge, Rules, Safeguards, Then};
use scorer::snapshot;
use serde_json::json;
use store::{Row, Write};
use stream::{Assignment, Outgoing, Record};

const SCRUB_EVERY_MS: i64 = 600_000;

fn fact(number: usize) -> PricedListing {
    let version = json!({"timestamp_ms": 1_793_000_000_000_i64, "raw_partition": 0, "raw_offset": 3, "batch_index": 0});
    serde_json::from_value(json!({
        "listing": {
            "listing_id": format!("mls:{number}"), "version": version, "feed": "mls", "standard_status": "Active",
            "property_type": "Residential", "transaction": "sale", "market": "us/ca/palm-springs", "country": "us",
            "currency": "USD", "list_price": 800_000,
        },
        "content_version": version, "last_confirmed_at": "2026-11-06T19:20:00.000Z",
        "first_seen_at": "2026-11-06T19:20:00.000Z", "last_change": "NewListing",
        "history": [{"version": version, "standard_status": "Active", "list_price": 800_000}],
    }))
    .unwrap()
}

fn row(number: usize) -> Row {
    Row::Listing(fact(number).listing.listing_id)
}

fn rules(partitions: u32) -> Rules {
    Rules {
        partitions,
        session_life_ms: i64::MAX / 4,
        window: 100,
        market_every_ms: 1_000,
        scrub_every_ms: SCRUB_EVERY_MS,
        score_epoch: ScoreEpoch::default(),
        safeguards: Safeguards::default(),
    }
}

/// One scorer.
struct House {
    judge: Judge,
    now: i64,
    offset: u64,
    /// The row that the store does not write.
    unanswered: Option<Row>,
    partitions: u32,
    /// The shard whose claim is not acknowledged.
    unclaimed: Option<u32>,
    /// Observations of markets that were appended and not read back.
    observations: Vec<Outgoing>,
}

impl House {
    fn new() -> Self {
        Self::of(1)
    }

    fn of(partitions: u32) -> Self {
        Self::with(partitions, Judge::new(rules(partitions), Box::new(Oracle::default())))
    }

    fn with(partitions: u32, judge: Judge) -> Self {
        Self {
            judge,
            now: 1_793_100_000_000,
            offset: 0,
            unanswered: None,
            partitions,
            unclaimed: None,
            observations: Vec::new(),
        }
    }

    /// The observations that were appended come back from the log.
    fn read_back(&mut self) {
        for Outgoing { topic, key, value, headers, .. } in std::mem::take(&mut self.observations) {
            let (offset, append_time_ms) = (self.offset, self.now);
            self.judge.record(Record { topic, partition: 0, offset, append_time_ms, key, value, headers });
            self.offset += 1;
        }
    }

    /// What a session states.
    fn statement(&mut self, session: SessionId) {
        let preferences = json!({"budget": 900_000, "currency": "USD", "place": {"cities": ["us/ca/palm-springs"]}});
        let key = session_key(session);
        self.judge.record(Record {
            topic: Topic::Preferences,
            partition: partition_of(&key, self.partitions),
            offset: self.offset,
            append_time_ms: self.now,
            key: Some(key),
            value: Some(preferences.to_string().into_bytes()),
            headers: Vec::new(),
        });
        self.offset += 1;
    }

    /// A listing's record; `None`: its tombstone.
    fn listing(&mut self, number: usize, fact: Option<PricedListing>) {
        let key = format!("mls:{number}").into_bytes();
        let partition = partition_of(&key, self.partitions);
        let value = fact.map(|fact| serde_json::to_vec(&fact).unwrap());
        let (topic, headers) = (Topic::ListingsPriced, Vec::new());
        let (offset, append_time_ms) = (self.offset, self.now);
        self.judge.record(Record { topic, partition, offset, append_time_ms, key: Some(key), value, headers });
        self.offset += 1;
    }

    /// The end of all logs.
    fn end(&mut self) {
        for topic in [Topic::ListingsPriced, Topic::MarketDays, Topic::Preferences] {
            (0..self.partitions).for_each(|partition| self.judge.end(topic, partition, self.offset));
        }
    }

    fn take_over(&mut self) {
        for partition in 0..self.partitions {
            self.judge.assigned(&[Assignment { partition, committed: None }]);
        }
        self.end();
    }

    /// Performs everything until nothing is left. Returns what was written.
    fn perform(&mut self, tables: &mut BTreeMap<Row, Arc<str>>, epoch: u64) -> Vec<Row> {
        let mut written = Vec::new();
        loop {
            let effects = self.judge.settle(self.now);
            if effects.is_empty() {
                return written;
            }
            for effect in effects {
                match effect {
                    Effect::Claim { shard } if self.unclaimed == Some(shard) => {}
                    Effect::Claim { shard } => self.judge.claimed(shard, epoch),
                    Effect::ReadShard { shard } => {
                        let row = tables.get(&Row::Shard(shard));
                        let row = row.map(|cell| serde_json::from_str::<ShardCell>(cell).unwrap());
                        self.judge.checked(shard, row, self.now);
                    }
                    // The store does not answer.
                    Effect::Write(Write { row, .. }) if self.unanswered.as_ref() == Some(&row) => {}
                    Effect::Write(Write { row, cell, timestamp }) => {
                        match cell {
                            Some(cell) => tables.insert(row.clone(), cell),
                            None => tables.remove(&row),
                        };
                        self.judge.written(&row, timestamp, true, self.now);
                        written.push(row);
                    }
                    Effect::Scan { shard, table } => {
                        let rows = tables.keys().filter(|row| row.table() == table).cloned().collect();
                        self.judge.scanned(shard, rows, self.now);
                    }
                    Effect::Append { then: Then::Announced(row, timestamp), .. } => {
                        self.judge.announced(&row, timestamp);
                    }
                    Effect::Append { record, then: Then::Nothing } if record.topic == Topic::MarketDays => {
                        self.observations.push(record);
                    }
                    Effect::Append { then: Then::Nothing, .. } | Effect::Commit { .. } | Effect::Warn(_) => {}
                    Effect::DeadLetter { .. } => panic!("{effect:?}"),
                }
            }
        }
    }

    fn second(&mut self) {
        self.now += 1_000;
        self.judge.tick(self.now, true);
    }
}

#[test]
fn a_listing_that_goes_while_its_shard_has_no_owner_leaves_no_row() {
    let mut tables = BTreeMap::new();
    let (mut before, mut after) = (House::new(), House::new());
    before.take_over();
    before.listing(1, Some(fact(1)));
    before.perform(&mut tables, 0);
    assert!(tables.contains_key(&row(1)));

    after.listing(1, Some(fact(1)));
    after.listing(1, None);
    after.take_over();
    after.perform(&mut tables, 1);
    assert!(!tables.contains_key(&row(1)));
}

/// The time up to which a shard's row says that the logs are applied.
fn caught_up(tables: &BTreeMap<Row, Arc<str>>) -> i64 {
    serde_json::from_str::<ShardCell>(&tables[&Row::Shard(0)]).unwrap().caught_up_at.ms()
}

#[test]
fn a_long_absence_is_told_until_every_row_that_it_left_behind_is_gone() {
    let mut tables = BTreeMap::new();
    let mut before = House::new();
    before.take_over();
    before.listing(1, Some(fact(1)));
    before.perform(&mut tables, 0);
    before.second();
    before.perform(&mut tables, 0);
    let left_at = caught_up(&tables);

    // Meanwhile the listing was forgotten, and its tombstone too.
    let mut after = House { now: before.now + 8 * 86_400_000, unanswered: Some(row(1)), ..House::new() };
    after.take_over();
    for _ in 0..3 {
        after.perform(&mut tables, 1);
        after.second();
    }
    assert!(tables.contains_key(&row(1)) && caught_up(&tables) == left_at, "whoever comes next must look again");

    let mut third = House { now: after.now, ..House::new() };
    third.take_over();
    third.perform(&mut tables, 2);
    third.second();
    third.perform(&mut tables, 2);
    assert!(!tables.contains_key(&row(1)) && caught_up(&tables) == third.now);
}

#[test]
fn one_round_of_the_scrubber_writes_every_row_once() {
    let mut tables = BTreeMap::new();
    let mut house = House::new();
    house.take_over();
    (0..7).for_each(|number| house.listing(number, Some(fact(number))));
    house.perform(&mut tables, 0);
    house.second();
    house.perform(&mut tables, 0);
    // The round begins when a period is over, and ends with the next.
    let mut written: BTreeMap<Row, usize> = BTreeMap::new();
    for _ in 0..2 * SCRUB_EVERY_MS / 1_000 {
        house.second();
        house.perform(&mut tables, 0).into_iter().for_each(|row| *written.entry(row).or_default() += 1);
    }
    for number in 0..7 {
        assert_eq!(written.get(&row(number)), Some(&1), "{number}");
    }
}

#[test]
fn a_recommendation_that_is_not_written_holds_the_time_of_the_change_that_it_is_for() {
    let (mut tables, session) = (BTreeMap::new(), SessionId::from_bits(7));
    let mut house = House::new();
    house.take_over();
    house.statement(session);
    house.end();
    house.perform(&mut tables, 0);
    house.second();
    house.perform(&mut tables, 0);
    assert_eq!(caught_up(&tables), house.now);
    // A minute passes before the record is read, as after an outage; the store takes every row but one.
    let appended_at = house.now;
    house.unanswered = Some(Row::Recommendation(session));
    house.listing(1, Some(fact(1)));
    house.end();
    house.now += 60_000;
    house.perform(&mut tables, 0);
    house.second();
    house.perform(&mut tables, 0);
    assert!(tables.contains_key(&row(1)));
    assert_eq!(caught_up(&tables), appended_at);
}

#[test]
fn a_shard_that_is_not_taken_over_yet_does_not_keep_others_from_counting() {
    let mut tables = BTreeMap::new();
    let mut house = House { unclaimed: Some(0), ..House::of(2) };
    house.take_over();
    let of_shard = |shard| move |id: &SessionId| partition_of(&session_key(*id), 2) == shard;
    let mut ids = (1_u128..).map(SessionId::from_bits);
    let waiting: Vec<SessionId> = ids.by_ref().filter(of_shard(0)).take(200).collect();
    let counted = ids.find(of_shard(1)).unwrap();
    waiting.into_iter().for_each(|session| house.statement(session));
    house.statement(counted);
    house.end();
    for _ in 0..3 {
        house.perform(&mut tables, 1);
        house.second();
    }
    assert!(tables.contains_key(&Row::Counts(counted)));
}

#[test]
fn a_clock_that_is_put_back_stops_neither_markets_nor_the_scrubber() {
    let mut tables = BTreeMap::new();
    let mut house = House::new();
    house.take_over();
    house.listing(1, Some(fact(1)));
    house.perform(&mut tables, 0);
    house.second();
    house.perform(&mut tables, 0);
    house.now -= 7 * 86_400_000;
    house.listing(2, Some(fact(2)));
    house.second();
    let market = Row::Market("us/ca/palm-springs".parse().unwrap());
    assert!(house.perform(&mut tables, 0).contains(&market));
    let mut written = Vec::new();
    for _ in 0..2 * SCRUB_EVERY_MS / 1_000 {
        house.second();
        written.extend(house.perform(&mut tables, 0));
    }
    assert!(written.contains(&row(1)) && written.contains(&row(2)));
}

#[test]
fn a_log_that_is_out_of_sight_stops_the_time_until_its_ends_are_told_again() {
    let mut tables = BTreeMap::new();
    let mut house = House::new();
    house.take_over();
    house.perform(&mut tables, 0);
    house.second();
    house.perform(&mut tables, 0);
    for topic in [Topic::ListingsPriced, Topic::Preferences] {
        let left_at = house.now;
        house.judge.lost_sight(topic, left_at);
        // Another topic that is out of sight, and told late, takes nothing back.
        house.judge.lost_sight(Topic::MarketDays, left_at);
        for _ in 0..20 {
            house.second();
            house.perform(&mut tables, 0);
        }
        assert_eq!(caught_up(&tables), left_at, "{topic}");
        house.end();
        house.second();
        house.perform(&mut tables, 0);
        assert_eq!(caught_up(&tables), house.now, "{topic}");
    }
}

#[test]
fn a_market_that_changes_back_before_its_observation_is_read_is_observed_again() {
    let mut tables = BTreeMap::new();
    let mut house = House::new();
    house.take_over();
    house.listing(1, Some(fact(1)));
    // One home, two, one again; the log is slow to tell of the two.
    let mut observe = |house: &mut House, is_read: bool| {
        house.perform(&mut tables, 0);
        house.second();
        house.perform(&mut tables, 0);
        if is_read {
            house.read_back();
        }
    };
    observe(&mut house, true);
    house.listing(2, Some(fact(2)));
    observe(&mut house, false);
    house.listing(2, None);
    observe(&mut house, true);
    observe(&mut house, true);
    observe(&mut house, true);
    let day = tables.iter().find_map(|(row, cell)| matches!(row, Row::MarketDay(..)).then_some(cell));
    let day: MarketDay = serde_json::from_str(day.unwrap()).unwrap();
    assert_eq!(day.numbers.map(|numbers| numbers.active_listings), Some(1));
}

/// The judge that a snapshot of this one makes.
fn from_snapshot(judge: &Judge, now: i64) -> Judge {
    let bytes = snapshot::seal(judge.save(7, now).expect("everything is read and taken over"));
    let (_, engine) = snapshot::open(&bytes, 7, now).unwrap();
    Judge::warm(rules(2), Indexed::load(engine, Indexed::tuning(Kernel::best())).unwrap())
}

#[test]
fn a_start_from_a_snapshot_writes_what_a_cold_one_writes_and_keeps_nothing_that_is_over() {
    let of_shard = |shard| move |id: &SessionId| partition_of(&session_key(*id), 2) == shard;
    let ids = |shard| (1_u128..).map(SessionId::from_bits).filter(of_shard(shard));
    let ours: Vec<SessionId> = ids(0).take(3).collect();
    let [stays, ends, comes] = ours[..] else { unreachable!() };
    let of_another = ids(1).next().unwrap();
    let indexed = || House::with(2, Judge::new(rules(2), Box::new(Indexed::new(Kernel::best()))));

    let mut before = indexed();
    assert!(before.judge.save(7, before.now).is_none(), "nothing is read yet");
    before.take_over();
    [stays, ends, of_another].into_iter().for_each(|session| before.statement(session));
    (1..=3).for_each(|number| before.listing(number, Some(fact(number))));
    before.end();
    before.perform(&mut BTreeMap::new(), 0);
    assert_eq!((before.judge.summary().sessions, before.judge.summary().offered), (3, 3));
    let warm = from_snapshot(&before.judge, before.now);

    let mut after = [House::with(2, warm), indexed()];
    let mut tables = [BTreeMap::new(), BTreeMap::new()];
    for (house, tables) in after.iter_mut().zip(&mut tables) {
        house.judge.assigned(&[Assignment { partition: 0, committed: None }]);
        [stays, comes].into_iter().for_each(|session| house.statement(session));
        // As the log tells it: first what was. The first is as it was, the second is gone.
        (1..=3).for_each(|number| house.listing(number, Some(fact(number))));
        house.listing(2, None);
        let mut cheaper = fact(3);
        cheaper.listing.list_price = schemas::money::Money::from_units(700_000);
        cheaper.listing.version.raw_offset += 1;
        house.listing(3, Some(cheaper));
        house.listing(4, Some(fact(4)));
        house.end();
        house.perform(tables, 1);
        house.second();
        house.perform(tables, 1);
        assert_eq!((house.judge.summary().sessions, house.judge.summary().offered), (2, 3));
    }
    assert!(tables[0].contains_key(&Row::Recommendation(stays)));
    assert_eq!(tables[0], tables[1]);

    // What is shown of a listing changes and its score does not: who sees it is told, here as there.
    for (house, tables) in after.iter_mut().zip(&mut tables) {
        let mut shown = fact(1);
        shown.listing.photo_url = Some("https://photos.example/1.jpg".to_owned());
        shown.listing.version.raw_offset += 1;
        house.listing(1, Some(shown));
        let written = house.perform(tables, 1);
        assert!(written.contains(&Row::Recommendation(stays)), "{written:?}");
    }
    assert_eq!(tables[0], tables[1]);
}
