//! Black-box tests of the whole house, and what they share: the oracle, the simulator, the harness that starts and kills
//! real processes on real servers.

pub mod browser;
pub mod canonical;
pub mod checks;
pub mod compare;
pub mod harness;
pub mod http;
pub mod load;
pub mod oracle;
pub mod people;
pub mod servers;
pub mod sim;
pub mod watch;
pub mod wire;
