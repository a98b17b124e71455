//! The members of a JSON object as their raw texts, in order, so that some can be renamed and the rest is judged as it was sent.
//!
//! Numbers stay exact and a member that occurs twice stays twice: what is wrong with either is for the readers behind to say.

use std::fmt;

use serde::Deserializer as _;
use serde::de::{MapAccess, Visitor};
use serde_json::value::RawValue;

/// Name and raw text of each member.
pub type Members = Vec<(String, Box<RawValue>)>;

/// The members of an object; `None` if the body is none.
pub fn members(body: &[u8]) -> Option<Members> {
    struct Object;
    impl<'de> Visitor<'de> for Object {
        type Value = Members;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut members = Vec::new();
            while let Some(member) = map.next_entry()? {
                members.push(member);
            }
            Ok(members)
        }
    }
    let text = std::str::from_utf8(body.strip_prefix("\u{feff}".as_bytes()).unwrap_or(body)).ok()?;
    let mut reader = serde_json::Deserializer::from_str(text);
    let members = reader.deserialize_map(Object).ok()?;
    reader.end().ok().map(|()| members)
}

/// Writes an object of raw members.
#[derive(Default)]
pub struct Writer(String);

impl Writer {
    /// Adds a member whose value is a JSON text.
    pub fn add(&mut self, name: &str, raw: &str) {
        self.0.push(if self.0.is_empty() { '{' } else { ',' });
        self.0.push_str(&serde_json::Value::from(name).to_string());
        self.0.push(':');
        self.0.push_str(raw);
    }

    /// The object.
    pub fn finish(mut self) -> Vec<u8> {
        if self.0.is_empty() {
            self.0.push('{');
        }
        self.0.push('}');
        self.0.into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_written_as_they_were_read() {
        let text = r#"{"a":1.10,"a":[1, 2],"q\"":null}"#;
        let mut writer = Writer::default();
        members(text.as_bytes()).unwrap().iter().for_each(|(name, raw)| writer.add(name, raw.get()));
        assert_eq!(String::from_utf8(writer.finish()).unwrap(), text);
        assert_eq!(Writer::default().finish(), b"{}");
        for other in ["", "[]", "1", "{", "{} x", "\"a\""] {
            assert!(members(other.as_bytes()).is_none(), "{other}");
        }
    }
}
