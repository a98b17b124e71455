//! A stream that is closed so that its client gets to read the last answer. Knows nothing of what it carries.
//!
//! Who closes a socket with bytes in it that were not read sends a reset, and that takes away on the client's side what it
//! has not read yet: the reason why it was refused. So the end is told first, then what still comes is read and dropped.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// Longest wait for the client's own end: a way around the world and back. A stop takes so much longer.
const LINGER: Duration = Duration::from_millis(500);
/// Most bytes that are dropped: as much as a kernel's buffers hold.
const MAX_DROPPED_BYTES: usize = 8 * 1024 * 1024;
/// Read in one go, on the stack.
const SCRATCH_BYTES: usize = 4 * 1024;

/// A stream that lingers when it is shut down.
pub struct Linger<S> {
    stream: S,
    end: End,
}

enum End {
    /// Not yet.
    Open,
    /// The client was told; so many bytes may still come, and so long.
    Told { left: usize, until: Pin<Box<Sleep>> },
    /// Over.
    Over,
}

impl<S> Linger<S> {
    pub const fn new(stream: S) -> Self {
        Self { stream, end: End::Open }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Linger<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Linger<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }
    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { stream, end } = &mut *self;
        loop {
            match end {
                End::Over => return Poll::Ready(Ok(())),
                End::Open => {
                    ready!(Pin::new(&mut *stream).poll_shutdown(cx))?;
                    *end = End::Told { left: MAX_DROPPED_BYTES, until: Box::pin(tokio::time::sleep(LINGER)) };
                }
                End::Told { left, until } => {
                    let is_late = until.as_mut().poll(cx).is_ready();
                    let mut scratch = [0; SCRATCH_BYTES];
                    let mut scratch = ReadBuf::new(&mut scratch);
                    let read =
                        if is_late { Poll::Ready(Ok(())) } else { Pin::new(&mut *stream).poll_read(cx, &mut scratch) };
                    // A reset is an end too.
                    let is_more = ready!(read).is_ok() && !scratch.filled().is_empty();
                    *left = left.saturating_sub(scratch.filled().len());
                    if !is_more || *left == 0 {
                        *end = End::Over;
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    async fn pair() -> (TcpStream, Linger<TcpStream>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (client, Linger::new(listener.accept().await.unwrap().0))
    }

    #[tokio::test]
    async fn an_answer_is_read_although_the_request_was_not() {
        let (mut client, mut server) = pair().await;
        client.write_all(&[b'x'; 100_000]).await.unwrap();
        server.write_all(b"no").await.unwrap();
        let ended = tokio::spawn(async move { server.shutdown().await });
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert_eq!(answer, "no");
        drop(client);
        ended.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_client_that_never_ends_is_waited_for_in_vain_only_so_long() {
        let (client, mut server) = pair().await;
        let begun = std::time::Instant::now();
        server.shutdown().await.unwrap();
        let took = begun.elapsed();
        assert!(took >= LINGER && took < 5 * LINGER, "{took:?}");
        drop(client);
    }
}
