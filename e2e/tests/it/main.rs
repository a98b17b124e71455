//! The whole house from outside, on real Kafka and a real CQL server.

mod client;
mod corpus;
mod dashboards;
mod embedded;
mod faults;
mod foreign;
mod hostile;
mod models;
mod older;
mod outages;
mod page;
mod palm_springs;
mod pipeline;
mod poison;
mod refusals;
mod rolling;
mod sim;
mod walks;
