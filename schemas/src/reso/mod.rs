//! The front door's reader: what a feed sends (a RESO Common Format object, or a batch of them) becomes canonical
//! listings. Tolerant of every shape that feeds are known to send, strict about what comes out.
//!
//! Pure: bytes and the record's origin in, listings or refusals out. Which fields it reads, and what it does with each,
//! is told to people in `docs/listings.md`. Knows no topic, no mapping of foreign formats (ingest's), and nothing of
//! what roost derives later.
//!
//! The steps, one file each: `frame` (bytes to records), `members` (a record to its members), `scalar` (a member to a
//! number, a text, a time), then `place`, `measures` and `features`, which know what several members mean together,
//! `attributes` (what is left), and `listing`, which puts them together.

mod attributes;
mod deletion;
mod features;
mod fields;
mod frame;
mod listing;
mod measures;
mod members;
mod place;
mod refusal;
mod scalar;
mod text;

#[cfg(test)]
mod tests;

pub use self::deletion::{deleted, read_delete};
pub use self::frame::{MAX_BATCH, MAX_DEPTH};
pub use self::refusal::{MAX_FAULTS, Refusal};

use self::members::Members;
use crate::id::FeedName;
use crate::listing::Listing;

/// The members that are read, by their RESO names; every other one is kept among a listing's attributes.
pub fn members_read() -> impl Iterator<Item = &'static str> {
    fields::Field::ALL.iter().map(|field| field.name())
}

/// How far a feed's clock may be ahead of the log's, in milliseconds (DESIGN §3).
pub const MAX_AHEAD_MS: i64 = 5 * 60_000;

/// Where a raw record came from: what its statement's version is made of, and its feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Partition of the raw record.
    pub partition: u32,
    /// Offset of the raw record.
    pub offset: u64,
    /// When the log appended it, milliseconds since 1970.
    pub append_time_ms: i64,
    /// The feed that the header names. `None`: a slug of `OriginatingSystemName`, else `default`.
    pub feed: Option<FeedName>,
    /// The header `ce_time`, milliseconds since 1970: the time of an empty value, which has no other.
    pub ce_time_ms: Option<i64>,
}

/// A listing, and what of its record it does not hold.
#[derive(Clone, Debug, PartialEq)]
pub struct Accepted {
    /// The canonical listing.
    pub listing: Listing,
    /// What was left out, so that it can be counted.
    pub left_out: LeftOut,
}

/// What a listing does not hold of its record, although the record was accepted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// `Latitude` and `Longitude` that are no place on the globe, or the null island 0, 0.
    pub coordinates: bool,
    /// Links that are neither http nor https.
    pub links: u16,
    /// Unknown members beyond the bounds of `attributes`.
    pub attributes: u16,
    /// Unknown amenity tags beyond their bound.
    pub tags: u16,
    /// `PublicRemarks` beyond 4,000 characters.
    pub remarks: bool,
}

/// One record of a value: its own bytes, and what became of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Item<'a> {
    /// The record as it stands in the value, byte for byte; for a value that is one object, all of it.
    pub text: &'a str,
    /// The feed that it belongs to, known also of a refused record.
    pub feed: FeedName,
    /// The listing, or why there is none.
    pub outcome: Result<Accepted, Refusal>,
}

/// Reads one value of `listings.raw` (not an empty one: that is [`read_delete`]).
///
/// `Ok` holds at least one record, at most [`MAX_BATCH`], in the order of the batch. `Err`: the value is refused as a
/// whole, since no records can be told in it.
pub fn read<'a>(value: &'a [u8], origin: &Origin) -> Result<Vec<Item<'a>>, Refusal> {
    let mut members = Members::none();
    match frame::records(value, &mut members)? {
        frame::Records::One(text) => Ok(vec![item(text, &members, origin, 0)]),
        frame::Records::Batch(texts) => Ok((0..)
            .zip(texts)
            .map(|(index, text)| match frame::record(text, &mut members) {
                Ok(()) => item(text, &members, origin, index),
                Err(refusal) => {
                    let feed = origin.feed.clone().unwrap_or_else(FeedName::default_feed);
                    Item { text, feed, outcome: Err(refusal) }
                }
            })
            .collect()),
    }
}

fn item<'a>(text: &'a str, members: &Members<'a>, origin: &Origin, index: u32) -> Item<'a> {
    let feed = listing::feed(members, origin);
    let outcome = listing::of_members(members, &feed, origin, index);
    Item { text, feed, outcome }
}
