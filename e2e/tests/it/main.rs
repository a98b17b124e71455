//! The whole house from outside, on real Kafka and a real CQL server.

mod embedded;
mod faults;
mod pipeline;
mod poison;
