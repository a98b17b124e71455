//! The porter over a real embedded log.

mod follow;
mod keys;
mod oidc;
mod place;
mod renew;
