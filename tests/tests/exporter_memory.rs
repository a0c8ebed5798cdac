//! What slow clients cost the exporter: some bytes each, whatever they do.

mod door;

use allocation_counter::measure;
use dynamo_metrics_tests::h1::Client;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::door::{Door, large};

/// Clients at once; the server takes a few more.
const CLIENTS: u64 = 200;

/// Most bytes of a head that are read ahead for one client.
const HEAD: u64 = 192 * 1024;

/// Most bytes of a page that one client may hold: some frames.
const PAGE: u64 = 448 * 1024;

/// The most that was on the heap while `story` ran, server and clients, beyond what there was.
fn held(story: &impl AsyncFn(&Door)) -> u64 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let door = runtime.block_on(Door::open_with(&large(), |exporter| exporter.most_scrapes(300)));
    runtime.block_on(door.assert_serves());
    measure(|| runtime.block_on(story(&door))).bytes_max
}

#[test]
fn heads_that_never_end_hold_little_each() {
    let held = held(&async |door: &Door| {
        let part = "x".repeat(4 << 10);
        let mut clients = Vec::new();
        for _ in 0..CLIENTS {
            clients.push(door.say("GET /metrics HTTP/1.1\r\nhost: x\r\nx-long: ").await);
        }
        // More than anybody reads; those who are hung up on hear of it.
        for _ in 0..128 {
            for client in &mut clients {
                let _ = client.send(part.as_bytes()).await;
            }
        }
        for client in clients {
            let heard = client.read_to_end().await.unwrap();
            assert!(heard.is_empty() || heard.starts_with(b"HTTP/1.1 431"));
        }
        assert_eq!(door.get("/live", "").await.status, 200);
    });
    assert!(held < CLIENTS * HEAD, "{} KiB each", held / 1024 / CLIENTS);
}

#[test]
fn pages_that_nobody_reads_hold_some_frames_each() {
    let held = held(&async |door: &Door| {
        let mut clients = Vec::new();
        for _ in 0..CLIENTS {
            let mut stream = TcpStream::connect(door.address).await.unwrap();
            stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
            stream.read_exact(&mut [0; 16]).await.unwrap();
            clients.push(stream);
        }
        assert_eq!(door.scrapes("in_flight", &[]), CLIENTS as f64);
        drop(clients);
        door.when("all to end", || door.aborted() == CLIENTS as f64).await;
    });
    assert!(held < CLIENTS * PAGE, "{} KiB each", held / 1024 / CLIENTS);
}

#[test]
fn connections_that_only_stay_hold_next_to_nothing() {
    let held = held(&async |door: &Door| {
        let mut clients = Vec::new();
        for n in 0..CLIENTS {
            let mut client = Client::open(door.address).await.unwrap();
            if n % 2 == 0 {
                client.send(b"GET /live HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
                client.read_until("live").await.unwrap();
            }
            clients.push(client);
        }
        assert_eq!(door.get("/live", "").await.status, 200);
    });
    assert!(held < CLIENTS * 32 * 1024, "{} KiB each", held / 1024 / CLIENTS);
}
