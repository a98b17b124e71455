//! How records and positions stand in fjall. Keys sort as the log does; a change of anything here is a new format
//! (`directory.rs`).

use schemas::header::Headers;
use schemas::topic::Topic;

use crate::{Outgoing, Record};

const HAS_KEY: u8 = 1;
const HAS_VALUE: u8 = 2;

/// Partition and offset, big-endian.
pub(super) fn place(partition: u32, offset: u64) -> [u8; 12] {
    let mut bytes = [0; 12];
    bytes[..4].copy_from_slice(&partition.to_be_bytes());
    bytes[4..].copy_from_slice(&offset.to_be_bytes());
    bytes
}

/// The offset in a place.
pub(super) fn offset(place: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(place.get(4..12)?.try_into().ok()?))
}

/// Append time, what is there, key, headers; the value is the rest.
pub(super) fn record(out: &Outgoing, append_time_ms: i64) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(64 + crate::placement::size(out));
    bytes.extend_from_slice(&append_time_ms.to_be_bytes());
    let flags = u8::from(out.key.is_some()) * HAS_KEY + u8::from(out.value.is_some()) * HAS_VALUE;
    bytes.push(flags);
    sized(&mut bytes, out.key.as_deref().unwrap_or_default());
    // Records are far below 4 GiB, and so is everything in them.
    bytes.extend_from_slice(&(out.headers.len() as u32).to_be_bytes());
    for (name, value) in &out.headers {
        sized(&mut bytes, name.as_bytes());
        sized(&mut bytes, value);
    }
    bytes.extend_from_slice(out.value.as_deref().unwrap_or_default());
    bytes
}

fn sized(bytes: &mut Vec<u8>, part: &[u8]) {
    bytes.extend_from_slice(&(part.len() as u32).to_be_bytes());
    bytes.extend_from_slice(part);
}

/// `None`: the bytes are no record.
pub(super) fn read(topic: Topic, partition: u32, offset: u64, bytes: &[u8]) -> Option<Record> {
    let mut rest = bytes;
    let append_time_ms = i64::from_be_bytes(take(&mut rest, 8)?.try_into().ok()?);
    let flags = *take(&mut rest, 1)?.first()?;
    let key = take_sized(&mut rest)?.to_vec();
    let count = take_u32(&mut rest)?;
    let mut headers = Headers::new();
    for _ in 0..count {
        let name = String::from_utf8(take_sized(&mut rest)?.to_vec()).ok()?;
        headers.push((name, take_sized(&mut rest)?.to_vec()));
    }
    Some(Record {
        topic,
        partition,
        offset,
        append_time_ms,
        key: (flags & HAS_KEY != 0).then_some(key),
        value: (flags & HAS_VALUE != 0).then(|| rest.to_vec()),
        headers,
    })
}

/// What decides whether a record stays: when it was appended, its key, whether it is a tombstone.
pub(super) fn summary(bytes: &[u8]) -> Option<(i64, Option<&[u8]>, bool)> {
    let mut rest = bytes;
    let append_time_ms = i64::from_be_bytes(take(&mut rest, 8)?.try_into().ok()?);
    let flags = *take(&mut rest, 1)?.first()?;
    let key = take_sized(&mut rest)?;
    Some((append_time_ms, (flags & HAS_KEY != 0).then_some(key), flags & HAS_VALUE == 0))
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(count)?;
    *rest = left;
    Some(taken)
}

fn take_u32(rest: &mut &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(take(rest, 4)?.try_into().ok()?))
}

fn take_sized<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let count = take_u32(rest)? as usize;
    take(rest, count)
}

/// Group, topic and partition of a committed offset.
pub(super) fn committed(group: &str, topic: Topic, partition: u32) -> Vec<u8> {
    format!("{group}\0{topic}\0{partition}").into_bytes()
}

/// `None`: the bytes are none, or the topic is no longer one.
pub(super) fn read_committed(key: &[u8], value: &[u8]) -> Option<(String, Topic, u32, u64)> {
    let mut parts = std::str::from_utf8(key).ok()?.split('\0');
    let (group, topic, partition) = (parts.next()?, Topic::named(parts.next()?)?, parts.next()?.parse().ok()?);
    Some((group.to_owned(), topic, partition, u64::from_be_bytes(value.try_into().ok()?)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(
            key in prop::option::of(prop::collection::vec(any::<u8>(), 0..40)),
            value in prop::option::of(prop::collection::vec(any::<u8>(), 0..200)),
            headers in prop::collection::vec((".{0,8}", prop::collection::vec(any::<u8>(), 0..20)), 0..5),
            time in any::<i64>(),
        ) {
            let out = Outgoing { topic: Topic::Listings, partition: None, key, value, headers };
            let bytes = record(&out, time);
            let back = read(Topic::Listings, 3, 9, &bytes).unwrap();
            prop_assert_eq!(summary(&bytes).unwrap(), (time, out.key.as_deref(), out.value.is_none()));
            prop_assert_eq!(back, Record {
                topic: Topic::Listings, partition: 3, offset: 9, append_time_ms: time,
                key: out.key, value: out.value, headers: out.headers,
            });
        }

        #[test]
        fn damaged_bytes_are_refused_and_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = read(Topic::Listings, 0, 0, &bytes);
            let _ = summary(&bytes);
        }
    }

    #[test]
    fn places_sort_as_the_log_does() {
        assert!(place(1, 255) < place(1, 256) && place(1, u64::MAX) < place(2, 0));
        assert_eq!(offset(&place(7, 1 << 40)), Some(1 << 40));
    }

    #[test]
    fn a_committed_offset_is_read_back() {
        let key = committed("scorer", Topic::ListingsPriced, 12);
        assert_eq!(
            read_committed(&key, &9_u64.to_be_bytes()),
            Some(("scorer".to_owned(), Topic::ListingsPriced, 12, 9))
        );
    }
}
