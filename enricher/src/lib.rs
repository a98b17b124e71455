//! The appraiser: makes of every canonical listing the fact that everything downstream derives from, with history,
//! valuation and deal.
//!
//! The only crate that touches ONNX Runtime. Never reads or writes the store.

pub mod admission;
pub mod commute;
pub mod deal;
pub mod features;
pub mod keeper;
pub mod market;
pub mod matrix;
pub mod onnx;
pub mod registry;
pub mod sales;
pub mod schools;
pub mod surroundings;

#[cfg(test)]
mod testing;
