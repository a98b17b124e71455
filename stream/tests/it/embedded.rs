//! What only the embedded log has: a disk of its own, and nobody else on it.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use schemas::topic::Topic;
use stream::{Event, GroupStart, LogError, Outgoing, Start};

use crate::house::{House, PARTITIONS, PATIENCE, Tap, embedded, embedded_config, keyed, pause, text};

/// Tells the child process that it is one, and where to work.
const CHILD: &str = "ROOST_STREAM_CHILD";

fn committed_by(house: &House, group: &str, topic: Topic) -> Vec<Option<u64>> {
    let mut tap = Tap::new(house.log.join(group, "", topic, GroupStart::Committed).unwrap());
    match tap.next() {
        Event::Assigned(ours) => ours.iter().map(|assignment| assignment.committed).collect(),
        other => panic!("{other:?} before an assignment"),
    }
}

#[test]
fn everything_is_there_after_a_restart() {
    let house = embedded();
    let before = house.publish((0..300).map(|i| keyed(Topic::Listings, &format!("f:{i}"), &i.to_string())).collect());
    let mut reader = house.log.join("g", "", Topic::Listings, GroupStart::Committed).unwrap();
    reader.commit(1, 7).unwrap();
    drop(reader);
    let house = house.reopen();
    assert_eq!(house.read_all(Topic::Listings).len(), 300);
    assert_eq!(committed_by(&house, "g", Topic::Listings), [None, Some(7), None, None]);
    let after = house.publish(vec![keyed(Topic::Listings, "f:0", "again")])[0];
    let newest = before.iter().filter(|d| d.partition == after.partition).map(|d| d.offset).max();
    assert_eq!(Some(after.offset), newest.map(|offset| offset + 1), "offsets go on");
}

#[test]
fn a_second_process_is_told_who_has_the_directory() {
    let house = embedded();
    let error = stream::open(&house.config).err().unwrap().to_string();
    assert!(error.contains(house.config.embedded.directory.to_str().unwrap()), "{error}");
    assert!(error.contains(&format!("process {}", std::process::id())), "{error}");
}

#[test]
fn a_second_member_of_a_group_is_refused_until_the_first_leaves() {
    let house = embedded();
    let join = || house.log.join("g", "", Topic::Listings, GroupStart::Committed);
    let first = join().unwrap();
    assert!(matches!(join().err(), Some(LogError::Fatal(_))));
    drop(first);
    join().unwrap();
}

#[test]
fn init_makes_the_directory_once() {
    let directory = tempfile::tempdir().unwrap();
    let config = embedded_config(directory.path());
    assert_eq!(stream::init(&config).unwrap().len(), 1);
    assert_eq!(stream::init(&config).unwrap(), []);
}

#[test]
fn a_new_directory_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = tempfile::tempdir().unwrap();
    let (parent, log) = (directory.path().join("data"), directory.path().join("data/log"));
    stream::init(&embedded_config(&log)).unwrap();
    for made in [parent, log] {
        assert_eq!(std::fs::metadata(&made).unwrap().permissions().mode() & 0o777, 0o700, "{}", made.display());
    }
}

#[test]
fn a_log_that_is_closed_says_so() {
    let house = embedded();
    let (producer, _acks) = house.producer();
    let mut reader = house.log.follow(&[(Topic::Listings, 0, Start::Earliest)]).unwrap();
    house.publish(vec![Outgoing { partition: Some(0), ..keyed(Topic::Listings, "k", "v") }]);
    drop(house);
    assert!(matches!(producer.send(keyed(Topic::Listings, "k", "v"), 0), Err(LogError::Fatal(_))));
    assert!(reader.poll(Duration::ZERO, &mut Vec::new()).is_err());
}

#[test]
fn records_beyond_their_age_go_and_the_start_moves_but_offsets_do_not() {
    let directory = tempfile::tempdir().unwrap();
    let mut config = embedded_config(directory.path());
    config.embedded.retention = Some(Duration::from_millis(1));
    let house = House::in_directory(config, directory);
    house.publish(
        (0..50).map(|i| Outgoing { partition: Some(0), ..keyed(Topic::Listings, "k", &i.to_string()) }).collect(),
    );
    let deadline = Instant::now() + PATIENCE;
    while house.log.range(Topic::Listings, 0).unwrap() != (49, 50) {
        assert!(Instant::now() < deadline, "{:?}", house.log.range(Topic::Listings, 0));
        pause();
    }
    // A group that was away is told of its loss, and reads what is left.
    let house = house.reopen();
    let mut tap = Tap::new(house.log.follow(&[(Topic::Listings, 0, Start::Offset(3))]).unwrap());
    assert!(matches!(tap.next(), Event::Record(record) if record.offset == 49));
    assert_eq!(house.publish(vec![Outgoing { partition: Some(0), ..keyed(Topic::Listings, "k", "x") }])[0].offset, 50);
}

/// Run by the tests below, in a process that is killed: publishes and commits for ever, and prints what it was promised.
#[test]
fn child() {
    let Ok(directory) = std::env::var(CHILD) else { return };
    let log = stream::open(&embedded_config(Path::new(&directory))).unwrap();
    let house = House::borrowed(log, embedded_config(Path::new(&directory)));
    let mut reader = house.log.join("g", "", Topic::ListingsRaw, GroupStart::Committed).unwrap();
    // Each topic goes on where it is: one of the two records may have been written when the last process was killed.
    let next = |topic| house.log.range(topic, 0).unwrap().1;
    let (raw, derived) = (next(Topic::ListingsRaw), next(Topic::Listings));
    let record = |topic, i: u64| Outgoing { partition: Some(0), ..keyed(topic, "k", &i.to_string()) };
    for i in 0.. {
        let delivered = house.publish(vec![record(Topic::ListingsRaw, raw + i), record(Topic::Listings, derived + i)]);
        println!("acknowledged {} {}", delivered[0].offset, delivered[1].offset);
        reader.commit(0, delivered[0].offset + 1).unwrap();
        if i.is_multiple_of(20) {
            reader.commit_sync(PATIENCE).unwrap();
            println!("committed {}", delivered[0].offset + 1);
        }
    }
}

#[test]
fn nothing_acknowledged_is_lost_by_kill_9() {
    let directory = tempfile::tempdir().unwrap();
    let (mut raw, mut derived, mut committed) = (0, 0, 0);
    for round in 1..=4_u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["embedded::child", "--exact", "--nocapture", "--test-threads=1"])
            .env(CHILD, directory.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut take = |line: String| {
            let words: Vec<&str> = line.split(' ').collect();
            match words[..] {
                ["acknowledged", a, b] => (raw, derived) = (a.parse().unwrap(), b.parse().unwrap()),
                ["committed", a] => committed = a.parse().unwrap(),
                _ => {}
            }
            words[0] == "acknowledged"
        };
        // Killed in the middle of its work; `Child::kill` sends SIGKILL.
        let mut seen = 0;
        while seen < 20 + 37 * round {
            seen += u64::from(take(lines.next().unwrap().unwrap()));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        lines.map_while(Result::ok).for_each(|line| {
            take(line);
        });
        let house = House::borrowed(
            stream::open(&embedded_config(directory.path())).unwrap(),
            embedded_config(directory.path()),
        );
        for (topic, last) in [(Topic::ListingsRaw, raw), (Topic::Listings, derived)] {
            let records = house.read_all(topic);
            assert!(records.len() as u64 > last, "round {round}: {topic} {last} of {}", records.len());
            for (i, record) in records.iter().enumerate() {
                assert_eq!((record.offset, text(record)), (i as u64, i.to_string().as_str()), "round {round}");
            }
        }
        let found = committed_by(&house, "g", Topic::ListingsRaw)[0].unwrap_or(0);
        assert!(found >= committed, "round {round}: {found} is committed, {committed} was promised");
        let head = house.log.range(Topic::ListingsRaw, 0).unwrap().1;
        assert!(found <= head, "round {round}: {found} is committed of {head}");
    }
}

/// A file system of 48 MiB, when this user may mount one.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount() -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=48m", "roost-test"])
            .arg(directory.path())
            .stderr(Stdio::null())
            .status();
        if mounted.is_ok_and(|status| status.success()) {
            return Some(Self(directory));
        }
        println!("skipped: a small file system cannot be mounted by this user");
        None
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[test]
fn a_full_disk_is_said_and_waited_out() {
    let Some(disk) = SmallDisk::mount() else { return };
    let config = embedded_config(disk.0.path());
    let house = House::borrowed(stream::open(&config).unwrap(), config.clone());
    let ballast = disk.0.path().join("ballast");
    std::fs::write(&ballast, vec![1; 24 * 1024 * 1024]).unwrap();
    let (producer, acks) = house.producer();
    let (mut sent, mut last) = (0_u64, String::new());
    let deadline = Instant::now() + PATIENCE;
    let said = loop {
        assert!(Instant::now() < deadline, "the disk never got full: {sent} records, {last}");
        let topic = if sent.is_multiple_of(2) { Topic::ListingsRaw } else { Topic::Listings };
        let noise: Vec<u8> =
            (0..100_000_u64).map(|i| (i.wrapping_mul(sent * 2 + 1).wrapping_mul(0x9E37_79B9) >> 13) as u8).collect();
        let record = Outgoing { partition: Some(0), value: Some(noise), ..keyed(topic, "k", "") };
        match producer.send(record, sent) {
            Ok(()) => sent += 1,
            Err(LogError::Unavailable(said)) => break said,
            Err(error) => last = error.to_string(),
        }
    };
    assert!(said.contains("is full") && said.contains(disk.0.path().to_str().unwrap()), "{said}");
    assert!(house.log.health().is_err());
    // What is on the log can be read meanwhile.
    let mut tap = house.follow(&[(Topic::ListingsRaw, 0, Start::Earliest)]);
    assert!(matches!(tap.next(), Event::Record(record) if record.offset == 0));
    std::fs::remove_file(&ballast).unwrap();
    let mut tokens: Vec<u64> = (0..sent).map(|_| acks.next().0).collect();
    tokens.sort_unstable();
    assert_eq!(tokens, (0..sent).collect::<Vec<_>>(), "every record that was taken is acknowledged, once");
    while let Err(trouble) = house.log.health() {
        assert!(Instant::now() < deadline, "there is room, and still: {trouble}");
        pause();
    }
    drop(house);
    let house = House::borrowed(stream::open(&config).unwrap(), config);
    let (raw, derived) =
        (house.read_all(Topic::ListingsRaw).len() as u64, house.read_all(Topic::Listings).len() as u64);
    assert_eq!(raw + derived, sent, "each stands on the log once");
}

#[test]
fn a_reader_wakes_at_once() {
    let house = embedded();
    let (producer, acks) = house.producer();
    let mut tap = house.follow(&[(Topic::Listings, 0, Start::Latest)]);
    assert!(matches!(tap.next(), Event::End { .. }));
    // Not a benchmark: only that nobody waits for a timer.
    let start = Instant::now();
    for i in 0..200 {
        producer.send(Outgoing { partition: Some(0), ..keyed(Topic::Listings, "k", "v") }, i).unwrap();
        loop {
            if let Event::Record(record) = tap.next() {
                assert_eq!(record.offset, i);
                break;
            }
        }
        acks.next();
    }
    println!("200 records one by one: {:?}", start.elapsed());
    assert!(start.elapsed() < Duration::from_secs(10));
    assert_eq!(house.log.partitions(), PARTITIONS);
}
