//! Backends over HTTP: entries come and go at `/backends`, where the exporter takes them.

mod scraped;

use dynamo_metrics::exporter::{Backends, Exporter};
use dynamo_metrics::registry::Registry;
use dynamo_metrics_tests::h1;
use dynamo_metrics_tests::peer::{Peer, TEXT};
use http::{Method, StatusCode};

use crate::scraped::{Answer, page, scrape, send};

const ENTRY: &str = "prod.backend.generate=http://127.0.0.1:1/metrics";

struct Door {
    backends: Backends,
    exporter: Exporter,
}

impl Door {
    fn new(choose: impl FnOnce(Backends) -> Backends) -> Self {
        let registry = Registry::new();
        let backends = choose(Backends::new(&registry));
        let exporter = Exporter::new(&registry).accept_backends(&backends);
        Self { backends, exporter }
    }

    async fn post(&self, body: &str) -> Answer {
        send(&self.exporter, Method::POST, "/backends", body).await
    }

    async fn delete(&self, body: &str) -> Answer {
        send(&self.exporter, Method::DELETE, "/backends", body).await
    }

    /// The entries that it tells, sorted.
    async fn get(&self) -> Vec<String> {
        let answer = send(&self.exporter, Method::GET, "/backends", "").await;
        assert_eq!(answer.status, 200);
        assert!(answer.headers["content-type"].to_str().unwrap().starts_with("text/plain"));
        let mut lines: Vec<_> = answer.text().lines().map(str::to_owned).collect();
        lines.sort();
        lines
    }

    /// It is refused so, and nothing is taken.
    async fn refuses(&self, body: &str, status: u16) -> Answer {
        let answer = self.post(body).await;
        assert_eq!(answer.status, status, "{body}: {answer:?}");
        assert_eq!(self.backends.list(), [""; 0], "{body}");
        answer
    }
}

fn is_open(door: Backends) -> Backends {
    door
}

#[tokio::test]
async fn the_door_is_closed_by_default() {
    let registry = Registry::new();
    let backends = Backends::new(&registry);
    let exporter = Exporter::new(&registry);
    for method in [Method::GET, Method::POST, Method::DELETE, Method::PUT] {
        assert_eq!(send(&exporter, method, "/backends", ENTRY).await.status, 404);
    }
    assert_eq!(backends.list(), [""; 0]);
}

#[tokio::test]
async fn entries_come_and_go() {
    let door = Door::new(is_open);
    assert_eq!(door.get().await, [""; 0]);
    let other = "prod.backend.other=http://localhost:2/metrics";
    assert!(door.post(&format!("{ENTRY};timeout=2s\n{other}\n")).await.status.is_success());
    assert_eq!(door.get().await, [ENTRY, other]);
    assert!(door.post(&format!("{ENTRY};only=a")).await.status.is_success());
    assert_eq!(door.get().await, [ENTRY, other]);
    assert!(door.delete(ENTRY).await.status.is_success());
    assert_eq!(door.get().await, [other]);
    assert_eq!(door.delete(ENTRY).await.status, 404);
    assert!(door.delete(&format!("{other};timeout=3s")).await.status.is_success());
    assert_eq!(door.get().await, [""; 0]);
}

#[tokio::test]
async fn an_entry_is_fetched_until_it_goes() {
    let door = Door::new(is_open);
    let peer = Peer::page(TEXT, "steps 1\n").await;
    let entry = format!("prod.backend.generate={}", peer.url());
    assert!(door.post(&entry).await.status.is_success());
    let place = [("dynamo_namespace", "prod"), ("dynamo_endpoint", "generate")];
    assert_eq!(page(&door.exporter).await.sum("steps", &place), Some(1.0));
    assert!(door.delete(&entry).await.status.is_success());
    let after = scrape(&door.exporter).await;
    assert!(!after.text().contains("steps"), "{}", after.text());
    assert!(!after.text().contains("dynamo_metrics_backend_"), "{}", after.text());
}

#[tokio::test]
async fn what_is_no_entry_is_refused() {
    let door = Door::new(is_open);
    for wrong in [
        "nonsense",
        "a.b.c",
        "a.b.c=",
        "=http://127.0.0.1:1",
        "a.b.c=https://127.0.0.1:1",
        "a.b.c=http://127.0.0.1:1;colour=red",
        "a.b.c=http://127.0.0.1:1;timeout=0",
        "a.b.c=file:///etc/passwd",
        "a.b.c=http://ann:secret@127.0.0.1:1",
        "{\"a\": 1}",
        "a.b.c=http://127.0.0.1:1\r\nnonsense",
    ] {
        let answer = door.refuses(&format!("{ENTRY}\n{wrong}"), 400).await;
        assert!(!answer.text().is_empty());
    }
}

#[tokio::test]
async fn hosts_that_are_not_here_are_refused() {
    let door = Door::new(is_open);
    for host in [
        "example.com",
        "10.0.0.1",
        "169.254.169.254",
        "0.0.0.0",
        "[::ffff:10.0.0.1]",
        "[fe80::1]",
        "[::]",
        "localhost.example.com",
        "127.0.0.1.example.com",
        "127.evil.com",
        "2130706433",
        "0x7f.1",
    ] {
        let entry = format!("a.b.c=http://{host}:1/metrics");
        let answer = door.refuses(&format!("{ENTRY}\n{entry}"), 403).await;
        assert!(answer.text().contains(host.trim_matches(['[', ']'])), "{answer:?}");
    }
}

#[tokio::test]
async fn hosts_that_are_here_are_taken() {
    for host in ["127.0.0.1", "127.1.2.3", "localhost", "[::1]"] {
        let door = Door::new(is_open);
        let answer = door.post(&format!("a.b.c=http://{host}:1/metrics")).await;
        assert!(answer.status.is_success(), "{host}: {answer:?}");
    }
}

#[tokio::test]
async fn hosts_that_are_here_are_taken_in_any_case() {
    let door = Door::new(is_open);
    assert!(door.post("a.b.c=http://LocalHost:1/metrics").await.status.is_success());
}

#[tokio::test]
async fn any_host_is_taken_where_that_is_allowed() {
    let door = Door::new(Backends::any_host);
    let entry = "a.b.c=http://example.com:1/metrics";
    assert!(door.post(entry).await.status.is_success());
    assert_eq!(door.get().await, [entry]);
    assert!(door.delete(entry).await.status.is_success());
}

#[tokio::test]
async fn whoever_configures_the_process_may_name_any_host() {
    let door = Door::new(is_open);
    let entry = "a.b.c=http://example.com:1/metrics";
    assert_eq!(door.backends.add(entry).unwrap(), 1);
    assert_eq!(door.get().await, [entry]);
}

#[tokio::test]
async fn there_is_room_for_so_many() {
    let door = Door::new(|backends| backends.most(2));
    let entry = |i: u32| format!("a.b.c{i}=http://127.0.0.1:1/metrics");
    door.refuses(&format!("{}\n{}\n{}", entry(1), entry(2), entry(3)), 507).await;
    assert!(door.post(&format!("{}\n{}", entry(1), entry(2))).await.status.is_success());
    assert_eq!(door.post(&entry(3)).await.status, 507);
    assert!(door.post(&entry(2)).await.status.is_success());
    assert!(door.delete(&entry(1)).await.status.is_success());
    assert!(door.post(&entry(3)).await.status.is_success());
    assert_eq!(door.get().await, [entry(2), entry(3)]);
}

#[tokio::test]
async fn there_is_room_for_sixty_four_by_default() {
    let door = Door::new(is_open);
    let entry = |i: u32| format!("a.b.c{i}=http://127.0.0.1:1/metrics\n");
    let full: String = (0..64).map(entry).collect();
    assert!(door.post(&full).await.status.is_success());
    assert_eq!(door.post(&entry(64)).await.status, 507);
    assert_eq!(door.backends.list().len(), 64);
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused() {
    let door = Door::new(is_open);
    let long = format!("{ENTRY}\n").repeat(1 << 17);
    door.refuses(&long, 413).await;
}

#[tokio::test]
async fn other_methods_are_refused_and_told_which_may_be() {
    let door = Door::new(is_open);
    for method in [Method::PUT, Method::PATCH, Method::OPTIONS] {
        let answer = send(&door.exporter, method, "/backends", ENTRY).await;
        assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED);
        let allow = answer.headers["allow"].to_str().unwrap();
        assert!(["GET", "POST", "DELETE"].iter().all(|it| allow.contains(it)), "{allow}");
    }
    assert_eq!(door.backends.list(), [""; 0]);
}

#[tokio::test]
async fn a_body_that_breaks_off_takes_nothing() {
    let door = Door::new(is_open);
    let server = door.exporter.bind("127.0.0.1:0").await.unwrap();
    let address = server.local_addr().unwrap();
    tokio::spawn(server.serve(std::future::pending()));
    let mut client = h1::Client::open(address).await.unwrap();
    let head = "POST /backends HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n";
    client.send(format!("{head}{ENTRY}\n").as_bytes()).await.unwrap();
    client.close_sending().await.unwrap();
    let answer = client.read_to_end().await.unwrap();
    assert!(!answer.starts_with(b"HTTP/1.1 2"), "{}", String::from_utf8_lossy(&answer));
    assert_eq!(door.backends.list(), [""; 0]);
    let answer = h1::Client::exchange(address, "GET", "/backends").await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
}

#[tokio::test]
async fn an_entry_that_points_at_this_exporter_does_not_ask_for_ever() {
    let registry = Registry::new();
    let backends = Backends::new(&registry);
    registry.gauge("level", "Ours.").register().unwrap().set(5);
    let exporter = Exporter::new(&registry).accept_backends(&backends);
    let server = exporter.bind("127.0.0.1:0").await.unwrap();
    let address = server.local_addr().unwrap();
    tokio::spawn(server.serve(std::future::pending()));
    backends.add(&format!("a.b.c=http://{address}/metrics;timeout=300ms")).unwrap();
    let request = http::Request::get("/metrics");
    let request = request.header("x-prometheus-scrape-timeout-seconds", "2");
    let answer = scraped::ask(&exporter, request.body(String::new()).unwrap()).await;
    assert!(answer.page().sum("level", &[]) >= Some(5.0), "{}", answer.text());
}

#[tokio::test]
async fn queries_are_shown_to_nobody() {
    let door = Door::new(is_open);
    let entry = format!("{ENTRY}?token=secret");
    let answer = door.post(&entry).await;
    assert_eq!((answer.status.as_u16(), answer.text()), (200, &*format!("{ENTRY}\n")));
    assert_eq!(door.get().await, [ENTRY]);
    assert_eq!(door.backends.list(), [&*entry]);
    assert_eq!(door.delete(ENTRY).await.status, 404);
    assert_eq!(door.delete(&entry).await.text(), "");
}

#[tokio::test]
async fn what_was_configured_stays_as_it_is() {
    let door = Door::new(is_open);
    let theirs = "prod.backend.theirs=http://127.0.0.1:2/metrics";
    assert_eq!(door.backends.add(ENTRY).unwrap(), 1);
    assert_eq!(door.post(&format!("{theirs}\n{ENTRY};only=x")).await.status, 409);
    assert_eq!(door.get().await, [ENTRY]);
    assert_eq!(door.post(theirs).await.status, 200);
    assert_eq!(door.delete(&format!("{theirs}\n{ENTRY}")).await.status, 403);
    assert_eq!(door.get().await, [ENTRY, theirs]);
    assert_eq!(door.delete(theirs).await.status, 200);
    assert_eq!(door.backends.list(), [ENTRY]);
}

#[tokio::test]
async fn what_is_configured_later_is_theirs_no_more() {
    let door = Door::new(is_open);
    assert_eq!(door.post(ENTRY).await.status, 200);
    let backends = &door.backends;
    assert_eq!(backends.env(|_| Some(ENTRY.to_owned())).unwrap(), 1);
    assert_eq!(door.delete(ENTRY).await.status, 403);
    assert_eq!(door.post(ENTRY).await.status, 409);
    assert!(backends.remove("prod.backend.generate", "http://127.0.0.1:1/metrics"));
    assert_eq!(door.post(ENTRY).await.status, 200);
    assert_eq!(door.delete(ENTRY).await.status, 200);
}

#[tokio::test]
async fn a_head_has_no_body() {
    let door = Door::new(is_open);
    assert_eq!(door.post(ENTRY).await.status, 200);
    let answer = send(&door.exporter, Method::HEAD, "/backends", "").await;
    assert_eq!((answer.status.as_u16(), answer.text()), (200, ""));
}
