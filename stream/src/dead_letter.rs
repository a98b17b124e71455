//! What no service could use, as a record of `dead-letters`: the original bytes and headers, and headers that say where it
//! came from and why it is here. Of a statement of preferences only a hash is kept: it is a person's.

use schemas::dead_letter::Poison;
use schemas::header;
use schemas::id::FeedName;
use schemas::topic::{MAX_RECORD_BYTES, Topic};
use sha2::{Digest, Sha256};

use crate::{Outgoing, Record};

/// Of a value that is too large for a record only so much is kept, beside its hash.
const KEPT_BYTES: usize = 64 * 1024;
/// Room for key and headers beside a value.
const OVERHEAD_BYTES: usize = 64 * 1024;

/// The dead letter of `record`, or of one listing of its batch.
pub fn of(record: &Record, poison: &Poison, service: &str, index: u32, feed: Option<&FeedName>) -> Outgoing {
    let mut headers = record.headers.clone();
    let mut add = |name: &str, value: String| headers.push((name.to_owned(), value.into_bytes()));
    add(header::DEAD_TOPIC, record.topic.name().to_owned());
    add(header::DEAD_PARTITION, record.partition.to_string());
    add(header::DEAD_OFFSET, record.offset.to_string());
    add(header::DEAD_INDEX, index.to_string());
    if let Some(feed) = feed {
        add(header::DEAD_FEED, feed.to_string());
    }
    add(header::DEAD_CODE, poison.code.to_string());
    add(header::DEAD_MESSAGE, poison.message.clone());
    add(header::DEAD_SERVICE, service.to_owned());
    let value = match record.value.as_deref() {
        Some(value) if record.topic == Topic::Preferences => Some(sha256(value).into_bytes()),
        Some(value) if value.len() > MAX_RECORD_BYTES - OVERHEAD_BYTES => {
            add(header::DEAD_SHA256, sha256(value));
            Some(value[..KEPT_BYTES].to_vec())
        }
        value => value.map(<[u8]>::to_vec),
    };
    let key = record.key.clone().filter(|key| !key.is_empty());
    // Without a key there is nothing to stay in order with.
    Outgoing { topic: Topic::DeadLetters, partition: key.is_none().then_some(record.partition), key, value, headers }
}

/// `sha256:` and 64 hex digits.
fn sha256(bytes: &[u8]) -> String {
    let digits: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{digits}")
}

#[cfg(test)]
mod tests {
    use schemas::dead_letter::Code;

    use super::*;

    fn letter(topic: Topic, value: Option<Vec<u8>>) -> Outgoing {
        let headers = vec![("x".to_owned(), vec![0xFF])];
        let record =
            Record { topic, partition: 1, offset: 7, append_time_ms: 0, key: Some(b"k".to_vec()), value, headers };
        of(&record, &Poison { code: Code::NotJson, message: "no".into() }, "scorer", 3, None)
    }

    #[test]
    fn the_original_bytes_and_headers_stay() {
        let letter = letter(Topic::ListingsRaw, Some(vec![0, 0xFF]));
        assert_eq!((letter.key.as_deref(), letter.value), (Some(&b"k"[..]), Some(vec![0, 0xFF])));
        assert_eq!(letter.headers[0].1, [0xFF]);
        let text = |name| header::text(&letter.headers, name).unwrap();
        assert_eq!(
            [text(header::DEAD_TOPIC), text(header::DEAD_OFFSET), text(header::DEAD_INDEX)],
            ["listings.raw", "7", "3"]
        );
    }

    #[test]
    fn of_preferences_only_a_hash_stays() {
        let letter = letter(Topic::Preferences, Some(b"{}".to_vec()));
        let value = String::from_utf8(letter.value.unwrap()).unwrap();
        assert_eq!(value, "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a");
    }

    #[test]
    fn a_value_too_large_for_a_record_is_cut_and_its_hash_says_so() {
        let letter = letter(Topic::ListingsRaw, Some(vec![b'a'; MAX_RECORD_BYTES]));
        assert_eq!(letter.value.unwrap().len(), KEPT_BYTES);
        assert!(header::text(&letter.headers, header::DEAD_SHA256).unwrap().starts_with("sha256:"));
    }
}
