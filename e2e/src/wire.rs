//! A wire to a server whose answers can be made late: what was asked reaches the server at once, what it answers is on its
//! way for as long as a test says.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Result;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

/// Pieces that are on their way in one direction at most; the sender waits beyond.
const PIECES: usize = 4_096;

/// A port before a server. It is there as long as the runtime that it was laid on.
pub struct Wire {
    address: SocketAddr,
    delay_ms: Arc<AtomicU64>,
}

impl Wire {
    /// Listens on a port of its own and passes on to `server` (`host:port`), for now without delay.
    pub fn lay(runtime: &Handle, server: &str) -> Result<Self> {
        let listener = runtime.block_on(TcpListener::bind(("127.0.0.1", 0)))?;
        let wire = Self { address: listener.local_addr()?, delay_ms: Arc::default() };
        let (server, delay_ms) = (server.to_owned(), wire.delay_ms.clone());
        runtime.spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                // A server that is away is one that hangs up.
                let Ok(server) = TcpStream::connect(&server).await else { continue };
                let (asked, answer) = client.into_split();
                let (answered, ask) = server.into_split();
                tokio::spawn(pass_on(asked, ask, Arc::default()));
                tokio::spawn(pass_on(answered, answer, delay_ms.clone()));
            }
        });
        Ok(wire)
    }

    /// Where clients connect to, `host:port`.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// From now on answers are this long on their way.
    pub fn delay(&self, delay: Duration) {
        self.delay_ms.store(delay.as_millis() as u64, Ordering::Relaxed);
    }
}

/// Bytes in the order they came in, each `delay_ms` after it came in, until either side hangs up.
async fn pass_on(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, delay_ms: Arc<AtomicU64>) {
    let (late, mut due) = mpsc::channel::<(Instant, Vec<u8>)>(PIECES);
    tokio::spawn(async move {
        while let Some((at, bytes)) = due.recv().await {
            sleep_until(at).await;
            if to.write_all(&bytes).await.is_err() {
                return;
            }
        }
    });
    let mut buffer = vec![0; 64 << 10];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        let at = Instant::now() + Duration::from_millis(delay_ms.load(Ordering::Relaxed));
        if late.send((at, buffer[..read].to_vec())).await.is_err() {
            return;
        }
    }
}
