//! A graceful end, as the clients see it.

use tokio::io::AsyncWriteExt as _;

use crate::served::{HELLO, Served, ask, rest};

#[tokio::test]
async fn an_idle_client_that_asks_at_the_end_is_answered_and_told_to_close() {
    let served = Served::start();
    let mut client = served.connect().await;
    let before = ask(&mut client, HELLO, "hello").await;
    assert!(!before.contains("connection: close"), "{before}");
    served.stop.send(true).unwrap();
    let last = ask(&mut client, HELLO, "hello").await;
    assert!(last.starts_with("HTTP/1.1 200") && last.contains("connection: close"), "{last}");
    assert_eq!(rest(&mut client).await, "");
    served.end().await;
}

#[tokio::test]
async fn a_request_under_way_is_answered_and_told_to_close() {
    let served = Served::start();
    let mut client = served.connect().await;
    client.write_all(b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    // Its head is read before the sign: another connection, made later, was answered.
    ask(&mut served.connect().await, HELLO, "hello").await;
    served.stop.send(true).unwrap();
    let answer = rest(&mut client).await;
    assert!(answer.contains("connection: close") && answer.ends_with("slowly"), "{answer}");
    served.end().await;
}

#[tokio::test]
async fn who_was_in_the_kernels_queue_at_the_end_is_answered() {
    let served = Served::start();
    // On this one thread nothing is accepted before the next wait: they are in the queue when the sign is given.
    let mut waiting: Vec<std::net::TcpStream> =
        (0..20).map(|_| std::net::TcpStream::connect(served.address).unwrap()).collect();
    served.stop.send(true).unwrap();
    for stream in &mut waiting {
        std::io::Write::write_all(stream, HELLO).unwrap();
    }
    for stream in waiting {
        stream.set_nonblocking(true).unwrap();
        let answer = rest(&mut tokio::net::TcpStream::from_std(stream).unwrap()).await;
        assert!(answer.contains("connection: close") && answer.ends_with("hello"), "{answer}");
    }
    served.end().await;
}

#[tokio::test]
async fn a_client_that_says_nothing_delays_the_end_by_seconds_at_most() {
    let served = Served::start();
    let mut idle = served.connect().await;
    ask(&mut idle, HELLO, "hello").await;
    let silent = served.connect().await;
    served.stop.send(true).unwrap();
    let begun = std::time::Instant::now();
    served.end().await;
    assert!(begun.elapsed() < std::time::Duration::from_secs(4), "{:?}", begun.elapsed());
    drop((idle, silent));
}

#[tokio::test]
async fn an_end_takes_nobody_new() {
    let served = Served::start();
    served.stop.send(true).unwrap();
    let address = served.address;
    served.end().await;
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}
