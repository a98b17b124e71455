//! What others rely on: the records of a seed never change, ingest takes every one of them, the shipped model is theirs.

mod model;
mod records;
mod stability;
