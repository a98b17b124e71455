//! The tables as their users see them. One contract, run on each backend; what only one of them has beside it.

mod contract;
mod embedded;
mod house;
mod init;
mod outage;
