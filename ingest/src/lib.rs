//! The front door: what feeds send becomes canonical listings, or dead letters that say why not. Keeps no state.
//!
//! Two ways in: the log (`listings.raw`) and HTTP (`push`), which checks a record with the same reader, appends it to
//! `listings.raw` and answers. Scores nothing, values nothing, touches no table.

mod config;
pub mod decide;
pub mod mapping;
pub mod metrics;
pub mod publish;
pub mod push;
mod service;
mod state;
mod worker;

pub use config::{Config, PushConfig};
pub use service::{Drained, Ingest, StartError};
