//! The members that roost does not know: kept as received within bounds, so that they travel with the listing.
//!
//! What does not fit is left out by name, never by position, so that every reader of a record keeps the same.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::LeftOut;
use super::members::{Members, shown};
use super::refusal::Faults;
use super::text;
use crate::dead_letter::Code;
use crate::field_error::{Fault, FieldError};
use crate::listing::{MAX_ATTRIBUTES, MAX_ATTRIBUTES_BYTES};

/// Longest name of an attribute, in bytes: RESO's longest has 41.
const MAX_NAME_BYTES: usize = 64;

/// What a nested object with a member that occurs twice makes the reader say.
const TWICE: &str = "occurs twice";

/// Takes what no field took. `extra` are known members whose value has no place in a listing.
pub(super) fn of(
    members: &Members<'_>,
    extra: &[(&'static str, &str)],
    left_out: &mut LeftOut,
    faults: &mut Faults,
) -> BTreeMap<String, Value> {
    let mut candidates: Vec<(&str, &str)> = members
        .unknown
        .iter()
        // Annotations (`@odata.etag`, `City@core.note`) speak of the message, not of the home.
        .filter(|(name, raw)| !name.contains('@') && *raw != "null")
        .map(|(name, raw)| (&**name, *raw))
        .chain(extra.iter().copied())
        .collect();
    candidates.sort_unstable();
    let (mut kept, mut bytes) = (BTreeMap::new(), 0);
    for (name, raw) in candidates {
        let value = match serde_json::from_str::<Strict>(raw) {
            Ok(Strict(value)) => value,
            Err(error) if error.to_string().starts_with(TWICE) => {
                let error = FieldError::new(shown(name), raw, Fault::Duplicate, "every member once");
                faults.push_as(Code::DuplicateMember, error);
                continue;
            }
            // A number beyond a double, a broken surrogate pair: nothing that could be written again.
            Err(_) => {
                left_out.attributes = left_out.attributes.saturating_add(1);
                continue;
            }
        };
        let size = name.len() + 4 + size_of(&value);
        let fits = kept.len() < MAX_ATTRIBUTES && bytes + size <= MAX_ATTRIBUTES_BYTES;
        let is_name = name.len() <= MAX_NAME_BYTES && !name.chars().any(|c| c.is_control() || text::is_bidi_control(c));
        if fits && is_name {
            bytes += size;
            kept.insert(name.to_owned(), value);
        } else {
            left_out.attributes = left_out.attributes.saturating_add(1);
        }
    }
    kept
}

/// Bytes of a value's JSON.
fn size_of(value: &Value) -> usize {
    struct Count(usize);
    impl std::io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    // Neither counting nor writing a `Value` can fail; if it did, the value would not fit.
    serde_json::to_writer(&mut count, value).map_or(usize::MAX / 2, |()| count.0)
}

/// A JSON value whose objects name each member once, and whose numbers every reader of JSON reads alike.
pub(super) struct Strict(pub(super) Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Nested.deserialize(deserializer).map(Self)
    }
}

struct Nested;

impl<'de> DeserializeSeed<'de> for Nested {
    type Value = Value;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Nested {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }
    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_bool<E>(self, yes: bool) -> Result<Value, E> {
        Ok(Value::Bool(yes))
    }
    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(Value::from(number))
    }
    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value::from(number))
    }
    fn visit_f64<E: Error>(self, number: f64) -> Result<Value, E> {
        fifteen_digits(number).map(Value::Number).ok_or_else(|| E::custom("beyond a double"))
    }
    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::String(text.to_owned()))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = seq.next_element_seed(Self)? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(name) = map.next_key::<String>()? {
            let value = map.next_value_seed(Self)?;
            if object.insert(name, value).is_some() {
                return Err(A::Error::custom(TWICE));
            }
        }
        Ok(Value::Object(object))
    }
}

/// The number with the 15 significant digits that survive every way through text and double, so that a listing is equal
/// to itself after any number of hops. `None` where no such text is read back exactly by `serde_json`.
fn fifteen_digits(number: f64) -> Option<Number> {
    let rounded: f64 = format!("{number:.14e}").parse().ok()?;
    let number = Number::from_f64(rounded)?;
    let read_back: f64 = serde_json::from_str(&number.to_string()).ok()?;
    (read_back.to_bits() == rounded.to_bits()).then_some(number)
}
