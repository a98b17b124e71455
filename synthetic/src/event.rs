//! What a feed says: one statement about one listing, with the feed's name and the listing's key, as JSON.

use std::io;

use schemas::id::{FeedName, ListingId};

use crate::home::Home;
use crate::life::{Change, Offer};
use crate::record;

/// One statement of a feed about one listing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Event {
    /// What it says that the one before it did not.
    pub change: Change,
    /// The home.
    pub home: Home,
    /// The offer.
    pub offer: Offer,
}

impl Event {
    /// The feed that says it: the value of the `roost-feed` header.
    pub fn feed(&self) -> &'static str {
        self.home.feed()
    }

    /// RESO `ListingKey`: the Kafka key.
    pub fn key(&self) -> String {
        self.home.listing_key()
    }

    /// `<feed>:<ListingKey>`, the id that ingest will give it.
    pub fn listing_id(&self) -> ListingId {
        // The feeds of PLACES and the keys of homes are well-formed; tests hold them so.
        let feed: FeedName = self.feed().parse().expect("a feed name");
        ListingId::new(&feed, &self.key()).expect("a listing key")
    }

    /// RESO `ModificationTimestamp`, milliseconds since 1970.
    pub const fn modified_ms(&self) -> i64 {
        self.offer.modified_ms
    }

    /// Writes the record: one RESO Common Format object on one line, without a line break.
    pub fn write_json(&self, out: &mut dyn io::Write) -> io::Result<()> {
        record::write_json(&self.home, &self.offer, out)
    }

    /// The record, as a Kafka value.
    pub fn json(&self) -> Vec<u8> {
        // A record is around 1,000 bytes. Writing to memory cannot fail.
        let mut bytes = Vec::with_capacity(1_280);
        self.write_json(&mut bytes).expect("memory takes every byte");
        bytes
    }
}
