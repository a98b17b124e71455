//! The only binary: parse, load, start, wait. What a service does stands in the service's own crate.

mod admin;
mod appraiser;
mod command;
mod config;
mod demo;
mod judge;
mod services;
mod telemetry;

use std::process::ExitCode;

use clap::Parser;

/// Services make many small values and hand them to other threads: see ARCHITECTURE.md, "Dependencies".
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let arguments = command::Arguments::parse();
    match command::run(arguments) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("roost: {}", command::told(&error));
            // 2: the input is wrong (config, arguments); 1: it is right and could not be done.
            ExitCode::from(if error.is::<config::ConfigError>() { 2 } else { 1 })
        }
    }
}
