//! The appraiser: makes of every canonical listing the fact that everything downstream derives from, with history,
//! valuation and deal.
//!
//! The only crate that touches ONNX Runtime. Never reads or writes the store. What is decided is pure (`admission`,
//! `keeper`, `sold`, `held`, `deal`, `features`, `comparables`, `hindsight`, `level`, `market`, `valuation`, `window`); threads and I/O are in `service`, `owner`, `appraiser`
//! and `following`.

mod acks;
pub mod admission;
pub mod appraiser;
pub mod commute;
pub mod comparables;
pub mod config;
pub mod deal;
pub mod fair_housing;
pub mod features;
mod following;
pub mod held;
pub mod hindsight;
pub mod keeper;
pub mod level;
pub mod market;
pub mod matrix;
pub mod metrics;
pub mod onnx;
mod owner;
mod quadtree;
pub mod registry;
pub mod replay;
mod sales;
pub mod schools;
pub mod service;
pub mod sold;
mod state;
pub mod surroundings;
mod valuation;
pub mod window;
pub mod wire;

#[cfg(test)]
mod testing;

pub use appraiser::{Appraiser, NotNow, StartError};
pub use config::{Config, MarketContextMode};
pub use owner::GROUP;
pub use service::{Drained, Enricher};
