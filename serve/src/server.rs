//! Listens and speaks HTTP/1.1: bounded connections, bounded time for headers and for unread answers, a graceful end.
//!
//! HTTP/2 and TLS are the work of a proxy in front. Knows nothing of the routes.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tower::ServiceExt as _;

use crate::head;
use crate::linger::Linger;
use crate::wire::{Wire, tune};

/// Largest head of a request: URI and headers. A cursor and a token need less than 1 kB; hyper needs 8 kB at least.
const MAX_HEAD_BYTES: usize = 16 * 1024;
/// Pause after the system refused a connection, for want of file descriptors as a rule: until some are closed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Connections that the kernel accepts before we do; it takes less where `net.core.somaxconn` says so. Usual libraries ask for
/// 128: whoever comes while so many wait is not refused but tries again a second later, and 6,000 that came at once were
/// served 35 s later. 4,096 is what systems allow, 1 kB of the kernel's memory each.
const BACKLOG: u32 = 4_096;
/// How long connections are still taken at the end, which the kernel has accepted in our name: taking thousands takes less.
const LAST_ACCEPTS: Duration = Duration::from_millis(50);
/// How long a connection without a request stays open at the end: a client that asks meanwhile is answered, and told with
/// `Connection: close` that it was the last time, where it would else find a connection that is gone. Above what usual clients
/// leave between two requests under load, below what an operator notices.
const LAST_WORDS: Duration = Duration::from_millis(250);
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

/// Binds an address. An error says what the system says: the caller knows which setting it is.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // A restart finds the port although connections of the last run still linger in the kernel.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
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
    // The kernel has taken these already: they would be reset with the listener. Not `now_or_never`: what is in the queue is
    // known only once the runtime has looked.
    let until = tokio::time::Instant::now() + LAST_ACCEPTS;
    while let Ok(Ok((stream, peer))) = tokio::time::timeout_at(until, listener.accept()).await {
        let Ok(permit) = Arc::clone(&permits).try_acquire_owned() else { break };
        let connection = serve_connection(stream, peer, router.clone(), limits, stop.clone());
        connections.spawn(async move {
            connection.await;
            drop(permit);
        });
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn given(stop: &mut watch::Receiver<bool>) {
    // An error: nobody is left who could tell.
    let _ = stop.wait_for(|stopped| *stopped).await;
}

/// One connection, from its first request to its end.
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
    let stopping = stop.clone();
    let service = tower::service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        request.extensions_mut().insert(inbound.clone());
        answer(router.clone(), request, stopping.clone())
    });
    let service = TowerToHyperService::new(service);
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(TokioIo::new(Linger::new(wire)), service)
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    // How a connection ends is its client's affair: a time-out, a reset or a malformed head is no fault of ours.
    tokio::select! {
        _ = connection.as_mut() => return,
        () = given(&mut stop) => {}
    }
    if tokio::time::timeout(LAST_WORDS, connection.as_mut()).await.is_ok() {
        return;
    }
    connection.as_mut().graceful_shutdown();
    while tokio::time::timeout(LOOK_EVERY, connection.as_mut()).await.is_err() {
        if unread.lasts(UNREAD_AT_THE_END) {
            return;
        }
    }
}

/// Answers one request: a faulty head by itself, at the end with the word that it was the last one.
async fn answer(
    router: Router,
    request: Request<Incoming>,
    stop: watch::Receiver<bool>,
) -> Result<Response, std::convert::Infallible> {
    let (head, body) = request.into_parts();
    if let Some(fault) = head::fault(&head) {
        return Ok(refused(fault));
    }
    let mut response = router.oneshot(Request::from_parts(head, Body::new(body))).await?;
    // A giver that is gone has given the sign.
    if (*stop.borrow() || stop.has_changed().is_err()) && response.status() != StatusCode::SWITCHING_PROTOCOLS {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(response)
}

/// A problem document (RFC 9457) without a type of its own: the routes were not asked.
fn refused(fault: &str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "application/problem+json"),
        (header::CACHE_CONTROL, "no-store"),
        (header::CONNECTION, "close"),
    ];
    let body = format!(r#"{{"type":"about:blank","title":"Bad Request","status":400,"detail":"{fault}"}}"#);
    (StatusCode::BAD_REQUEST, headers, body).into_response()
}
