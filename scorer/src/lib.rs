//! The judge: keeps the three best listings of every session, and is the only writer of the tables. `score.rs` is the
//! formula, `engine/` finds out whom a change concerns, `present.rs` makes cells of the result, `judge.rs` decides what
//! is written when.

pub mod catalogue;
mod config;
pub mod counts;
pub mod days;
pub mod engine;
pub mod facts;
pub mod geo;
pub mod judge;
mod keeper;
pub mod ledger;
pub mod market_numbers;
pub mod markets;
pub mod metrics;
pub mod present;
pub mod score;
mod service;
pub mod shard;
pub mod snapshot;
pub mod state;
pub mod statements;

pub use config::{Config, EngineKind};
pub use service::{Drained, Scorer, StartError};
