//! Whether the process may open as many files as its settings ask for: one per connection, and those of the log and the tables.

use rustix::process::{Resource, getrlimit};

use crate::config::Config;

/// Files beside connections: segments of the embedded log and tables, or sockets of their clients.
const OTHERS: u64 = 512;

/// What the settings may come to need.
const fn needed(config: &Config) -> u64 {
    // A stream is one of the connections; a WebSocket's is counted as none once it is open.
    config.max_connections as u64 + config.max_streams as u64 + OTHERS
}

/// Says what to do if the process may open fewer files than that: connections would be refused before their bound.
pub fn warn_if_too_few(config: &Config) {
    let limit = getrlimit(Resource::Nofile).current;
    if let Some(line) = complaint(limit, config) {
        tracing::warn!("{line}");
    }
}

/// `limit`: `None` is no limit.
fn complaint(limit: Option<u64>, config: &Config) -> Option<String> {
    let (limit, needed) = (limit?, needed(config));
    (limit < needed).then(|| {
        format!(
            "the process may open {limit} files, and api.max_connections = {} with api.max_streams = {} may come to need {needed}: \
             connections will be refused before that; raise the limit (`ulimit -n {needed}`, LimitNOFILE, ulimits.nofile), or lower \
             these settings",
            config.max_connections, config.max_streams
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_low_a_limit_is_told_with_what_is_needed() {
        let config = Config { max_connections: 1_000, max_streams: 500, ..Config::default() };
        assert_eq!((complaint(Some(2_012), &config), complaint(None, &config)), (None, None));
        let line = complaint(Some(1_024), &config).unwrap();
        assert!(line.contains("may open 1024 files") && line.contains("ulimit -n 2012"), "{line}");
    }
}
