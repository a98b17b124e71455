//! A CQL store that goes away and comes back, as a proxy in front of it plays it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use store::{Row, StoreError, Tables, Write};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::house::{Cql, at, json, put, write};

/// What the proxy does with connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// Passes bytes on.
    Forward,
    /// The process is gone: connections break, new ones are refused.
    Gone,
    /// The process is stopped: connections stay and nothing comes out of them.
    Silent,
}

struct Proxy {
    address: SocketAddr,
    mode: watch::Sender<Mode>,
}

impl Proxy {
    async fn before(server: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (mode, watched) = watch::channel(Mode::Forward);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if *watched.borrow() != Mode::Gone {
                    tokio::spawn(pass(client, server.clone(), watched.clone()));
                }
            }
        });
        Self { address, mode }
    }

    fn be(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }
}

/// One connection, until either side or the mode ends it.
async fn pass(mut client: TcpStream, server: String, mut mode: watch::Receiver<Mode>) {
    let Ok(mut server) = TcpStream::connect(server).await else { return };
    loop {
        let now = *mode.borrow_and_update();
        match now {
            Mode::Gone => return,
            Mode::Silent => {
                if mode.changed().await.is_err() {
                    return;
                }
            }
            Mode::Forward => tokio::select! {
                changed = mode.changed() => if changed.is_err() { return },
                // What is in flight at a change of the mode is lost with the connection; both sides notice.
                _ = tokio::io::copy_bidirectional(&mut client, &mut server) => return,
            },
        }
    }
}

/// The same statement again until it is acknowledged, as the scorer does; how long that took.
async fn until_acknowledged(tables: &Tables, statement: Write) -> Duration {
    let began = Instant::now();
    loop {
        match tables.write(statement.clone()).await {
            Ok(()) => return began.elapsed(),
            Err(StoreError::Unavailable(_)) => {}
            Err(error) => panic!("an outage is not the end: {error}"),
        }
        assert!(began.elapsed() < Duration::from_secs(60), "the store is back for a minute");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn outage(mode: Mode) {
    let Some(mut cql) = Cql::new().await else { return };
    store::init(&cql.config).await.unwrap();
    let proxy = Proxy::before(cql.config.scylla.contact_points[0].clone()).await;
    cql.config.scylla.contact_points = vec![proxy.address.to_string()];
    cql.config.scylla.request_timeout = Duration::from_secs(2);
    let tables = store::open(&cql.config).await.unwrap();
    let row = Row::Shard(1);
    write(&tables, [put(row.clone(), "1", at(1, 1))]).await;

    proxy.be(mode);
    let began = Instant::now();
    let refused = tables.write(put(row.clone(), "2", at(1, 2))).await.unwrap_err();
    assert!(matches!(refused, StoreError::Unavailable(_)), "{mode:?}: {refused}");
    assert!(began.elapsed() < Duration::from_secs(4), "{mode:?}: more than a request time-out");
    assert!(matches!(tables.health().await, Err(StoreError::Unavailable(_))), "{mode:?}");
    // Longer than a connection that says nothing is kept.
    while mode == Mode::Silent && began.elapsed() < Duration::from_secs(8) {
        assert!(tables.write(put(row.clone(), "2", at(1, 2))).await.is_err());
    }
    assert_eq!(tables.recoveries(), 0, "{mode:?}: it is not back yet");

    proxy.be(Mode::Forward);
    let took = until_acknowledged(&tables, put(row.clone(), "2", at(1, 2))).await;
    println!("{mode:?}: acknowledged {took:?} after the store was back");
    assert_eq!(json(&tables, &row).await.as_deref(), Some("2"));
    tables.health().await.unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    while tables.recoveries() == 0 {
        assert!(Instant::now() < deadline, "{mode:?}: nobody counted the node that came back");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    cql.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_ended_and_came_back_is_counted_and_written_to() {
    outage(Mode::Gone).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_stopped_and_went_on_is_counted_and_written_to() {
    outage(Mode::Silent).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_starts_late_is_waited_for() {
    let Some(mut cql) = Cql::new().await else { return };
    store::init(&cql.config).await.unwrap();
    let proxy = Proxy::before(cql.config.scylla.contact_points[0].clone()).await;
    proxy.be(Mode::Gone);
    cql.config.scylla.contact_points = vec![proxy.address.to_string()];
    let config = Arc::new(cql.config.clone());
    let opening = tokio::spawn({
        let config = config.clone();
        async move { store::open(&config).await }
    });
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(!opening.is_finished());
    proxy.be(Mode::Forward);
    opening.await.unwrap().unwrap().health().await.unwrap();
    cql.close().await;
}
