//! The members of a RESO object, each as raw JSON text, so that what a feed wrote goes on as it wrote it.

use std::borrow::Cow;
use std::fmt;

use schemas::field_error::{Fault, FieldError};
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::RowError;
use super::cell::Row;

/// Members in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Members<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> Members<'a> {
    /// Adds a member.
    pub(super) fn push(&mut self, name: impl Into<Cow<'a, str>>, raw: impl Into<Cow<'a, str>>) {
        self.0.push((name.into(), raw.into()));
    }

    /// The raw JSON of a member.
    pub fn raw(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(own, _)| own == name).map(|(_, raw)| &**raw)
    }

    /// The names of the members.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| &**name)
    }

    /// A member as a text: a JSON text, or a number as it is written.
    pub fn text(&self, name: &str) -> Option<String> {
        let raw = self.raw(name)?;
        match raw.as_bytes().first()? {
            b'"' => serde_json::from_str(raw).ok(),
            b'-' | b'0'..=b'9' => Some(raw.to_owned()),
            _ => None,
        }
    }

    /// Says that the statement is of this time, whatever it said before.
    pub fn stamp(&mut self, time: jiff::Timestamp) {
        self.0.retain(|(name, _)| name != "ModificationTimestamp");
        self.push("ModificationTimestamp", format!("\"{time}\""));
    }

    /// The object.
    pub fn to_json(&self) -> Vec<u8> {
        let mut json =
            Vec::with_capacity(self.0.iter().map(|(name, raw)| name.len() + raw.len() + 4).sum::<usize>() + 2);
        json.push(b'{');
        for (index, (name, raw)) in self.0.iter().enumerate() {
            if index > 0 {
                json.push(b',');
            }
            json.extend_from_slice(quoted(name).as_bytes());
            json.push(b':');
            json.extend_from_slice(raw.as_bytes());
        }
        json.push(b'}');
        json
    }
}

/// A text as JSON.
pub(super) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// The members of a row whose columns or members have RESO names.
pub(super) fn of_reso<'a>(row: &Row<'a>) -> Result<Members<'a>, RowError> {
    match *row {
        Row::Csv(columns, record) => {
            let cells = columns.names().iter().zip(record.iter());
            let mut members = Members::default();
            for (name, text) in cells.map(|(name, text)| (name, text.trim())).filter(|(_, text)| !text.is_empty()) {
                members.push(name.clone(), quoted(text));
            }
            Ok(members)
        }
        Row::Json(text) => of_object(text).ok_or_else(|| RowError {
            faults: vec![FieldError::new("", "not an object", Fault::WrongShape, "a JSON object")],
            listing_key: None,
        }),
    }
}

fn of_object(text: &str) -> Option<Members<'_>> {
    struct Object;
    impl<'de> Visitor<'de> for Object {
        type Value = Members<'de>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut members = Members::default();
            while let Some((name, raw)) = map.next_entry::<String, &RawValue>()? {
                members.push(name, raw.get());
            }
            Ok(members)
        }
    }
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let members = (&mut deserializer).deserialize_map(Object).ok()?;
    deserializer.end().ok().map(|()| members)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reso_goes_on_as_it_was_written() {
        let text = r#"{"ListingKey":7,"ListPrice":1e5,"Note":"a\"bA","Nested":{"a":[1.10]}}"#;
        let mut members = of_reso(&Row::Json(text)).unwrap();
        assert_eq!(members.text("ListingKey").as_deref(), Some("7"));
        assert_eq!(members.text("Nested"), None);
        assert_eq!(String::from_utf8(members.to_json()).unwrap(), text);
        members.stamp("2026-04-26T00:00:00Z".parse().unwrap());
        members.stamp("2026-04-27T00:00:00Z".parse().unwrap());
        let stamped = text.replace("]}}", r#"]},"ModificationTimestamp":"2026-04-27T00:00:00Z"}"#);
        assert_eq!(String::from_utf8(members.to_json()).unwrap(), stamped);
    }

    #[test]
    fn what_is_not_an_object_is_no_row() {
        for text in ["[]", "3", "{", "{} x", ""] {
            assert!(of_reso(&Row::Json(text)).is_err(), "{text}");
        }
    }
}
