//! Tests of the scorer from outside.

mod counts;
mod engine;
mod engine_cases;
mod engine_crowd;
mod judge;
mod market_numbers;
mod permutation;
mod present;
mod score;
mod service;
mod snapshot;
mod state;
mod world;
