//! The porter over a real embedded log.

mod follow;
mod place;
