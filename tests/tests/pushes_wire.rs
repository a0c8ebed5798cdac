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

/// The head of the answer to this.
async fn head_of(address: std::net::SocketAddr, request: &str) -> String {
    let mut client = h1::Client::open(address).await.unwrap();
    client.send(request.as_bytes()).await.unwrap();
    let answer = client.read_until("\r\n\r\n").await.unwrap();
    String::from_utf8(answer.to_vec()).unwrap().to_ascii_lowercase()
}

#[tokio::test]
async fn whoever_is_not_heard_out_is_told_that_the_connection_closes() {
    let (_, address) = served().await;
    for (status, request) in [
        (413, format!("PUT {DOOR} HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999\r\n\r\nst")),
        (
            415,
            format!(
                "PUT {DOOR} HTTP/1.1\r\nhost: x\r\ncontent-length: 9999\r\n\
                 content-encoding: gzip\r\n\r\nst"
            ),
        ),
        (405, format!("POST {DOOR} HTTP/1.1\r\nhost: x\r\ncontent-length: 9999\r\n\r\nst")),
    ] {
        let head = head_of(address, &request).await;
        assert!(head.starts_with(&format!("http/1.1 {status} ")), "{head}");
        assert!(head.contains("\r\nconnection: close\r\n"), "{head}");
    }
    for (status, request) in [
        (200, format!("PUT {DOOR} HTTP/1.1\r\nhost: x\r\ncontent-length: 8\r\n\r\nsteps 1\n")),
        (405, format!("GET {DOOR} HTTP/1.1\r\nhost: x\r\n\r\n")),
        (404, "DELETE /push/x/y/z HTTP/1.1\r\nhost: x\r\n\r\n".to_owned()),
    ] {
        let head = head_of(address, &request).await;
        assert!(head.starts_with(&format!("http/1.1 {status} ")), "{head}");
        assert!(!head.contains("\r\nconnection:"), "{head}");
    }
}

#[tokio::test]
async fn who_finds_no_place_is_told_that_the_connection_closes() {
    let (_, address) = served().await;
    let mut slow = Vec::new();
    let request = |i| {
        format!(
            "PUT /push/a/b/c{i} HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 8\r\n\r\n"
        )
    };
    for i in 0..8 {
        let mut client = h1::Client::open(address).await.unwrap();
        client.send(request(i).as_bytes()).await.unwrap();
        // So its body is waited for.
        let answer = client.read_until("\r\n\r\n").await.unwrap();
        assert!(answer.starts_with(b"HTTP/1.1 100 "));
        slow.push(client);
    }
    let head = head_of(address, &request(8)).await;
    assert!(head.starts_with("http/1.1 503 ") && head.contains("\r\nretry-after: 1\r\n"), "{head}");
    assert!(head.contains("\r\nconnection: close\r\n"), "{head}");
}

#[tokio::test]
async fn http2_knows_no_such_header_and_goes_on() {
    let (_, address) = served().await;
    let socket = tokio::net::TcpStream::connect(address).await.unwrap();
    let (client, connection) = h2::client::handshake(socket).await.unwrap();
    tokio::spawn(connection);
    for (encoding, length, status) in [("identity", 2 << 20, 413), ("gzip", 9, 415)] {
        let mut client = client.clone().ready().await.unwrap();
        let request = http::Request::put(format!("http://x{DOOR}"))
            .header("content-length", length)
            .header("content-encoding", encoding);
        let (answer, _stream) = client.send_request(request.body(()).unwrap(), false).unwrap();
        let answer = answer.await.unwrap();
        assert_eq!(answer.status(), status);
        assert!(!answer.headers().contains_key("connection"), "{answer:?}");
    }
}
