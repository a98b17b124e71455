//! A seeded property market that moves: for demonstrations, load, benchmarks and training data.
//!
//! Ten cities that do not exist ([`PLACES`]), each with eight neighbourhoods; homes whose size, age, address and
//! amenities hang together; prices from a hidden hedonic formula, a part that no record tells, and a price level that
//! drifts. Offers are announced, cut, raised, put under contract, sold, withdrawn and offered again; feeds repeat
//! themselves, correct themselves late and write the same thing in three different hands.
//!
//! ```
//! use synthetic::{Config, World};
//!
//! let world = World::new(Config { seed: 7, listings: 100, ..Config::default() }).unwrap();
//! for event in world.take(150) {
//!     // Publish event.json() with key event.key() and header roost-feed: event.feed().
//!     assert!(event.json().starts_with(b"{"));
//! }
//! ```
//!
//! * [`World`]: the events, at the market's own times ([`World::next_event`], or as an iterator) or as of now
//!   ([`World::next_event_at`]).
//! * [`write_jsonl`]: the same as text, one record a line.
//! * [`write_sales`]: its closed sales in canonical form, for training.
//! * [`sessions()`]: what people look for there.
//! * [`Demo`]: a world paced so that one session's recommendations keep changing.
//!
//! Everything is a function of the seed, bit for bit on every machine; a change of the generator that alters what a seed
//! gives fails a snapshot test and needs a new trained model (`enricher/model/README.md`). No clock, no threads, no I/O
//! but the writer it is handed. It makes no wrong records: those are a corpus of their own.

mod config;
mod demo;
mod event;
mod home;
mod life;
mod places;
mod random;
mod record;
mod sales;
mod sessions;
mod taste;
mod world;

use std::io;

pub use config::{Config, ConfigError, TRAINING_SALES};
pub use demo::{Demo, newcomer};
pub use event::Event;
pub use home::{Gaps, Home};
pub use life::{Change, Offer};
pub use places::{NEIGHBOURHOODS, PLACES, PORTAL_FEED, Place, postal_code};
pub use sales::{canonical, write_sales};
pub use sessions::{Session, market_of, sessions};
pub use world::World;

/// Why [`write_jsonl`] or [`write_sales`] stopped.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// Such a world cannot be; nothing was written.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The writer refused; what was written before stays.
    #[error("the records cannot be written: {0}")]
    Io(#[from] io::Error),
}

/// Writes the first `count` events of a world, one RESO Common Format object a line, in the order they arrive. The feed
/// of a line is its `OriginatingSystemName`. Hand it a buffered writer; it flushes at the end.
pub fn write_jsonl(config: Config, count: u64, out: &mut dyn io::Write) -> Result<(), WriteError> {
    let mut world = World::new(config)?;
    for _ in 0..count {
        world.next_event().write_json(out)?;
        out.write_all(b"\n")?;
    }
    out.flush()?;
    Ok(())
}
