//! Backends that hang, break off and lie: each costs its own series, and nobody else's.

mod scraped;

use std::time::Duration;

use dynamo_metrics::exporter::{Backend, Exporter};
use dynamo_metrics::foreign::Limits;
use dynamo_metrics::registry::Registry;
use dynamo_metrics_tests::page::Page;
use dynamo_metrics_tests::peer::{Peer, Step, TEXT, head, ok};
use dynamo_metrics_tests::program::free_port;
use http::Request;
use tokio::time::Instant;

use crate::scraped::{FORMATS, ask, endpoint, page, promtool_reads, read_back, scrape, send};

/// A page that cannot be told from a good one by its start.
const START: &[u8] = b"# TYPE faulty_total counter\nfaulty_total 1\n";

/// A registry with a series of its own, a good backend, and a faulty one.
struct Story {
    exporter: Exporter,
    faulty: String,
    _good: Peer,
}

impl Story {
    async fn new(faulty: Backend) -> Self {
        let registry = Registry::new();
        let own = registry.component("own").counter("calls_total", "Ours.");
        own.register().unwrap().inc_by(7);
        let good = Peer::page(TEXT, "# TYPE good gauge\ngood 1\n").await;
        let _ = Backend::new(&good.url()).unwrap().register(&registry.component("good")).unwrap();
        let address = faulty.address();
        let _ = faulty.register(&endpoint(&registry)).unwrap();
        Self { exporter: Exporter::new(&registry), faulty: address, _good: good }
    }

    /// Whether all that is not the faulty one's is there.
    fn is_whole(page: &Page) -> bool {
        page.sum("dynamo_component_calls_total", &[]) == Some(7.0)
            && page.sum("good", &[("dynamo_component", "good")]) == Some(1.0)
    }

    /// The word for what is wrong with the faulty one, whose series are not there while all others
    /// are, in a page that is valid in each format.
    async fn error(&self) -> String {
        for format in FORMATS {
            let parsed = read_back(&self.exporter, format).await;
            for name in ["dynamo_component_calls_total", "good"] {
                assert!(parsed.families.iter().any(|it| it.name == name), "{format:?}: {name}");
            }
        }
        let answer = scrape(&self.exporter).await;
        promtool_reads(answer.text());
        let page = answer.page();
        assert!(Self::is_whole(&page), "{}", answer.text());
        assert!(!answer.text().contains("faulty_total"), "{}", answer.text());
        let labels = [("backend", self.faulty.as_str())];
        assert_eq!(page.sum("dynamo_metrics_backend_up", &labels), Some(0.0));
        assert_eq!(page.sum("dynamo_metrics_backend_scrape_samples", &labels), Some(0.0));
        let errors = page.samples().iter().filter(|it| it.name == "dynamo_metrics_backend_error");
        let on = errors.filter(|it| it.labels["backend"] == self.faulty && it.value == 1.0);
        let on: Vec<_> = on.map(|it| it.labels["dynamo_metrics_backend_error"].clone()).collect();
        assert_eq!(on.len(), 1, "{on:?}");
        let counted = [("source", "backend")];
        let counted = page.sum("dynamo_metrics_collect_errors_total", &counted);
        assert!(counted.is_some_and(|errors| errors >= 1.0), "{}", answer.text());
        on[0].clone()
    }
}

/// What is told of a backend that answers so.
async fn error_of(steps: impl IntoIterator<Item = Step>) -> String {
    let peer = Peer::start(steps).await;
    Story::new(Backend::new(&peer.url()).unwrap()).await.error().await
}

async fn error_of_bytes(bytes: impl Into<Vec<u8>>) -> String {
    error_of([Step::Send(bytes.into())]).await
}

fn text_head(more: &str) -> Vec<u8> {
    head(&format!("content-type: {TEXT}{more}"))
}

#[tokio::test(start_paused = true)]
async fn one_that_accepts_and_says_nothing_is_late() {
    assert_eq!(error_of([Step::Hang]).await, "timeout");
}

#[tokio::test(start_paused = true)]
async fn one_that_sends_a_head_and_nothing_else_is_late() {
    assert_eq!(error_of([Step::Send(text_head("")), Step::Hang]).await, "timeout");
}

#[tokio::test(start_paused = true)]
async fn one_that_sends_half_a_page_and_stops_is_late() {
    let half = [text_head("\r\ncontent-length: 1000"), START.to_vec()].concat();
    assert_eq!(error_of([Step::Send(half), Step::Hang]).await, "timeout");
}

#[tokio::test(start_paused = true)]
async fn one_that_drips_its_head_is_late() {
    assert_eq!(error_of([Step::Drip(ok(TEXT, START))]).await, "timeout");
}

#[tokio::test(start_paused = true)]
async fn one_that_drips_its_page_is_late() {
    let head = text_head(&format!("\r\ncontent-length: {}", START.len()));
    assert_eq!(error_of([Step::Send(head), Step::Drip(START.to_vec())]).await, "timeout");
}

#[tokio::test]
async fn one_that_is_not_there_cannot_be_connected() {
    let address = format!("http://127.0.0.1:{}", free_port());
    let story = Story::new(Backend::new(&address).unwrap()).await;
    assert_eq!(story.error().await, "connect");
}

#[tokio::test]
async fn one_that_closes_without_a_word_is_broken() {
    assert_eq!(error_of([]).await, "broken");
}

#[tokio::test]
async fn one_that_resets_in_the_middle_of_its_page_is_broken() {
    let half = [text_head("\r\ncontent-length: 1000"), START.to_vec()].concat();
    assert_eq!(error_of([Step::Send(half), Step::Reset]).await, "broken");
}

#[tokio::test]
async fn one_that_ends_before_its_length_is_broken() {
    let half = [text_head("\r\ncontent-length: 1000"), START.to_vec()].concat();
    assert_eq!(error_of_bytes(half).await, "broken");
}

#[tokio::test]
async fn one_that_answers_with_another_status_has_no_page() {
    for status in ["500 Oops", "404 Not Found", "204 No Content", "401 Unauthorized", "503 Later"] {
        let head =
            format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-type: {TEXT}\r\n\r\n");
        assert_eq!(error_of_bytes([head.as_bytes(), START].concat()).await, "status", "{status}");
    }
}

#[tokio::test]
async fn one_that_sends_us_elsewhere_is_not_followed() {
    let elsewhere = Peer::page(TEXT, START).await;
    for status in ["301 Moved", "302 Found", "307 There", "308 There"] {
        let to = format!(
            "HTTP/1.1 {status}\r\nlocation: {}\r\ncontent-length: 0\r\n\r\n",
            elsewhere.url()
        );
        assert_eq!(error_of_bytes(to).await, "status");
    }
    assert_eq!(elsewhere.heads(), [""; 0]);
}

#[tokio::test]
async fn one_that_answers_with_something_else_has_no_page() {
    for kind in ["text/html", "application/json", "text/plain/x", "image/png"] {
        assert_eq!(error_of_bytes(ok(kind, START)).await, "content_type", "{kind}");
    }
}

#[tokio::test]
async fn one_whose_page_never_ends_is_too_large() {
    let head = text_head("\r\ntransfer-encoding: chunked");
    let line = "# and so on\n".repeat(1 << 10);
    let chunk = format!("{:x}\r\n{line}\r\n", line.len()).into_bytes();
    assert_eq!(error_of([Step::Send(head), Step::Endless(chunk)]).await, "size");
}

#[tokio::test]
async fn one_whose_page_is_larger_than_its_limit_is_too_large() {
    for more in ["\r\ncontent-length: 2000", "", "\r\ncontent-length: 99999999999"] {
        let body = "# and so on\n".repeat(200).into_bytes();
        let peer = Peer::start([Step::Send([text_head(more), body].concat())]).await;
        let limits = Limits::default().bytes(1_000);
        let story = Story::new(Backend::new(&peer.url()).unwrap().limits(limits)).await;
        assert_eq!(story.error().await, "size", "{more}");
    }
}

#[tokio::test]
async fn one_whose_head_never_ends_is_broken() {
    let start = b"HTTP/1.1 200 OK\r\n".to_vec();
    let line = b"x-more: and more and more and more and more\r\n".repeat(100);
    assert_eq!(error_of([Step::Send(start), Step::Endless(line)]).await, "broken");
    let start = b"HTTP/1.1 200 OK\r\nx-long: ".to_vec();
    assert_eq!(error_of([Step::Send(start), Step::Endless(b"long".repeat(1000))]).await, "broken");
}

#[tokio::test]
async fn one_that_speaks_no_http_is_broken() {
    let garbage: [&[u8]; 6] = [
        b"\0\x01\x02\x03\r\n\r\n",
        b"faulty_total 1\n",
        b"HTTP/9.9 200 OK\r\n\r\n",
        b"HTTP/1.1 two hundred\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno header\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ];
    for bytes in garbage {
        assert_eq!(error_of_bytes(bytes).await, "broken", "{}", String::from_utf8_lossy(bytes));
    }
}

#[tokio::test]
async fn one_whose_chunks_are_broken_is_broken() {
    let bodies: [&[u8]; 5] = [
        b"zz\r\nfaulty_total 1\n\r\n",
        b"5\r\nab",
        b"-1\r\n",
        b"ffffffffffffffffff\r\n",
        b"2\r\nab",
    ];
    for body in bodies {
        let answer = [&text_head("\r\ntransfer-encoding: chunked"), body].concat();
        assert_eq!(error_of_bytes(answer).await, "broken", "{}", String::from_utf8_lossy(body));
    }
}

#[tokio::test]
async fn one_that_compresses_unasked_gives_no_series() {
    // `faulty_total 1`, compressed.
    let gzip: &[u8] = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\x4b\x4b\x2c\xcd\x29\xa9\x8c\x2f\xc9\x2f\x49\xcc\x51\x30\xe4\x02\x00";
    let answer = [&text_head("\r\ncontent-encoding: gzip")[..], gzip].concat();
    let peer = Peer::start([Step::Send(answer)]).await;
    let story = Story::new(Backend::new(&peer.url()).unwrap()).await;
    let answer = scrape(&story.exporter).await;
    assert!(Story::is_whole(&answer.page()));
    assert!(!answer.text().contains("\nfaulty_total"), "{}", answer.text());
    let counted =
        answer.page().sum("dynamo_metrics_collect_errors_total", &[("source", "backend")]);
    assert_eq!(counted, Some(1.0));
    let asked = peer.heads()[0].to_ascii_lowercase();
    assert!(!asked.contains("gzip"), "{asked}");
}

#[tokio::test(start_paused = true)]
async fn a_late_backend_is_waited_for_no_longer_than_it_may_take() {
    let peer = Peer::start([Step::Hang]).await;
    let brief = Backend::new(&peer.url()).unwrap().timeout(Duration::from_millis(300));
    let story = Story::new(brief).await;
    let start = Instant::now();
    assert!(Story::is_whole(&page(&story.exporter).await));
    let took = start.elapsed();
    assert!((300..1_000).contains(&took.as_millis()), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_scrape_waits_less_than_its_scraper_does() {
    for (header, least, most) in [
        (Some("2"), 1_400, 2_000),
        (Some("1.000"), 400, 1_000),
        (Some("0.7"), 100, 700),
        // Ten seconds are the exporter's own, less what is left for sending.
        (Some("3600"), 9_000, 10_001),
        (None, 9_000, 10_001),
        (Some("0"), 9_000, 10_001),
        (Some("-1"), 9_000, 10_001),
        (Some("NaN"), 9_000, 10_001),
        (Some("+Inf"), 9_000, 10_001),
        (Some("soon"), 9_000, 10_001),
        (Some("1e300"), 9_000, 10_001),
    ] {
        // Each of its own: a fetch goes on for those who wait longer.
        let peer = Peer::start([Step::Hang]).await;
        let slow = Backend::new(&peer.url()).unwrap().timeout(Duration::from_secs(3_600));
        let story = Story::new(slow).await;
        let mut request = Request::get("/metrics");
        if let Some(seconds) = header {
            request = request.header("X-Prometheus-Scrape-Timeout-Seconds", seconds);
        }
        let start = Instant::now();
        let answer = ask(&story.exporter, request.body(String::new()).unwrap()).await;
        let took = start.elapsed();
        assert!(Story::is_whole(&answer.page()), "{header:?}: {}", answer.text());
        assert!((least..most).contains(&took.as_millis()), "{header:?}: {took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_exporters_own_wait_may_be_changed() {
    let peer = Peer::start([Step::Hang]).await;
    let slow = Backend::new(&peer.url()).unwrap().timeout(Duration::from_secs(3_600));
    let mut story = Story::new(slow).await;
    story.exporter = story.exporter.scrape_timeout(Duration::from_secs(100));
    let start = Instant::now();
    assert!(Story::is_whole(&page(&story.exporter).await));
    assert!((90..=100).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn many_late_backends_are_waited_for_at_once() {
    let peer = Peer::start([Step::Hang]).await;
    let registry = Registry::new();
    for i in 0..40 {
        let scope = registry.component(&format!("late_{i}"));
        let _ = Backend::new(&peer.url()).unwrap().register(&scope).unwrap();
    }
    let start = Instant::now();
    let page = page(&Exporter::new(&registry)).await;
    assert!((4..=6).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
    let down = page.samples().iter().filter(|it| it.name == "dynamo_metrics_backend_up");
    assert_eq!(down.map(|it| it.value).collect::<Vec<_>>(), [0.0; 40]);
}

#[tokio::test(start_paused = true)]
async fn other_pages_ask_no_backend() {
    let peer = Peer::start([Step::Hang]).await;
    let story = Story::new(Backend::new(&peer.url()).unwrap()).await;
    for path in ["/", "/live", "/health", "/nowhere"] {
        let _ = send(&story.exporter, http::Method::GET, path, "").await;
    }
    assert_eq!(peer.heads(), [""; 0]);
}
