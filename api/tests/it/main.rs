//! The API from outside: over real sockets, on a log and tables.

mod appraisal;
mod browse;
mod contract;
mod desk;
mod document;
mod edges;
mod examples;
mod faults;
mod fuzz;
mod interactions;
mod limits;
mod manners;
mod older;
mod page;
mod preferences;
mod preview;
mod recommendations;
mod secrets;
mod stale;
mod statements;
mod streams;
