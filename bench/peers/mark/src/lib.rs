//! What the peers in Rust share: the rows of ListingMark's files, the score, the line of JSON that a run prints, and the file
//! of what sessions see at the end.
//!
//! Written again from the formula in `scorer/src/score.rs` and independent of our crates, so that equal results say
//! something. Knows of no engine.

pub mod measured;
pub mod rows;
pub mod score;

/// What a program fails with: a sentence for the one who started it.
pub type Error = Box<dyn std::error::Error + Send + Sync>;
