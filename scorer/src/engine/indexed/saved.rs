//! The engine as it is written down, whole, and made again without a search.
//!
//! Only between batches: then nothing is closed, vacated or moved. Does not know files, versions or checksums
//! (`snapshot.rs`).

use schemas::id::{ListingId, SessionId};

use super::super::asks::Book;
use super::super::audience::Audience;
use super::super::bytes::{Malformed, Sink, Source};
use super::super::shelves::Shelves;
use super::{Indexed, Tuning};

/// Bytes of a listing and of a session that are usual: of a million of each 195 MB.
const LISTING_BYTES: usize = 90;
const SESSION_BYTES: usize = 130;

impl Indexed {
    /// Everything: listings with their facts, sessions with their shortlists, and who stands beside whom.
    pub(super) fn written(&self, mut head: Vec<u8>) -> Vec<u8> {
        // About what it takes, so that little of it is copied twice while everybody waits.
        head.reserve(self.listings.len() * LISTING_BYTES + self.audience.sessions.len() * SESSION_BYTES);
        let mut sink = Sink::after(head);
        self.audience.book.save(&mut sink);
        self.shelves.save(&self.listings, &mut sink);
        self.audience.save(&mut sink);
        sink.into_bytes()
    }

    /// From what [`Engine::save`](super::Engine::save) wrote. What is shown of listings is not among it: whoever states one again, with any
    /// content but 0, says something new.
    ///
    /// Whatever the bytes are, it neither panics nor gives an engine that does; what an engine says that was made from
    /// others than `save` wrote is another matter, and for a checksum.
    pub fn load(bytes: &[u8], tuning: Tuning) -> Result<Self, Malformed> {
        let mut source = Source::new(bytes);
        let mut book = Book::load(&mut source)?;
        let (shelves, listings) = Shelves::load(&mut source, &mut book)?;
        let audience = Audience::load(&mut source, book, &listings)?;
        source.end()?;
        Ok(Self { listings, shelves, audience, ..Self::tuned(tuning) })
    }

    /// Of the listings on offer.
    pub fn listing_ids(&self) -> impl Iterator<Item = &ListingId> {
        self.listings.iter().map(|(_, id, _)| id)
    }

    /// Of all sessions.
    pub fn session_ids(&self) -> impl Iterator<Item = SessionId> {
        self.audience.sessions.iter().map(|(_, id, _)| *id)
    }
}
