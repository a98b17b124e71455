//! The listings and sessions that every build is filled with: the opening stock of the synthetic market, the same for all, and
//! what the clients of the benchmark ask about it.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;

use anyhow::{Context, Result};
use schemas::preferences::Preferences;
use synthetic::{Event, Session, World};

use crate::market::now_ms;

/// Seed of the sessions, and of those that are new in the course of a run.
const SEED: u64 = 3;
const SEED_OF_NEWCOMERS: u64 = 77;

/// The stock.
pub struct Town {
    /// One statement per listing.
    pub events: Vec<Event>,
    /// Who looks for a home.
    pub sessions: Vec<Session>,
    by_id: HashMap<String, usize>,
    config: synthetic::Config,
}

impl Town {
    /// Builds it; the same every time, but for the times of its statements, which are now.
    pub fn build(listings: usize, sessions: usize) -> Result<Self> {
        let config =
            synthetic::Config { listings, unchanged_share: 0.0, repeated_share: 0.0, ..synthetic::Config::default() };
        let (mut world, mut events, mut by_id) = (World::new(config.clone())?, Vec::new(), HashMap::new());
        while !world.is_open() {
            let event = world.next_event_at(now_ms());
            by_id.insert(event.listing_id().as_str().to_owned(), events.len());
            events.push(event);
        }
        let sessions = synthetic::sessions(&config, SEED).take(sessions).collect();
        Ok(Self { events, sessions, by_id, config })
    }

    /// People who have not been here before.
    pub fn newcomers(&self) -> impl Iterator<Item = Preferences> + use<> {
        synthetic::sessions(&self.config, SEED_OF_NEWCOMERS).map(|session| session.preferences)
    }

    /// What a listing's feed would say if its price were lower by one in a hundred than it is now, and that price.
    pub fn cheaper(&self, id: &str, now: f64) -> Result<(Event, i64)> {
        let at = *self.by_id.get(id).with_context(|| format!("{id} is no listing of the town"))?;
        let mut event = self.events[at];
        // Prices of the town are whole, and fit.
        let now = now as u32;
        event.offer.list_price = now - now / 100 - 1;
        event.offer.modified_ms = now_ms();
        Ok((event, i64::from(event.offer.list_price)))
    }

    /// As files for who cannot ask us: canonical listings and statements, JSON lines.
    pub fn write(&self, directory: &Path) -> Result<()> {
        std::fs::create_dir_all(directory)?;
        let mut out = BufWriter::new(File::create(directory.join("listings.jsonl"))?);
        for (offset, event) in self.events.iter().enumerate() {
            let listing = synthetic::canonical(event, offset as u64)
                .map_err(|refusal| anyhow::anyhow!("{}: {refusal:?}", event.listing_id()))?;
            serde_json::to_writer(&mut out, &listing)?;
            out.write_all(b"\n")?;
        }
        out.flush()?;
        let mut out = BufWriter::new(File::create(directory.join("sessions.jsonl"))?);
        for Session { token, preferences } in &self.sessions {
            let line = serde_json::json!({"session_id": token.reveal(), "preferences": preferences});
            serde_json::to_writer(&mut out, &line)?;
            out.write_all(b"\n")?;
        }
        Ok(out.flush()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cheaper_offer_is_of_the_same_home_and_later() {
        let town = Town::build(50, 2).unwrap();
        assert_eq!((town.events.len(), town.sessions.len()), (50, 2));
        let event = town.events[7];
        let (cheaper, price) = town.cheaper(event.listing_id().as_str(), 500_000.0).unwrap();
        assert_eq!(cheaper.home, event.home);
        assert!(price == 494_999 && cheaper.offer.modified_ms >= event.offer.modified_ms);
        assert!(town.cheaper("nobody:1", 1e5).is_err());
    }

    #[test]
    fn the_files_have_a_line_for_each() {
        let directory = tempfile::tempdir().unwrap();
        Town::build(20, 3).unwrap().write(directory.path()).unwrap();
        let lines = |name| std::fs::read_to_string(directory.path().join(name)).unwrap().lines().count();
        assert_eq!((lines("listings.jsonl"), lines("sessions.jsonl")), (20, 3));
    }
}
