//! Listens and speaks HTTP/1.1: bounded connections, bounded time for headers and for unread answers, a graceful end.
//!
//! HTTP/2 and TLS are the work of a proxy in front. Knows nothing of the routes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tower::ServiceExt as _;

use crate::wire::{Wire, tune};

/// Largest head of a request: URI and headers. A cursor and a token need less than 1 kB; hyper needs 8 kB at least.
const MAX_HEAD_BYTES: usize = 16 * 1024;
/// Pause after the system refused a connection, for want of file descriptors as a rule: until some are closed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How long a client may leave an answer unread once the service ends: who reads at all has read what is in the kernel's
/// buffers long before, and one who does not must not delay the end by the whole write time-out.
const UNREAD_AT_THE_END: Duration = Duration::from_secs(1);
/// How often a connection is looked at for that.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// The bounds of a port.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Most connections; further ones wait in the kernel's queue. About 20 kB of memory and one file descriptor each.
    pub max_connections: usize,
    /// Longest time until the headers of a request are there, and longest idle time of a connection.
    pub header_timeout: Duration,
    /// Longest time that a client may leave an answer unread before its connection is cut.
    pub write_timeout: Duration,
}

/// Serves until `stop` is true or nobody is left who could say so, then lets every connection finish its request. Returns
/// when the last one has ended.
pub async fn serve(listener: TcpListener, router: Router, limits: Limits, mut stop: watch::Receiver<bool>) {
    let permits = Arc::new(Semaphore::new(limits.max_connections));
    let mut connections = JoinSet::new();
    loop {
        // Cannot fail: the semaphore is never closed.
        let Ok(permit) = Arc::clone(&permits).acquire_owned().await else { break };
        let accepted = tokio::select! {
            biased;
            () = given(&mut stop) => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                let connection = serve_connection(stream, peer, router.clone(), limits, stop.clone());
                connections.spawn(async move {
                    connection.await;
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::warn!("a connection was not accepted: {error}; look at the limit of open files");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
        while connections.try_join_next().is_some() {}
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn given(stop: &mut watch::Receiver<bool>) {
    // An error: nobody is left who could tell.
    let _ = stop.wait_for(|stopped| *stopped).await;
}

async fn serve_connection(
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    limits: Limits,
    mut stop: watch::Receiver<bool>,
) {
    if let Err(error) = tune(&stream, limits.write_timeout) {
        tracing::debug!("a connection goes without the kernel's time-outs: {error}");
    }
    let wire = Wire::new(stream, limits.write_timeout);
    let (unread, inbound) = (wire.unread(), wire.inbound());
    let service = TowerToHyperService::new(router.map_request(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(ConnectInfo(peer));
        request.extensions_mut().insert(inbound.clone());
        request
    }));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(TokioIo::new(wire), service)
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    // How a connection ends is its client's affair: a time-out, a reset or a malformed head is no fault of ours.
    tokio::select! {
        _ = connection.as_mut() => return,
        () = given(&mut stop) => connection.as_mut().graceful_shutdown(),
    }
    while tokio::time::timeout(LOOK_EVERY, connection.as_mut()).await.is_err() {
        if unread.lasts(UNREAD_AT_THE_END) {
            return;
        }
    }
}
