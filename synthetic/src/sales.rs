//! Closed sales and leases as canonical listings: what a model is trained on (`roost features` makes its matrix of them).
//!
//! The very reader of ingest makes them canonical, so a model sees in training what it will see at work.

use std::io;

use schemas::listing::Listing;
use schemas::reso::{Origin, Refusal, read};

use crate::WriteError;
use crate::config::Config;
use crate::event::Event;
use crate::home::Home;
use crate::life::Change;
use crate::world::World;

/// The canonical listing that ingest makes of an event appended to the log at this offset.
pub fn canonical(event: &Event, offset: u64) -> Result<Listing, Refusal> {
    let origin = Origin {
        partition: 0,
        offset,
        append_time_ms: event.modified_ms(),
        feed: event.feed().parse().ok(),
        ce_time_ms: None,
    };
    let json = event.json();
    let mut items = read(&json, &origin)?;
    // `read` gives at least one record, and for a single object exactly one.
    items.swap_remove(0).outcome.map(|accepted| accepted.listing)
}

/// Writes the first `count` closings of a world, sales and leases, as canonical listings, one a line, in the order they
/// happened. Late and repeated statements are left out: each closing is there once.
pub fn write_sales(config: Config, count: u64, out: &mut dyn io::Write) -> Result<(), WriteError> {
    let closings = World::new(config)?.zip(0..).filter(|(event, _)| event.change == Change::Closed);
    for (event, offset) in closings.take(usize::try_from(count).unwrap_or(usize::MAX)) {
        let listing = canonical(&event, offset).map_err(|refusal| refused(&event.home, &refusal))?;
        serde_json::to_writer(&mut *out, &listing).map_err(io::Error::from)?;
        out.write_all(b"\n")?;
    }
    out.flush()?;
    Ok(())
}

/// Cannot happen while the tests pass: every record of this market is one that ingest takes.
fn refused(home: &Home, refusal: &Refusal) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{}: {}", home.listing_key(), refusal.message))
}
