//! A statement's JSON, taken apart: members and elements as raw JSON text, so that numbers are read exactly and a member
//! that occurs twice is seen.
//!
//! Knows JSON, not preferences.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::MAX_PREFERENCES_BYTES;
use crate::field_error::{Fault, FieldError};
use crate::reso::MAX_DEPTH;

/// The members of an object in their order, each with its raw JSON text. Names are borrowed where they hold no escapes.
pub(super) type Members<'a> = Vec<(Cow<'a, str>, &'a str)>;

/// The members of the statement itself.
pub(super) fn root(json: &[u8]) -> Result<Members<'_>, FieldError> {
    let whole = |value: String, fault, expected: &str| FieldError::new("", value, fault, expected);
    if json.len() > MAX_PREFERENCES_BYTES {
        let expected = format!("at most {MAX_PREFERENCES_BYTES} bytes");
        return Err(whole(format!("a statement of {} bytes", json.len()), Fault::TooLarge, &expected));
    }
    let text = std::str::from_utf8(json)
        .map_err(|e| whole(format!("byte {}", e.valid_up_to()), Fault::WrongEncoding, "a JSON text in UTF-8"))?;
    let text = text.strip_prefix('\u{FEFF}').unwrap_or(text);
    // Before any parser recurses.
    if depth(text) > MAX_DEPTH {
        let expected = format!("at most {MAX_DEPTH} levels of objects and arrays");
        return Err(whole("the value".to_owned(), Fault::TooDeep, &expected));
    }
    let raw: &RawValue =
        serde_json::from_str(text).map_err(|e| whole(e.to_string(), Fault::NotJson, "one JSON object"))?;
    members(raw.get()).ok_or_else(|| whole(kind(raw.get()).to_owned(), Fault::WrongShape, "an object"))
}

/// The members of an object; `None` if it is none.
pub(super) fn members(raw: &str) -> Option<Members<'_>> {
    struct Object;
    impl<'de> Visitor<'de> for Object {
        type Value = Members<'de>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut members = Vec::with_capacity(8);
            while let Some((name, raw)) = map.next_entry::<Name<'de>, &RawValue>()? {
                members.push((name.0, raw.get()));
            }
            Ok(members)
        }
    }
    serde_json::Deserializer::from_str(raw).deserialize_map(Object).ok()
}

/// A member's name, borrowed where it can be (a plain `Cow` always copies).
#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

/// The elements of an array; `None` if it is none.
pub(super) fn elements(raw: &str) -> Option<Vec<&str>> {
    struct Array;
    impl<'de> Visitor<'de> for Array {
        type Value = Vec<&'de str>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an array")
        }
        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
            let mut elements = Vec::new();
            while let Some(raw) = seq.next_element::<&RawValue>()? {
                elements.push(raw.get());
            }
            Ok(elements)
        }
    }
    serde_json::Deserializer::from_str(raw).deserialize_seq(Array).ok()
}

/// The text of a JSON string, borrowed where it holds no escapes; `None` if it is none.
pub(super) fn text(raw: &str) -> Option<Cow<'_, str>> {
    serde_json::from_str::<Name<'_>>(raw).ok().map(|name| name.0)
}

/// What a JSON text is, for an error.
pub(super) fn kind(raw: &str) -> &'static str {
    match raw.as_bytes().first() {
        Some(b'{') => "an object",
        Some(b'[') => "an array",
        Some(b'"') => "a text",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        _ => "a number",
    }
}

/// How deep objects and arrays are nested. A loop, so that no input can exhaust the stack.
fn depth(text: &str) -> usize {
    let (mut now, mut most, mut in_text, mut escaped) = (0_usize, 0, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            b'{' | b'[' if !in_text => {
                now += 1;
                most = most.max(now);
            }
            b'}' | b']' if !in_text => now = now.saturating_sub(1),
            _ => {}
        }
    }
    most
}
