//! The counter: accepts what a session wants, reads what it gets, over HTTP.
//!
//! Reads the tables and appends to `preferences` and `interactions`; keeps no state of its own but what the log's tail tells it. It
//! has no formula: scores and valuations come from the scorer and the enricher. Who asks, the
//! porter says (`access`). Rate limits and the web page are not here.
//!
//! The files: `service` (start and stop), `server` (connections), `router` and `guard` (all requests), `routes/` (each
//! request), `statements`, `follow` and `overheard` (the log), `changes`, `listeners` and `feed` (streams), `wait` (for a
//! statement's row), `caller` (who asks), and the pure rest: `idempotency`, `query`, `cursor`, `etag`, `page`, `filters`, `property`, `alike`, `bots`, `tail`,
//! `problem`.

mod alike;
mod app;
mod appraise;
mod body;
mod bots;
mod caller;
mod changes;
mod config;
mod cursor;
mod etag;
mod feed;
mod filters;
mod follow;
mod freshness;
mod guard;
mod idempotency;
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
mod statements;
mod stop;
mod tail;
mod wait;
mod webhooks;

pub use self::appraise::{
    Appraisal, Appraiser, Candidate, Contribution, Explanation, Manifest, ModelInfo, NotAppraised,
};
pub use self::config::{Config, WebhookConfig};
pub use self::router::openapi;
pub use self::service::{Api, Drained, StartError};
