//! One suite for both backends: what holds of one must hold of the other.

mod contract;
mod embedded;
