//! The log, from outside: one contract for both backends (`contract.rs`), and what only one of them has.

mod brokers_away;
mod contract;
mod embedded;
mod house;
mod kafka;
mod meter;
