//! What others rely on: the records of a seed never change, and ingest takes every one of them.

mod records;
mod stability;
