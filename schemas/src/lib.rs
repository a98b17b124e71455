//! The dictionary of roost: events, ids, money, topics and keys, headers, words. Everything that two crates must agree
//! on is written here, once.
//!
//! No I/O, no clocks, no runtime: values in, values out.

pub mod access;
pub mod accuracy;
pub mod amenities;
pub mod asyncapi;
pub mod cells;
pub mod cql;
pub mod dead_letter;
pub mod field_error;
pub mod header;
pub mod id;
pub mod interaction;
pub mod listing;
pub mod market_day;
pub mod merge;
pub mod model_alias;
pub mod money;
pub mod nearest;
pub mod preferences;
pub mod priced;
pub mod recommendation;
pub mod reso;
pub mod sale;
pub mod shadow;
pub mod state_hash;
pub mod statement;
pub mod topic;
pub mod units;
pub mod version;
pub mod vocabulary;
