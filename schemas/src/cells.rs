//! Cells of the tables that are not already the value of a topic (DESIGN §8). The scorer writes them, the API reads them.
//!
//! `recommendations` holds [`crate::recommendation::Recommendation`] and [`crate::recommendation::Counts`], `listings`
//! [`crate::priced::PricedListing`], `market_days` [`crate::market_day::MarketDay`].

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::market_day::MarketNumbers;
use crate::preferences::Preferences;
use crate::units::Instant;
use crate::vocabulary::Transaction;

/// A row of `sessions`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SessionCell {
    /// The statement's version: its offset in `preferences`.
    pub version: u64,
    /// The statement.
    pub preferences: Preferences,
}

/// A row of `markets`: the current numbers, absent for a transaction that has no listing on offer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MarketCell {
    /// Of what is to buy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sale: Option<MarketNumbers>,
    /// Of what is to rent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<MarketNumbers>,
}

impl MarketCell {
    /// The numbers of one transaction.
    pub const fn numbers(&self, transaction: Transaction) -> Option<&MarketNumbers> {
        match transaction {
            Transaction::Sale => self.sale.as_ref(),
            Transaction::Lease => self.lease.as_ref(),
        }
    }
}

/// A row of `shards`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ShardCell {
    /// The epoch of the shard's owner.
    pub epoch: u64,
    /// The time up to which the owner has applied the logs.
    pub caught_up_at: Instant,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_cell_reads_as_it_is_written() {
        let text = r#"{"epoch":7,"caught_up_at":"2026-11-25T13:00:00.000Z"}"#;
        let cell: ShardCell = serde_json::from_str(text).unwrap();
        assert_eq!((cell.epoch, serde_json::to_string(&cell).unwrap().as_str()), (7, text));
    }
}
