//! What every log promises, whatever it stands on. Each function is a test on each backend.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use schemas::dead_letter::{Code, Poison};
use schemas::header;
use schemas::topic::{MAX_RECORD_BYTES, Topic, partition_of};
use stream::{Assignment, Event, GroupStart, LogError, Outgoing, Start};

use crate::house::{House, PARTITIONS, PATIENCE, Tap, keyed, text};
use crate::meter;

macro_rules! on_both {
    ($($name:ident),+ $(,)?) => {
        mod on_kafka {
            $(#[test] fn $name() { if let Some(house) = crate::house::kafka() { super::$name(&house); } })+
        }
        mod on_embedded {
            $(#[test] fn $name() { super::$name(&crate::house::embedded()); })+
        }
    };
}

on_both![
    records_of_one_key_stay_in_order_on_the_partition_of_the_key,
    a_named_partition_is_obeyed_and_offsets_are_dense,
    the_end_is_told_for_an_empty_partition_and_after_every_catch_up,
    a_tombstone_is_not_an_empty_value,
    headers_keep_their_order_their_repetitions_and_their_bytes,
    the_largest_record_passes_and_a_larger_one_is_refused,
    a_record_without_a_place_is_refused,
    following_starts_where_it_is_told_to,
    several_topics_are_followed_by_one_reader,
    compaction_keeps_the_last_record_of_each_key,
    a_group_resumes_where_it_committed,
    a_group_may_read_from_the_start_and_still_know_what_it_committed,
    a_full_reader_serves_the_group_and_takes_no_records,
    many_threads_share_one_producer,
    a_poll_returns_as_soon_as_there_is_a_record,
    append_times_never_go_back_within_a_partition,
    a_dead_letter_keeps_the_original_and_says_where_from,
    the_lag_of_a_group_is_told,
];

fn records_of_one_key_stay_in_order_on_the_partition_of_the_key(house: &House) {
    let keys = ["a:1", "b:2", "c:3"];
    let records = (0..300).map(|i| keyed(Topic::Listings, keys[i % 3], &i.to_string())).collect();
    let delivered = house.publish(records);
    for (i, delivered) in delivered.iter().enumerate() {
        assert_eq!(delivered.partition, partition_of(keys[i % 3].as_bytes(), PARTITIONS));
    }
    let mut seen: BTreeMap<Vec<u8>, Vec<usize>> = BTreeMap::new();
    for record in house.read_all(Topic::Listings) {
        let i: usize = text(&record).parse().unwrap();
        assert_eq!(
            (record.partition, record.offset, record.append_time_ms),
            (delivered[i].partition, delivered[i].offset, delivered[i].append_time_ms)
        );
        seen.entry(record.key.unwrap()).or_default().push(i);
    }
    for (k, key) in keys.iter().enumerate() {
        assert_eq!(seen[key.as_bytes()], (k..300).step_by(3).collect::<Vec<_>>());
    }
}

fn a_named_partition_is_obeyed_and_offsets_are_dense(house: &House) {
    let claim = |partition| Outgoing {
        topic: Topic::ScorerClaims,
        partition: Some(partition),
        key: None,
        value: Some(b"me".to_vec()),
        headers: Vec::new(),
    };
    let delivered = house.publish((0..6).map(|i| claim(i % 2)).collect());
    let offsets: Vec<_> = delivered.iter().map(|d| (d.partition, d.offset)).collect();
    assert_eq!(offsets, [(0, 0), (1, 0), (0, 1), (1, 1), (0, 2), (1, 2)]);
    assert_eq!(house.log.range(Topic::ScorerClaims, 0).unwrap(), (0, 3));
    assert_eq!(house.log.range(Topic::ScorerClaims, 3).unwrap(), (0, 0));
}

fn the_end_is_told_for_an_empty_partition_and_after_every_catch_up(house: &House) {
    let mut tap = house.follow_all(Topic::Listings);
    let mut ends = BTreeMap::new();
    while ends.len() < PARTITIONS as usize {
        match tap.next() {
            Event::End { topic: Topic::Listings, partition, next_offset } => ends.insert(partition, next_offset),
            other => panic!("{other:?}"),
        };
    }
    assert!(ends.values().all(|next| *next == 0), "{ends:?}");
    for round in 1..=5_u64 {
        let delivered = house.publish(vec![keyed(Topic::Listings, "a:1", &round.to_string())])[0];
        assert!(matches!(tap.next(), Event::Record(record) if record.offset == round - 1));
        let end = Event::End { topic: Topic::Listings, partition: delivered.partition, next_offset: round };
        assert_eq!(tap.next(), end);
    }
}

fn a_tombstone_is_not_an_empty_value(house: &House) {
    let mut erased = keyed(Topic::Interactions, "s", "");
    erased.value = None;
    let empty = keyed(Topic::Interactions, "s", "");
    house.publish(vec![keyed(Topic::Interactions, "s", "x"), empty, erased]);
    let values: Vec<_> = house.read_all(Topic::Interactions).into_iter().map(|record| record.value).collect();
    assert_eq!(values, [Some(b"x".to_vec()), Some(Vec::new()), None]);
}

fn headers_keep_their_order_their_repetitions_and_their_bytes(house: &House) {
    let headers: Vec<(String, Vec<u8>)> = [
        ("ce_id", b"1".as_slice()),
        ("roost-feed", b"redfin"),
        ("ce_id", b"2"),
        ("binary", &[0, 255, 128, 10]),
        ("empty", b""),
        ("größe", "größe".as_bytes()),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_vec()))
    .into();
    let mut record = keyed(Topic::ListingsRaw, "k", "v");
    record.headers.clone_from(&headers);
    house.publish(vec![record]);
    assert_eq!(house.read_all(Topic::ListingsRaw)[0].headers, headers);
}

fn the_largest_record_passes_and_a_larger_one_is_refused(house: &House) {
    // Bytes that no compression makes smaller.
    let mut state = 1_u64;
    let noise: Vec<u8> = (0..MAX_RECORD_BYTES)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 56) as u8
        })
        .collect();
    let mut record = keyed(Topic::Listings, "a:1", "");
    record.value = Some(noise.clone());
    house.publish(vec![record.clone()]);
    assert_eq!(house.read_all(Topic::Listings)[0].value.as_ref(), Some(&noise));
    record.value = Some(vec![0; 2 * MAX_RECORD_BYTES]);
    let error = house.producer().0.send(record, 0).unwrap_err();
    assert!(matches!(error, LogError::Fatal(_)) && error.to_string().contains("too large"), "{error}");
}

fn a_record_without_a_place_is_refused(house: &House) {
    let (producer, _acks) = house.producer();
    let mut nowhere = keyed(Topic::Listings, "", "x");
    assert!(matches!(producer.send(nowhere.clone(), 0), Err(LogError::Fatal(_))));
    nowhere.partition = Some(PARTITIONS);
    assert!(matches!(producer.send(nowhere.clone(), 0), Err(LogError::Fatal(_))));
    nowhere.partition = Some(1);
    producer.send(nowhere, 0).unwrap();
    producer.flush(PATIENCE).unwrap();
    assert_eq!(house.log.range(Topic::Listings, 1).unwrap(), (0, 1));
}

fn following_starts_where_it_is_told_to(house: &House) {
    let record = |i: u32| Outgoing { partition: Some(0), ..keyed(Topic::Listings, "k", &i.to_string()) };
    house.publish((0..10).map(record).collect());
    for (start, first) in [(Start::Earliest, 0), (Start::Offset(4), 4), (Start::Offset(10), 10), (Start::Latest, 10)] {
        let mut tap = house.follow(&[(Topic::Listings, 0, start)]);
        for expected in first..10 {
            assert!(matches!(tap.next(), Event::Record(record) if record.offset == expected), "{start:?}: {expected}");
        }
        assert_eq!(tap.next(), Event::End { topic: Topic::Listings, partition: 0, next_offset: 10 }, "{start:?}");
    }
}

fn several_topics_are_followed_by_one_reader(house: &House) {
    house.publish(vec![
        Outgoing { partition: Some(1), ..keyed(Topic::Listings, "k", "listing") },
        Outgoing { partition: Some(1), ..keyed(Topic::Sales, "k", "sale") },
        Outgoing { partition: Some(0), ..keyed(Topic::Models, "champion", "model") },
    ]);
    let starts = [(Topic::Listings, 1), (Topic::Sales, 1), (Topic::Models, 0)];
    let mut tap = house.follow(&starts.map(|(topic, p)| (topic, p, Start::Earliest)));
    let (mut records, mut ends) = (BTreeMap::new(), BTreeSet::new());
    while ends.len() < 3 {
        match tap.next() {
            Event::Record(record) => assert_eq!(records.insert(record.topic, text(&record).to_owned()), None),
            Event::End { topic, partition, next_offset } => {
                assert!(records.contains_key(&topic), "the end of {topic} came before its record");
                ends.insert((topic, partition, next_offset));
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(ends, starts.map(|(topic, partition)| (topic, partition, 1)).into());
}

fn compaction_keeps_the_last_record_of_each_key(house: &House) {
    let priced =
        |key: &str, i: usize| Outgoing { partition: Some(0), ..keyed(Topic::ListingsPriced, key, &i.to_string()) };
    let mut records: Vec<Outgoing> = (0..40).map(|i| priced(if i % 2 == 0 { "even" } else { "odd" }, i)).collect();
    records.push(Outgoing { value: None, ..priced("even", 0) });
    records.push(priced("rare", 7));
    house.publish(records);
    let deadline = Instant::now() + PATIENCE;
    loop {
        // The newest part of the log is never compacted: something newer must come.
        house.publish(vec![priced("newer", 0)]);
        let records = house.read_all(Topic::ListingsPriced);
        let mut last = BTreeMap::new();
        for record in &records {
            last.insert(record.key.clone().unwrap(), record.value.clone());
        }
        assert_eq!(last[b"odd".as_slice()], Some(b"39".to_vec()));
        assert_eq!(last[b"rare".as_slice()], Some(b"7".to_vec()));
        assert_eq!(last[b"even".as_slice()], None, "the tombstone stays readable");
        let odd = records.iter().filter(|record| record.key.as_deref() == Some(b"odd")).collect::<Vec<_>>();
        if odd.len() == 1 {
            assert_eq!(odd[0].offset, 39, "a record keeps its offset");
            return;
        }
        assert!(Instant::now() < deadline, "never compacted: {} records", records.len());
    }
}

/// Joins and waits for the partitions.
#[track_caller]
fn joined(house: &House, start: GroupStart) -> (Tap, Vec<Assignment>) {
    let mut tap = Tap::new(house.log.join("group", "", Topic::Preferences, start).unwrap());
    match tap.next() {
        Event::Assigned(ours) => {
            assert_eq!(ours.iter().map(|a| a.partition).collect::<Vec<_>>(), (0..PARTITIONS).collect::<Vec<_>>());
            (tap, ours)
        }
        other => panic!("{other:?} before an assignment"),
    }
}

fn statements(count: usize) -> Vec<Outgoing> {
    (0..count)
        .map(|i| Outgoing { partition: Some(2), ..keyed(Topic::Preferences, &format!("s{i}"), &i.to_string()) })
        .collect()
}

/// The offsets of the next records.
#[track_caller]
fn read(tap: &mut Tap, count: usize) -> Vec<u64> {
    let mut offsets = Vec::new();
    while offsets.len() < count {
        if let Event::Record(record) = tap.next() {
            offsets.push(record.offset);
        }
    }
    offsets
}

fn a_group_resumes_where_it_committed(house: &House) {
    house.publish(statements(10));
    let (mut tap, ours) = joined(house, GroupStart::Committed);
    assert!(ours.iter().all(|a| a.committed.is_none()), "{ours:?}");
    assert_eq!(read(&mut tap, 10), (0..10).collect::<Vec<_>>());
    tap.reader.commit(2, 3).unwrap();
    tap.reader.commit(2, 6).unwrap();
    tap.reader.commit(PARTITIONS + 7, 1).unwrap();
    tap.reader.commit_sync(PATIENCE).unwrap();
    drop(tap);
    let (mut tap, ours) = joined(house, GroupStart::Committed);
    assert_eq!(ours[2], Assignment { partition: 2, committed: Some(6) });
    assert_eq!(ours[1], Assignment { partition: 1, committed: None });
    assert_eq!(read(&mut tap, 4), [6, 7, 8, 9]);
}

fn a_group_may_read_from_the_start_and_still_know_what_it_committed(house: &House) {
    house.publish(statements(5));
    let (mut tap, _) = joined(house, GroupStart::Earliest);
    read(&mut tap, 5);
    tap.reader.commit(2, 5).unwrap();
    tap.reader.commit_sync(PATIENCE).unwrap();
    drop(tap);
    let (mut tap, ours) = joined(house, GroupStart::Earliest);
    assert_eq!(ours[2].committed, Some(5));
    assert_eq!(read(&mut tap, 5), [0, 1, 2, 3, 4]);
}

fn a_full_reader_serves_the_group_and_takes_no_records(house: &House) {
    let (mut tap, _) = joined(house, GroupStart::Committed);
    house.publish(statements(3));
    for _ in 0..20 {
        let mut events = Vec::new();
        tap.reader.poll_control(Duration::from_millis(20), &mut events).unwrap();
        assert_eq!(events, []);
    }
    assert_eq!(read(&mut tap, 3), [0, 1, 2]);
}

fn many_threads_share_one_producer(house: &House) {
    let (producer, acks) = house.producer();
    let producer = &*producer;
    std::thread::scope(|scope| {
        for thread in 0..4_u64 {
            scope.spawn(move || {
                for i in 0..250 {
                    producer
                        .send(keyed(Topic::Listings, &format!("f:{thread}"), &i.to_string()), thread * 1000 + i)
                        .unwrap();
                }
            });
        }
    });
    producer.flush(PATIENCE).unwrap();
    let tokens: BTreeSet<u64> = (0..1000).map(|_| acks.next().0).collect();
    assert_eq!(tokens.len(), 1000);
    let mut next: BTreeMap<Vec<u8>, usize> = BTreeMap::new();
    for record in house.read_all(Topic::Listings) {
        let next = next.entry(record.key.clone().unwrap()).or_default();
        assert_eq!(text(&record), next.to_string());
        *next += 1;
    }
    assert_eq!(next.into_values().collect::<Vec<_>>(), [250; 4]);
}

fn a_poll_returns_as_soon_as_there_is_a_record(house: &House) {
    let mut tap = house.follow(&[(Topic::Listings, 0, Start::Latest)]);
    assert!(matches!(tap.next(), Event::End { .. }));
    std::thread::scope(|scope| {
        let waiting = scope.spawn(move || {
            let mut events = Vec::new();
            // An hour: the test ends only because the record ends the wait.
            tap.reader.poll(Duration::from_secs(3600), &mut events).unwrap();
            events
        });
        house.publish(vec![Outgoing { partition: Some(0), ..keyed(Topic::Listings, "k", "v") }]);
        assert!(matches!(&waiting.join().unwrap()[0], Event::Record(record) if record.offset == 0));
    });
}

fn append_times_never_go_back_within_a_partition(house: &House) {
    let delivered = house.publish((0..200).map(|i| keyed(Topic::Listings, &format!("f:{i}"), "x")).collect());
    let mut newest = [0; PARTITIONS as usize];
    for delivered in delivered {
        let newest = &mut newest[delivered.partition as usize];
        assert!(delivered.append_time_ms >= *newest && delivered.append_time_ms > 1_700_000_000_000);
        *newest = delivered.append_time_ms;
    }
}

fn a_dead_letter_keeps_the_original_and_says_where_from(house: &House) {
    let mut raw = keyed(Topic::ListingsRaw, "k", "");
    raw.value = Some(vec![0, 0xFF, b'{']);
    raw.headers = vec![("roost-feed".to_owned(), b"redfin".to_vec())];
    house.publish(vec![raw.clone()]);
    let record = house.read_all(Topic::ListingsRaw).remove(0);
    let poison = Poison { code: Code::NotJson, message: "byte 0 is not JSON".to_owned() };
    house.publish(vec![stream::dead_letter::of(&record, &poison, "ingest", 3, None)]);
    let letter = house.read_all(Topic::DeadLetters).remove(0);
    assert_eq!((&letter.key, &letter.value, &letter.headers[..1]), (&raw.key, &raw.value, &raw.headers[..]));
    let told = [header::DEAD_TOPIC, header::DEAD_PARTITION, header::DEAD_OFFSET, header::DEAD_INDEX, header::DEAD_CODE]
        .map(|name| header::text(&letter.headers, name).unwrap());
    assert_eq!(told, ["listings.raw", record.partition.to_string().as_str(), "0", "3", "not_json"]);
}

fn the_lag_of_a_group_is_told(house: &House) {
    // Its own name: the meter is shared by all tests.
    let group = format!("lag-{:p}", house);
    let mut tap = Tap::new(house.log.join(&group, "", Topic::Preferences, GroupStart::Committed).unwrap());
    assert!(matches!(tap.next(), Event::Assigned(_)));
    house.publish(statements(10));
    tap.reader.commit(2, 4).unwrap();
    let prefix = &house.config.kafka.topic_prefix;
    let name = format!("kafka_consumergroup_lag{{consumergroup={prefix}{group},topic=preferences,partition=2}}");
    let deadline = Instant::now() + PATIENCE;
    while meter::gauge(&name) != Some(6.0) {
        assert!(Instant::now() < deadline, "{name}: {:?}", meter::gauge(&name));
        tap.reader.poll_control(Duration::from_millis(50), &mut Vec::new()).unwrap();
    }
}
