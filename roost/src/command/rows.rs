//! A feed's own file as listings, for the commands that look back: each row through the mapping and the front door's
//! reader. Rows that are refused are told on standard error and counted.

use std::path::Path;

use ingest::mapping::Mapping;
use ingest::publish::{Reading, read_listings};
use schemas::id::FeedName;
use schemas::listing::Listing;

/// Most refused rows that are told one by one; the others are counted.
const MAX_TOLD: u64 = 100;
/// Longest time after which a sale may come to be known, in days: ten years.
const MAX_DAYS: u16 = 3_650;

/// What a file holds.
pub struct Rows {
    /// In the order of the rows.
    pub listings: Vec<Listing>,
    /// How many rows are none.
    pub refused: u64,
}

/// Reads a file through a mapping.
pub fn read(file: &Path, map: &str) -> anyhow::Result<Rows> {
    let mapping = Mapping::named_or_load(map)?;
    let feed = FeedName::default_feed();
    let reading = Reading { feed: &feed, mapping: &mapping, now_ms: crate::demo::now_ms() };
    let mut rows = Rows { listings: Vec::new(), refused: 0 };
    read_listings(file, &reading, &mut |place, listing| match listing {
        Ok(listing) => rows.listings.push(listing),
        Err(reason) => {
            rows.refused += 1;
            if rows.refused <= MAX_TOLD {
                eprintln!("{place}: {reason}");
            }
        }
    })?;
    if rows.refused > MAX_TOLD {
        eprintln!("and {} rows more", rows.refused - MAX_TOLD);
    }
    Ok(rows)
}

/// Whole days as a person writes them: `7d`, `7days`.
pub fn days(text: &str) -> Result<u16, String> {
    let digits = text.trim_end_matches("days").trim_end_matches("day").trim_end_matches('d').trim();
    let days = digits.parse().ok().filter(|days| *days <= MAX_DAYS && digits.len() < text.len());
    days.ok_or_else(|| format!("{text} is no count of days (expected 0d to {MAX_DAYS}d)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_whole_and_named() {
        assert_eq!((days("7d"), days("0d"), days("30 days")), (Ok(7), Ok(0), Ok(30)));
        for text in ["7", "7h", "-1d", "d", "1.5d", "99999d"] {
            assert!(days(text).is_err(), "{text}");
        }
    }
}
