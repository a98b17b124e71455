//! ListingMark as files, so that engines in other languages and processes get the same homes, people and changes as ours.
//!
//! Columns are the fields of [`Home`] and [`Person`] in whole numbers, and nothing that is computed from them: no score, no
//! merit, no pair. Whoever reads them computes all of `scorer/src/score.rs`; its weights are in `weights.csv`.

use std::path::Path;

use anyhow::{Context, Result};
use scorer::score;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::engine::SEED;
use crate::listing_mark::{Home, PROFILES, Person, Size, World};

/// Homes as they stand at first.
pub const LISTINGS: &str = "listings.csv";
/// People as they stand at first.
pub const SESSIONS: &str = "sessions.csv";
/// Homes as each change leaves them, whole.
pub const CHANGES: &str = "changes.csv";
/// People that come after the changes, each timed by itself.
pub const PREFERENCES: &str = "preferences.csv";
/// A row of weights per profile, in the order of [`PROFILES`].
const WEIGHTS: &str = "weights.csv";

/// How many of [`PREFERENCES`].
const COMERS: u32 = 2_000;

/// Writes the market of this size, and so many changes, into `directory`.
pub fn write(size: Size, changes: usize, directory: &Path) -> Result<()> {
    std::fs::create_dir_all(directory).with_context(|| format!("{} cannot be made", directory.display()))?;
    let mut world = World::new(size, SEED);
    write_rows(&directory.join(LISTINGS), &world.homes)?;
    write_rows(&directory.join(SESSIONS), &world.people)?;
    write_rows(&directory.join(CHANGES), (0..changes).map(|_| world.change()))?;
    let first = world.people.len() as u32;
    write_rows(&directory.join(PREFERENCES), (first..first + COMERS).map(|id| world.person(id)))?;

    let path = directory.join(WEIGHTS);
    let mut file = csv::Writer::from_path(&path).with_context(|| format!("{} cannot be made", path.display()))?;
    file.write_record(std::iter::once("profile").chain(score::COMPONENTS))?;
    for (number, profile) in PROFILES.into_iter().enumerate() {
        file.serialize((number, score::weights(profile)))?;
    }
    Ok(file.flush()?)
}

/// One line per row, below the names of its fields.
pub fn write_rows<R: Serialize>(path: &Path, rows: impl IntoIterator<Item = R>) -> Result<()> {
    let mut file = csv::Writer::from_path(path).with_context(|| format!("{} cannot be made", path.display()))?;
    for row in rows {
        file.serialize(row).with_context(|| format!("{} cannot be written", path.display()))?;
    }
    Ok(file.flush()?)
}

/// Homes ([`LISTINGS`], [`CHANGES`]).
pub fn homes(path: &Path) -> Result<Vec<Home>> {
    rows(path)
}

/// People ([`SESSIONS`], [`PREFERENCES`]).
pub fn people(path: &Path) -> Result<Vec<Person>> {
    rows(path)
}

fn rows<R: DeserializeOwned>(path: &Path) -> Result<Vec<R>> {
    let mut file = csv::Reader::from_path(path)
        .with_context(|| format!("{} cannot be read: write it with `bench mark`", path.display()))?;
    file.deserialize()
        .collect::<Result<_, _>>()
        .with_context(|| format!("{} is not of this ListingMark", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: Size = Size { name: "small", markets: 3, homes: 200, people: 100 };

    #[test]
    fn what_is_read_is_the_market_that_was_written() {
        let directory = tempfile::tempdir().unwrap();
        write(SMALL, 300, directory.path()).unwrap();

        let mut world = World::new(SMALL, SEED);
        assert_eq!(homes(&directory.path().join(LISTINGS)).unwrap(), world.homes);
        assert_eq!(people(&directory.path().join(SESSIONS)).unwrap(), world.people);
        let changes: Vec<Home> = (0..300).map(|_| world.change()).collect();
        assert_eq!(homes(&directory.path().join(CHANGES)).unwrap(), changes);
        assert!(changes.iter().any(|home| !home.is_offered), "a home that goes is among them");
        let comers = people(&directory.path().join(PREFERENCES)).unwrap();
        assert_eq!((comers.len(), comers[0]), (COMERS as usize, world.person(100)));
    }

    #[test]
    fn a_longer_stream_begins_as_a_shorter_one() {
        let directory = tempfile::tempdir().unwrap();
        let read = |changes| {
            write(SMALL, changes, directory.path()).unwrap();
            homes(&directory.path().join(CHANGES)).unwrap()
        };
        assert_eq!(read(50), read(80)[..50]);
    }

    #[test]
    fn the_weights_are_those_of_the_score() {
        let directory = tempfile::tempdir().unwrap();
        write(SMALL, 1, directory.path()).unwrap();
        let text = std::fs::read_to_string(directory.path().join(WEIGHTS)).unwrap();
        assert_eq!(
            text.lines().take(2).collect::<Vec<_>>(),
            ["profile,affordability,place,space,commute,schools,amenities,value,momentum", "0,56,24,28,28,28,32,44,16"]
        );
        assert_eq!(text.lines().count(), 1 + PROFILES.len());
    }
}
