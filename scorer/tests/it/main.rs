//! Tests of the scorer from outside.

mod score;
