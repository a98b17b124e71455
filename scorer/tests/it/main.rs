//! Tests of the scorer from outside.

mod engine;
mod engine_cases;
mod score;
mod world;
