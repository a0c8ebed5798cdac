//! The push door over real connections: pages in pieces, broken off, too long, and slow.

mod scraped;

use dynamo_metrics::exporter::{Exporter, Pushes};
use dynamo_metrics::registry::Registry;
use dynamo_metrics_tests::h1;

use crate::scraped::page;

const DOOR: &str = "/push/prod/batch/train";

/// A server with an open door.
async fn served() -> (Exporter, std::net::SocketAddr) {
    let registry = Registry::new();
    registry.gauge("level", "Ours.").register().unwrap().set(5);
    let exporter = Exporter::new(&registry).accept_pushes(&Pushes::new(&registry));
    let server = exporter.bind("127.0.0.1:0").await.unwrap();
    let address = server.local_addr().unwrap();
    tokio::spawn(server.serve(std::future::pending()));
    (exporter, address)
}

#[tokio::test]
async fn a_page_over_the_wire_may_come_in_pieces() {
    let (exporter, address) = served().await;
    let mut client = h1::Client::open(address).await.unwrap();
    let head = format!("PUT {DOOR} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n");
    client.send(format!("{head}transfer-encoding: chunked\r\n\r\n").as_bytes()).await.unwrap();
    for piece in ["3\r\nste\r\n", "4\r\nps 1\r\n"] {
        client.send(piece.as_bytes()).await.unwrap();
        tokio::task::yield_now().await;
        assert_eq!(page(&exporter).await.sum("steps", &[]), None);
    }
    client.send(b"1\r\n\n\r\n0\r\n\r\n").await.unwrap();
    let answer = client.read_to_end().await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 20"), "{}", String::from_utf8_lossy(&answer));
    assert_eq!(page(&exporter).await.sum("steps", &[("dynamo_endpoint", "train")]), Some(1.0));
}

#[tokio::test]
async fn a_page_that_breaks_off_is_not_shown() {
    let (exporter, address) = served().await;
    for framing in [
        "content-length: 100\r\n\r\nsteps 1\n",
        "transfer-encoding: chunked\r\n\r\n8\r\nsteps 1\n\r\n",
    ] {
        let mut client = h1::Client::open(address).await.unwrap();
        let head = format!("PUT {DOOR} HTTP/1.1\r\nhost: x\r\n{framing}");
        client.send(head.as_bytes()).await.unwrap();
        client.close_sending().await.unwrap();
        // The server's last word, if it has one, comes when it knows.
        let answer = client.read_to_end().await.unwrap();
        assert!(!answer.starts_with(b"HTTP/1.1 2"), "{}", String::from_utf8_lossy(&answer));
        assert_eq!(page(&exporter).await.sum("steps", &[]), None);
    }
}

#[tokio::test]
async fn a_page_longer_than_may_be_is_refused_before_it_came() {
    let (_, address) = served().await;
    let mut client = h1::Client::open(address).await.unwrap();
    let head = format!("PUT {DOOR} HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999999\r\n\r\nstep");
    client.send(head.as_bytes()).await.unwrap();
    let answer = client.read_until("\r\n\r\n").await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 413"), "{}", String::from_utf8_lossy(answer));
}

#[tokio::test]
async fn slow_senders_keep_no_scrape_from_answering() {
    let (_, address) = served().await;
    let mut slow = Vec::new();
    for i in 0..40 {
        let mut client = h1::Client::open(address).await.unwrap();
        let head = format!("PUT /push/a/b/c{i} HTTP/1.1\r\nhost: x\r\ncontent-length: 8\r\n\r\nst");
        client.send(head.as_bytes()).await.unwrap();
        slow.push(client);
    }
    let answer = h1::Client::exchange(address, "GET", "/metrics").await.unwrap();
    let text = String::from_utf8(answer).unwrap();
    assert!(text.starts_with("HTTP/1.1 200") && text.contains("level 5"), "{text}");
    drop(slow);
}
