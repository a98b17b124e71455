//! Black-box tests of the whole house, and what they share: the oracle, the simulator, the harness that starts and kills
//! real processes on real servers.

pub mod harness;
pub mod oracle;
