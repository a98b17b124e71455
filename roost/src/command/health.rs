//! `roost health`: asks the admin port of this machine, for health checks of containers that have no other tool.

use std::process::ExitCode;

use anyhow::Context as _;

use crate::config::Settings;

/// Prints what `/readyz` says.
pub fn run(settings: &Settings) -> anyhow::Result<ExitCode> {
    let mut address = settings.admin.listen;
    if address.ip().is_unspecified() {
        address.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
    }
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let mut answer = agent.get(format!("http://{address}/readyz")).call().with_context(|| {
        format!("no answer from http://{address}/readyz; is roost running, and admin.listen the same for both?")
    })?;
    print!("{}", answer.body_mut().read_to_string()?);
    Ok(if answer.status().is_success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
