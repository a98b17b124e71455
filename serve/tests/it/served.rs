//! A port that is served, and a client of bytes.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// A plain request.
pub const HELLO: &[u8] = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";

/// The port.
pub struct Served {
    pub address: SocketAddr,
    pub stop: watch::Sender<bool>,
    pub ended: JoinHandle<()>,
}

impl Served {
    pub fn start() -> Self {
        let listener = serve::listen(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, told) = watch::channel(false);
        let slowly = async || {
            tokio::time::sleep(Duration::from_millis(200)).await;
            "slowly"
        };
        let router = Router::new().route("/", get(async || "hello")).route("/slow", get(slowly));
        let limits = serve::Limits {
            max_connections: 100,
            header_timeout: Duration::from_secs(5),
            write_timeout: Duration::from_secs(5),
        };
        Self { address, stop, ended: tokio::spawn(serve::serve(listener, router, limits, told)) }
    }

    pub async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Waits for the end, which must come soon.
    pub async fn end(self) {
        tokio::time::timeout(Duration::from_secs(10), self.ended).await.unwrap().unwrap();
    }
}

/// Asks on a connection, and reads until the answer's body has come.
pub async fn ask(stream: &mut TcpStream, request: &[u8], body: &str) -> String {
    stream.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(body.as_bytes()) {
        let read = tokio::time::timeout(Duration::from_secs(10), stream.read_buf(&mut answer)).await;
        assert_ne!(read.unwrap().unwrap(), 0, "closed after {:?}", String::from_utf8_lossy(&answer));
    }
    String::from_utf8(answer).unwrap()
}

/// Reads to the end.
pub async fn rest(stream: &mut TcpStream) -> String {
    let mut answer = String::new();
    tokio::time::timeout(Duration::from_secs(10), stream.read_to_string(&mut answer)).await.unwrap().unwrap();
    answer
}
