//! Where each partition ends, and which readers wait there. What stands below a head is on the log; a reader is woken
//! within microseconds when it moves.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};

use schemas::topic::{Partitions, Topic};

use crate::locked::lock;
use crate::ready::Ready;

pub(super) struct Heads {
    /// By `Topic as usize`, then by partition.
    heads: Vec<Vec<Head>>,
}

#[derive(Default)]
struct Head {
    next: AtomicU64,
    newest_ms: AtomicI64,
    readers: Mutex<Vec<(Weak<Ready>, usize)>>,
}

impl Heads {
    pub(super) fn new(partitions: u32) -> Self {
        let of = |topic: Topic| match topic.partitions() {
            Partitions::Keyed => partitions,
            Partitions::One => 1,
        };
        Self { heads: Topic::ALL.map(|topic| (0..of(topic)).map(|_| Head::default()).collect()).into() }
    }

    pub(super) fn partitions(&self, topic: Topic) -> u32 {
        // Came from a u32.
        self.heads[topic as usize].len() as u32
    }

    fn head(&self, topic: Topic, partition: u32) -> &Head {
        &self.heads[topic as usize][partition as usize]
    }

    /// The offset of the next record, and the append time of the newest.
    pub(super) fn get(&self, topic: Topic, partition: u32) -> (u64, i64) {
        let head = self.head(topic, partition);
        (head.next.load(Ordering::Acquire), head.newest_ms.load(Ordering::Acquire))
    }

    /// Called by the one writer of the partition, after its records are on the log.
    pub(super) fn advance(&self, topic: Topic, partition: u32, next: u64, newest_ms: i64) {
        let head = self.head(topic, partition);
        head.newest_ms.store(newest_ms, Ordering::Release);
        head.next.store(next, Ordering::Release);
        lock(&head.readers).retain(|(reader, lane)| match reader.upgrade() {
            Some(reader) => {
                reader.lane(*lane);
                true
            }
            None => false,
        });
    }

    /// From now on the reader's lane is marked whenever the head moves.
    pub(super) fn subscribe(&self, topic: Topic, partition: u32, reader: &Arc<Ready>, lane: usize) {
        lock(&self.head(topic, partition).readers).push((Arc::downgrade(reader), lane));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_is_marked_when_its_partition_moves_and_no_other() {
        let heads = Heads::new(2);
        let ready = Arc::new(Ready::default());
        heads.subscribe(Topic::Listings, 1, &ready, 5);
        heads.advance(Topic::Listings, 0, 1, 0);
        assert_eq!(ready.next_lane(), None);
        heads.advance(Topic::Listings, 1, 1, 7);
        assert_eq!((ready.next_lane(), heads.get(Topic::Listings, 1)), (Some(5), (1, 7)));
        assert_eq!(heads.partitions(Topic::Models), 1);
    }
}
