//! A session with the store, and patience while there is none.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ::scylla::client::execution_profile::ExecutionProfile;
use ::scylla::client::session::Session;
use ::scylla::client::session_builder::SessionBuilder;
use ::scylla::policies::load_balancing::DefaultPolicy;
use ::scylla::policies::retry::DefaultRetryPolicy;
use ::scylla::statement::Consistency as CqlConsistency;

use super::fault;
use crate::StoreError;
use crate::config::{Consistency, ScyllaConfig};

/// How long one attempt to reach a node may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A node that is stopped but not gone is noticed after the sum of both; the driver's own 60 s would be too late.
const KEEPALIVE_EVERY: Duration = Duration::from_secs(2);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(3);
/// Between two attempts at start.
const TRY_EVERY: Duration = Duration::from_millis(250);
/// Between two lines that say who is waited for.
const SAY_EVERY: Duration = Duration::from_secs(5);

/// Opens a session. Does not look at the tables.
pub(super) async fn session(config: &ScyllaConfig) -> Result<Session, StoreError> {
    let mut balancing = DefaultPolicy::builder().token_aware(true);
    if !config.local_datacenter.is_empty() {
        balancing = balancing.prefer_datacenter(config.local_datacenter.clone());
    }
    let profile = ExecutionProfile::builder()
        .consistency(match config.consistency {
            Consistency::LocalQuorum => CqlConsistency::LocalQuorum,
            Consistency::Quorum => CqlConsistency::Quorum,
            Consistency::One => CqlConsistency::One,
        })
        .request_timeout(Some(config.request_timeout))
        .load_balancing_policy(balancing.build())
        // Another node, once, where that may help: all statements are idempotent.
        .retry_policy(Arc::new(DefaultRetryPolicy::new()))
        .build();
    let mut builder = SessionBuilder::new()
        .known_nodes(&config.contact_points)
        .default_execution_profile_handle(profile.into_handle())
        .connection_timeout(CONNECT_TIMEOUT)
        .keepalive_interval(KEEPALIVE_EVERY)
        .keepalive_timeout(KEEPALIVE_TIMEOUT)
        .keyspaces_to_fetch([config.keyspace.as_str()]);
    if !config.user.is_empty() {
        builder = builder.user(&config.user, password(config)?);
    }
    let session = builder.build().await.map_err(|error| fault::of_session(&error, &config.user))?;
    let cluster = session.get_cluster_state();
    check_datacenter(&config.local_datacenter, cluster.get_nodes_info().iter().map(|node| node.datacenter.as_deref()))?;
    Ok(session)
}

/// A misspelt data centre would leave no node to ask, for ever and without a word.
fn check_datacenter<'a>(local: &str, nodes: impl Iterator<Item = Option<&'a str>>) -> Result<(), StoreError> {
    let datacenters: BTreeSet<&str> = nodes.flatten().collect();
    if local.is_empty() || datacenters.contains(local) {
        return Ok(());
    }
    Err(StoreError::Fatal(format!(
        "store.scylla.local_datacenter: no node is in {local:?}; they are in {datacenters:?}"
    )))
}

fn password(config: &ScyllaConfig) -> Result<String, StoreError> {
    let file = &config.password_file;
    match std::fs::read_to_string(file) {
        Ok(text) => Ok(text.trim_end_matches(['\r', '\n']).to_owned()),
        Err(error) => Err(StoreError::Fatal(format!(
            "store.scylla.password_file: {} cannot be read: {error}; it must hold the password of {:?} and nothing else",
            file.display(),
            config.user
        ))),
    }
}

/// Tries until the store answers, says every few seconds that it does not, gives up after `wait_at_start`.
pub(super) async fn until_it_answers<T, F>(config: &ScyllaConfig, attempt: impl Fn() -> F) -> Result<T, StoreError>
where
    F: Future<Output = Result<T, StoreError>>,
{
    let began = Instant::now();
    let addresses = config.contact_points.join(", ");
    let mut last_said = began;
    loop {
        let reason = match attempt().await {
            Ok(answer) => return Ok(answer),
            Err(StoreError::Fatal(text)) => return Err(StoreError::Fatal(text)),
            Err(StoreError::Unavailable(reason)) => reason,
        };
        let waited = began.elapsed();
        if waited >= config.wait_at_start {
            return Err(StoreError::Fatal(format!(
                "the store at {addresses} has not answered for {} s (store.scylla.wait_at_start): {reason}. Start it, or \
                 correct store.scylla.contact_points",
                waited.as_secs()
            )));
        }
        if last_said == began || last_said.elapsed() >= SAY_EVERY {
            last_said = Instant::now();
            tracing::warn!(%addresses, "the store at {addresses} has not answered for {} s: {reason}", waited.as_secs());
        }
        tokio::time::sleep(TRY_EVERY.min(config.wait_at_start - waited)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(wait_at_start: Duration) -> ScyllaConfig {
        // Port 1 of the local machine: nobody listens there.
        ScyllaConfig { contact_points: vec!["127.0.0.1:1".to_owned()], wait_at_start, ..ScyllaConfig::default() }
    }

    #[tokio::test]
    async fn an_absent_store_is_waited_for_and_then_given_up() {
        let config = config(Duration::ZERO);
        let StoreError::Fatal(said) = until_it_answers(&config, || session(&config)).await.unwrap_err() else {
            panic!("not fatal")
        };
        assert!(said.contains("the store at 127.0.0.1:1 has not answered for 0 s"), "{said}");
    }

    #[tokio::test]
    async fn a_store_that_comes_late_is_taken() {
        let attempts = std::cell::Cell::new(0);
        let config = config(Duration::from_secs(60));
        let answer = until_it_answers(&config, || {
            attempts.set(attempts.get() + 1);
            let outcome = match attempts.get() {
                3 => Ok(attempts.get()),
                _ => Err(StoreError::Unavailable("not yet".to_owned())),
            };
            std::future::ready(outcome)
        });
        assert_eq!(answer.await.unwrap(), 3);
    }

    #[test]
    fn a_datacenter_without_nodes_is_refused() {
        let nodes = || [Some("west"), Some("east"), Some("west"), None].into_iter();
        assert_eq!(check_datacenter("", nodes()), Ok(()));
        assert_eq!(check_datacenter("east", nodes()), Ok(()));
        let said = check_datacenter("East", nodes()).unwrap_err().to_string();
        assert_eq!(said, r#"store.scylla.local_datacenter: no node is in "East"; they are in {"east", "west"}"#);
    }

    #[tokio::test]
    async fn a_password_file_that_is_not_there_is_named() {
        let config = ScyllaConfig {
            user: "roost".to_owned(),
            password_file: "no/such/file".into(),
            ..config(Duration::from_secs(60))
        };
        let said = session(&config).await.unwrap_err().to_string();
        assert!(said.starts_with("store.scylla.password_file: no/such/file cannot be read"), "{said}");
    }
}
