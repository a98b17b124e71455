//! Ingest from outside, on each log that is there: what goes in at `listings.raw` or over HTTP comes out once.

mod access;
mod faulty;
mod house;
mod log;
mod publish;
mod push;
mod real_data;
