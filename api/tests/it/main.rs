//! The API from outside: over real sockets, on a log and tables.

mod appraisal;
mod browse;
mod desk;
mod document;
mod edges;
mod faults;
mod fuzz;
mod interactions;
mod limits;
mod manners;
mod preferences;
mod recommendations;
mod secrets;
mod stale;
mod statements;
mod streams;
mod untidy;
