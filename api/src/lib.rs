//! The counter: accepts what a session wants, reads what it gets, over HTTP.
//!
//! Reads the tables and appends to `preferences` and `interactions`; keeps no state of its own but what the log's tail tells it. It
//! has no formula: scores and valuations come from the scorer and the enricher. Who asks, the porter says (`access`).
//!
//! The files: `service` (start and stop), `server` (connections), `router`, `guard`, `limits` and `surround` (all requests), `routes/` (each
//! request), `older` (the names of APIs that roost replaces), `web` (the page at `/`), `webhooks` (what is sent of its own), `statements`, `follow` and `overheard` (the log),
//! `changes`, `listeners` and `feed` (streams), `wait` (for a statement's row), `tags` and `recent` (answers without a read), `recent` and `recall` (while the store is away), `scan`
//! (many listings), `names` and `centres` (markets), `caller` (who asks), `lent` and `preview` (what other parts of the process do for it), and the pure
//! rest: `idempotency`, `query`, `cursor`, `etag`, `page`, `filters`, `property`, `places`, `alike`, `bots`, `tail`, `origin`, `trace`,
//! `duplicates`, `redact`, `generations`, `problem`.

mod alike;
mod app;
mod appraise;
mod body;
mod bots;
mod caller;
mod centres;
mod changes;
mod config;
mod cursor;
mod descriptors;
mod duplicates;
mod etag;
mod feed;
mod filters;
mod follow;
mod freshness;
mod generations;
mod guard;
mod idempotency;
mod lent;
mod limits;
mod listeners;
pub mod metrics;
mod names;
mod older;
mod openapi;
mod origin;
mod overheard;
mod page;
mod places;
mod preview;
pub mod problem;
mod property;
mod query;
mod recall;
mod recent;
mod redact;
mod router;
mod routes;
mod scan;
mod segment;
mod service;
mod statements;
mod stop;
mod surround;
mod tags;
mod tail;
mod trace;
mod wait;
mod web;
mod webhooks;

pub use self::appraise::{
    Appraisal, Appraiser, Candidate, Contribution, Explanation, Manifest, ModelInfo, NotAppraised,
};
pub use self::config::{Config, Limits, Rate, WebhookConfig};
pub use self::lent::{Lent, RenderMetrics};
pub use self::origin::Origin;
pub use self::preview::{Judge, Survey, Surveyed};
pub use self::router::openapi;
pub use self::service::{Api, Drained, StartError};
