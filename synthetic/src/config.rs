//! What kind of world it is: seed, size, and how well its feeds behave.

use schemas::units::Instant;

use crate::places::PLACES;

/// What kind of world.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Everything follows from it.
    pub seed: u64,
    /// The first so many of [`PLACES`]: 1 to 10. From 4 on there is a Canadian one.
    pub markets: usize,
    /// How many listings are followed at any time: 1 to 10 million (some 200 bytes of memory each).
    pub listings: usize,
    /// When the world begins: the time of its first events.
    pub start: Instant,
    /// Share of an offer's steps that are only a re-send with a new timestamp, 0 to 0.9.
    pub unchanged_share: f64,
    /// Share of price changes that come with a mistaken statement, delivered after its correction, 0 to 1.
    pub late_share: f64,
    /// Share of statements that are delivered twice, 0 to 1.
    pub repeated_share: f64,
}

impl Default for Config {
    /// Ten markets with 10,000 listings from 2026-01-01 on; one step in ten is a re-send (in the feeds we know it is one
    /// in three), one price change in fifty is late, one statement in a hundred comes twice.
    fn default() -> Self {
        Self {
            seed: 1,
            markets: PLACES.len(),
            listings: 10_000,
            start: Instant::from_ms(1_767_225_600_000).unwrap_or_default(),
            unchanged_share: 0.1,
            late_share: 0.02,
            repeated_share: 0.01,
        }
    }
}

/// A world that cannot be.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{field}: {value} (expected {expected})")]
pub struct ConfigError {
    /// The member of [`Config`].
    pub field: &'static str,
    /// What it was.
    pub value: String,
    /// What it may be.
    pub expected: &'static str,
}

/// How many closings of [`Config::training`] the shipped model is trained on: two and a half years of them, of which
/// seven in ten are sales in US dollars.
pub const TRAINING_SALES: u64 = 100_000;
/// Most listings of a world.
const MAX_LISTINGS: usize = 10_000_000;

impl Config {
    /// The world whose first [`TRAINING_SALES`] closings the shipped model is trained on: from June 2023 to late 2025.
    /// Its seed is no other's, so that a demonstration shows homes that the model has not seen.
    pub fn training() -> Self {
        let start = Instant::from_ms(1_685_577_600_000).unwrap_or_default();
        Self { seed: 20_230_601, listings: 6_000, start, ..Self::default() }
    }

    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        let refuse = |field, value: String, expected| Err(ConfigError { field, value, expected });
        if !(1..=PLACES.len()).contains(&self.markets) {
            return refuse("markets", self.markets.to_string(), "1 to 10");
        }
        if !(1..=MAX_LISTINGS).contains(&self.listings) {
            return refuse("listings", self.listings.to_string(), "1 to 10000000");
        }
        if !(0.0..=0.9).contains(&self.unchanged_share) {
            return refuse("unchanged_share", self.unchanged_share.to_string(), "0 to 0.9");
        }
        for (field, share) in [("late_share", self.late_share), ("repeated_share", self.repeated_share)] {
            if !(0.0..=1.0).contains(&share) {
                return refuse(field, share.to_string(), "0 to 1");
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_impossible_world_is_refused_by_name() {
        let refused = |config: Config| config.check().unwrap_err().to_string();
        assert_eq!(refused(Config { markets: 11, ..Config::default() }), "markets: 11 (expected 1 to 10)");
        assert_eq!(refused(Config { late_share: 1.5, ..Config::default() }), "late_share: 1.5 (expected 0 to 1)");
        assert_eq!(refused(Config { listings: 0, ..Config::default() }), "listings: 0 (expected 1 to 10000000)");
        assert!(refused(Config { unchanged_share: f64::NAN, ..Config::default() }).starts_with("unchanged_share: NaN"));
        assert_eq!((Config::default().check(), Config::training().check()), (Ok(()), Ok(())));
    }
}
