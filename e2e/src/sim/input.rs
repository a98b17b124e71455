//! What feeds and clients send: feeds with few listings, late clocks, repetitions and faults; clients with few sessions,
//! statements that arrive too late, erasures, and what is no statement at all.

use std::collections::BTreeMap;

use schemas::header;
use schemas::id::SessionId;
use schemas::statement::{deadline_header, repair_headers};
use schemas::topic::{Topic, session_key};
use stream::Outgoing;

use super::crew::Outside;
use super::random::Random;
use super::tally::{Happening, Tally};

/// How long a client waits for an acknowledgement, as the API does.
const DEADLINE_MS: i64 = 5_000;
const LISTINGS: u64 = 5;
const SESSIONS: u64 = 4;

/// What a session was told last: the offset of its acknowledged statement, when, and whether it was an erasure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// Offset in `preferences`.
    pub offset: u64,
    /// Append time.
    pub at_ms: i64,
    /// An erasure.
    pub erased: bool,
}

/// Feeds and clients.
#[derive(Debug, Default)]
pub struct Input {
    /// Statements on their way to the log.
    underway: Vec<Call>,
    /// What each session was told last.
    pub told: BTreeMap<SessionId, Told>,
    /// The last raw record, to be repeated.
    repeatable: Option<Outgoing>,
    /// What befell.
    pub tally: Tally,
}

#[derive(Debug)]
struct Call {
    record: Outgoing,
    /// Whose, and by when, if it is a statement.
    session: Option<(SessionId, i64)>,
}

impl Input {
    /// A feed sends a record.
    pub fn feed(&mut self, outside: &mut Outside) {
        let again = self.repeatable.clone().filter(|_| outside.random.percent(10));
        self.tally.add(Happening::FeedRepeats, u64::from(again.is_some()));
        let record = again.unwrap_or_else(|| raw(outside));
        outside.log.append(record.clone(), outside.now);
        self.repeatable = Some(record);
    }

    /// A client says something; it arrives later.
    pub fn call(&mut self, outside: &mut Outside) {
        self.underway.push(call(outside));
    }

    /// A client says something valid, and it arrives at once. When nobody reads for longer than the compaction lag, the log
    /// may keep what is no statement and drop the one before it: that is not provided for.
    pub fn speak(&mut self, outside: &mut Outside) {
        let id = session(&mut outside.random);
        let value = outside.random.percent(50).then(|| preferences(&mut outside.random).into_bytes());
        let headers = vec![deadline_header(outside.now + DEADLINE_MS)];
        let record =
            Outgoing { topic: Topic::Preferences, partition: None, key: Some(session_key(id)), value, headers };
        self.underway.push(Call { record, session: Some((id, outside.now + DEADLINE_MS)) });
        self.all_arrive(outside);
    }

    /// One of the statements under way arrives, if there is any.
    pub fn arrive(&mut self, outside: &mut Outside) {
        let Some(at) = outside.random.index(self.underway.len()) else { return };
        let Call { record, session } = self.underway.swap_remove(at);
        let erased = record.value.is_none();
        let delivered = outside.log.append(record, outside.now);
        if let Some((session, deadline_ms)) = session {
            if outside.now > deadline_ms {
                self.tally.count(Happening::TooLate);
                return;
            }
            self.tally.add(Happening::Erasure, u64::from(erased));
            self.told.insert(session, Told { offset: delivered.offset, at_ms: outside.now, erased });
        }
    }

    /// Everything under way arrives.
    pub fn all_arrive(&mut self, outside: &mut Outside) {
        while !self.underway.is_empty() {
            self.arrive(outside);
        }
    }

    /// A night passes: feeds repeat nothing of the day before. (After a year a repetition would be taken for news, and should
    /// be: its listing is forgotten.)
    pub fn sleep(&mut self) {
        self.repeatable = None;
    }
}

fn raw(outside: &mut Outside) -> Outgoing {
    let (partitions, now) = (outside.log.partitions(), outside.now);
    let random = &mut outside.random;
    let feed = (header::FEED.to_owned(), b"f".to_vec());
    // Listings of one key may come on several partitions: feeds choose their keys.
    let partition = random.percent(20).then(|| random.below(u64::from(partitions)) as u32);
    // One listing is talked about more than others, so that statements about it overtake each other.
    let number = if random.percent(50) { 0 } else { random.below(LISTINGS) };
    let key = Some(format!("f:{number}").into_bytes());
    if random.percent(8) {
        // An empty value deletes.
        return Outgoing { topic: Topic::ListingsRaw, partition, key, value: None, headers: vec![feed] };
    }
    let value = match random.below(20) {
        0 => "{".to_owned(),
        1 | 2 => {
            let batch: Vec<String> =
                (0..1 + random.below(3)).map(|_| listing(random.below(LISTINGS), now, random)).collect();
            format!("{{\"value\":[{}]}}", batch.join(","))
        }
        _ => listing(number, now, random),
    };
    Outgoing { topic: Topic::ListingsRaw, partition, key, value: Some(value.into_bytes()), headers: vec![feed] }
}

fn listing(number: u64, now: i64, random: &mut Random) -> String {
    // Clocks of feeds go wrong, and what they send comes out of order; some far ahead are refused.
    let at = match random.below(10) {
        0..=4 => now,
        5..=8 => now - random.below(120_000) as i64,
        _ => now + random.below(600_000) as i64,
    };
    let at = jiff::Timestamp::from_millisecond(at).unwrap_or_default();
    let (status, close) = match random.below(16) {
        0 => ("Pending", String::new()),
        1 => ("ComingSoon", String::new()),
        2..=6 => ("Closed", format!(r#","ClosePrice":{}"#, 100 + random.below(300))),
        7 => ("Delete", String::new()),
        8 => ("Nonsense", String::new()),
        _ => ("Active", String::new()),
    };
    let (price, beds) = (100 + 50 * random.below(6), 1 + random.below(4));
    let city = if random.percent(80) { "Austin" } else { "Dallas" };
    format!(
        r#"{{"ListingKey":"{number}","StandardStatus":"{status}","PropertyType":"Residential","ListPrice":{price}{close},"City":"{city}","StateOrProvince":"TX","Country":"US","BedroomsTotal":{beds},"ModificationTimestamp":"{at}"}}"#
    )
}

fn call(outside: &mut Outside) -> Call {
    let Outside { log, now, random, .. } = outside;
    let id = session(random);
    let mut record = Outgoing {
        topic: Topic::Preferences,
        partition: None,
        key: Some(session_key(id)),
        value: Some(preferences(random).into_bytes()),
        headers: vec![deadline_header(*now + DEADLINE_MS)],
    };
    let session = Some((id, *now + DEADLINE_MS));
    match random.below(20) {
        0..=2 => record.value = None,
        3 => {
            record.value = Some(b"{\"budget\":0}".to_vec());
            return Call { record, session: None };
        }
        4 => {
            // A repair by somebody who does not know how: its version is not older than itself.
            record.headers.extend(repair_headers(1_000_000, *now));
            return Call { record, session: None };
        }
        5 => {
            // Nobody's key, or a session's on any partition but its own.
            let (home, partitions) = (log.partition_of(&record), log.partitions());
            let away = 1 + random.below(u64::from(partitions) - 1) as u32;
            record.partition = Some((home + away) % partitions);
            if random.percent(50) {
                record.key = Some(b"nobody".to_vec());
            }
            return Call { record, session: None };
        }
        _ => {}
    }
    Call { record, session }
}

/// One session has more to say than others.
fn session(random: &mut Random) -> SessionId {
    let number = if random.percent(50) { 1 } else { 1 + random.below(SESSIONS) };
    SessionId::from_bits(u128::from(number))
}

fn preferences(random: &mut Random) -> String {
    let budget = 100 + 50 * random.below(8);
    let beds = random.below(4);
    let place = match random.below(4) {
        0 => r#"{"cities":["us/tx/dallas"]}"#,
        1 => r#"{"country":"us"}"#,
        _ => r#"{"cities":["us/tx/austin"]}"#,
    };
    let opts = if random.percent(30) { r#","include_coming_soon":true"# } else { "" };
    format!(r#"{{"budget":{budget},"currency":"USD","place":{place},"min_bedrooms":{beds}{opts}}}"#)
}
