//! The whole house from outside, on real Kafka and a real CQL server.

mod faults;
mod pipeline;
mod poison;
