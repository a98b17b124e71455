//! Guards that live inside the shipped code and have no switch there are switched off from outside: the code is shown
//! records, or asked for timestamps, as they would be without the guard.

use std::collections::{BTreeMap, BTreeSet};

use schemas::header;
use schemas::priced::PricedListing;
use schemas::topic::{Topic, partition_of};
use schemas::version::ListingVersion;
use store::{Row, SEQUENCE_BITS, Write, WriteTimestamp};
use stream::Record;

use super::{Guard, Guards};

/// What a process whose guards are switched off has to remember.
#[derive(Debug, Default)]
pub struct Weakened {
    /// Versions of facts that were read.
    facts: BTreeSet<(Vec<u8>, ListingVersion)>,
    /// How often each statement was sent, and its own timestamp by the one that it was sent with.
    tries: BTreeMap<(Row, WriteTimestamp), u64>,
    stamps: BTreeMap<(Row, WriteTimestamp), WriteTimestamp>,
}

impl Weakened {
    /// A statement that is tried again gets a later timestamp.
    pub fn stamp_anew(&mut self, write: &mut Write) {
        let own = write.timestamp;
        let tries = self.tries.entry((write.row.clone(), own)).or_insert(0);
        *tries += 1;
        let sequence = own.raw() as u64 & ((1 << SEQUENCE_BITS) - 1);
        // A second's worth of statements later: as a clock would have it.
        if let Some(later) = WriteTimestamp::new(own.epoch(), sequence + (*tries - 1) * 1_000) {
            write.timestamp = later;
            self.stamps.insert((write.row.clone(), later), own);
        }
    }

    /// The timestamp that the process knows a statement by.
    pub fn first_stamp(&self, write: &Write) -> WriteTimestamp {
        self.stamps.get(&(write.row.clone(), write.timestamp)).copied().unwrap_or(write.timestamp)
    }
}

/// A record as it looks without the guards that are switched off; `None` if it is passed over.
pub fn weaken(mut record: Record, guards: &Guards, known: &mut Weakened, partitions: u32) -> Option<Record> {
    match record.topic {
        Topic::Preferences => {
            let is_ignored = |name: &str| {
                let carries = name == header::STATEMENT_VERSION || name == header::STATEMENT_TIME_MS;
                (guards.off(Guard::Deadline) && name == header::DEADLINE_MS)
                    || (guards.off(Guard::VersionOrder) && carries)
            };
            record.headers.retain(|(name, _)| !is_ignored(name));
            let carried = header::integer(&record.headers, header::STATEMENT_VERSION);
            if guards.off(Guard::RepairIsLater) && carried.is_some_and(|version| version >= record.offset as i64) {
                record.offset = u64::MAX >> 1;
            }
            if guards.off(Guard::KeyOnItsPartition) {
                record.partition = partition_of(record.key.as_deref().unwrap_or_default(), partitions);
            }
        }
        Topic::ListingsPriced if guards.off(Guard::LaterOffset) => {
            let fact = serde_json::from_slice::<PricedListing>(record.value.as_deref().unwrap_or_default()).ok();
            let key = record.key.clone().unwrap_or_default();
            if fact.is_some_and(|fact| !known.facts.insert((key, fact.listing.version))) {
                return None;
            }
        }
        _ => {}
    }
    Some(record)
}
