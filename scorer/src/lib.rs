//! The judge: keeps the three best listings of every session, and is the only writer of the tables.

pub mod ledger;
