//! The API from outside: over real sockets, on a log and tables.

mod access;
mod appraisal;
mod browse;
mod desk;
mod document;
mod edges;
mod faults;
mod fuzz;
mod interactions;
mod limits;
mod preferences;
mod receiver;
mod recommendations;
mod secrets;
mod statements;
mod streams;
mod tokens;
mod webhooks;
