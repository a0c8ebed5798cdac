//! An exporter at a door of its own, on a real socket, for stories about who comes there.

// Each test program uses its own part of this.
#![allow(dead_code)]

use std::net::SocketAddr;
use std::time::Duration;

use dynamo_metrics::encode;
use dynamo_metrics::exporter::Exporter;
use dynamo_metrics::registry::Registry;
use dynamo_metrics_tests::h1::Client;
use dynamo_metrics_tests::page::Page;
use tokio::task::JoinHandle;

/// Longest wait for the server to notice what its client did. A pass takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(10);

/// Series of [`large`], and the bytes of each one's label.
const SERIES: usize = 2_500;
const LABEL: usize = 4_000;

/// A server that is stopped when this is dropped.
pub(crate) struct Door {
    pub(crate) registry: Registry,
    pub(crate) address: SocketAddr,
    serving: JoinHandle<()>,
}

/// An answer to HTTP/1.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Status line and headers, in small letters.
    pub(crate) head: String,
    /// What came after them, chunks put together.
    pub(crate) body: Vec<u8>,
}

impl Door {
    /// Serves a registry of one gauge, which is 7.
    pub(crate) async fn open() -> Self {
        Self::open_with(&small(), |exporter| exporter).await
    }

    /// Serves `registry` as `choose` wants it.
    pub(crate) async fn open_with(
        registry: &Registry,
        choose: impl FnOnce(Exporter) -> Exporter,
    ) -> Self {
        let server = choose(Exporter::new(registry)).bind("127.0.0.1:0").await.unwrap();
        let address = server.local_addr().unwrap();
        let serving = tokio::spawn(server.serve(std::future::pending()));
        Self { registry: registry.clone(), address, serving }
    }

    /// Opens a connection and says something there.
    pub(crate) async fn say(&self, said: impl AsRef<[u8]>) -> Client {
        let mut client = Client::open(self.address).await.unwrap();
        // Whoever is not heard to the end may be answered, or hung up on, before it ended.
        let _ = client.send(said.as_ref()).await;
        client
    }

    /// All that comes back before the server closes.
    pub(crate) async fn hear(&self, said: impl AsRef<[u8]>) -> Vec<u8> {
        self.say(said).await.read_to_end().await.unwrap()
    }

    /// The one answer to `said`, after which the server closes.
    pub(crate) async fn ask(&self, said: impl AsRef<[u8]>) -> Answer {
        let heard = self.hear(said).await;
        let (answer, rest) = Answer::read(&heard, true);
        assert!(rest.is_empty(), "{}", String::from_utf8_lossy(rest));
        answer
    }

    /// The answer to a `GET` of HTTP/1.1 with these headers, each with its end.
    pub(crate) async fn get(&self, path: &str, headers: &str) -> Answer {
        let head = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n");
        self.ask(format!("{head}{headers}\r\n")).await
    }

    /// The server still answers others, and nobody's scrape is left.
    pub(crate) async fn assert_serves(&self) {
        let answer = self.get("/live", "").await;
        assert_eq!((answer.status, answer.text()), (200, r#"{"status":"live"}"#));
        let answer = self.get("/metrics?name[]=x", "").await;
        assert_eq!((answer.status, answer.text()), (200, "# TYPE x gauge\nx 7\n"));
        self.when("in-flight to fall to zero", || self.scrapes("in_flight", &[]) == 0.0).await;
    }

    /// What the exporter tells of its scrapes; zero for what did not happen yet.
    pub(crate) fn scrapes(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let page = Page::read(&encode::text(&self.registry));
        page.sum(&format!("dynamo_metrics_exporter_scrapes_{name}"), labels).unwrap_or_default()
    }

    /// Scrapes whose scraper left before their end.
    pub(crate) fn aborted(&self) -> f64 {
        self.scrapes("total", &[("status", "aborted")])
    }

    /// Waits until something is so; the server works in its own time.
    pub(crate) async fn when(&self, what: &str, is_so: impl Fn() -> bool) {
        let wait = async {
            while !is_so() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let waited = tokio::time::timeout(PATIENCE, wait).await;
        assert!(waited.is_ok(), "waited for {what}: {}", encode::text(&self.registry));
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Answer {
    /// Reads the first answer of some, and returns what follows it.
    pub(crate) fn read(sent: &[u8], has_body: bool) -> (Self, &[u8]) {
        let end = sent.windows(4).position(|part| part == b"\r\n\r\n");
        let end = end.unwrap_or_else(|| panic!("no head: {}", String::from_utf8_lossy(sent)));
        let head = String::from_utf8(sent[..end].to_vec()).unwrap().to_ascii_lowercase();
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap();
        let mut rest = &sent[end + 4..];
        let mut answer = Self { status, head, body: Vec::new() };
        if !has_body {
            return (answer, rest);
        }
        if let Some(length) = answer.header("content-length") {
            answer.body.extend(rest.split_off(..length.parse().unwrap()).expect("all of the body"));
        } else if answer.header("transfer-encoding") == Some("chunked") {
            loop {
                let line = rest.iter().position(|&byte| byte == b'\r').expect("a chunk's length");
                let length = std::str::from_utf8(&rest[..line]).unwrap();
                let length = usize::from_str_radix(length, 16).unwrap();
                let chunk = &rest[line + 2..][..length + 2];
                rest = &rest[line + 4 + length..];
                answer.body.extend_from_slice(&chunk[..length]);
                if length == 0 {
                    break;
                }
            }
        } else {
            answer.body.extend_from_slice(std::mem::take(&mut rest));
        }
        (answer, rest)
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.head.lines().filter_map(|line| line.split_once(": "));
        headers.find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

/// A registry of one gauge, which is 7.
pub(crate) fn small() -> Registry {
    let registry = Registry::new();
    registry.gauge("x", "").register().unwrap().set(7);
    registry
}

/// The same, with so much beside it that a page does not fit into the buffers of both sockets.
pub(crate) fn large() -> Registry {
    let registry = Registry::builder().series_cap(u64::MAX).build();
    registry.gauge("x", "").register().unwrap().set(7);
    let family = registry.counter("long_total", "").dynamic_family(["key"]).unwrap();
    for i in 0..SERIES {
        family.with_ref([&format!("{i:0LABEL$}")], dynamo_metrics::metric::Counter::inc);
    }
    registry
}

/// Bytes of the large registry's page, at least.
pub(crate) const LARGE: usize = SERIES * LABEL;
