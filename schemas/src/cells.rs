//! Cells of the tables that are not already the value of a topic (DESIGN §8). The scorer writes them, the API reads them.
//!
//! `recommendations` holds [`crate::recommendation::Recommendation`] and [`crate::recommendation::Counts`], `listings`
//! [`crate::priced::PricedListing`], `market_days` [`crate::market_day::MarketDay`].

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::market_day::MarketNumbers;
use crate::preferences::Preferences;
use crate::state_hash::ShardState;
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ShardCell {
    /// The epoch of the shard's owner.
    pub epoch: u64,
    /// The time up to which the owner has applied the logs.
    pub caught_up_at: Instant,
    /// What its sessions saw when this was written; absent while the owner reads the logs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<ShardState>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_cell_reads_as_it_is_written_with_and_without_a_state() {
        let without = r#"{"epoch":7,"caught_up_at":"2026-11-25T13:00:00.000Z"}"#;
        let state = r#"{"hash":"00f1e2d3c4b5a697","sessions":3,"listings_offsets":[5,0],"preferences_offset":4}"#;
        let with = format!("{},\"state\":{state}}}", &without[..without.len() - 1]);
        for (text, bits) in [(without, None), (&with, Some(0x00f1_e2d3_c4b5_a697))] {
            let cell: ShardCell = serde_json::from_str(text).unwrap();
            assert_eq!(cell.state.as_ref().map(|state| state.hash.bits()), bits);
            assert_eq!(serde_json::to_string(&cell).unwrap(), *text);
        }
        assert!(serde_json::from_str::<ShardCell>(&with.replace("00f1", "00F1")).is_err());
    }
}
