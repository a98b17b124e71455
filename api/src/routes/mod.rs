//! The routes, one file per thing a client does. Each reads the request, asks, and answers; what is decided is decided
//! in the pure files beside this folder.

pub mod appraisal;
pub mod batch;
pub mod dismissed;
pub mod interactions;
pub mod markets;
pub mod model;
pub mod older;
pub mod pick;
pub mod preferences;
pub mod preview;
pub mod problems;
pub mod properties;
pub mod property;
pub mod recommendations;
pub mod refresh;
pub mod similar;
pub mod socket;
pub mod stated;
pub mod stream;
pub mod webhooks;
