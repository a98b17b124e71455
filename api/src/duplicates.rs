//! Members of a JSON body that are given twice. The reader of statements sees them itself (`schemas`); this is for bodies that are read as
//! a tree, where the last one would win without a word. Pure.

use std::collections::HashSet;
use std::fmt;

use schemas::field_error::{Fault, FieldError};
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

/// Most that are told.
const MAX_TOLD: usize = 16;

/// Every member that its object has twice, by its path; none for what is no JSON.
pub fn duplicates(body: &[u8]) -> Vec<FieldError> {
    let mut found = Vec::new();
    let mut reader = serde_json::Deserializer::from_slice(body);
    // What is no JSON is told by who reads it.
    let _ = Walk { path: String::new(), found: &mut found }.deserialize(&mut reader);
    found
}

struct Walk<'a> {
    path: String,
    found: &'a mut Vec<FieldError>,
}

impl Walk<'_> {
    fn below(&mut self, name: &str) -> Walk<'_> {
        let name = name.replace('~', "~0").replace('/', "~1");
        let path = if self.path.is_empty() { name } else { format!("{}/{name}", self.path) };
        Walk { path, found: self.found }
    }
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }
    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        let mut seen = HashSet::new();
        while let Some(name) = map.next_key::<String>()? {
            map.next_value_seed(self.below(&name))?;
            if !seen.insert(name.clone()) && self.found.len() < MAX_TOLD {
                let path = self.below(&name).path;
                self.found.push(FieldError::new(path, "the member", Fault::Duplicate, "every member once"));
            }
        }
        Ok(())
    }
    fn visit_seq<A: SeqAccess<'de>>(mut self, mut all: A) -> Result<(), A::Error> {
        let mut n = 0;
        while all.next_element_seed(self.below(&n.to_string()))?.is_some() {
            n += 1;
        }
        Ok(())
    }
    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }
    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }
    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }
    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }
    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }
    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_member_that_is_given_twice_is_told_by_its_path() {
        let of = |text: &str| duplicates(text.as_bytes()).iter().map(FieldError::pointer).collect::<Vec<_>>();
        assert_eq!(of(r#"{"a":1,"b":2,"a":3}"#), ["/a"]);
        assert_eq!(of(r#"[{"a":1},{"a":1,"a":1,"b":{"x~/":0,"x~/":null}}]"#), ["/1/a", "/1/b/x~0~1"]);
        assert_eq!(of(r#"{"a":1,"\u0061":2}"#), ["/a"], "the same name, written otherwise");
        for text in ["", "{", "7", "[1,2.5,\"x\",true,null,{}]", r#"{"a":{"a":{"a":1}}}"#, "{\"a\":1} x"] {
            assert!(of(text).is_empty(), "{text}");
        }
        assert_eq!(of(&format!("{{{}\"a\":1}}", "\"a\":1,".repeat(1_000))).len(), MAX_TOLD);
    }
}
