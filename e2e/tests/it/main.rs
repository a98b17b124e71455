//! The whole house from outside, on real Kafka and a real CQL server.

mod client;
mod corpus;
mod embedded;
mod faults;
mod foreign;
mod models;
mod outages;
mod palm_springs;
mod pipeline;
mod poison;
mod refusals;
mod sim;
mod walks;
