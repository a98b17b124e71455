//! The appraiser: makes of every canonical listing the fact that everything downstream derives from, with history,
//! valuation and deal.
//!
//! The only crate that touches ONNX Runtime. Never reads or writes the store. What is decided is pure (`admission`,
//! `keeper`, `sold`, `held`, `deal`, `features`, `attributes`, `likeness`, `comparables`, `hindsight`, `level`, `market`, `valuation`, `accuracy`, `contest`, `drift`, `window`,
//! `trees`, `explain`); threads and I/O are in `service`, `owner`, `appraiser`,
//! `roster`, `desk` and `following`.

pub mod accuracy;
mod acks;
pub mod admission;
pub mod appraiser;
pub mod attributes;
pub mod commute;
pub mod comparables;
pub mod config;
mod contest;
pub mod deal;
mod desk;
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
pub mod roster;
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
pub use contest::MIN_PAIRS;
pub use desk::{Desk, Explained};
pub use owner::GROUP;
pub use service::{Drained, Enricher};
