//! The appraiser: makes of every canonical listing the fact that everything downstream derives from, with history,
//! valuation and deal.
//!
//! The only crate that touches ONNX Runtime. Never reads or writes the store. What is decided is pure (`admission`,
//! `keeper`, `sold`, `held`, `deal`, `features`, `attributes`, `likeness`, `comparables`, `hindsight`, `level`, `market`, `valuation`, `accuracy`, `drift`, `window`,
//! `trees`, `explain`); threads and I/O are in `service`, `owner`, `appraiser`
//! and `following`.

pub mod accuracy;
mod acks;
pub mod admission;
pub mod appraiser;
pub mod attributes;
pub mod commute;
pub mod comparables;
pub mod config;
pub mod deal;
pub mod drift;
pub mod explain;
pub mod fair_housing;
pub mod features;
pub mod following;
pub mod held;
pub mod hindsight;
pub mod keeper;
pub mod level;
pub mod likeness;
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
pub mod trees;
mod valuation;
pub mod window;
pub mod wire;

#[cfg(test)]
mod testing;

pub use appraiser::{Appraiser, NotNow, StartError};
pub use config::{Config, MarketContextMode, TreeOperator};
pub use owner::GROUP;
pub use service::{Drained, Enricher};
