//! Clients that behave badly at the exporter's own door: answered or hung up on, and others served.

mod door;

use std::time::Duration;

use dynamo_metrics::exporter::Exporter;
use dynamo_metrics_tests::h1::Client;
use dynamo_metrics_tests::prometheus::Folder;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::Instant;

use crate::door::{Door, LARGE, large};

/// What an HTTP/2 connection starts with.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The longest time that a client has for its head.
const HEAD: Duration = Duration::from_secs(75);

/// The longest time that a client has to say which protocol it speaks.
const FIRST_BYTES: Duration = Duration::from_secs(10);

/// Bytes that are no request.
const GARBAGE: [&[u8]; 20] = [
    b"\0\x01\x02\x03\r\n\r\n",
    b"GET\r\n\r\n",
    b"GET /metrics\r\n\r\n",
    b"G\0T /metrics HTTP/1.1\r\n\r\n",
    b" /metrics HTTP/1.1\r\n\r\n",
    b"GET  /metrics  HTTP/1.1\r\n\r\n",
    b"GET /metrics HTTP/9.9\r\n\r\n",
    b"GET /metrics HTTQ/1.1\r\n\r\n",
    b"GET /met\0rics HTTP/1.1\r\n\r\n",
    b"GET http:// HTTP/1.1\r\n\r\n",
    b"GET /metrics HTTP/1.1\r\nno header\r\n\r\n",
    b"GET /metrics HTTP/1.1\r\n: nothing\r\n\r\n",
    b"GET /metrics HTTP/1.1\r\nhost : x\r\n\r\n",
    b"GET /metrics HTTP/1.1\r\nhost: \0\r\n\r\n",
    b"GET /metrics HTTP/1.1\r\nhost: x\r\n folded\r\n\r\n",
    b"GET /metrics HTTP/1.1\r\ncontent-length: -1\r\n\r\n",
    b"GET /metrics HTTP/1.1\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n",
    b"GET /metrics HTTP/1.1\r\ntransfer-encoding: nonsense\r\n\r\n",
    // A greeting of TLS.
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\x00\x01\x02\x03\x04\x05\x06\x07\x08\r\n\r\n",
    b"\xff\xfe\xfd\r\n\r\n",
];

/// Starts of HTTP/2 connections that go wrong.
const NO_FRAMES: [&[u8]; 5] = [
    b"and then nonsense that is no frame at all, and is long enough for a head",
    // A frame of 16 MiB.
    b"\xff\xff\xff\x00\x00\x00\x00\x00\x01",
    // Settings with a stream, and headers without one.
    b"\x00\x00\x00\x04\x00\x00\x00\x00\x01",
    b"\x00\x00\x01\x01\x05\x00\x00\x00\x00\x82",
    // A head that names no entry of its table.
    b"\x00\x00\x00\x04\x00\x00\x00\x00\x00\x00\x00\x01\x01\x05\x00\x00\x00\x01\xff",
];

/// A request without its last byte.
fn endless(extra: &str) -> String {
    format!("GET /metrics HTTP/1.1\r\nhost: x\r\n{extra}\r\n")
}

/// Asks for the large page, and waits until the server waits for its reader.
async fn stuck(door: &Door) -> Client {
    let mut client = door.say("GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n").await;
    client.read_until("long_total").await.unwrap();
    client
}

#[tokio::test]
async fn garbage_is_refused() {
    let door = Door::open().await;
    for garbage in GARBAGE {
        let heard = door.hear(garbage).await;
        let said = String::from_utf8_lossy(garbage);
        let heard = String::from_utf8_lossy(&heard);
        assert!(heard.is_empty() || heard.starts_with("HTTP/1.1 400"), "{said:?}: {heard}");
    }
    door.assert_serves().await;
    assert_eq!(door.scrapes("total", &[]), 1.0, "none of it was a scrape");
}

#[tokio::test]
async fn nonsense_after_the_preface_of_http2_ends_the_connection() {
    let door = Door::open().await;
    for frames in NO_FRAMES {
        // The server's settings, and mostly a last word.
        let heard = door.hear([PREFACE, frames].concat()).await;
        assert!(heard.len() < 1_000, "{}", String::from_utf8_lossy(&heard));
    }
    for said in [&PREFACE[..20], b"PRI * HTTP/1.1\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSN\r\n\r\n"] {
        let mut client = door.say(said).await;
        client.close_sending().await.unwrap();
        client.read_to_end().await.unwrap();
    }
    door.assert_serves().await;
}

#[tokio::test]
async fn a_giant_head_is_too_large() {
    let door = Door::open().await;
    let value = "x".repeat(1 << 20);
    for extra in [format!("x-long: {value}\r\n"), format!("{value}: x\r\n")] {
        assert_eq!(door.ask(endless(&extra)).await.status, 431);
    }
    let many = "x-more: x\r\n".repeat(101);
    assert_eq!(door.ask(endless(&many)).await.status, 431);
    let path = format!("GET /{value} HTTP/1.1\r\nhost: x\r\n\r\n");
    let status = door.ask(path).await.status;
    assert!([414, 431].contains(&status), "{status}");
    door.assert_serves().await;
}

#[tokio::test(start_paused = true)]
async fn a_head_that_comes_a_byte_at_a_time_has_so_long_and_no_longer() {
    let door = Door::open().await;
    let mut clients = Vec::new();
    for _ in 0..20 {
        clients.push(door.say("GET /metrics HTTP/1.1\r\nx: ").await);
    }
    let start = Instant::now();
    while !clients.is_empty() {
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(start.elapsed() < 2 * HEAD, "{} are left", clients.len());
        let mut left = Vec::new();
        for mut client in clients {
            if client.send(b"x").await.is_ok() {
                left.push(client);
            }
        }
        clients = left;
    }
    assert!(start.elapsed() >= HEAD, "{:?}", start.elapsed());
    door.assert_serves().await;
}

/// How long it takes until the server hangs up on somebody who says only that.
async fn patience(mut stream: impl AsyncRead + AsyncWrite + Unpin, said: &[u8]) -> Duration {
    let start = Instant::now();
    stream.write_all(said).await.unwrap();
    let mut heard = Vec::new();
    stream.read_to_end(&mut heard).await.unwrap();
    assert!(heard.is_empty(), "{}", String::from_utf8_lossy(&heard));
    start.elapsed()
}

#[tokio::test(start_paused = true)]
async fn the_first_word_has_so_long_and_no_longer() {
    let door = Door::open().await;
    let folder = Folder::new("first-word");
    let path = folder.write("door.sock", "");
    std::fs::remove_file(&path).unwrap();
    let server = Exporter::new(&door.registry).bind_unix(&path).await.unwrap();
    let serving = tokio::spawn(server.serve(std::future::pending()));
    for said in [&b""[..], b"P", &PREFACE[..3], &PREFACE[..23]] {
        let tcp = TcpStream::connect(door.address).await.unwrap();
        let unix = UnixStream::connect(&path).await.unwrap();
        let (tcp, unix) = tokio::join!(patience(tcp, said), patience(unix, said));
        for after in [tcp, unix] {
            assert!(after >= FIRST_BYTES && after < HEAD, "{after:?}");
        }
    }
    serving.abort();
    door.assert_serves().await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_says_nothing_does_not_hold_up_the_end() {
    let server = Exporter::new(&door::small()).bind("127.0.0.1:0").await.unwrap();
    let address = server.local_addr().unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = tokio::spawn(server.serve(async { drop(stopped.await) }));
    let mut silent = TcpStream::connect(address).await.unwrap();
    // One that was answered came later, so the silent one has been let in.
    let answer = Client::exchange(address, "GET", "/live").await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 200"));
    let start = Instant::now();
    drop(stop);
    serving.await.unwrap();
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    assert_eq!(silent.read(&mut [0]).await.unwrap_or_default(), 0);
}

#[tokio::test]
async fn a_client_that_closes_its_side_still_gets_the_whole_page() {
    let door = Door::open_with(&large(), |exporter| exporter).await;
    for head in ["GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n", "GET /metrics HTTP/1.0\r\n\r\n"] {
        let mut client = door.say(head).await;
        client.close_sending().await.unwrap();
        let heard = client.read_to_end().await.unwrap();
        let (answer, _) = door::Answer::read(&heard, true);
        assert!(answer.body.len() > LARGE, "{} of {LARGE}", answer.body.len());
        assert!(answer.text().ends_with('\n'));
    }
    door.assert_serves().await;
    assert_eq!(door.aborted(), 0.0);
}

#[tokio::test]
async fn a_scrape_that_nobody_reads_to_the_end_is_aborted() {
    let door = Door::open_with(&large(), |exporter| exporter).await;
    let clients = [stuck(&door).await, stuck(&door).await, stuck(&door).await];
    assert_eq!(door.scrapes("in_flight", &[]), 3.0);
    drop(clients);
    door.assert_serves().await;
    assert_eq!(door.aborted(), 3.0);
}

#[tokio::test]
async fn scrapes_that_are_stuck_leave_room_for_so_many_and_give_it_back() {
    let door = Door::open_with(&large(), |exporter| exporter.most_scrapes(2)).await;
    let held = [stuck(&door).await, stuck(&door).await];
    let refusal = door.get("/metrics", "").await;
    assert_eq!((refusal.status, refusal.header("retry-after")), (503, Some("1")));
    assert_eq!(door.get("/live", "").await.status, 200);
    drop(held);
    door.when("both to end", || door.aborted() == 2.0).await;
    door.assert_serves().await;
    assert_eq!(door.scrapes("rejected_total", &[]), 1.0);
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_takes_nothing_is_let_go() {
    let door = Door::open_with(&large(), |exporter| exporter).await;
    let stuck = door.say("GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n").await;
    let start = Instant::now();
    while door.aborted() == 0.0 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(start.elapsed() < Duration::from_secs(60));
    }
    drop(stuck);
    door.assert_serves().await;
}

#[tokio::test]
async fn a_crowd_that_leaves_whenever_it_likes_leaves_nothing() {
    let door = Door::open_with(&large(), |exporter| exporter).await;
    for round in 0..60 {
        let mut client = door.say("").await;
        let said = endless("");
        let part = if round % 3 == 0 { &said[..round / 2] } else { &said };
        let _ = client.send(part.as_bytes()).await;
        if round % 3 == 2 {
            let _ = client.read_until("HTTP/1.1").await;
        }
    }
    door.assert_serves().await;
}
