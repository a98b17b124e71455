//! Tells receivers over HTTPS when a session's three homes change.

pub mod guard;
pub mod marks;
pub mod schedule;
pub mod sign;
