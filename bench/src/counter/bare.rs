//! The bare handler: what an API on the same library does at the least. 304 to who names an entity tag, else a fixed body; a process
//! of its own, as the API is, on as many threads.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};
use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::serve::ListenerExt as _;

use super::load::Requests;
use crate::http::request;
use crate::services;

/// The process.
pub struct Bare {
    child: Child,
    /// `host:port`.
    pub address: String,
}

impl Bare {
    /// Starts it; its body has so many bytes.
    pub fn start(body: usize) -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["--bare-handler", &body.to_string()])
            .stdout(Stdio::piped())
            .spawn()?;
        let output = child.stdout.take().context("the bare handler has no output")?;
        let mut address = String::new();
        BufReader::new(output).read_line(&mut address)?;
        Ok(Self { child, address: address.trim().to_owned() })
    }

    /// What is asked of it by who has the answer already.
    pub fn polls(&self) -> Requests {
        let each = vec![request(&self.address, "/", "If-None-Match: \"0\"\r\n")];
        Requests { address: self.address.clone(), each: each.into(), status: 304 }
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        // Ended already, or ends now: both are fine.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Serves on a free port, which it prints, until it is killed.
pub fn serve(body: usize) -> Result<()> {
    services::runtime()?.block_on(async {
        let listener = tokio::net::TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
        println!("{}", listener.local_addr()?);
        let listener = listener.tap_io(|stream| {
            // As the API sets it; where it cannot be set, answers come later.
            let _ = stream.set_nodelay(true);
        });
        let body = Bytes::from(vec![b'x'; body]);
        let router = Router::new().route("/", get(async move |headers: HeaderMap| answer(&headers, body.clone())));
        axum::serve(listener, router).await?;
        Ok(())
    })
}

fn answer(headers: &HeaderMap, body: Bytes) -> Response {
    if headers.contains_key(header::IF_NONE_MATCH) {
        return (StatusCode::NOT_MODIFIED, [(header::ETAG, "\"0\"")]).into_response();
    }
    ([(header::ETAG, "\"0\""), (header::CONTENT_TYPE, "application/json")], body).into_response()
}
