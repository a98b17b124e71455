//! The stream of one connection: writes that nobody reads fail in time, what it reads can be bounded, and the kernel gives up
//! on a client that is gone without a word. Knows nothing of HTTP.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;

/// Silence after which the kernel asks whether the other side is there: below the 60 s or more after which routers forget a
/// connection.
const KEEP_ALIVE_AFTER: Duration = Duration::from_secs(45);
/// Pause between two such questions.
const KEEP_ALIVE_EVERY: Duration = Duration::from_secs(10);
/// How many may be without an answer: with the silence before, a dead client is gone after 75 s.
const KEEP_ALIVE_TRIES: u32 = 3;
/// What a connection may send that nobody has bounded.
const UNBOUNDED: i64 = i64::MAX;

/// How much more a connection may send. In the extensions of each of its requests; without a bound until somebody sets one.
#[derive(Clone, Debug)]
pub struct Inbound(Arc<AtomicI64>);

impl Inbound {
    fn unbounded() -> Self {
        Self(Arc::new(AtomicI64::new(UNBOUNDED)))
    }

    /// From now on the other side may send so many bytes; what comes after them is a read error.
    pub fn allow(&self, bytes: u32) {
        self.0.store(i64::from(bytes), Ordering::Relaxed);
    }

    /// Whether so many bytes more were allowed.
    fn takes(&self, bytes: usize) -> bool {
        if self.0.load(Ordering::Relaxed) == UNBOUNDED {
            return true;
        }
        let bytes = i64::try_from(bytes).unwrap_or(UNBOUNDED);
        self.0.fetch_sub(bytes, Ordering::Relaxed) >= bytes
    }
}

/// Since when a connection's writes are blocked, for who wants to end it.
#[derive(Clone, Debug)]
pub struct Unread {
    opened: Instant,
    /// Milliseconds since `opened`, plus one; zero: not blocked.
    since: Arc<AtomicU64>,
}

impl Unread {
    fn new() -> Self {
        Self { opened: Instant::now(), since: Arc::default() }
    }

    fn now(&self) -> u64 {
        self.opened.elapsed().as_millis() as u64 + 1
    }

    /// Whether the other side has left what was written unread for so long.
    pub fn lasts(&self, limit: Duration) -> bool {
        let since = self.since.load(Ordering::Relaxed);
        since != 0 && u128::from(self.now() - since) >= limit.as_millis()
    }
}

/// Has the kernel end the connection of a client that is gone: by questions while nothing is said, by the bound on unread answers
/// while something is. A system that knows no such setting goes without.
pub fn tune(stream: &TcpStream, write_timeout: Duration) -> io::Result<()> {
    let socket = SockRef::from(stream);
    // Answers are written whole: waiting for more would only delay them.
    socket.set_tcp_nodelay(true)?;
    let keep_alive = TcpKeepalive::new().with_time(KEEP_ALIVE_AFTER).with_interval(KEEP_ALIVE_EVERY);
    socket.set_tcp_keepalive(&keep_alive.with_retries(KEEP_ALIVE_TRIES))?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(write_timeout))?;
    #[cfg(not(target_os = "linux"))]
    let _ = write_timeout;
    Ok(())
}

/// A stream whose writes fail when the other side takes nothing for too long, and whose reads when it sends too much.
pub struct Wire {
    stream: TcpStream,
    limit: Duration,
    /// Runs while a write is blocked.
    blocked: Option<Pin<Box<Sleep>>>,
    unread: Unread,
    inbound: Inbound,
}

impl Wire {
    /// A write may be blocked for `limit`.
    pub fn new(stream: TcpStream, limit: Duration) -> Self {
        Self { stream, limit, blocked: None, unread: Unread::new(), inbound: Inbound::unbounded() }
    }

    /// Tells whether somebody reads.
    pub fn unread(&self) -> Unread {
        self.unread.clone()
    }

    /// Bounds what is read.
    pub fn inbound(&self) -> Inbound {
        self.inbound.clone()
    }

    /// Passes on what a write came to; a blocked one fails when its time is up.
    fn bound<T>(&mut self, cx: &mut Context<'_>, write: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if write.is_ready() {
            if self.blocked.take().is_some() {
                self.unread.since.store(0, Ordering::Relaxed);
            }
            return write;
        }
        let limit = self.limit;
        let unread = &self.unread;
        let blocked = self.blocked.get_or_insert_with(|| {
            unread.since.store(unread.now(), Ordering::Relaxed);
            Box::pin(tokio::time::sleep(limit))
        });
        ready!(blocked.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        let came = buf.filled().len() - before;
        Poll::Ready(if self.inbound.takes(came) { Ok(()) } else { Err(io::ErrorKind::QuotaExceeded.into()) })
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let write = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.bound(cx, write)
    }
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let write = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.bound(cx, write)
    }
    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flush = Pin::new(&mut self.stream).poll_flush(cx);
        self.bound(cx, flush)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shutdown = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.bound(cx, shutdown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_on_what_is_read_counts_down_and_can_be_set_again() {
        let inbound = Inbound::unbounded();
        assert!(inbound.takes(usize::MAX));
        inbound.allow(10);
        assert!(inbound.takes(6) && inbound.takes(4) && !inbound.takes(1));
        inbound.allow(1);
        assert!(inbound.takes(1) && !inbound.takes(1));
    }

    #[test]
    fn the_kernel_gives_up_on_a_client_that_is_gone() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let _client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            let (stream, _) = listener.accept().await.unwrap();
            tune(&stream, Duration::from_secs(30)).unwrap();
            let socket = SockRef::from(&stream);
            assert!(socket.keepalive().unwrap() && socket.tcp_nodelay().unwrap());
            assert_eq!(socket.tcp_keepalive_time().unwrap(), KEEP_ALIVE_AFTER);
            #[cfg(target_os = "linux")]
            assert_eq!(socket.tcp_user_timeout().unwrap(), Some(Duration::from_secs(30)));
        });
    }
}
