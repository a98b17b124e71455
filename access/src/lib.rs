//! The porter: who asks, and what they may do. Follows topic `access`; `api` and `ingest` ask it.
//!
//! Knows keys, tokens and roles; knows nothing of listings, routes or HTTP.
