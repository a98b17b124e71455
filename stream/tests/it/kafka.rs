//! What only Kafka has: groups that share partitions, topics with policies, brokers that are away.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use futures::executor::block_on;
use rdkafka::TopicPartitionList;
use rdkafka::admin::AdminOptions;
use rdkafka::topic_partition_list::Offset;
use schemas::topic::Topic;
use stream::{Event, GroupStart, LogError, Outgoing, Reader, init::Change};

use crate::house::{House, PARTITIONS, PATIENCE, Tap, admin, kafka, kafka_config, keyed, try_poll};
use crate::meter;

/// A group member that remembers what is its own, and fails on a record that is not.
struct Member {
    reader: Box<dyn Reader>,
    ours: BTreeSet<u32>,
    read: Vec<(u32, u64)>,
}

impl Member {
    fn join(house: &House, instance: &str) -> Self {
        let reader = house.log.join("group", instance, Topic::Preferences, GroupStart::Committed).unwrap();
        Self { reader, ours: BTreeSet::new(), read: Vec::new() }
    }

    fn poll(&mut self) {
        self.try_poll().unwrap();
    }

    fn try_poll(&mut self) -> Result<(), LogError> {
        for event in try_poll(&mut *self.reader)? {
            match event {
                Event::Assigned(assignments) => self.ours.extend(assignments.iter().map(|a| a.partition)),
                Event::Revoked(partitions) => {
                    for partition in partitions {
                        assert!(self.ours.remove(&partition), "{partition} was revoked and not ours");
                    }
                }
                Event::Record(record) => {
                    assert!(
                        self.ours.contains(&record.partition),
                        "a record of {} came after Revoked",
                        record.partition
                    );
                    self.read.push((record.partition, record.offset));
                    self.reader.commit(record.partition, record.offset + 1).unwrap();
                }
                Event::End { .. } => {}
            }
        }
        Ok(())
    }
}

fn wait(members: &mut [&mut Member], done: impl Fn(&[&mut Member]) -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done(members) {
        assert!(Instant::now() < deadline, "{:?}", members.iter().map(|m| m.ours.clone()).collect::<Vec<_>>());
        members.iter_mut().for_each(|member| member.poll());
    }
}

fn all() -> BTreeSet<u32> {
    (0..PARTITIONS).collect()
}

#[test]
fn two_members_share_the_partitions_and_hand_them_over() {
    let Some(house) = kafka() else { return };
    let statement = |i: u32| Outgoing { partition: Some(i % PARTITIONS), ..keyed(Topic::Preferences, "s", "x") };
    house.publish((0..400).map(statement).collect());
    let mut first = Member::join(&house, "");
    wait(&mut [&mut first], |m| m[0].ours == all());
    let mut second = Member::join(&house, "");
    wait(&mut [&mut first, &mut second], |m| m.iter().all(|member| member.ours.len() == 2));
    assert!(first.ours.is_disjoint(&second.ours));
    house.publish((0..400).map(statement).collect());
    let newest: BTreeSet<(u32, u64)> =
        (0..PARTITIONS).flat_map(|p| (100..200).map(move |offset| (p, offset))).collect();
    wait(&mut [&mut first, &mut second], |m| {
        let read: BTreeSet<_> = m.iter().flat_map(|member| member.read.iter().copied()).collect();
        read.is_superset(&newest)
    });
    second.reader.commit_sync(PATIENCE).unwrap();
    let read = second.read.clone();
    drop(second);
    wait(&mut [&mut first], |m| m[0].ours == all());
    house.publish((0..4).map(statement).collect());
    wait(&mut [&mut first], |m| (0..PARTITIONS).all(|p| m[0].read.contains(&(p, 200))));
    let twice = read.iter().filter(|at| at.1 >= 100 && first.read.contains(at)).count();
    assert_eq!(twice, 0, "what was committed before the hand-over is not read again");
}

#[test]
fn no_record_comes_after_its_partition_was_revoked() {
    let Some(house) = kafka() else { return };
    let (producer, acks) = house.producer();
    let mut members: Vec<Member> = vec![Member::join(&house, "")];
    let mut sent = 0_u64;
    // Members come and go under load; `Member::poll` fails on a record that is not its own.
    for round in 0..6 {
        if round % 2 == 0 {
            members.push(Member::join(&house, ""));
        } else {
            members.remove(0);
        }
        let deadline = Instant::now() + PATIENCE;
        loop {
            for _ in 0..50 {
                let partition = Some((sent % u64::from(PARTITIONS)) as u32);
                producer.send(Outgoing { partition, ..keyed(Topic::Preferences, "s", "x") }, sent).unwrap();
                sent += 1;
            }
            acks.drain();
            members.iter_mut().for_each(Member::poll);
            let ours: BTreeSet<u32> = members.iter().flat_map(|member| member.ours.iter().copied()).collect();
            if ours == all() && members.iter().all(|member| !member.ours.is_empty()) {
                break;
            }
            assert!(Instant::now() < deadline, "round {round}: the group never settled");
        }
    }
    producer.flush(PATIENCE).unwrap();
}

#[test]
fn a_static_member_that_returns_in_time_keeps_its_partitions() {
    let Some(house) = kafka() else { return };
    let mut stays = Member::join(&house, "stays");
    wait(&mut [&mut stays], |m| m[0].ours == all());
    let mut returns = Member::join(&house, "returns");
    wait(&mut [&mut stays, &mut returns], |m| m.iter().all(|member| member.ours.len() == 2));
    let (kept, had) = (stays.ours.clone(), returns.ours.clone());
    drop(returns);
    let mut returns = Member::join(&house, "returns");
    let revoked = std::cell::Cell::new(false);
    wait(&mut [&mut stays, &mut returns], |m| {
        revoked.set(revoked.get() || m[0].ours.is_empty());
        m[1].ours.len() == 2
    });
    assert_eq!((&stays.ours, &returns.ours, revoked.get()), (&kept, &had, false));
}

#[test]
fn of_two_members_of_one_name_one_is_told_so_and_the_other_goes_on() {
    let Some(house) = kafka() else { return };
    let mut first = Member::join(&house, "same");
    wait(&mut [&mut first], |m| m[0].ours == all());
    let mut second = Member::join(&house, "same");
    let deadline = Instant::now() + PATIENCE;
    let (error, mut other) = loop {
        assert!(Instant::now() < deadline, "both go on");
        match (first.try_poll(), second.try_poll()) {
            (Ok(()), Ok(())) => {}
            (Err(error), Ok(())) => break (error, second),
            (Ok(()), Err(error)) => break (error, first),
            both => panic!("{both:?}"),
        }
    };
    assert!(error.to_string().contains("instance name"), "{error}");
    wait(&mut [&mut other], |m| m[0].ours == all());
}

#[test]
fn init_is_idempotent_and_repairs_a_policy_that_somebody_changed() {
    let Some((mut config, _topics)) = kafka_config() else { return };
    let created = stream::init(&config).unwrap();
    assert_eq!(
        created.iter().filter(|change| matches!(change, Change::Created(_))).count(),
        Topic::ALL.len(),
        "{created:?}"
    );
    assert_eq!(stream::init(&config).unwrap(), []);
    let own: std::collections::BTreeMap<String, String> = [("retention.ms".to_owned(), "1000".to_owned())].into();
    config.kafka.topic_settings.insert("dead-letters".to_owned(), own);
    let repaired = stream::init(&config).unwrap();
    assert!(matches!(&repaired[..], [Change::Repaired(what)] if what.contains("retention.ms")), "{repaired:?}");
    assert_eq!(stream::init(&config).unwrap(), []);
    config.kafka.replication_factor = 2;
    let changes = stream::init(&config).unwrap();
    assert!(changes.iter().any(|change| matches!(change, Change::NotRepaired(_))), "{changes:?}");
}

#[test]
fn another_partition_count_is_refused_with_what_to_do() {
    let Some((mut config, _topics)) = kafka_config() else { return };
    stream::init(&config).unwrap();
    config.kafka.partitions = PARTITIONS + 1;
    for error in [stream::init(&config).unwrap_err(), stream::open(&config).err().unwrap()] {
        assert!(error.to_string().contains(&format!("set log.kafka.partitions = {PARTITIONS}")), "{error}");
    }
}

#[test]
fn a_missing_topic_is_named_with_the_remedy() {
    let Some((config, _topics)) = kafka_config() else { return };
    let log = stream::open(&config).unwrap();
    let error = log.join("group", "", Topic::Preferences, GroupStart::Committed).err().unwrap();
    assert!(error.to_string().contains("roost init"), "{error}");
}

#[test]
fn brokers_that_never_come_are_given_up_with_their_address() {
    let Some((mut config, _topics)) = kafka_config() else { return };
    config.kafka.bootstrap_servers = "127.0.0.1:1".to_owned();
    config.kafka.wait_at_start = Duration::from_millis(300);
    let error = stream::open(&config).err().unwrap();
    assert!(matches!(&error, LogError::Fatal(what) if what.contains("127.0.0.1:1")), "{error}");
}

#[test]
#[expect(unsafe_code, reason = "a &str that is no text cannot be made without it")]
fn a_header_name_that_is_no_text_stops_nobody() {
    use rdkafka::producer::{BaseProducer, Producer};
    let Some(house) = kafka() else { return };
    let producer: BaseProducer =
        rdkafka::ClientConfig::new().set("bootstrap.servers", &house.config.kafka.bootstrap_servers).create().unwrap();
    // SAFETY: the name is not text; librdkafka takes bytes, and nothing reads the string before it.
    let name = unsafe { String::from_utf8_unchecked(vec![b'x', 0xff, b'y']) };
    let headers =
        rdkafka::message::OwnedHeaders::new().insert(rdkafka::message::Header { key: &name, value: Some("v") });
    let topic = format!("{}{}", house.config.kafka.topic_prefix, Topic::ListingsRaw);
    producer
        .send(rdkafka::producer::BaseRecord::<str, str>::to(&topic).partition(0).payload("x").headers(headers))
        .unwrap();
    producer.flush(PATIENCE).unwrap();
    let records = house.read_all(Topic::ListingsRaw);
    assert_eq!(records[0].headers, [("x\u{fffd}y".to_owned(), b"v".to_vec())]);
}

#[test]
fn records_that_went_by_age_before_they_were_read_are_told_loudly() {
    let Some(house) = kafka() else { return };
    house.publish((0..10).map(|_| Outgoing { partition: Some(1), ..keyed(Topic::Interactions, "s", "x") }).collect());
    let join = || Tap::new(house.log.join("group", "", Topic::Interactions, GroupStart::Committed).unwrap());
    let mut tap = join();
    assert!(matches!(tap.next(), Event::Assigned(_)));
    tap.reader.commit(1, 2).unwrap();
    tap.reader.commit_sync(PATIENCE).unwrap();
    drop(tap);
    let mut offsets = TopicPartitionList::new();
    let topic = format!("{}{}", house.config.kafka.topic_prefix, Topic::Interactions);
    offsets.add_partition_offset(&topic, 1, Offset::Offset(7)).unwrap();
    block_on(admin(&house.config.kafka).delete_records(&offsets, &AdminOptions::new())).unwrap();
    let lost = || meter::counter("roost_log_records_lost_to_retention_total{topic=interactions}");
    let before = lost();
    let mut tap = join();
    assert!(matches!(tap.next(), Event::Assigned(ours) if ours[1].committed == Some(2)));
    let first = loop {
        if let Event::Record(record) = tap.next() {
            break record.offset;
        }
    };
    assert_eq!((first, lost() - before), (7, 5));
}
