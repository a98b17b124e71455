//! The cursor of a page: where the last one ended, opaque to clients. Pure.
//!
//! It is not a secret and needs no signature: whoever changes it can ask for nothing that a plain request could not. Its
//! checksum is there to tell a mangled cursor, or one of another query, from a right one.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

/// The format of the bytes below; another one is refused.
const FORMAT: u8 = 1;
const CHECKSUM_BYTES: usize = 6;
/// Longest cursor that is looked at: a price, the longest listing id (320 bytes) and the frame, in base64.
const MAX_TEXT: usize = 512;

/// Text for the client. `query` is what the cursor belongs to: the filters, in any canonical form.
pub fn encode(query: &str, position: &str) -> String {
    let mut bytes = vec![FORMAT];
    bytes.extend(checksum(query, position.as_bytes()));
    bytes.extend(position.as_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The position that was encoded with the same query; `None` for anything else.
pub fn decode(query: &str, cursor: &str) -> Option<String> {
    if cursor.len() > MAX_TEXT {
        return None;
    }
    let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
    let (&FORMAT, rest) = bytes.split_first()? else { return None };
    let (sum, position) = rest.split_at_checked(CHECKSUM_BYTES)?;
    (sum == checksum(query, position)).then(|| String::from_utf8(position.to_vec()).ok()).flatten()
}

fn checksum(query: &str, position: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let mut hash = Sha256::new();
    // The length first: no two pairs of texts hash alike.
    hash.update((query.len() as u64).to_be_bytes());
    hash.update(query);
    hash.update(position);
    let mut sum = [0; CHECKSUM_BYTES];
    sum.copy_from_slice(&hash.finalize()[..CHECKSUM_BYTES]);
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_leads_back_to_its_position_and_only_with_its_query() {
        let cursor = encode("market=us/wa/seattle", "74999900 seattle:171727");
        assert_eq!(decode("market=us/wa/seattle", &cursor).as_deref(), Some("74999900 seattle:171727"));
        assert_eq!(decode("market=us/wa/tacoma", &cursor), None);
    }

    #[test]
    fn every_changed_character_is_noticed() {
        let cursor = encode("q", "1 a:1");
        for at in 0..cursor.len() {
            for other in ["A", "_", "=", "%", "é", ""] {
                let changed = format!("{}{other}{}", &cursor[..at], &cursor[at + 1..]);
                assert!(changed == cursor || decode("q", &changed).is_none(), "{changed}");
            }
        }
        for text in ["", "A", "AQ", &"A".repeat(10_000)] {
            assert_eq!(decode("q", text), None);
        }
    }
}
