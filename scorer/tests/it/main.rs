//! Tests of the scorer from outside.

mod engine;
mod engine_cases;
mod present;
mod score;
mod world;
