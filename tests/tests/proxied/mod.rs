//! A proxy before an upstream that does what a story has it do, one step at a time.

// Each test program uses its own part of this.
#![allow(dead_code)]

use std::net::SocketAddr;
use std::time::Duration;

use dynamo_metrics_tests::counts::OUTCOMES;
use dynamo_metrics_tests::h1;
use dynamo_metrics_tests::page::Page;
use dynamo_metrics_tests::program::Proxy;
use tokio::net::TcpListener;
use tokio::time::timeout;

/// Longest wait for a request to come through. A pass takes milliseconds.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// The head of an answer that is a stream of events, in chunks.
pub(crate) const EVENTS: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";

/// An upstream, played by the story itself.
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    listener: TcpListener,
}

impl Upstream {
    pub(crate) async fn listen() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self { address: listener.local_addr().unwrap(), listener }
    }

    /// A proxy before it, with these options.
    pub(crate) fn behind_proxy(&self, options: &[&str]) -> Proxy {
        let url = format!("worker=http://{}", self.address);
        Proxy::start(&[&["--upstream", &url], options].concat())
    }

    /// The next connection, once the head of a request has come over it; and that head.
    pub(crate) async fn next(&self) -> (h1::Client, String) {
        let accepted = timeout(PATIENCE, self.listener.accept()).await.unwrap();
        let mut end = h1::Client::over(accepted.unwrap().0);
        let read = end.read_until("\r\n\r\n").await.unwrap();
        let head = String::from_utf8_lossy(read).into_owned();
        (end, head)
    }
}

/// Sends a request for a chat, without waiting for its answer.
pub(crate) async fn ask(proxy: &Proxy) -> h1::Client {
    send(proxy, "POST /v1/chat/completions HTTP/1.1\r\nhost: test\r\ncontent-length: 2\r\n\r\n{}")
        .await
}

/// Sends a request as it stands here.
pub(crate) async fn send(proxy: &Proxy, request: impl AsRef<[u8]>) -> h1::Client {
    let mut client = h1::Client::open(proxy.server).await.unwrap();
    client.send(request.as_ref()).await.unwrap();
    client
}

/// A chunk of a body in chunks.
pub(crate) fn chunk(text: &str) -> String {
    format!("{:x}\r\n{text}\r\n", text.len())
}

/// How the requests ended, as one side of the proxy counted them: `component` or `upstream`.
pub(crate) fn outcomes(page: &Page, side: &str) -> Vec<(&'static str, f64)> {
    let name = format!("dynamo_{side}_request_outcomes_total");
    let counted = OUTCOMES.map(|outcome| {
        // Other components, such as an engine behind the same frontend, count for themselves.
        let labels = [("outcome", outcome)];
        let frontend = [("outcome", outcome), ("dynamo_component", "frontend")];
        let labels = if side == "component" { &frontend[..] } else { &labels[..] };
        (outcome, page.sum(&name, labels).unwrap_or_default())
    });
    counted.into_iter().filter(|(_, count)| *count > 0.0).collect()
}

/// Waits until nothing is in flight, and asserts how the requests ended for clients and at upstreams.
#[track_caller]
pub(crate) fn assert_ends(
    proxy: &Proxy,
    clients: &[(&str, f64)],
    upstreams: &[(&str, f64)],
) -> Page {
    let page = proxy.page_at_rest();
    assert_eq!(outcomes(&page, "component"), clients);
    assert_eq!(outcomes(&page, "upstream"), upstreams);
    page
}

/// The whole answer, as text, whatever ended it.
pub(crate) async fn rest(client: h1::Client) -> String {
    String::from_utf8_lossy(&client.read_to_end().await.unwrap()).into_owned()
}
