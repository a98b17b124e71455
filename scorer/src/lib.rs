//! The judge: keeps the three best listings of every session, and is the only writer of the tables. `score.rs` is the
//! formula, `engine/` finds out whom a change concerns, `present.rs` makes cells of the result.

pub mod counts;
pub mod engine;
pub mod facts;
pub mod geo;
pub mod ledger;
pub mod market_numbers;
pub mod present;
pub mod score;
