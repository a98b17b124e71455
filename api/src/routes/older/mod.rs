//! The routes of the older names, one file per thing a client does; see `older.rs`.

pub mod appraisal;
pub mod batch;
pub mod health;
pub mod preferences;
pub mod properties;
pub mod recommendations;
