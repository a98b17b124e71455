//! What no service could use, as a record of `dead-letters`: the original bytes and headers, and headers that say where it
//! came from and why it is here. Of a statement of preferences only a hash is kept: it is a person's.

use schemas::dead_letter::Poison;
use schemas::header;
use schemas::id::FeedName;
use schemas::topic::Topic;
use sha2::{Digest, Sha256};

use crate::{Outgoing, Record, placement};

/// Of a part that does not fit only so much is kept.
const KEPT_BYTES: usize = 64 * 1024;
/// A sentence that quotes a value may be as long as the value.
const MESSAGE_BYTES: usize = 4 * 1024;

/// The dead letter of `record`, or of the listing at `index` of its batch. Always small enough to be sent: of what is too
/// large the value keeps its first 64 KiB and gets a hash of the whole, the original headers go, the key is cut.
pub fn of(record: &Record, poison: &Poison, service: &str, index: u32, feed: Option<&FeedName>) -> Outgoing {
    let mut ours = header::Headers::new();
    let mut add = |name: &str, value: String| ours.push((name.to_owned(), value.into_bytes()));
    add(header::DEAD_TOPIC, record.topic.name().to_owned());
    add(header::DEAD_PARTITION, record.partition.to_string());
    add(header::DEAD_OFFSET, record.offset.to_string());
    add(header::DEAD_INDEX, index.to_string());
    if let Some(feed) = feed {
        add(header::DEAD_FEED, feed.to_string());
    }
    add(header::DEAD_CODE, poison.code.to_string());
    add(header::DEAD_MESSAGE, head(&poison.message, MESSAGE_BYTES).to_owned());
    add(header::DEAD_SERVICE, service.to_owned());
    let value = match record.value.as_deref() {
        Some(value) if record.topic == Topic::Preferences => Some(sha256(value).into_bytes()),
        value => value.map(<[u8]>::to_vec),
    };
    let key = record.key.clone().filter(|key| !key.is_empty());
    // Without a key there is nothing to stay in order with.
    let partition = key.is_none().then_some(record.partition);
    // Ours come last: of headers with one name the last one counts.
    let mut headers = record.headers.clone();
    headers.extend_from_slice(&ours);
    let mut letter = Outgoing { topic: Topic::DeadLetters, partition, key, value, headers };
    shrink(&mut letter, ours);
    letter
}

/// Gives up one part after the other until the letter fits.
fn shrink(letter: &mut Outgoing, ours: header::Headers) {
    if placement::fits(letter) {
        return;
    }
    let hash = letter.value.as_deref().filter(|value| value.len() > KEPT_BYTES).map(sha256);
    if let Some(value) = &mut letter.value {
        value.truncate(KEPT_BYTES);
    }
    let hash = hash.map(|hash| (header::DEAD_SHA256.to_owned(), hash.into_bytes()));
    letter.headers.extend(hash.clone());
    if placement::fits(letter) {
        return;
    }
    letter.headers = ours;
    letter.headers.extend(hash);
    if placement::fits(letter) {
        return;
    }
    if let Some(key) = &mut letter.key {
        key.truncate(KEPT_BYTES);
    }
}

/// The beginning of a text, at most so many bytes.
fn head(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
}

/// `sha256:` and 64 hex digits.
fn sha256(bytes: &[u8]) -> String {
    let digits: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{digits}")
}

#[cfg(test)]
mod tests {
    use schemas::dead_letter::Code;
    use schemas::topic::MAX_RECORD_BYTES;

    use super::*;

    fn record(topic: Topic, value: Option<Vec<u8>>) -> Record {
        let headers = vec![("x".to_owned(), vec![0xFF])];
        Record { topic, partition: 1, offset: 7, append_time_ms: 0, key: Some(b"k".to_vec()), value, headers }
    }

    fn letter(topic: Topic, value: Option<Vec<u8>>) -> Outgoing {
        of(&record(topic, value), &Poison { code: Code::NotJson, message: "no".into() }, "scorer", 3, None)
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
        let whole = letter(Topic::ListingsRaw, Some(vec![b'a'; MAX_RECORD_BYTES]));
        assert_eq!(whole.value.unwrap().len(), MAX_RECORD_BYTES, "what fits stays whole");
        let cut = letter(Topic::ListingsRaw, Some(vec![b'a'; 2 * MAX_RECORD_BYTES]));
        assert_eq!((cut.value.as_ref().unwrap().len(), &cut.headers[0].0), (KEPT_BYTES, &"x".to_owned()));
        assert_eq!(
            header::text(&cut.headers, header::DEAD_SHA256),
            Some(sha256(&vec![b'a'; 2 * MAX_RECORD_BYTES]).as_str())
        );
    }

    #[test]
    fn a_letter_always_fits_whatever_the_record_was() {
        let large = vec![0; 2 * MAX_RECORD_BYTES];
        let record = Record {
            topic: Topic::Preferences,
            partition: 1,
            offset: 7,
            append_time_ms: 0,
            key: Some(large.clone()),
            value: Some(large.clone()),
            headers: vec![("x".to_owned(), large)],
        };
        let poison = Poison { code: Code::WrongKey, message: "\u{e9}".repeat(MAX_RECORD_BYTES) };
        let letter = of(&record, &poison, "scorer", 0, None);
        assert!(placement::fits(&letter), "{} bytes", placement::size(&letter));
        assert_eq!(header::text(&letter.headers, header::DEAD_CODE), Some("wrong_key"));
    }

    #[test]
    fn a_record_without_a_key_keeps_its_partition() {
        let record = Record { key: None, ..record(Topic::ListingsRaw, None) };
        let letter = of(&record, &Poison { code: Code::KeyMissing, message: String::new() }, "ingest", 0, None);
        assert_eq!((letter.key, letter.partition), (None, Some(1)));
    }
}
