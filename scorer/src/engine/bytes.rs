//! Little-endian numbers one after the other: how the engine writes itself down, and how it reads that back.
//!
//! Reading believes nothing: whatever the bytes are, it ends with a value or with [`Malformed`]. Knows no meaning of them.

use std::str::FromStr;

/// The bytes are not what an engine writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(pub(super) &'static str);

/// Where bytes go.
#[derive(Debug, Default)]
pub(super) struct Sink(Vec<u8>);

impl Sink {
    /// Behind what is there.
    pub(super) const fn after(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    pub(super) fn u8(&mut self, number: u8) {
        self.0.push(number);
    }

    pub(super) fn u32(&mut self, number: u32) {
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    pub(super) fn u64(&mut self, number: u64) {
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    /// How many there are of something that fits in memory and is numbered by 32 bits.
    pub(super) fn count(&mut self, count: usize) {
        // What is counted has slots, or is bounded by the front door.
        self.u32(count as u32);
    }

    /// A text of at most 64 KiB: all ids are shorter.
    pub(super) fn text(&mut self, text: &str) {
        self.0.extend_from_slice(&(text.len() as u16).to_le_bytes());
        self.0.extend_from_slice(text.as_bytes());
    }

    /// Texts without their lengths.
    pub(super) fn heap<'a>(&mut self, texts: impl Iterator<Item = &'a str>) {
        texts.for_each(|text| self.0.extend_from_slice(text.as_bytes()));
    }

    /// Numbers of one width.
    pub(super) fn column<const N: usize>(&mut self, numbers: impl Iterator<Item = [u8; N]>) {
        numbers.for_each(|number| self.0.extend_from_slice(&number));
    }
}

/// Where bytes come from.
#[derive(Debug)]
pub(super) struct Source<'a>(&'a [u8]);

impl<'a> Source<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// How many are left.
    pub(super) const fn left(&self) -> usize {
        self.0.len()
    }

    /// Nothing is left.
    pub(super) const fn end(&self) -> Result<(), Malformed> {
        if self.0.is_empty() { Ok(()) } else { Err(Malformed("there is more than there should be")) }
    }

    fn bytes(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let (bytes, rest) = self.0.split_at_checked(count).ok_or(Malformed("it ends early"))?;
        self.0 = rest;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (bytes, rest) = self.0.split_first_chunk().ok_or(Malformed("it ends early"))?;
        self.0 = rest;
        Ok(*bytes)
    }

    pub(super) fn u8(&mut self) -> Result<u8, Malformed> {
        self.array().map(u8::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Malformed> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, Malformed> {
        self.array().map(u64::from_le_bytes)
    }

    /// How many there are of something of which each takes so many bytes at least: never more than can follow.
    pub(super) fn count(&mut self, least: usize) -> Result<usize, Malformed> {
        let count = self.u32()? as usize;
        if count.saturating_mul(least) > self.0.len() {
            return Err(Malformed("a count is beyond its end"));
        }
        Ok(count)
    }

    /// A text, parsed.
    pub(super) fn text<T: FromStr>(&mut self) -> Result<T, Malformed> {
        let length = u16::from_le_bytes(self.array()?);
        self.heap(length)
    }

    /// The next text of a heap, parsed.
    pub(super) fn heap<T: FromStr>(&mut self, length: u16) -> Result<T, Malformed> {
        let bytes = self.bytes(usize::from(length))?;
        let text = std::str::from_utf8(bytes).map_err(|_| Malformed("a text is no UTF-8"))?;
        text.parse().map_err(|_| Malformed("a name is not allowed"))
    }

    /// Numbers of one width.
    pub(super) fn column<const N: usize>(&mut self, count: usize) -> Result<&'a [[u8; N]], Malformed> {
        let bytes = self.bytes(count.checked_mul(N).ok_or(Malformed("a column is too long"))?)?;
        Ok(bytes.as_chunks().0)
    }
}

/// The value, or why it cannot be.
pub(super) fn valid<T>(value: Option<T>) -> Result<T, Malformed> {
    value.ok_or(Malformed("a number is out of its range"))
}

/// The word with this number.
pub(super) fn word<T: Copy>(words: &[T], number: u8) -> Result<T, Malformed> {
    valid(words.get(usize::from(number)).copied())
}
