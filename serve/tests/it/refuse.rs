//! Heads that are refused, and that the client gets to read why.

use tokio::io::AsyncWriteExt as _;

use crate::served::{HELLO, Served, rest};

#[tokio::test]
async fn a_request_without_one_host_is_refused_and_the_connection_ends() {
    let served = Served::start();
    for head in [
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: x\r\nhost: y\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a@b\r\n\r\n",
    ] {
        let mut client = served.connect().await;
        client.write_all(&[head.as_bytes(), HELLO].concat()).await.unwrap();
        let answer = rest(&mut client).await;
        assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("application/problem+json"), "{answer}");
        assert_eq!(answer.matches("HTTP/1.1").count(), 1, "what follows is not answered: {answer}");
    }
}

#[tokio::test]
async fn a_head_that_is_too_large_is_told_so_although_most_of_it_is_not_read() {
    let served = Served::start();
    let mut client = served.connect().await;
    let head = format!("GET / HTTP/1.1\r\nhost: x\r\nx-a: {}\r\n\r\n", "b".repeat(1 << 20));
    client.write_all(head.as_bytes()).await.unwrap();
    let answer = rest(&mut client).await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
}
