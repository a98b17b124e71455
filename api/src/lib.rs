//! The counter: accepts what a session wants, reads what it gets, over HTTP.
//!
//! Reads the tables and appends to `preferences` and `interactions`; keeps no state of its own but what the log's tail tells it. It
//! has no formula: scores and valuations come from the scorer and the enricher. Accounts, roles, rate limits and the web
//! page are not here.
//!
//! The files: `service` (start and stop), `server` (connections), `router` and `guard` (all requests), `routes/` (each
//! request), `statements`, `follow` and `overheard` (the log), `changes`, `listeners` and `feed` (streams), `known` (tags without a read), `wait` (for a
//! statement's row), and the pure rest: `query`, `cursor`, `etag`, `page`, `filters`, `property`, `alike`, `bots`, `tail`,
//! `problem`.

mod alike;
mod app;
mod appraise;
mod body;
mod bots;
mod changes;
mod config;
mod cursor;
mod etag;
mod feed;
mod filters;
mod follow;
mod freshness;
mod guard;
mod known;
mod listeners;
pub mod metrics;
mod openapi;
mod overheard;
mod page;
pub mod problem;
mod property;
mod query;
mod router;
mod routes;
mod service;
mod session;
mod statements;
mod stop;
mod tail;
mod wait;

pub use self::appraise::{
    Appraisal, Appraiser, Candidate, Contribution, Explanation, Manifest, ModelInfo, NotAppraised,
};
pub use self::config::Config;
pub use self::router::openapi;
pub use self::service::{Api, Drained, StartError};
