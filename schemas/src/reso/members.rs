//! From the text of a record to its members: known ones by field, the others by name, each as raw JSON text. Nothing is
//! allocated for a value before somebody wants it.
//!
//! Knows that a member may occur once only and how deep it may be; not what it means.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::fields::Field;
use super::frame::MAX_DEPTH;
use super::refusal::{Faults, Refusal};
use crate::dead_letter::Code;
use crate::field_error::{Fault, FieldError};

/// Longest name that a message repeats, in characters.
const MAX_SHOWN_CHARS: usize = 80;

/// The members of one object.
pub(super) struct Members<'a> {
    known: [Option<&'a str>; Field::ALL.len()],
    /// Names that no field has, sorted.
    pub(super) unknown: Vec<(Cow<'a, str>, &'a str)>,
    /// Fields whose name the record spells in another way: RESO's name and the record's.
    pub(super) respelled: Vec<(&'static str, Cow<'a, str>)>,
    /// Members that occur twice or are too deep.
    structural: Vec<(Code, FieldError)>,
}

impl<'a> Members<'a> {
    /// The raw JSON text of a field; `null` is as good as absent.
    pub(super) fn raw(&self, field: Field) -> Option<&'a str> {
        self.known[field as usize].filter(|raw| *raw != "null")
    }

    /// What is wrong with the object itself.
    pub(super) fn structural_faults(&self) -> Faults {
        let mut faults = Faults::default();
        for (code, error) in &self.structural {
            faults.push_as(*code, error.clone());
        }
        faults
    }

    /// If the object is the wrapper of a batch (it has an array `value` and names no listing): that array.
    pub(super) fn batch(&self) -> Option<Result<&'a str, Refusal>> {
        let mut arrays = self.unknown.iter().filter(|(name, raw)| name == "value" && raw.starts_with('['));
        let (_, array) = arrays.next()?;
        if self.known[Field::ListingKey as usize].is_some() {
            return None;
        }
        // The array's own depth is judged record by record.
        let mut faults = Faults::default();
        for (code, error) in self.structural.iter().filter(|(code, e)| *code != Code::TooDeep || e.field != "value") {
            faults.push_as(*code, error.clone());
        }
        Some(faults.into_refusal().map_or(Ok(*array), Err))
    }
}

impl<'a> Members<'a> {
    /// None yet.
    pub(super) const fn none() -> Self {
        Self { known: [None; Field::ALL.len()], unknown: Vec::new(), respelled: Vec::new(), structural: Vec::new() }
    }

    /// Names the members of an object that stands `levels` deep in the value, instead of those of the object before: with
    /// a place for every field, members are too large to be made anew for every record. An error is one of JSON.
    pub(super) fn gather(&mut self, text: &'a str, levels: usize) -> Result<(), serde_json::Error> {
        self.known.fill(None);
        self.unknown.clear();
        self.respelled.clear();
        self.structural.clear();
        let mut deserializer = serde_json::Deserializer::from_str(text);
        (&mut deserializer).deserialize_map(Gather { members: self, levels })?;
        deserializer.end()?;
        self.unknown.sort_by(|a, b| a.0.cmp(&b.0));
        for pair in self.unknown.windows(2) {
            if pair[0].0 == pair[1].0 {
                self.structural.push(twice(&pair[0].0, pair[1].1));
            }
        }
        Ok(())
    }
}

struct Gather<'m, 'de> {
    members: &'m mut Members<'de>,
    levels: usize,
}

impl<'de> Visitor<'de> for Gather<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let members = self.members;
        while let Some(Name(name)) = map.next_key()? {
            let raw = map.next_value::<&RawValue>()?.get();
            if self.levels + 1 + depth(raw) > MAX_DEPTH {
                let expected = format!("at most {MAX_DEPTH} levels of objects and arrays");
                let error = FieldError::new(shown(&name), "nested value", Fault::TooLarge, expected);
                members.structural.push((Code::TooDeep, error));
            }
            match Field::named(&name) {
                Some((field, is_reso_name)) => {
                    let place = &mut members.known[field as usize];
                    if place.is_some() {
                        members.structural.push(twice(&name, raw));
                    }
                    *place = Some(raw);
                    if !is_reso_name {
                        members.respelled.push((field.name(), name));
                    }
                }
                None => members.unknown.push((name, raw)),
            }
        }
        Ok(())
    }
}

fn twice(name: &str, raw: &str) -> (Code, FieldError) {
    (Code::DuplicateMember, FieldError::new(shown(name), raw, Fault::Duplicate, "every member once"))
}

/// A name for a message, which travels in a header: a feed can write names of any length.
pub(super) fn shown(name: &str) -> String {
    super::text::cut(name.to_owned(), MAX_SHOWN_CHARS).0
}

/// A member's name, borrowed where it holds no escapes (serde's own `Cow` always copies).
struct Name<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl<'de> Visitor<'de> for Text {
            type Value = Name<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

/// How deep objects and arrays are nested in a JSON text. A loop, so that no input can exhaust the stack.
fn depth(raw: &str) -> usize {
    if !raw.starts_with(['{', '[']) {
        return 0;
    }
    let (mut now, mut most, mut in_text, mut escaped) = (0_usize, 0, false, false);
    for byte in raw.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            b'{' | b'[' if !in_text => {
                now += 1;
                most = most.max(now);
            }
            b'}' | b']' if !in_text => now -= 1,
            _ => {}
        }
    }
    most
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_is_counted_outside_of_texts() {
        for (raw, levels) in [("1", 0), ("\"[[\"", 0), ("[]", 1), (r#"{"a":[1,{"b":"}]\"["}]}"#, 3), ("[[],[[]]]", 3)] {
            assert_eq!(depth(raw), levels, "{raw}");
        }
    }

    #[test]
    fn names_without_escapes_are_borrowed() {
        let mut members = Members::none();
        members.gather(r#"{"b":1,"\u0061":2}"#, 0).unwrap();
        assert!(matches!(&members.unknown[..], [(Cow::Owned(a), "2"), (Cow::Borrowed("b"), "1")] if a == "a"));
    }
}
