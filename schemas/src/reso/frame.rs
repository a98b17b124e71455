//! From bytes to records: encoding, JSON, depth, and whether it is one object or a batch.
//!
//! Does not look into a record beyond naming its members.

use std::fmt;

use serde::de::{Deserializer, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::members::Members;
use super::refusal::Refusal;
use crate::dead_letter::Code;

/// Most records in one batch: it bounds what one record of the log can make of itself.
pub const MAX_BATCH: usize = 1_000;
/// How deep objects and arrays may be nested, counted from the outermost one; a RESO record needs five.
pub const MAX_DEPTH: usize = 32;

/// Levels around a record of a batch: the wrapper and its array.
const BATCH_LEVELS: usize = 2;

/// What a value holds.
pub(super) enum Records<'a> {
    /// The object itself, whose members were gathered.
    One(&'a str),
    /// The texts of the elements of `value`, whatever they are.
    Batch(Vec<&'a str>),
}

/// Tells the records of a value.
pub(super) fn records<'a>(value: &'a [u8], members: &mut Members<'a>) -> Result<Records<'a>, Refusal> {
    let text = std::str::from_utf8(value).map_err(|error| {
        let message = format!("byte {} is not UTF-8 (expected a JSON text in UTF-8)", error.valid_up_to());
        Refusal::whole(Code::WrongEncoding, message)
    })?;
    let json = text.strip_prefix('\u{FEFF}').unwrap_or(text).trim_ascii_start();
    if !json.starts_with('{') {
        return Err(not_an_object(json));
    }
    members.gather(json, 0).map_err(not_json)?;
    match members.batch() {
        Some(array) => Ok(Records::Batch(elements(array?)?)),
        None => Ok(Records::One(text)),
    }
}

/// Gathers the members of one element of a batch.
pub(super) fn record<'a>(text: &'a str, members: &mut Members<'a>) -> Result<(), Refusal> {
    if !text.starts_with('{') {
        return Err(wrong_shape(text));
    }
    // The text was read once as part of its batch, so it is JSON.
    members.gather(text, BATCH_LEVELS).map_err(not_json)
}

fn elements(array: &str) -> Result<Vec<&str>, Refusal> {
    let mut deserializer = serde_json::Deserializer::from_str(array);
    match deserializer.deserialize_seq(Elements).map_err(not_json)? {
        texts if texts.len() > MAX_BATCH => Err(Refusal::whole(
            Code::TooLarge,
            format!("the batch has more than {MAX_BATCH} records (expected at most {MAX_BATCH} in `value`)"),
        )),
        texts if texts.is_empty() => {
            Err(Refusal::whole(Code::WrongShape, "the batch is empty (expected at least one record in `value`)"))
        }
        texts => Ok(texts),
    }
}

struct Elements;

impl<'de> Visitor<'de> for Elements {
    type Value = Vec<&'de str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut texts = Vec::new();
        while let Some(element) = seq.next_element::<&RawValue>()? {
            // One more than allowed is enough to refuse the batch.
            if texts.len() <= MAX_BATCH {
                texts.push(element.get());
            }
        }
        Ok(texts)
    }
}

fn not_an_object(text: &str) -> Refusal {
    match serde_json::from_str::<&RawValue>(text) {
        Ok(raw) => wrong_shape(raw.get()),
        Err(error) => not_json(error),
    }
}

fn wrong_shape(text: &str) -> Refusal {
    let found = match text.as_bytes().first() {
        Some(b'[') => "an array",
        Some(b'"') => "a text",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        _ => "a number",
    };
    Refusal::whole(
        Code::WrongShape,
        format!("the JSON is {found} (expected an object, or a batch of objects in the form {{\"value\":[…]}})"),
    )
}

fn not_json(error: serde_json::Error) -> Refusal {
    Refusal::whole(Code::NotJson, format!("the value is not a JSON text: {error}"))
}
