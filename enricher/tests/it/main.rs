//! The enricher, from outside: what it makes of what stands on the log. Every test runs on each log that is there.

mod appraiser;
mod crash;
mod flow;
mod house;
mod kafka;
mod roster;
mod shipped;
